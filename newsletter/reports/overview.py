"""The numbers of the first page: rates of the last issues, read from counters."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from newsletter.models import STARTED, DeliveryState, EventType, Send, SendCount, SendState
from newsletter.models.rates import DELIVERED_PLACES, delivered_of, rate_base
from newsletter.models.send_count import EVENT, PLACE, STATE

#: How many issues a rate is about; it is compared with as many before.
ISSUES = 5

#: How far back complaints are counted.
COMPLAINT_WINDOW = datetime.timedelta(days=30)

#: Sends that are read at most: in the window of complaints there are fewer, unless several are sent each day.
MAX_SENDS = 100

ACCEPTED = f"{STATE}{DeliveryState.ACCEPTED.value}"
CLICKED = f"{EVENT}{EventType.CLICKED.value}"
COMPLAINED = f"{EVENT}{EventType.COMPLAINED.value}"
DELIVERED = f"{EVENT}{EventType.DELIVERED.value}"

#: The totals that are read.
NAMES = (ACCEPTED, CLICKED, COMPLAINED, DELIVERED, *(f"{PLACE}{place.value}" for place in DELIVERED_PLACES))

Totals = Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A rate as a fraction, 0 to 1; None where there is nothing that it could be a part of."""

    value: float | None = None
    change: float | None = None
    """The difference to what it was before, as a fraction."""
    course: Sequence[float] = field(default_factory=list)
    """The rate of each send, the oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    engagement: Rate
    """Of the last issues: clicked of delivered, or delivered of accepted if clicks are not measured.

    What is delivered, and what clicks and complaints are shares of, is the same as in the report of an issue.
    """
    are_clicks_measured: bool
    complaints: Rate
    """Of all sends that started in the window: reported of delivered."""


def recent_rates(now: datetime.datetime) -> Rates:
    """Rates of the last issues and of the window, in two queries.

    Clicks are measured where the newsletter of one of the last issues has its subscribers' consent, or one was counted.
    """
    started = Send.objects.filter(state__in=STARTED).order_by("-started_at", "-pk")
    columns = ("pk", "state", "started_at", "issue__newsletter__consent_mode")
    sends = list(started.values_list(*columns)[:MAX_SENDS])
    totals = SendCount.objects.totals([pk for pk, *_ in sends], NAMES)
    finished = [
        (pk, mode) for pk, state, _at, mode in sends if state == SendState.SENT and totals.get(pk, {}).get(ACCEPTED)
    ]
    compared = finished[: 2 * ISSUES]
    last, before = ([totals[pk] for pk, _mode in part] for part in (compared[:ISSUES], compared[ISSUES:]))
    are_measured = any(mode != "none" for _pk, mode in compared[:ISSUES]) or any(each.get(CLICKED) for each in last)
    part, whole = (_clicked, _base) if are_measured else (delivered_of, _accepted)
    lately = [totals[pk] for pk, _state, at, _mode in sends if at and at >= now - COMPLAINT_WINDOW and pk in totals]
    return Rates(
        engagement=_rate(part, whole, last, before),
        are_clicks_measured=are_measured,
        complaints=_rate(_complained, _base, lately, []),
    )


def _clicked(totals: Totals) -> int:
    return totals.get(CLICKED, 0)


def _complained(totals: Totals) -> int:
    return totals.get(COMPLAINED, 0)


def _accepted(totals: Totals) -> int:
    return totals.get(ACCEPTED, 0)


def _base(totals: Totals) -> int:
    return rate_base(totals).count


Count = Callable[[Totals], int]


def _rate(part: Count, whole: Count, last: Sequence[Totals], before: Sequence[Totals]) -> Rate:
    """Of all recipients of the sends together, the latest send first."""
    value, former = _share(part, whole, last), _share(part, whole, before)
    each = (_share(part, whole, [totals]) for totals in reversed([*last, *before]))
    return Rate(
        value=value,
        change=None if value is None or former is None else value - former,
        course=[share for share in each if share is not None],
    )


def _share(part: Count, whole: Count, sends: Sequence[Totals]) -> float | None:
    of = sum(map(whole, sends))
    return sum(map(part, sends)) / of if of else None
