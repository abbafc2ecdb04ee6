"""When issues are clicked: sends compared by the part of the week in which they started, and clicks by hour.

    clicks of a send = humans of its first 48 hours, once for each link, for each 100 mails

Sends differ for many reasons, so that a part of the week is only said to be better if the sends in it are, too, and not
just their median.
"""

from __future__ import annotations

import datetime
import enum
import zoneinfo
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from newsletter.models import STARTED, WHOLE_MAIL, EditionStory, SendCount
from newsletter.models.bulk_sql import fetch_with_rows
from newsletter.models.rates import MIN_FOR_RATE, rate_base

#: The last sends that are compared, and the hours of each.
SENDS, HOURS = 100, 48

#: Fewer sends say nothing, in all and in a part of the week.
MIN_SENDS, MIN_IN_PART = 8, 3

#: Hours of a part of the day.
PART_HOURS = 6

# Each send reads a range of the unique index.
CLICKS = """
    SELECT c.edition_id, c.hour, c.humans FROM {rows} JOIN newsletter_clickhour c
        ON c.edition_id = rows.edition_id AND c.hour >= rows.start AND c.hour < rows.finish
    WHERE c.humans > 0
"""
COLUMNS = {"edition_id": "bigint", "start": "timestamptz", "finish": "timestamptz"}


class PartOfDay(enum.IntEnum):
    """Six hours each, from midnight."""

    NIGHT = 0
    MORNING = 1
    AFTERNOON = 2
    EVENING = 3


WeekPart = tuple[int, PartOfDay]
"""A weekday from 0, Monday, and a part of the day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedSend:
    """A send whose first 48 hours are over. `clicks` are those for each 100 mails."""

    week_part: WeekPart
    clicks: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Clicks for each 100 mails of several sends."""

    sends: int
    median: float
    lowest: float
    highest: float
    lower: float
    """A quarter of the sends is below."""
    upper: float
    """A quarter of the sends is above."""


class Finding(enum.Enum):
    """What can be said about parts of the week."""

    TOO_FEW = "fewer sends than say something"
    ONE_PART = "all sends are in the same part of the week"
    TOO_SPREAD = "no part of the week has enough sends"
    UNCLEAR = "the best part of the week differs less from the others than the sends in it do from each other"
    CLEAR = "the middle half of the sends in the best part of the week is above that of the others"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`best` and `others` are None if nothing is compared. `week_parts` are all, those with most clicks first."""

    finding: Finding
    sends: int
    week_parts: tuple[tuple[WeekPart, Spread], ...]
    best: WeekPart | None = None
    best_spread: Spread | None = None
    others: Spread | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BestTimes:
    """`by_hour` are the clicks in each hour of the week: weekday, hour, in the time zone of the newsletter."""

    comparison: Comparison
    by_hour: Mapping[tuple[int, int], int]


def best_times(newsletter: int, zone: zoneinfo.ZoneInfo, now: datetime.datetime) -> BestTimes:
    """The last SENDS sends that are at least 48 hours old, whose clicks were counted. Three queries."""
    until = now - datetime.timedelta(hours=HOURS)
    rows = EditionStory.objects.filter(
        position=WHOLE_MAIL,
        edition__sends__state__in=STARTED,
        edition__sends__started_at__lte=until,
        edition__sends__issue__newsletter=newsletter,
    ).exclude(source="")
    newest = rows.order_by("-edition__sends__started_at")
    columns = ("edition__sends", "edition", "edition__sends__started_at")
    sends = [(send, edition, at) for send, edition, at in newest.values_list(*columns)[:SENDS] if at]
    bases = {
        send: rate_base(totals).count for send, totals in SendCount.objects.totals(row[0] for row in sends).items()
    }
    clicks: Counter[int] = Counter()
    by_hour: Counter[tuple[int, int]] = Counter()
    for edition, hour, humans in _clicks((edition, at) for _send, edition, at in sends):
        local = _aware(hour).astimezone(zone)
        clicks[edition] += humans
        by_hour[local.weekday(), local.hour] += humans
    timed = [
        TimedSend(week_part=week_part_of(at.astimezone(zone)), clicks=100 * clicks[edition] / base)
        for send, edition, at in sends
        if (base := bases.get(send, 0)) >= MIN_FOR_RATE
    ]
    return BestTimes(comparison=compare(timed), by_hour=by_hour)


def _clicks(sends: Iterable[tuple[int, datetime.datetime]]) -> list[tuple[int, datetime.datetime | str, int]]:
    """Edition, hour and humans. The first hour is the one in which the send started."""
    hours = ((edition, at.astimezone(datetime.UTC).replace(minute=0, second=0, microsecond=0)) for edition, at in sends)
    rows = [(edition, start, start + datetime.timedelta(hours=HOURS)) for edition, start in hours]
    return fetch_with_rows(CLICKS, COLUMNS, rows)


def _aware(hour: datetime.datetime | str) -> datetime.datetime:
    """SQLite has times as texts, or without a zone."""
    at = datetime.datetime.fromisoformat(hour) if isinstance(hour, str) else hour
    return at if at.tzinfo else at.replace(tzinfo=datetime.UTC)


def week_part_of(local: datetime.datetime) -> WeekPart:
    """The part of the week of a time on the newsletter's clock."""
    return local.weekday(), PartOfDay(local.hour // PART_HOURS)


def compare(sends: Sequence[TimedSend]) -> Comparison:
    """What these sends say about the parts of the week that they started in."""
    by_part: dict[WeekPart, list[float]] = defaultdict(list)
    for send in sends:
        by_part[send.week_part].append(send.clicks)
    spreads = {week_part: spread_of(clicks) for week_part, clicks in by_part.items()}
    ordered = tuple(sorted(spreads.items(), key=lambda item: (-item[1].median, item[0])))

    def found(finding: Finding, best: WeekPart | None = None, others: Spread | None = None) -> Comparison:
        spread = spreads[best] if best else None
        return Comparison(
            finding=finding, sends=len(sends), week_parts=ordered, best=best, best_spread=spread, others=others
        )

    if len(sends) < MIN_SENDS:
        return found(Finding.TOO_FEW)
    if len(spreads) == 1:
        return found(Finding.ONE_PART)
    best = next((week_part for week_part, spread in ordered if spread.sends >= MIN_IN_PART), None)
    rest = [clicks for week_part, of_part in by_part.items() if week_part != best for clicks in of_part]
    if best is None or len(rest) < MIN_IN_PART:
        return found(Finding.TOO_SPREAD)
    others = spread_of(rest)
    is_clear = spreads[best].lower > others.upper
    return found(Finding.CLEAR if is_clear else Finding.UNCLEAR, best, others)


def spread_of(clicks: Sequence[float]) -> Spread:
    """Of at least one send."""
    lower, _middle, upper = quantiles(clicks, n=4, method="inclusive") if len(clicks) > 1 else (clicks[0],) * 3
    return Spread(
        sends=len(clicks), median=median(clicks), lowest=min(clicks), highest=max(clicks), lower=lower, upper=upper
    )
