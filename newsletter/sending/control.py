"""Control: pause, resume, cancel, and the end of an issue that is on its way."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from newsletter.config.failpoints import Point, reached
from newsletter.models import (
    OPEN_BATCH_STATES,
    Batch,
    BatchState,
    Delivery,
    DeliveryStatus,
    InvalidTransition,
    Issue,
    IssueStatus,
)
from newsletter.providers.throttle import clear_suspensions
from newsletter.sending.auto_pause import send_health_of
from newsletter.sending.expand import audience_of

CANCELLED = "The send was cancelled."


class ReasonNeeded(Exception):
    """A send that was paused because too much went wrong goes on only for a reason that somebody gives (R-125)."""

    permanent = True

    def __init__(self) -> None:
        super().__init__("Say why it may go on: it was paused because too many mails went wrong.")


def pause_issue(issue: Issue, *, by: str, reason: str) -> None:
    """Hold back what is not out yet; posts that are under way end. Raises InvalidTransition."""
    issue.move(IssueStatus.PAUSED, by=by, reason=reason, hold_reason=reason)


def resume_issue(issue: Issue, *, by: str, reason: str = "") -> None:
    """Go on where it stopped; a provider that refused us is tried again, for every send.

    What has gone wrong by now is put up with: only more of it pauses the send again. Raises InvalidTransition, and
    ReasonNeeded if too much went wrong with it.
    """
    changes: dict[str, Any] = {"hold_reason": "", "waits_for_provider": False}
    if Issue.objects.filter(pk=issue.pk, is_braked=True).exists():
        if not reason.strip():
            raise ReasonNeeded
        changes |= {"is_braked": False, "tolerated": send_health_of(issue).shares()}
    with transaction.atomic():
        issue.move(IssueStatus.SENDING, only_from=(IssueStatus.PAUSED,), by=by, reason=reason, **changes)
        clear_suspensions(by=by)


def cancel_issue(issue: Issue, *, by: str, reason: str = "") -> None:
    """Send nobody else this issue. What is out is out; whose mail was on its way is still followed.

    Raises InvalidTransition.
    """
    with transaction.atomic():
        issue.move(IssueStatus.CANCELLED, by=by, reason=reason, hold_reason=reason, finished_at=timezone.now())
        if unaddressed := _count_unaddressed(issue):
            issue.excluded = {**issue.excluded, "cancelled_before_their_turn": unaddressed}
            issue.save(update_fields=["excluded"])
        drop_cancelled()


def _count_unaddressed(issue: Issue) -> int:
    if issue.expanded_at or issue.started_at is None:
        return 0
    return int(audience_of(issue.newsletter_id, issue.started_at).filter(pk__gt=issue.expanded_through).count())


def drop_cancelled() -> bool:
    """Drop the batches of cancelled issues that have not gone out, and name their readers as left out.

    Also a step of the worker: a batch that came back unsent after the cancel is dropped at its next turn.
    """
    batches = Batch.objects.filter(state=BatchState.READY, edition__sent_as__status=IssueStatus.CANCELLED)
    if not batches.exists():
        return False
    with transaction.atomic():
        # Locked before their readers, as a claim does: two orders would block each other. And all at once, so that
        # nothing is claimed while the readers of a large list are named, which takes seconds.
        list(batches.only("pk").order_by("pk").select_for_update(of=("self",)))
        waiting = Delivery.objects.filter(status=DeliveryStatus.PENDING, edition__sent_as__status=IssueStatus.CANCELLED)
        waiting.update(status=DeliveryStatus.SKIPPED, reason=CANCELLED)
        batches.update(state=BatchState.DROPPED, reason=CANCELLED, finished_at=timezone.now())
    return False


def finish_issues() -> bool:
    """Move to sent every issue whose whole audience is addressed and whose batches all have a known outcome.

    A batch that is held keeps its issue open: it is not finished while somebody may or may not have got it.
    """
    for issue in _finished():
        try:
            with transaction.atomic():
                issue.move(IssueStatus.SENT, by="worker", finished_at=timezone.now())
                reached(Point.FINISH_UNCOMMITTED)
        except InvalidTransition:
            # Paused or cancelled between the look and the move; a resume brings it back here.
            continue
        reached(Point.FINISH_COMMITTED)
    return False


def _finished() -> QuerySet[Issue]:
    unsettled = Batch.objects.filter(edition=OuterRef("edition"), state__in=(*OPEN_BATCH_STATES, BatchState.HELD))
    return Issue.objects.filter(~Exists(unsettled), status=IssueStatus.SENDING, expanded_at__isnull=False)
