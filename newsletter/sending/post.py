"""Post: send a claimed batch's bytes, and record what is known afterwards.

No transaction is open during the post. If the process dies between the answer and its record, the outcome is unknown,
and the same bytes under the same key bring the same answer.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence

from django.conf import settings
from django.db import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
    connection,
)
from django.utils import timezone
from structlog.contextvars import bound_contextvars

from newsletter.config.failpoints import Point, failpoint
from newsletter.config.tracing import span
from newsletter.models import (
    Reason,
    sending_stopped,
)
from newsletter.models.prepared import PreparedStatement
from newsletter.models.send import MAY_POST_SQL
from newsletter.providers.base import Outcome, OutcomeKind, Provider
from newsletter.providers.throttle import (
    MAX_BACKOFF,
    Permit,
    ThrottleStatus,
    acquire_permit,
    release_permit,
    route_statuses,
    update_throttle,
)
from newsletter.sending.batch import (
    LEASE,
    ClaimedBatch,
    claim_batch,
    has_lost_recipients,
)
from newsletter.sending.next_batch import has_waiting
from newsletter.sending.outcome import record_outcome
from newsletter.sending.progress import post_with_progress
from newsletter.sending.provider_outage import follow_provider_outages
from subscribers.models import present_secret_fingerprint

log = logging.getLogger(__name__)

#: Seconds until a batch that did not get to its post is tried again: nothing is wrong with it.
RETRY_DELAY = 1.0

#: After waiting this many seconds for a permit, a batch's recipients are checked once more.
RECHECK_AFTER_WAIT = 0.1

#: Seconds between two attempts to record an outcome while the database fails.
RECORD_DELAY = 1.0

#: Errors of a statement, and not of the database: a repeat would end the same.
PERMANENT_ERRORS = (DataError, IntegrityError, NotSupportedError, ProgrammingError)

MAY_POST = PreparedStatement(f"SELECT 1 FROM newsletter_send WHERE id = %s AND {MAY_POST_SQL}")  # noqa: S608 - ours


def post_batch(route: Sequence[Provider]) -> bool:
    """Post one batch if one is due and a provider of the route may have it now; whether one was posted.

    New batches go to the first available provider. The others are asked only for batches whose outcome is unknown
    there, because those may be posted again nowhere else.
    """
    for provider, status, is_first in route_statuses(route):
        if status.wait > 0:
            continue
        claimed = claim_batch(provider, retries_first=status.last_call_failed, only_retries=not is_first)
        if claimed is not None:
            failpoint(Point.CLAIM_COMMITTED)
            with bound_contextvars(batch=claimed.pk, send=claimed.send_pk):
                post_claimed(claimed, provider, route, status)
            return True
    return False


def post_claimed(
    claimed: ClaimedBatch,
    provider: Provider,
    route: Sequence[Provider],
    status: ThrottleStatus | None = None,
    *,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Wait for a permit, post, and record. `status` is what was read before the claim; `wait` takes seconds.

    A batch that gets no permit, or must not be posted any more when it gets one, goes back: it was not sent.
    """
    try:
        permit = _permit_or_reason(claimed, provider, status)
    except DatabaseError:
        # That nothing was posted is known only if it is recorded: otherwise the outcome would be unknown.
        _record(claimed, _not_posted(Reason.DATABASE_FAILED), wait)
        raise
    if isinstance(permit, Reason):
        _record(claimed, _not_posted(permit), wait)
        return
    outcome = _post(claimed, provider)
    # The outcome comes first: it may be the only proof that the mails were sent, and the throttle is learned again.
    _record(claimed, outcome, wait)
    update_throttle(permit, outcome)
    if outcome.kind is OutcomeKind.BLOCKED:
        follow_provider_outages(route)


def _record(claimed: ClaimedBatch, outcome: Outcome, wait: Callable[[float], None]) -> None:
    """Record an outcome; if the database fails, again and again for as long as a lease lasts.

    What is known would be unknown otherwise, and by SMTP it could never be repeated. If another worker has the batch by
    then, the record has no effect. Raises the last error.
    """
    ends_at, has_failed = timezone.now() + LEASE, False
    while True:
        try:
            record_outcome(claimed, outcome)
            return
        except PERMANENT_ERRORS:
            raise
        except Error:
            if timezone.now() >= ends_at:
                raise
            if not has_failed:
                log.exception("Outcome not recorded yet", extra={"retry_seconds": RECORD_DELAY})
            has_failed = True
            _connect_anew()
            wait(RECORD_DELAY)


def _connect_anew() -> None:
    """Let the next statement open a connection: to the server that is the primary now."""
    if not connection.in_atomic_block:
        connection.close()


def _not_posted(reason: Reason) -> Outcome:
    return Outcome(kind=OutcomeKind.RETRY_LATER, code=reason, retry_after=RETRY_DELAY)


def _permit_or_reason(claimed: ClaimedBatch, provider: Provider, status: ThrottleStatus | None) -> Permit | Reason:
    """A permit to post this batch, or why it must not be posted now."""
    permit = acquire_permit(provider, status=status)
    if permit is None:
        return Reason.NO_PERMIT
    if reason := _reason_against(claimed, permit):
        release_permit(permit)
        return reason
    return permit


def _reason_against(claimed: ClaimedBatch, permit: Permit) -> Reason | None:
    """Why this batch must not be posted any more, asked again because a permit may take seconds to come."""
    if not claimed.has_lease():
        return Reason.LEASE_LOST
    if settings.SENDING_IS_OFF or not MAY_POST.rows(claimed.send_pk, present_secret_fingerprint()):
        return Reason.SENDING_STOPPED if sending_stopped() else Reason.SEND_STOPPED
    if permit.waited >= RECHECK_AFTER_WAIT and has_lost_recipients(claimed):
        return Reason.RECIPIENT_LEFT
    return None


def seconds_until_post(route: Sequence[Provider]) -> float | None:
    """Seconds until a waiting batch may be posted; None if none waits, or not within MAX_BACKOFF."""
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
        outcome = post_with_progress(provider, claimed)
        work.note(outcome=outcome.kind.value)
    return outcome
