"""After a restore: what may have been sent since the backup is sent again only after a proof or a decision.

A backup shows sends as they were at its time. Batches that were ready then may have been sent since, and the restored
database does not know it. So all sending is stopped, and every such batch gets its bytes and is held, as if its only
attempt had got no answer. Held batches are settled as always: by events, by the provider's list of mails, or by an
operator.
"""

from __future__ import annotations

import contextlib
import datetime
import logging

from django.db import transaction
from django.utils import timezone

from newsletter.models import (
    BATCH_MACHINE,
    DELIVERY_MACHINE,
    IN_PROGRESS,
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
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
from newsletter.models.reasons import iso
from newsletter.providers import get_route
from newsletter.providers.base import Provider, provider_account
from newsletter.sending.build import payload_columns
from newsletter.sending.expand import expand_chunk
from newsletter.sending.message import RecipientValues, message_template
from newsletter.sending.recipients import recipients_of
from newsletter.sending.reconcile import hold
from newsletter.sending.schedule import flag_issue
from newsletter.sending.switch import stop_all_sending

log = logging.getLogger(__name__)

BY = "restore"


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
    for send in Send.objects.filter(state__in=IN_PROGRESS).defer("manifest").order_by("pk"):
        # Those who were not in the backup's deliveries yet may have got it, too.
        _expand_rest(send, route[0].batch_size)
        _pause(send, restore)
        counts["sends"] += 1
        counts["batches"] += _hold_batches(send, route[0], restore)
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
        expand_chunk(send.pk, batch_size, may_be_stopped=True)


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


def _hold_batches(send: Send, provider: Provider, restore: Restore) -> int:
    """Hold every batch of the send that was posted, or may have been, by the time of the restore; how many."""
    held = 0
    attempted = Batch.objects.filter(send=send, state__in=(BatchState.CLAIMED, BatchState.UNKNOWN, BatchState.HELD))
    for batch in attempted.defer("payload").order_by("pk"):
        if batch.state != BatchState.HELD:
            held += hold(batch, Reason.RESTORED_BATCH, _values(restore))
        # It may have been posted until the restore: its mails are searched for up to then.
        Batch.objects.filter(pk=batch.pk, state=BatchState.HELD).update(last_attempt_at=restore.restored_at)
    # Those of a later local time cannot have been sent.
    ready = Batch.objects.filter(send=send, state=BatchState.READY, not_before__lte=timezone.now())
    for pk in ready.order_by("pk").values_list("pk", flat=True):
        held += _hold_ready(pk, provider, restore)
    return held


def _hold_ready(batch_pk: int, provider: Provider, restore: Restore) -> bool:
    """Give a batch the bytes that may have been posted since the backup, and hold it."""
    with transaction.atomic():
        locked = Batch.objects.select_for_update(of=("self",)).select_related("edition__issue")
        batch = locked.defer(*(f"edition__{name}" for name in LARGE_COLUMNS)).get(pk=batch_pk)
        if batch.state != BatchState.READY:
            return False
        recipients = [
            recipient
            for recipient in recipients_of(batch, (DeliveryState.PENDING,), restore.backup_at)
            if not recipient.skip_reason
        ]
        if not recipients:
            # None of them could be mailed at the time of the backup. A worker drops it.
            return False
        template = message_template(batch.edition_id, batch.edition.sha256, provider)
        values = RecipientValues(batch.edition.merges)
        stored = payload_columns(provider.join([template.pieces(values.of(recipient)) for recipient in recipients]))
        DELIVERY_MACHINE.move(
            Delivery.objects.filter(pk__in=[recipient.delivery_pk for recipient in recipients]), DeliveryState.BATCHED
        )
        BATCH_MACHINE.move_row(
            batch,
            BatchState.CLAIMED,
            attempts=batch.attempts + 1,
            claimed_by=BY,
            **stored,
            recipients=len(recipients),
            provider=provider_account(provider),
            first_attempt_at=restore.backup_at,
            last_attempt_at=restore.restored_at,
        )
        return hold(batch, Reason.RESTORED_BATCH, _values(restore))


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
