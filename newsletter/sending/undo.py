"""Undo: take back an issue that was started, while provably nothing of it was posted. Imports models and schedule."""

from __future__ import annotations

from django.db import transaction

from newsletter.models import Batch, BatchState, Delivery, Issue, IssueStatus, WrongStatus
from newsletter.sending.schedule import NO_SCHEDULE

#: A batch that no worker ever had.
UNTOUCHED = {"state": BatchState.READY, "attempts": 0, "may_be_out": False}

TOO_LATE = (
    "The first mails are on their way, so this cannot be undone any more. You can pause it, or cancel the rest: "
    "what is out stays out."
)


#: States in which an issue was started and may not be out yet.
UNDOABLE = (IssueStatus.SENDING, IssueStatus.PAUSED)


def nothing_is_out(issue: Issue) -> bool:
    """Whether provably nothing of a started issue was posted, so that it can be undone; one query."""
    return issue.status in UNDOABLE and not Batch.objects.filter(edition=issue.edition_id).exclude(**UNTOUCHED).exists()


def undo_send(issue: Issue, *, by: str, reason: str = "") -> None:
    """Make an issue that was started, paused or not, a draft again, as if it never had been; its history keeps both.

    Every batch is locked before it is looked at. A worker that claims one at the same moment either has it already,
    which refuses the undo, or finds no batch any more. Raises WrongStatus; then nothing has changed.
    """
    with transaction.atomic():
        row = Issue.objects.select_for_update().get(pk=issue.pk)
        if row.status not in UNDOABLE:
            raise WrongStatus(f"This issue is {row.get_status_display().lower()}; there is nothing to undo.")
        batches = Batch.objects.filter(edition=row.edition_id)
        locked = batches.order_by("pk").select_for_update().values_list(*UNTOUCHED)
        if any(batch != tuple(UNTOUCHED.values()) for batch in locked):
            raise WrongStatus(TOO_LATE)
        batches.delete()
        Delivery.objects.filter(edition=row.edition_id).delete()
        issue.move(
            IssueStatus.DRAFT,
            only_from=UNDOABLE,
            by=by,
            reason=reason or "The start was undone before anything was posted.",
            started_at=None,
            posts_from=None,
            addressed_through=0,
            addressed_at=None,
            excluded={},
            waits_for_provider=False,
            **NO_SCHEDULE,
        )
