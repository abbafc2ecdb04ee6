"""Deliver: posts due messages to their endpoints. A step of the worker.

Each endpoint has a thread of its own in a round, so that a slow one does not keep the others waiting. Threads only
post; the main thread claims before and records after. A worker that is killed in between leaves claims that expire, and
the message is sent again under the same id.
"""

from __future__ import annotations

import datetime
import logging
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.db import transaction
from django.db.models import F, OuterRef, Q, Subquery
from django.utils import timezone

from newsletter.config.failpoints import Point, failpoint
from newsletter.models import (
    MESSAGE_MACHINE,
    EndpointReason,
    EndpointState,
    InvalidTransition,
    MessageState,
    Reason,
    WebhookAttempt,
    WebhookEndpoint,
    WebhookMessage,
    sending_stopped,
)
from newsletter.models.reasons import iso
from newsletter.notifications.endpoints import WORKER, disable_endpoint
from newsletter.notifications.facts import CONSENTS
from newsletter.notifications.signing import key_of, signed_headers, usable_secrets
from newsletter.outbound import FetchError, FetchPolicy, Limits, asked_wait, post, site_fetch_policy
from subscribers.models import Consent

log = logging.getLogger(__name__)

#: Endpoints that are served at the same time, and messages to one of them in a round.
LANES, PER_LANE = 8, 50

#: Seconds of a round in which posts are begun.
BEGIN_SECONDS = 5.0

#: Of one post. The answer is read as far as the log keeps it.
LIMITS = Limits(seconds=15.0, bytes=WebhookAttempt.ANSWER_LENGTH, redirects=0, connect_seconds=5.0)

#: Longer than a round can take: then another worker may send the message.
LEASE = datetime.timedelta(minutes=2)

#: Between the attempts (Standard Webhooks). After the last one the message has failed.
DELAYS = tuple(datetime.timedelta(seconds=seconds) for seconds in (5, 300, 1_800, 7_200, 18_000, 36_000, 36_000))

#: After a failure all messages to the endpoint rest: this long, doubled with each failure up to the second value.
FIRST_REST, LONGEST_REST = datetime.timedelta(seconds=5), datetime.timedelta(minutes=5)

#: The longest wait that an endpoint may ask for with Retry-After: a mistake there must not stop it for days.
LONGEST_ASKED = datetime.timedelta(hours=1)

#: An endpoint that fails for longer is disabled.
DISABLED_AFTER = datetime.timedelta(days=5)

GONE = 410


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A message as bytes."""

    message_pk: int
    uid: str
    tries: int
    """With this one, since the message was made or sent again."""
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """What one thread does in a round."""

    endpoint: WebhookEndpoint
    keys: Sequence[bytes]
    posts: Sequence[Post]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What became of a post."""

    post: Post
    at: datetime.datetime
    duration: int
    """In milliseconds."""
    status: int | None = None
    code: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
    answer: str = ""
    asked: datetime.timedelta = datetime.timedelta(0)
    """How long the endpoint asks to wait, at most LONGEST_ASKED."""

    @property
    def is_success(self) -> bool:
        """Whether the endpoint has taken it. Standard Webhooks: any status of 200 to 299."""
        return self.status is not None and 200 <= self.status < 300


def deliver_messages(policy: FetchPolicy | None = None, clock: Callable[[], float] = time.monotonic) -> bool:
    """Post the due messages of up to LANES endpoints. Returns whether any was posted. A step of the worker.

    A copy of the database that was restored from a backup posts nothing until sending is resumed: the other copy may
    still run.
    """
    now = timezone.now()
    if not WebhookMessage.objects.due(now).exists() or _is_unchecked_copy():
        return False
    lanes = [lane for endpoint in _due_endpoints(now) if (lane := _claim(endpoint, now)) and lane.posts]
    if not lanes:
        return False
    policy, ends_at = policy or site_fetch_policy(), clock() + BEGIN_SECONDS
    with ThreadPoolExecutor(len(lanes), thread_name_prefix="webhooks") as pool:
        running = {pool.submit(_run_lane, lane, policy, lambda: clock() < ends_at): lane for lane in lanes}
        errors = [error for future in as_completed(running) if (error := _record_result(running[future], future))]
    if errors:
        # The claims of that endpoint expire. The step backs off.
        raise errors[0]
    return True


def _record_result(lane: Lane, future: Future[list[Attempt]]) -> Exception | None:
    """Record what a thread did; its unexpected error, so that the others are recorded first."""
    try:
        attempts = future.result()
    except Exception as error:
        return error
    _record(lane, attempts)
    return None


def _is_unchecked_copy() -> bool:
    stop = sending_stopped()
    return stop is not None and stop.reason == Reason.RESTORED


def _due_endpoints(now: datetime.datetime) -> list[WebhookEndpoint]:
    """Those with due messages, the longest waiting first."""
    rested = Q(not_before__isnull=True) | Q(not_before__lte=now)
    first = WebhookMessage.objects.due(now).filter(endpoint=OuterRef("pk")).values("next_attempt_at")[:1]
    active = WebhookEndpoint.objects.filter(rested, state=EndpointState.ACTIVE).annotate(first=Subquery(first))
    return list(active.filter(first__isnull=False).order_by("first", "pk")[:LANES])


def _claim(endpoint: WebhookEndpoint, now: datetime.datetime) -> Lane | None:
    """Take due messages until the lease ends; None if they could not be signed."""
    keys = [key_of(secret) for secret in usable_secrets(now).filter(endpoint=endpoint)]
    if not keys:
        return None
    with transaction.atomic():
        due = WebhookMessage.objects.due(now).filter(endpoint=endpoint)
        rows = list(due.select_for_update(skip_locked=True, of=("self",))[:PER_LANE])
        claimed = WebhookMessage.objects.filter(pk__in=[row.pk for row in rows])
        claimed.update(lease_until=now + LEASE, tries=F("tries") + 1)
    addresses = _addresses(rows) if endpoint.includes_addresses else None
    posts = [Post(message_pk=row.pk, uid=row.uid, tries=row.tries + 1, body=body_of(row, addresses)) for row in rows]
    return Lane(endpoint=endpoint, keys=keys, posts=posts)


def _addresses(rows: Sequence[WebhookMessage]) -> dict[int, str]:
    """The address in each consent, as it was then. Erasure empties it."""
    consents = Consent.objects.filter(pk__in=[row.source_pk for row in rows if row.source == CONSENTS.name])
    return dict(consents.values_list("pk", "address"))


def body_of(message: WebhookMessage, addresses: dict[int, str] | None) -> bytes:
    """The body: type, timestamp, data. `addresses` is None where the endpoint gets none."""
    data = dict(message.data)
    if addresses is not None and message.source == CONSENTS.name:
        data["address"] = addresses.get(message.source_pk) or None
    return orjson.dumps({"type": message.type, "timestamp": message.at.isoformat(), "data": data})


def _run_lane(lane: Lane, policy: FetchPolicy, may_begin: Callable[[], bool]) -> list[Attempt]:
    """Post one message after the other, until one fails or the time is up."""
    done: list[Attempt] = []
    for each in lane.posts:
        if not may_begin():
            break
        done.append(_attempt(lane, each, policy))
        if not done[-1].is_success:
            break
    return done


def _attempt(lane: Lane, each: Post, policy: FetchPolicy) -> Attempt:
    at, started = timezone.now(), time.monotonic()
    headers = signed_headers(lane.keys, each.uid, int(at.timestamp()), each.body)

    def duration() -> int:
        return int((time.monotonic() - started) * 1000)

    try:
        answer = post(lane.endpoint.url, each.body, policy, headers=headers, limits=LIMITS)
    except FetchError as error:
        return Attempt(post=each, at=at, duration=duration(), code=error.reason.value, detail=dict(error.detail))
    failpoint(Point.WEBHOOK_SENT)
    text = answer.body.decode("utf-8", "replace").replace("\x00", "")
    asked = asked_wait(answer.status, answer.headers, timezone.now(), longest=LONGEST_ASKED)
    return Attempt(
        post=each, at=at, duration=duration(), status=answer.status, answer=text, asked=asked or datetime.timedelta(0)
    )


def _record(lane: Lane, attempts: Sequence[Attempt]) -> None:
    """Log the attempts, and finish, retry or release the messages of a lane."""
    now = timezone.now()
    with transaction.atomic():
        # An erasure or an editor may have deleted some meanwhile. The others stay until this is recorded.
        pks = [attempt.post.message_pk for attempt in attempts]
        kept = set(WebhookMessage.objects.filter(pk__in=pks).select_for_update().values_list("pk", flat=True))
        rows = [_row(attempt) for attempt in attempts if attempt.post.message_pk in kept]
        WebhookAttempt.objects.bulk_create(rows)
        _finish([attempt.post for attempt in attempts if attempt.is_success], MessageState.DELIVERED)
        failed = next((attempt for attempt in attempts if not attempt.is_success), None)
        if failed:
            _retry_or_give_up(failed.post, now, failed.asked)
        untried = [each.message_pk for each in lane.posts[len(attempts) :]]
        WebhookMessage.objects.filter(pk__in=untried).update(lease_until=None, tries=F("tries") - 1)
        _note_on_endpoint(lane.endpoint, attempts, failed, now)
    failpoint(Point.WEBHOOK_RECORDED)


def _row(attempt: Attempt) -> WebhookAttempt:
    return WebhookAttempt(
        message_id=attempt.post.message_pk,
        at=attempt.at,
        duration=attempt.duration,
        status=attempt.status,
        code=attempt.code,
        detail=attempt.detail,
        answer=attempt.answer[: WebhookAttempt.ANSWER_LENGTH],
    )


def _finish(posts: Sequence[Post], state: MessageState) -> None:
    rows = WebhookMessage.objects.filter(pk__in=[each.message_pk for each in posts])
    MESSAGE_MACHINE.move(rows, state, lease_until=None, next_attempt_at=None)


def _retry_or_give_up(each: Post, now: datetime.datetime, asked: datetime.timedelta) -> None:
    if each.tries > len(DELAYS):
        _finish([each], MessageState.FAILED)
        return
    pending = WebhookMessage.objects.filter(pk=each.message_pk, state=MessageState.PENDING)
    pending.update(lease_until=None, next_attempt_at=now + max(retry_delay(each.tries), asked))


def retry_delay(tries: int) -> datetime.timedelta:
    """How long to wait after this many attempts, ± 20 % at random so that retries spread out."""
    delay: datetime.timedelta = DELAYS[tries - 1] * random.uniform(0.8, 1.2)  # noqa: S311
    return delay


def rest_after(failures: int) -> datetime.timedelta:
    """How long an endpoint gets nothing after this many failures in a row."""
    rest: datetime.timedelta = min(FIRST_REST * 2 ** min(failures - 1, 10), LONGEST_REST)
    return rest


def _note_on_endpoint(
    endpoint: WebhookEndpoint, attempts: Sequence[Attempt], failed: Attempt | None, now: datetime.datetime
) -> None:
    """Keep since when it fails, let it rest, and disable it where it is gone or has failed for too long."""
    rows = WebhookEndpoint.objects.filter(pk=endpoint.pk)
    if any(attempt.is_success for attempt in attempts):
        rows.exclude(failures=0).update(failing_since=None, failures=0, not_before=None)
    if failed is None:
        return
    present = rows.select_for_update().first()
    if present is None:
        # An editor has deleted it meanwhile.
        return
    since, failures = present.failing_since or failed.at, present.failures + 1
    rows.update(failing_since=since, failures=failures, not_before=now + max(rest_after(failures), failed.asked))
    if failed.status == GONE:
        _disable(present, EndpointReason.GONE)
    elif now - since >= DISABLED_AFTER:
        _disable(present, EndpointReason.FAILING, {"since_at": iso(since), "days": DISABLED_AFTER.days})


def _disable(endpoint: WebhookEndpoint, reason: EndpointReason, values: dict[str, Any] | None = None) -> None:
    log.warning("Webhook endpoint disabled", extra={"endpoint": endpoint.pk, "reason": reason.value})
    try:
        disable_endpoint(endpoint, by=WORKER, reason=reason, values=values)
    except InvalidTransition:
        # An editor was faster.
        return
