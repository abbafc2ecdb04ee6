"""The HTTP server: connections, sizes, incomplete requests, start and stop."""

from __future__ import annotations

import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import orjson
import pytest

from newsletter.sandbox import SandboxOptions, SandboxServer, server
from tests.sandbox.conftest import StartSandbox
from tests.sandbox.peers import SECRET, Caller, mail

CallerOf = Callable[[SandboxServer], Caller]


def raw(sandbox: SandboxServer, sent: bytes) -> bytes:
    """The answer to these bytes, after which the client sends nothing."""
    parts = urlsplit(sandbox.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while part := connection.recv(65536):
            received += part
        return received


def answer_to(sandbox: SandboxServer, sent: bytes) -> bytes:
    """The answer to these bytes, after which the client may send more."""
    parts = urlsplit(sandbox.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall(sent)
        return connection.recv(65536)


def test_a_connection_is_kept_alive(sandbox: SandboxServer, caller: Caller) -> None:
    for _ in range(5):
        assert caller.send(mail()).status == 200
    pool = caller.pool.connection_from_url(sandbox.url)
    assert (pool.num_connections, pool.num_requests) == (1, 5)


def test_a_body_over_the_limit_is_refused_with_413(start_sandbox: StartSandbox, caller_of: CallerOf) -> None:
    caller = caller_of(start_sandbox(max_body_bytes=100_000))
    answer = caller.send(mail(html="x" * 5_000_000))
    assert (answer.status, answer.json()["statusCode"]) == (413, 413)
    assert caller.send(mail()).status == 200
    assert caller.ledger()["messages"] == 1


def test_an_incomplete_request_is_ignored(sandbox: SandboxServer, caller: Caller) -> None:
    head = (
        b"POST /emails/batch HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer re_sandbox\r\n"
        b"user-agent: x\r\ncontent-length: 5000\r\n\r\n"
    )
    assert raw(sandbox, head + b"[{") == b""
    assert b"200" not in raw(sandbox, head[:40])
    ledger = caller.ledger()
    assert (ledger["messages"], ledger["calls"]) == (0, 0)


CHUNKED = (
    b"POST /emails HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer re_sandbox\r\nuser-agent: x\r\n"
    b"connection: close\r\ntransfer-encoding: chunked\r\n"
)


def chunks(body: bytes, size: int) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n"


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_chunked_body_is_read(sandbox: SandboxServer, caller: Caller, size: int) -> None:
    body = orjson.dumps(mail())
    assert raw(sandbox, CHUNKED + b"\r\n" + chunks(body, size) + b"\r\n").startswith(b"HTTP/1.1 200 ")
    assert caller.ledger()["messages"] == 1


def test_extensions_and_trailers_of_a_chunked_body_are_ignored(sandbox: SandboxServer, caller: Caller) -> None:
    body = orjson.dumps(mail())
    sent = b"\r\n%X;name=value\r\n%s\r\n0\r\nx-checksum: 1\r\n\r\n" % (len(body), body)
    assert raw(sandbox, CHUNKED + sent).startswith(b"HTTP/1.1 200 ")
    assert caller.ledger()["messages"] == 1


@pytest.mark.parametrize(
    "rest",
    [
        b"\r\nx\r\n",
        b"\r\n-1\r\n",
        b"\r\n3\r\n{}}}\r\n0\r\n\r\n",
        b"\r\n" + b"1" * 5000,
        b"content-length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"\r\n0\r\n" + b"a: b\r\n" * 30 + b"\r\n",
    ],
    ids=["no-number", "negative", "too-long", "endless-line", "two-lengths", "trailers"],
)
def test_a_malformed_chunked_body_is_refused(sandbox: SandboxServer, caller: Caller, rest: bytes) -> None:
    assert raw(sandbox, CHUNKED + rest).startswith(b"HTTP/1.1 400 ")
    assert caller.ledger()["messages"] == 0


@pytest.mark.parametrize(
    "head",
    [
        b"GET http://[ HTTP/1.1\r\nhost: 127.0.0.1\r\n",
        b"POST /emails HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: " + b"1" * 5000 + b"\r\n",
        b"POST /emails HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 2\r\ncontent-length: 4\r\n",
        CHUNKED + b"transfer-encoding: chunked\r\n",
        CHUNKED.replace(b": chunked", b": gzip") + b"transfer-encoding: chunked\r\n",
    ],
    ids=["target", "endless-length", "two-lengths", "twice-chunked", "two-encodings"],
)
def test_a_malformed_head_is_refused(sandbox: SandboxServer, caller: Caller, head: bytes) -> None:
    # Each of the framings leads to a body, so that no other fault is found.
    assert raw(sandbox, head + b"\r\n2\r\n{}\r\n0\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert caller.ledger()["calls"] == 0


def test_the_same_length_twice_is_one_length(sandbox: SandboxServer, caller: Caller) -> None:
    body = orjson.dumps(mail())
    length = b"content-length: %d\r\n" % len(body)
    head = CHUNKED.replace(b"transfer-encoding: chunked\r\n", length * 2)
    assert raw(sandbox, head + b"\r\n" + body).startswith(b"HTTP/1.1 200 ")


def test_another_transfer_encoding_is_refused(sandbox: SandboxServer) -> None:
    head = CHUNKED.replace(b": chunked", b": gzip, chunked")
    assert raw(sandbox, head + b"\r\n0\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_a_chunked_body_that_ends_too_early_is_ignored(sandbox: SandboxServer, caller: Caller) -> None:
    for part in (b"", b"5", b"5\r\n{", b"2\r\n{}\r\n", b"2\r\n{}\r\n0\r\n"):
        assert b"HTTP/1.1 200" not in raw(sandbox, CHUNKED + b"\r\n" + part)
    assert caller.ledger()["calls"] == 0


def test_a_chunked_body_that_is_too_large_is_refused(start_sandbox: StartSandbox) -> None:
    small = start_sandbox(max_body_bytes=100)
    assert raw(small, CHUNKED + b"\r\n" + chunks(b"x" * 60, 60)[:-3] + b"3c\r\n").startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("rest", [b"\r\n", b"x-checksum: 1\r\n\r\n"], ids=["end", "trailer"])
def test_a_client_that_is_still_sending_a_too_large_chunked_body_gets_the_answer(
    start_sandbox: StartSandbox, rest: bytes
) -> None:
    small = start_sandbox(max_body_bytes=100_000)
    sent = CHUNKED + b"\r\n" + chunks(b"x" * 10_000_000, 65_536) + rest
    assert raw(small, sent).startswith(b"HTTP/1.1 413 ")


def test_a_too_large_body_is_read_up_to_a_limit(start_sandbox: StartSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_MAX_DRAINED_BYTES", 1000)
    small = start_sandbox(max_body_bytes=100)
    for framing in (b"transfer-encoding: chunked\r\n\r\nffffffff\r\n", b"content-length: 9999999999\r\n\r\n"):
        head = b"POST /emails HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        # The client keeps the connection open and sends nothing more.
        assert answer_to(small, head + framing + b"x" * 1000).startswith(b"HTTP/1.1 413 ")


def test_a_get_may_have_an_empty_object_as_body(caller: Caller) -> None:
    assert caller.call("GET", "/emails", b"{}").status == 200


def test_head_has_no_body(caller: Caller) -> None:
    answer = caller.call("HEAD", "/")
    assert (answer.status, answer.data) == (200, b"")


def test_a_port_in_use_is_an_error(sandbox: SandboxServer) -> None:
    port = urlsplit(sandbox.url).port
    assert port is not None
    with pytest.raises(OSError, match=f"Port {port} cannot be used"):
        SandboxServer(SandboxOptions(port=port))


def test_stopping_frees_the_port_and_closes_connections(start_sandbox: StartSandbox, caller_of: CallerOf) -> None:
    first = start_sandbox()
    caller = caller_of(first)
    caller.send(mail())
    first.stop()
    second = start_sandbox(port=urlsplit(first.url).port)
    assert caller_of(second).ledger()["messages"] == 0


@pytest.mark.parametrize(
    "options",
    [
        {"click_share": 1.1},
        {"bounce_share": -0.1},
        {"port": 70_000},
        {"rate_limit": 0},
        {"webhook_time_scale": 0},
        {"webhook_url": "ftp://a.test/", "webhook_secrets": (SECRET,)},
        {"webhook_url": "http://127.0.0.1/"},
        {"webhook_url": "http://127.0.0.1:notaport/", "webhook_secrets": (SECRET,)},
        {"webhook_url": "http://127.0.0.1:70000/", "webhook_secrets": (SECRET,)},
        {"webhook_url": "http://[/", "webhook_secrets": (SECRET,)},
        {"webhook_url": "http:///webhooks", "webhook_secrets": (SECRET,)},
        {"webhook_url": "http://receiver..test/", "webhook_secrets": (SECRET,)},
        {"webhook_secrets": ("secret",)},
        {"webhook_secrets": ("whsec_",)},
        {"webhook_secrets": ("whsec_!",)},
    ],
)
def test_invalid_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r".+\.$") as caught:
        SandboxOptions(**options)  # type: ignore[arg-type]
    assert "secret" not in str(caught.value).replace("webhook_secret", "").replace("webhook secret", "")
