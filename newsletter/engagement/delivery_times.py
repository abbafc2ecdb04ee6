"""Times of deliveries: the first open and the first click of a human, which segments and reports read.

    opened_at = first open that was judged to be a human's;  clicked_at = first such click

A verdict may change later, so a time may move and may vanish. Times that are not from hits stay: those from before hits
were kept.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.utils import timezone

from newsletter.engagement.rules import Judgement
from newsletter.models import OPEN, OTHER_LINK, Delivery, Edition, EventType, SendCount, Verdict
from newsletter.models.bulk_sql import execute_with_rows
from newsletter.models.send_count import Change, changes_by_key
from subscribers.models import Subscriber

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

#: Keys of one statement.
KEYS = 500


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


def are_kept(edition: Edition) -> bool:
    """Whether deliveries of the edition still keep times; later its hits are only counted.

    An edition is made before its send starts, and times of older sends are cleared.
    """
    return edition.created_at >= timezone.now() - datetime.timedelta(days=settings.RETENTION_DAYS["hits"])


def write_times(deliveries: Iterable[Reactions]) -> None:
    """Write the times that have changed, in one statement."""
    changed = [one for one in deliveries if (times := _times(one))[0] != times[1] or times[2] != times[3]]
    rows = sorted((one.delivery, *_times(one)) for one in changed)
    keys = sorted(one.delivery for one in changed)
    with counted(keys):
        execute_with_rows(WRITE, COLUMNS, rows)


@contextmanager
def counted(keys: Sequence[int]) -> Iterator[None]:
    """Lock these deliveries, and count how their times of opening and clicking change meanwhile."""
    before = _known(keys, is_locked=True)
    yield
    _count(before, _known(keys))


Known = dict[int, tuple[int, datetime.datetime | None, datetime.datetime | None, int]]
"""By delivery: its send, its times of opening and clicking, and its subscriber."""


def _known(keys: Sequence[int], *, is_locked: bool = False) -> Known:
    """Locked in the order of their keys, as all other steps lock them: two orders would block each other."""
    found: Known = {}
    for start in range(0, len(keys), KEYS):
        rows = Delivery.objects.filter(pk__in=keys[start : start + KEYS]).order_by("pk")
        rows = rows.select_for_update() if is_locked else rows
        columns = rows.values_list("pk", "send_id", "opened_at", "clicked_at", "subscriber_id")
        found |= {pk: (send, opened, clicked, owner) for pk, send, opened, clicked, owner in columns}
    return found


def _count(before: Known, now: Known) -> None:
    """Count the changed times by hour and by mail domain; an erased subscriber has none."""
    changed = {pk: row for pk, row in now.items() if row != before.get(pk)}
    owners = [row[3] for row in changed.values()]
    addresses: dict[int, str] = {}
    for start in range(0, len(owners), KEYS):
        rows = Subscriber.objects.filter(pk__in=owners[start : start + KEYS])
        addresses |= dict(rows.values_list("pk", "canonical"))
    counts: Counter[Change] = Counter()
    for pk, (send, opened, clicked, owner) in changed.items():
        domain = addresses.get(owner, "").rpartition("@")[2]
        _send, opened_before, clicked_before, _owner = before[pk]
        for event_type, earlier, at in (
            (EventType.OPENED, opened_before, opened),
            (EventType.CLICKED, clicked_before, clicked),
        ):
            if earlier != at:
                for change, amount in changes_by_key(send, domain, event_type, earlier, at):
                    counts[change] += amount
    SendCount.objects.add(counts)


def _times(one: Reactions) -> tuple[datetime.datetime | None, ...]:
    return (
        one.first(is_open, before=True),
        one.first(is_open),
        one.first(is_click, before=True),
        one.first(is_click),
    )
