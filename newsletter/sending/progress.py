"""Progress: what is known about each message of a post while it runs, for providers that take messages one by one.

Before a group of messages begins, the batch says so, together with the results of all messages before it. So after a
crash only that group is unknown; see `newsletter.sending.recover`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from django.db import DatabaseError
from django.utils import timezone

from newsletter.config.failpoints import Point, failpoint
from newsletter.models import Batch, BatchState, Reason
from newsletter.models.prepared import PreparedStatement
from newsletter.providers.base import BlockScope, MessageResult, Outcome, PostsOneByOne, Provider, ResultKind
from newsletter.sending.batch import LEASE, ClaimedBatch

log = logging.getLogger(__name__)

#: How many messages may be unknown after a crash.
GROUP_SIZE = 10

RECORD = PreparedStatement(
    f"""
    UPDATE newsletter_batch SET begun = %s, results = %s::jsonb, lease_until = %s
    WHERE id = %s AND state IN ('{BatchState.CLAIMED}') AND attempts = %s AND lease_until > %s
    """  # noqa: S608 - the name of a state is ours
)

#: Seconds after which results are recorded although the group goes on: with a slow server, fewer are unknown.
RECORD_INTERVAL = 1.0


def post_with_progress(provider: Provider, claimed: ClaimedBatch) -> Outcome:
    """Post a claimed batch; its progress is recorded if the provider takes messages one by one."""
    if claimed.is_retry or not isinstance(provider, PostsOneByOne):
        return provider.post_batch(claimed.body, key=claimed.key, size=claimed.size)
    may_begin = ProgressRecorder(claimed).reason_against
    return provider.post_each(claimed.body, key=claimed.key, size=claimed.size, may_begin=may_begin)


class ProgressRecorder:
    """Records the progress of one post in its batch; each record renews the lease."""

    def __init__(self, claimed: ClaimedBatch, clock: Callable[[], float] = time.monotonic) -> None:
        self._claimed, self._clock = claimed, clock
        self._begun, self._recorded_at = 0, clock()

    def reason_against(self, index: int, results: Sequence[MessageResult]) -> str:
        """`MayBegin`: why the message must not begin, because its beginning cannot be recorded; empty if it may."""
        if index < self._begun and self._clock() - self._recorded_at < RECORD_INTERVAL:
            return ""
        begun = self._begun if index < self._begun else min(index + GROUP_SIZE, self._claimed.size)
        try:
            is_ours = self._record(begun, results)
        except DatabaseError:
            # The results of the messages before it are still to be recorded: the post ends as if it was complete.
            log.exception("Progress not recorded", extra={"batch": self._claimed.pk})
            return Reason.DATABASE_FAILED
        if not is_ours:
            return Reason.LEASE_LOST
        self._begun, self._recorded_at = begun, self._clock()
        return ""

    def _record(self, begun: int, results: Sequence[MessageResult]) -> bool:
        """Whether the batch still is this worker's. If it is not, others may count on nothing having begun."""
        now = timezone.now()
        known = orjson.dumps(results_as_json(results)).decode()
        failpoint(Point.PROGRESS_UNCOMMITTED)
        changed = RECORD.execute(begun, known, now + LEASE, self._claimed.pk, self._claimed.attempt, now)
        failpoint(Point.PROGRESS_COMMITTED)
        return changed > 0


def results_as_json(results: Sequence[MessageResult]) -> list[Any]:
    """Results as the batch stores them: the id of an accepted message, else kind, code, detail and scope."""
    return [
        result.id
        if result.kind is ResultKind.ACCEPTED
        else [result.kind.value, result.code, result.detail, result.scope.value]
        for result in results
    ]


def results_of(batch: Batch) -> tuple[MessageResult, ...]:
    """The recorded results of a batch."""
    return tuple(
        MessageResult(kind=ResultKind.ACCEPTED, id=stored)
        if isinstance(stored, str)
        else MessageResult(kind=ResultKind(stored[0]), code=stored[1], detail=stored[2], scope=BlockScope(stored[3]))
        for stored in batch.results or ()
    )
