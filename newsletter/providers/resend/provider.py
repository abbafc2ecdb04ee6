"""Resend's API: posts, and the connection check. The only module that imports `resend`.

Sources: Resend's API reference and error page, resend 2.51. The SDK's exception classes do not distinguish errors (one
class for three kinds of 429); the HTTP status and the error's name do.
"""

from __future__ import annotations

import base64
import datetime
import logging
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar, cast

import orjson
import resend
import urllib3
from django.conf import settings
from resend.exceptions import ResendError

from newsletter.config.failpoints import Point, failpoint
from newsletter.providers.base import (
    MAX_ID_LENGTH,
    BlockScope,
    ConnectionCheck,
    Message,
    Outcome,
    OutcomeKind,
    ParsedEvent,
    ProviderSearchFailed,
    SearchPage,
    SendingDomain,
    SignedEvent,
    account_fingerprint,
    sanitize,
)
from newsletter.providers.clock import ClockMonitor, skew_of
from newsletter.providers.resend.domains import ResendDomains
from newsletter.providers.resend.events import parse_event, verify_signature
from newsletter.providers.resend.reading import ReadsLogAndCounts
from newsletter.providers.resend.responses import RecentResponses, number_in, outcome_of_error
from newsletter.providers.resend.search import ResendEmails
from newsletter.providers.resend.suppressions import ResendSuppressions
from newsletter.providers.suppression_list import SuppressionPage, SuppressionsUnreadable

log = logging.getLogger(__name__)

#: A message under this name carries a whole body that is already encoded; see PooledClient.
RAW_BODY = "frozen"

#: Seconds to connect and for each write of the body, and between two pieces of the response: urllib3 has no limit for
#: the whole. A server that answers byte by byte can outlast the lease of the batch; then another worker posts the same
#: bytes under the same key.
TIMEOUT = urllib3.Timeout(connect=5, read=60)
#: Bytes per write: at most this much has to leave within the timeout, also over a slow line.
WRITE_BYTES = 64 * 1024
#: Seconds that a connection check may take.
CONNECTION_CHECK_TIMEOUT = 5.0


class Redirected(Exception):
    """The API's address redirects. Following it would hand our key and the subscribers' addresses to another host."""


class PooledClient(resend.HTTPClient):
    """The SDK's HTTP client over one connection pool: an eighth of its default's CPU, and no new TLS session per call.

    The SDK copies its parameters into plain dicts. So a body that must be sent byte for byte travels as the only
    message `{RAW_BODY: bytes}` and is unpacked here.
    """

    def __init__(self, connections: int = 8) -> None:
        self._pool = urllib3.PoolManager(maxsize=connections, block=True, retries=False, timeout=TIMEOUT)
        self._clock_monitor = ClockMonitor()

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        json: Any = None,
        files: Any = None,
        data: Any = None,
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send one request without retries and redirects: the batch decides what is posted again."""
        sent = dict(headers)
        body = _body(json)
        if body is not None:
            sent |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        failpoint(Point.BEFORE_FIRST_BYTE)
        pieces = None if body is None else _pieces(body)
        response = self._pool.request(
            method.upper(), url, body=pieces, headers=sent, redirect=False, preload_content=False
        )
        self._clock_monitor.check(response.headers)
        failpoint(Point.ANSWER_BEGUN)
        content = response.data
        failpoint(Point.ANSWER_READ)
        if response.status >= 300:
            # If a proxy delivers this response twice, the copy must not be read as the response to the next post.
            self.close()
        if 300 <= response.status < 400:
            raise Redirected(response.status)
        return content, response.status, response.headers

    def close(self) -> None:
        self._pool.clear()


def _pieces(body: bytes) -> Iterator[Any]:
    """The body in pieces, because urllib3 limits each write by the connect timeout; views, because the body is large.

    Two pieces at least, so that failpoints can be between and after them.
    """
    view, middle = memoryview(body), len(body) // 2
    yield from _cut(view[:middle])
    failpoint(Point.REQUEST_HALF_SENT)
    yield from _cut(view[middle:])
    failpoint(Point.REQUEST_SENT)


def _cut(view: memoryview) -> Iterator[memoryview]:
    return (view[start : start + WRITE_BYTES] for start in range(0, len(view), WRITE_BYTES))


def _body(json: Any) -> bytes | None:
    if not json:
        return None
    if isinstance(json, list) and RAW_BODY in json[0]:
        return bytes(json[0][RAW_BODY])
    return orjson.dumps(json)


class ResendProvider(ReadsLogAndCounts):
    """Resend's API at `url`, which may be the sandbox's."""

    name: ClassVar[str] = "resend"
    batch_size: ClassVar[int] = 100
    # The documented limit for an account as of September 2026.
    posts_per_second: ClassVar[float] = 10.0
    # Resend keeps idempotency keys for 24 hours; one hour less allows for clock differences.
    key_lifetime: ClassVar[datetime.timedelta] = datetime.timedelta(hours=23)
    supports_webhooks: ClassVar[bool] = True

    def __init__(self, *, url: str, api_key: str, webhook_secrets: tuple[str, ...], read_key: str = "") -> None:
        """`read_key` has full access, for lists, logs and counts; without it none of them can be read."""
        self._url = url.rstrip("/")
        self._emails = ResendEmails(self._url, read_key) if read_key else None
        self._api_key = api_key
        # A key with sending access may not read domains.
        self._domains = ResendDomains(self._url, read_key or api_key)
        self._suppressions = ResendSuppressions(self._url, read_key) if read_key else None
        self.read_with(self._url, read_key)
        self._client = PooledClient()
        self._recent_responses = RecentResponses()
        self._secrets = [base64.b64decode(secret.removeprefix("whsec_")) for secret in webhook_secrets]

    @property
    def account(self) -> str:
        """The fingerprint of the API key. Resend does not tell whether two keys belong to one team."""
        return account_fingerprint(self._url, self._api_key)

    def close(self) -> None:
        self._client.close()

    # Posts

    def encode(self, message: Message) -> bytes:
        """One item of a batch as JSON."""
        return orjson.dumps(_fields(message))

    def join(self, messages: Sequence[Sequence[bytes]]) -> bytes:
        """A JSON array of encoded messages."""
        # The brackets are part of the one join: adding them later would copy the six megabytes of a batch twice more.
        pieces = [piece for message in messages for piece in (b",", *message)]
        pieces[:1] = [b"["]
        pieces.append(b"]")
        return b"".join(pieces)

    def post_batch(self, body: bytes, *, key: str, size: int) -> Outcome:
        """POST /emails/batch in strict mode: Resend takes all messages or none."""
        frozen = cast("list[resend.Emails.SendParams]", [{RAW_BODY: body}])
        return self._attempt(
            lambda: resend.Batch.send(frozen, {"idempotency_key": key, "batch_validation": "strict"}),
            lambda response: _validated_ids([item.get("id") for item in response["data"]], size),
            key,
        )

    def post_message(self, message: Message, *, key: str) -> Outcome:
        """POST /emails."""
        params = cast("resend.Emails.SendParams", _fields(message))
        return self._attempt(
            lambda: resend.Emails.send(params, {"idempotency_key": key}),
            lambda response: _validated_ids([response.get("id")], 1),
            key,
        )

    def _attempt(self, call: Callable[[], Any], ids: Callable[[Any], tuple[str, ...]], key: str) -> Outcome:
        # The SDK keeps key, URL and client in its module. They are set at each call, so that two providers in one
        # process (tests, changed settings) never use each other's.
        resend.api_key, resend.api_url = self._api_key, self._url
        resend.default_http_client = self._client
        try:
            response = call()
        except ResendError as error:
            return _error_outcome(error)
        except Exception as error:
            # A fault of the SDK or of this program. The request may have been sent before it.
            log.exception("Post failed unexpectedly")
            return _unreadable(error)
        try:
            mail_ids, rate_limit = ids(response), number_in(response.get("http_headers"), "ratelimit-limit")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # A response that the API does not document, so its meaning is unknown.
            return _unreadable(error)
        if self._recent_responses.belong_to_another(mail_ids, key):
            self.close()
            return Outcome(kind=OutcomeKind.UNKNOWN, code="wrong_answer")
        return Outcome(kind=OutcomeKind.ACCEPTED, ids=mail_ids, rate_limit=rate_limit)

    def check_connection(self) -> ConnectionCheck:
        """GET /domains. A full key gets the state of its domains; a sending key gets an error that proves it valid."""
        headers = {"Authorization": f"Bearer {self._api_key}", "User-Agent": "newsletter"}
        try:
            response = urllib3.request(
                "GET",
                f"{self._url}/domains",
                headers=headers,
                timeout=CONNECTION_CHECK_TIMEOUT,
                retries=False,
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            code = _connection_error(error) or "timeout"
            return ConnectionCheck(is_ok=False, code=code, detail=type(error).__name__)
        return _connection_check(response.status, response.data, response.headers)

    def read_domains(self) -> tuple[SendingDomain, ...]:
        """GET /domains, with the read key if there is one. Raises DomainsUnreadable."""
        return self._domains.read()

    # The list of mails

    @property
    def can_search(self) -> bool:
        """Whether there is a key to read with."""
        return self._emails is not None

    def search(self, body: bytes, *, after: str) -> SearchPage:
        """One page of GET /emails. Raises ProviderSearchFailed."""
        return self._emails_or_raise().search(body, after=after)

    def mail_created_at(self, mail_id: str) -> datetime.datetime | None:
        """`created_at` of GET /emails/{id}; None for 404. Raises ProviderSearchFailed."""
        return self._emails_or_raise().mail_created_at(mail_id)

    def _emails_or_raise(self) -> ResendEmails:
        if self._emails is None:
            raise ProviderSearchFailed("read_key_missing", permanent=True)
        return self._emails

    # The suppression list

    @property
    def can_read_suppressions(self) -> bool:
        """Whether there is a key with full access."""
        return self._suppressions is not None

    def read_suppressions(self, *, after: str) -> SuppressionPage:
        """One page of GET /suppressions. Raises SuppressionsUnreadable."""
        return self._suppressions_or_raise().read(after)

    def remove_suppression(self, suppression_id: str) -> None:
        """DELETE /suppressions/{id}. Raises SuppressionsUnreadable."""
        self._suppressions_or_raise().remove(suppression_id)

    def _suppressions_or_raise(self) -> ResendSuppressions:
        if self._suppressions is None:
            raise SuppressionsUnreadable("suppressions_refused", permanent=True)
        return self._suppressions

    # Events

    @property
    def has_webhook_secret(self) -> bool:
        """Whether RESEND_WEBHOOK_SECRETS is set."""
        return bool(self._secrets)

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> SignedEvent:
        """Verify Svix's signature with the current or the previous secret. Raises EventRejected."""
        return verify_signature(self._secrets, headers, body)

    def parse_webhook(self, body: str) -> ParsedEvent:
        """Read one event. Raises EventRejected."""
        return parse_event(body)


@lru_cache(maxsize=1)
def _provider(url: str, api_key: str, read_key: str, secrets: tuple[str, ...]) -> ResendProvider:
    return ResendProvider(url=url, api_key=api_key, read_key=read_key, webhook_secrets=secrets)


def from_settings() -> ResendProvider:
    """The provider that the settings describe; the same object as long as they stay the same."""
    secrets = tuple(settings.WEBHOOK_SECRETS)
    return _provider(settings.PROVIDER_URL, settings.PROVIDER_API_KEY, settings.PROVIDER_READ_KEY, secrets)


def _connection_check(status: int, body: bytes, headers: Mapping[str, str]) -> ConnectionCheck:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        content = None
    content = content if isinstance(content, dict) else {}
    name, skew = str(content.get("name", "")), skew_of(headers)
    if status == 200:
        rows = [row for row in content.get("data") or () if isinstance(row, dict)]
        domains = {str(row.get("name"))[:255]: str(row.get("status"))[:32] for row in rows}
        return ConnectionCheck(is_ok=True, code="connection_ok", clock_skew=skew, domains=domains)
    if name == "restricted_api_key":
        return ConnectionCheck(is_ok=True, code="connection_ok_sending_key", clock_skew=skew)
    if status == 429:
        return ConnectionCheck(is_ok=True, code="connection_ok_rate_limited", clock_skew=skew)
    error = outcome_of_error(status, sanitize(name), sanitize(content.get("message") or ""), headers)
    return ConnectionCheck(is_ok=False, code=error.code, detail=error.detail, clock_skew=skew)


def _unreadable(error: Exception) -> Outcome:
    detail = sanitize(f"{type(error).__name__}: {error}")
    return Outcome(kind=OutcomeKind.UNKNOWN, code="unreadable_answer", detail=detail)


def _error_outcome(error: ResendError) -> Outcome:
    """What an error response or a broken connection means for the mails of the post."""
    if error.error_type == "HttpClientError":
        return _transport_outcome(error)
    name, message = sanitize(error.error_type), sanitize(error.message)
    return outcome_of_error(_status(error.code), name, message, error.headers)


def _status(code: object) -> int:
    text = str(code)
    return int(text) if text.isascii() and text.isdigit() and len(text) == 3 else 500


def _transport_outcome(error: ResendError) -> Outcome:
    # The SDK wraps every error of the client; the original is only in the context.
    cause = error.__context__
    detail = type(cause).__name__
    if isinstance(cause, Redirected):
        status = str(cause)
        return Outcome(kind=OutcomeKind.BLOCKED, scope=BlockScope.ACCOUNT, code="redirected", detail=status)
    if code := _connection_error(cause):
        return Outcome(kind=OutcomeKind.RETRY_LATER, code=code, detail=detail)
    code = "timeout" if isinstance(cause, urllib3.exceptions.TimeoutError) else "no_answer"
    return Outcome(kind=OutcomeKind.UNKNOWN, code=code, detail=detail)


def _connection_error(cause: BaseException | None) -> str:
    """The code of an error that means that no byte of the request was sent; empty for others."""
    if _is_certificate_error(cause):
        return "certificate_invalid"
    if isinstance(cause, urllib3.exceptions.NameResolutionError):
        return "dns_error"
    if isinstance(cause, urllib3.exceptions.NewConnectionError):
        is_refused = isinstance(cause.__cause__, ConnectionRefusedError)
        return "connection_refused" if is_refused else "connection_failed"
    # Last, since urllib3 derives the other two from it.
    return "connection_timeout" if isinstance(cause, urllib3.exceptions.ConnectTimeoutError) else ""


def _is_certificate_error(cause: BaseException | None) -> bool:
    """Whether the other side's certificate is invalid: then no request was sent."""
    if not isinstance(cause, urllib3.exceptions.SSLError):
        return False
    reasons = (cause.__context__, cause.__cause__, *cause.args)
    return any(isinstance(reason, ssl.SSLCertVerificationError) for reason in reasons)


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


def _validated_ids(ids: list[object], size: int) -> tuple[str, ...]:
    """Exactly `size` distinct ids. Raises ValueError."""
    named = tuple(value for value in ids if isinstance(value, str) and value)
    if len(named) != size or len(ids) != size or len(set(named)) != size:
        raise ValueError(f"{len(set(named))} ids for {size} mails")
    if any(len(value) > MAX_ID_LENGTH for value in named):
        raise ValueError("an id is longer than any that Resend documents")
    return named
