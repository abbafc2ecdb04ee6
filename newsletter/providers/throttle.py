"""Flow control: when the next call to a provider may be made, agreed among all workers in one row per account.

    throttle_status ──► (claim a batch) ──► acquire_permit ──► post ──► update_throttle

A permit is acquired by a conditional update right before the call. So calls reach the provider no closer together than
its rate limit allows, however many workers there are and however long a batch takes to build. All times are the
database's, so workers whose clocks differ agree on one order.
"""

from __future__ import annotations

import datetime
import logging
import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import transaction
from django.db.models import DateTimeField
from django.db.models.functions import Now

from newsletter.models import Availability, ProviderThrottle, sending_stopped
from newsletter.models.prepared import PreparedStatement, columns_of, fields_of, instance_of
from newsletter.providers.allowlist import may_write_to
from newsletter.providers.base import BlockScope, Message, Outcome, OutcomeKind, Provider, ResultKind, provider_account
from newsletter.providers.reasons import MAX_CODE_LENGTH, provider_reason_sentence

log = logging.getLogger(__name__)

#: Requests per second until the provider names its limit: the lowest limit that Resend documents.
DEFAULT_RATE = 2.0

#: Lowest rate that is believed, in requests per second. A lower one would hold back mail for minutes.
MIN_RATE = 0.1

#: Shares of the rate limit. Issues use at most four fifths, so that transactional mail need not wait for them.
#: Transactional mail may use nearly all; the rest absorbs differences in clocks and network delays.
ISSUE_SHARE, TRANSACTIONAL_SHARE = 0.8, 0.95

#: Longest backoff in seconds. A provider that asks for more is tried again after this long.
MAX_BACKOFF = 300.0

#: Consecutive failures that open the circuit breaker.
FAILURE_THRESHOLD = 5

#: Calls in one minute of which half must fail to open the circuit breaker.
WINDOW_MIN_POSTS = 10

WINDOW = datetime.timedelta(minutes=1)

#: Longer than one call may take: if a worker dies during the trial call of a half-open circuit, another may try then.
HALF_OPEN_TIMEOUT = datetime.timedelta(seconds=90)

#: How often a permit is tried for while other workers are faster.
ACQUIRE_ATTEMPTS = 20

#: Seconds that a caller waits for a permit.
MAX_WAIT = 5.0

#: Availabilities in which a provider keeps its place in the route. In all others the next provider takes over.
USABLE = (Availability.AVAILABLE, Availability.BACKING_OFF)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleStatus:
    provider: str
    availability: Availability
    wait: float = 0.0
    """Seconds until an issue's mail may be posted; infinite while the account is suspended."""
    until: datetime.datetime | None = None
    """When an account that takes no mail is tried again automatically; None if an operator must act."""
    rate: float = DEFAULT_RATE
    """Requests per second that the provider allows."""
    failures: int = 0
    """Consecutive failures."""
    is_circuit_open: bool = False
    code: str = ""
    detail: str = ""
    row: ProviderThrottle | None = field(default=None, repr=False, compare=False)
    """The row as it was read; None if there is none yet."""
    clock: datetime.datetime | None = field(default=None, compare=False)
    """The database's time when it was read."""
    read_at: float = field(default_factory=time.monotonic, compare=False)
    """When it was read, by this process's monotonic clock."""

    @property
    def last_call_failed(self) -> bool:
        return self.is_circuit_open or self.failures > 0

    @property
    def reported_availability(self) -> Availability:
        """The availability for reports: a half-open circuit counts as open until a call succeeds."""
        is_half_open = self.is_circuit_open and self.availability is Availability.AVAILABLE
        return Availability.CIRCUIT_OPEN if is_half_open else self.availability

    @property
    def reason(self) -> str:
        """Why the account takes no mail, as a translatable sentence."""
        return provider_reason_sentence(self.code, self.detail) or provider_reason_sentence("provider_unavailable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """Leave to make one call to a provider now."""

    throttle_pk: int
    rate: float | None
    last_call_failed: bool
    waited: float
    """Seconds that the caller waited for it."""


def throttle_status(provider: Provider) -> ThrottleStatus:
    """The state of a provider's throttle, in one query that takes no permit."""
    read_at = time.monotonic()
    found = _read(provider)
    if found is None:
        return ThrottleStatus(provider=provider.name, availability=Availability.AVAILABLE)
    row, clock = found
    availability = row.availability_at(clock)
    times = {Availability.SUSPENDED: None, Availability.QUOTA_EXCEEDED: row.quota_until}
    return ThrottleStatus(
        provider=provider.name,
        availability=availability,
        wait=_seconds_until_post(row, clock, availability),
        until=times.get(availability, row.backoff_until),
        rate=row.rate or DEFAULT_RATE,
        failures=row.failures,
        is_circuit_open=row.circuit_opened_at is not None,
        code=row.code,
        detail=row.detail,
        row=row,
        clock=clock,
        read_at=read_at,
    )


def acquire_permit(
    provider: Provider,
    *,
    share: float = ISSUE_SHARE,
    max_wait: float = MAX_WAIT,
    status: ThrottleStatus | None = None,
) -> Permit | None:
    """Acquire the next permit and wait until it is valid; None if that takes longer than `max_wait` seconds.

    Call it right before the post, outside of any transaction, and only with something to post. `status`, read a moment
    ago, saves reading the row again as long as no other worker has changed it.
    """
    known = _known_row(status)
    for _ in range(ACQUIRE_ATTEMPTS):
        found, known = known or _read(provider), None
        if found is None:
            ProviderThrottle.objects.get_or_create(provider=provider.name, account=provider.account)
            continue
        row, now = found
        if row.availability_at(now) not in USABLE:
            return None
        at = max(now, _next_permit_at(row, now, share), row.ahead("backoff_until", now) or now)
        wait = (at - now).total_seconds()
        if wait > max_wait:
            return None
        if _reserve(row, at, now):
            time.sleep(wait)
            last_call_failed = bool(row.failures or row.circuit_opened_at)
            return Permit(throttle_pk=row.pk, rate=row.rate, last_call_failed=last_call_failed, waited=wait)
    return None


def release_permit(permit: Permit) -> None:
    """Give up a permit that was not used, so that another worker can make the trial call of a half-open circuit."""
    if permit.last_call_failed:
        ProviderThrottle.objects.filter(pk=permit.throttle_pk).update(half_open_until=None)


def _rows() -> Any:
    """Throttles with the database's time as `clock`. The type of such a queryset cannot be written."""
    return ProviderThrottle.objects.annotate(clock=Now())


READ = PreparedStatement(
    f"""
    SELECT {columns_of(ProviderThrottle)}, STATEMENT_TIMESTAMP() FROM newsletter_providerthrottle
    WHERE provider = %s AND account = %s
    """,  # noqa: S608 - names of columns are ours
    (*fields_of(ProviderThrottle), DateTimeField()),
)


def _read(provider: Provider) -> tuple[ProviderThrottle, datetime.datetime] | None:
    """The provider's row and the database's time."""
    row = READ.first(provider.name, provider.account)
    return (instance_of(ProviderThrottle, row), row[-1]) if row else None


def _known_row(status: ThrottleStatus | None) -> tuple[ProviderThrottle, datetime.datetime] | None:
    """What a status has read, and the database's time now. If the row has changed since, no permit is reserved."""
    if status is None or status.row is None or status.clock is None:
        return None
    return status.row, status.clock + datetime.timedelta(seconds=time.monotonic() - status.read_at)


def _next_permit_at(row: ProviderThrottle, now: datetime.datetime, share: float) -> datetime.datetime:
    """When the permit after the latest one is valid. A latest permit too far ahead is ignored (`MAX_AHEAD`)."""
    interval = datetime.timedelta(seconds=1 / (max(row.rate or DEFAULT_RATE, MIN_RATE) * share))
    is_past = row.last_permit_at is not None and row.last_permit_at <= now
    last = row.last_permit_at if is_past else row.ahead("last_permit_at", now)
    return last + interval if last else now


def _seconds_until_post(row: ProviderThrottle, now: datetime.datetime, availability: Availability) -> float:
    if availability is Availability.SUSPENDED:
        return math.inf
    names = ["backoff_until", "quota_until", *(["half_open_until"] if row.circuit_opened_at else [])]
    times = [until for name in names if (until := row.ahead(name, now))]
    return max((at - now).total_seconds() for at in (now, _next_permit_at(row, now, ISSUE_SHARE), *times))


#: What a permit depends on: if any of it has changed since it was read, no permit is reserved.
COMPARED = ("last_permit_at", "backoff_until", "circuit_opened_at", "half_open_until", "quota_until", "suspended_at")
RESERVE = PreparedStatement(
    f"""
    UPDATE newsletter_providerthrottle SET last_permit_at = %s, half_open_until = %s, window_started_at = %s,
        window_posts = CASE WHEN %s::boolean THEN 1 ELSE window_posts + 1 END,
        window_failures = CASE WHEN %s::boolean THEN 0 ELSE window_failures END
    WHERE id = %s AND {" AND ".join(f"{name} IS NOT DISTINCT FROM %s::timestamptz" for name in COMPARED)}
    """  # noqa: S608 - names of columns are ours
)


def _reserve(row: ProviderThrottle, at: datetime.datetime, now: datetime.datetime) -> bool:
    """Compare and set: whether no other worker has changed the row since it was read."""
    half_open_until = now + HALF_OPEN_TIMEOUT if row.circuit_opened_at else row.half_open_until
    begins_window = row.window_started_at is None or now - row.window_started_at >= WINDOW
    window_started_at = now if begins_window else row.window_started_at
    compared = (getattr(row, name) for name in COMPARED)
    changes = (at, half_open_until, window_started_at, begins_window, begins_window)
    return bool(RESERVE.execute(*changes, row.pk, *compared))


# --- Learning from answers -----------------------------------------------------------------------------------------


def update_throttle(permit: Permit, outcome: Outcome) -> None:
    """Adapt the throttle to one outcome: the rate limit it names, the wait it asks for, and whether the call failed."""
    if is_failure(outcome):
        _record_failure(permit, outcome)
        return
    changes: dict[str, object] = {}
    if outcome.rate_limit and outcome.rate_limit != permit.rate:
        changes["rate"] = outcome.rate_limit
    if permit.last_call_failed:
        changes |= {"failures": 0, "circuit_opened_at": None, "half_open_until": None, "code": "", "detail": ""}
    rows = ProviderThrottle.objects.filter(pk=permit.throttle_pk)
    if outcome.kind in (OutcomeKind.BLOCKED, OutcomeKind.RETRY_LATER):
        with transaction.atomic():
            row = _rows().select_for_update().get(pk=permit.throttle_pk)
            rows.update(**{**changes, **_requested_stop(outcome, row, row.clock)})
    elif changes:
        rows.update(**changes)


def is_failure(outcome: Outcome) -> bool:
    """Whether the call brought no usable answer, or no answer to one of its mails. A request to wait is usable."""
    no_wait_named = outcome.kind is OutcomeKind.RETRY_LATER and outcome.retry_after is None
    no_reply = any(result.kind is ResultKind.UNKNOWN for result in outcome.results)
    return outcome.kind is OutcomeKind.UNKNOWN or no_wait_named or no_reply


def _requested_stop(outcome: Outcome, row: ProviderThrottle, now: datetime.datetime) -> dict[str, object]:
    """The columns by which an answer suspends the account, or makes every worker wait."""
    reason = _reason_columns(outcome)
    if outcome.kind is OutcomeKind.BLOCKED and outcome.scope is BlockScope.ACCOUNT:
        return {"suspended_at": now, **reason}
    if outcome.kind is OutcomeKind.BLOCKED and outcome.scope is BlockScope.QUOTA and outcome.retry_after:
        return {"quota_until": now + datetime.timedelta(seconds=outcome.retry_after), **reason}
    if outcome.kind is OutcomeKind.RETRY_LATER and outcome.retry_after:
        until = now + datetime.timedelta(seconds=min(outcome.retry_after, MAX_BACKOFF))
        # Another worker may have been asked to wait longer a moment ago.
        return {"backoff_until": max(until, row.ahead("backoff_until", now) or until), **reason}
    return {}


def _reason_columns(outcome: Outcome) -> dict[str, str]:
    return {"code": outcome.code[:MAX_CODE_LENGTH], "detail": outcome.detail[:500]}


def _record_failure(permit: Permit, outcome: Outcome) -> None:
    """Back off, longer each time, and open the circuit breaker if the failures are more than a single call's."""
    with transaction.atomic():
        row = _rows().select_for_update().get(pk=permit.throttle_pk)
        now = row.clock
        row.failures += 1
        row.window_failures += 1
        half_failed = row.window_posts >= WINDOW_MIN_POSTS and 2 * row.window_failures >= row.window_posts
        if row.circuit_opened_at is None and (row.failures >= FAILURE_THRESHOLD or half_failed):
            details = {"provider": row.provider, "code": outcome.code, "detail": outcome.detail}
            log.warning("Circuit breaker opens", extra=details)
            row.circuit_opened_at = now
        seconds = outcome.retry_after or backoff_seconds(row.failures, circuit_open=row.circuit_opened_at is not None)
        until = now + datetime.timedelta(seconds=min(seconds, MAX_BACKOFF))
        row.backoff_until, row.half_open_until = max(until, row.ahead("backoff_until", now) or until), None
        reason = _reason_columns(outcome)
        row.code, row.detail = reason["code"], reason["detail"]
        columns = ["failures", "window_failures", "circuit_opened_at", "backoff_until", "half_open_until"]
        row.save(update_fields=[*columns, *reason])


def backoff_seconds(failures: int, *, circuit_open: bool) -> float:
    """Exponential from 1 second with full jitter, at most five minutes.

    With an open circuit at least half of that, so that ten minutes of outage cost about ten calls.
    """
    if circuit_open:
        longest = min(MAX_BACKOFF, 2.0 ** max(FAILURE_THRESHOLD, min(failures, 12)))
        return random.uniform(longest / 2, longest)  # noqa: S311 - spreads load; guessing it gains nothing
    return random.uniform(0.0, min(MAX_BACKOFF, 2.0 ** (min(failures, 12) - 1)))  # noqa: S311


def clear_suspensions(*, by: str) -> None:
    """Let suspended accounts and used-up quotas try again, after an operator says that the cause is fixed."""
    stopped = ProviderThrottle.objects.exclude(suspended_at=None, quota_until=None)
    if stopped.update(suspended_at=None, quota_until=None, backoff_until=None, code="", detail=""):
        log.info("Provider suspensions cleared", extra={"by": by})


# --- The route -----------------------------------------------------------------------------------------------------


def route_statuses(route: Sequence[Provider]) -> Iterator[tuple[Provider, ThrottleStatus, bool]]:
    """Each provider of the route with its status, and whether new batches go to it.

    They go to the first whose circuit is not open, whose quota is not used up and which is not suspended. So the
    circuit breaker decides when the next provider is used, and a provider that recovers gets new batches again.
    """
    is_chosen = False
    for provider in route:
        status = throttle_status(provider)
        takes_new_batches = not is_chosen and status.availability in USABLE
        yield provider, status, takes_new_batches
        is_chosen = is_chosen or takes_new_batches


def find_outage(route: Sequence[Provider]) -> ThrottleStatus | None:
    """The first provider's status if every provider of the route is suspended or over its quota; None otherwise.

    An open circuit is no outage, because it tries again within minutes.
    """
    statuses = [throttle_status(provider) for provider in route]
    stopped = (Availability.SUSPENDED, Availability.QUOTA_EXCEEDED)
    if not statuses or any(status.availability not in stopped for status in statuses):
        return None
    return statuses[0]


def unavailable_providers(route: Sequence[Provider]) -> list[ThrottleStatus]:
    """The status of each provider that takes no mail, except for a short backoff."""
    statuses = [throttle_status(provider) for provider in route]
    return [status for status in statuses if status.reported_availability not in USABLE]


def post_message(route: Sequence[Provider], message: Message, *, key: str) -> Outcome:
    """Post one transactional mail with a permit of its own, through the first provider that takes new mail."""
    if not may_write_to(message.to):
        return Outcome(kind=OutcomeKind.REFUSED, code="recipient_not_allowed")
    for provider, _status, takes_new_batches in route_statuses(route):
        if takes_new_batches and (permit := acquire_permit(provider, share=TRANSACTIONAL_SHARE, max_wait=2 * MAX_WAIT)):
            # Asked as late as possible: a permit may take seconds to come.
            if sending_stopped():
                release_permit(permit)
                return Outcome(kind=OutcomeKind.RETRY_LATER, code="all_sending_stopped")
            outcome = provider.post_message(message, key=key)
            update_throttle(permit, outcome)
            return replace(outcome, account=provider_account(provider))
    outage = find_outage(route)
    code, detail = (outage.code, outage.detail) if outage else ("", "")
    return Outcome(kind=OutcomeKind.RETRY_LATER, code=code or "provider_unavailable", detail=detail)
