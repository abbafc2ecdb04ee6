"""Unsubscribes of a send: by which link of its mails recipients left, and why. Read from counters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from newsletter.models import CountScope, Send, SendCount
from newsletter.models.send_count import UNSUBSCRIBED
from subscribers.models import ConsentForm, LeaveReason

#: The ways out of a mail, in the order of the page.
WAYS: Mapping[str, str | Promise] = {
    ConsentForm.ONE_CLICK: gettext_lazy("Unsubscribe button of the mail program"),
    ConsentForm.UNSUBSCRIBE: gettext_lazy("Unsubscribe link in the mail"),
    ConsentForm.PREFERENCES: gettext_lazy("Preferences page"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsubscribeRow:
    """Recipients who left in one way, or for one reason. `code` is that of a ConsentForm or a LeaveReason."""

    code: str
    label: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsubscribeTable:
    """`ways` add up to `total`; the reasons to those who gave one."""

    total: int
    ways: tuple[UnsubscribeRow, ...]
    reasons: tuple[UnsubscribeRow, ...]
    is_counted: bool
    """False for mails of earlier versions, whose links do not tell which mail they are in."""

    @property
    def without_reason(self) -> int:
        return max(0, self.total - sum(row.count for row in self.reasons))


def unsubscribe_table(send: Send, totals: Mapping[str, int]) -> UnsubscribeTable:
    """One query."""
    counts: dict[str, dict[str, int]] = {CountScope.LEFT: {}, CountScope.LEFT_WHY: {}}
    rows = SendCount.objects.by_keys(send, tuple(CountScope(scope) for scope in counts))
    for (scope, key, _name), count in rows.items():
        counts[scope][key] = count
    reasons = dict(LeaveReason.choices)
    return UnsubscribeTable(
        total=totals.get(UNSUBSCRIBED, 0),
        ways=_rows(counts[CountScope.LEFT], WAYS),
        reasons=_rows(counts[CountScope.LEFT_WHY], reasons),
        is_counted=send.counts_unsubscribes,
    )


def _rows(counts: Mapping[str, int], labels: Mapping[str, str | Promise]) -> tuple[UnsubscribeRow, ...]:
    """The most frequent first, then in the order of the labels."""
    order = {str(code): place for place, code in enumerate(labels)}
    found = sorted(counts.items(), key=lambda item: (-item[1], order.get(item[0], len(order))))
    return tuple(UnsubscribeRow(code=code, label=str(labels.get(code, code)), count=count) for code, count in found)
