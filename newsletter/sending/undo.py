"""Undo: take back an issue that was sent just now, while provably nothing of it was posted. Imports models only."""

from __future__ import annotations

from django.db import transaction

from newsletter.models import Batch, BatchState, Delivery, Issue, IssueStatus, WrongStatus
from newsletter.sending.schedule import NO_SCHEDULE

TOO_LATE = (
    "The first mails are on their way, so this cannot be undone any more. You can pause it, or cancel the rest: "
    "what is out stays out."
)


def undo_send(issue: Issue, *, by: str, reason: str = "") -> None:
    """Make an issue that is being sent a draft again, as if it had never been started; its history keeps both.

    Every batch is locked before it is looked at. A worker that claims one at the same moment either has it already,
    which refuses the undo, or finds no batch any more. Raises WrongStatus; then nothing has changed.
    """
    with transaction.atomic():
        row = Issue.objects.select_for_update().get(pk=issue.pk)
        if row.status != IssueStatus.SENDING:
            raise WrongStatus(f"This issue is {row.get_status_display().lower()}; there is nothing to undo.")
        batches = Batch.objects.filter(edition=row.edition_id)
        locked = batches.order_by("pk").select_for_update().values_list("state", "attempts", "may_be_out")
        if any(batch != (BatchState.READY, 0, False) for batch in locked):
            raise WrongStatus(TOO_LATE)
        batches.delete()
        Delivery.objects.filter(edition=row.edition_id).delete()
        issue.move(
            IssueStatus.DRAFT,
            only_from=(IssueStatus.SENDING,),
            by=by,
            reason=reason or "Send now was undone before anything was posted.",
            started_at=None,
            posts_from=None,
            addressed_through=0,
            addressed_at=None,
            excluded={},
            **NO_SCHEDULE,
        )
