"""What others do around a visit: networks that sweep the mails of many, and mail domains that follow one link at once.

Read from the stored hits of one edition, for the rules that compare visits.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.db.models import Max, Min, Q, QuerySet
from django.db.models.functions import TruncMinute

from newsletter.engagement.rules import (
    AROUND,
    BURST_DELIVERIES,
    BURST_TIME,
    MARKS_NETWORK,
    NETWORK_SWEEP,
    OVERRULED_BY_OTHERS,
    SWEPT_VISITS,
    find_bursts,
)
from newsletter.models import OTHER_LINK, Delivery, Edition, Hit
from newsletter.models.bulk_sql import fetch_with_rows
from newsletter.models.prepared import sql_list
from subscribers.models import Subscriber
from subscribers.signup.domains import LARGE_MAILBOX_PROVIDERS

#: Keys of one statement.
CHUNK = 500

NETWORKS_WITH_MARKS = f"""
    SELECT rows.network FROM {{rows}} WHERE EXISTS (
        SELECT 1 FROM newsletter_hit hit WHERE hit.edition_id = rows.edition_id AND hit.network = rows.network
            AND hit.network <> '' AND hit.rule IN ({sql_list(MARKS_NETWORK)}))
"""  # noqa: S608 - names of rules are ours

#: From and to.
Interval = tuple[datetime.datetime, datetime.datetime]
#: A mail domain and the number of a link.
DomainLink = tuple[str, int]


@dataclass(frozen=True, slots=True)
class DeliveryFacts:
    """When a mail was accepted and delivered, and the mail domain of its recipient; empty if erased."""

    accepted_at: datetime.datetime | None
    delivered_at: datetime.datetime | None
    domain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A hit that shows that its network scans, by the visit that it belongs to."""

    visit: tuple[int, str]
    network: str
    at: datetime.datetime


@dataclass(frozen=True, slots=True)
class Bursts:
    """When mail domains fetched a link all at once, and the deliveries and times of the hits around it."""

    found: Mapping[DomainLink, Sequence[Interval]] = field(default_factory=dict)
    hits: Mapping[DomainLink, Sequence[tuple[datetime.datetime, int]]] = field(default_factory=dict)

    def of(self, domain: str) -> dict[int, Sequence[Interval]]:
        """Of one mail domain, by link."""
        return {number: found for (each, number), found in self.found.items() if each == domain}


def facts_of(deliveries: Collection[int]) -> dict[int, DeliveryFacts]:
    """What is known about these deliveries."""
    found: dict[int, DeliveryFacts] = {}
    keys = sorted(deliveries)
    for start in range(0, len(keys), CHUNK):
        rows = Delivery.objects.filter(pk__in=keys[start : start + CHUNK])
        times = list(rows.values_list("pk", "sent_at", "delivered_at", "subscriber_id"))
        owners = Subscriber.objects.filter(pk__in={row[3] for row in times})
        domains = {pk: canonical.rpartition("@")[2] for pk, canonical in owners.values_list("pk", "canonical")}
        found |= {pk: DeliveryFacts(sent, delivered, domains.get(owner, "")) for pk, sent, delivered, owner in times}
    return found


def voided_by(edition: Edition, marks: Sequence[Mark]) -> dict[str, QuerySet[Hit]]:
    """By network: the hits that these new marks may turn into those of a scanner. The marks must be stored already.

    The mark that makes a network one of scanners reaches all its hits; later ones reach those around them.
    """
    by_network: dict[str, list[Mark]] = defaultdict(list)
    for mark in marks:
        by_network[mark.network].append(mark)
    voided = {}
    for network, new in by_network.items():
        if _swept_visits(edition, network, ()) < SWEPT_VISITS:
            continue
        hits = Hit.objects.filter(edition=edition, network=network, is_sealed=False, rule__in=OVERRULED_BY_OTHERS)
        hits = hits.exclude(rule=NETWORK_SWEEP)
        if _swept_visits(edition, network, {mark.visit for mark in new}) >= SWEPT_VISITS:
            times = [mark.at for mark in new]
            hits = hits.filter(at__range=(min(times) - AROUND, max(times) + AROUND))
        voided[network] = hits
    return voided


def sweeps_around(
    edition: Edition, hits: Collection[tuple[str, datetime.datetime]]
) -> dict[str, list[datetime.datetime]]:
    """By network, ascending: when it swept, in so far as it matters for these hits (network and time of each).

    Of each minute only the first and the last time: AROUND is longer, so that no hit is missed or added.
    """
    times: dict[str, list[datetime.datetime]] = defaultdict(list)
    for network, at in hits:
        if network:
            times[network].append(at)
    columns = {"edition_id": "bigint", "network": "text"}
    marked = fetch_with_rows(NETWORKS_WITH_MARKS, columns, [(edition.pk, network) for network in times])
    sweeps = {}
    for (network,) in marked:
        if _swept_visits(edition, network, ()) < SWEPT_VISITS:
            continue
        window = (min(times[network]) - AROUND, max(times[network]) + AROUND)
        rows = _marked(edition, network).filter(at__range=window).order_by()
        minutes = rows.annotate(minute=TruncMinute("at")).values("minute").annotate(first=Min("at"), last=Max("at"))
        sweeps[network] = sorted({row[end] for row in minutes for end in ("first", "last")})
    return sweeps


def _marked(edition: Edition, network: str) -> QuerySet[Hit]:
    return Hit.objects.filter(edition=edition, network=network, rule__in=MARKS_NETWORK)


def _swept_visits(edition: Edition, network: str, without: Collection[tuple[int, str]]) -> int:
    """How many visits the network has swept, without these; counted up to SWEPT_VISITS only."""
    rows, seen = _marked(edition, network).order_by("at"), set(without)
    for count in range(SWEPT_VISITS):
        deliveries = [delivery for delivery, _visitor in seen if delivery]
        visitors = [visitor for _delivery, visitor in seen if visitor]
        others = rows.exclude(Q(delivery_id__isnull=False) & Q(delivery_id__in=deliveries))
        others = others.exclude(~Q(visitor="") & Q(visitor__in=visitors)).exclude(delivery_id__isnull=True, visitor="")
        found = others.values_list("delivery_id", "visitor").first()
        if found is None:
            return count
        seen.add((found[0] or 0, found[1]))
    return SWEPT_VISITS


def bursts_around(
    edition: Edition, clicks: Iterable[tuple[int, datetime.datetime, int]], facts: Mapping[int, DeliveryFacts]
) -> Bursts:
    """The bursts that these clicks (link, time and delivery of each) may belong to.

    Domains of large mailbox providers are left out: no filter of one owner reads all their mail.
    """
    windows: dict[int, list[datetime.datetime]] = defaultdict(list)
    domains: set[str] = set()
    for number, at, delivery in clicks:
        domain = facts[delivery].domain if delivery in facts else ""
        if number >= OTHER_LINK and domain and domain not in LARGE_MAILBOX_PROVIDERS:
            windows[number].append(at)
            domains.add(domain)
    by_domain: dict[DomainLink, list[tuple[datetime.datetime, int]]] = defaultdict(list)
    for number, times in windows.items():
        around = (min(times) - BURST_TIME, max(times) + BURST_TIME)
        hits = Hit.objects.filter(edition=edition, number=number, at__range=around, delivery_id__isnull=False)
        found = hits.order_by("at", "pk").values_list("at", "delivery_id")
        rows = [(at, delivery) for at, delivery in found if delivery is not None]
        if len(rows) < BURST_DELIVERIES:
            continue
        known = {**facts, **facts_of({delivery for _at, delivery in rows} - facts.keys())}
        for at, delivery in rows:
            if delivery in known and known[delivery].domain in domains:
                by_domain[known[delivery].domain, number].append((at, delivery))
    crowded = {key: hits for key, hits in by_domain.items() if find_bursts(hits, 0)}
    sizes = {domain: _size(edition, domain) for domain in {domain for domain, _number in crowded}}
    return Bursts({key: find_bursts(hits, sizes[key[0]]) for key, hits in crowded.items()}, crowded)


def _size(edition: Edition, domain: str) -> int:
    """How many recipients of the issue have this mail domain. Asked only for a domain with a crowd of hits."""
    rows = Delivery.objects.filter(issue=edition.issue_id, subscriber__canonical__endswith=f"@{domain}")
    return rows.count()
