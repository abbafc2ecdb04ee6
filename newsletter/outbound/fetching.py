"""One guarded fetch: resolve the name once, check the addresses, connect to one of them, follow a few redirects.

The guards hold for every redirect, too. They prevent server-side request forgery: only http and https, only addresses
of the public internet, no credentials, no proxies from the environment. The deadline is for the whole fetch, name
resolution and redirects included; a server that sends its response byte by byte is cut off like a silent one.
"""

from __future__ import annotations

import http.client
import re
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from socket import SHUT_RDWR, socket
from typing import Any, Literal
from urllib.parse import urljoin

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, LocationParseError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Url, parse_url

from newsletter.outbound.addresses import is_public
from newsletter.outbound.errors import FetchFailed, FetchReason, FetchRefused, Hop
from newsletter.outbound.fetch_policy import FetchPolicy, trusted_authorities

Method = Literal["GET", "HEAD", "POST"]

REDIRECTS = frozenset({301, 302, 303, 307, 308})
PORTS = {"http": 80, "https": 443}
_INVALID_CHARACTERS = re.compile(r"[\s\\\x00-\x1f\x7f]")
_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a fetch: seconds in all, bytes before and after decompression, number of redirects."""

    seconds: float = 5.0
    bytes: int = 5_000_000
    redirects: int = 3
    connect_seconds: float = 60.0
    """For one connection, and again for its TLS handshake; at most half of what is left of `seconds`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A response of any status. `url` is where redirects ended; the names of `headers` are in lower case."""

    status: int
    url: str
    hops: tuple[Hop, ...]
    headers: Mapping[str, str]
    body: bytes
    """Decompressed. Empty after HEAD, with status 304, or if no body was requested."""

    @property
    def content_type(self) -> str:
        """The media type without parameters, in lower case; empty if there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str:
        """The encoding that the Content-Type declares; empty if there is none."""
        found = re.search(r"charset\s*=\s*[\"']?([^\s\"';]+)", self.headers.get("content-type", ""), re.IGNORECASE)
        return found[1] if found else ""


@dataclass(slots=True)
class _Fetch:
    """The state that all requests of one fetch share."""

    policy: FetchPolicy
    limits: Limits
    method: Method
    headers: dict[str, str]
    with_body: bool
    payload: bytes | None = None
    is_beginning_enough: bool = False
    """Whether a longer response than the limit is cut off instead of refused."""
    hops: list[Hop] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds until the deadline. Never 0: that makes a socket non-blocking."""
        return max(self.started + self.limits.seconds - time.monotonic(), 0.001)

    def refused(self, reason: FetchReason, **detail: Any) -> FetchRefused:
        return FetchRefused(reason, self.hops, **detail)

    def failed(self, reason: FetchReason, target: _Target) -> FetchFailed:
        return FetchFailed(reason, self.hops, host=target.shown)

    def timed_out(self, target: _Target) -> FetchFailed:
        return FetchFailed(
            FetchReason.TIMEOUT, self.hops, host=target.shown, seconds=_plain_number(self.limits.seconds)
        )


@dataclass(frozen=True, slots=True)
class _Target:
    """The parts of an address. `host` is an ASCII name, or an IP address without brackets."""

    scheme: str
    host: str
    port: int
    netloc: str
    request_uri: str

    @property
    def shown(self) -> str:
        """The host, shortened for messages."""
        return self.host if len(self.host) <= 80 else f"{self.host[:79]}…"


def fetch(
    url: str,
    policy: FetchPolicy,
    *,
    accept: str = "*/*",
    limits: Limits = Limits(),
    etag: str = "",
    last_modified: str = "",
    method: Method = "GET",
    with_body: bool = True,
) -> Fetched:
    """Request `url` and follow its redirects. Returns the response with any status.

    With the `etag` or `last_modified` of an earlier response, the server may return 304 (not modified). Without a body
    (`with_body=False`), the connection is closed after the headers. Sends no cookies and no credentials, uses no
    proxy. Raises FetchRefused if a guard refuses, and FetchFailed if there is no usable response in time.
    """
    always = {"User-Agent": policy.user_agent, "Accept": accept, "Accept-Encoding": "gzip", "Connection": "close"}
    validators = {"If-None-Match": etag, "If-Modified-Since": last_modified}
    headers = always | {name: value for name, value in validators.items() if value}
    fetching = _Fetch(policy, limits, method, headers, with_body)
    while True:
        response = _request(fetching, url)
        location = response.headers.get("location", "")
        if response.status not in REDIRECTS or not location:
            return response
        fetching.hops.append(Hop(url, response.status))
        if len(fetching.hops) > limits.redirects:
            raise fetching.refused(FetchReason.TOO_MANY_REDIRECTS, limit=limits.redirects)
        url = _joined(fetching, url, location)


def post(url: str, payload: bytes, policy: FetchPolicy, *, headers: Mapping[str, str], limits: Limits) -> Fetched:
    """Post `payload` to `url`, and return the response with any status. Redirects are not followed.

    The body of the response is its beginning, up to the limit of bytes. Raises as `fetch` does.
    """
    always = {"User-Agent": policy.user_agent, "Accept-Encoding": "identity", "Connection": "close"}
    posting = _Fetch(policy, limits, "POST", always | dict(headers), True, payload, is_beginning_enough=True)
    return _request(posting, url)


def _joined(fetching: _Fetch, url: str, location: str) -> str:
    # Headers are decoded as Latin-1, but servers write UTF-8.
    with suppress(UnicodeError):
        location = location.encode("latin-1").decode()
    try:
        # Addresses contain no spaces, but servers send them and browsers follow.
        return urljoin(url, location.strip().replace(" ", "%20"))
    except ValueError as error:
        raise fetching.refused(FetchReason.INVALID_REDIRECT) from error


def _request(fetching: _Fetch, url: str) -> Fetched:
    """One request to one checked address, without redirects."""
    target = _target_of(fetching, url)
    addresses = _checked_addresses(fetching, target)
    with closing(_connected(fetching, target, addresses)) as connection:
        assert connection.sock is not None  # noqa: S101 - for the type checker: it is connected
        with _cut_off_in(fetching.left, connection.sock) as is_late:
            try:
                response = _exchange(fetching, connection, target, url)
            except (HTTPError, http.client.HTTPException, OSError, ValueError) as error:
                if is_late.is_set():
                    raise fetching.timed_out(target) from error
                raise fetching.failed(FetchReason.INVALID_RESPONSE, target) from error
            if is_late.is_set():
                raise fetching.timed_out(target)
    return response


def _target_of(fetching: _Fetch, url: str) -> _Target:
    try:
        parts: Url | None = None if _INVALID_CHARACTERS.search(url.strip()) else parse_url(url.strip())
    except LocationParseError:
        parts = None
    if parts is None or parts.scheme not in PORTS or not parts.host:
        raise fetching.refused(FetchReason.INVALID_ADDRESS)
    if parts.auth is not None:
        raise fetching.refused(FetchReason.CREDENTIALS)
    host = parts.host.strip("[]")
    netloc = parts.host if parts.port is None else f"{parts.host}:{parts.port}"
    return _Target(parts.scheme, host, parts.port or PORTS[parts.scheme], netloc, parts.request_uri)


def _checked_addresses(fetching: _Fetch, target: _Target) -> list[str]:
    """The IP addresses of the target. Refuses the fetch if one of them is not public, used or not."""
    addresses = _resolved(fetching, target)
    is_allowed = target.host.lower() in fetching.policy.allowed_hosts
    if not is_allowed and not all(is_public(address) for address in addresses):
        raise fetching.refused(FetchReason.PRIVATE_HOST, host=target.shown)
    return addresses


def _resolved(fetching: _Fetch, target: _Target) -> list[str]:
    """The IP addresses of the target. Resolved in a thread, since the resolver of the system has no timeout."""
    results: list[list[str] | Exception] = []

    def resolve() -> None:
        try:
            results.append(list(fetching.policy.resolver(target.host, target.port)))
        except (OSError, UnicodeError) as error:
            results.append(error)

    thread = threading.Thread(target=resolve, daemon=True, name="resolver")
    thread.start()
    thread.join(fetching.left)
    if not results:
        raise fetching.timed_out(target)
    if isinstance(results[0], Exception) or not results[0]:
        cause = results[0] if isinstance(results[0], Exception) else None
        raise fetching.failed(FetchReason.HOST_NOT_FOUND, target) from cause
    return results[0]


def _connected(fetching: _Fetch, target: _Target, addresses: list[str]) -> HTTPConnection:
    """A connection to the first of the checked addresses that responds, with the target's name for its certificate."""
    failure: Exception | None = None
    for address in addresses:
        # Connecting and the TLS handshake may each use the whole timeout, so each gets half of the remaining time.
        timeout = min(fetching.left / 2, fetching.limits.connect_seconds)
        connection = _connection(target, address, timeout, fetching.policy)
        try:
            connection.connect()
        except (HTTPError, OSError, ValueError) as error:
            connection.close()
            failure = error
            if isinstance(error, ssl.SSLError) or fetching.left < 0.01:
                break
        else:
            connection.timeout = fetching.limits.seconds + 1  # from here on the timer ends the connection
            return connection
    if isinstance(failure, ssl.SSLError):
        raise fetching.failed(FetchReason.CERTIFICATE, target) from failure
    raise fetching.failed(FetchReason.UNREACHABLE, target) from failure


def _connection(target: _Target, address: str, timeout: float, policy: FetchPolicy) -> HTTPConnection:
    if target.scheme == "http":
        return HTTPConnection(address, target.port, timeout=timeout)
    return HTTPSConnection(
        address,
        target.port,
        timeout=timeout,
        server_hostname=target.host,
        ssl_context=policy.tls or trusted_authorities(),
    )


@contextmanager
def _cut_off_in(seconds: float, sock: socket) -> Iterator[threading.Event]:
    """Close the connection when the time is up, and set the event.

    The timeout of a socket is not enough: it starts again with each byte that arrives.
    """
    is_late = threading.Event()

    def cut_off() -> None:
        is_late.set()
        with suppress(OSError):
            socket.shutdown(sock, SHUT_RDWR)  # of the plain socket: the TLS state belongs to the reading thread

    timer = threading.Timer(seconds, cut_off)
    timer.daemon = True
    timer.start()
    try:
        yield is_late
    finally:
        timer.cancel()


def _exchange(fetching: _Fetch, connection: HTTPConnection, target: _Target, url: str) -> Fetched:
    headers = {"Host": target.netloc} | fetching.headers
    connection.request(
        fetching.method, target.request_uri, body=fetching.payload, headers=headers, preload_content=False
    )
    with closing(connection.getresponse()) as response:
        has_body = fetching.with_body and response.status not in REDIRECTS
        return Fetched(
            status=response.status,
            url=url,
            hops=tuple(fetching.hops),
            headers={name.lower(): value for name, value in response.headers.items()},
            body=_body(fetching, response, target) if has_body else b"",
        )


def _body(fetching: _Fetch, response: BaseHTTPResponse, target: _Target) -> bytes:
    """The body, decompressed in chunks, so that a decompression bomb is noticed in time."""
    limit = fetching.limits.bytes
    # Who needs the beginning only does not wait for more of it.
    size = min(_CHUNK, limit) if fetching.is_beginning_enough else _CHUNK
    body = bytearray()
    declared = response.headers.get("content-length", "")
    is_large = fetching.method == "GET" and declared.isascii() and declared.isdigit() and int(declared[:20]) > limit
    chunks = iter(()) if is_large else response.stream(size, decode_content=True)
    for chunk in chunks:
        body += chunk
        is_large = len(body) > limit or response.tell() > limit
        if is_large:
            break
    if is_large and not fetching.is_beginning_enough:
        megabytes = _plain_number(limit / 1_000_000)
        raise fetching.refused(FetchReason.TOO_LARGE, host=target.shown, megabytes=megabytes)
    return bytes(body[:limit])


def _plain_number(value: float) -> float:
    """`5` for 5.0, for messages."""
    return int(value) if value == int(value) else value
