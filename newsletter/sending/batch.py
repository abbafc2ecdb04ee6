"""Batch: claim one, re-check its readers, freeze its bytes – in one transaction, before the first byte leaves.

 Once `claim_batch` has returned, a crash at any point leaves the batch
with its bytes and key in the database, and whoever claims it next posts exactly those again.
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

import zstandard
from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone

from newsletter.config.failpoints import Point, reached
from newsletter.models import Batch, BatchState, Delivery, DeliveryStatus, Edition
from newsletter.models.delivery import BatchQuerySet
from newsletter.providers.base import Provider, provider_account
from newsletter.sending.keys import batch_key
from newsletter.sending.limits import exhausted_newsletters, lock_remaining
from newsletter.sending.message import RecipientValues, message_template
from newsletter.sending.recipients import UNDER_WAY, Recipient, recipients_of
from newsletter.sending.reconcile import hold, settle_if_proven, too_late

log = logging.getLogger(__name__)

#: How long a worker may keep a batch. One whose lease is over before it has begun to post does not begin, and one
#: whose post takes longer may be overtaken: by the same bytes under the same key.
LEASE = datetime.timedelta(seconds=90)

#: Attempts after which a batch in doubt is not taken first any more while the provider does not answer: if it is this
#: one that gets no answer, the others must not wait for it. Of two in doubt each has twice as many, and so on.
MOST_PROBES = 5

#: How long a batch that cannot be built waits until it is tried again, so that it keeps no other from going out.
SET_ASIDE = datetime.timedelta(minutes=5)

READER_LEFT = "A reader left while it was not known whether this batch went out; the same bytes would still reach them."
NOBODY_LEFT = "Nobody in it may be mailed any more."
MAY_HAVE_IT = " An earlier post may have reached them."

#: What a claim does not read: the edition's texts are split in memory once per process.
LARGE = tuple(f"edition__{name}" for name in ("html", "text", "content", "links", "envelope"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedBatch:
    """A batch in this worker's hands. `attempt` fences: an outcome counts only while it is the latest attempt's."""

    pk: int
    issue_pk: int
    attempt: int
    key: str
    body: bytes
    size: int
    in_doubt: bool
    """Whether an earlier attempt may have gone out; then a refusal of this one proves nothing about that one."""
    lease_until: datetime.datetime

    def is_still_ours(self) -> bool:
        """Whether the lease holds. A machine that slept since the claim must not post: the key may be forgotten."""
        return timezone.now() < self.lease_until


def worker_name() -> str:
    """Who claims: this process on this machine."""
    return f"{socket.gethostname()}:{os.getpid()}"


def claim_batch(
    provider: Provider, *, doubtful_first: bool = False, only_doubtful: bool = False
) -> ClaimedBatch | None:
    """The next batch for this provider to post, its bytes frozen; None if there is none.

    A batch that must not be posted (everybody left, its key expired, a receipt told) is settled on the way, one that
    cannot be built is set aside, and the next is taken. While the provider does not answer, `doubtful_first` tries
    what is in doubt already, so that an outage does not put one batch after the other in doubt, each of them a few
    times; `only_doubtful` takes nothing else, for a provider whose turn it is not. What is in doubt at one provider is
    never given to another.
    """
    waiting = partial(_next_batch, provider, doubtful_first=doubtful_first, only_doubtful=only_doubtful)
    while _is_any(batches := waiting()):
        with transaction.atomic():
            # Found by itself, then read with its issue: a join might start from the edition, and sort all its batches.
            found = batches.only("pk").select_for_update(of=("self",), skip_locked=True).first()
            if found is None:
                return None
            batch = Batch.objects.select_related("edition__issue").defer(*LARGE).get(pk=found.pk)
            if claimed := _claim_or_set_aside(batch, provider):
                return claimed
    return None


def has_waiting(provider: Provider, *, doubtful_first: bool, only_doubtful: bool) -> bool:
    """Whether `claim_batch` would find a batch to look at."""
    return _is_any(_next_batch(provider, doubtful_first=doubtful_first, only_doubtful=only_doubtful))


def _is_any(batches: BatchQuerySet) -> bool:
    """Asked in their order, which is the index's; `exists` has none, and could read all finished batches first."""
    return batches.values_list("pk").first() is not None


def has_lost_recipients(claimed: ClaimedBatch) -> bool:
    """Whether any reader in its bytes may not be mailed any more; four queries."""
    batch = Batch.objects.select_related("edition__issue").defer("payload", *LARGE).get(pk=claimed.pk)
    return any(reader.obstacle for reader in recipients_of(batch, UNDER_WAY, timezone.now()))


def release_stale_claims() -> int:
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


def _next_batch(provider: Provider, *, doubtful_first: bool, only_doubtful: bool) -> BatchQuerySet:
    now = timezone.now()
    # Bytes from before providers were noted down may be anybody's.
    is_its_own = Q(provider__in=(provider_account(provider), "")) & ~Q(state=BatchState.READY)
    if doubtful_first and (probes := _probes(Batch.objects.in_doubt(now).filter(is_its_own))).exists():
        batches = probes
    elif only_doubtful:
        batches = Batch.objects.claimable(now).filter(is_its_own)
    else:
        without_room = Edition.objects.filter(issue__newsletter__in=exhausted_newsletters(now))
        has_room = Q(state=BatchState.READY) & ~Q(edition__in=without_room)
        batches = Batch.objects.claimable(now).filter(is_its_own | has_room)
    return batches


def _probes(doubtful: BatchQuerySet) -> BatchQuerySet:
    return doubtful.filter(attempts__lt=MOST_PROBES * doubtful.count())


def _claim_or_set_aside(batch: Batch, provider: Provider) -> ClaimedBatch | None:
    try:
        with transaction.atomic():
            return _claim(batch, provider)
    except DatabaseError:
        raise
    except Exception as error:
        # Whatever is wrong with this batch, the others must not wait for it.
        log.exception("batch %s cannot be built", batch.pk)
        reason = f"This batch cannot be built ({type(error).__name__}); the log says why. It is tried again."
        Batch.objects.filter(pk=batch.pk).update(lease_until=timezone.now() + SET_ASIDE, reason=reason)
        return None


def _claim(batch: Batch, provider: Provider) -> ClaimedBatch | None:
    now = timezone.now()
    in_doubt = batch.state != BatchState.READY
    if batch.attempts and settle_if_proven(batch):
        return None
    body = _same_again(batch, provider, now) if in_doubt else _freeze(batch, provider, now)
    if body is None:
        return None
    batch.state = BatchState.CLAIMED
    batch.attempts += 1
    batch.lease_until = now + LEASE
    batch.claimed_by = worker_name()
    batch.first_attempt_at, batch.last_attempt_at = batch.first_attempt_at or now, now
    batch.save()
    reached(Point.CLAIM_UNCOMMITTED)
    return ClaimedBatch(
        pk=batch.pk,
        issue_pk=batch.edition.issue_id,
        attempt=batch.attempts,
        key=batch.key,
        body=body,
        size=batch.recipients,
        in_doubt=in_doubt,
        lease_until=batch.lease_until,
    )


def _same_again(batch: Batch, provider: Provider, now: datetime.datetime) -> bytes | None:
    """The stored bytes of a batch that may have gone out; None, and held, if they may not follow (R-108, R-112)."""
    expired = batch.first_attempt_at and now - batch.first_attempt_at > provider.key_lifetime
    if expired or not provider.key_lifetime:
        hold(batch, too_late(provider))
        return None
    if any(reader.obstacle for reader in recipients_of(batch, UNDER_WAY, now)):
        hold(batch, READER_LEFT)
        return None
    return zstandard.decompress(bytes(batch.payload or b""))


def _freeze(batch: Batch, provider: Provider, now: datetime.datetime) -> bytes | None:
    """Give the batch its bytes for those who may still be mailed; None, and dropped, if nobody may."""
    readers = recipients_of(batch, (DeliveryStatus.PENDING,), now)
    _leave_out((reader for reader in readers if reader.obstacle), doubt=MAY_HAVE_IT if batch.may_be_out else "")
    included = [reader for reader in readers if not reader.obstacle]
    if not included:
        batch.state, batch.reason, batch.finished_at = BatchState.DROPPED, NOBODY_LEFT, now
        batch.save()
        return None
    room = lock_remaining(batch.edition.issue.newsletter_id, now)
    if (most := min(provider.batch_size, len(included) if room is None else room)) < len(included):
        if most:
            _cut(batch, [reader.delivery_pk for reader in included], most, provider)
        return None
    if batch.attempts:
        # Tried before, and known not to have gone out. Its readers may differ now, so its bytes may, and other
        # bytes need another key.
        batch.epoch += 1
        batch.key = batch_key(batch.edition, batch.first_delivery, batch.last_delivery, epoch=batch.epoch)
        batch.first_attempt_at = None
    body = _body(batch, included, provider)
    batch.payload, batch.payload_sha256 = zstandard.compress(body, 1), hashlib.sha256(body).hexdigest()
    batch.recipients, batch.provider = len(included), provider_account(provider)
    Delivery.objects.filter(pk__in=[reader.delivery_pk for reader in included]).update(status=DeliveryStatus.BATCHED)
    return body


def _cut(batch: Batch, keys: list[int], most: int, provider: Provider) -> None:
    """Smaller batches in the place of one that is too large for its provider, or for what may go out now."""
    if most == provider.batch_size:
        runs = [keys[start : start + most] for start in range(0, len(keys), most)]
        batch.reason = f"Cut, since {provider.name} takes {most} mails at a time."
    else:
        runs = [keys[:most], keys[most:]]
        batch.reason = f"Cut, since {most} more mails of the newsletter may go out now."
    batch.state, batch.payload, batch.finished_at = BatchState.SPLIT, None, timezone.now()
    batch.save()
    Batch.objects.bulk_create(
        Batch(
            edition=batch.edition,
            first_delivery=run[0],
            last_delivery=run[-1],
            key=batch_key(batch.edition, run[0], run[-1], epoch=1),
            may_be_out=batch.may_be_out,
            attempts=batch.attempts,
            not_before=batch.not_before,
        )
        for run in runs
    )


def _body(batch: Batch, readers: list[Recipient], provider: Provider) -> bytes:
    template = message_template(batch.edition_id, batch.edition.sha256, provider)
    values = RecipientValues(batch.edition.merges)
    return provider.join([template.fill(values.of(reader)) for reader in readers])


def _leave_out(readers: Iterable[Recipient], *, doubt: str) -> None:
    by_reason: dict[str, list[int]] = {}
    for reader in readers:
        by_reason.setdefault(f"{reader.obstacle}{doubt}", []).append(reader.delivery_pk)
    for reason, keys in by_reason.items():
        Delivery.objects.filter(pk__in=keys).update(status=DeliveryStatus.SKIPPED, reason=reason)
