"""What a stranger, or a provider that repeats itself, can post to the webhook inbox of the web server as shipped."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from newsletter.config.request_body import MAX_BODY_BYTES
from newsletter.demo.environment import free_port
from newsletter.web.webhooks import MAX_BODY_SIZE
from tests.installation import wait_until
from tests.journeys.site import EVENT, Site, running_site
from tests.raw_http import Answer, head_of, in_chunks, send, webhook_headers

pytestmark = pytest.mark.processes

PATH = "/webhooks/resend/"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("site")) as running:
        yield running


def signed(site: Site, event_id: str, body: bytes = EVENT, *, at: float | None = None) -> dict[str, str]:
    return webhook_headers(site.webhook_secret, body, event_id, at=at)


def post(
    site: Site, headers: Mapping[str, str], body: bytes = EVENT, *, path: str = PATH, method: str = "POST"
) -> Answer:
    """One request on its own connection, its body with a length."""
    sent = {"Host": site.client.host, "Connection": "close", "Content-Length": str(len(body)), **headers}
    with site.client.connect() as connection:
        return send(connection, head_of(method, path, sent) + b"\r\n", body)


def stored(site: Site) -> list[str]:
    """The ids of all stored events."""
    ids: list[str] = json.loads(site.installation.run("-m", "tests.installation", "events"))
    return ids


def test_only_what_is_signed_complete_and_new_is_stored(site: Site) -> None:
    before = len(stored(site))
    check_forgeries(site)
    check_clocks(site)
    check_signature_lists(site)
    check_methods_and_types(site)
    check_contents(site)
    check_sizes(site)
    check_chunks(site)
    check_paths(site)
    # A provider repeats an event that it believes to be lost, with a new time and signature.
    assert [post(site, signed(site, "repeated")).status for _ in range(2)] == [200, 200]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: post(site, signed(site, "at-once")), range(8)))
    assert [answer.status for answer in answers] == [200] * 8
    assert stored(site)[before:] == [
        "ten-signatures",
        "charset",
        "nul",
        "largest",
        "largest-in-chunks",
        "another-host",
        "encoded-path",
        "repeated",
        "at-once",
    ]
    assert "Traceback" not in site.log()


def check_forgeries(site: Site) -> None:
    valid = signed(site, "forged")
    for changes in (
        {"svix-signature": "v1,AAAA"},
        {"svix-signature": valid["svix-signature"].replace("v1,", "v2,")},
        {"svix-id": "another"},
        {"svix-timestamp": str(int(valid["svix-timestamp"]) + 1)},
        {"svix-id": "forged\tx"},
        {"svix-id": ""},
    ):
        answer = post(site, {**valid, **changes})
        assert (answer.status, answer.text) == (400, "The signature could not be verified."), changes
    assert post(site, valid, EVENT + b" ").status == 400
    other = webhook_headers("whsec_" + "A" * 32, EVENT, "forged")
    before = site.log()
    assert post(site, other).status == 400
    (line,) = site.log().removeprefix(before).splitlines()
    assert "event_signature_mismatch" in line
    assert "forged" not in line


def check_clocks(site: Site) -> None:
    for at in (time.time() - 310, time.time() + 310, 0, 10**11):
        assert post(site, signed(site, "other-clock", at=at)).status == 400, at


def check_signature_lists(site: Site) -> None:
    valid, wrong = signed(site, "ten-signatures"), "v1," + "A" * 43 + "="
    ten = [*[wrong] * 9, valid["svix-signature"]]
    assert post(site, {**valid, "svix-signature": " ".join([wrong, *ten])}).status == 400
    assert post(site, {**valid, "svix-signature": " ".join(ten)}).status == 200
    # The web server takes heads of 32 KB. It answers 431 and closes the connection, perhaps before it was sent whole.
    with contextlib.suppress(ConnectionError):
        assert post(site, {**valid, "svix-signature": " ".join([wrong] * 10_000)}, b"").status == 431


def check_methods_and_types(site: Site) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
        answer = post(site, signed(site, "wrong-method", b""), b"", method=method)
        assert (answer.status, answer.headers["allow"]) == (405, "POST"), method
        assert bool(answer.body) == (method != "HEAD")
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        assert post(site, {**signed(site, "wrong-type"), "Content-Type": kind}).status == 415, kind
    assert post(site, {**signed(site, "charset"), "Content-Type": "application/json; charset=utf-8"}).status == 200


def check_contents(site: Site) -> None:
    nul, latin = b'{"type": "a\x00b"}', b'{"type": "caf\xe9"}'
    assert post(site, signed(site, "nul", nul), nul).status == 200
    assert post(site, signed(site, "not-utf8", latin), latin).status == 400
    assert post(site, {"Content-Type": "application/json"}, b"").status == 400


def check_sizes(site: Site) -> None:
    largest = b"[" + b" " * (MAX_BODY_SIZE - 2) + b"]"
    assert post(site, signed(site, "largest", largest), largest).status == 200
    larger = largest + b" "
    assert post(site, signed(site, "larger", larger), larger).status == 413
    for length in (str(MAX_BODY_BYTES + 1), "9" * 30):
        # Nothing of the body is sent, and the answer does not wait for it.
        answer = post(site, {**signed(site, "declared"), "Content-Length": length}, b"")
        assert answer.status == 413, length


def check_chunks(site: Site) -> None:
    largest = b"[" + b" " * (MAX_BODY_SIZE - 2) + b"]"
    chunked = {"Host": site.client.host, "Transfer-Encoding": "chunked", "Connection": "close"}
    for name, body, status in (("largest-in-chunks", largest, 200), ("larger-in-chunks", largest + b" ", 413)):
        with site.client.connect() as connection:
            head = head_of("POST", PATH, {**chunked, **signed(site, name, body)})
            assert send(connection, head + b"\r\n", *in_chunks(body, 60_000)).status == status
    with site.client.connect() as connection:
        # A size that is none, instead of the second chunk.
        head = head_of("POST", PATH, {**chunked, **signed(site, "broken-chunk")})
        assert send(connection, head + b"\r\n", b"3\r\nabc\r\nxyz\r\n").status == 400


def check_paths(site: Site) -> None:
    assert post(site, {**signed(site, "another-host"), "Host": "scanner.example"}).status == 200
    assert post(site, signed(site, "encoded-path"), path="/webhooks/%72esend/").status == 200
    for path in ("/webhooks/postbox/", "/webhooks/smtp/", "/webhooks/Resend/"):
        answer = post(site, signed(site, "unknown-provider"), path=path)
        assert (answer.status, answer.headers["content-type"]) == (404, "text/plain; charset=utf-8"), path
        assert path.split("/")[2] not in answer.text
    for path in ("/webhooks/resend", "/webhooks/resend//", "/webhooks/resend/x/", "/webhooks/", "/webhooks/re%00send/"):
        assert post(site, signed(site, "other-path"), path=path).status in (301, 403, 404), path


def test_slashes_before_the_path_are_those_of_the_web_server(site: Site) -> None:
    # waitress takes them for one.
    assert post(site, signed(site, "slashes"), path="//webhooks/resend/").status == 200
    assert stored(site).count("slashes") == 1


def test_gunicorns_own_workers_answer_the_same(site: Site) -> None:
    other = site.beside(free_port(0))
    site.installation.processes.start(
        "gthread", "-m", "gunicorn", "newsletter.wsgi", "--bind", other.client.host, "--worker-class", "gthread"
    )
    wait_until(other.answers, "the server answers")
    assert [post(other, signed(site, "by-gthread")).status for _ in range(2)] == [200, 200]
    assert post(other, {**signed(site, "forged-by-gthread"), "svix-signature": "v1,AAAA"}).status == 400
    assert post(other, {}, b"", method="HEAD").status == 405
    with other.client.connect() as connection:
        head = head_of("POST", PATH, {"Host": other.client.host, "Transfer-Encoding": "chunked"})
        # Without an end: the answer comes when more than the limit has arrived. gunicorn reads a kilobyte ahead.
        size = MAX_BODY_SIZE + 1024
        chunk = b"%x\r\n%s\r\n" % (size, b"a" * size)
        assert send(connection, head + b"\r\n", chunk).status == 413
    assert stored(site).count("by-gthread") == 1
