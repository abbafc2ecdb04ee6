"""Outcome: record what an attempt brought, as the states of its batch and its deliveries."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from django.db import transaction
from django.db.models import Q, Sum
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
    Send,
    reason_unless_delivered,
)
from newsletter.models.bulk_sql import execute_with_rows
from newsletter.models.prepared import PreparedStatement, sql_list
from newsletter.providers.base import BlockScope, MessageResult, Outcome, OutcomeKind, ResultKind
from newsletter.providers.reasons import MAX_CODE_LENGTH
from newsletter.providers.throttle import (
    MAX_BACKOFF,
    backoff_seconds,
)
from newsletter.sending.batch import (
    LARGE_EDITION_COLUMNS,
    ClaimedBatch,
)
from newsletter.sending.build import new_part, payload_columns
from newsletter.sending.recipients import deliveries_of
from newsletter.sending.reconcile import hold

log = logging.getLogger(__name__)

#: Attempts after which a mail that is refused "for now" counts as failed: with the waits between, about eight hours.
MAX_ATTEMPTS = 200

#: Shortest wait in seconds of a batch whose post failed.
MIN_BACKOFF = 0.2

#: Outcomes that stay known when the batch was held meanwhile: it was not sent, or each message's result is known.
NOT_OVERRIDDEN_BY_HOLD = {OutcomeKind.PARTIAL, OutcomeKind.RETRY_LATER, OutcomeKind.BLOCKED, OutcomeKind.REFUSED}

SET_ACCEPTED_SQL = f"""
    UPDATE newsletter_delivery SET state = '{DeliveryState.ACCEPTED}', reason = '', detail = '',
        provider_id = rows.provider_id
    FROM {{rows}} WHERE newsletter_delivery.id = rows.id
        AND newsletter_delivery.state IN ({DELIVERY_MACHINE.sql_sources(DeliveryState.ACCEPTED)})
"""  # noqa: S608 - names of states are ours

BATCH_ACCEPTED = PreparedStatement(
    f"""
    UPDATE newsletter_batch SET state = '{BatchState.ACCEPTED}', lease_until = NULL, payload = NULL, finished_at = %s,
        reason = '', reason_values = NULL
    WHERE id = %s AND state = '{BatchState.CLAIMED}' AND attempts = %s AND key = %s
    """  # noqa: S608 - names of states are ours
)
#: Locks the deliveries in the order of their keys, as the step that applies events does: two orders would block each
#: other.
DELIVERIES_ACCEPTED = PreparedStatement(
    f"""
    WITH locked AS MATERIALIZED (
        SELECT d.id, rows.provider_id
        FROM newsletter_delivery d JOIN unnest(%s::bigint[], %s::text[]) AS rows (id, provider_id) ON rows.id = d.id
        WHERE d.state IN ({sql_list(IN_FLIGHT)}) ORDER BY d.id FOR UPDATE OF d
    )
    UPDATE newsletter_delivery SET state = '{DeliveryState.ACCEPTED}', reason = '', detail = '',
        provider_id = locked.provider_id
    FROM locked WHERE newsletter_delivery.id = locked.id
    """,  # noqa: S608 - names of states are ours
    sqlite=f"""
    UPDATE newsletter_delivery SET state = '{DeliveryState.ACCEPTED}', reason = '', detail = '', provider_id = ids.value
    FROM json_each(%s) pks JOIN json_each(%s) ids ON ids.key = pks.key
    WHERE newsletter_delivery.id = pks.value AND state IN ({sql_list(IN_FLIGHT)})
    """,  # noqa: S608 - names of states are ours
)


def record_outcome(claimed: ClaimedBatch, outcome: Outcome) -> None:
    """Record the outcome of an attempt if it is the latest of the batch, or if it proves that the batch was accepted.

    Another worker may have taken over after the lease, with the same bytes under the same key. Its record replaces this
    one, with one exception: ids from any attempt prove that the batch was accepted. A batch that was held after this
    attempt has not been posted again, so a conclusive outcome of its latest attempt is still recorded.
    """
    details = {"batch": claimed.pk, "attempt": claimed.attempt, "outcome": outcome.kind.value, "code": outcome.code}
    log.info("Batch attempted", extra=details)
    if outcome.kind is OutcomeKind.ACCEPTED and _record_accepted(claimed, outcome.ids):
        return
    untouched = (
        (BatchState.CLAIMED, BatchState.HELD) if outcome.kind in NOT_OVERRIDDEN_BY_HOLD else (BatchState.CLAIMED,)
    )
    is_latest = Q(state__in=untouched, attempts=claimed.attempt)
    is_open = Q(state__in=(BatchState.CLAIMED, BatchState.UNKNOWN, BatchState.HELD), key=claimed.key)
    with transaction.atomic():
        found = Batch.objects.filter(is_open if outcome.kind is OutcomeKind.ACCEPTED else is_latest, pk=claimed.pk)
        batch = (
            found.select_for_update(of=("self",)).select_related("edition__issue").defer(*LARGE_EDITION_COLUMNS).first()
        )
        if batch is None:
            log.warning("Outcome not recorded: the batch has a newer attempt, or is settled", extra=details)
            return
        OUTCOME_HANDLERS[outcome.kind](batch, outcome, claimed)
        failpoint(Point.OUTCOME_UNCOMMITTED)
    failpoint(Point.OUTCOME_COMMITTED)


def _record_accepted(claimed: ClaimedBatch, ids: Sequence[str]) -> bool:
    """Record that all messages of the latest attempt were accepted; False, and nothing recorded, in any other case."""
    pks = claimed.delivery_pks
    with transaction.atomic():
        is_recorded = (
            len(pks) == len(ids)
            and BATCH_ACCEPTED.execute(timezone.now(), claimed.pk, claimed.attempt, claimed.key) == 1
            and DELIVERIES_ACCEPTED.execute(pks, list(ids)) == len(pks)
        )
        if is_recorded:
            failpoint(Point.OUTCOME_UNCOMMITTED)
        else:
            transaction.set_rollback(True)
    if is_recorded:
        failpoint(Point.OUTCOME_COMMITTED)
    return is_recorded


def _batch_reason(outcome: Outcome | MessageResult) -> dict[str, Any]:
    """The reason of an outcome, as a batch stores it."""
    return {"reason": outcome.code[:MAX_CODE_LENGTH], "reason_values": _text(outcome) if outcome.detail else None}


def _delivery_reason(outcome: Outcome | MessageResult) -> dict[str, str]:
    """The same, as a delivery stores it."""
    return {"reason": outcome.code[:MAX_CODE_LENGTH], "detail": outcome.detail[:200]}


def _further_reason(outcome: Outcome) -> dict[str, Any]:
    """The same, as values of another reason that it explains."""
    return {"reasons": [[outcome.code, _text(outcome)]]}


def _text(outcome: Outcome | MessageResult) -> dict[str, str]:
    return {"text": outcome.detail[:500]}


def _accept(batch: Batch, outcome: Outcome, claimed: ClaimedBatch) -> None:
    # In the order of their keys, as the step that applies events locks them: two orders would block each other.
    in_bytes = deliveries_of(batch).filter(state__in=IN_FLIGHT)
    if batch.may_be_partly_sent and claimed.delivery_pks:
        # Events may have settled some of them since it was held.
        in_bytes = deliveries_of(batch).filter(pk__in=claimed.delivery_pks)
    pks = list(in_bytes.select_for_update().values_list("pk", flat=True))
    if len(pks) != len(outcome.ids):
        hold(batch, Reason.ID_COUNT_DIFFERS, {"ids": len(outcome.ids), "deliveries": len(pks)})
        return
    execute_with_rows(SET_ACCEPTED_SQL, {"id": "bigint", "provider_id": "text"}, zip(pks, outcome.ids, strict=True))
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
    is_stopped_elsewhere = outcome.scope is not BlockScope.QUOTA or outcome.retry_after is not None
    if is_stopped_elsewhere and not claimed.is_retry:
        _make_ready(batch, outcome, wait=datetime.timedelta(0))
    else:
        _retry_later(batch, outcome, claimed)
    if outcome.scope is BlockScope.ISSUE:
        _pause(batch, Reason.ISSUE_REFUSED, outcome)


def _pause(batch: Batch, reason: Reason, outcome: Outcome) -> None:
    send = Send.objects.defer("manifest").get(pk=batch.send_id)
    if not send.pause_if_sending(reason, values=_further_reason(outcome)):
        # Paused or cancelled meanwhile: it has stopped, as wanted.
        log.info("Send not paused: it is not sending any more", extra={"send": send.pk})


def _split(batch: Batch, outcome: Outcome, claimed: ClaimedBatch) -> None:
    """Two halves under keys of their own find the invalid message in a few posts; alone, it is refused."""
    pks = list(deliveries_of(batch).filter(state__in=IN_FLIGHT).values_list("pk", flat=True))
    if claimed.is_retry:
        hold(batch, Reason.REFUSED_AFTER_UNKNOWN, _further_reason(outcome))
    elif len(pks) == 1:
        _refuse(batch, pks, outcome)
    else:
        middle = len(pks) // 2
        DELIVERY_MACHINE.move(Delivery.objects.filter(pk__in=pks), DeliveryState.PENDING)
        _finish(batch, BatchState.SPLIT, **_batch_reason(outcome))
        # Before all others, so that an invalid message, or a fault of all messages, is found within a few posts.
        first = batch.not_before - datetime.timedelta(days=1)
        # An event of an attempt before "Send again", or before a restore, must still settle a half; only attempted
        # batches are settled.
        attempts = batch.attempts if batch.may_be_duplicate or batch.may_be_partly_sent else 0
        halves = (pks[:middle], pks[middle:])
        Batch.objects.bulk_create(new_part(batch, half, attempts=attempts, not_before=first) for half in halves)


def _refuse(batch: Batch, pks: list[int], outcome: Outcome) -> None:
    deliveries = Delivery.objects.filter(pk__in=pks)
    DELIVERY_MACHINE.move(deliveries, DeliveryState.FAILED, **_delivery_reason(outcome))
    _finish(batch, BatchState.REFUSED, **_batch_reason(outcome))
    _pause_if_nothing_is_accepted(batch, outcome)


def _pause_if_nothing_is_accepted(batch: Batch, outcome: Outcome) -> None:
    """With two refused and none accepted, the recipients are not the cause. Going on would refuse everything."""
    batches = Batch.objects.filter(send=batch.send_id)
    refused = batches.filter(state=BatchState.REFUSED).aggregate(recipients=Sum("recipients"))["recipients"] or 0
    if refused > 1 and not batches.filter(state=BatchState.ACCEPTED).exists():
        _pause(batch, Reason.NOTHING_ACCEPTED, outcome)


def _keep_unknown(batch: Batch, outcome: Outcome, claimed: ClaimedBatch) -> None:
    not_before = timezone.now() + _wait(outcome, batch.attempts)
    BATCH_MACHINE.move_row(batch, BatchState.UNKNOWN, lease_until=None, not_before=not_before, **_batch_reason(outcome))
    in_flight = deliveries_of(batch).filter(state__in=IN_FLIGHT)
    words = _delivery_reason(outcome)
    reason = reason_unless_delivered(words["reason"])
    DELIVERY_MACHINE.move(in_flight, DeliveryState.UNKNOWN, reason=reason, detail=words["detail"])


def _record_each(batch: Batch, outcome: Outcome, claimed: ClaimedBatch) -> None:
    """Messages with different results: neighbours with the same kind of result become a batch of their own."""
    in_flight = deliveries_of(batch).filter(state__in=IN_FLIGHT).select_for_update()
    pks = list(in_flight.values_list("pk", flat=True))
    if claimed.is_retry:
        if {result.kind for result in outcome.results} <= MAY_BE_REPEATED:
            _keep_unknown(batch, outcome, claimed)
        else:
            hold(batch, Reason.REFUSED_AFTER_UNKNOWN, _further_reason(outcome))
        return
    if len(pks) != len(outcome.results):
        hold(batch, Reason.RESULT_COUNT_DIFFERS, {"results": len(outcome.results), "deliveries": len(pks)})
        return
    results = [
        (pk, _refused_after_last_attempt(result, batch.attempts))
        for pk, result in zip(pks, outcome.results, strict=True)
    ]
    _move_deliveries(results)
    groups = [list(group) for _kind, group in groupby(results, key=lambda row: (row[1].kind, row[1].repeat))]
    if len(groups) == 1:
        _finish_part(batch, groups[0], outcome)
    else:
        parts = Batch.objects.bulk_create(_copy_of(batch, [pk for pk, _result in group]) for group in groups)
        _finish(batch, BatchState.SPLIT, **_batch_reason(outcome))
        for part, group in zip(parts, groups, strict=True):
            _finish_part(part, group, outcome)
    if any(result.kind is ResultKind.REFUSED for _pk, result in results):
        _pause_if_nothing_is_accepted(batch, outcome)


def _refused_after_last_attempt(result: MessageResult, attempts: int) -> MessageResult:
    if result.kind is ResultKind.RETRY_LATER and attempts >= MAX_ATTEMPTS:
        return MessageResult(kind=ResultKind.REFUSED, code=Reason.TOO_MANY_ATTEMPTS, detail=result.detail)
    return result


#: Results of a repeat after which it may be repeated once more: they prove nothing about the attempt before.
MAY_BE_REPEATED = {ResultKind.UNKNOWN, ResultKind.RETRY_LATER, ResultKind.NOT_ATTEMPTED}

#: The state of a delivery after each result of its message. PENDING deliveries count as never attempted.
STATE_AFTER = {
    ResultKind.REFUSED: DeliveryState.FAILED,
    ResultKind.UNKNOWN: DeliveryState.UNKNOWN,
    ResultKind.RETRY_LATER: DeliveryState.PENDING,
    ResultKind.NOT_ATTEMPTED: DeliveryState.PENDING,
    ResultKind.BLOCKED: DeliveryState.PENDING,
}


def _move_deliveries(results: list[tuple[int, MessageResult]]) -> None:
    accepted = [(pk, result.id) for pk, result in results if result.kind is ResultKind.ACCEPTED]
    execute_with_rows(SET_ACCEPTED_SQL, {"id": "bigint", "provider_id": "text"}, accepted)
    others: dict[tuple[DeliveryState, str, str], list[int]] = {}
    for pk, result in results:
        if result.kind in STATE_AFTER:
            state, words = STATE_AFTER[result.kind], _delivery_reason(result)
            if state is DeliveryState.PENDING:
                words = {"reason": "", "detail": ""}
            others.setdefault((state, words["reason"], words["detail"]), []).append(pk)
    for (state, code, detail), pks in others.items():
        reason = reason_unless_delivered(code)
        DELIVERY_MACHINE.move(Delivery.objects.filter(pk__in=pks), state, reason=reason, detail=detail)


def _copy_of(batch: Batch, pks: list[int]) -> Batch:
    """A claimed batch for a part of another one. It keeps the posted bytes, which a later search may need as proof."""
    return new_part(
        batch,
        pks,
        state=BatchState.CLAIMED,
        provider=batch.provider,
        attempts=batch.attempts,
        first_attempt_at=batch.first_attempt_at,
        last_attempt_at=batch.last_attempt_at,
        payload=batch.payload,
        payload_sha256=batch.payload_sha256,
    )


def _finish_part(batch: Batch, group: list[tuple[int, MessageResult]], outcome: Outcome) -> None:
    """Move a claimed batch to the state that follows from the result its messages share."""
    result, now = group[0][1], timezone.now()
    changes = {**_batch_reason(result), "recipients": len(group), "lease_until": None}
    if result.repeat:
        changes |= payload_columns(result.repeat)
        BATCH_MACHINE.move_row(batch, BatchState.UNKNOWN, not_before=now + _wait(outcome, batch.attempts), **changes)
    elif result.kind is ResultKind.UNKNOWN:
        BATCH_MACHINE.move_row(batch, BatchState.HELD, **changes)
    elif result.kind is ResultKind.ACCEPTED:
        _finish(batch, BatchState.ACCEPTED, **changes)
    elif result.kind is ResultKind.REFUSED:
        _finish(batch, BatchState.REFUSED, **changes)
    elif result.kind is ResultKind.RETRY_LATER:
        wait = _wait(outcome, batch.attempts)
        BATCH_MACHINE.move_row(
            batch, BatchState.READY, payload=None, first_attempt_at=None, not_before=now + wait, **changes
        )
    else:
        # The attempt did not reach these messages, so it does not count and they need not wait.
        attempts = batch.attempts - 1
        BATCH_MACHINE.move_row(
            batch, BatchState.READY, payload=None, first_attempt_at=None, not_before=now, attempts=attempts, **changes
        )


def _hold_conflict(batch: Batch, outcome: Outcome, claimed: ClaimedBatch) -> None:
    hold(batch, outcome.code, _text(outcome))


OUTCOME_HANDLERS: dict[OutcomeKind, Callable[[Batch, Outcome, ClaimedBatch], None]] = {
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
    BATCH_MACHINE.move_row(
        batch, BatchState.READY, payload=None, lease_until=None, not_before=not_before, **_batch_reason(outcome)
    )
    in_flight = deliveries_of(batch).filter(state__in=IN_FLIGHT)
    DELIVERY_MACHINE.move(in_flight, DeliveryState.PENDING, reason=reason_unless_delivered(), detail="")


def _finish(batch: Batch, state: BatchState, **changes: Any) -> None:
    changes = {"lease_until": None, "payload": None, "finished_at": timezone.now(), **changes}
    BATCH_MACHINE.move_row(batch, state, **changes)


def _wait(outcome: Outcome, attempts: int) -> datetime.timedelta:
    """The provider's Retry-After, else exponential backoff with full jitter, so that workers do not retry all at once.

    At most five minutes, even if the provider asks for more: a retry costs little.
    """
    seconds = outcome.retry_after or max(MIN_BACKOFF, backoff_seconds(attempts + 1, circuit_open=False))
    return datetime.timedelta(seconds=min(seconds, MAX_BACKOFF))
