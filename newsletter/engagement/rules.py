"""The rules: which hits are of humans, and which of machines. Pure: values in, judgements out.

A visit is every hit of one delivery, or of one hashed visitor, on one edition. The first rule that fits a hit decides;
its name is stored with the verdict. Rules judge whole visits, so a later hit may change what an earlier one was judged
to be, and judging again, in any order, gives the same verdicts. Hits of programs that say so change no other verdict.

Not used on purpose: the time since sending alone (scanners come a minute later), and clicks without an open (pictures
are often blocked).
"""

from __future__ import annotations

import datetime
import itertools
import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from newsletter.engagement import agents
from newsletter.engagement.networks import APPLE, DATA_CENTERS, HOSTING
from newsletter.models import CANARIES, OPEN, OTHER_LINK, HitMethod, Verdict

#: Printed with every report. Raise it with each change of a rule or of a constant below.
RULES_VERSION = 1

#: How far the reach of a canary or of a sweeping network goes, before and after.
AROUND = datetime.timedelta(minutes=10)

#: So many different links within so long are a sweep.
SWEEPS = ((3, datetime.timedelta(seconds=2)), (5, datetime.timedelta(seconds=10)))
#: So is this share of all links, but at least so many, within this time.
SWEEP_SHARE, SWEEP_SHARE_LINKS, SWEEP_SHARE_TIME = 0.8, 4, datetime.timedelta(seconds=60)

#: Two hits on one link within this time, from two networks, are one click that is checked on its way.
PAIR = datetime.timedelta(seconds=2)

#: Visits with a sweep or a canary that make a network one of scanners, in one edition.
SWEPT_VISITS = 5

#: A burst: this share of a mail domain's deliveries, but at least so many, on one link within this time.
BURST_SHARE, BURST_DELIVERIES, BURST_TIME = 0.3, 10, datetime.timedelta(seconds=60)

#: No human reads a mail sooner after its delivery.
READING = datetime.timedelta(seconds=1)

#: A single hit from a data center within this time after the delivery is unclear.
CLOUD = datetime.timedelta(seconds=120)

NOT_GET, PROVIDER_FLAG, CANARY, NAMED_AGENT, NO_AGENT = "not-get", "provider-flag", "canary", "named-agent", "no-agent"
APPLE_PROXY, IMAGE_PROXY, SWEEP, SAME_LINK_PAIR = "apple-proxy", "image-proxy", "sweep", "same-link-pair"
NETWORK_SWEEP, DOMAIN_BURST, BEFORE_DELIVERED = "network-sweep", "domain-burst", "before-delivered"
CLOUD_FIRST, HUMAN = "cloud-first", "human"

#: What a hit says by itself: rules that compare hits leave out those that a program owns up to.
_OPEN_METHODS = frozenset({HitMethod.GET, HitMethod.EVENT})
_PROGRAMS = frozenset({agents.MACHINE, agents.PREVIEW, agents.NONE})

#: Rules that look at one visit only, and mark its network as one that scans.
MARKS_NETWORK = (CANARY, SWEEP)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a hit is, and by which rule. `is_first`: the first of its visit on its link with this verdict."""

    verdict: Verdict
    rule: str
    is_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What is known about one hit. Families, classes and hashes as in `agents` and `networks`; empty if unknown."""

    at: datetime.datetime
    number: int
    method: HitMethod = HitMethod.GET
    network: str = ""
    network_class: str = ""
    agent: str = agents.UNKNOWN
    sealed: Judgement | None = None
    """The judgement that stays, because what led to it has been removed."""

    @property
    def is_click(self) -> bool:
        """Whether it is on a link that subscribers see."""
        return self.number >= OTHER_LINK

    @property
    def may_be_click(self) -> bool:
        """Whether a human may have clicked, as far as the hit alone tells: no program says that it was one."""
        return self.is_click and self.method in _OPEN_METHODS and self.agent not in _PROGRAMS


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Hits of one visitor on one edition, in the order of their times, with what others did meanwhile."""

    facts: Sequence[Fact]
    links: int
    """How many links the edition has."""
    delivered_at: datetime.datetime | None = None
    accepted_at: datetime.datetime | None = None
    sweeps: Mapping[str, Sequence[datetime.datetime]] = field(default_factory=dict)
    """By network: when it swept other mails of this edition, ascending. Only networks with SWEPT_VISITS or more."""
    bursts: Mapping[int, Sequence[tuple[datetime.datetime, datetime.datetime]]] = field(default_factory=dict)
    """By link: when the mail domain of this visitor fetched it all at once, from and to."""


#: By the place of a hit in the visit: its verdict.
Found = Iterator[tuple[int, Verdict]]


def not_get(visit: Visit) -> Found:
    """A browser that fetches ahead. Requests other than GET are not stored at all."""
    for place, fact in enumerate(visit.facts):
        if fact.method == HitMethod.PREFETCH:
            yield place, Verdict.NEITHER


def provider_flag(visit: Visit) -> Found:
    """The provider says so. A flagged open is one by a proxy."""
    for place, fact in enumerate(visit.facts):
        if fact.method == HitMethod.FLAGGED:
            yield place, Verdict.PROXY if fact.number == OPEN else Verdict.MACHINE


def canary(visit: Visit) -> Found:
    """Links that no human sees were followed; so were, by the same network or agent, the others around that time."""
    traps = [fact for fact in visit.facts if fact.number in CANARIES]
    for place, fact in enumerate(visit.facts):
        if fact.number in CANARIES or any(_is_same_client(fact, trap) and _is_around(fact, trap) for trap in traps):
            yield place, Verdict.MACHINE


def named_agent(visit: Visit) -> Found:
    """Scanners and programs that say so; and previews of a link that a human has pasted somewhere."""
    for place, fact in enumerate(visit.facts):
        if fact.agent == agents.MACHINE:
            yield place, Verdict.MACHINE
        elif fact.agent == agents.PREVIEW:
            yield place, Verdict.NEITHER


def no_agent(visit: Visit) -> Found:
    """A request without a user agent. An unknown agent is not an empty one."""
    for place, fact in enumerate(visit.facts):
        if fact.agent == agents.NONE:
            yield place, Verdict.MACHINE


def apple_proxy(visit: Visit) -> Found:
    """Apple's proxy loads every image, read or not. Its agent alone, from another network, is unclear."""
    for place, fact in enumerate(visit.facts):
        if fact.number == OPEN and fact.agent == agents.APPLE_PROXY:
            yield place, Verdict.PROXY if fact.network_class == APPLE else Verdict.UNSURE


def image_proxy(visit: Visit) -> Found:
    """Gmail's and Yahoo's proxies hide the recipient, but mostly follow one who opens the mail."""
    for place, fact in enumerate(visit.facts):
        if fact.number == OPEN and fact.agent in (agents.GOOGLE_PROXY, agents.YAHOO_PROXY):
            yield place, Verdict.HUMAN


def sweep(visit: Visit) -> Found:
    """More different links in a moment than a human clicks: all of them."""
    share = max(SWEEP_SHARE_LINKS, math.ceil(SWEEP_SHARE * visit.links))
    clicks = [place for place, fact in enumerate(visit.facts) if fact.may_be_click]
    swept: set[int] = set()
    for count, within in (*SWEEPS, (share, SWEEP_SHARE_TIME)):
        swept.update(_crowded(visit.facts, clicks, count, within))
    for place in sorted(swept):
        yield place, Verdict.MACHINE


def same_link_pair(visit: Visit) -> Found:
    """One click that a filter checks on its way: two hits on one link at once, from two networks. One of them stays."""
    for first, second in _pairs(visit.facts):
        yield _machine_of_pair(visit.facts, first, second), Verdict.MACHINE


def network_sweep(visit: Visit) -> Found:
    """A network that sweeps the mails of many: also its other hits around those times."""
    for place, fact in enumerate(visit.facts):
        times = visit.sweeps.get(fact.network, ()) if fact.network else ()
        after = bisect_left(times, fact.at - AROUND)
        if after < len(times) and times[after] <= fact.at + AROUND:
            yield place, Verdict.MACHINE


def domain_burst(visit: Visit) -> Found:
    """A large part of a mail domain follows the same link at once: its filter does."""
    for place, fact in enumerate(visit.facts):
        if any(start <= fact.at <= end for start, end in visit.bursts.get(fact.number, ())):
            yield place, Verdict.MACHINE


def before_delivered(visit: Visit) -> Found:
    """By the times of the events themselves, before the mail was in the mailbox."""
    for place, fact in enumerate(visit.facts):
        too_early = visit.delivered_at is not None and fact.at < visit.delivered_at + READING
        if too_early or (visit.accepted_at is not None and fact.at < visit.accepted_at):
            yield place, Verdict.MACHINE


def cloud_first(visit: Visit) -> Found:
    """The only click, soon after the delivery, from a data center. Apple's relay is none."""
    clicks = [place for place, fact in enumerate(visit.facts) if fact.may_be_click]
    if len(clicks) != 1 or visit.delivered_at is None:
        return
    fact = visit.facts[clicks[0]]
    if fact.network_class == HOSTING and fact.at <= visit.delivered_at + CLOUD:
        yield clicks[0], Verdict.UNSURE


def human(visit: Visit) -> Found:
    """Everything else."""
    for place in range(len(visit.facts)):
        yield place, Verdict.HUMAN


#: In this order: the first that fits a hit decides.
RULES: tuple[tuple[str, Callable[[Visit], Found]], ...] = (
    (NOT_GET, not_get),
    (PROVIDER_FLAG, provider_flag),
    (CANARY, canary),
    (NAMED_AGENT, named_agent),
    (NO_AGENT, no_agent),
    (APPLE_PROXY, apple_proxy),
    (IMAGE_PROXY, image_proxy),
    (SWEEP, sweep),
    (SAME_LINK_PAIR, same_link_pair),
    (NETWORK_SWEEP, network_sweep),
    (DOMAIN_BURST, domain_burst),
    (BEFORE_DELIVERED, before_delivered),
    (CLOUD_FIRST, cloud_first),
    (HUMAN, human),
)

#: The rules that what others do can still overrule: those from `network-sweep` on.
OVERRULED_BY_OTHERS = tuple(name for name, _rule in RULES[[name for name, _rule in RULES].index(NETWORK_SWEEP) :])


def judge(visit: Visit) -> list[Judgement]:
    """The judgement of each hit of a visit, in its order."""
    found: dict[int, tuple[Verdict, str]] = {
        place: (fact.sealed.verdict, fact.sealed.rule) for place, fact in enumerate(visit.facts) if fact.sealed
    }
    for name, rule in RULES:
        for place, verdict in rule(visit):
            found.setdefault(place, (verdict, name))
    seen: set[tuple[int, Verdict]] = set()
    judged = []
    for place, fact in enumerate(visit.facts):
        verdict, rule_name = found[place]
        judged.append(Judgement(verdict, rule_name, is_first=(fact.number, verdict) not in seen))
        seen.add((fact.number, verdict))
    return judged


def find_bursts(
    hits: Sequence[tuple[datetime.datetime, int]], size: int
) -> list[tuple[datetime.datetime, datetime.datetime]]:
    """When a mail domain with `size` deliveries fetched one link all at once, from and to.

    `hits` are the times and deliveries of its hits on the link, ascending.
    """
    needed = max(BURST_DELIVERIES, math.ceil(BURST_SHARE * size))
    found: list[tuple[datetime.datetime, datetime.datetime]] = []
    for start, end in _windows([at for at, _delivery in hits], BURST_TIME):
        if len({delivery for _at, delivery in hits[start:end]}) < needed:
            continue
        first, last = hits[start][0], hits[end - 1][0]
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found


def _is_around(fact: Fact, other: Fact) -> bool:
    return abs(fact.at - other.at) <= AROUND


def _is_same_client(fact: Fact, other: Fact) -> bool:
    same_network = bool(fact.network) and fact.network == other.network
    return same_network or (bool(fact.agent) and fact.agent == other.agent)


def _crowded(facts: Sequence[Fact], places: Sequence[int], count: int, within: datetime.timedelta) -> Iterator[int]:
    """Places of hits in a window with so many different links."""
    for start, end in _windows([facts[place].at for place in places], within):
        window = places[start:end]
        if len(window) >= count and len({facts[place].number for place in window}) >= count:
            yield from window


def _windows(times: Sequence[datetime.datetime], within: datetime.timedelta) -> Iterator[tuple[int, int]]:
    """The longest runs of ascending times that fit into `within`: of each time, the one that begins there."""
    end = 0
    for start, first in enumerate(times):
        before = end
        while end < len(times) and times[end] - first <= within:
            end += 1
        if end > before:  # else this run is a part of the one before
            yield start, end


def _pairs(facts: Sequence[Fact]) -> Iterator[tuple[int, int]]:
    by_link: dict[int, list[int]] = defaultdict(list)
    for place, fact in enumerate(facts):
        if fact.may_be_click and fact.network:
            by_link[fact.number].append(place)
    for places in by_link.values():
        for first, second in itertools.pairwise(places):
            one, two = facts[first], facts[second]
            if one.network != two.network and two.at - one.at <= PAIR:
                yield first, second


def _machine_of_pair(facts: Sequence[Fact], first: int, second: int) -> int:
    """The one from a data center; else the one with a system that was not seen before; else the later one."""
    one, two = facts[first], facts[second]
    if (one.network_class in DATA_CENTERS) != (two.network_class in DATA_CENTERS):
        return first if one.network_class in DATA_CENTERS else second
    known = {agents.system_of(fact.agent) for fact in facts[:first]} - {""}
    is_known = [agents.system_of(fact.agent) in known for fact in (one, two)]
    return first if known and is_known == [False, True] else second
