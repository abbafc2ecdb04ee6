"""Undo: take back an issue that was started, while provably nothing of it is out."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from newsletter.models import (
    Batch,
    BatchState,
    Delivery,
    DeliveryStatus,
    InvalidTransition,
    Issue,
    IssueStatus,
    ProviderSearch,
)
from newsletter.sending.reconcile import HAS_A_FACT
from newsletter.sending.schedule import NO_SCHEDULE

#: States in which an issue was started and may not be out yet.
UNDOABLE = (IssueStatus.SENDING, IssueStatus.PAUSED)

#: Batches of which nothing is out, tried or not. The parts of one that was split have states of their own. What was
#: looked up was in doubt once, and its look-up is the only proof that it is not out: that is kept.
NOT_OUT = Q(
    state__in=(BatchState.READY, BatchState.REFUSED, BatchState.SPLIT, BatchState.DROPPED),
    may_be_out=False,
) & ~Exists(ProviderSearch.objects.filter(batch=OuterRef("pk")))
NOT_OUT_DELIVERY = Q(status__in=(DeliveryStatus.PENDING, DeliveryStatus.FAILED, DeliveryStatus.SKIPPED)) & ~HAS_A_FACT

TOO_LATE = (
    "The first mails are on their way, or had to be looked for at the provider, so this cannot be undone any more. You "
    "can pause it, or cancel the rest: what is out stays out."
)


def nothing_is_out(issue: Issue) -> bool:
    """Whether nothing of a started issue is out as far as its batches tell, so that an undo may be tried; one query."""
    return issue.status in UNDOABLE and not Batch.objects.filter(~NOT_OUT, edition=issue.edition_id).exists()


def undo_send(issue: Issue, *, by: str, reason: str = "") -> None:
    """Make an issue that was started, paused or not, a draft again, as if it never had been; its history keeps both.

    Every batch is locked before it is looked at. A worker that claims one at the same moment either has it already,
    which refuses the undo, or finds no batch any more. What was tried and refused is no obstacle: else an issue with
    a wrong sender could only be cancelled. Raises InvalidTransition; then nothing has changed.
    """
    with transaction.atomic():
        row = Issue.objects.select_for_update().get(pk=issue.pk)
        if row.status not in UNDOABLE:
            raise InvalidTransition(f"This issue is {row.get_status_display().lower()}; there is nothing to undo.")
        batches, deliveries = (rows.objects.filter(edition=row.edition_id) for rows in (Batch, Delivery))
        list(batches.order_by("pk").select_for_update().values_list("pk"))
        if batches.filter(~NOT_OUT).exists() or deliveries.filter(~NOT_OUT_DELIVERY).exists():
            raise InvalidTransition(TOO_LATE)
        batches.delete()
        deliveries.delete()
        issue.move(
            IssueStatus.DRAFT,
            only_from=UNDOABLE,
            by=by,
            reason=reason or "The start was undone before anything was out.",
            started_at=None,
            posts_from=None,
            expanded_through=0,
            expanded_at=None,
            excluded={},
            waits_for_provider=False,
            **NO_SCHEDULE,
        )
