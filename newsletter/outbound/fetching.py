"""One guarded fetch: resolve once, check, connect to what was checked, follow a few redirects, stop in time.

The guards are those of R-155, and each holds for every redirect again. The deadline is for the whole fetch, names and
redirects included; a server that drips its answer byte by byte is cut off like one that says nothing.
"""

from __future__ import annotations

import http.client
import re
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from socket import SHUT_RDWR, socket
from typing import Literal
from urllib.parse import urljoin

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, LocationParseError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Url, parse_url

from newsletter.outbound.addresses import is_public
from newsletter.outbound.fetch_policy import FetchPolicy, trusted_authorities

Method = Literal["GET", "HEAD"]

REDIRECTS = frozenset({301, 302, 303, 307, 308})
PORTS = {"http": 80, "https": 443}
_UNUSABLE = re.compile(r"[\s\\\x00-\x1f\x7f]")
_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Hop:
    """A redirect on the way: the address that was asked, and the HTTP status it answered with."""

    url: str
    status: int


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a fetch goes: seconds in all, bytes before and after decompression, redirects."""

    seconds: float = 5.0
    bytes: int = 5_000_000
    redirects: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """An answer, whatever its status. `url` is where redirects ended; the names of `headers` are in lower case."""

    status: int
    url: str
    hops: tuple[Hop, ...]
    headers: Mapping[str, str]
    body: bytes
    """Decompressed; empty after HEAD, a 304, or where no body was wanted."""

    @property
    def content_type(self) -> str:
        """The media type without its parameters, in lower case; empty if none was named."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str:
        """The encoding that the Content-Type names; empty if it names none."""
        found = re.search(r"charset\s*=\s*[\"']?([^\s\"';]+)", self.headers.get("content-type", ""), re.IGNORECASE)
        return found[1] if found else ""


class FetchError(Exception):
    """There is no answer to use. The message says why, as a sentence; `hops` are the redirects that led there."""

    permanent = False

    def __init__(self, sentence: str, hops: Sequence[Hop] = ()) -> None:
        super().__init__(sentence)
        self.hops = tuple(hops)

    @property
    def retryable(self) -> bool:
        """Whether the same fetch may go well another time."""
        return not self.permanent


class FetchRefused(FetchError):
    """A guard says no: the address, where it leads, or the size of what it sends."""

    permanent = True


class FetchFailed(FetchError):
    """The network or the server did not answer in a way that can be read."""


@dataclass(slots=True)
class _Fetch:
    """What all requests of one fetch share."""

    visitor: FetchPolicy
    limits: Limits
    method: Method
    headers: dict[str, str]
    with_body: bool
    hops: list[Hop] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds until the deadline; never 0, which would mean to a socket not to wait at all."""
        return max(self.began + self.limits.seconds - time.monotonic(), 0.001)

    def refused(self, sentence: str) -> FetchRefused:
        return FetchRefused(sentence, self.hops)

    def failed(self, sentence: str) -> FetchFailed:
        return FetchFailed(sentence, self.hops)

    def too_slow(self, host: str) -> FetchFailed:
        return self.failed(f"{host} did not finish its answer within {self.limits.seconds:g} seconds.")


@dataclass(frozen=True, slots=True)
class _Target:
    """One address, taken apart. `host` is a name in ASCII or a number without brackets."""

    scheme: str
    host: str
    port: int
    netloc: str
    request_uri: str

    @property
    def shown(self) -> str:
        """The host as it fits into a sentence."""
        return self.host if len(self.host) <= 80 else f"{self.host[:79]}…"


def fetch(
    url: str,
    visitor: FetchPolicy,
    *,
    accept: str = "*/*",
    limits: Limits = Limits(),
    etag: str = "",
    last_modified: str = "",
    method: Method = "GET",
    with_body: bool = True,
) -> Fetched:
    """Ask for `url` and follow its redirects; the answer, whatever its status.

    With the `etag` or `last_modified` of an earlier answer a server may say 304, nothing new. Without a body
    (`with_body=False`) the connection is dropped after the headers. Sends no cookies and no credentials, uses no
    proxy. Raises FetchRefused where a guard says no (R-155) and FetchFailed where nothing usable came back in time.
    """
    wanted = {"User-Agent": visitor.user_agent, "Accept": accept, "Accept-Encoding": "gzip", "Connection": "close"}
    known = {"If-None-Match": etag, "If-Modified-Since": last_modified}
    headers = wanted | {name: value for name, value in known.items() if value}
    fetching = _Fetch(visitor, limits, method, headers, with_body)
    while True:
        answer = _ask(fetching, url)
        location = answer.headers.get("location", "")
        if answer.status not in REDIRECTS or not location:
            return answer
        fetching.hops.append(Hop(url, answer.status))
        if len(fetching.hops) > limits.redirects:
            raise fetching.refused(f"It redirects more than {limits.redirects} times.")
        url = _joined(fetching, url, location)


def _joined(fetching: _Fetch, url: str, location: str) -> str:
    # Headers are read as Latin-1; what servers put there is UTF-8, if it is not ASCII.
    with suppress(UnicodeError):
        location = location.encode("latin-1").decode()
    try:
        # A space is none of an address, but servers send it and browsers follow.
        return urljoin(url, location.strip().replace(" ", "%20"))
    except ValueError as error:
        raise fetching.refused("It redirects to something that is no address.") from error


def _ask(fetching: _Fetch, url: str) -> Fetched:
    """One request to one address that was checked; redirects are not followed here."""
    target = _target_of(fetching, url)
    numbers = _checked_numbers(fetching, target)
    with closing(_connected(fetching, target, numbers)) as connection:
        assert connection.sock is not None  # noqa: S101 - tells the type checker what connecting has done
        with _cut_off_in(fetching.left, connection.sock) as is_late:
            try:
                answer = _exchange(fetching, connection, target, url)
            except (HTTPError, http.client.HTTPException, OSError, ValueError) as error:
                if is_late.is_set():
                    raise fetching.too_slow(target.shown) from error
                raise fetching.failed(f"{target.shown} broke off, or its answer cannot be read.") from error
            if is_late.is_set():
                raise fetching.too_slow(target.shown)
    return answer


def _target_of(fetching: _Fetch, url: str) -> _Target:
    try:
        parts: Url | None = None if _UNUSABLE.search(url.strip()) else parse_url(url.strip())
    except LocationParseError:
        parts = None
    if parts is None or parts.scheme not in PORTS or not parts.host:
        raise fetching.refused("This is no address of a web page: it must begin with https:// or http:// and a name.")
    if parts.auth is not None:
        raise fetching.refused("This address holds a user name or a password, which are never sent. Take them out.")
    host = parts.host.strip("[]")
    netloc = parts.host if parts.port is None else f"{parts.host}:{parts.port}"
    return _Target(parts.scheme, host, parts.port or PORTS[parts.scheme], netloc, parts.request_uri)


def _checked_numbers(fetching: _Fetch, target: _Target) -> list[str]:
    """The numbers of the target, all of them public; one that is not refuses the fetch, whichever we would take."""
    numbers = _resolved(fetching, target)
    if target.host.lower() not in fetching.visitor.allowed_hosts and not all(is_public(number) for number in numbers):
        raise fetching.refused(
            f"{target.shown} is not on the public internet, so nothing is fetched from there. If it is yours, the "
            "operator can name it in FETCH_ALLOWED_HOSTS."
        )
    return numbers


def _resolved(fetching: _Fetch, target: _Target) -> list[str]:
    """The numbers of the target. In a thread, since the system's resolver cannot be told when to give up."""
    found: list[list[str] | Exception] = []

    def look_up() -> None:
        try:
            found.append(list(fetching.visitor.resolver(target.host, target.port)))
        except (OSError, UnicodeError) as error:
            found.append(error)

    looking = threading.Thread(target=look_up, daemon=True, name="resolver")
    looking.start()
    looking.join(fetching.left)
    if not found:
        raise fetching.too_slow(target.shown)
    if isinstance(found[0], Exception) or not found[0]:
        cause = found[0] if isinstance(found[0], Exception) else None
        raise fetching.failed(f"There is no {target.shown}: no server goes by this name.") from cause
    return found[0]


def _connected(fetching: _Fetch, target: _Target, numbers: list[str]) -> HTTPConnection:
    """A connection to the first of the checked numbers that answers; name and certificate stay the target's."""
    failure: Exception | None = None
    for number in numbers:
        # Opening and the handshake of TLS may each take the time out, so each gets half of what is left.
        connection = _connection(target, number, fetching.left / 2, fetching.visitor)
        try:
            connection.connect()
        except (HTTPError, OSError, ValueError) as error:
            connection.close()
            failure = error
            if isinstance(error, ssl.SSLError) or fetching.left < 0.01:
                break
        else:
            connection.timeout = fetching.limits.seconds + 1  # from here on the deadline decides, not each read
            return connection
    if isinstance(failure, ssl.SSLError):
        raise fetching.failed(f"The certificate of {target.shown} is not valid, or it speaks no TLS.") from failure
    raise fetching.failed(f"{target.shown} cannot be reached.") from failure


def _connection(target: _Target, number: str, timeout: float, visitor: FetchPolicy) -> HTTPConnection:
    if target.scheme == "http":
        return HTTPConnection(number, target.port, timeout=timeout)
    return HTTPSConnection(
        number,
        target.port,
        timeout=timeout,
        server_hostname=target.host,
        ssl_context=visitor.tls or trusted_authorities(),
    )


@contextmanager
def _cut_off_in(seconds: float, sock: socket) -> Iterator[threading.Event]:
    """Ends the connection when time is up, however busy it is; the event says that this has happened.

    A socket's own timeout is for one read: it starts anew with each byte that drips in.
    """
    is_late = threading.Event()

    def cut_off() -> None:
        is_late.set()
        with suppress(OSError):
            socket.shutdown(sock, SHUT_RDWR)  # below TLS, whose state belongs to the reading thread

    timer = threading.Timer(seconds, cut_off)
    timer.daemon = True
    timer.start()
    try:
        yield is_late
    finally:
        timer.cancel()


def _exchange(fetching: _Fetch, connection: HTTPConnection, target: _Target, url: str) -> Fetched:
    headers = {"Host": target.netloc} | fetching.headers
    connection.request(fetching.method, target.request_uri, headers=headers, preload_content=False)
    with closing(connection.getresponse()) as response:
        wants_body = fetching.with_body and response.status not in REDIRECTS
        return Fetched(
            status=response.status,
            url=url,
            hops=tuple(fetching.hops),
            headers={name.lower(): value for name, value in response.headers.items()},
            body=_body(fetching, response, target) if wants_body else b"",
        )


def _body(fetching: _Fetch, response: BaseHTTPResponse, target: _Target) -> bytes:
    """The body, decompressed piece by piece, so that a small bomb is noticed while it is small."""
    most = fetching.limits.bytes
    body = bytearray()
    announced = response.headers.get("content-length", "")
    is_large = fetching.method == "GET" and announced.isascii() and announced.isdigit() and int(announced[:20]) > most
    pieces = iter(()) if is_large else response.stream(_CHUNK, decode_content=True)
    for piece in pieces:
        body += piece
        is_large = len(body) > most or response.tell() > most
        if is_large:
            break
    if is_large:
        raise fetching.refused(f"{target.shown} sends more than {most / 1_000_000:g} MB, which is too much.")
    return bytes(body)
