"""Batch: claim one, re-check its recipients, and build its bytes – in one transaction, before the first byte leaves.

Once `claim_batch` has returned, a crash at any point leaves the batch with its bytes and key in the database, and the
next worker that claims it posts exactly those again.
"""

from __future__ import annotations

import datetime
import logging
import os
import socket
from collections import Counter
from dataclasses import dataclass
from functools import partial

import zstandard
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from newsletter.config.failpoints import Point, failpoint
from newsletter.config.processes import is_running
from newsletter.models import (
    BATCH_MACHINE,
    IN_FLIGHT,
    Batch,
    BatchState,
    Reason,
)
from newsletter.models.edition import LARGE_COLUMNS
from newsletter.models.prepared import PreparedStatement
from newsletter.providers.base import PostsOneByOne, Provider
from newsletter.sending.build import Built, build
from newsletter.sending.next_batch import Selected, select_batch
from newsletter.sending.recipients import Recipient, recipients_of
from newsletter.sending.reconcile import expiry_reason, hold, settle_if_proven
from subscribers.state_machine import InvalidTransition

log = logging.getLogger(__name__)

#: How long a worker may keep a batch. If the lease is over before the post begins, the worker does not begin; if the
#: post takes longer, another worker may overtake it with the same bytes under the same key.
LEASE = datetime.timedelta(seconds=90)

#: How long a batch that cannot be built is set aside, so that it does not block the others.
BUILD_RETRY_DELAY = datetime.timedelta(minutes=5)

#: How often in a row a batch may change while it is claimed, before it counts as one that cannot be built.
MAX_CHANGES = 10

#: How long after the first attempt an unsubscribe does not stop its retries.
UNSUBSCRIBE_GRACE = datetime.timedelta(minutes=15)

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
    delivery_pks: list[int]
    """The deliveries of its messages, in their order."""
    size: int
    """How many messages it has."""
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
    sent) is settled, one that cannot be built is set aside, and the next is taken. One that changes meanwhile, for
    example by an event about one of its recipients, is claimed again at once. `retries_first` takes batches with an
    unknown outcome before all others while the provider does not answer, so that an outage does not make the outcome
    of one batch after the other unknown; `only_retries` takes nothing else, for a provider that is not the first
    available of the route. A batch whose outcome at one provider is unknown is never given to another.
    """
    select = partial(select_batch, provider, retries_first=retries_first, only_retries=only_retries)
    changes: Counter[int] = Counter()
    # SQLite's transactions lock the whole database, so one is opened only if there is something to claim.
    while connection.features.has_select_for_update or select():
        try:
            with transaction.atomic():
                selected = select()
                if selected is None:
                    return None
                if claimed := _claim_or_raise(selected, provider, changes):
                    return claimed
        except InvalidTransition as error:
            # Rolled back: nothing is wrong with it.
            log.info("Batch changed while it was claimed", extra={"error": str(error)})
        except CannotBeBuilt as error:
            # It must not delay the others.
            log.exception("Batch cannot be built", extra={"batch": error.batch_pk})
            _set_aside(error)
    return None


class CannotBeBuilt(Exception):
    """The bytes of a batch cannot be built; the message is the name of the error."""

    def __init__(self, batch_pk: int, error: Exception) -> None:
        super().__init__(type(error).__name__)
        self.batch_pk = batch_pk


def _claim_or_raise(selected: Selected, provider: Provider, changes: Counter[int]) -> ClaimedBatch | None:
    """Claim it; None if it was settled. Raises CannotBeBuilt.

    Raises InvalidTransition if it changed meanwhile, MAX_CHANGES times at most: `changes` counts them by batch.
    """
    try:
        return _claim(selected, provider)
    except DatabaseError:
        raise
    except Exception as error:
        if isinstance(error, InvalidTransition) and changes[selected.batch.pk] < MAX_CHANGES:
            changes[selected.batch.pk] += 1
            raise
        raise CannotBeBuilt(selected.batch.pk, error) from error


def _set_aside(error: CannotBeBuilt) -> None:
    now = timezone.now()
    Batch.objects.unleased(now).filter(pk=error.batch_pk).update(
        lease_until=now + BUILD_RETRY_DELAY,
        reason=Reason.CANNOT_BE_BUILT,
        reason_values={"error": str(error)},
    )


def has_lost_recipients(claimed: ClaimedBatch) -> bool:
    """Whether any recipient in its bytes must not be mailed any more; three statements."""
    batch = Batch.objects.select_related("edition__issue").defer("payload", *LARGE_EDITION_COLUMNS).get(pk=claimed.pk)
    now = timezone.now()
    recipients = recipients_of(batch, IN_FLIGHT, now)
    if claimed.is_retry:
        return any(_forbids_retry(recipient, batch, now) for recipient in recipients)
    return any(recipient.skip_reason for recipient in recipients)


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
    ended = [holder for holder, pid in pids.items() if (include_own if pid == os.getpid() else not is_running(pid))]
    return claims.filter(claimed_by__in=ended).update(lease_until=timezone.now())


def _claim(selected: Selected, provider: Provider) -> ClaimedBatch | None:
    batch, now = selected.batch, timezone.now()
    is_retry = batch.state != BatchState.READY
    if batch.attempts and settle_if_proven(batch):
        return None
    built = _same_bytes(batch, provider, now) if is_retry else build(selected, provider, now)
    if built is None:
        return None
    batch.attempts += 1
    begun = 0 if isinstance(provider, PostsOneByOne) and not is_retry else None
    stored = (batch.epoch, batch.key, batch.payload, batch.payload_sha256, batch.recipients, batch.provider)
    if not SET_CLAIMED.execute(batch.attempts, now + LEASE, worker_name(), now, now, begun, *stored, batch.pk):
        raise InvalidTransition(f"Batch {batch.pk} changed after it was selected.")
    failpoint(Point.CLAIM_UNCOMMITTED)
    return ClaimedBatch(
        pk=batch.pk,
        send_pk=batch.send_id,
        attempt=batch.attempts,
        key=batch.key,
        body=built.body,
        delivery_pks=built.delivery_pks,
        size=batch.recipients,
        is_retry=is_retry,
        lease_until=now + LEASE,
    )


#: Keeps the time of the first attempt with these bytes.
SET_CLAIMED = PreparedStatement(
    f"""
    UPDATE newsletter_batch SET state = '{BatchState.CLAIMED}', attempts = %s, lease_until = %s, claimed_by = %s,
        first_attempt_at = COALESCE(first_attempt_at, %s::timestamptz), last_attempt_at = %s,
        begun = %s, results = NULL, epoch = %s, key = %s, payload = %s, payload_sha256 = %s, recipients = %s,
        provider = %s
    WHERE id = %s AND state IN ({BATCH_MACHINE.sql_sources(BatchState.CLAIMED)})
    """  # noqa: S608 - names of states are ours
)


def _same_bytes(batch: Batch, provider: Provider, now: datetime.datetime) -> Built | None:
    """The stored bytes of a batch that may have been sent; None, and held, if they must not be posted again."""
    expired = batch.first_attempt_at and now - batch.first_attempt_at > provider.key_lifetime
    if expired or not provider.key_lifetime:
        hold(batch, expiry_reason(provider))
        return None
    recipients = recipients_of(batch, IN_FLIGHT, now)
    if any(_forbids_retry(recipient, batch, now) for recipient in recipients):
        hold(batch, Reason.RECIPIENT_LEFT_UNKNOWN)
        return None
    return Built(zstandard.decompress(bytes(batch.payload or b"")), [recipient.delivery_pk for recipient in recipients])


def _forbids_retry(recipient: Recipient, batch: Batch, now: datetime.datetime) -> bool:
    """Whether bytes with this recipient, which may have been sent, must not be posted again.

    Soon after the first attempt an ordinary unsubscribe, or from the topic, does not: the mail was on its way before
    it, and holding the batch would delay all other recipients. A complaint, suppression or erasure always does.
    """
    if not recipient.skip_reason:
        return False
    is_soon = batch.first_attempt_at is not None and now - batch.first_attempt_at <= UNSUBSCRIBE_GRACE
    if is_soon and recipient.skip_reason is Reason.TOPIC_LEFT:
        return False
    return not (is_soon and recipient.skip_reason is Reason.UNSUBSCRIBED and recipient.has_only_unsubscribed)
