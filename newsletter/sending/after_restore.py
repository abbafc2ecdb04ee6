"""After a restore: what may have been sent since the backup is sent again only after a proof or a decision.

A backup shows sends as they were at its time. Batches that were ready then may have been sent since, and the restored
database does not know it. So all sending is stopped, and every such batch gets its bytes and is held, as if its only
attempt had got no answer. Held batches are settled as always: by events, by the provider's list of mails, or by an
operator. But since the backup each of them may have been cut into parts of which some were sent, and sent by any
provider of the route: one mail proves nothing of the others, and a list without its mails may be that of another one.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
from collections.abc import Sequence
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone

from newsletter.models import (
    BATCH_MACHINE,
    DELIVERY_MACHINE,
    IN_PROGRESS,
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    Edition,
    InvalidTransition,
    Issue,
    IssueState,
    Occurrence,
    Reason,
    Restore,
    RestoreSource,
    Send,
    SendState,
    WorkerHeartbeat,
)
from newsletter.models.edition import LARGE_COLUMNS
from newsletter.models.numbering import leave_out_numbers
from newsletter.models.reasons import iso
from newsletter.providers import get_route
from newsletter.providers.base import Provider, provider_account
from newsletter.sending.build import build_messages, payload_columns, skip_recipients
from newsletter.sending.expand import ENGAGEMENT_DELAY, expand_chunk
from newsletter.sending.recipients import Recipient, recipients_of
from newsletter.sending.reconcile import hold
from newsletter.sending.schedule import flag_issue
from newsletter.sending.switch import stop_all_sending
from newsletter.sending.warm_up import OTHERS
from subscribers.transactional.outbox import assume_attempts

log = logging.getLogger(__name__)

BY = "restore"

#: How far ahead of its expansion a batch may be due in a warm-up: the wait of the last group, and the turns in it.
LONGEST_WAIT = OTHERS * ENGAGEMENT_DELAY + datetime.timedelta(minutes=5)

#: ALLOWED_RECIPIENTS of today says nothing about who was mailed before.
MAY_HAVE_GOT_IT = (None, Reason.NOT_ALLOWED)

#: Attempted batches that are not held yet.
NOT_HELD = (BatchState.CLAIMED, BatchState.UNKNOWN)


def begin_restore(*, backup_at: datetime.datetime, source: RestoreSource, by: str) -> Restore:
    """Stop all sending, and record that the database is a backup; `secure_restored_copy` does the rest."""
    with transaction.atomic():
        now = timezone.now()
        restore = Restore.objects.create(backup_at=min(backup_at, now), restored_at=now, source=source, by=by[:150])
        stop_all_sending(by=by, reason=Reason.RESTORED, values=_values(restore))
    return restore


def secure_unfinished() -> bool:
    """Finish what a killed process began; whether there was anything. Called before a worker's first work."""
    unfinished = list(Restore.objects.filter(secured_at__isnull=True))
    for restore in unfinished:
        secure_restored_copy(restore)
    return bool(unfinished)


def secure_restored_copy(restore: Restore) -> Restore:
    """Hold everything that may have been sent since the backup. May be killed at any line and repeated."""
    stop_all_sending(by=restore.by, reason=Reason.RESTORED, values=_values(restore))
    route, counts = get_route(), {"sends": 0, "batches": 0, "scheduled": 0, "occurrences": 0}
    sends = Send.objects.filter(state__in=IN_PROGRESS).select_related("issue__newsletter").defer("manifest")
    for send in sends.order_by("pk"):
        # Those who were not in the backup's deliveries yet may have got it, too.
        _expand_rest(send, route[0].batch_size)
        _pause(send, restore)
        counts["sends"] += 1
        counts["batches"] += _hold_batches(send, route, restore)
    # Events of mails that the backup does not know name deliveries and editions whose numbers it would give again. Not
    # before the rest is expanded: with their former numbers, deliveries are found by their events and in the list.
    for model in (Edition, Delivery):
        leave_out_numbers(model)
    counts["mails"] = assume_attempts(since=restore.backup_at, until=restore.restored_at)
    counts["scheduled"] = _hold_due_sends(restore)
    counts["occurrences"] = _finish_due_occurrences(restore)
    # Those of the workers before the backup: they say nothing about now.
    WorkerHeartbeat.objects.filter(seen_at__lte=restore.backup_at).delete()
    restore.held = {name: counts[name] + restore.held.get(name, 0) for name in counts}
    restore.secured_at = timezone.now()
    restore.save(update_fields=["held", "secured_at"])
    log.warning("Restored copy secured", extra={"backup_at": iso(restore.backup_at), **counts})
    return restore


def acknowledge_restores(*, by: str) -> int:
    """An operator has dealt with the events and decisions that are missing; how many restores that was about."""
    open_ones = Restore.objects.filter(acknowledged_at__isnull=True, secured_at__isnull=False)
    return open_ones.update(acknowledged_at=timezone.now(), acknowledged_by=by[:150])


def _values(restore: Restore) -> dict[str, str]:
    return {"from_at": iso(restore.backup_at), "until_at": iso(restore.restored_at)}


def _expand_rest(send: Send, batch_size: int) -> None:
    while Send.objects.filter(pk=send.pk, state__in=IN_PROGRESS, expanded_at__isnull=True).exists():
        if not expand_chunk(send.pk, batch_size, may_be_stopped=True):
            # A part of its audience is gone. It stays paused, and says so when it is resumed.
            return


def _pause(send: Send, restore: Restore) -> None:
    """One that is paused keeps its state, and gets the reason: it must not resume by itself."""
    values = _values(restore)
    with contextlib.suppress(InvalidTransition):
        send.pause(Reason.RESTORED_SEND, by=restore.by, values=values)
    with transaction.atomic():
        paused = Send.objects.filter(pk=send.pk, state=SendState.PAUSED).exclude(hold_reason=Reason.RESTORED_SEND)
        if paused.update(hold_reason=Reason.RESTORED_SEND, hold_values=values):
            send.refresh_from_db(fields=["state"])
            send.note(Reason.RESTORED_SEND, by=restore.by, values=values)


def _hold_batches(send: Send, route: Sequence[Provider], restore: Restore) -> int:
    """Hold every batch of the send that was posted, or may have been, by the time of the restore; how many."""
    held, seen = 0, set[int]()
    # An outcome that is recorded meanwhile may replace a batch by its parts, which the next round finds.
    while found := [pk for pk in _batches_in_question(send) if pk not in seen]:
        held += sum(_hold_batch(pk, route, restore) for pk in found)
        seen.update(found)
    return held


def _batches_in_question(send: Send) -> list[int]:
    """Attempted batches, and those that may have been: not those of a later local time."""
    # In a warm-up, recipients wait from the expansion on, which may have been done once already since the backup.
    wait = LONGEST_WAIT if send.issue.newsletter.warm_up_since else datetime.timedelta(0)
    ready = Q(state=BatchState.READY, not_before__lte=timezone.now() + wait)
    attempted = Q(state__in=(BatchState.CLAIMED, BatchState.UNKNOWN, BatchState.HELD))
    return list(Batch.objects.filter(ready | attempted, send=send).order_by("pk").values_list("pk", flat=True))


def _hold_batch(batch_pk: int, route: Sequence[Provider], restore: Restore) -> bool:
    """Hold a batch with the bytes that may have been posted; whether it was not held before."""
    with transaction.atomic():
        locked = Batch.objects.select_for_update(of=("self",)).select_related("edition__issue")
        batch = locked.defer(*(f"edition__{name}" for name in LARGE_COLUMNS)).filter(pk=batch_pk).first()
        if batch is None:
            # Its send was undone meanwhile.
            return False
        if batch.state == BatchState.READY:
            is_new = _hold_ready(batch, route[0], restore)
        else:
            is_new = batch.state in NOT_HELD and hold(batch, Reason.RESTORED_BATCH, _values(restore))
        Batch.objects.filter(pk=batch_pk, state=BatchState.HELD).update(
            # A worker that is still posting it must not release it, and an earlier search says nothing about today.
            attempts=batch.attempts + 1,
            # It may have been posted until the restore: its mails are searched for up to then.
            last_attempt_at=restore.restored_at,
            may_be_partly_sent=True,
            may_be_at_other_provider=batch.may_be_at_other_provider or len(route) > 1,
        )
    return is_new


def _hold_ready(batch: Batch, provider: Provider, restore: Restore) -> bool:
    """Give a batch the bytes that may have been posted since the backup, and hold it; whether it had recipients."""
    recipients = recipients_of(batch, (DeliveryState.PENDING,), restore.backup_at)
    included = [recipient for recipient in recipients if recipient.skip_reason in MAY_HAVE_GOT_IT]
    skipped = (recipient for recipient in recipients if recipient.skip_reason not in MAY_HAVE_GOT_IT)
    skip_recipients(skipped, after_attempt=batch.may_be_duplicate)
    reason, values, messages, stored = _bytes_of(batch, included, provider, restore)
    if not messages:
        # A worker drops it.
        return False
    DELIVERY_MACHINE.move(Delivery.objects.filter(pk__in=messages), DeliveryState.BATCHED)
    BATCH_MACHINE.move_row(
        batch,
        BatchState.CLAIMED,
        claimed_by=BY,
        **stored,
        recipients=len(messages),
        provider=provider_account(provider),
        first_attempt_at=restore.backup_at,
    )
    return hold(batch, reason, values)


def _bytes_of(
    batch: Batch, recipients: list[Recipient], provider: Provider, restore: Restore
) -> tuple[Reason, dict[str, str], list[int], dict[str, Any]]:
    """Why the batch is held, with the values; the deliveries in its bytes; and these, empty if they cannot be built."""
    try:
        messages = build_messages(batch, recipients, provider)
        body = provider.join(list(messages.values()))
    except DatabaseError:
        raise
    except Exception as error:
        # It is held without its bytes: the restore must end.
        log.exception("Batch of a restored copy cannot be built", extra={"batch": batch.pk})
        values = {**_values(restore), "error": type(error).__name__}
        return Reason.RESTORED_UNBUILT, values, [each.delivery_pk for each in recipients], payload_columns(b"")
    return Reason.RESTORED_BATCH, _values(restore), list(messages), payload_columns(body)


def _hold_due_sends(restore: Restore) -> int:
    """Hold the schedules that came due between the backup and the restore, as an overdue one is held."""
    due = Send.objects.filter(state=SendState.SCHEDULED, scheduled_at__lte=restore.restored_at)
    found = list(due.exclude(hold_reason=Reason.RESTORED_SEND).defer("manifest"))
    for send in found:
        with transaction.atomic():
            values = _values(restore)
            Send.objects.filter(pk=send.pk).update(
                hold_reason=Reason.RESTORED_SEND, hold_values=values, retry_start_at=None
            )
            send.note(Reason.RESTORED_SEND, by=restore.by, values=values)
    return len(found)


def _finish_due_occurrences(restore: Restore) -> int:
    """End the occurrences between the backup and the restore; approved issues that they may have sent wait."""
    due = Occurrence.objects.filter(finished_at__isnull=True, starts_at__lte=restore.restored_at)
    found = list(due.select_related("schedule"))
    values = _values(restore)
    for occurrence in found:
        with transaction.atomic():
            approved = Issue.objects.filter(newsletter=occurrence.schedule.newsletter_id, state=IssueState.APPROVED)
            for issue in approved:
                issue.revoke_approval(by=restore.by, reason=Reason.RESTORED_SEND)
                flag_issue(issue, Reason.RESTORED_SEND, values)
            Occurrence.objects.filter(pk=occurrence.pk).update(
                finished_at=restore.restored_at, reason=Reason.RESTORED_SEND, values=values, retry_start_at=None
            )
    return len(found)
