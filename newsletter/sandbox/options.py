"""The options of the sandbox."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

#: Types of events about mails that Resend sends (SDK 2.51). An endpoint may subscribe to fewer.
EMAIL_EVENTS = frozenset(
    {
        "email.sent",
        "email.scheduled",
        "email.delivered",
        "email.delivery_delayed",
        "email.complained",
        "email.bounced",
        "email.opened",
        "email.clicked",
        "email.failed",
        "email.suppressed",
    }
)

#: The type of the event about a mail that the team received.
RECEIVED_EVENT = "email.received"

#: Longest wait in seconds: a day. Sockets and threads do not take any number.
LONGEST_WAIT = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """All options; `SandboxServer.configure` replaces them. Raises ValueError for an invalid value.

    Shares are fractions from 0 to 1. A hash of the address decides which recipients belong to a share, so a recipient
    behaves the same way in every run.
    """

    #: 0 chooses a free port.
    port: int = 8026
    #: A key with full access.
    api_key: str = "re_sandbox"
    #: A key with sending access: other calls than GET /usage are answered with 401 restricted_api_key.
    sending_key: str = "re_sandbox_sending"
    #: Domains that `from` may use; None accepts every domain.
    verified_domains: frozenset[str] | None = None
    #: Verified domains whose opens or clicks Resend tracks. Events do not depend on it.
    open_tracking_domains: frozenset[str] = frozenset()
    click_tracking_domains: frozenset[str] = frozenset()
    #: Whether recipients at example.com and test.com are answered with 422, as by Resend.
    block_example_domains: bool = True
    #: Largest request body in bytes; larger ones are answered with 413.
    max_body_bytes: int = 40_000_000
    #: Calls per second, for the whole team.
    rate_limit: int = 10
    #: Recipients per day and per month (UTC); None is unlimited.
    daily_quota: int | None = None
    monthly_quota: int | None = None

    #: URL to which events are posted; None posts none.
    webhook_url: str | None = None
    #: The signing secret (`whsec_…`), or two during a rotation, the newest first.
    webhook_secrets: tuple[str, ...] = ()
    webhook_events: frozenset[str] = EMAIL_EVENTS | {RECEIVED_EVENT}
    webhook_workers: int = 4
    #: Seconds within which the receiver must answer.
    webhook_timeout: float = 15.0
    #: Factor for the time between events and between retries: 0.01 turns five minutes into three seconds.
    webhook_time_scale: float = 1.0
    #: Share of events that are posted twice, with the same `svix-id`.
    webhook_duplicates: float = 0.0
    #: Post the events of each mail in reverse order.
    webhook_reversed: bool = False
    #: Post the first event of a mail before answering the call that sent it.
    webhook_before_response: bool = False
    #: Add an event of an unknown type to each mail.
    webhook_unknown_types: bool = False

    open_share: float = 0.0
    #: Share of all recipients. A recipient who clicks also opens.
    click_share: float = 0.0
    bounce_share: float = 0.0
    complaint_share: float = 0.0

    #: SQLite file that keeps the ledger across restarts; None keeps it in memory.
    ledger: Path | None = None

    def __post_init__(self) -> None:
        self._check_types()
        for name in ("open_share", "click_share", "bounce_share", "complaint_share", "webhook_duplicates"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1, not {getattr(self, name)}.")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must be between 0 and 65535, not {self.port}.")
        if not self.api_key or not self.sending_key:
            raise ValueError("api_key and sending_key must not be empty.")
        if self.rate_limit < 1 or self.webhook_workers < 1:
            raise ValueError("rate_limit and webhook_workers must be 1 or more.")
        if self.webhook_time_scale <= 0 or not 0 < self.webhook_timeout <= LONGEST_WAIT:
            raise ValueError(f"webhook_time_scale must be more than 0, webhook_timeout too and at most {LONGEST_WAIT}.")
        if self.webhook_url is not None:
            _check_url(self.webhook_url)
        if self.webhook_url is not None and not self.webhook_secrets:
            raise ValueError("webhook_url needs webhook_secrets, because events are always signed.")
        for secret in self.webhook_secrets:
            signing_key(secret)

    def _check_types(self) -> None:
        """Values come from JSON, too. Raises ValueError."""
        for name, (is_valid, expected) in _TYPES.items():
            if not is_valid(getattr(self, name)):
                raise ValueError(f"{name} must be {expected}.")


def is_integer(value: object) -> bool:
    """Whether it is an integer; JSON's true is none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether it is a finite number; JSON's true is none."""
    return is_integer(value) or (isinstance(value, float) and math.isfinite(value))


def is_text(value: object) -> bool:
    """Whether it is a string."""
    return isinstance(value, str)


def is_bool(value: object) -> bool:
    """Whether it is true or false."""
    return isinstance(value, bool)


def _are_texts(value: object) -> bool:
    return isinstance(value, (frozenset, set, tuple, list)) and all(isinstance(each, str) for each in value)


def _or_none(is_valid: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or is_valid(value)


#: The check of each option's type, and how it is called in the error. The path of the ledger never comes from JSON.
_TYPES: Mapping[str, tuple[Callable[[object], bool], str]] = {
    **dict.fromkeys(("port", "max_body_bytes", "rate_limit", "webhook_workers"), (is_integer, "an integer")),
    **dict.fromkeys(("daily_quota", "monthly_quota"), (_or_none(is_integer), "an integer or null")),
    **dict.fromkeys(
        (
            "webhook_timeout",
            "webhook_time_scale",
            "webhook_duplicates",
            "open_share",
            "click_share",
            "bounce_share",
            "complaint_share",
        ),
        (is_number, "a number"),
    ),
    **dict.fromkeys(("api_key", "sending_key"), (is_text, "a string")),
    "webhook_url": (_or_none(is_text), "a string or null"),
    "verified_domains": (_or_none(_are_texts), "a list of strings or null"),
    **dict.fromkeys(
        ("open_tracking_domains", "click_tracking_domains", "webhook_events", "webhook_secrets"),
        (_are_texts, "a list of strings"),
    ),
    **dict.fromkeys(
        (
            "block_example_domains",
            "webhook_reversed",
            "webhook_before_response",
            "webhook_unknown_types",
        ),
        (is_bool, "true or false"),
    ),
}


def _check_url(url: str) -> None:
    """Raises ValueError if nothing can be posted there."""
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"webhook_url must start with http:// or https://, not {url!r}.")
    try:
        parts = urlsplit(url)
        is_complete = bool(parts.hostname and parts.hostname.encode("idna")) and parts.port != 0
    except ValueError:
        # Also UnicodeError, for a label of the host name that is empty or too long.
        is_complete = False
    if not is_complete:
        raise ValueError(f"webhook_url must have a host name and, if any, a port from 1 to 65535: {url!r}.")


def signing_key(secret: str) -> bytes:
    """The key in a signing secret: `whsec_` and Base64. Raises ValueError, which does not contain the secret."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise ValueError("A webhook secret must be whsec_ followed by Base64.") from error
    if not secret.startswith("whsec_") or not key:
        raise ValueError("A webhook secret must be whsec_ followed by Base64.")
    return key
