"""Post: send a claimed batch's bytes, and record what is known afterwards.

No transaction is open during the post. If the process dies between the answer and its record, the outcome is unknown,
and the same bytes under the same key bring the same answer.
"""

from __future__ import annotations

import datetime
import logging
import math
import random
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import Q, Sum
from django.utils import timezone
from structlog.contextvars import bound_contextvars

from newsletter.config.failpoints import Point, reached
from newsletter.config.tracing import span
from newsletter.models import (
    BATCH,
    DELIVERY,
    IN_FLIGHT,
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    Reason,
    Send,
    SendState,
)
from newsletter.models.bulk_sql import execute_with_rows
from newsletter.providers.base import BlockScope, MessageResult, Outcome, OutcomeKind, Provider, ResultKind
from newsletter.providers.throttle import (
    MAX_BACKOFF,
    Permit,
    acquire_permit,
    release_permit,
    route_statuses,
    update_throttle,
)
from newsletter.sending.batch import LARGE, ClaimedBatch, claim_batch, has_lost_recipients, has_waiting, part_of
from newsletter.sending.provider_outage import follow_provider_outages
from newsletter.sending.recipients import deliveries_of
from newsletter.sending.reconcile import hold

log = logging.getLogger(__name__)

#: Attempts after which a mail that is refused "for now" counts as failed: with the waits between, about eight hours.
MAX_ATTEMPTS = 200

#: Seconds until a batch that did not get to its post is tried again: nothing is wrong with it.
SOON = 1.0

#: After waiting this many seconds for a permit, a batch's recipients are checked once more.
LONG_WAIT = 0.1

#: Outcomes that stay known when the batch was held meanwhile: it was not sent, or each message's result is known.
CONCLUSIVE = {OutcomeKind.PARTIAL, OutcomeKind.RETRY_LATER, OutcomeKind.BLOCKED, OutcomeKind.REFUSED}

RECORD_IDS = f"""
    UPDATE newsletter_delivery SET state = '{DeliveryState.ACCEPTED}', reason = '', detail = '',
        provider_id = rows.provider_id
    FROM {{rows}} WHERE newsletter_delivery.id = rows.id
        AND newsletter_delivery.state IN ({DELIVERY.sql_sources(DeliveryState.ACCEPTED)})
"""  # noqa: S608 - names of states are ours


def post_next(route: Sequence[Provider]) -> bool:
    """Post one batch if one is due and a provider of the route may have it now; whether one was posted.

    New batches go to the first available provider. The others are asked only for batches whose outcome is unknown
    there, because those may be posted again nowhere else.
    """
    for provider, status, is_first in route_statuses(route):
        if status.wait > 0:
            continue
        claimed = claim_batch(provider, retries_first=status.last_call_failed, only_retries=not is_first)
        if claimed is not None:
            reached(Point.CLAIM_COMMITTED)
            with bound_contextvars(batch=claimed.pk, send=claimed.send_pk):
                post_claimed(claimed, provider, route)
            return True
    return False


def post_claimed(claimed: ClaimedBatch, provider: Provider, route: Sequence[Provider]) -> None:
    """Wait for a permit, post, and record.

    A batch that gets no permit, or must not be posted any more when it gets one, goes back: it was not sent.
    """
    try:
        permit = acquire_permit(provider)
        blocked_by = _blocked_by(claimed, permit)
    except DatabaseError:
        # That nothing was posted is known only if it is recorded: otherwise the outcome would be unknown.
        record_outcome(claimed, _not_posted(Reason.DATABASE_FAILED))
        raise
    if permit is None or blocked_by:
        if permit:
            release_permit(permit)
        record_outcome(claimed, _not_posted(blocked_by or Reason.NO_PERMIT))
        return
    outcome = _post(claimed, provider)
    # The outcome comes first: it may be the only proof that the mails were sent, and the throttle is learned again.
    record_outcome(claimed, outcome)
    update_throttle(permit, outcome)
    if outcome.kind is OutcomeKind.BLOCKED:
        follow_provider_outages(route)


def _not_posted(reason: Reason) -> Outcome:
    return Outcome(kind=OutcomeKind.RETRY_LATER, code=reason, retry_after=SOON)


def _blocked_by(claimed: ClaimedBatch, permit: Permit | None) -> Reason | None:
    """Why this batch must not be posted now, looked at again because a permit may take seconds to come."""
    if permit is None:
        return Reason.NO_PERMIT
    if not claimed.has_lease():
        return Reason.LEASE_LOST
    if not Send.objects.filter(pk=claimed.send_pk, state=SendState.SENDING).exists():
        return Reason.SEND_STOPPED
    if permit.waited >= LONG_WAIT and has_lost_recipients(claimed):
        return Reason.RECIPIENT_LEFT
    return None


def seconds_until_post(route: Sequence[Provider]) -> float | None:
    """Seconds until a waiting batch may be posted; None if none waits, or if it takes an operator or a day."""
    statuses = list(route_statuses(route))
    any_first = any(is_first for _provider, _status, is_first in statuses)
    seconds = [
        status.wait
        for provider, status, is_first in statuses
        if has_waiting(provider, retries_first=status.last_call_failed, only_retries=any_first and not is_first)
    ]
    soonest = min(seconds, default=math.inf)
    return soonest if soonest <= MAX_BACKOFF else None


def _post(claimed: ClaimedBatch, provider: Provider) -> Outcome:
    with span("post", batch=claimed.pk, send=claimed.send_pk, attempt=claimed.attempt, mails=claimed.size) as work:
        outcome = provider.post_batch(claimed.body, key=claimed.key, size=claimed.size)
        work.note(outcome=outcome.kind.value)
    return outcome


def record_outcome(claimed: ClaimedBatch, outcome: Outcome) -> None:
    """Record the outcome of an attempt if it is the latest of the batch, or if it proves that the batch was accepted.

    Another worker may have taken over after the lease, with the same bytes under the same key. Its record replaces this
    one, with one exception: ids from any attempt prove that the batch was accepted. A batch that was held after this
    attempt has not been posted again, so a conclusive outcome of its latest attempt is still recorded.
    """
    log.info("batch %s attempt %s: %s %s", claimed.pk, claimed.attempt, outcome.kind.value, outcome.code)
    untouched = (BatchState.CLAIMED, BatchState.HELD) if outcome.kind in CONCLUSIVE else (BatchState.CLAIMED,)
    is_latest = Q(state__in=untouched, attempts=claimed.attempt)
    is_open = Q(state__in=(BatchState.CLAIMED, BatchState.UNKNOWN, BatchState.HELD), key=claimed.key)
    with transaction.atomic():
        found = Batch.objects.filter(is_open if outcome.kind is OutcomeKind.ACCEPTED else is_latest, pk=claimed.pk)
        batch = found.select_for_update(of=("self",)).select_related("edition__issue").defer(*LARGE).first()
        if batch is None:
            log.warning(
                "Outcome not recorded: the batch has a newer attempt, or is settled",
                extra={"batch": claimed.pk, "attempt": claimed.attempt, "outcome": outcome.kind.value},
            )
            return
        RECORD[outcome.kind](batch, outcome, claimed)
        reached(Point.OUTCOME_UNCOMMITTED)
    reached(Point.OUTCOME_COMMITTED)


def _reason_of(outcome: Outcome | MessageResult) -> dict[str, Any]:
    """The reason of an outcome as a batch stores it."""
    return {"reason": outcome.code[:64], "reason_values": {"text": outcome.detail[:500]} if outcome.detail else None}


def _accept(batch: Batch, outcome: Outcome, claimed: ClaimedBatch) -> None:
    # In the order of their keys, as the step that applies events locks them: two orders would block each other.
    in_flight = deliveries_of(batch).filter(state__in=IN_FLIGHT).select_for_update()
    keys = list(in_flight.values_list("pk", flat=True))
    if len(keys) != len(outcome.ids):
        hold(batch, Reason.ID_COUNT_DIFFERS, {"ids": len(outcome.ids), "deliveries": len(keys)})
        return
    execute_with_rows(RECORD_IDS, {"id": "bigint", "provider_id": "text"}, zip(keys, outcome.ids, strict=True))
    _finish(batch, BatchState.ACCEPTED, reason="", reason_values=None)


def _retry_later(batch: Batch, outcome: Outcome, claimed: ClaimedBatch) -> None:
    if claimed.is_retry:
        # This attempt was not sent; the one before may have been. Only the same bytes may follow.
        _keep_unknown(batch, outcome, claimed)
        return
    _make_ready(batch, outcome, wait=_wait(outcome, batch.attempts))


def _block(batch: Batch, outcome: Outcome, claimed: ClaimedBatch) -> None:
    """A problem of the issue pauses its send; one of the account is left to `follow_provider_outages`.

    The pause or the throttle says until when. A wait of the batch's own would keep it from another provider, and would
    delay it once an operator resumes the send.
    """
    has_end = outcome.scope is not BlockScope.QUOTA or outcome.retry_after is not None
    if has_end and not claimed.is_retry:
        _make_ready(batch, outcome, wait=datetime.timedelta(0))
    else:
        _retry_later(batch, outcome, claimed)
    if outcome.scope is BlockScope.ISSUE:
        _pause(batch, Reason.ISSUE_REFUSED, outcome)


def _pause(batch: Batch, reason: Reason, outcome: Outcome) -> None:
    values = {"reasons": [[outcome.code, {"text": outcome.detail[:500]}]]}
    if not Send.objects.defer("manifest").get(pk=batch.send_id).pause_if_sending(reason, values=values):
        # Paused or cancelled meanwhile: it has stopped, as wanted.
        log.info("send %s is not sending any more", batch.send_id)


def _split(batch: Batch, outcome: Outcome, claimed: ClaimedBatch) -> None:
    """Two halves under keys of their own find the invalid message in a few posts; alone, it is refused."""
    keys = list(deliveries_of(batch).filter(state__in=IN_FLIGHT).values_list("pk", flat=True))
    if claimed.is_retry:
        reasons = [[outcome.code, {"text": outcome.detail[:500]}]]
        hold(batch, Reason.REFUSED_AFTER_UNKNOWN, {"reasons": reasons})
    elif len(keys) == 1:
        _refuse(batch, keys, outcome)
    else:
        middle = len(keys) // 2
        DELIVERY.move(Delivery.objects.filter(pk__in=keys), DeliveryState.PENDING)
        _finish(batch, BatchState.SPLIT, **_reason_of(outcome))
        # Before all others, so that an invalid message, or a fault of all messages, is found within a few posts.
        first = batch.not_before - datetime.timedelta(days=1)
        Batch.objects.bulk_create(part_of(batch, half, not_before=first) for half in (keys[:middle], keys[middle:]))


def _refuse(batch: Batch, keys: list[int], outcome: Outcome) -> None:
    deliveries = Delivery.objects.filter(pk__in=keys)
    DELIVERY.move(deliveries, DeliveryState.FAILED, reason=outcome.code[:64], detail=outcome.detail[:200])
    _finish(batch, BatchState.REFUSED, **_reason_of(outcome))
    _pause_if_nothing_is_accepted(batch, outcome)


def _pause_if_nothing_is_accepted(batch: Batch, outcome: Outcome) -> None:
    """With two refused and none accepted, the recipients are not the cause. Going on would refuse everything."""
    batches = Batch.objects.filter(send=batch.send_id)
    refused = batches.filter(state=BatchState.REFUSED).aggregate(recipients=Sum("recipients"))["recipients"] or 0
    if refused > 1 and not batches.filter(state=BatchState.ACCEPTED).exists():
        _pause(batch, Reason.NOTHING_ACCEPTED, outcome)


def _keep_unknown(batch: Batch, outcome: Outcome, claimed: ClaimedBatch) -> None:
    not_before = timezone.now() + _wait(outcome, batch.attempts)
    BATCH.move_row(batch, BatchState.UNKNOWN, lease_until=None, not_before=not_before, **_reason_of(outcome))
    in_flight = deliveries_of(batch).filter(state__in=IN_FLIGHT)
    DELIVERY.move(in_flight, DeliveryState.UNKNOWN, reason=outcome.code[:64], detail=outcome.detail[:200])


def _record_each(batch: Batch, outcome: Outcome, claimed: ClaimedBatch) -> None:
    """Messages that ended differently: neighbours with the same end become a batch of their own."""
    in_flight = deliveries_of(batch).filter(state__in=IN_FLIGHT).select_for_update()
    keys = list(in_flight.values_list("pk", flat=True))
    if claimed.is_retry:
        hold(batch, Reason.REFUSED_AFTER_UNKNOWN, {"reasons": [[outcome.code, {"text": outcome.detail[:500]}]]})
        return
    if len(keys) != len(outcome.results):
        hold(batch, Reason.RESULT_COUNT_DIFFERS, {"results": len(outcome.results), "deliveries": len(keys)})
        return
    ends = [
        (key, _refused_after_last_attempt(result, batch.attempts))
        for key, result in zip(keys, outcome.results, strict=True)
    ]
    _mark_each(ends)
    runs = [list(run) for _kind, run in groupby(ends, key=lambda end: end[1].kind)]
    if len(runs) == 1:
        _end(batch, runs[0], outcome)
    else:
        parts = Batch.objects.bulk_create(_copy_of(batch, [key for key, _result in run]) for run in runs)
        _finish(batch, BatchState.SPLIT, **_reason_of(outcome))
        for part, run in zip(parts, runs, strict=True):
            _end(part, run, outcome)
    if any(result.kind is ResultKind.REFUSED for _key, result in ends):
        _pause_if_nothing_is_accepted(batch, outcome)


def _refused_after_last_attempt(result: MessageResult, attempts: int) -> MessageResult:
    if result.kind is ResultKind.RETRY_LATER and attempts >= MAX_ATTEMPTS:
        return MessageResult(kind=ResultKind.REFUSED, code=Reason.TOO_MANY_ATTEMPTS, detail=result.detail)
    return result


#: The state of a delivery after each result of its message. PENDING deliveries count as never attempted.
STATE_AFTER = {
    ResultKind.REFUSED: DeliveryState.FAILED,
    ResultKind.UNKNOWN: DeliveryState.UNKNOWN,
    ResultKind.RETRY_LATER: DeliveryState.PENDING,
    ResultKind.NOT_ATTEMPTED: DeliveryState.PENDING,
    ResultKind.BLOCKED: DeliveryState.PENDING,
}


def _mark_each(ends: list[tuple[int, MessageResult]]) -> None:
    accepted = [(key, result.id) for key, result in ends if result.kind is ResultKind.ACCEPTED]
    execute_with_rows(RECORD_IDS, {"id": "bigint", "provider_id": "text"}, accepted)
    others: dict[tuple[DeliveryState, str, str], list[int]] = {}
    for key, result in ends:
        if result.kind in STATE_AFTER:
            state = STATE_AFTER[result.kind]
            reason, detail = ("", "") if state is DeliveryState.PENDING else (result.code[:64], result.detail[:200])
            others.setdefault((state, reason, detail), []).append(key)
    for (state, reason, detail), keys in others.items():
        DELIVERY.move(Delivery.objects.filter(pk__in=keys), state, reason=reason, detail=detail)


def _copy_of(batch: Batch, keys: list[int]) -> Batch:
    """A claimed batch for a part of another one. It keeps the posted bytes, which a later search may need as proof."""
    return part_of(
        batch,
        keys,
        state=BatchState.CLAIMED,
        provider=batch.provider,
        attempts=batch.attempts,
        first_attempt_at=batch.first_attempt_at,
        last_attempt_at=batch.last_attempt_at,
        payload=batch.payload,
        payload_sha256=batch.payload_sha256,
    )


def _end(batch: Batch, run: list[tuple[int, MessageResult]], outcome: Outcome) -> None:
    """Move a claimed batch to the state that follows from the result its messages share."""
    result, now = run[0][1], timezone.now()
    changes = {**_reason_of(result), "recipients": len(run), "lease_until": None}
    if result.kind is ResultKind.UNKNOWN:
        BATCH.move_row(batch, BatchState.HELD, **changes)
    elif result.kind is ResultKind.ACCEPTED:
        _finish(batch, BatchState.ACCEPTED, **changes)
    elif result.kind is ResultKind.REFUSED:
        _finish(batch, BatchState.REFUSED, **changes)
    elif result.kind is ResultKind.RETRY_LATER:
        wait = _wait(outcome, batch.attempts)
        BATCH.move_row(batch, BatchState.READY, payload=None, first_attempt_at=None, not_before=now + wait, **changes)
    else:
        # The attempt did not reach these messages, so it does not count and they need not wait.
        attempts = batch.attempts - 1
        BATCH.move_row(
            batch, BatchState.READY, payload=None, first_attempt_at=None, not_before=now, attempts=attempts, **changes
        )


def _hold_conflict(batch: Batch, outcome: Outcome, claimed: ClaimedBatch) -> None:
    hold(batch, outcome.code, {"text": outcome.detail[:500]})


RECORD: dict[OutcomeKind, Callable[[Batch, Outcome, ClaimedBatch], None]] = {
    OutcomeKind.ACCEPTED: _accept,
    OutcomeKind.RETRY_LATER: _retry_later,
    OutcomeKind.BLOCKED: _block,
    OutcomeKind.REFUSED: _split,
    OutcomeKind.UNKNOWN: _keep_unknown,
    OutcomeKind.KEY_CONFLICT: _hold_conflict,
    OutcomeKind.PARTIAL: _record_each,
}


def _make_ready(batch: Batch, outcome: Outcome, *, wait: datetime.timedelta) -> None:
    """Known not to have been sent: the bytes are dropped, and recipients are checked again at the next claim."""
    not_before = timezone.now() + wait
    BATCH.move_row(
        batch, BatchState.READY, payload=None, lease_until=None, not_before=not_before, **_reason_of(outcome)
    )
    in_flight = deliveries_of(batch).filter(state__in=IN_FLIGHT)
    DELIVERY.move(in_flight, DeliveryState.PENDING, reason="", detail="")


def _finish(batch: Batch, state: BatchState, **changes: Any) -> None:
    changes = {"lease_until": None, "payload": None, "finished_at": timezone.now(), **changes}
    BATCH.move_row(batch, state, **changes)


def _wait(outcome: Outcome, attempts: int) -> datetime.timedelta:
    """The provider's Retry-After, else exponential backoff with full jitter, so that workers do not retry all at once.

    At most five minutes, even if the provider asks for more: a retry costs little.
    """
    longest = min(MAX_BACKOFF, 2.0 ** min(attempts, 12))
    jittered = random.uniform(0.2, longest)  # noqa: S311 - spreads load; not a secret
    return datetime.timedelta(seconds=min(outcome.retry_after or jittered, MAX_BACKOFF))
