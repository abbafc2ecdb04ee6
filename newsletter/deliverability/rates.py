"""Rates by the mailbox providers of recipients, and complaints of the last sends.

Complaints are those of the counters. The rates of domains are counted from deliveries: counters by domain know what
events say, not how many mails were accepted, which is what the rates are of.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.db.models import CharField, IntegerField, Max, Min, Sum

from newsletter.models import STARTED, Batch, BatchState, DeliveryState, EventType, Send, SendCount
from newsletter.models.prepared import PreparedStatement
from newsletter.models.send_count import EVENT

#: The most sends, deliveries and domains that are looked at; the newest deliveries come first.
MAX_SENDS, MAX_DELIVERIES, MAX_DOMAINS = 10, 50_000, 10

#: Rates of fewer mails say nothing.
MIN_SAMPLE = 100

#: The counter of complaints: deliveries with such an event.
COMPLAINED = f"{EVENT}{EventType.COMPLAINED.value}"

#: Fractions of the accepted mails: Gmail and Yahoo ask for less than the first, and filter senders from the second on.
COMPLAINT_WARNING, COMPLAINT_LIMIT = 0.001, 0.003


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainRate:
    """The mails to one domain, such as gmail.com."""

    domain: str
    accepted: int
    delivered: int
    bounced: int
    complained: int

    def share(self, count: int) -> float:
        """A count as a fraction of the accepted mails, 0 to 1."""
        return count / (self.accepted or 1)

    @property
    def complaint_rate(self) -> float:
        """Complaints as a fraction of the accepted mails. Gmail tells none: it has its own rate."""
        return self.share(self.complained)

    @property
    def is_known(self) -> bool:
        """Whether there are enough mails for a rate."""
        return self.accepted >= MIN_SAMPLE


_COUNT, _TEXT = IntegerField(), CharField()

BY_DOMAIN = PreparedStatement(
    f"""
    SELECT SUBSTR(p.canonical, STRPOS(p.canonical, '@') + 1) AS domain, COUNT(*), COUNT(d.delivered_at),
        COUNT(d.bounced_at), COUNT(d.complained_at)
    FROM (
        SELECT subscriber_id, delivered_at, bounced_at, complained_at FROM newsletter_delivery
        WHERE id BETWEEN %s AND %s AND send_id = ANY(%s::bigint[]) AND state = '{DeliveryState.ACCEPTED}'
        ORDER BY id DESC LIMIT {MAX_DELIVERIES}
    ) d
    JOIN subscribers_subscriber p ON p.id = d.subscriber_id
    GROUP BY domain ORDER BY 2 DESC, domain LIMIT {MAX_DOMAINS}
    """,  # noqa: S608 - constants are ours
    [_TEXT, _COUNT, _COUNT, _COUNT, _COUNT],
    sqlite=f"""
    SELECT SUBSTR(p.canonical, INSTR(p.canonical, '@') + 1) AS domain, COUNT(*), COUNT(d.delivered_at),
        COUNT(d.bounced_at), COUNT(d.complained_at)
    FROM (
        SELECT subscriber_id, delivered_at, bounced_at, complained_at FROM newsletter_delivery
        WHERE id BETWEEN %s AND %s AND send_id = ANY(%s::bigint[]) AND state = '{DeliveryState.ACCEPTED}'
        ORDER BY id DESC LIMIT {MAX_DELIVERIES}
    ) d
    JOIN subscribers_subscriber p ON p.id = d.subscriber_id
    GROUP BY domain ORDER BY 2 DESC, domain LIMIT {MAX_DOMAINS}
    """,  # noqa: S608 - constants are ours
)


def domain_rates(since: datetime.datetime) -> list[DomainRate]:
    """The domains with the most mails of the last sends since then, at most MAX_DOMAINS, from a bounded sample."""
    sends = Send.objects.filter(state__in=STARTED, started_at__gte=since).order_by("-started_at")
    pks = list(sends.values_list("pk", flat=True)[:MAX_SENDS])
    bounds = Batch.objects.filter(send__in=pks).aggregate(first=Min("first_delivery"), last=Max("last_delivery"))
    if bounds["first"] is None:
        return []
    return [
        DomainRate(domain=domain, accepted=accepted, delivered=delivered, bounced=bounced, complained=complained)
        for domain, accepted, delivered, bounced, complained in BY_DOMAIN.rows(bounds["first"], bounds["last"], pks)
    ]


def complaints(since: datetime.datetime) -> tuple[int, int]:
    """How many mails of the sends since then were reported as spam, by webhooks, and how many were accepted."""
    pks = list(Send.objects.filter(state__in=STARTED, started_at__gte=since).order_by().values_list("pk", flat=True))
    accepted = Batch.objects.filter(send__in=pks, state=BatchState.ACCEPTED).aggregate(mails=Sum("recipients"))
    totals = SendCount.objects.totals(pks, (COMPLAINED,)).values()
    return sum(counts.get(COMPLAINED, 0) for counts in totals), accepted["mails"] or 0
