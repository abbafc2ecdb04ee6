"""The guarded fetch, against real servers on this machine: responses, refused addresses, limits."""

from __future__ import annotations

import gzip
import shutil
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import BufferedIOBase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3.connection import HTTPConnection

from newsletter.outbound import (
    FetchError,
    FetchFailed,
    FetchPolicy,
    FetchReason,
    FetchRefused,
    Hop,
    Limits,
    fetch,
    fetching,
    site_fetch_policy,
)
from tests.publisher import Answer, PageHandler, Publisher, local_policy, publishing

PUBLIC = "93.184.216.34"
SHORT = Limits(seconds=0.4)


@pytest.fixture(scope="module")
def site() -> Iterator[Publisher]:
    with publishing() as publisher:
        yield publisher


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that a fetch tried to connect to. No connection succeeds."""
    opened: list[str] = []

    class Unreachable(HTTPConnection):
        def connect(self) -> None:
            opened.append(self.host)
            raise OSError("unreachable")

    monkeypatch.setattr(fetching, "HTTPConnection", Unreachable)
    return opened


def public_policy(*addresses: str) -> FetchPolicy:
    """A policy without allowed hosts. Every name has these addresses."""
    return FetchPolicy(user_agent="newsletter (+tests)", resolver=lambda host, port: list(addresses))


def redirect(to: str, status: int = 302) -> Answer:
    return Answer(status=status, headers={"Location": to})


def refusal(url: str, policy: FetchPolicy) -> FetchReason:
    with pytest.raises(FetchRefused) as caught:
        fetch(url, policy)
    assert caught.value.permanent
    assert not caught.value.retryable
    return caught.value.reason


# Responses


def test_a_response_has_status_type_and_encoding(site: Publisher) -> None:
    site.pages["/page"] = Answer(b"<p>Quay 3</p>", headers={"Content-Type": 'Text/HTML; charset="iso-8859-1"'})
    fetched = fetch(f"{site.url}/page", local_policy())
    assert (fetched.status, fetched.body, fetched.hops) == (200, b"<p>Quay 3</p>", ())
    assert (fetched.content_type, fetched.charset) == ("text/html", "iso-8859-1")
    assert fetched.url == f"{site.url}/page"


def test_an_error_status_is_a_response(site: Publisher) -> None:
    assert fetch(f"{site.url}/nowhere", local_policy()).status == 404


def test_a_fetch_sends_its_user_agent_and_no_cookies(site: Publisher) -> None:
    site.pages["/sets"] = Answer(status=302, headers={"Set-Cookie": "id=1; Path=/", "Location": "/after"})
    site.pages["/after"] = Answer(b"here")
    site.requests.clear()
    fetch(f"{site.url}/sets", local_policy(), accept="application/rss+xml")
    assert [request.path for request in site.requests] == ["/sets", "/after"]
    sent = site.requests[1].headers
    assert sent["user-agent"] == "newsletter (+tests)"
    assert sent["accept"] == "application/rss+xml"
    assert sent["host"] == f"127.0.0.1:{site.port}"
    assert not {"cookie", "authorization", "referer"} & set(sent)


def test_the_user_agent_contains_the_address_of_the_site() -> None:
    assert site_fetch_policy().user_agent == "newsletter (+http://127.0.0.1:8000)"


def test_a_proxy_in_the_environment_is_not_used(site: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    site.pages["/direct"] = Answer(b"here")
    assert fetch(f"{site.url}/direct", local_policy()).body == b"here"


def test_a_page_that_is_not_modified_is_not_sent_again(site: Publisher) -> None:
    site.pages["/feed"] = Answer(b"<rss/>", headers={"ETag": '"a1"'})
    first = fetch(f"{site.url}/feed", local_policy())
    again = fetch(f"{site.url}/feed", local_policy(), etag=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")


def test_the_body_is_not_read_after_head_or_without_body(site: Publisher) -> None:
    site.pages["/large"] = Answer(b"x", headers={"Content-Length": "50000000"})
    assert fetch(f"{site.url}/large", local_policy(), method="HEAD").status == 200
    assert fetch(f"{site.url}/large", local_policy(), with_body=False).body == b""


def test_a_compressed_body_is_decompressed(site: Publisher) -> None:
    site.pages["/packed"] = Answer(gzip.compress(b"Quay 3"), headers={"Content-Encoding": "gzip"})
    assert fetch(f"{site.url}/packed", local_policy()).body == b"Quay 3"


def test_umlauts_and_spaces_of_an_address_are_encoded(site: Publisher) -> None:
    site.pages["/k%C3%A4rna%20a?q=%C3%BC"] = Answer(b"found")
    policy = local_policy(allowed_hosts=frozenset({"xn--hfen-loa.example"}), resolver=lambda host, port: ["127.0.0.1"])
    assert fetch(f"http://häfen.example:{site.port}/kärna%20a?q=ü#teil", policy).body == b"found"


def test_of_several_addresses_the_one_that_responds_is_used(site: Publisher) -> None:
    site.pages["/page"] = Answer(b"here")
    policy = local_policy(allowed_hosts=frozenset({"quay.example"}), resolver=lambda host, port: ["::1", "127.0.0.1"])
    assert fetch(f"http://quay.example:{site.port}/page", policy).body == b"here"


# Redirects


def test_redirects_are_followed_and_recorded(site: Publisher) -> None:
    site.pages["/1"] = redirect("/2", 301)
    site.pages["/2"] = redirect(f"{site.url}/3", 307)
    site.pages["/3"] = redirect("?last", 308)
    site.pages["/3?last"] = Answer(b"here")
    fetched = fetch(f"{site.url}/1", local_policy())
    assert fetched.url == f"{site.url}/3?last"
    assert fetched.hops == (Hop(f"{site.url}/1", 301), Hop(f"{site.url}/2", 307), Hop(f"{site.url}/3", 308))


def test_a_fourth_redirect_is_refused(site: Publisher) -> None:
    for number in range(1, 5):
        site.pages[f"/turn{number}"] = redirect(f"/turn{number + 1}")
    site.pages["/turn5"] = Answer(b"here")
    with pytest.raises(FetchRefused, match="more than 3 times") as caught:
        fetch(f"{site.url}/turn1", local_policy())
    assert len(caught.value.hops) == 4


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "//10.0.0.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://user:word@127.0.0.1/",
        "http://[/",
        "javascript:alert(1)",
    ],
)
def test_the_target_of_a_redirect_is_checked(site: Publisher, target: str) -> None:
    site.pages["/redirect"] = redirect(target)
    with pytest.raises(FetchRefused) as caught:
        fetch(f"{site.url}/redirect", local_policy())
    assert caught.value.hops in ((Hop(f"{site.url}/redirect", 302),),)


# Refused addresses


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://2130706433/",
        "http://127.1/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://①②⑦.⓪.⓪.①/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[fe80::1%25lo]/",
        "http://0/",
        "https://127.0.0.1/",
    ],
)
def test_every_spelling_of_this_machine_is_refused(url: str, connections: list[str]) -> None:
    with pytest.raises(FetchError):
        fetch(url, FetchPolicy(user_agent="newsletter (+tests)"))
    assert connections == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "quay.example",
        "//quay.example/",
        "ftp://quay.example/",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https://quay.example:99999/",
        "https://quay example/",
        "https://quay.example\\@127.0.0.1/",
        "https://quay.example/\r\nHost: x",
    ],
)
def test_an_invalid_address_is_refused_before_its_name_is_resolved(url: str) -> None:
    def resolver(host: str, port: int) -> Sequence[str]:
        raise AssertionError("resolved")

    assert refusal(url, FetchPolicy(user_agent="tests", resolver=resolver)) == FetchReason.INVALID_ADDRESS


def test_a_password_in_an_address_is_refused() -> None:
    assert refusal("https://edda:secret@quay.example/", public_policy(PUBLIC)) == FetchReason.CREDENTIALS


@pytest.mark.parametrize(
    "addresses", [("10.0.0.7",), (PUBLIC, "127.0.0.1"), ("127.0.0.1", PUBLIC), ("64:ff9b::7f00:1",)]
)
def test_a_host_with_one_private_address_is_refused(addresses: tuple[str, ...], connections: list[str]) -> None:
    with pytest.raises(FetchRefused, match="FETCH_ALLOWED_HOSTS") as caught:
        fetch("http://quay.example/", public_policy(*addresses))
    assert not any(address in str(caught.value) for address in addresses), "private addresses are not shown"
    assert connections == []


def test_a_name_is_resolved_once_and_the_checked_address_is_used(connections: list[str]) -> None:
    results = iter([[PUBLIC], ["127.0.0.1"], ["127.0.0.1"]])
    policy = FetchPolicy(user_agent="tests", resolver=lambda host, port: next(results))
    with pytest.raises(FetchFailed, match=r"quay\.example cannot be reached"):
        fetch("http://quay.example/", policy)
    assert connections == [PUBLIC]
    assert next(results) == ["127.0.0.1"], "the name was resolved once"


def test_only_the_allowed_host_of_the_local_network_is_fetched(site: Publisher) -> None:
    site.pages["/page"] = Answer(b"here")
    policy = local_policy(allowed_hosts=frozenset({"wiki.intern"}), resolver=lambda host, port: ["127.0.0.1"])
    assert fetch(f"http://Wiki.Intern:{site.port}/page", policy).status == 200
    assert refusal(f"http://mail.intern:{site.port}/page", policy) == FetchReason.PRIVATE_HOST


def test_an_unknown_host_is_retryable() -> None:
    def no_host(host: str, port: int) -> Sequence[str]:
        raise OSError("no such host")

    with pytest.raises(FetchFailed, match=r"The host quay\.example does not exist") as caught:
        fetch("http://quay.example/", FetchPolicy(user_agent="tests", resolver=no_host))
    assert caught.value.retryable


# Limits


def drip(stream: BufferedIOBase, closing: threading.Event) -> None:
    while not closing.wait(0.05):
        stream.write(b".")
        stream.flush()


def drip_chunks(stream: BufferedIOBase, closing: threading.Event) -> None:
    while not closing.wait(0.05):
        stream.write(b"1\r\n.\r\n")
        stream.flush()


def pour_on(stream: BufferedIOBase, closing: threading.Event) -> None:
    while not closing.is_set():
        stream.write(b"x" * 65_536)


def failure(limits: Limits, url: str, policy: FetchPolicy) -> tuple[FetchError, float]:
    start = time.monotonic()
    with pytest.raises(FetchError) as caught:
        fetch(url, policy, limits=limits)
    return caught.value, time.monotonic() - start


@pytest.mark.parametrize(
    ("pour", "headers"),
    [(drip, {}), (drip_chunks, {"Transfer-Encoding": "chunked"}), (drip, {"Content-Length": "1000"})],
    ids=["until it closes", "in chunks", "with a length"],
)
def test_a_slow_body_is_cut_off(site: Publisher, pour: object, headers: dict[str, str]) -> None:
    site.pages["/drip"] = Answer(headers=headers, pour=pour)  # type: ignore[arg-type]
    error, seconds = failure(SHORT, f"{site.url}/drip", local_policy())
    assert (error.reason, error.detail["seconds"]) == (FetchReason.TIMEOUT, 0.4)
    assert error.retryable
    assert seconds < 2


def test_a_server_may_respond_shortly_before_the_deadline(site: Publisher) -> None:
    def wait(stream: BufferedIOBase, closing: threading.Event) -> None:
        closing.wait(0.35)
        stream.write(b"here")

    site.pages["/waits"] = Answer(headers={"Content-Length": "4"}, pour=wait)
    assert fetch(f"{site.url}/waits", local_policy(), limits=Limits(seconds=0.6)).body == b"here"


def test_a_silent_server_is_cut_off(site: Publisher) -> None:
    site.pages["/silent"] = Answer(pour=lambda stream, closing: closing.wait(30))
    error, seconds = failure(SHORT, f"{site.url}/silent", local_policy())
    assert (error.reason, error.detail["seconds"]) == (FetchReason.TIMEOUT, 0.4)
    assert seconds < 2


def test_slow_headers_are_cut_off(site: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    # The empty line after the headers never comes, so the body is part of a header.
    site.pages["/headers"] = Answer(headers={"X": "y"}, pour=drip)
    monkeypatch.setattr(PageHandler, "end_headers", PageHandler.flush_headers)
    error, seconds = failure(SHORT, f"{site.url}/headers", local_policy())
    assert (error.reason, error.detail["seconds"]) == (FetchReason.TIMEOUT, 0.4)
    assert seconds < 2


def test_a_slow_resolver_is_cut_off() -> None:
    is_over = threading.Event()

    def hang(host: str, port: int) -> Sequence[str]:
        is_over.wait(30)
        return [PUBLIC]

    error, seconds = failure(SHORT, "http://quay.example/", FetchPolicy(user_agent="tests", resolver=hang))
    is_over.set()
    assert (error.reason, error.detail["seconds"]) == (FetchReason.TIMEOUT, 0.4)
    assert seconds < 2


def test_a_redirect_with_a_space_is_followed(site: Publisher) -> None:
    site.pages["/moved"] = redirect("/tall cranes")
    site.pages["/tall%20cranes"] = Answer(b"They grow.")
    assert fetch(f"{site.url}/moved", local_policy()).body == b"They grow."


def test_redirects_share_one_deadline(site: Publisher) -> None:
    def slow(stream: BufferedIOBase, closing: threading.Event) -> None:
        closing.wait(0.25)

    for number in range(3):
        site.pages[f"/slow{number}"] = Answer(
            status=302, headers={"Location": f"/slow{number + 1}", "Content-Length": "1"}, pour=slow
        )
    site.pages["/slow3"] = Answer(b"here", headers={"Content-Length": "9"}, pour=drip)
    error, seconds = failure(SHORT, f"{site.url}/slow0", local_policy())
    assert (error.reason, error.detail["seconds"]) == (FetchReason.TIMEOUT, 0.4)
    assert seconds < 2


def test_a_body_that_is_declared_too_large_is_not_read(site: Publisher) -> None:
    site.pages["/film"] = Answer(headers={"Content-Length": str(50_000_000)}, pour=drip)
    error, seconds = failure(Limits(), f"{site.url}/film", local_policy())
    assert (error.reason, error.detail["megabytes"]) == (FetchReason.TOO_LARGE, 5)
    assert error.permanent
    assert seconds < 2


def test_an_endless_body_is_cut_off_at_the_limit(site: Publisher) -> None:
    site.pages["/flood"] = Answer(pour=pour_on)
    error, _ = failure(Limits(bytes=1_000_000), f"{site.url}/flood", local_policy())
    assert (error.reason, error.detail["megabytes"]) == (FetchReason.TOO_LARGE, 1)


@pytest.mark.parametrize("rounds", [1, 2])
def test_a_decompression_bomb_is_cut_off(site: Publisher, rounds: int) -> None:
    bomb = b"\0" * 60_000_000
    for _ in range(rounds):
        bomb = gzip.compress(bomb, 9)
    site.pages["/bomb"] = Answer(bomb, headers={"Content-Encoding": ", ".join(["gzip"] * rounds)})
    error, _ = failure(Limits(), f"{site.url}/bomb", local_policy())
    assert (error.reason, error.detail["megabytes"]) == (FetchReason.TOO_LARGE, 5)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"short", headers={"Content-Length": "100"}),
        Answer(b"no gzip at all", headers={"Content-Encoding": "gzip"}),
        Answer(headers={"Transfer-Encoding": "chunked"}, pour=lambda stream, closing: stream.write(b"zz\r\n")),
    ],
    ids=["truncated", "not gzip", "invalid chunk"],
)
def test_an_invalid_response_is_retryable(site: Publisher, answer: Answer) -> None:
    site.pages["/broken"] = answer
    error, _ = failure(Limits(), f"{site.url}/broken", local_policy())
    assert error.reason == FetchReason.INVALID_RESPONSE
    assert error.retryable


class RawServer(socketserver.ThreadingTCPServer):
    """Sends the same bytes in response to every request, whether they are HTTP or not."""

    daemon_threads = True
    allow_reuse_address = True
    answer = b""


class RawHandler(socketserver.StreamRequestHandler):
    server: RawServer

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        self.wfile.write(self.server.answer)


@pytest.fixture(scope="module")
def raw() -> Iterator[RawServer]:
    with RawServer(("127.0.0.1", 0), RawHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


HEADERS = [
    *("Content-Length: 5", "Content-Length: -1", "Content-Length: 9" + "9" * 5_000, "Content-Length: x", "Location: /"),
    *("Transfer-Encoding: chunked", "Content-Encoding: gzip", "Content-Encoding: zstd, br", "Location: http://[", "Ä"),
    *(
        "Content-Type: text/html; charset",
        "Set-Cookie: \x00",
        ": nameless",
        "X: " + "y" * 70_000,
        "Location: \xff\ud7ff",
    ),
]
answers = st.builds(
    lambda start, headers, body: "\r\n".join([start, *headers, "", ""]).encode("utf-8", "replace") + body,
    st.sampled_from(
        ["HTTP/1.1 200 OK", "HTTP/1.0 302 x", "HTTP/1.1 999", "HTTP/1.1 100 Continue", "HTTP/9 abc", "SSH-2.0"]
    ),
    st.lists(st.sampled_from(HEADERS), max_size=4),
    st.one_of(st.binary(max_size=40), st.just(b"5\r\nhello\r\n0\r\n\r\n"), st.just(gzip.compress(b"hello"))),
)


@given(st.one_of(st.binary(), answers))
def test_any_bytes_from_a_server_are_a_response_or_a_fetch_error(raw: RawServer, answer: bytes) -> None:
    raw.answer = answer
    with suppress(FetchError):
        fetched = fetch(f"http://127.0.0.1:{raw.server_address[1]}/", local_policy())
        assert len(fetched.body) <= Limits().bytes


# Certificates


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new certificate for quay.example, with its key in the same file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is needed to make a certificate")
    file = tmp_path_factory.mktemp("tls") / "quay.pem"
    made = subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=quay.example", "-addext", "subjectAltName=DNS:quay.example"),
            *("-keyout", "-", "-out", "-"),
        ],
        capture_output=True,
        check=True,
    )
    file.write_bytes(made.stdout)
    return file


@pytest.fixture
def secure_site(certificate: Path) -> Iterator[Publisher]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with publishing(context) as publisher:
        yield publisher


def policy_with(certificate: Path | None) -> FetchPolicy:
    """A policy for two names at 127.0.0.1 that trusts the certificate, or only what this machine trusts."""
    return local_policy(
        allowed_hosts=frozenset({"quay.example", "other.example"}),
        resolver=lambda host, port: ["127.0.0.1"],
        tls=ssl.create_default_context(cafile=str(certificate)) if certificate else None,
    )


def test_the_certificate_is_checked_for_the_name_not_the_address(secure_site: Publisher, certificate: Path) -> None:
    secure_site.pages["/"] = Answer(b"here")
    url = f"https://quay.example:{secure_site.port}/"
    assert fetch(url, policy_with(certificate)).body == b"here"
    assert secure_site.requests[0].headers["host"] == f"quay.example:{secure_site.port}"


@pytest.mark.parametrize(("name", "is_trusted"), [("other.example", True), ("quay.example", False)])
def test_a_certificate_for_another_name_or_from_an_unknown_authority_is_refused(
    secure_site: Publisher, certificate: Path, name: str, is_trusted: bool
) -> None:
    with pytest.raises(FetchFailed) as caught:
        fetch(f"https://{name}:{secure_site.port}/", policy_with(certificate if is_trusted else None))
    assert caught.value.reason == FetchReason.CERTIFICATE
    assert secure_site.requests == []


def test_a_slow_body_over_tls_is_cut_off(secure_site: Publisher, certificate: Path) -> None:
    secure_site.pages["/drip"] = Answer(pour=drip)
    error, seconds = failure(SHORT, f"https://quay.example:{secure_site.port}/drip", policy_with(certificate))
    assert (error.reason, error.detail["seconds"]) == (FetchReason.TIMEOUT, 0.4)
    assert seconds < 2


@given(st.one_of(st.text(), st.text().map("https://{}".format), st.text().map("http://quay.example/{}".format)))
def test_any_address_gives_a_response_or_an_error_with_a_sentence(url: str) -> None:
    def no_host(host: str, port: int) -> Sequence[str]:
        raise OSError("no such host")

    with pytest.raises(FetchError) as caught:
        fetch(url, FetchPolicy(user_agent="tests", resolver=no_host))
    assert str(caught.value).endswith(".")
