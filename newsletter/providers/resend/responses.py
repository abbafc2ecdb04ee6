"""What Resend's responses mean: errors as an outcome, and whether the ids belong to the request.

Sources: Resend's API reference and error page; SDKs and recorded responses where these are silent. Error names that are
not known are judged by their HTTP status.
"""

from __future__ import annotations

import datetime
import re
import threading
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from newsletter.providers.base import BlockScope, Outcome, OutcomeKind
from newsletter.providers.reasons import CODE

#: Error names that block sending with any status, and what they block: an issue where every message of it has
#: the same fault, otherwise the account.
BLOCKING_ERRORS = {
    "invalid_from_address": BlockScope.ISSUE,
    "invalid_idempotency_key": BlockScope.ISSUE,
    "security_error": BlockScope.ISSUE,
    "missing_api_key": BlockScope.ACCOUNT,
    "restricted_api_key": BlockScope.ACCOUNT,
    "invalid_api_key": BlockScope.ACCOUNT,
    "suspended_api_key": BlockScope.ACCOUNT,
    "invalid_permission": BlockScope.ACCOUNT,
    "email_above_quota": BlockScope.ACCOUNT,
    "daily_quota_exceeded": BlockScope.QUOTA,
    "monthly_quota_exceeded": BlockScope.ACCOUNT,
}

#: Fields that all messages of an issue share. An error about one of them is not about a recipient.
SHARED_FIELD = re.compile(r"[`'\"](?:from|reply_to|headers|tags|subject|html|text)\b")

#: Requests whose ids are remembered: more than a process has connections on which a stale response may wait.
REMEMBERED_REQUESTS = 256


class RecentResponses:
    """Which request the ids of recent responses belong to.

    A proxy between us and Resend may deliver a response twice. The second copy waits on the connection and is read as
    the response to the next request, of which it proves nothing.
    """

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}
        self._lock = threading.Lock()

    def belong_to_another(self, ids: tuple[str, ...], key: str) -> bool:
        """Whether these ids were given to a request with another idempotency key. Remembers them for `key`."""
        with self._lock:
            known = self._keys.setdefault(ids[0], key)
            if len(self._keys) > REMEMBERED_REQUESTS:
                del self._keys[next(iter(self._keys))]
        return known != key


def outcome_of_error(status: int, name: str, message: str, headers: Mapping[str, str] | None) -> Outcome:
    """The outcome of an error response.

    The three errors with status 429 differ: the rate limit asks to wait, the daily quota ends at midnight UTC, and the
    monthly quota needs an operator.
    """
    kind = _kind(status, name, message)
    scope = _scope(status, name, message) if kind is OutcomeKind.BLOCKED else BlockScope.ISSUE
    wait = retry_after(headers) or (1.0 if status == 429 else None)
    return Outcome(
        kind=kind,
        code=_code(status, name, message),
        detail=message,
        scope=scope,
        retry_after=_seconds_until_midnight() if scope is BlockScope.QUOTA else wait,
        rate_limit=number_in(headers, "ratelimit-limit"),
    )


def _code(status: int, name: str, message: str) -> str:
    if _is_about_the_key(status, message) and "not active" in message.lower():
        return "inactive_api_key"
    if status == 400 and _is_about_the_key(status, message):
        return "invalid_api_key"
    # The SDK gives the name application_error to a body that is not JSON, such as a proxy's error page.
    is_the_sdks_name = name == "application_error" and status != 500
    return name if CODE.match(name) and not is_the_sdks_name else f"http_{status}"


def _scope(status: int, name: str, message: str) -> BlockScope:
    """What an error blocks: the issue, if it is about its content, domain or recipients; otherwise the account."""
    if name in BLOCKING_ERRORS:
        return BLOCKING_ERRORS[name]
    is_about_the_issue = status == 451 or name == "validation_error" or SHARED_FIELD.search(message)
    return BlockScope.ISSUE if is_about_the_issue and not _is_about_the_key(status, message) else BlockScope.ACCOUNT


def _is_about_the_key(status: int, message: str) -> bool:
    """Whether an error with any name is about the key.

    Resend answers 403 “API key is not active” to a deactivated key, and a 400 validation_error to an unknown one (not
    documented, reported by two third parties).
    """
    return status == 401 or (status in (400, 403) and "api key" in message.lower())


def _seconds_until_midnight() -> float:
    """Seconds until the daily quota is reset, at midnight UTC, and half a minute for clock differences."""
    now = datetime.datetime.now(datetime.UTC)
    midnight = (now + datetime.timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight - now).total_seconds() + 30.0


def _kind(status: int, name: str, message: str) -> OutcomeKind:
    if name in BLOCKING_ERRORS or status in {401, 403, 404, 405, 451}:
        return OutcomeKind.BLOCKED
    if status == 429:
        return OutcomeKind.RETRY_LATER
    if name == "invalid_idempotent_request":
        return OutcomeKind.KEY_CONFLICT
    if _is_about_the_key(status, message):
        return OutcomeKind.BLOCKED
    if status in {400, 422}:
        return OutcomeKind.BLOCKED if SHARED_FIELD.search(message) else OutcomeKind.REFUSED
    if status == 413:
        return OutcomeKind.REFUSED
    # 5xx; 409 concurrent_idempotent_requests, whose first request is still running; and statuses without documentation.
    return OutcomeKind.UNKNOWN


def retry_after(headers: Mapping[str, str] | None) -> float | None:
    """Retry-After as seconds or as a date (RFC 9110 §10.2.3), at most a day; None if it is missing or invalid."""
    value = {key.lower(): value for key, value in (headers or {}).items()}.get("retry-after")
    try:
        date = parsedate_to_datetime(value or "")
    except (ValueError, OverflowError):
        return number_in(headers, "retry-after")
    left = (date.replace(tzinfo=date.tzinfo or datetime.UTC) - datetime.datetime.now(datetime.UTC)).total_seconds()
    return min(left, 86_400.0) if left > 0 else None


def number_in(headers: Mapping[str, str] | None, name: str) -> float | None:
    """A header as a positive number, at most 86,400; None if it is missing or invalid."""
    lowered = {key.lower(): value for key, value in (headers or {}).items()}
    try:
        value = float(lowered[name])
    except (KeyError, ValueError, TypeError):
        return None
    return min(value, 86_400.0) if value > 0 else None
