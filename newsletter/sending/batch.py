"""Batch: claim one, re-check its readers, freeze its bytes – in one transaction, before the first byte leaves.

Imports models, providers and its neighbours. Once `claim_batch` has returned, a crash at any point leaves the batch
with its bytes and key in the database, and whoever claims it next posts exactly those again.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass

import zstandard
from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from newsletter.models import Batch, BatchState, Delivery, DeliveryStatus
from newsletter.providers.base import Provider
from newsletter.sending.keys import batch_key
from newsletter.sending.message import ReaderValues, message_template
from newsletter.sending.readers import UNDER_WAY, Reader, deliveries_of, readers_of

#: How long one post may take before another worker takes the batch over; longer than the timeouts of a post.
LEASE = datetime.timedelta(seconds=90)

TOO_LATE = "No answer came before the provider forgets the key; posting again could reach readers twice."
READER_LEFT = "A reader left while it was not known whether this batch went out; the same bytes would still reach them."
NOBODY_LEFT = "Nobody in it may be mailed any more."


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedBatch:
    """A batch in this worker's hands. `attempt` fences: an outcome counts only while it is the latest attempt's."""

    pk: int
    attempt: int
    key: str
    body: bytes
    size: int
    in_doubt: bool
    """Whether an earlier attempt may have gone out; then a refusal of this one proves nothing about that one."""


def worker_name() -> str:
    """Who claims: this process on this machine."""
    return f"{socket.gethostname()}:{os.getpid()}"


def claim_batch(provider: Provider) -> ClaimedBatch | None:
    """The next batch that is due, its bytes frozen; None if there is none.

    A batch that must not be posted (everybody left, its key expired) is settled on the way and the next is taken.
    """
    while True:
        with transaction.atomic():
            now = timezone.now()
            batch = _next_batch(now)
            if batch is None:
                return None
            in_doubt = batch.state != BatchState.READY
            if _is_fit_again(batch, provider, now) if in_doubt else _freeze(batch, provider, now):
                return _claim(batch, now, in_doubt=in_doubt)


def release_claims_of_the_dead() -> int:
    """Free the batches of workers of this machine that run no more, so that a restart need not wait for leases.

    Returns how many. They stay in doubt: their bytes are posted again under the same key.
    """
    host = socket.gethostname()
    claims = Batch.objects.filter(state=BatchState.CLAIMED, claimed_by__startswith=f"{host}:")
    holders = claims.values_list("claimed_by", flat=True).distinct()
    dead = [holder for holder in holders if not _is_running(int(holder.rpartition(":")[2]))]
    return claims.filter(claimed_by__in=dead).update(lease_until=timezone.now())


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()


def _next_batch(now: datetime.datetime) -> Batch | None:
    due = Batch.objects.claimable(now).select_related("edition__issue")
    # The edition's texts are large and already split in memory; they are read once per process, not per batch.
    large = ("edition__html", "edition__text", "edition__content", "edition__links", "edition__envelope")
    return due.select_for_update(of=("self",), skip_locked=True).defer(*large).first()


def _claim(batch: Batch, now: datetime.datetime, *, in_doubt: bool) -> ClaimedBatch:
    batch.state = BatchState.CLAIMED
    batch.attempts += 1
    batch.lease_until = now + LEASE
    batch.claimed_by = worker_name()
    batch.first_attempt_at = batch.first_attempt_at or now
    batch.save()
    body = zstandard.decompress(bytes(batch.payload or b""))
    return ClaimedBatch(
        pk=batch.pk, attempt=batch.attempts, key=batch.key, body=body, size=batch.recipients, in_doubt=in_doubt
    )


def _is_fit_again(batch: Batch, provider: Provider, now: datetime.datetime) -> bool:
    """Whether a batch that may have gone out can be posted once more; if not, it is held (R-108, R-112)."""
    if batch.first_attempt_at and now - batch.first_attempt_at > provider.key_lifetime:
        hold(batch, TOO_LATE)
        return False
    if any(reader.obstacle for reader in readers_of(batch, UNDER_WAY, now)):
        hold(batch, READER_LEFT)
        return False
    return True


def hold(batch: Batch, reason: str) -> None:
    """Nothing may be done about this batch until a receipt or a person tells whether it went out."""
    batch.state, batch.reason, batch.lease_until = BatchState.HELD, reason[:500], None
    batch.save()
    deliveries_of(batch).filter(status__in=UNDER_WAY).update(status=DeliveryStatus.UNKNOWN, reason=reason[:200])


def _freeze(batch: Batch, provider: Provider, now: datetime.datetime) -> bool:
    """Give the batch its bytes for those who may still be mailed; False, and dropped, if nobody may."""
    readers = readers_of(batch, (DeliveryStatus.PENDING,), now)
    _leave_out(reader for reader in readers if reader.obstacle)
    included = [reader for reader in readers if not reader.obstacle]
    if not included:
        batch.state, batch.reason, batch.finished_at = BatchState.DROPPED, NOBODY_LEFT, now
        batch.save()
        return False
    if batch.attempts:
        # Tried before, and known not to have gone out. Its readers may differ now, so its bytes may, and other
        # bytes need another key.
        batch.epoch += 1
        batch.key = batch_key(batch.edition, batch.first_delivery, batch.last_delivery, epoch=batch.epoch)
        batch.first_attempt_at = None
    body = _body(batch, included, provider)
    batch.payload, batch.payload_sha256 = zstandard.compress(body, 1), hashlib.sha256(body).hexdigest()
    batch.recipients = len(included)
    Delivery.objects.filter(pk__in=[reader.delivery_pk for reader in included]).update(status=DeliveryStatus.BATCHED)
    return True


def _body(batch: Batch, readers: list[Reader], provider: Provider) -> bytes:
    template = message_template(batch.edition_id, batch.edition.sha256, provider)
    values = ReaderValues()
    return provider.join([template.fill(values.of(reader)) for reader in readers])


def _leave_out(readers: Iterable[Reader]) -> None:
    by_reason: dict[str, list[int]] = {}
    for reader in readers:
        by_reason.setdefault(reader.obstacle, []).append(reader.delivery_pk)
    for reason, keys in by_reason.items():
        Delivery.objects.filter(pk__in=keys).update(status=DeliveryStatus.SKIPPED, reason=reason)


def count_by_state(edition_pk: int) -> dict[str, int]:
    """How many batches of an edition are in each state."""
    rows = Batch.objects.filter(edition=edition_pk).values_list("state").annotate(count=Count("pk"))
    return dict(rows)
