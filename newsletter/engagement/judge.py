"""Judging: new hits get their verdicts, in sets, with everything that follows from them, in one transaction.

    hits that are due ─► visits they belong to ─► sweeps, canaries
                                    └─► visits that these reach: networks, mail domains ─► rules ─► verdicts that differ
                                                                                     └─► counters, times of deliveries

One worker judges an edition at a time. A crash leaves the hits due, and judging them again gives the same numbers.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from django.db import transaction

from newsletter.config.failpoints import Point, failpoint
from newsletter.engagement.counters import Change, add_to_counters
from newsletter.engagement.delivery_times import Reaction, Reactions, are_kept, write_times
from newsletter.engagement.neighbors import (
    Bursts,
    DeliveryFacts,
    Interval,
    Mark,
    bursts_around,
    facts_of,
    sweeps_around,
    voided_by,
)
from newsletter.engagement.rules import DOMAIN_BURST, MARKS_NETWORK, RULES_VERSION, Fact, Judgement, Visit, judge
from newsletter.models import Edition, Hit, HitMethod, Verdict, numbered_links
from newsletter.models.bulk_sql import execute_with_rows

HITS_PER_TRANSACTION = 1_000

#: Keys of one statement.
CHUNK = 500

#: A visit by its delivery, or by its hash.
VisitKey = tuple[int, str]

#: The key of a hit whose subscriber was erased.
NO_VISITOR: VisitKey = (0, "")

COLUMNS = (
    "pk",
    "at",
    "number",
    "method",
    "delivery_id",
    "visitor",
    "network",
    "network_class",
    "agent",
    "verdict",
    "rule",
    "is_first",
    "is_sealed",
)

SAVE_JUDGEMENTS = """
    UPDATE newsletter_hit SET verdict = rows.verdict, rule = rows.rule, rules_version = rows.rules_version,
        is_first = (rows.is_first = 1)
    FROM {rows} WHERE newsletter_hit.id = rows.id
"""
JUDGEMENT_COLUMNS = {"id": "bigint", "verdict": "text", "rule": "text", "rules_version": "int", "is_first": "int"}


@dataclass(frozen=True, slots=True)
class HitRow:
    """A stored hit, as COLUMNS has it."""

    pk: int
    at: datetime.datetime
    number: int
    method: str
    delivery_id: int | None
    visitor: str
    network: str
    network_class: str
    agent: str
    verdict: str
    rule: str
    is_first: bool
    is_sealed: bool

    @property
    def key(self) -> VisitKey:
        """The visit that it belongs to."""
        return (self.delivery_id or 0, self.visitor)

    @property
    def judged(self) -> Judgement | None:
        """Its stored judgement, if there is one."""
        return Judgement(Verdict(self.verdict), self.rule, self.is_first) if self.verdict else None

    def as_fact(self) -> Fact:
        """As the rules see it."""
        return Fact(
            at=self.at,
            number=self.number,
            method=HitMethod(self.method),
            network=self.network,
            network_class=self.network_class,
            agent=self.agent,
            sealed=self.judged if self.is_sealed else None,
        )


#: The hits of each visit, in the order of their times.
Visits = dict[VisitKey, list[HitRow]]


def judge_hits(limit: int = HITS_PER_TRANSACTION) -> bool:
    """Judge up to `limit` hits of one edition; whether there may be more. A step of the worker."""
    due = Hit.objects.filter(is_due=True)
    if not due.exists():
        # A query costs nothing; a transaction would take SQLite's only write lock in each round of an idle worker.
        return False
    with transaction.atomic():
        editions = Edition.objects.filter(pk__in=due.order_by().values("edition")).order_by("pk")
        locked = editions.select_for_update(skip_locked=True, no_key=True)
        edition = locked.only("pk", "issue_id", "engagement", "created_at").first()
        if edition is None:
            return False
        judge_due(edition, limit)
        failpoint(Point.HITS_UNCOMMITTED)
    failpoint(Point.HITS_COMMITTED)
    return True


def judge_due(edition: Edition, limit: int = HITS_PER_TRANSACTION) -> int:
    """Judge up to `limit` due hits of an edition that is locked; returns how many there were."""
    rows = Hit.objects.filter(edition=edition, is_due=True).order_by("pk").values_list(*COLUMNS)
    due = [HitRow(*row) for row in rows[:limit]]
    if due:
        _judge(edition, due)
    return len(due)


def _judge(edition: Edition, due: list[HitRow]) -> None:
    """Judge these hits, and every other one whose verdict follows from them."""
    visits = _visits(edition, {hit.key for hit in due}, due)
    facts = facts_of(_deliveries(visits))
    bursts = bursts_around(edition, [(hit.number, hit.at, hit.delivery_id) for hit in due if hit.delivery_id], facts)
    reached = _reached(edition, _store_marks(edition, visits, facts), bursts) - visits.keys()
    if reached:
        visits |= _visits(edition, reached, ())
        facts |= facts_of(_deliveries(visits) - facts.keys())
    sweeps = sweeps_around(edition, [(hit.network, hit.at) for hits in visits.values() for hit in hits])
    judged = {
        key: judge(_visit(edition, key, hits, facts, sweeps=sweeps, bursts=_bursts_of(key, hits, facts, bursts)))
        for key, hits in visits.items()
    }
    changes = [
        Change(hit.pk, hit.number, hit.at, hit.judged, judgement)
        for key, hits in visits.items()
        for hit, judgement in zip(hits, judged[key], strict=True)
        if judgement != hit.judged
    ]
    _save([(change.pk, change.now) for change in changes])
    add_to_counters(edition, changes)
    if are_kept(edition):
        write_times(_reactions(hits, judged[key]) for key, hits in visits.items() if key[0] > 0)
    Hit.objects.filter(pk__in=[hit.pk for hit in due]).update(is_due=False)


def _visits(edition: Edition, keys: Collection[VisitKey], due: Iterable[HitRow]) -> Visits:
    """All hits of these visits. A hit that belongs to no visit any more is a visit of its own, with a negative key."""
    of_edition = Hit.objects.filter(edition=edition)
    deliveries = sorted({delivery for delivery, _visitor in keys if delivery})
    visitors = sorted({visitor for _delivery, visitor in keys if visitor})
    rows: list[HitRow] = []
    for column, values in (("delivery_id", deliveries), ("visitor", visitors)):
        for start in range(0, len(values), CHUNK):
            part = of_edition.filter(**{f"{column}__in": values[start : start + CHUNK]})
            rows += [HitRow(*row) for row in part.values_list(*COLUMNS)]
    visits: Visits = {}
    for hit in sorted(rows, key=lambda hit: (hit.at, hit.pk)):
        visits.setdefault(hit.key, []).append(hit)
    return visits | {(-hit.pk, ""): [hit] for hit in due if hit.key == NO_VISITOR}


def _deliveries(visits: Visits) -> set[int]:
    return {delivery for delivery, _visitor in visits if delivery > 0}


def _store_marks(edition: Edition, visits: Visits, facts: Mapping[int, DeliveryFacts]) -> list[Mark]:
    """Store the sweeps and canaries, which the visits show by themselves, and return those that are new.

    Nothing that others do changes them, so that these verdicts stay.
    """
    new: list[tuple[VisitKey, HitRow, Judgement]] = []
    for key, hits in visits.items():
        for hit, alone in zip(hits, judge(_visit(edition, key, hits, facts)), strict=True):
            if alone.rule in MARKS_NETWORK and hit.rule not in MARKS_NETWORK and hit.network:
                new.append((key, hit, alone))
    _save([(hit.pk, alone) for _key, hit, alone in new])
    return [Mark(visit=key, network=hit.network, at=hit.at) for key, hit, _alone in new]


def _reached(edition: Edition, marks: list[Mark], bursts: Bursts) -> set[VisitKey]:
    """Visits whose verdicts may change: in networks that sweep, and in mail domains that follow one link."""
    reached: set[VisitKey] = set()
    for hits in voided_by(edition, marks).values():
        reached.update((delivery or 0, visitor) for delivery, visitor in hits.values_list("delivery_id", "visitor"))
    for key, found in bursts.found.items():
        for start, end in found:
            reached.update((delivery, "") for at, delivery in bursts.hits[key] if start <= at <= end)
    return reached - {NO_VISITOR}


def _visit(
    edition: Edition,
    key: VisitKey,
    hits: list[HitRow],
    facts: Mapping[int, DeliveryFacts],
    *,
    sweeps: Mapping[str, list[datetime.datetime]] | None = None,
    bursts: Mapping[int, list[Interval]] | None = None,
) -> Visit:
    known = facts.get(key[0], DeliveryFacts(None, None, ""))
    return Visit(
        facts=[hit.as_fact() for hit in hits],
        links=len(numbered_links(edition)),
        delivered_at=known.delivered_at,
        accepted_at=known.accepted_at,
        sweeps=sweeps or {},
        bursts=bursts or {},
    )


def _bursts_of(
    key: VisitKey, hits: list[HitRow], facts: Mapping[int, DeliveryFacts], bursts: Bursts
) -> dict[int, list[Interval]]:
    """The bursts of the mail domain of a visit. One found before stays: only those around new hits are read."""
    found: dict[int, list[Interval]] = defaultdict(list)
    if key[0] in facts:
        for number, intervals in bursts.of(facts[key[0]].domain).items():
            found[number] += intervals
    for hit in hits:
        if hit.rule == DOMAIN_BURST:
            found[hit.number].append((hit.at, hit.at))
    return found


def _reactions(hits: list[HitRow], judged: list[Judgement]) -> Reactions:
    """What a delivery's opens and clicks were and are judged to be."""
    return Reactions(
        hits[0].delivery_id or 0,
        [Reaction(hit.number, hit.at, hit.judged, now) for hit, now in zip(hits, judged, strict=True)],
    )


def _save(judged: Iterable[tuple[int, Judgement]]) -> None:
    rows = ((pk, now.verdict.value, now.rule, RULES_VERSION, int(now.is_first)) for pk, now in judged)
    execute_with_rows(SAVE_JUDGEMENTS, JUDGEMENT_COLUMNS, rows)
