"""The independent count: what the documents say of events, as plain Python over the events that were acknowledged.

Nothing of `newsletter` is used. Sources: docs/requirements.md (“Webhooks and events”, “Opens and clicks”, “Reports”),
docs/run-it.md (“Opens and clicks”), and the classes of bounces in reference documents.
"""

from __future__ import annotations

import datetime
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tests.journeys.flood.facts import UTC, Mail, Said, link_to
from tests.journeys.flood.plan import HOSTING, PREVIEW, PROGRAMS

KINDS = ("sent", "delayed", "delivered", "opened", "clicked", "failed", "suppressed", "bounced", "complained")

#: Nobody reads a mail within a second of its delivery.
SECOND = datetime.timedelta(seconds=1)

#: What a bounce of these classes does to the address at once, and which classes count as one soft bounce.
SUPPRESSING = {"no_mailbox": "hard_bounce", "inactive": "inactive", "null_mx": "no_domain"}
SOFT = ("no_domain", "mailbox_full", "full_abandoned", "temporary", "relay_denied", "unknown")

#: Reasons of suppressions, from the lowest rank to the highest (docs/requirements.md, W-22).
RANKS = ("hard_bounce", "soft_bounce", "no_domain", "inactive", "erased", "provider", "manual", "complaint")

#: The numbers of what is opened and clicked: the image, links that the issue does not have, and its links from here on.
IMAGE, OTHER_LINK, FIRST_LINK = 0, 3, 4

Time = datetime.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """An open or a click that may be kept."""

    at: Time
    number: int
    agent: str | None
    network: str
    is_hosting: bool

    @property
    def is_click(self) -> bool:
        return self.number != IMAGE

    @property
    def names_no_program(self) -> bool:
        return self.agent not in (*PROGRAMS, PREVIEW, "")


@dataclass(slots=True)
class Recipient:
    """A mail with everything that is known of it."""

    mail: Mail
    times: dict[str, Time] = field(default_factory=dict)
    classes: set[str] = field(default_factory=set)
    hits: list[Hit] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)
    soft: tuple[Time, str] | None = None
    """The first soft bounce."""

    def note(self, kind: str, at: Time) -> None:
        """Keep the first time of each kind."""
        self.times[kind] = min(at, self.times.get(kind, at))

    @property
    def domain(self) -> str:
        return "" if self.mail.is_erased else self.mail.address.lower().rpartition("@")[2]

    @property
    def bounce(self) -> str:
        """Each bounced mail counts under one class: the first in the alphabet."""
        return min(self.classes, default="")

    @property
    def has_mail(self) -> bool:
        """Taken and not returned, or opened or clicked all the same."""
        known = self.times
        return ("delivered" in known and "bounced" not in known) or "opened" in known or "clicked" in known

    @property
    def place(self) -> str:
        """The one place where the report shows it."""
        known = self.times
        if "complained" in known:
            return "complained"
        if self.has_mail:
            return "reached"
        places = {"bounced": "bounced", "suppressed": "suppressed", "failed": "not_sent", "delayed": "delayed"}
        return next((place for kind, place in places.items() if kind in known), "accepted")

    @property
    def is_failed(self) -> bool:
        return self.place in ("suppressed", "not_sent")

    @property
    def may_be_retried(self) -> bool:
        """The provider could not send it, and nothing else is known of it."""
        return "failed" in self.times and not self.times.keys() - {"sent", "delayed", "failed"}


class Recount:
    """Everything that the installation should know once these events are applied."""

    def __init__(self, mails: Iterable[Mail], events: Iterable[Said]) -> None:
        self.recipients = {mail.delivery: Recipient(mail) for mail in mails}
        self.suppressed: dict[str, str] = {}
        self.unused: Counter[str] = Counter()
        """Events by `state reason`, such as `orphan other_edition`."""
        self.applied = 0
        for recipient in self.recipients.values():
            if recipient.mail.is_erased:
                self._suppress(recipient.mail.address.lower(), "erased")
        for said in events:
            self._take(said)
        self._judge()

    @cached_property
    def sends(self) -> dict[int, list[Recipient]]:
        """The recipients of each send."""
        found: dict[int, list[Recipient]] = defaultdict(list)
        for recipient in self.recipients.values():
            found[recipient.mail.send].append(recipient)
        return dict(found)

    # --- Events -------------------------------------------------------------------------------------------------------

    def _take(self, said: Said) -> None:
        if said.unused:
            self.unused[said.unused] += 1
        is_kept = said.mail is not None and self._keep(self.recipients[said.mail.delivery], said)
        if not said.unused:
            if said.kind in ("opened", "clicked") and not is_kept:
                self.unused["ignored tracking_not_agreed"] += 1
            else:
                self.applied += 1
        if not said.unused.startswith("ignored"):
            self._suppress_by(said)

    def _keep(self, recipient: Recipient, said: Said) -> bool:
        """Note what an event says of a mail; whether an open or a click may be kept."""
        if said.kind not in ("opened", "clicked"):
            recipient.note(said.kind, said.at)
            if said.kind == "bounced":
                recipient.classes.add(said.bounce)
                self._note_soft(recipient, said)
            return True
        # Whoever it was, the mail was there before.
        recipient.note("delivered", said.at - SECOND)
        mail = recipient.mail
        if not mail.has_provider_tracking or mail.agreed_at is None or said.at < mail.agreed_at:
            return False
        number = IMAGE if said.kind == "opened" else number_of(said.link, mail.links)
        if number is not None:
            network, is_hosting = network_of(said.ip), said.ip == HOSTING
            hit = Hit(at=said.at, number=number, agent=said.agent, network=network, is_hosting=is_hosting)
            recipient.hits.append(hit)
        return True

    def _note_soft(self, recipient: Recipient, said: Said) -> None:
        """One for each subscriber and send: the first. Nothing is kept of erased subscribers."""
        if said.bounce in SOFT and not recipient.mail.is_erased:
            found = (said.at, said.bounce)
            recipient.soft = min(recipient.soft, found) if recipient.soft else found

    def _suppress_by(self, said: Said) -> None:
        if said.kind == "complained":
            self._suppress(said.address, "complaint")
        elif said.kind == "suppressed" and not said.unused:
            self._suppress(said.address, "provider")
        elif said.kind == "bounced" and said.bounce in SUPPRESSING:
            self._suppress(said.address, SUPPRESSING[said.bounce])

    def _suppress(self, address: str, reason: str) -> None:
        self.suppressed[address] = max(reason, self.suppressed.get(address, reason), key=RANKS.index)

    # --- Humans and machines ------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        scans: dict[tuple[int, str], dict[int, list[Time]]] = defaultdict(dict)
        for recipient in self.recipients.values():
            recipient.hits.sort(key=lambda hit: hit.at)
            for hit in swept(recipient.hits):
                visits = scans[recipient.mail.edition, hit.network]
                visits.setdefault(recipient.mail.delivery, []).append(hit.at)
        scanners = {
            key: [at for times in visits.values() for at in times] for key, visits in scans.items() if len(visits) >= 5
        }
        for recipient in self.recipients.values():
            if not recipient.hits:
                continue
            recipient.verdicts = verdicts_of(recipient, scanners)
            for hit, verdict in zip(recipient.hits, recipient.verdicts, strict=True):
                if verdict == "human":
                    recipient.note("clicked" if hit.is_click else "opened", hit.at)

    # --- Counters -----------------------------------------------------------------------------------------------------

    def totals(self, send: int) -> Counter[str]:
        """The totals of a send by name."""
        counts: Counter[str] = Counter()
        for recipient in self.sends[send]:
            counts["audience"] += 1
            counts["state.accepted"] += 1
            counts[f"place.{recipient.place}"] += 1
            counts["reached"] += recipient.has_mail
            counts["failed_anywhere"] += recipient.is_failed
            counts["retriable"] += recipient.may_be_retried
            counts.update(f"event.{kind}" for kind in recipient.times)
        return +counts

    def counters(self, send: int) -> dict[tuple[str, str, str], int]:
        """All counters of a send: scope, key and name."""
        counts: Counter[tuple[str, str, str]] = Counter()
        counts.update({("", "", name): count for name, count in self.totals(send).items()})
        for recipient in self.sends[send]:
            for kind, at in recipient.times.items():
                counts["hour", f"{at.astimezone(UTC):%Y-%m-%dT%H}", kind] += 1
                counts["domain", recipient.domain, kind] += 1
            if recipient.bounce:
                counts["bounce", recipient.bounce, "deliveries"] += 1
        return dict(+counts)

    def engagement(self) -> dict[tuple[int, int, Time, str], tuple[int, int]]:
        """By edition, number, hour and verdict: hits, and those that are the first of their mail on that link."""
        hits: Counter[tuple[int, int, Time, str]] = Counter()
        visitors: Counter[tuple[int, int, Time, str]] = Counter()
        for recipient in self.recipients.values():
            seen: set[tuple[int, str]] = set()
            for hit, verdict in zip(recipient.hits, recipient.verdicts, strict=True):
                hour = hit.at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
                key = (recipient.mail.edition, hit.number, hour, verdict)
                hits[key] += 1
                visitors[key] += (hit.number, verdict) not in seen
                seen.add((hit.number, verdict))
        return {key: (count, visitors[key]) for key, count in hits.items()}


def number_of(link: str, links: int) -> int | None:
    """The number of a clicked link; None for one that serves the subscriber, which is no click on content."""
    if link == "https://news.example/unsubscribe/abcdef":
        return None
    return next((FIRST_LINK + place for place in range(links) if link == link_to(place + 1)), OTHER_LINK)


def network_of(ip: str) -> str:
    """A /24 or /48."""
    return ":".join(ip.split(":")[:3]) if ":" in ip else ip.rpartition(".")[0]


def swept(hits: Sequence[Hit]) -> list[Hit]:
    """Clicks on three or more links within two seconds."""
    clicks = [hit for hit in hits if hit.is_click and hit.names_no_program]
    found: dict[int, Hit] = {}
    for first in clicks:
        window = [hit for hit in clicks if first.at <= hit.at <= first.at + 2 * SECOND]
        if len({hit.number for hit in window}) >= 3:
            found |= {id(hit): hit for hit in window}
    return list(found.values())


def verdicts_of(recipient: Recipient, scanners: dict[tuple[int, str], list[Time]]) -> list[str]:
    """Who caused each of the hits."""
    hits, mail = recipient.hits, recipient.mail
    machines = {id(hit) for hit in swept(hits)} | {id(hit) for hit in repeated_elsewhere(hits)}
    clicks = [hit for hit in hits if hit.is_click and hit.names_no_program]
    accepted, delivered = recipient.times.get("sent"), recipient.times["delivered"]
    around = datetime.timedelta(minutes=10)

    def verdict(hit: Hit) -> str:
        if hit.agent == PREVIEW:
            return "neither"
        is_scanned = any(abs(at - hit.at) <= around for at in scanners.get((mail.edition, hit.network), ()))
        is_early = accepted is not None and hit.at < accepted
        if not hit.names_no_program or id(hit) in machines or is_scanned or is_early:
            return "machine"
        is_quick = hit.at <= delivered + datetime.timedelta(minutes=2)
        return "unsure" if clicks == [hit] and hit.is_hosting and is_quick else "human"

    return [verdict(hit) for hit in hits]


def repeated_elsewhere(hits: Sequence[Hit]) -> list[Hit]:
    """The second of two clicks on a link within two seconds from two networks: a filter that checks it."""
    clicks = [hit for hit in hits if hit.is_click and hit.names_no_program]
    return [
        second
        for place, first in enumerate(clicks)
        for second in clicks[place + 1 :]
        if first.number == second.number and first.network != second.network and second.at - first.at <= 2 * SECOND
    ]
