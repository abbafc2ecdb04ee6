"""Opens and clicks of an edition for its report: links in order, the most clicked ones, opens as an estimate.

Always two numbers: humans, and all hits. Humans are counted once for each link; the same human on two links counts on
both, and without consent a human on two days is two.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.db.models import Count, Sum

from newsletter.engagement.rules import RULES
from newsletter.models import FIRST_LINK, OPEN, OTHER_LINK, Edition, EngagementCounter, Hit, Verdict, numbered_links


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkReport:
    """One link of an edition. `place` is where it stands: `Deep dives, story 3`."""

    number: int
    url: str
    label: str
    place: str
    humans: int
    human_hits: int
    all_hits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpensEstimate:
    """Opens as far as images tell: about `humans`, of whom `by_proxy` is the part that may not have looked."""

    humans: int
    by_proxy: int
    """Visitors whose mail program loads every image, read or not."""
    unsure: int
    all_hits: int


@dataclass(frozen=True, slots=True)
class _Counts:
    hits: Mapping[str, int] = field(default_factory=dict)
    visitors: Mapping[str, int] = field(default_factory=dict)


def links_of(edition: Edition) -> list[LinkReport]:
    """Every link of the edition in reading order; one query."""
    counts = _counts(edition)
    return [
        _link_report(number, link["url"], link["label"], link["place"], counts.get(number, _Counts()))
        for number, link in enumerate(numbered_links(edition), start=FIRST_LINK)
    ]


def top_links(edition: Edition, limit: int = 10) -> list[LinkReport]:
    """The links that most humans clicked, then by place; others are left out."""
    clicked = [link for link in links_of(edition) if link.humans]
    return sorted(clicked, key=lambda link: (-link.humans, link.number))[:limit]


def opens_of(edition: Edition) -> OpensEstimate:
    """The estimate of opens; one query."""
    counts = _counts(edition).get(OPEN, _Counts())
    by_proxy = counts.visitors.get(Verdict.PROXY, 0)
    return OpensEstimate(
        humans=counts.visitors.get(Verdict.HUMAN, 0) + by_proxy,
        by_proxy=by_proxy,
        unsure=counts.visitors.get(Verdict.UNSURE, 0),
        all_hits=sum(counts.hits.values()),
    )


def clicks_by_hour(edition: Edition) -> dict[datetime.datetime, tuple[int, int]]:
    """Clicks of humans, and all hits on links, in each hour that has any, ascending."""
    rows = (
        EngagementCounter.objects.filter(edition=edition, number__gte=OTHER_LINK)
        .order_by("hour")
        .values_list("hour", "verdict")
        .annotate(hits=Sum("hits"))
    )
    found: dict[datetime.datetime, tuple[int, int]] = {}
    for hour, verdict, hits in rows:
        humans, every = found.get(hour, (0, 0))
        found[hour] = (humans + (hits if verdict == Verdict.HUMAN else 0), every + hits)
    return found


def hits_by_rule(edition: Edition) -> dict[str, int]:
    """How many hits each rule has judged, in the order of the rules; only of hits that are still kept."""
    rows = Hit.objects.filter(edition=edition).exclude(rule="").order_by().values_list("rule").annotate(n=Count("pk"))
    counts = dict(rows)
    return {name: counts[name] for name, _rule in RULES if name in counts}


def rules_versions(edition: Edition) -> list[int]:
    """The versions of the rules that the kept hits were judged by; more than one after a change of rules."""
    judged = Hit.objects.filter(edition=edition).exclude(verdict="").order_by("rules_version")
    return list(judged.values_list("rules_version", flat=True).distinct())


def _counts(edition: Edition) -> dict[int, _Counts]:
    rows = (
        EngagementCounter.objects.filter(edition=edition)
        .order_by()
        .values_list("number", "verdict")
        .annotate(all_hits=Sum("hits"), all_visitors=Sum("visitors"))
    )
    hits: dict[int, dict[str, int]] = defaultdict(dict)
    visitors: dict[int, dict[str, int]] = defaultdict(dict)
    for number, verdict, count, humans in rows:
        hits[number][verdict], visitors[number][verdict] = count, humans
    return {number: _Counts(hits[number], visitors[number]) for number in hits}


def _link_report(number: int, url: str, label: str, place: str, counts: _Counts) -> LinkReport:
    return LinkReport(
        number=number,
        url=url,
        label=label,
        place=place,
        humans=counts.visitors.get(Verdict.HUMAN, 0),
        human_hits=counts.hits.get(Verdict.HUMAN, 0),
        all_hits=sum(counts.hits.values()),
    )
