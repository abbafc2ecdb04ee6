"""Resend: posts, receipts, and everything that is known of its API. The only module that imports `resend`.

Sources: Resend's API reference and error page, resend 2.51. The SDK's classes do not tell errors apart
(one class for three kinds of 429); the HTTP status and the error's name do.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import re
import ssl
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

import orjson
import resend
import urllib3
from resend.exceptions import ResendError

from newsletter.models import Fact
from newsletter.providers.base import (
    BounceKind,
    Event,
    Message,
    Outcome,
    OutcomeKind,
    ReceiptRefused,
    SignedReceipt,
)

#: A message under this name carries a whole body that was encoded before; see PooledClient.
FROZEN_BODY = "frozen"

#: Errors that mean that no byte of the request has left.
NOT_SENT = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)

#: Error names that stop all sending until a person acts, whatever their status.
HALTING = {
    "missing_api_key",
    "restricted_api_key",
    "invalid_api_key",
    "suspended_api_key",
    "invalid_permission",
    "email_above_quota",
    "daily_quota_exceeded",
    "monthly_quota_exceeded",
}

FACTS = {
    "email.sent": Fact.SENT,
    "email.delivery_delayed": Fact.DELAYED,
    "email.delivered": Fact.DELIVERED,
    "email.opened": Fact.OPENED,
    "email.clicked": Fact.CLICKED,
    "email.failed": Fact.FAILED,
    "email.suppressed": Fact.SUPPRESSED,
    "email.bounced": Fact.BOUNCED,
    "email.complained": Fact.COMPLAINED,
}

#: Seconds that a webhook's own time may differ from ours, both ways (Svix).
TOLERANCE = 300
SVIX_ID = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
SVIX_TIMESTAMP = re.compile(r"[0-9]{1,12}\Z")
#: Enhanced status codes about the sender or the message rather than the mailbox (RFC 3463: X.7 policy, X.4 routing).
POLICY_CODE = re.compile(r"\b[45]\.(?:7|4)\.\d{1,3}\b")


class PooledClient(resend.HTTPClient):
    """The SDK's HTTP client over one pool of connections: an eighth of its default's CPU, and no new TLS per call.

    The SDK copies what it is given into plain dicts, so a body that must go out byte for byte travels as the only
    message `{FROZEN_BODY: bytes}` and is unpacked here.
    """

    def __init__(self, connections: int = 8) -> None:
        self._pool = urllib3.PoolManager(
            maxsize=connections, block=True, retries=False, timeout=urllib3.Timeout(connect=5, read=60)
        )

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        json: Any = None,
        files: Any = None,
        data: Any = None,
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """One request, never repeated or redirected here: what may be posted again is the batch's decision."""
        sent = dict(headers)
        body = _body(json)
        if body is not None:
            sent["Content-Type"] = "application/json"
        response = self._pool.request(method.upper(), url, body=body, headers=sent, redirect=False)
        return response.data, response.status, response.headers


def _body(json: Any) -> bytes | None:
    if not json:
        return None
    if isinstance(json, list) and FROZEN_BODY in json[0]:
        return bytes(json[0][FROZEN_BODY])
    return orjson.dumps(json)


class ResendProvider:
    """Resend's API at `url`, which may be the sandbox's."""

    name: ClassVar[str] = "resend"
    batch_size: ClassVar[int] = 100
    # Resend keeps keys for 24 hours; one less allows for clocks.
    key_lifetime: ClassVar[datetime.timedelta] = datetime.timedelta(hours=23)

    def __init__(self, *, url: str, api_key: str, webhook_secrets: tuple[str, ...]) -> None:
        self._url = url.rstrip("/")
        self._api_key = api_key
        self._client = PooledClient()
        self._secrets = [base64.b64decode(secret.removeprefix("whsec_")) for secret in webhook_secrets]

    # Posts

    def encode(self, message: Message) -> bytes:
        """One item of a batch as JSON."""
        return orjson.dumps(_fields(message))

    def join(self, messages: list[bytes]) -> bytes:
        """A JSON array of encoded messages."""
        return b"[" + b",".join(messages) + b"]"

    def post_batch(self, body: bytes, *, key: str, size: int) -> Outcome:
        """POST /emails/batch in strict mode: all messages are taken or none."""
        frozen = cast("list[resend.Emails.SendParams]", [{FROZEN_BODY: body}])
        return self._attempt(
            lambda: resend.Batch.send(frozen, {"idempotency_key": key, "batch_validation": "strict"}),
            lambda answer: _ids([item.get("id") for item in answer["data"]], size),
        )

    def post_message(self, message: Message, *, key: str) -> Outcome:
        """POST /emails."""
        params = cast("resend.Emails.SendParams", _fields(message))
        return self._attempt(
            lambda: resend.Emails.send(params, {"idempotency_key": key}),
            lambda answer: _ids([answer.get("id")], 1),
        )

    def _attempt(self, call: Callable[[], Any], ids: Callable[[Any], tuple[str, ...]]) -> Outcome:
        # The SDK keeps key, address and client in its module; they are set at each call so that two providers in
        # one process (tests, a change of settings) never use each other's.
        resend.api_key, resend.api_url = self._api_key, self._url
        resend.default_http_client = self._client
        try:
            answer = call()
        except ResendError as error:
            return outcome_of_error(error)
        rate_limit = _number(answer.get("http_headers"), "ratelimit-limit")
        try:
            return Outcome(kind=OutcomeKind.ACCEPTED, ids=ids(answer), rate_limit=rate_limit)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"Resend said yes, but its answer does not name every mail ({error})."
            return Outcome(kind=OutcomeKind.UNKNOWN, reason=reason, rate_limit=rate_limit)

    # Receipts

    def verify(self, headers: Mapping[str, str], body: bytes) -> SignedReceipt:
        """Svix's scheme by hand: the SDK's check takes one secret only and ignores the signature's version.

        Headers svix-id, svix-timestamp, svix-signature. A wrong entry in the list does not hide a right one (R-79).
        """
        event_id, timestamp = headers.get("svix-id", ""), headers.get("svix-timestamp", "")
        if not SVIX_ID.match(event_id) or not SVIX_TIMESTAMP.match(timestamp):
            raise ReceiptRefused("The webhook's id or time is missing or malformed.")
        now = datetime.datetime.now(datetime.UTC).timestamp()
        if abs(now - int(timestamp)) > TOLERANCE:
            raise ReceiptRefused("The webhook was signed too long ago, or in the future.")
        signed = f"{event_id}.{timestamp}.".encode() + body
        expected = [base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)) for secret in self._secrets]
        given = [part[3:] for part in headers.get("svix-signature", "").split(" ")[:10] if part.startswith("v1,")]
        if not any(hmac.compare_digest(good, entry.encode()) for good in expected for entry in given):
            raise ReceiptRefused("The webhook's signature does not match.")
        try:
            return SignedReceipt(event_id=event_id, body=body.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise ReceiptRefused("The webhook's body is no UTF-8.") from error

    def parse(self, body: str) -> Event:
        """Read one event leniently: Resend adds fields and kinds, and its own examples break its own schema."""
        try:
            event = orjson.loads(body)
            kind, data = str(event["type"]), event.get("data") or {}
            at = datetime.datetime.fromisoformat(str(event["created_at"]))
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
            raise ReceiptRefused(f"The event cannot be read: {error}") from error
        if not isinstance(data, dict):
            raise ReceiptRefused("The event cannot be read: its data is no object.")
        bounce, detail = _bounce(data.get("bounce")) if kind == "email.bounced" else (None, _detail(kind, data))
        return Event(
            kind=kind[:64],
            fact=FACTS.get(kind),
            at=at if at.tzinfo else at.replace(tzinfo=datetime.UTC),
            provider_id=str(data.get("email_id") or "")[:64],
            recipient=_first(data.get("to")),
            tags=_tags(data.get("tags")),
            bounce=bounce,
            detail=_clean(detail),
        )


def outcome_of_error(error: ResendError) -> Outcome:
    """What a refusal or failure means for the mails in the post; one row of R-107 each."""
    status, name = int(error.code), error.error_type
    said = f"Resend answered {status} {name}: {_clean(error.message)}"
    wait, limit = _number(error.headers, "retry-after"), _number(error.headers, "ratelimit-limit")
    if name == "HttpClientError":
        return _transport_outcome(error)
    if name in HALTING or status in {401, 403, 405, 404, 451}:
        return Outcome(kind=OutcomeKind.HALT, reason=said, retry_after=wait, rate_limit=limit)
    if status == 429:
        return Outcome(kind=OutcomeKind.LATER, reason=said, retry_after=wait or 1.0, rate_limit=limit)
    if name == "invalid_idempotent_request":
        return Outcome(kind=OutcomeKind.STUCK, reason=said)
    if status == 400 and "api key" in error.message.lower():
        # Resend's answer to a key it does not know (seen by two third parties); the content is not at fault.
        return Outcome(kind=OutcomeKind.HALT, reason=said)
    if status in {400, 413, 422}:
        return Outcome(kind=OutcomeKind.SPLIT, reason=said, rate_limit=limit)
    if 300 <= status < 400:
        return Outcome(kind=OutcomeKind.HALT, reason=f"{said} The address of the API is wrong.")
    # 409 concurrent_idempotent_requests among them: the first post is still running.
    return Outcome(kind=OutcomeKind.UNKNOWN, reason=said, retry_after=wait, rate_limit=limit)


def _transport_outcome(error: ResendError) -> Outcome:
    # The SDK wraps whatever the client raised; the original is only in the context.
    cause = error.__context__
    certificate = isinstance(cause, urllib3.exceptions.SSLError) and isinstance(
        cause.__context__ or cause.args[0], ssl.SSLCertVerificationError
    )
    if isinstance(cause, NOT_SENT) or certificate:
        return Outcome(kind=OutcomeKind.LATER, reason=f"No connection to the provider ({type(cause).__name__}).")
    return Outcome(
        kind=OutcomeKind.UNKNOWN, reason=f"The connection broke before an answer came ({type(cause).__name__})."
    )


def _fields(message: Message) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "from": message.sender,
        "to": [message.to],
        "subject": message.subject,
        "html": message.html,
        "text": message.text,
        "headers": dict(message.headers),
        "tags": [{"name": name, "value": value} for name, value in message.tags.items()],
    }
    if message.reply_to:
        fields["reply_to"] = message.reply_to
    return fields


def _ids(ids: list[object], size: int) -> tuple[str, ...]:
    """Exactly `size` distinct ids, or ValueError (R-105)."""
    named = tuple(value for value in ids if isinstance(value, str) and value)
    if len(named) != size or len(ids) != size or len(set(named)) != size:
        raise ValueError(f"{len(set(named))} ids for {size} mails")
    return named


def _number(headers: Mapping[str, str] | None, name: str) -> float | None:
    """A header as a sane positive number of at most a day; None if it is missing or absurd (R-118)."""
    lowered = {key.lower(): value for key, value in (headers or {}).items()}
    try:
        value = float(lowered[name])
    except (KeyError, ValueError, TypeError):
        return None
    return min(value, 86_400.0) if value > 0 else None


def _clean(text: object) -> str:
    """Someone else's text, safe to store and show: no control characters, at most 300 long."""
    return "".join(char if char.isprintable() else " " for char in str(text))[:300].strip()


def _first(to: object) -> str:
    value = to[0] if isinstance(to, list) and to else to
    return _clean(value) if isinstance(value, str) else ""


def _tags(tags: object) -> dict[str, str]:
    """Tags come back as an object; Resend's own ingester types them as a list, so both are read."""
    if isinstance(tags, list):
        tags = {item.get("name"): item.get("value") for item in tags if isinstance(item, dict)}
    return {str(name): _clean(value) for name, value in tags.items()} if isinstance(tags, dict) else {}


def _bounce(bounce: object) -> tuple[BounceKind, str]:
    """The kind of a bounce and what was said. Only a permanent one about the mailbox is hard (R-92)."""
    if not isinstance(bounce, dict):
        return BounceKind.SOFT, ""
    codes = bounce.get("diagnosticCode")
    diagnostics = " ".join(str(code) for code in codes) if isinstance(codes, list) else str(codes or "")
    said = f"{bounce.get('message') or ''} {diagnostics}".strip()
    if POLICY_CODE.search(said) or bounce.get("subType") in {"ContentRejected", "MessageRejected"}:
        return BounceKind.POLICY, said
    permanent = bounce.get("type") == "Permanent" and bounce.get("subType") not in {"MailboxFull", "MessageTooLarge"}
    return (BounceKind.HARD if permanent else BounceKind.SOFT), said


def _detail(kind: str, data: Mapping[str, Any]) -> str:
    """The one thing that an event of this kind adds: why it failed, which link was clicked."""
    part = data.get(kind.removeprefix("email."))
    inner = data.get("click") if kind == "email.clicked" else part
    if not isinstance(inner, dict):
        return ""
    return str(inner.get("link") or inner.get("reason") or inner.get("message") or "")
