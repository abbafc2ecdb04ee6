"""What can be set on the sandbox."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path

#: Event types about a mail that Resend sends (SDK 2.51); an endpoint may subscribe to fewer.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """Every switch of the sandbox; a change makes a new value (`SandboxServer.configure`).

    Shares are fractions from 0 to 1. Who belongs to a share follows from a hash of the address, so that the same
    reader behaves the same way in every run. ValueError names a value that cannot be meant.
    """

    #: 0 takes a free port.
    port: int = 8026
    #: Full access, as a key with "Full access" at Resend.
    api_key: str = "re_sandbox"
    #: May only send: every other call is answered with 401 restricted_api_key.
    sending_key: str = "re_sandbox_sending"
    #: Domains that `from` may use; None accepts all of them.
    verified_domains: frozenset[str] | None = None
    #: Resend answers 422 to recipients at example.com and test.com.
    block_example_domains: bool = True
    #: Bytes of a request body beyond which the answer is 413.
    max_body_bytes: int = 40_000_000
    #: Calls in one second, for the whole team.
    rate_limit: int = 10
    #: Recipients in one day and month (UTC); None is unlimited.
    daily_quota: int | None = None
    monthly_quota: int | None = None

    #: Where events are posted; None posts none.
    webhook_url: str | None = None
    #: One signing secret (`whsec_…`), or two while it is being rotated: the newest first.
    webhook_secrets: tuple[str, ...] = ()
    webhook_events: frozenset[str] = EMAIL_EVENTS
    webhook_workers: int = 4
    #: Seconds in which the receiver must have answered.
    webhook_timeout: float = 15.0
    #: Multiplies the waits between events and between retries: 0.01 turns five minutes into three seconds.
    webhook_time_scale: float = 1.0
    #: Share of the events that are posted twice, with the same `svix-id`.
    webhook_duplicates: float = 0.0
    #: Post the events of each mail last first.
    webhook_reversed: bool = False
    #: Post the first event of a mail before the call that sent it is answered.
    webhook_before_response: bool = False
    #: Add an event of a type that nobody has heard of to each mail.
    webhook_unknown_types: bool = False

    open_share: float = 0.0
    #: Of all readers; who clicks also opens.
    click_share: float = 0.0
    bounce_share: float = 0.0
    complaint_share: float = 0.0

    #: File (SQLite) that keeps the ledger across restarts; None keeps it in memory.
    ledger: Path | None = None

    def __post_init__(self) -> None:
        for name in ("open_share", "click_share", "bounce_share", "complaint_share", "webhook_duplicates"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share and must be between 0 and 1, not {getattr(self, name)}.")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must be between 0 and 65535, not {self.port}.")
        if not self.api_key or not self.sending_key:
            raise ValueError("api_key and sending_key must not be empty.")
        if self.rate_limit < 1 or self.webhook_workers < 1:
            raise ValueError("rate_limit and webhook_workers must be 1 or more.")
        if self.webhook_time_scale <= 0 or self.webhook_timeout <= 0:
            raise ValueError("webhook_time_scale and webhook_timeout must be more than 0.")
        if self.webhook_url is not None and not self.webhook_url.startswith(("http://", "https://")):
            raise ValueError(f"webhook_url must start with http:// or https://, not {self.webhook_url!r}.")
        if self.webhook_url is not None and not self.webhook_secrets:
            raise ValueError("webhook_url needs webhook_secrets: events are always signed.")
        for secret in self.webhook_secrets:
            signing_key(secret)


def signing_key(secret: str) -> bytes:
    """The key inside a signing secret: `whsec_` and Base64. ValueError without naming the secret."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise ValueError("A webhook secret must be whsec_ followed by Base64.") from error
    if not secret.startswith("whsec_") or not key:
        raise ValueError("A webhook secret must be whsec_ followed by Base64.")
    return key
