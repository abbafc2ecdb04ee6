"""What Resend's answers mean: refusals as an outcome, names of mails as those of one post.

Sources: Resend's API reference and error page; SDKs and recordings where these are silent. Names that are not known
are judged by their status.
"""

from __future__ import annotations

import datetime
import re
import threading
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from newsletter.providers.base import Extent, Outcome, OutcomeKind

#: Error names that stop sending, whatever their status, and how far: the key, the quota, or something that every
#: message of the newsletter has, so that no other message would fare better.
HALTING = {
    "invalid_from_address": Extent.ISSUE,
    "invalid_idempotency_key": Extent.ISSUE,
    "security_error": Extent.ISSUE,
    "missing_api_key": Extent.TEAM,
    "restricted_api_key": Extent.TEAM,
    "invalid_api_key": Extent.TEAM,
    "suspended_api_key": Extent.TEAM,
    "invalid_permission": Extent.TEAM,
    "email_above_quota": Extent.TEAM,
    "daily_quota_exceeded": Extent.QUOTA,
    "monthly_quota_exceeded": Extent.TEAM,
}

#: Fields that all messages of an issue share; a complaint about one of them is no reader's fault.
SHARED_FIELD = re.compile(r"[`'\"](?:from|reply_to|headers|tags|subject|html|text)\b")

#: Posts of which the answer is remembered; more than a process has connections on which an old one may linger.
REMEMBERED = 256


class AnswersBefore:
    """To which post the answers belong that came lately.

    Something between us and Resend may give an answer twice. The second waits on the connection and is read as the
    answer to the next post, of which it proves nothing: nobody may have that.
    """

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}
        self._lock = threading.Lock()

    def is_anothers(self, ids: tuple[str, ...], key: str) -> bool:
        """Whether these names were given to another post than that of `key`; from now on they are that of `key`."""
        with self._lock:
            known = self._keys.setdefault(ids[0], key)
            if len(self._keys) > REMEMBERED:
                del self._keys[next(iter(self._keys))]
        return known != key


def outcome_of_refusal(status: int, name: str, message: str, headers: Mapping[str, str] | None) -> Outcome:
    """One row of R-107. The three 429s differ: the rate asks to wait, the day's quota until midnight, the month's
    for a person.
    """
    kind = _kind(status, name, message)
    extent = _extent(status, name, message) if kind is OutcomeKind.HALT else Extent.ISSUE
    wait = _seconds_to_wait(headers) or (1.0 if status == 429 else None)
    return Outcome(
        kind=kind,
        reason=f"Resend answered {status} {name}: {message}",
        extent=extent,
        retry_after=_seconds_of_the_day_left() if extent is Extent.QUOTA else wait,
        rate_limit=number_in(headers, "ratelimit-limit"),
    )


def _extent(status: int, name: str, message: str) -> Extent:
    """How far a refusal reaches. A 403 about a domain, a recipient or a field is the issue's; about the key, all's."""
    if name in HALTING:
        return HALTING[name]
    is_of_the_issue = status == 451 or name == "validation_error" or SHARED_FIELD.search(message)
    return Extent.ISSUE if is_of_the_issue and not _is_about_the_key(status, message) else Extent.TEAM


def _is_about_the_key(status: int, message: str) -> bool:
    """Resend's answer to a key that it does not know is a 400 validation_error (seen by two third parties)."""
    return status == 401 or (status == 400 and "api key" in message.lower())


def _seconds_of_the_day_left() -> float:
    """Until the quota of the day begins anew, at midnight UTC, and a little for clocks."""
    now = datetime.datetime.now(datetime.UTC)
    midnight = (now + datetime.timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight - now).total_seconds() + 30.0


def _kind(status: int, name: str, message: str) -> OutcomeKind:
    if name in HALTING or status in {401, 403, 404, 405, 451}:
        return OutcomeKind.HALT
    if status == 429:
        return OutcomeKind.LATER
    if name == "invalid_idempotent_request":
        return OutcomeKind.STUCK
    if _is_about_the_key(status, message):
        return OutcomeKind.HALT
    if status in {400, 422}:
        return OutcomeKind.HALT if SHARED_FIELD.search(message) else OutcomeKind.SPLIT
    if status == 413:
        return OutcomeKind.SPLIT
    # 5xx, and 409 concurrent_idempotent_requests: the first post is still running.
    return OutcomeKind.UNKNOWN


def _seconds_to_wait(headers: Mapping[str, str] | None) -> float | None:
    """Retry-After as seconds or as a date (RFC 9110 §10.2.3), at most a day; None if missing or absurd (R-118)."""
    said = {key.lower(): value for key, value in (headers or {}).items()}.get("retry-after")
    try:
        moment = parsedate_to_datetime(said or "")
    except (ValueError, OverflowError):
        return number_in(headers, "retry-after")
    left = (moment.replace(tzinfo=moment.tzinfo or datetime.UTC) - datetime.datetime.now(datetime.UTC)).total_seconds()
    return min(left, 86_400.0) if left > 0 else None


def number_in(headers: Mapping[str, str] | None, name: str) -> float | None:
    """A header as a sane positive number of at most a day; None if it is missing or absurd (R-118)."""
    lowered = {key.lower(): value for key, value in (headers or {}).items()}
    try:
        value = float(lowered[name])
    except (KeyError, ValueError, TypeError):
        return None
    return min(value, 86_400.0) if value > 0 else None
