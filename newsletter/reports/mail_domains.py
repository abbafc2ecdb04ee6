"""Mail domains of a send: deliveries, clicks and complaints of the largest and of all others. Read from counters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.db import connection
from django.db.models import QuerySet, Sum

from newsletter.models import CountScope, EventType, Send, SendCount
from newsletter.models.rates import MIN_FOR_RATE
from newsletter.models.send_count import EVENT

#: Domains with a row of their own.
MAX_DOMAINS = 20

#: What the rows count, each recipient once per column.
COLUMNS = (EventType.DELIVERED, EventType.BOUNCED, EventType.OPENED, EventType.CLICKED, EventType.COMPLAINED)

#: Mailbox providers ask for complaint rates below the first, and block senders above the second (Gmail and Yahoo,
#: sender guidelines). From NEAR on a rate is marked.
WARNING, LIMIT, NEAR = 0.001, 0.003, 0.0008

#: A single complaint says nothing about a domain.
MIN_COMPLAINTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainRow:
    """Recipients of one mail domain; `domain` is empty for all others together."""

    domain: str
    delivered: int
    bounced: int
    opened: int
    clicked: int
    complained: int

    @property
    def base(self) -> int:
        """What rates are shares of: the delivered, or more where their events are missing."""
        return max(self.delivered, self.opened, self.clicked, self.complained)

    @property
    def has_rates(self) -> bool:
        return self.base >= MIN_FOR_RATE

    @property
    def complaint_rate(self) -> float:
        """0 to 1."""
        return self.complained / self.base if self.base else 0.0

    @property
    def level(self) -> str:
        """`ok`, `near`, `warning` or `limit`."""
        if self.complained < MIN_COMPLAINTS or not self.has_rates:
            return "ok"
        levels = ((LIMIT, "limit"), (WARNING, "warning"), (NEAR, "near"))
        return next((level for rate, level in levels if self.complaint_rate >= rate), "ok")


def mail_domains(send: Send, totals: Mapping[str, int]) -> list[DomainRow]:
    """The domains with the most delivered mails, then all others in one row, if there are any."""
    names = [each.value for each in COLUMNS]
    counts: dict[str, dict[str, int]] = {domain: dict.fromkeys(names, 0) for domain in _largest(send)}
    rows = _rows(send).filter(key__in=list(counts), name__in=names)
    for domain, name, count in rows.values_list("key", "name").annotate(total=Sum("value")):
        counts[domain][name] = count
    found = [DomainRow(domain=domain, **of_domain) for domain, of_domain in counts.items()]
    others = {name: totals.get(f"{EVENT}{name}", 0) - sum(getattr(row, name) for row in found) for name in names}
    if any(count > 0 for count in others.values()):
        found.append(DomainRow(domain="", **{name: max(0, count) for name, count in others.items()}))
    return found


def _rows(send: Send) -> QuerySet[SendCount]:
    return SendCount.objects.filter(send=send, scope=CountScope.DOMAIN).exclude(key="").order_by()


def _largest(send: Send) -> list[str]:
    """By deliveries only: a list of a million subscribers has fifty thousand domains, and five counters of each.

    An index has the order of those that are added up. What connections have counted since then is added to them first;
    SQLite has one writer, who adds everything up.
    """
    delivered = _rows(send).filter(name=EventType.DELIVERED.value)
    waiting = delivered.exclude(writer=0).values("key") if connection.vendor == "postgresql" else delivered.none()
    settled = delivered.filter(ranked__isnull=False).exclude(key__in=waiting).order_by("-ranked", "key")
    totals = dict(settled.values_list("key", "ranked")[:MAX_DOMAINS])
    sums = delivered.filter(key__in=waiting).values("key").annotate(total=Sum("value"))
    totals |= dict(sums.order_by("-total", "key").values_list("key", "total")[:MAX_DOMAINS])
    return sorted(totals, key=lambda domain: (-totals[domain], domain))[:MAX_DOMAINS]
