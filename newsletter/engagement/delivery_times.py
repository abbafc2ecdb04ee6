"""Times of deliveries: the first open and the first click of a human, which segments and reports read.

    opened_at = first open that was judged to be a human's;  clicked_at = first such click

A verdict may change later, so a time may move and may vanish. Times that are not from hits stay: those from before hits
were kept.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from newsletter.engagement.rules import Judgement
from newsletter.models import OPEN, OTHER_LINK, Delivery, Verdict
from newsletter.models.bulk_sql import execute_with_rows

# A time that is not the one which the hits gave before comes from elsewhere: it only becomes earlier.
WRITE = """
    UPDATE newsletter_delivery SET
        opened_at = CASE
            WHEN opened_at IS NULL OR opened_at = rows.opened_before THEN rows.opened
            WHEN rows.opened < opened_at THEN rows.opened ELSE opened_at END,
        clicked_at = CASE
            WHEN clicked_at IS NULL OR clicked_at = rows.clicked_before THEN rows.clicked
            WHEN rows.clicked < clicked_at THEN rows.clicked ELSE clicked_at END
    FROM {rows} WHERE newsletter_delivery.id = rows.id
"""
COLUMNS = {
    "id": "bigint",
    "opened_before": "timestamptz",
    "opened": "timestamptz",
    "clicked_before": "timestamptz",
    "clicked": "timestamptz",
}


@dataclass(frozen=True, slots=True)
class Reaction:
    """One hit of a delivery, with its judgement before and now."""

    number: int
    at: datetime.datetime
    before: Judgement | None
    now: Judgement | None


@dataclass(frozen=True, slots=True)
class Reactions:
    """Every hit of one delivery."""

    delivery: int
    hits: Sequence[Reaction]

    def first(self, is_kind: Callable[[int], bool], *, before: bool = False) -> datetime.datetime | None:
        """The time of the first hit of a kind that is, or was, judged to be a human's."""
        times = (
            hit.at
            for hit in self.hits
            if is_kind(hit.number)
            and (judged := hit.before if before else hit.now) is not None
            and judged.verdict is Verdict.HUMAN
        )
        return min(times, default=None)


def is_open(number: int) -> bool:
    """Whether the number is that of the image."""
    return number == OPEN


def is_click(number: int) -> bool:
    """Whether the number is that of a link that subscribers see."""
    return number >= OTHER_LINK


def write_times(deliveries: Iterable[Reactions]) -> None:
    """Write the times that have changed, in one statement."""
    rows = [
        (one.delivery, *times) for one in deliveries if (times := _times(one))[0] != times[1] or times[2] != times[3]
    ]
    rows.sort()
    # Locked in the order of their keys, as all other steps lock them: two orders would block each other.
    list(Delivery.objects.filter(pk__in=[row[0] for row in rows]).order_by("pk").select_for_update().values_list("pk"))
    execute_with_rows(WRITE, COLUMNS, rows)


def _times(one: Reactions) -> tuple[datetime.datetime | None, ...]:
    return (
        one.first(is_open, before=True),
        one.first(is_open),
        one.first(is_click, before=True),
        one.first(is_click),
    )
