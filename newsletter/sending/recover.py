"""Recover: batches whose worker ended during a post that recorded its progress.

Recorded results stand. Messages that had begun after the latest record are unknown. All others were not attempted.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import zstandard
from django.db import transaction
from django.utils import timezone

from newsletter.models import Batch, Reason
from newsletter.models.batch import ATTEMPTED, RECORDS_PROGRESS
from newsletter.providers.base import (
    MessageResult,
    PostsOneByOne,
    Provider,
    ResultKind,
    combine_results,
    provider_account,
)
from newsletter.sending.batch import ClaimedBatch
from newsletter.sending.outcome import record_outcome
from newsletter.sending.progress import results_of
from newsletter.sending.reconcile import BATCHES_PER_RUN

log = logging.getLogger(__name__)


def recover_abandoned(route: Sequence[Provider]) -> bool:
    """Record what is known about each batch whose lease ended during such a post; whether there was one."""
    # With the condition of the index of attempted batches, of which there are few.
    abandoned = Batch.objects.filter(ATTEMPTED, RECORDS_PROGRESS, lease_until__lte=timezone.now())
    pks = list(abandoned.order_by("pk").values_list("pk", flat=True)[:BATCHES_PER_RUN])
    return sum(_recover(pk, route) for pk in pks) > 0


def _recover(pk: int, route: Sequence[Provider]) -> bool:
    with transaction.atomic():
        # Its worker may live and go on: each further beginning is recorded first, which waits for this transaction.
        locked = Batch.objects.filter(RECORDS_PROGRESS, pk=pk, lease_until__lte=timezone.now())
        batch = locked.select_for_update(of=("self",), skip_locked=True).first()
        if batch is None or batch.lease_until is None:
            return False
        results = _results(batch, route)
        log.warning("Batch recovered", extra={"batch": pk, "begun": batch.begun, "recorded": len(batch.results or ())})
        claimed = ClaimedBatch(
            pk=pk,
            send_pk=batch.send_id,
            attempt=batch.attempts,
            key=batch.key,
            body=b"",
            delivery_pks=[],
            size=batch.recipients,
            is_retry=False,
            lease_until=batch.lease_until,
        )
        record_outcome(claimed, combine_results(results))
    return True


def _results(batch: Batch, route: Sequence[Provider]) -> list[MessageResult]:
    recorded, begun = results_of(batch), batch.begun or 0
    unknown = range(len(recorded), begun)
    not_attempted = MessageResult(kind=ResultKind.NOT_ATTEMPTED, code=Reason.WORKER_ENDED)
    return [*recorded, *_unknown(batch, route, unknown), *[not_attempted] * (batch.recipients - begun)]


def _unknown(batch: Batch, route: Sequence[Provider], indexes: range) -> Sequence[MessageResult]:
    for provider in route:
        if provider_account(provider) == batch.provider and isinstance(provider, PostsOneByOne):
            body = zstandard.decompress(bytes(batch.payload or b"")) if indexes else b""
            return provider.unknown_results(body, key=batch.key, indexes=indexes)
    return [MessageResult(kind=ResultKind.UNKNOWN, code=Reason.NOT_REPEATABLE)] * len(indexes)
