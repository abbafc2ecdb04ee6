"""Comparison: the rates of a send beside the median of the newsletter's last ten issues. Read from counters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from newsletter.models import EventType, Send, SendCount, SendState
from newsletter.models.rates import MIN_FOR_RATE, delivered_of, rate_base
from newsletter.models.send_count import AUDIENCE, EVENT, PLACE, UNSUBSCRIBED, Place

#: Earlier issues that this one is compared with.
COMPARED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Fractions, 0 to 1: the first two of all recipients, the others of the base that `rates.rate_base` names.

    Opens and clicks are None where there are none: they were not counted, and no issue is better for that. So are
    unsubscribes of mails whose links do not tell which mail they are in.
    """

    delivered: float | None
    bounced: float | None
    opened: float | None
    clicked: float | None
    complained: float | None
    unsubscribed: float | None


#: The names of all rates.
RATES = ("delivered", "bounced", "opened", "clicked", "complained", "unsubscribed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`issues` is how many earlier issues `median` is of."""

    this: Rates
    median: Rates
    issues: int

    def difference(self, name: str) -> float | None:
        """In percentage points, this minus the median; None if one of both is not known."""
        this, middle = getattr(self.this, name), getattr(self.median, name)
        return None if this is None or middle is None else 100 * float(this - middle)


def rates_of(totals: Mapping[str, int], *, counts_unsubscribes: bool) -> Rates | None:
    """None for fewer recipients than say something."""
    recipients, base = totals.get(AUDIENCE, 0), rate_base(totals).count
    if recipients < MIN_FOR_RATE or not base:
        return None

    def of_base(event_type: EventType) -> float:
        return min(1.0, totals.get(f"{EVENT}{event_type.value}", 0) / base)

    return Rates(
        delivered=delivered_of(totals) / recipients,
        bounced=totals.get(f"{PLACE}{Place.BOUNCED.value}", 0) / recipients,
        opened=of_base(EventType.OPENED) or None,
        clicked=of_base(EventType.CLICKED) or None,
        complained=of_base(EventType.COMPLAINED),
        unsubscribed=min(1.0, totals.get(UNSUBSCRIBED, 0) / base) if counts_unsubscribes else None,
    )


def compare(send: Send, totals: Mapping[str, int]) -> Comparison | None:
    """With the last issues that were sent before this one; None if there is none, or if one of both has no rates."""
    this = rates_of(totals, counts_unsubscribes=send.counts_unsubscribes)
    if this is None or send.started_at is None:
        return None
    earlier = Send.objects.filter(
        issue__newsletter=send.issue.newsletter_id, state=SendState.SENT, started_at__lt=send.started_at
    ).order_by("-started_at")
    counted = dict(earlier.exclude(pk=send.pk).values_list("pk", "counts_unsubscribes")[:COMPARED])
    of_each = SendCount.objects.totals(counted).items()
    rates = (rates_of(each, counts_unsubscribes=counted[key]) for key, each in of_each)
    found = [known for known in rates if known]
    if not found:
        return None
    middle = {name: _median([getattr(rates, name) for rates in found]) for name in RATES}
    return Comparison(this=this, median=Rates(**middle), issues=len(found))


def _median(rates: Iterable[float | None]) -> float | None:
    return median(known) if (known := [rate for rate in rates if rate is not None]) else None
