"""How many subscriptions rules match, within a time limit: exact where that is quick, else an estimate that says so."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import OperationalError, connection, transaction
from django.db.models import Count as CountRows
from django.db.models import Max, Min, Q

from subscribers.models import Subscription, SubscriptionQuerySet, SubscriptionState
from subscribers.segments.kinds import Facts, Rule
from subscribers.segments.query import condition_of, matching
from subscribers.segments.rules import Group

#: In seconds: one exact count, all exact counts of the parts of a tree together, and the statement that samples.
EXACT_LIMIT, PARTS_LIMIT, SAMPLE_LIMIT = 0.3, 0.5, 0.5

#: Tables with so many keys are counted in one statement.
SMALL = 20_000

#: Estimates look at so many subscriptions, in so many windows that are spread evenly over the keys. A share is wrong
#: by a point at most in 19 of 20 cases, if neighbours are no more alike than others.
SAMPLE_SIZE, WINDOWS = 10_000, 40

#: SQLite asks after so many steps of its virtual machine whether to go on.
STEPS = 2_000


class TookTooLong(Exception):
    """A statement was ended at its time limit."""


@dataclass(frozen=True)
class Count:
    """How many subscriptions match. `number` is None if even an estimate took too long."""

    number: int | None
    is_estimate: bool = False


@dataclass(frozen=True)
class Preview:
    """The counts of a tree."""

    total: Count
    active: Count
    """Active subscriptions of the list, matching or not."""
    parts: Mapping[tuple[int, ...], Count]
    """By the place of each rule and inner group: how many it matches alone."""

    @property
    def percent(self) -> float | None:
        """The total in percent of the active subscriptions; None where it would be more, or is not known."""
        if not self.total.number or not self.active.number or self.total.number > self.active.number:
            return None
        return round(100 * self.total.number / self.active.number, 1)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """End a statement of the block that takes longer. Raises TookTooLong."""
    if seconds <= 0:
        raise TookTooLong
    limited = _postgresql_limit if connection.vendor == "postgresql" else _sqlite_limit
    try:
        with limited(seconds):
            yield
    except OperationalError as error:
        # 57014: query_canceled (PostgreSQL documentation, appendix A).
        if getattr(error.__cause__, "sqlstate", None) == "57014" or str(error) == "interrupted":
            raise TookTooLong from error
        raise


@contextmanager
def _postgresql_limit(seconds: float) -> Iterator[None]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('statement_timeout')")
        (before,) = cursor.fetchone()
        # PostgreSQL cannot end a statement while it compiles it, which took six seconds for nine rules.
        set_timeout = "SELECT set_config('statement_timeout', %s, true), set_config('jit', 'off', true)"
        cursor.execute(set_timeout, [f"{max(1, int(seconds * 1000))}ms"])
        yield
        # An error ends the transaction or its savepoint, which restores the setting as well.
        cursor.execute(set_timeout, [before])


@contextmanager
def _sqlite_limit(seconds: float) -> Iterator[None]:
    connection.ensure_connection()
    end = time.monotonic() + seconds
    raw: Any = connection.connection
    raw.set_progress_handler(lambda: time.monotonic() > end, STEPS)
    try:
        yield
    finally:
        raw.set_progress_handler(None, 0)


def count_within(query: SubscriptionQuerySet, seconds: float | None = None) -> int | None:
    """The exact number, or None if it took longer than `seconds`, by default EXACT_LIMIT."""
    try:
        with time_limit(EXACT_LIMIT if seconds is None else seconds):
            return query.order_by().count()
    except TookTooLong:
        return None


def preview_counts(group: Group, facts: Facts) -> Preview:
    """The counts of a checked tree and of each of its parts. Takes at most about one and a half seconds."""
    total, active = ((), "total"), ((), "active")
    wanted: dict[Any, Q] = {
        total: condition_of(group, facts),
        active: Q(state=SubscriptionState.ACTIVE),
        **{path: condition_of(part, facts) for path, part in group.walk() if path},
    }
    counts = _exact_counts(wanted, facts) if _is_small() else {}
    if not counts:
        deadline = time.monotonic() + PARTS_LIMIT
        for name, condition in wanted.items():
            limit = EXACT_LIMIT if name == total else min(EXACT_LIMIT / 2, deadline - time.monotonic())
            query = Subscription.objects.filter(condition, mailing_list=facts.mailing_list.pk)
            if (number := count_within(query, limit)) is not None:
                counts[name] = Count(number)
        counts |= _estimates({name: condition for name, condition in wanted.items() if name not in counts}, facts)
    return Preview(counts.pop(total), counts.pop(active), counts)


def count_matching(part: Rule | Group, facts: Facts) -> Count:
    """How many subscriptions a checked rule or group matches: exact if that is quick, else an estimate."""
    exact = count_within(matching(part, facts))
    return Count(exact) if exact is not None else _estimates({"": condition_of(part, facts)}, facts)[""]


def _key_span() -> tuple[int, int]:
    """The first and the last key of the table, of which both ends of its index know."""
    ends = Subscription.objects.aggregate(first=Min("pk"), last=Max("pk"))
    return ends["first"] or 0, ends["last"] or 0


def _is_small() -> bool:
    first, last = _key_span()
    return last - first < SMALL


def _exact_counts(wanted: Mapping[Any, Q], facts: Facts) -> dict[Any, Count]:
    """All counts in one statement; empty if it took too long."""
    rows = Subscription.objects.filter(mailing_list=facts.mailing_list.pk)
    numbers = _aggregate(rows, list(wanted.values()))
    return {name: Count(number) for name, number in zip(wanted, numbers, strict=True)} if numbers else {}


def _estimates(wanted: Mapping[Any, Q], facts: Facts) -> dict[Any, Count]:
    """Estimates in one statement over windows of keys, spread evenly over the table."""
    if not wanted:
        return {}
    first, last = _key_span()
    span, size = last - first + 1, max(1, SAMPLE_SIZE // WINDOWS)
    windows = Q(pk__in=[])
    for number in range(WINDOWS):
        start = first + number * span // WINDOWS
        windows |= Q(pk__range=(start, start + size - 1))
    rows = Subscription.objects.filter(windows, mailing_list=facts.mailing_list.pk)
    numbers = _aggregate(rows, list(wanted.values()))
    scale = max(1.0, span / (size * WINDOWS))
    return {
        name: Count(_rounded(numbers[index] * scale) if numbers else None, is_estimate=True)
        for index, name in enumerate(wanted)
    }


def _aggregate(rows: SubscriptionQuerySet, conditions: list[Q]) -> list[int]:
    """How many of the rows match each condition; empty if it took too long."""
    counts = {f"n{index}": CountRows("pk", filter=condition) for index, condition in enumerate(conditions)}
    try:
        with time_limit(SAMPLE_LIMIT):
            found = rows.aggregate(**counts)
    except TookTooLong:
        return []
    return [found[name] for name in counts]


def _rounded(estimate: float) -> int:
    """Two digits that count: an estimate is not more precise."""
    whole = round(estimate)
    return round(whole, 2 - len(str(whole))) if whole >= 100 else whole


def sample_of(
    part: Rule | Group,
    facts: Facts,
    size: int = 10,
    draw: Callable[[int, int], int] = random.randint,
) -> list[Subscription] | None:
    """Some subscriptions that match, from a random place; None if finding them took too long."""
    first, last = _key_span()
    start = draw(first, last)
    matched = matching(part, facts).select_related("subscriber").order_by("pk")
    try:
        with time_limit(EXACT_LIMIT):
            found = list(matched.filter(pk__gte=start)[:size])
            return [*found, *matched.filter(pk__lt=start)[: size - len(found)]] if len(found) < size else found
    except TookTooLong:
        return None
