"""Post: send a claimed batch's bytes, and record what is known afterwards.

No transaction is open while the post runs. If the process dies between the answer and its record, the batch is in
doubt, and the same bytes under the same key bring the same answer.
"""

from __future__ import annotations

import datetime
import logging
import math
import random
from collections.abc import Callable, Sequence
from itertools import groupby

from django.db import DatabaseError, transaction
from django.db.models import Q, Sum
from django.utils import timezone
from structlog.contextvars import bound_contextvars

from newsletter.config.failpoints import Point, reached
from newsletter.config.tracing import span
from newsletter.models import Batch, BatchState, Delivery, DeliveryStatus, InvalidTransition, Issue, IssueStatus
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
from newsletter.sending.batch import LARGE, ClaimedBatch, claim_batch, has_lost_recipients, has_waiting
from newsletter.sending.keys import batch_key
from newsletter.sending.provider_outage import follow_provider_outages
from newsletter.sending.recipients import UNDER_WAY, deliveries_of
from newsletter.sending.reconcile import hold

log = logging.getLogger(__name__)

#: How often a reader's mail is refused for now until that counts for good; with the waits between, about eight hours.
MOST_TRIES = 200

#: Seconds until a batch has its next turn that did not come to its post: nothing is wrong with it.
SOON = 1.0

#: Seconds of waiting for a permit in which readers may have left: they are looked at once more.
LONG_WAIT = 0.1

#: What is known not to have been posted, or posted for sure, stays known when the batch was held meanwhile.
KNOWN = {OutcomeKind.PARTIAL, OutcomeKind.RETRY_LATER, OutcomeKind.BLOCKED, OutcomeKind.REFUSED}

RECORD_IDS = """
    UPDATE newsletter_delivery SET status = 'accepted', reason = '', provider_id = given.provider_id
    FROM {given} WHERE newsletter_delivery.id = given.id
"""


def post_next(route: Sequence[Provider]) -> bool:
    """Post one batch if one is due and a provider of the route may have it now; whether one was posted.

    New batches go to the first that takes mail. The others are asked only for their own that are in doubt, since those
    may be posted again nowhere else.
    """
    for provider, seen, is_its_turn in route_statuses(route):
        if seen.wait > 0:
            continue
        claimed = claim_batch(provider, doubtful_first=seen.last_call_failed, only_doubtful=not is_its_turn)
        if claimed is not None:
            reached(Point.CLAIM_COMMITTED)
            with bound_contextvars(batch=claimed.pk, issue=claimed.issue_pk):
                post_claimed(claimed, provider, route)
            return True
    return False


def post_claimed(claimed: ClaimedBatch, provider: Provider, route: Sequence[Provider]) -> None:
    """Wait for a permit, post, and record.

    A batch whose permit does not come, or that must not be posted any more when it comes, goes back: known not to have
    gone out.
    """
    try:
        permit = acquire_permit(provider)
        obstacle = _obstacle_to(claimed, permit)
    except DatabaseError:
        # That nothing was posted is known only if it is written down: else it would be in doubt, by SMTP for good.
        record_outcome(claimed, Outcome(kind=OutcomeKind.RETRY_LATER, code="database_error", retry_after=SOON))
        raise
    if permit is None or obstacle:
        if permit:
            release_permit(permit)
        record_outcome(claimed, Outcome(kind=OutcomeKind.RETRY_LATER, code=obstacle, retry_after=SOON))
        return
    outcome = _post(claimed, provider)
    update_throttle(permit, outcome)
    record_outcome(claimed, outcome)
    if outcome.kind is OutcomeKind.BLOCKED:
        follow_provider_outages(route)


def _obstacle_to(claimed: ClaimedBatch, permit: Permit | None) -> str:
    """The code of the reason why this batch must not be posted now; empty if it may be.

    A permit may take seconds to come, and each worker may have a batch that waits for one (R-111, R-120).
    """
    if permit is None:
        return "permit_unavailable"
    if not claimed.is_still_ours():
        return "lease_expired"
    if not Issue.objects.filter(pk=claimed.issue_pk, status=IssueStatus.SENDING).exists():
        return "send_stopped"
    if permit.waited >= LONG_WAIT and has_lost_recipients(claimed):
        return "recipient_left"
    return ""


def seconds_until_post(route: Sequence[Provider]) -> float | None:
    """Until a batch that waits may be posted; None if none waits, or if only a person or a day can help."""
    looks = list(route_statuses(route))
    anybodys_turn = any(is_its_turn for _provider, _seen, is_its_turn in looks)
    seconds = [
        seen.wait
        for provider, seen, is_its_turn in looks
        if has_waiting(provider, doubtful_first=seen.last_call_failed, only_doubtful=anybodys_turn and not is_its_turn)
    ]
    soonest = min(seconds, default=math.inf)
    return soonest if soonest <= MAX_BACKOFF else None


def _post(claimed: ClaimedBatch, provider: Provider) -> Outcome:
    with span("post", batch=claimed.pk, issue=claimed.issue_pk, attempt=claimed.attempt, mails=claimed.size) as work:
        outcome = provider.post_batch(claimed.body, key=claimed.key, size=claimed.size)
        work.note(outcome=outcome.kind.value)
    return outcome


def record_outcome(claimed: ClaimedBatch, outcome: Outcome) -> None:
    """Write down what is known, once: only while this attempt is the batch's latest, or if it was the one that proves.

    Another worker may have taken over after the lease, with the same bytes under the same key. Its record says the
    same or knows more, but for ids: those settle the batch whoever brings them. A batch that was only held since then
    has not been posted again, so that what is known of its latest attempt still tells all.
    """
    log.info("batch %s attempt %s: %s %s", claimed.pk, claimed.attempt, outcome.kind.value, outcome.reason)
    untouched = (BatchState.CLAIMED, BatchState.HELD) if outcome.kind in KNOWN else (BatchState.CLAIMED,)
    is_latest = Q(state__in=untouched, attempts=claimed.attempt)
    is_open = Q(state__in=(BatchState.CLAIMED, BatchState.UNKNOWN, BatchState.HELD), key=claimed.key)
    with transaction.atomic():
        found = Batch.objects.filter(is_open if outcome.kind is OutcomeKind.ACCEPTED else is_latest, pk=claimed.pk)
        batch = found.select_for_update(of=("self",)).select_related("edition__issue").defer(*LARGE).first()
        if batch is None:
            return
        batch.lease_until, batch.reason = None, outcome.reason[:500]
        RECORD[outcome.kind](batch, outcome, claimed)
        reached(Point.OUTCOME_UNCOMMITTED)
    reached(Point.OUTCOME_COMMITTED)


def _accept(batch: Batch, outcome: Outcome, claimed: ClaimedBatch) -> None:
    # In the order of their keys, as the step that applies receipts locks them: two orders would block each other.
    under_way = deliveries_of(batch).filter(status__in=UNDER_WAY).select_for_update()
    keys = list(under_way.values_list("pk", flat=True))
    if len(keys) != len(outcome.ids):
        hold(
            _saved(batch),
            f"The provider named {len(outcome.ids)} mails, but {len(keys)} deliveries wait: rows were changed.",
        )
        return
    execute_with_rows(RECORD_IDS, {"id": "bigint", "provider_id": "text"}, zip(keys, outcome.ids, strict=True))
    _finish(batch, BatchState.ACCEPTED)


def _try_later(batch: Batch, outcome: Outcome, claimed: ClaimedBatch) -> None:
    if claimed.in_doubt:
        # This attempt did not go out; the one before may have. Only the same bytes may follow.
        _keep_in_doubt(batch, outcome, claimed)
        return
    _make_ready(batch, wait=_wait(outcome, batch.attempts))


def _halt(batch: Batch, outcome: Outcome, claimed: ClaimedBatch) -> None:
    """What is the issue's fault pauses it; the provider's is for `follow_provider_outages`, as another may take over.

    The pause or the flow says until when; a wait of the batch's own would keep it from who takes over, and would leave
    it behind once a person lets the rest go on.
    """
    is_bounded = outcome.scope is not BlockScope.QUOTA or outcome.retry_after is not None
    if is_bounded and not claimed.in_doubt:
        _make_ready(batch, wait=datetime.timedelta(0))
    else:
        _try_later(batch, outcome, claimed)
    if outcome.scope is BlockScope.ISSUE:
        _pause(batch.edition.issue, outcome.reason)


def _pause(issue: Issue, reason: str) -> None:
    try:
        issue.move(IssueStatus.PAUSED, by="worker", reason=reason[:500], hold_reason=reason[:500])
    except InvalidTransition:
        # Paused or cancelled meanwhile: it stands still already, which is all that was wanted.
        log.info("issue %s is not sending any more", issue.pk)


def _split(batch: Batch, outcome: Outcome, claimed: ClaimedBatch) -> None:
    """Two halves under keys of their own find the message at fault in a few posts; alone, it is refused (R-107)."""
    keys = list(deliveries_of(batch).filter(status__in=UNDER_WAY).values_list("pk", flat=True))
    if claimed.in_doubt:
        hold(_saved(batch), f"{outcome.reason} An earlier attempt was not answered.")
    elif len(keys) == 1:
        _refuse(batch, keys, outcome)
    else:
        middle = len(keys) // 2
        Delivery.objects.filter(pk__in=keys).update(status=DeliveryStatus.PENDING)
        _finish(batch, BatchState.SPLIT)
        Batch.objects.bulk_create(_half(batch, half) for half in (keys[:middle], keys[middle:]))


def _refuse(batch: Batch, keys: list[int], outcome: Outcome) -> None:
    Delivery.objects.filter(pk__in=keys).update(status=DeliveryStatus.FAILED, reason=outcome.reason[:200])
    _finish(batch, BatchState.REFUSED)
    _pause_if_nobody_is_accepted(batch, outcome.reason)


def _pause_if_nobody_is_accepted(batch: Batch, reason: str) -> None:
    """Two were refused and nobody was accepted: it is not the readers. Going on would refuse everybody."""
    batches = Batch.objects.filter(edition=batch.edition_id)
    refused = batches.filter(state=BatchState.REFUSED).aggregate(readers=Sum("recipients"))["readers"] or 0
    if refused > 1 and not batches.filter(state=BatchState.ACCEPTED).exists():
        _pause(batch.edition.issue, f"Nothing is accepted. {reason}")


def _half(batch: Batch, keys: list[int]) -> Batch:
    return Batch(
        edition=batch.edition,
        first_delivery=keys[0],
        last_delivery=keys[-1],
        key=batch_key(batch.edition, keys[0], keys[-1], epoch=1),
        may_be_out=batch.may_be_out,
        # Before all others, so that a fault is found, or found to be everybody's, within a few posts.
        not_before=batch.not_before - datetime.timedelta(days=1),
    )


def _keep_in_doubt(batch: Batch, outcome: Outcome, claimed: ClaimedBatch) -> None:
    batch.state = BatchState.UNKNOWN
    batch.not_before = timezone.now() + _wait(outcome, batch.attempts)
    batch.save()
    deliveries_of(batch).filter(status__in=UNDER_WAY).update(status=DeliveryStatus.UNKNOWN, reason=outcome.reason[:200])


def _record_each(batch: Batch, outcome: Outcome, claimed: ClaimedBatch) -> None:
    """Messages that ended differently: neighbours with the same end become a batch of their own."""
    under_way = deliveries_of(batch).filter(status__in=UNDER_WAY).select_for_update()
    keys = list(under_way.values_list("pk", flat=True))
    if claimed.in_doubt or len(keys) != len(outcome.results):
        told = f"The provider told about {len(outcome.results)} of {len(keys)} mails."
        hold(_saved(batch), f"{outcome.reason} {'An earlier attempt was not answered.' if claimed.in_doubt else told}")
        return
    ends = [(key, _given_up(result, batch.attempts)) for key, result in zip(keys, outcome.results, strict=True)]
    _mark_each(ends)
    runs = [list(run) for _kind, run in groupby(ends, key=lambda end: end[1].kind)]
    if len(runs) == 1:
        _end(batch, runs[0], outcome).save()
    else:
        Batch.objects.bulk_create(_end(_run_of(batch, run), run, outcome) for run in runs)
        _finish(batch, BatchState.SPLIT)
    if any(result.kind is ResultKind.REFUSED for _key, result in ends):
        _pause_if_nobody_is_accepted(batch, outcome.reason)


def _given_up(result: MessageResult, attempts: int) -> MessageResult:
    if result.kind is ResultKind.RETRY_LATER and attempts >= MOST_TRIES:
        return MessageResult(kind=ResultKind.REFUSED, code="retries_exhausted", detail=result.detail)
    return result


#: Where a message's end leads its delivery; those that can be tried again are as if they never had been.
STATUS_AFTER = {
    ResultKind.REFUSED: DeliveryStatus.FAILED,
    ResultKind.UNKNOWN: DeliveryStatus.UNKNOWN,
    ResultKind.RETRY_LATER: DeliveryStatus.PENDING,
    ResultKind.NOT_ATTEMPTED: DeliveryStatus.PENDING,
    ResultKind.BLOCKED: DeliveryStatus.PENDING,
}


def _mark_each(ends: list[tuple[int, MessageResult]]) -> None:
    accepted = [(key, result.id) for key, result in ends if result.kind is ResultKind.ACCEPTED]
    execute_with_rows(RECORD_IDS, {"id": "bigint", "provider_id": "text"}, accepted)
    others: dict[tuple[DeliveryStatus, str], list[int]] = {}
    for key, result in ends:
        if result.kind in STATUS_AFTER:
            status = STATUS_AFTER[result.kind]
            reason = "" if status is DeliveryStatus.PENDING else result.reason[:200]
            others.setdefault((status, reason), []).append(key)
    for (status, reason), keys in others.items():
        Delivery.objects.filter(pk__in=keys).update(status=status, reason=reason)


def _run_of(batch: Batch, run: list[tuple[int, MessageResult]]) -> Batch:
    """A batch for a part of another. What it may have to prove later are the bytes of the post that it was in."""
    first, last = run[0][0], run[-1][0]
    return Batch(
        edition=batch.edition,
        first_delivery=first,
        last_delivery=last,
        key=batch_key(batch.edition, first, last, epoch=1),
        may_be_out=batch.may_be_out,
        provider=batch.provider,
        attempts=batch.attempts,
        first_attempt_at=batch.first_attempt_at,
        payload=batch.payload,
        payload_sha256=batch.payload_sha256,
    )


def _end(batch: Batch, run: list[tuple[int, MessageResult]], outcome: Outcome) -> Batch:
    """The batch of these messages, as their common end leaves it; to be saved."""
    kind, batch.reason, batch.recipients = run[0][1].kind, run[0][1].reason[:500], len(run)
    if kind is ResultKind.UNKNOWN:
        batch.state = BatchState.HELD
    elif kind in (ResultKind.ACCEPTED, ResultKind.REFUSED):
        batch.state = BatchState.ACCEPTED if kind is ResultKind.ACCEPTED else BatchState.REFUSED
        batch.payload, batch.finished_at = None, timezone.now()
    else:
        batch.state, batch.payload, batch.first_attempt_at = BatchState.READY, None, None
        batch.not_before = timezone.now()
        if kind is ResultKind.RETRY_LATER:
            batch.not_before += _wait(outcome, batch.attempts)
        else:
            # This attempt did not come to them, so it does not count, and they need not wait.
            batch.attempts -= 1
    return batch


def _stuck(batch: Batch, outcome: Outcome, claimed: ClaimedBatch) -> None:
    hold(_saved(batch), outcome.reason)


RECORD: dict[OutcomeKind, Callable[[Batch, Outcome, ClaimedBatch], None]] = {
    OutcomeKind.ACCEPTED: _accept,
    OutcomeKind.RETRY_LATER: _try_later,
    OutcomeKind.BLOCKED: _halt,
    OutcomeKind.REFUSED: _split,
    OutcomeKind.UNKNOWN: _keep_in_doubt,
    OutcomeKind.KEY_CONFLICT: _stuck,
    OutcomeKind.PARTIAL: _record_each,
}


def _make_ready(batch: Batch, *, wait: datetime.timedelta) -> None:
    """Known not to have gone out: the bytes are dropped, and readers are checked again at the next claim."""
    batch.state, batch.payload, batch.not_before = BatchState.READY, None, timezone.now() + wait
    batch.save()
    deliveries_of(batch).filter(status__in=UNDER_WAY).update(status=DeliveryStatus.PENDING, reason="")


def _saved(batch: Batch) -> Batch:
    batch.save()
    return batch


def _finish(batch: Batch, state: BatchState) -> None:
    batch.state, batch.payload, batch.finished_at = state, None, timezone.now()
    batch.save()


def _wait(outcome: Outcome, attempts: int) -> datetime.timedelta:
    """What the provider asked for, else exponential with full jitter: a crowd of workers does not come back at once.

    At most five minutes, whatever was asked: asking again costs little, and a reader waits (R-118).
    """
    longest = min(MAX_BACKOFF, 2.0 ** min(attempts, 12))
    jittered = random.uniform(0.2, longest)  # noqa: S311 - spreads load; nobody gains by guessing it
    return datetime.timedelta(seconds=min(outcome.retry_after or jittered, MAX_BACKOFF))
