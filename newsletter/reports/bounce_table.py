"""Bounces of a send by class, with what was done about each. Read from counters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.translation import gettext_lazy

from newsletter.models import CountScope, EventType, Send, SendCount
from newsletter.models.send_count import BOUNCED_DELIVERIES, EVENT, PLACE, Place
from newsletter.providers.bounce_classes import class_of

UNCLASSIFIED = (
    gettext_lazy("Without a class"),
    gettext_lazy("Not suppressed: no event says why it bounced."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BounceRow:
    """Recipients whose mail bounced in one way. `code` is empty for bounces without a class."""

    code: str
    label: str
    action: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BounceTable:
    """`rows` add up to `total`; `elsewhere` of these recipients are in other places of the report."""

    rows: tuple[BounceRow, ...]
    total: int
    elsewhere: int
    """They opened or clicked the mail, or reported it as spam."""


def bounce_table(send: Send, totals: Mapping[str, int]) -> BounceTable:
    """The most frequent class first."""
    total = totals.get(f"{EVENT}{EventType.BOUNCED.value}", 0)
    counts = {code: count for (code, name), count in _counts(send).items() if name == BOUNCED_DELIVERIES}
    rows = [_row(code, count) for code, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    if rest := max(0, total - sum(counts.values())):
        rows.append(_row("", rest))
    elsewhere = max(0, total - totals.get(f"{PLACE}{Place.BOUNCED.value}", 0))
    return BounceTable(rows=tuple(rows), total=total, elsewhere=elsewhere)


def _counts(send: Send) -> dict[tuple[str, str], int]:
    return SendCount.objects.by_key(send, CountScope.BOUNCE)


def class_label(code: str) -> str:
    """A class in words."""
    known = class_of(code)
    return str(known.rule.name) if known else code.replace("_", " ")


def _row(code: str, count: int) -> BounceRow:
    known = class_of(code)
    label, action = (class_label(code), known.rule.recipient.value if known else "") if code else UNCLASSIFIED
    return BounceRow(code=code, label=str(label), action=str(action), count=count)
