"""The guarded fetch, against real servers on this machine: what it brings, where it refuses to go, when it stops."""

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
    FetchRefused,
    Hop,
    Limits,
    fetch,
    fetching,
    site_fetch_policy,
)
from tests.publisher import Answer, PageHandler, Publisher, neighbour, publishing

PUBLIC = "93.184.216.34"
SHORT = Limits(seconds=0.4)


@pytest.fixture(scope="module")
def site() -> Iterator[Publisher]:
    with publishing() as publisher:
        yield publisher


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where a fetch would have connected to; it reaches nobody."""
    opened: list[str] = []

    class Unreachable(HTTPConnection):
        def connect(self) -> None:
            opened.append(self.host)
            raise OSError("unreachable")

    monkeypatch.setattr(fetching, "HTTPConnection", Unreachable)
    return opened


def stranger(*numbers: str) -> FetchPolicy:
    """A visitor for whom no host is allowed, and every name has these numbers."""
    return FetchPolicy(user_agent="newsletter (+tests)", resolver=lambda host, port: list(numbers))


def redirect(to: str, status: int = 302) -> Answer:
    return Answer(status=status, headers={"Location": to})


def refusal(url: str, policy: FetchPolicy) -> str:
    with pytest.raises(FetchRefused) as caught:
        fetch(url, visitor)
    assert caught.value.permanent
    assert not caught.value.retryable
    return str(caught.value)


# What it brings


def test_a_page_comes_with_its_status_type_and_encoding(site: Publisher) -> None:
    site.pages["/page"] = Answer(b"<p>Quay 3</p>", headers={"Content-Type": 'Text/HTML; charset="iso-8859-1"'})
    fetched = fetch(f"{site.url}/page", neighbour())
    assert (fetched.status, fetched.body, fetched.hops) == (200, b"<p>Quay 3</p>", ())
    assert (fetched.content_type, fetched.charset) == ("text/html", "iso-8859-1")
    assert fetched.url == f"{site.url}/page"


def test_a_status_that_is_no_success_is_an_answer_too(site: Publisher) -> None:
    assert fetch(f"{site.url}/nowhere", neighbour()).status == 404


def test_a_fetch_names_itself_and_sends_no_cookie_back(site: Publisher) -> None:
    site.pages["/sets"] = Answer(status=302, headers={"Set-Cookie": "id=1; Path=/", "Location": "/after"})
    site.pages["/after"] = Answer(b"here")
    site.requests.clear()
    fetch(f"{site.url}/sets", neighbour(), accept="application/rss+xml")
    assert [request.path for request in site.requests] == ["/sets", "/after"]
    sent = site.requests[1].headers
    assert sent["user-agent"] == "newsletter (+tests)"
    assert sent["accept"] == "application/rss+xml"
    assert sent["host"] == f"127.0.0.1:{site.port}"
    assert not {"cookie", "authorization", "referer"} & set(sent)


def test_the_installation_says_where_to_complain() -> None:
    assert site_fetch_policy().user_agent == "newsletter (+http://127.0.0.1:8000)"


def test_a_proxy_in_the_environment_is_not_used(site: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    site.pages["/direct"] = Answer(b"here")
    assert fetch(f"{site.url}/direct", neighbour()).body == b"here"


def test_what_has_not_changed_is_not_sent_again(site: Publisher) -> None:
    site.pages["/feed"] = Answer(b"<rss/>", headers={"ETag": '"a1"'})
    first = fetch(f"{site.url}/feed", neighbour())
    again = fetch(f"{site.url}/feed", neighbour(), etag=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")


def test_a_head_and_a_look_at_the_headers_leave_the_body_where_it_is(site: Publisher) -> None:
    site.pages["/large"] = Answer(b"x", headers={"Content-Length": "50000000"})
    assert fetch(f"{site.url}/large", neighbour(), method="HEAD").status == 200
    assert fetch(f"{site.url}/large", neighbour(), with_body=False).body == b""


def test_a_compressed_page_comes_unpacked(site: Publisher) -> None:
    site.pages["/packed"] = Answer(gzip.compress(b"Quay 3"), headers={"Content-Encoding": "gzip"})
    assert fetch(f"{site.url}/packed", neighbour()).body == b"Quay 3"


def test_an_address_with_umlauts_and_spaces_is_asked_for_as_servers_expect_it(site: Publisher) -> None:
    site.pages["/k%C3%A4rna%20a?q=%C3%BC"] = Answer(b"found")
    visitor = neighbour(allowed_hosts=frozenset({"xn--hfen-loa.example"}), resolver=lambda host, port: ["127.0.0.1"])
    assert fetch(f"http://häfen.example:{site.port}/kärna%20a?q=ü#teil", visitor).body == b"found"


def test_a_host_with_several_numbers_is_reached_by_the_one_that_answers(site: Publisher) -> None:
    site.pages["/page"] = Answer(b"here")
    visitor = neighbour(allowed_hosts=frozenset({"quay.example"}), resolver=lambda host, port: ["::1", "127.0.0.1"])
    assert fetch(f"http://quay.example:{site.port}/page", visitor).body == b"here"


# Redirects


def test_redirects_are_followed_and_told(site: Publisher) -> None:
    site.pages["/1"] = redirect("/2", 301)
    site.pages["/2"] = redirect(f"{site.url}/3", 307)
    site.pages["/3"] = redirect("?last", 308)
    site.pages["/3?last"] = Answer(b"here")
    fetched = fetch(f"{site.url}/1", neighbour())
    assert fetched.url == f"{site.url}/3?last"
    assert fetched.hops == (Hop(f"{site.url}/1", 301), Hop(f"{site.url}/2", 307), Hop(f"{site.url}/3", 308))


def test_a_fourth_redirect_is_refused_and_the_way_there_is_told(site: Publisher) -> None:
    for number in range(1, 5):
        site.pages[f"/turn{number}"] = redirect(f"/turn{number + 1}")
    site.pages["/turn5"] = Answer(b"here")
    with pytest.raises(FetchRefused, match="more than 3 times") as caught:
        fetch(f"{site.url}/turn1", neighbour())
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
def test_a_redirect_is_checked_like_any_address(site: Publisher, target: str) -> None:
    site.pages["/lure"] = redirect(target)
    with pytest.raises(FetchRefused) as caught:
        fetch(f"{site.url}/lure", neighbour())
    assert caught.value.hops in ((Hop(f"{site.url}/lure", 302),),)


# Where it refuses to go


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
def test_what_is_no_address_of_a_page_is_refused_before_any_name_is_resolved(url: str) -> None:
    def resolver(host: str, port: int) -> Sequence[str]:
        raise AssertionError("resolved")

    assert "no address of a web page" in refusal(url, FetchPolicy(user_agent="tests", resolver=resolver))


def test_a_password_in_an_address_is_refused() -> None:
    assert "never sent" in refusal("https://edda:secret@quay.example/", stranger(PUBLIC))


@pytest.mark.parametrize("numbers", [("10.0.0.7",), (PUBLIC, "127.0.0.1"), ("127.0.0.1", PUBLIC), ("64:ff9b::7f00:1",)])
def test_one_number_inside_refuses_the_host_whichever_would_be_taken(
    numbers: tuple[str, ...], connections: list[str]
) -> None:
    sentence = refusal("http://quay.example/", stranger(*numbers))
    assert "FETCH_ALLOWED_HOSTS" in sentence
    assert not any(number in sentence for number in numbers), "the numbers of our network are nobody's business"
    assert connections == []


def test_a_name_is_resolved_once_and_that_number_is_connected_to(connections: list[str]) -> None:
    answers = iter([[PUBLIC], ["127.0.0.1"], ["127.0.0.1"]])
    visitor = FetchPolicy(user_agent="tests", resolver=lambda host, port: next(answers))
    with pytest.raises(FetchFailed, match=r"quay\.example cannot be reached"):
        fetch("http://quay.example/", visitor)
    assert connections == [PUBLIC]
    assert next(answers) == ["127.0.0.1"], "the second answer was never asked for"


def test_only_the_named_host_is_allowed_inside(site: Publisher) -> None:
    site.pages["/page"] = Answer(b"here")
    visitor = neighbour(allowed_hosts=frozenset({"wiki.intern"}), resolver=lambda host, port: ["127.0.0.1"])
    assert fetch(f"http://Wiki.Intern:{site.port}/page", visitor).status == 200
    assert "not on the public internet" in refusal(f"http://mail.intern:{site.port}/page", visitor)


def test_a_name_that_nobody_has_is_a_failure_that_may_pass() -> None:
    def nobody(host: str, port: int) -> Sequence[str]:
        raise OSError("no such host")

    with pytest.raises(FetchFailed, match=r"There is no quay\.example") as caught:
        fetch("http://quay.example/", FetchPolicy(user_agent="tests", resolver=nobody))
    assert caught.value.retryable


# When it stops


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


def took(limits: Limits, url: str, policy: FetchPolicy) -> tuple[FetchError, float]:
    began = time.monotonic()
    with pytest.raises(FetchError) as caught:
        fetch(url, visitor, limits=limits)
    return caught.value, time.monotonic() - began


@pytest.mark.parametrize(
    ("pour", "headers"),
    [(drip, {}), (drip_chunks, {"Transfer-Encoding": "chunked"}), (drip, {"Content-Length": "1000"})],
    ids=["until it closes", "in chunks", "with a length"],
)
def test_an_answer_that_drips_is_cut_off_in_time(site: Publisher, pour: object, headers: dict[str, str]) -> None:
    site.pages["/drip"] = Answer(headers=headers, pour=pour)  # type: ignore[arg-type]
    error, seconds = took(SHORT, f"{site.url}/drip", neighbour())
    assert "within 0.4 seconds" in str(error)
    assert error.retryable
    assert seconds < 2


def test_a_server_may_think_for_nearly_as_long_as_the_deadline_is(site: Publisher) -> None:
    def think(stream: BufferedIOBase, closing: threading.Event) -> None:
        closing.wait(0.35)
        stream.write(b"here")

    site.pages["/thinks"] = Answer(headers={"Content-Length": "4"}, pour=think)
    assert fetch(f"{site.url}/thinks", neighbour(), limits=Limits(seconds=0.6)).body == b"here"


def test_a_server_that_says_nothing_is_cut_off_in_time(site: Publisher) -> None:
    site.pages["/silent"] = Answer(pour=lambda stream, closing: closing.wait(30))
    error, seconds = took(SHORT, f"{site.url}/silent", neighbour())
    assert "within 0.4 seconds" in str(error)
    assert seconds < 2


def test_headers_that_drip_are_cut_off_in_time(site: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    # The line break that ends the headers never comes: the body is a header that goes on.
    site.pages["/headers"] = Answer(headers={"X": "y"}, pour=drip)
    monkeypatch.setattr(PageHandler, "end_headers", PageHandler.flush_headers)
    error, seconds = took(SHORT, f"{site.url}/headers", neighbour())
    assert "within 0.4 seconds" in str(error)
    assert seconds < 2


def test_a_resolver_that_hangs_is_not_waited_for() -> None:
    over = threading.Event()

    def hang(host: str, port: int) -> Sequence[str]:
        over.wait(30)
        return [PUBLIC]

    error, seconds = took(SHORT, "http://quay.example/", FetchPolicy(user_agent="tests", resolver=hang))
    over.set()
    assert "within 0.4 seconds" in str(error)
    assert seconds < 2


def test_a_redirect_with_a_space_is_followed_as_browsers_do(site: Publisher) -> None:
    site.pages["/moved"] = redirect("/tall cranes")
    site.pages["/tall%20cranes"] = Answer(b"They grow.")
    assert fetch(f"{site.url}/moved", neighbour()).body == b"They grow."


def test_redirects_share_one_deadline(site: Publisher) -> None:
    def slow(stream: BufferedIOBase, closing: threading.Event) -> None:
        closing.wait(0.25)

    for number in range(3):
        site.pages[f"/slow{number}"] = Answer(
            status=302, headers={"Location": f"/slow{number + 1}", "Content-Length": "1"}, pour=slow
        )
    site.pages["/slow3"] = Answer(b"here", headers={"Content-Length": "9"}, pour=drip)
    error, seconds = took(SHORT, f"{site.url}/slow0", neighbour())
    assert "within 0.4 seconds" in str(error)
    assert seconds < 2


def test_a_body_that_is_announced_too_large_is_not_read(site: Publisher) -> None:
    site.pages["/film"] = Answer(headers={"Content-Length": str(50_000_000)}, pour=drip)
    error, seconds = took(Limits(), f"{site.url}/film", neighbour())
    assert "more than 5 MB" in str(error)
    assert error.permanent
    assert seconds < 2


def test_a_body_that_never_ends_is_dropped_at_the_limit(site: Publisher) -> None:
    site.pages["/flood"] = Answer(pour=pour_on)
    error, _ = took(Limits(bytes=1_000_000), f"{site.url}/flood", neighbour())
    assert "more than 1 MB" in str(error)


@pytest.mark.parametrize("rounds", [1, 2])
def test_a_bomb_is_dropped_while_it_is_small(site: Publisher, rounds: int) -> None:
    bomb = b"\0" * 60_000_000
    for _ in range(rounds):
        bomb = gzip.compress(bomb, 9)
    site.pages["/bomb"] = Answer(bomb, headers={"Content-Encoding": ", ".join(["gzip"] * rounds)})
    error, _ = took(Limits(), f"{site.url}/bomb", neighbour())
    assert "more than 5 MB" in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"short", headers={"Content-Length": "100"}),
        Answer(b"no gzip at all", headers={"Content-Encoding": "gzip"}),
        Answer(headers={"Transfer-Encoding": "chunked"}, pour=lambda stream, closing: stream.write(b"zz\r\n")),
    ],
    ids=["cut short", "not what it says", "no chunk"],
)
def test_an_answer_that_cannot_be_read_is_a_failure_that_may_pass(site: Publisher, answer: Answer) -> None:
    site.pages["/broken"] = answer
    error, _ = took(Limits(), f"{site.url}/broken", neighbour())
    assert "cannot be read" in str(error)
    assert error.retryable


class RawServer(socketserver.ThreadingTCPServer):
    """Answers every request with the same bytes, whether they are HTTP or not."""

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
def test_whatever_a_server_sends_is_an_answer_or_a_failure(raw: RawServer, answer: bytes) -> None:
    raw.answer = answer
    with suppress(FetchError):
        fetched = fetch(f"http://127.0.0.1:{raw.server_address[1]}/", neighbour())
        assert len(fetched.body) <= Limits().bytes


# Certificates


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for quay.example, made now, with its key in the same file."""
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


def guest(certificate: Path | None) -> FetchPolicy:
    """Whoever is at 127.0.0.1 under two names, trusting the certificate or only what this machine trusts."""
    return neighbour(
        allowed_hosts=frozenset({"quay.example", "other.example"}),
        resolver=lambda host, port: ["127.0.0.1"],
        tls=ssl.create_default_context(cafile=str(certificate)) if certificate else None,
    )


def test_the_certificate_is_that_of_the_name_although_a_number_is_connected_to(
    secure_site: Publisher, certificate: Path
) -> None:
    secure_site.pages["/"] = Answer(b"here")
    url = f"https://quay.example:{secure_site.port}/"
    assert fetch(url, guest(certificate)).body == b"here"
    assert secure_site.requests[0].headers["host"] == f"quay.example:{secure_site.port}"


@pytest.mark.parametrize(("name", "is_trusted"), [("other.example", True), ("quay.example", False)])
def test_a_certificate_of_another_name_or_of_nobody_is_refused(
    secure_site: Publisher, certificate: Path, name: str, is_trusted: bool
) -> None:
    with pytest.raises(FetchFailed, match="certificate"):
        fetch(f"https://{name}:{secure_site.port}/", guest(certificate if is_trusted else None))
    assert secure_site.requests == []


def test_a_dripping_answer_is_cut_off_behind_tls_too(secure_site: Publisher, certificate: Path) -> None:
    secure_site.pages["/drip"] = Answer(pour=drip)
    error, seconds = took(SHORT, f"https://quay.example:{secure_site.port}/drip", guest(certificate))
    assert "within 0.4 seconds" in str(error)
    assert seconds < 2


@given(st.one_of(st.text(), st.text().map("https://{}".format), st.text().map("http://quay.example/{}".format)))
def test_whatever_is_typed_gives_an_answer_or_a_sentence(url: str) -> None:
    def nobody(host: str, port: int) -> Sequence[str]:
        raise OSError("no such host")

    with pytest.raises(FetchError) as caught:
        fetch(url, FetchPolicy(user_agent="tests", resolver=nobody))
    assert str(caught.value).endswith(".")
