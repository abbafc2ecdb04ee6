"""Retry: another try for the readers whose mail was refused, because a person said so. Imports models and `keys`.

Refused is known: nothing of it went out. What is not known is never tried again here (R-112).
"""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from newsletter.models import (
    Batch,
    BatchState,
    Delivery,
    DeliveryStatus,
    Edition,
    Issue,
    IssueStatus,
    IssueTransition,
    WrongStatus,
)
from newsletter.sending.keys import batch_key
from newsletter.sending.readers import deliveries_of
from newsletter.sending.reconcile import HAS_A_FACT

#: From where refused readers can be tried again. A paused issue stays paused; they go out once it is resumed.
RETRIABLE = (IssueStatus.SENDING, IssueStatus.PAUSED, IssueStatus.SENT)


def count_failed(issue: Issue) -> int:
    """How many readers a retry would try again, as far as they may still be mailed when their turn comes."""
    return Delivery.objects.filter(~HAS_A_FACT, edition=issue.edition_id, status=DeliveryStatus.FAILED).count()


def retry_failed(issue: Issue, *, by: str, reason: str = "") -> None:
    """Put everybody who was refused into a batch of a new key; who left since is skipped when it is frozen.

    An issue that was sent is sending again until they are through. Raises WrongStatus if there is nobody to retry.
    """
    with transaction.atomic():
        row = Issue.objects.select_for_update(of=("self",)).select_related("edition").get(pk=issue.pk)
        if row.status not in RETRIABLE or row.edition is None:
            raise WrongStatus(f"This issue is {row.get_status_display().lower()}, so nobody is tried again.")
        again = sum(_again(batch, row.edition) for batch in _refused(row.edition))
        if not again:
            raise WrongStatus("Nobody is left who was refused; look at the report again.")
        told = f"{again:,} {'reader who was' if again == 1 else 'readers who were'} refused: tried again. {reason}"
        if row.status == IssueStatus.SENT:
            issue.move(IssueStatus.SENDING, only_from=RETRIABLE, by=by, reason=told[:500], finished_at=None)
        else:
            IssueTransition.objects.create(
                issue=row, source=row.status, target=row.status, by=by, reason=told[:500].strip()
            )
    issue.refresh_from_db()


def _refused(edition: Edition) -> list[Batch]:
    """The latest refused batch of each range. Ranges never overlap otherwise, so none holds a reader of another."""
    refused = Batch.objects.filter(edition=edition, state=BatchState.REFUSED)
    latest = {(batch.first_delivery, batch.last_delivery): batch for batch in refused.order_by("epoch", "pk")}
    return [latest[bounds] for bounds in sorted(latest)]


def _again(batch: Batch, edition: Edition) -> int:
    """Make the batch that follows a refused one; how many readers it is for."""
    failed = deliveries_of(batch).filter(~HAS_A_FACT, status=DeliveryStatus.FAILED)
    count = failed.update(status=DeliveryStatus.PENDING, reason="")
    if count:
        first, last, epoch = batch.first_delivery, batch.last_delivery, batch.epoch + 1
        Batch.objects.create(
            edition=edition,
            first_delivery=first,
            last_delivery=last,
            epoch=epoch,
            key=batch_key(edition, first, last, epoch=epoch),
            may_be_out=batch.may_be_out,
            not_before=timezone.now(),
        )
    return count
