"""What happens to the rows of a file: outcomes, and why a “no” that is known here stays."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from subscribers.imports.states import RowRefusal, RowState
from subscribers.models import SuppressionReason


class Rank(IntEnum):
    """The states of rows. Of two rows of the same subscriber the higher one wins, wherever they are in the file."""

    PENDING = 1
    ACTIVE = 2
    UNSUBSCRIBED = 3
    BOUNCED = 4
    SUPPRESSED = 5
    """On a list of addresses that must not be mailed."""
    COMPLAINED = 6


RANK_OF_STATE = {
    RowState.PENDING: Rank.PENDING,
    RowState.ACTIVE: Rank.ACTIVE,
    RowState.UNSUBSCRIBED: Rank.UNSUBSCRIBED,
    RowState.BOUNCED: Rank.BOUNCED,
    RowState.SUPPRESSED: Rank.SUPPRESSED,
    RowState.COMPLAINED: Rank.COMPLAINED,
}

#: The suppressions that rows of these states cause.
SUPPRESSION_OF_RANK = {
    Rank.BOUNCED: SuppressionReason.HARD_BOUNCE,
    Rank.SUPPRESSED: SuppressionReason.MANUAL,
    Rank.COMPLAINED: SuppressionReason.COMPLAINT,
}


class Outcome(models.TextChoices):
    """What happens to a row. Each row has exactly one."""

    CREATED = "created", pgettext_lazy("outcome of an import", "New, active")
    PENDING = "pending", pgettext_lazy("outcome of an import", "New, pending")
    UPDATED = "updated", pgettext_lazy("outcome of an import", "Updated")
    ALREADY = "already", pgettext_lazy("outcome of an import", "No change")
    UNSUBSCRIBED = "unsubscribed", pgettext_lazy("outcome of an import", "New, unsubscribed")
    SUPPRESSED = "suppressed", pgettext_lazy("outcome of an import", "New, suppressed")
    KEPT = "kept", pgettext_lazy("outcome of an import", "Not subscribed again")
    DIFFERS = "differs", pgettext_lazy("outcome of an import", "Left there, active here")
    REPEATED = "repeated", pgettext_lazy("outcome of an import", "Repeated in the file")
    REFUSED = "refused", pgettext_lazy("outcome of an import", "Refused")


#: What the outcomes mean, for a file that has been checked or imported.
OUTCOME_NOTES = {
    Outcome.CREATED: _("Get the next issue."),
    Outcome.PENDING: _("Stored, but not mailed before they confirm here."),
    Outcome.UPDATED: _("Names, fields or tags are added. The state stays."),
    Outcome.ALREADY: _("The same data is stored already."),
    Outcome.UNSUBSCRIBED: _("Stored so that they are never mailed."),
    Outcome.SUPPRESSED: _("No list sends mail to these addresses."),
    Outcome.KEPT: _("What is known here stays."),
    Outcome.DIFFERS: _("The file does not say that they left after they agreed here. They stay as they are."),
    Outcome.REPEATED: _("Rows of a subscriber who is in the file more than once. The strongest state counts."),
    Outcome.REFUSED: _("Not imported."),
}


class KeptReason(models.TextChoices):
    """Why a subscriber is not subscribed by an import."""

    UNSUBSCRIBED = "unsubscribed", pgettext_lazy("reason of an import", "Unsubscribed here")
    SUPPRESSED = "suppressed", pgettext_lazy("reason of an import", "Suppressed here")
    DECLINED = "declined", pgettext_lazy("reason of an import", "Declined here")
    DELETED = "deleted", pgettext_lazy("reason of an import", "Left and was deleted here")
    PENDING = "pending", pgettext_lazy("reason of an import", "Not confirmed here yet")


Counts = dict[str, dict[str, int]]
"""Rows by outcome and by reason; the reason is empty where there is none."""


def add_counts(counts: Mapping[str, Mapping[str, int]], more: Mapping[str, Mapping[str, int]]) -> Counts:
    """The sum of both."""
    result = {outcome: dict(reasons) for outcome, reasons in counts.items()}
    for outcome, reasons in more.items():
        row = result.setdefault(outcome, {})
        for reason, count in reasons.items():
            row[reason] = row.get(reason, 0) + count
    return result


def total(counts: Mapping[str, Mapping[str, int]], *outcomes: str) -> int:
    """Rows with these outcomes; without any, all rows."""
    wanted = outcomes or tuple(counts)
    return sum(sum(counts.get(outcome, {}).values()) for outcome in wanted)


def outcome_lines(counts: Mapping[str, Mapping[str, int]]) -> list[tuple[str, int, str]]:
    """Label, rows and note of each outcome that occurs, in a fixed order."""
    return [
        (str(outcome.label), total(counts, outcome), outcome_note(outcome, counts.get(outcome, {})))
        for outcome in Outcome
        if counts.get(outcome)
    ]


def outcome_note(outcome: Outcome, reasons: Mapping[str, int]) -> str:
    """What the outcome means, or its reasons with the number of rows."""
    if outcome not in (Outcome.KEPT, Outcome.REFUSED):
        return str(OUTCOME_NOTES[outcome])
    labels = dict(KeptReason.choices if outcome == Outcome.KEPT else RowRefusal.choices)
    ranked = sorted(reasons.items(), key=lambda item: -item[1])
    return " · ".join(f"{str(labels.get(code, code)).rstrip('.')}: {count}" for code, count in ranked)
