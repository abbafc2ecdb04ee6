"""Batch: claim one, re-check its recipients, and build its bytes – in one transaction, before the first byte leaves.

Once `claim_batch` has returned, a crash at any point leaves the batch with its bytes and key in the database, and the
next worker that claims it posts exactly those again.
"""

from __future__ import annotations

import datetime
import hashlib
import logging
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import zstandard
from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone

from newsletter.config.failpoints import Point, failpoint
from newsletter.models import (
    BATCH_MACHINE,
    DELIVERY_MACHINE,
    IN_FLIGHT,
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    Reason,
)
from newsletter.models.batch import BatchQuerySet
from newsletter.models.edition import LARGE_COLUMNS
from newsletter.providers.base import Provider, provider_account
from newsletter.sending.limits import lock_remaining, within_limits
from newsletter.sending.message import RecipientValues, batch_key, message_template
from newsletter.sending.recipients import AFTER_ATTEMPT, Recipient, recipients_of
from newsletter.sending.reconcile import expiry_reason, hold, settle_if_proven

log = logging.getLogger(__name__)

#: How long a worker may keep a batch. If the lease is over before the post begins, the worker does not begin; if the
#: post takes longer, another worker may overtake it with the same bytes under the same key.
LEASE = datetime.timedelta(seconds=90)

#: While a provider does not answer, batches with an unknown outcome come before all others, as long as each has had
#: fewer attempts than this times the number of such batches. If only these get no answer, the others must not wait
#: for them; the more of them there are, the likelier it is an outage.
MAX_RETRIES_FIRST = 5

#: How long a batch that cannot be built is set aside, so that it does not block the others.
BUILD_RETRY_DELAY = datetime.timedelta(minutes=5)

#: What a claim does not read: the edition's texts are split in memory once per process.
LARGE_EDITION_COLUMNS = tuple(f"edition__{name}" for name in LARGE_COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedBatch:
    """A batch that this worker has. `attempt` fences: an outcome counts only while it is the latest attempt's."""

    pk: int
    send_pk: int
    attempt: int
    key: str
    body: bytes
    size: int
    is_retry: bool
    """Whether an earlier attempt may have been sent; then a refusal of this one proves nothing about that one."""
    lease_until: datetime.datetime

    def has_lease(self) -> bool:
        """Whether the lease holds. A machine that slept since the claim must not post: the key may have expired."""
        return timezone.now() < self.lease_until


def worker_name() -> str:
    """Host and process of this worker."""
    return f"{socket.gethostname()}:{os.getpid()}"


def claim_batch(provider: Provider, *, retries_first: bool = False, only_retries: bool = False) -> ClaimedBatch | None:
    """The next batch for this provider to post, its bytes stored; None if there is none.

    On the way, a batch that must not be posted (no recipient is left, its key has expired, an event proves that it was
    sent) is settled, one that cannot be built is set aside, and the next is taken. `retries_first` takes batches with
    an unknown outcome before all others while the provider does not answer, so that an outage does not make the
    outcome of one batch after the other unknown; `only_retries` takes nothing else, for a provider that is not the
    first available of the route. A batch whose outcome at one provider is unknown is never given to another.
    """
    waiting = partial(_claimable, provider, retries_first=retries_first, only_retries=only_retries)
    while _exists_ordered(batches := waiting()):
        with transaction.atomic():
            # Locked by itself, then read with its issue: a join might start from the send, and sort all its batches.
            found = batches.only("pk").select_for_update(of=("self",), skip_locked=True).first()
            if found is None:
                return None
            batch = Batch.objects.select_related("edition__issue").defer(*LARGE_EDITION_COLUMNS).get(pk=found.pk)
            if claimed := _claim_or_set_aside(batch, provider):
                return claimed
    return None


def has_waiting(provider: Provider, *, retries_first: bool, only_retries: bool) -> bool:
    """Whether `claim_batch` would find a batch to look at."""
    return _exists_ordered(_claimable(provider, retries_first=retries_first, only_retries=only_retries))


def _exists_ordered(batches: BatchQuerySet) -> bool:
    """`exists()` in the order of the index; without an order PostgreSQL may read all finished batches first."""
    return batches.values_list("pk").first() is not None


def has_lost_recipients(claimed: ClaimedBatch) -> bool:
    """Whether any recipient in its bytes must not be mailed any more; four queries."""
    batch = Batch.objects.select_related("edition__issue").defer("payload", *LARGE_EDITION_COLUMNS).get(pk=claimed.pk)
    return any(recipient.skip_reason for recipient in recipients_of(batch, IN_FLIGHT, timezone.now()))


def release_stale_claims(*, include_own: bool) -> int:
    """End the leases of workers of this machine that no longer run, so that a restart does not wait for them.

    `include_own` ends those under this process's own id, too: only before it claims its first batch, when they can only
    be those of a dead process that had the same id. Returns how many. The outcome of these batches stays unknown: the
    same bytes are posted again under the same key.
    """
    host = socket.gethostname()
    claims = Batch.objects.filter(state=BatchState.CLAIMED, claimed_by__startswith=f"{host}:")
    holders = claims.values_list("claimed_by", flat=True).distinct()
    pids = {holder: int(holder.rpartition(":")[2]) for holder in holders}
    ended = [holder for holder, pid in pids.items() if (include_own if pid == os.getpid() else not _is_running(pid))]
    return claims.filter(claimed_by__in=ended).update(lease_until=timezone.now())


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # It runs as another user.
        pass
    return True


def _claimable(provider: Provider, *, retries_first: bool, only_retries: bool) -> BatchQuerySet:
    now = timezone.now()
    # Batches of early versions do not name their provider.
    is_its_retry = Q(provider__in=(provider_account(provider), "")) & ~Q(state=BatchState.READY)
    if retries_first:
        retries = _retry_first_candidates(Batch.objects.unknown_outcome(now).filter(is_its_retry))
        if retries.exists():
            return retries
    if only_retries:
        return Batch.objects.claimable(now).filter(is_its_retry)
    may_start = Q(state=BatchState.READY) & within_limits(now)
    return Batch.objects.claimable(now).filter(is_its_retry | may_start)


def _retry_first_candidates(retries: BatchQuerySet) -> BatchQuerySet:
    """Those with few attempts; see MAX_RETRIES_FIRST."""
    return retries.filter(attempts__lt=MAX_RETRIES_FIRST * retries.count())


def _claim_or_set_aside(batch: Batch, provider: Provider) -> ClaimedBatch | None:
    try:
        with transaction.atomic():
            return _claim(batch, provider)
    except DatabaseError:
        raise
    except Exception as error:
        # A batch that cannot be built must not delay the others.
        log.exception("Batch cannot be built", extra={"batch": batch.pk})
        Batch.objects.filter(pk=batch.pk).update(
            lease_until=timezone.now() + BUILD_RETRY_DELAY,
            reason=Reason.CANNOT_BE_BUILT,
            reason_values={"error": type(error).__name__},
        )
        return None


def _claim(batch: Batch, provider: Provider) -> ClaimedBatch | None:
    now = timezone.now()
    is_retry = batch.state != BatchState.READY
    if batch.attempts and settle_if_proven(batch):
        return None
    body = _same_bytes(batch, provider, now) if is_retry else _build(batch, provider, now)
    if body is None:
        return None
    BATCH_MACHINE.move_row(
        batch,
        BatchState.CLAIMED,
        attempts=batch.attempts + 1,
        lease_until=now + LEASE,
        claimed_by=worker_name(),
        first_attempt_at=batch.first_attempt_at or now,
        last_attempt_at=now,
        **({} if is_retry else _built_columns(batch)),
    )
    failpoint(Point.CLAIM_UNCOMMITTED)
    return ClaimedBatch(
        pk=batch.pk,
        send_pk=batch.send_id,
        attempt=batch.attempts,
        key=batch.key,
        body=body,
        size=batch.recipients,
        is_retry=is_retry,
        lease_until=now + LEASE,
    )


def _built_columns(batch: Batch) -> dict[str, Any]:
    """What `_build` has set, to be stored with the claim."""
    names = ("epoch", "key", "payload", "payload_sha256", "recipients", "provider")
    return {name: getattr(batch, name) for name in names}


def _same_bytes(batch: Batch, provider: Provider, now: datetime.datetime) -> bytes | None:
    """The stored bytes of a batch that may have been sent; None, and held, if they must not be posted again."""
    expired = batch.first_attempt_at and now - batch.first_attempt_at > provider.key_lifetime
    if expired or not provider.key_lifetime:
        hold(batch, expiry_reason(provider))
        return None
    if any(recipient.skip_reason for recipient in recipients_of(batch, IN_FLIGHT, now)):
        hold(batch, Reason.RECIPIENT_LEFT_UNKNOWN)
        return None
    return zstandard.decompress(bytes(batch.payload or b""))


def _build(batch: Batch, provider: Provider, now: datetime.datetime) -> bytes | None:
    """Give the batch its bytes for the recipients who may still be mailed; None if there is nothing to post now."""
    recipients = recipients_of(batch, (DeliveryState.PENDING,), now)
    _skip((recipient for recipient in recipients if recipient.skip_reason), after_attempt=batch.may_be_duplicate)
    included = [recipient for recipient in recipients if not recipient.skip_reason]
    if not included:
        BATCH_MACHINE.move_row(
            batch, BatchState.DROPPED, reason=Reason.NO_RECIPIENT_LEFT, reason_values=None, finished_at=now
        )
        return None
    remaining = lock_remaining(batch, now)
    most = min(provider.batch_size, len(included) if remaining is None else remaining)
    if most < len(included):
        if most:
            _split(batch, [recipient.delivery_pk for recipient in included], most, provider)
        return None
    if batch.attempts:
        # Attempted before, and known not to have been sent. Its recipients may differ now, so its bytes may, and other
        # bytes need another key.
        batch.epoch += 1
        batch.key = batch_key(batch.edition, batch.first_delivery, batch.last_delivery, epoch=batch.epoch)
        batch.first_attempt_at = None
    body = _body(batch, included, provider)
    batch.payload, batch.payload_sha256 = zstandard.compress(body, 1), hashlib.sha256(body).hexdigest()
    batch.recipients, batch.provider = len(included), provider_account(provider)
    deliveries = Delivery.objects.filter(pk__in=[recipient.delivery_pk for recipient in included])
    DELIVERY_MACHINE.move(deliveries, DeliveryState.BATCHED)
    return body


def _split(batch: Batch, pks: list[int], most: int, provider: Provider) -> None:
    """Smaller batches in place of one that is too large for its provider, or for the newsletter's limit."""
    if most == provider.batch_size:
        runs = [pks[start : start + most] for start in range(0, len(pks), most)]
        reason = Reason.CUT_FOR_PROVIDER
    else:
        runs = [pks[:most], pks[most:]]
        reason = Reason.CUT_FOR_LIMIT
    BATCH_MACHINE.move_row(
        batch, BatchState.SPLIT, reason=reason, reason_values=None, payload=None, finished_at=timezone.now()
    )
    Batch.objects.bulk_create(
        new_part(batch, run, attempts=batch.attempts, not_before=batch.not_before) for run in runs
    )


def new_part(batch: Batch, pks: list[int], **fields: object) -> Batch:
    """A new batch for these neighbouring deliveries of another one, not stored yet."""
    return Batch(
        send_id=batch.send_id,
        edition=batch.edition,
        first_delivery=pks[0],
        last_delivery=pks[-1],
        key=batch_key(batch.edition, pks[0], pks[-1], epoch=1),
        may_be_duplicate=batch.may_be_duplicate,
        mailbox_provider=batch.mailbox_provider,
        **fields,
    )


def _body(batch: Batch, recipients: list[Recipient], provider: Provider) -> bytes:
    template = message_template(batch.edition_id, batch.edition.sha256, provider)
    values = RecipientValues(batch.edition.merges)
    return provider.join([template.fill(values.of(recipient)) for recipient in recipients])


def _skip(recipients: Iterable[Recipient], *, after_attempt: bool) -> None:
    by_reason: dict[Reason, list[int]] = {}
    for recipient in recipients:
        assert recipient.skip_reason is not None  # noqa: S101 - they were selected by that
        reason = AFTER_ATTEMPT[recipient.skip_reason] if after_attempt else recipient.skip_reason
        by_reason.setdefault(reason, []).append(recipient.delivery_pk)
    for reason, pks in by_reason.items():
        DELIVERY_MACHINE.move(Delivery.objects.filter(pk__in=pks), DeliveryState.SKIPPED, reason=reason)
