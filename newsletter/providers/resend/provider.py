"""Resend: posts, and everything that is known of its API. The only module that imports `resend`.

Its answers are judged in `resend_answers`, its webhooks in `resend_receipts`, its list of mails in `resend_list`.

Sources: Resend's API reference and error page, resend 2.51. The SDK's classes do not tell errors apart
(one class for three kinds of 429); the HTTP status and the error's name do.
"""

from __future__ import annotations

import base64
import datetime
import ssl
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, ClassVar, cast

import orjson
import resend
import urllib3
from django.conf import settings
from resend.exceptions import ResendError

from newsletter.config.failpoints import Point, reached
from newsletter.providers.base import (
    ConnectionCheck,
    Extent,
    Message,
    Outcome,
    OutcomeKind,
    ParsedEvent,
    ProviderSearchFailed,
    SearchPage,
    SignedEvent,
    account_of,
    cleaned,
)
from newsletter.providers.clock import ClockWatch, skew_of
from newsletter.providers.resend.answers import HALTING, AnswersBefore, number_in, outcome_of_refusal
from newsletter.providers.resend.events import read_event, verified
from newsletter.providers.resend.search import ResendList

#: A message under this name carries a whole body that was encoded before; see PooledClient.
FROZEN_BODY = "frozen"

#: Errors that mean that no byte of the request has left.
NOT_SENT = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)

#: Our columns keep this much of a provider's id.
LONGEST_ID = 64
#: Seconds that a post may take; the lease of a batch is longer.
TIMEOUT = urllib3.Timeout(connect=5, read=60)
#: Seconds that Resend may take when it is only asked how it is.
CONNECTION_CHECK_TIMEOUT = 5.0


class Redirected(Exception):
    """The address of the API answers with another address. Following it would hand our key and readers to that."""


class PooledClient(resend.HTTPClient):
    """The SDK's HTTP client over one pool of connections: an eighth of its default's CPU, and no new TLS per call.

    The SDK copies what it is given into plain dicts, so a body that must go out byte for byte travels as the only
    message `{FROZEN_BODY: bytes}` and is unpacked here.
    """

    def __init__(self, connections: int = 8) -> None:
        self._pool = urllib3.PoolManager(maxsize=connections, block=True, retries=False, timeout=TIMEOUT)
        self._clock_watch = ClockWatch()

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
            sent |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        reached(Point.BEFORE_FIRST_BYTE)
        pieces = None if body is None else _halves(body)
        response = self._pool.request(
            method.upper(), url, body=pieces, headers=sent, redirect=False, preload_content=False
        )
        self._clock_watch.look(response.headers)
        reached(Point.ANSWER_BEGUN)
        answer = response.data
        reached(Point.ANSWER_READ)
        if response.status >= 300:
            # Were it given twice, the second would be read as the answer to the next post: nobody listens any more.
            self.close()
        if 300 <= response.status < 400:
            raise Redirected(response.status)
        return answer, response.status, response.headers

    def close(self) -> None:
        """Give the pool's connections back."""
        self._pool.clear()


def _halves(body: bytes) -> Iterator[Any]:
    """The body in two pieces, so that a failpoint can strike between them and after them; views, since it is large."""
    view, middle = memoryview(body), len(body) // 2
    yield view[:middle]
    reached(Point.REQUEST_HALF_SENT)
    yield view[middle:]
    reached(Point.REQUEST_SENT)


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
    # For a whole team, as documented in September 2026.
    posts_per_second: ClassVar[float] = 10.0
    # Resend keeps keys for 24 hours; one less allows for clocks.
    key_lifetime: ClassVar[datetime.timedelta] = datetime.timedelta(hours=23)
    has_events: ClassVar[bool] = True

    def __init__(self, *, url: str, api_key: str, webhook_secrets: tuple[str, ...], read_key: str = "") -> None:
        """`read_key` has full access and is used for reading only; without it nothing can be looked up."""
        self._url = url.rstrip("/")
        self._list = ResendList(self._url, read_key) if read_key else None
        self._api_key = api_key
        self._client = PooledClient()
        self._before = AnswersBefore()
        self._secrets = [base64.b64decode(secret.removeprefix("whsec_")) for secret in webhook_secrets]

    @property
    def account(self) -> str:
        """The key's; whether two keys are one team's, nobody tells us."""
        return account_of(self._url, self._api_key)

    def close(self) -> None:
        """Give its connections back."""
        self._client.close()

    # Posts

    def encode(self, message: Message) -> bytes:
        """One item of a batch as JSON."""
        return orjson.dumps(_fields(message))

    def join(self, messages: list[bytes]) -> bytes:
        """A JSON array of encoded messages."""
        # The brackets go into the one join: around it they would copy the six megabytes of a batch twice more.
        pieces = [piece for message in messages for piece in (b",", message)]
        return b"".join((b"[", *pieces[1:], b"]"))

    def post_batch(self, body: bytes, *, key: str, size: int) -> Outcome:
        """POST /emails/batch in strict mode: all messages are taken or none."""
        frozen = cast("list[resend.Emails.SendParams]", [{FROZEN_BODY: body}])
        return self._attempt(
            lambda: resend.Batch.send(frozen, {"idempotency_key": key, "batch_validation": "strict"}),
            lambda answer: _ids([item.get("id") for item in answer["data"]], size),
            key,
        )

    def post_message(self, message: Message, *, key: str) -> Outcome:
        """POST /emails."""
        params = cast("resend.Emails.SendParams", _fields(message))
        return self._attempt(
            lambda: resend.Emails.send(params, {"idempotency_key": key}),
            lambda answer: _ids([answer.get("id")], 1),
            key,
        )

    def _attempt(self, call: Callable[[], Any], ids: Callable[[Any], tuple[str, ...]], key: str) -> Outcome:
        # The SDK keeps key, address and client in its module; they are set at each call so that two providers in
        # one process (tests, a change of settings) never use each other's.
        resend.api_key, resend.api_url = self._api_key, self._url
        resend.default_http_client = self._client
        try:
            return self._answered(call, ids, key)
        except Exception as error:
            # An answer came, and it is none that the API documents: what it means is not known.
            reason = f"Resend's answer cannot be read ({cleaned(f'{type(error).__name__}: {error}')})."
            return Outcome(kind=OutcomeKind.UNKNOWN, reason=reason)

    def _answered(self, call: Callable[[], Any], ids: Callable[[Any], tuple[str, ...]], key: str) -> Outcome:
        try:
            answer = call()
        except ResendError as error:
            return outcome_of_error(error)
        named, rate_limit = ids(answer), number_in(answer.get("http_headers"), "ratelimit-limit")
        if self._before.is_anothers(named, key):
            self.close()
            return Outcome(kind=OutcomeKind.UNKNOWN, reason="The answer to another post came instead of this one's.")
        return Outcome(kind=OutcomeKind.ACCEPTED, ids=named, rate_limit=rate_limit)

    def check_connection(self) -> ConnectionCheck:
        """GET /domains: a full key is told their state; a sending key is refused by name, which proves it is known."""
        headers = {"Authorization": f"Bearer {self._api_key}", "User-Agent": "newsletter"}
        try:
            answer = urllib3.request(
                "GET",
                f"{self._url}/domains",
                headers=headers,
                timeout=CONNECTION_CHECK_TIMEOUT,
                retries=False,
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            return ConnectionCheck(is_well=False, sentence=f"Resend does not answer ({type(error).__name__}).")
        return _check_up_of(answer.status, answer.data, answer.headers)

    # What it has taken

    @property
    def supports_search(self) -> bool:
        """Whether there is a key to read with."""
        return self._list is not None

    def look_up(self, body: bytes, *, after: str) -> SearchPage:
        """One page of GET /emails. Raises ProviderSearchFailed."""
        return self._readable().look_up(body, after=after)

    def made_at(self, mail_id: str) -> datetime.datetime | None:
        """The time in GET /emails/{id}; None for 404. Raises ProviderSearchFailed."""
        return self._readable().made_at(mail_id)

    def _readable(self) -> ResendList:
        if self._list is None:
            raise ProviderSearchFailed("RESEND_READ_KEY is not set, so Resend's list cannot be read.", permanent=True)
        return self._list

    # Receipts

    def verify(self, headers: Mapping[str, str], body: bytes) -> SignedEvent:
        """Svix's scheme, with the current and the previous secret. Raises EventRejected."""
        return verified(self._secrets, headers, body)

    def parse(self, body: str) -> ParsedEvent:
        """Read one event. Raises EventRejected."""
        return read_event(body)


@lru_cache(maxsize=1)
def _provider(url: str, api_key: str, read_key: str, secrets: tuple[str, ...]) -> ResendProvider:
    return ResendProvider(url=url, api_key=api_key, read_key=read_key, webhook_secrets=secrets)


def from_settings() -> ResendProvider:
    """The provider as the settings say, one for all that ask while they stay the same."""
    secrets = tuple(settings.WEBHOOK_SECRETS)
    return _provider(settings.PROVIDER_URL, settings.PROVIDER_API_KEY, settings.PROVIDER_READ_KEY, secrets)


def _check_up_of(status: int, body: bytes, headers: Mapping[str, str]) -> ConnectionCheck:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = None
    said = said if isinstance(said, dict) else {}
    name, skew = str(said.get("name", ""))[:64], skew_of(headers)
    if status == 200:
        listed = [item for item in said.get("data") or () if isinstance(item, dict)]
        domains = {str(item.get("name"))[:255]: str(item.get("status"))[:32] for item in listed}
        return ConnectionCheck(
            is_well=True, sentence="Resend answers and knows the key.", clock_skew=skew, domains=domains
        )
    if name == "restricted_api_key":
        return ConnectionCheck(
            is_well=True, sentence="Resend answers; the key may send, and may not ask.", clock_skew=skew
        )
    if status == 429:
        return ConnectionCheck(
            is_well=True, sentence="Resend answers, but has had too many requests just now.", clock_skew=skew
        )
    is_refused = status in {400, 401, 403} or name in HALTING
    what = "does not accept the key" if is_refused else "answers, but not as it should"
    return ConnectionCheck(
        is_well=False, sentence=f"Resend {what} ({status} {name}).".replace(" )", ")"), clock_skew=skew
    )


def outcome_of_error(error: ResendError) -> Outcome:
    """What a refusal or failure means for the mails in the post; one row of R-107 each."""
    status, name, message = _status(error.code), cleaned(error.error_type), cleaned(error.message)
    if name == "HttpClientError":
        return _transport_outcome(error)
    return outcome_of_refusal(status, name, message, error.headers)


def _status(code: object) -> int:
    text = str(code)
    return int(text) if text.isascii() and text.isdigit() and len(text) == 3 else 500


def _transport_outcome(error: ResendError) -> Outcome:
    # The SDK wraps whatever the client raised; the original is only in the context.
    cause = error.__context__
    if isinstance(cause, Redirected):
        return Outcome(
            kind=OutcomeKind.HALT,
            extent=Extent.TEAM,
            reason=f"The address of the API is wrong: it redirects ({cause}).",
        )
    if isinstance(cause, NOT_SENT) or _is_certificate_fault(cause):
        return Outcome(kind=OutcomeKind.LATER, reason=f"No connection to the provider ({type(cause).__name__}).")
    return Outcome(
        kind=OutcomeKind.UNKNOWN, reason=f"The connection broke before an answer came ({type(cause).__name__})."
    )


def _is_certificate_fault(cause: BaseException | None) -> bool:
    """Whether the other side could not prove who it is: then nothing was sent to it."""
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


def _ids(ids: list[object], size: int) -> tuple[str, ...]:
    """Exactly `size` distinct ids, or ValueError (R-105)."""
    named = tuple(value for value in ids if isinstance(value, str) and value)
    if len(named) != size or len(ids) != size or len(set(named)) != size:
        raise ValueError(f"{len(set(named))} ids for {size} mails")
    if any(len(value) > LONGEST_ID for value in named):
        raise ValueError("an id is longer than any that Resend documents")
    return named
