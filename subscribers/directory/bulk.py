"""Bulk actions: one step for all subscribers of a selection, in chunks that an interruption cannot lose or repeat."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Max
from django.utils import timezone

from subscribers.consent.actions import unsubscribe_all
from subscribers.directory.counting import CONFIRMATION_CAP, Precision, count_rows
from subscribers.directory.selection import Selection, SelectionGone
from subscribers.models import (
    BULK_ACTION_MACHINE,
    BulkAction,
    BulkActionKind,
    BulkActionReason,
    BulkActionState,
    ConsentForm,
    Evidence,
    Segment,
    SegmentPick,
    Subscriber,
    SubscriptionQuerySet,
    SuppressionReason,
    Tag,
)
from subscribers.models.bulk_action import OPEN
from subscribers.profile.tags import add_tag, remove_tag
from subscribers.suppression import SuppressionSecretDiffers, suppress_addresses

#: Subscribers of one chunk: its locks are held for a fraction of a second.
CHUNK = 500

#: Up to so many subscribers an action runs while the editor waits; above, a worker does it.
AT_ONCE = 1000


class BulkActionFailed(Exception):
    """The action cannot go on; what was done before stays."""

    def __init__(self, reason: BulkActionReason) -> None:
        super().__init__(reason.label)
        self.reason = reason


def start_bulk_action(kind: BulkActionKind, selection: Selection, values: Mapping[str, Any], *, by: str) -> BulkAction:
    """Store the action. A small one is done at once, any other by the next worker. Raises SelectionGone."""
    count = count_rows(selection.subscribers(), CONFIRMATION_CAP)
    action = BulkAction.objects.create(
        kind=kind,
        selection=selection.to_json(),
        values=dict(values),
        by=by[:150],
        total=count.number,
        is_estimate=count.precision is not Precision.EXACT,
        up_to=Subscriber.objects.aggregate(last=Max("pk"))["last"] or 0,
    )
    if count.precision is Precision.EXACT and count.number <= AT_ONCE:
        while _take_chunk(action.pk):
            pass
        action.refresh_from_db()
    return action


def run_bulk_actions() -> bool:
    """Do one chunk of the longest waiting action. A step of the worker; True if there may be more.

    May be killed anywhere and run by many workers at once: each chunk is one transaction with its progress, under the
    lock of its action.
    """
    # The read keeps an idle worker from taking SQLite's one write lock.
    if not BulkAction.objects.filter(state__in=OPEN).exists():
        return False
    return _take_chunk()


def cancel_bulk_action(action: BulkAction) -> None:
    """Stop it after the present chunk. What was done stays. Raises InvalidTransition if it is over."""
    BULK_ACTION_MACHINE.move_row(action, BulkActionState.CANCELLED, finished_at=timezone.now())


def _take_chunk(pk: int | None = None) -> bool:
    """Do one chunk of this action, or of the first that no other worker has; False if there is nothing to do."""
    with transaction.atomic():
        waiting = BulkAction.objects.filter(state__in=OPEN).order_by("pk")
        if pk is not None:
            waiting = waiting.filter(pk=pk)
        skip = pk is None and connection.features.has_select_for_update_skip_locked
        action = waiting.select_for_update(skip_locked=skip).first()
        if action is None:
            return False
        if action.state == BulkActionState.WAITING:
            BULK_ACTION_MACHINE.move_row(action, BulkActionState.RUNNING, started_at=timezone.now())
        try:
            # A failure takes back what this chunk has done, and not that the action failed.
            with transaction.atomic():
                _do_chunk(action)
        except BulkActionFailed as failure:
            _end(action, BulkActionState.FAILED, reason=failure.reason)
    return True


def _do_chunk(action: BulkAction) -> None:
    try:
        selection = Selection.from_json(action.selection)
        ahead = selection.subscribers().filter(pk__gt=action.last_key, pk__lte=action.up_to).order_by("pk")
        chunk = list(ahead.values_list("pk", flat=True)[:CHUNK])
        if not chunk:
            _end(action, BulkActionState.FINISHED)
            return
        changed = STEPS[BulkActionKind(action.kind)](action, selection, chunk)
    except SelectionGone as error:
        raise BulkActionFailed(BulkActionReason.SELECTION_GONE) from error
    BulkAction.objects.filter(pk=action.pk).update(
        last_key=chunk[-1], done=F("done") + len(chunk), changed=F("changed") + changed
    )


def _end(action: BulkAction, state: BulkActionState, **changes: Any) -> None:
    BULK_ACTION_MACHINE.move_row(action, state, finished_at=timezone.now(), **changes)


def _evidence(action: BulkAction) -> Evidence:
    return Evidence(form=ConsentForm.ADMIN, by=action.by, detail=str(action.values.get("words", "")))


def _tag(action: BulkAction) -> Tag:
    tag = Tag.objects.filter(pk=action.values.get("tag")).first()
    if tag is None:
        raise BulkActionFailed(BulkActionReason.TAG_GONE)
    return tag


def _add_tag(action: BulkAction, selection: Selection, chunk: list[int]) -> int:
    tag = _tag(action)
    return add_tag(tag, _on_list(selection, chunk, tag.mailing_list_id), by=action.by)


def _remove_tag(action: BulkAction, selection: Selection, chunk: list[int]) -> int:
    tag = _tag(action)
    return remove_tag(tag, _on_list(selection, chunk, tag.mailing_list_id), by=action.by)


def _add_to_segment(action: BulkAction, selection: Selection, chunk: list[int]) -> int:
    segment = Segment.objects.filter(pk=action.values.get("segment"), is_picked=True).first()
    if segment is None:
        raise BulkActionFailed(BulkActionReason.SEGMENT_GONE)
    wanted = _on_list(selection, chunk, segment.mailing_list_id).exclude(segment_picks__segment=segment)
    new = [SegmentPick(segment=segment, subscription=subscription) for subscription in wanted]
    SegmentPick.objects.bulk_create(new, ignore_conflicts=True)
    return len(new)


def _on_list(selection: Selection, chunk: list[int], mailing_list: int) -> SubscriptionQuerySet:
    return selection.subscriptions_of(chunk).filter(mailing_list=mailing_list)


def _unsubscribe(action: BulkAction, selection: Selection, chunk: list[int]) -> int:
    return unsubscribe_all(selection.subscriptions_of(chunk), _evidence(action))


def _suppress(action: BulkAction, selection: Selection, chunk: list[int]) -> int:
    cause = (SuppressionReason.MANUAL, str(action.values.get("words", "")))
    addresses = Subscriber.objects.filter(pk__in=chunk).values_list("canonical", flat=True)
    try:
        suppress_addresses(dict.fromkeys(addresses, cause), _evidence(action))
    except SuppressionSecretDiffers as error:
        raise BulkActionFailed(BulkActionReason.SECRET_DIFFERS) from error
    return len(chunk)


#: What an action does with one chunk of subscribers; each returns how many rows it changed.
STEPS: dict[BulkActionKind, Callable[[BulkAction, Selection, list[int]], int]] = {
    BulkActionKind.ADD_TAG: _add_tag,
    BulkActionKind.REMOVE_TAG: _remove_tag,
    BulkActionKind.ADD_TO_SEGMENT: _add_to_segment,
    BulkActionKind.UNSUBSCRIBE: _unsubscribe,
    BulkActionKind.SUPPRESS: _suppress,
}
