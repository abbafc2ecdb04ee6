"""Resend's provider against the sandbox: the contract, and every row of the outcome table (R-107)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import threading
import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.models import Fact
from newsletter.providers.base import BounceKind, EventRejected, Outcome, OutcomeKind, ParsedEvent
from newsletter.providers.resend.provider import ResendProvider
from newsletter.sandbox import Fault, SandboxServer
from newsletter.sandbox.paging import Page
from tests.faults.proxy import proxy_to
from tests.newsletter.providers.contract import OtherSide, ProviderContract, message, new_key
from tests.sandboxes import running_sandbox

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
OLD_SECRET = "whsec_" + base64.b64encode(b"o" * 32).decode()


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with running_sandbox() as server:
        yield server


@pytest.fixture
def provider(sandbox: SandboxServer) -> ResendProvider:
    return ResendProvider(url=sandbox.url, api_key="re_sandbox", webhook_secrets=(SECRET, OLD_SECRET))


class ResendsSide:
    """The sandbox, as the contract steers it."""

    def __init__(self, sandbox: SandboxServer) -> None:
        self._sandbox = sandbox
        self.stop = sandbox.stop

    def recipients(self) -> list[str]:
        mails, _more = self._sandbox.ledger.page(Page(limit=100), 2e9)
        return sorted(mail.address for mail in mails)

    def lose_the_next_answer(self) -> None:
        self._sandbox.plan(Fault("reset", after_commit=True))

    def shut_us_out(self) -> None:
        self._sandbox.plan(Fault("invalid_api_key"))


@pytest.fixture
def other_side(sandbox: SandboxServer) -> OtherSide:
    return ResendsSide(sandbox)


class TestContract(ProviderContract):
    """Resend keeps the contract of all providers."""


#: Each planned answer of Resend, what it means, and what its ledger then holds.
ANSWERS = [
    (Fault("missing_api_key"), OutcomeKind.HALT, 0),
    (Fault("restricted_api_key"), OutcomeKind.HALT, 0),
    (Fault("invalid_api_key"), OutcomeKind.HALT, 0),
    (Fault("validation_error", status=403), OutcomeKind.HALT, 0),
    (Fault("daily_quota_exceeded"), OutcomeKind.HALT, 0),
    (Fault("monthly_quota_exceeded"), OutcomeKind.HALT, 0),
    (Fault("not_found"), OutcomeKind.HALT, 0),
    (Fault("method_not_allowed"), OutcomeKind.HALT, 0),
    (Fault("security_error"), OutcomeKind.HALT, 0),
    (Fault("rate_limit_exceeded"), OutcomeKind.LATER, 0),
    (Fault("concurrent_idempotent_requests"), OutcomeKind.UNKNOWN, 0),
    (Fault("invalid_idempotent_request"), OutcomeKind.STUCK, 0),
    (Fault("invalid_idempotency_key"), OutcomeKind.HALT, 0),
    (Fault("missing_required_field"), OutcomeKind.SPLIT, 0),
    (Fault("invalid_parameter"), OutcomeKind.SPLIT, 0),
    (Fault("validation_error", status=422), OutcomeKind.SPLIT, 0),
    (Fault("application_error"), OutcomeKind.UNKNOWN, 0),
    (Fault("internal_server_error"), OutcomeKind.UNKNOWN, 0),
    (Fault("service_unavailable"), OutcomeKind.UNKNOWN, 0),
    (Fault("html_502"), OutcomeKind.UNKNOWN, 0),
    (Fault("html_502", after_commit=True), OutcomeKind.UNKNOWN, 1),
    (Fault("reset"), OutcomeKind.UNKNOWN, 0),
    (Fault("reset", after_commit=True), OutcomeKind.UNKNOWN, 1),
    (Fault("truncated"), OutcomeKind.UNKNOWN, 1),
    (Fault("missing_id"), OutcomeKind.UNKNOWN, 1),
    (Fault("extra_id"), OutcomeKind.UNKNOWN, 1),
    (Fault("null_id"), OutcomeKind.UNKNOWN, 1),
]


@pytest.mark.parametrize(("fault", "kind", "messages"), ANSWERS, ids=lambda value: getattr(value, "kind", None))
def test_each_answer_has_one_meaning(
    provider: ResendProvider, sandbox: SandboxServer, fault: Fault, kind: OutcomeKind, messages: int
) -> None:
    sandbox.plan(fault)
    outcome = provider.post_batch(provider.join([provider.encode(message())]), key=new_key(), size=1)
    assert outcome.kind is kind
    assert outcome.reason
    assert "ada@" not in outcome.reason
    assert sandbox.ledger.summary()["messages"] == messages


def test_an_unknown_key_halts_although_resend_calls_it_a_validation_error(sandbox: SandboxServer) -> None:
    stranger = ResendProvider(url=sandbox.url, api_key="re_wrong", webhook_secrets=(SECRET,))
    outcome = stranger.post_message(message(), key=new_key())
    assert outcome.kind is OutcomeKind.HALT


def test_an_answer_with_too_few_ids_is_not_taken_for_an_acceptance(
    provider: ResendProvider, sandbox: SandboxServer
) -> None:
    sandbox.plan(Fault("duplicate_id"))
    body = provider.join([provider.encode(message("ada@example.org")), provider.encode(message("ben@example.org"))])
    assert provider.post_batch(body, key=new_key(), size=2).kind is OutcomeKind.UNKNOWN


@pytest.mark.parametrize(
    ("first", "second"),
    [(None, OutcomeKind.UNKNOWN), (Fault("validation_error", status=422), OutcomeKind.ACCEPTED)],
    ids=["an-acceptance", "a-refusal"],
)
def test_an_answer_that_comes_twice_is_not_taken_for_that_to_the_next_post(
    sandbox: SandboxServer, first: Fault | None, second: OutcomeKind
) -> None:
    sandbox.plan(*([first] if first else []))
    with proxy_to(sandbox.url, {1: "duplicate-late"}) as proxy:
        provider = ResendProvider(url=proxy.url, api_key="re_sandbox", webhook_secrets=(SECRET,))
        bodies = [provider.join([provider.encode(message(name))]) for name in ("ada@example.org", "ben@example.org")]
        provider.post_batch(bodies[0], key=new_key(), size=1)
        key = new_key()
        outcome = provider.post_batch(bodies[1], key=key, size=1)
        assert outcome.kind is second
        again = provider.post_batch(bodies[1], key=key, size=1)
        provider.close()
    assert again.kind is OutcomeKind.ACCEPTED
    mails, _more = sandbox.ledger.page(Page(limit=9), 2e9)
    assert [mail.address for mail in mails if mail.id in again.ids] == ["ben@example.org"]


def test_the_limit_and_the_wait_are_learnt_from_the_providers_headers() -> None:
    with running_sandbox(rate_limit=1) as busy:
        provider = ResendProvider(url=busy.url, api_key="re_sandbox", webhook_secrets=(SECRET,))
        outcomes = [provider.post_message(message(), key=new_key()) for _ in range(3)]
    refused = next(outcome for outcome in outcomes if outcome.kind is OutcomeKind.LATER)
    assert refused.retry_after == 1.0
    assert refused.rate_limit == 1.0


def test_the_frozen_bytes_travel_unchanged(provider: ResendProvider, sandbox: SandboxServer) -> None:
    # Spaces and a key order that no JSON encoder would choose: they survive only if nothing encodes again.
    body = b'[ {"text":"t", "to":["ada@example.org"],"subject":"s","html":"<p>\xc3\xa4</p>","from":"a@b.example"} ]'
    key = new_key()
    assert provider.post_batch(body, key=key, size=1).kind is OutcomeKind.ACCEPTED
    call = next(call for call in sandbox.ledger.calls() if call["key"] == key)
    assert hashlib.sha256(body).hexdigest() in str(call)


class Odd(http.server.BaseHTTPRequestHandler):
    """A server that gives the answer the test asks for, whatever it is asked."""

    status, body, kind = 200, b"", "application/json"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.status)
        self.send_header("Content-Type", self.kind)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def answered(status: int, body: bytes, kind: str = "application/json") -> Outcome:
    """What the provider makes of this answer to a batch of one."""
    handler = type("Handler", (Odd,), {"status": status, "body": body, "kind": kind})
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        provider = ResendProvider(url=url, api_key="re_x", webhook_secrets=(SECRET,))
        outcome = provider.post_batch(b"[{}]", key=new_key(), size=1)
        provider.close()
        thread.join()
    return outcome


#: Bodies that say yes without naming one mail.
ODD_YES = (
    *(b"", b"{", b"[]", b'"ok"', b"null", b"7", b"{}"),
    *(b'{"data": null}', b'{"data": {}}', b'{"data": [null]}', b'{"data": ["x"]}', b'{"data": [{"id": 7}]}'),
    *(b'{"data": [{"id": ""}]}', b'{"data": [{"id": "' + b"x" * 65 + b'"}]}'),
)


@pytest.mark.parametrize("body", ODD_YES, ids=repr)
def test_a_yes_that_cannot_be_read_is_unknown_and_never_an_error(body: bytes) -> None:
    assert answered(200, body).kind is OutcomeKind.UNKNOWN


@pytest.mark.parametrize(
    "body",
    [
        b'{"statusCode": "many", "name": "validation_error", "message": "x"}',
        b'{"statusCode": 422, "name": ["a"], "message": {"b": 1}}',
        b'{"statusCode": 400, "name": null, "message": null}',
        b"[1, 2]",
        b'"no"',
    ],
    ids=repr,
)
@pytest.mark.parametrize("status", [400, 422, 500])
def test_a_no_that_cannot_be_read_is_an_outcome_too(status: int, body: bytes) -> None:
    assert answered(status, body).kind in OutcomeKind


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("kind", ["text/html", "application/json"])
def test_a_redirect_is_never_followed_and_stops_the_issue(status: int, kind: str) -> None:
    outcome = answered(status, b"{}", kind)
    assert outcome.kind is OutcomeKind.HALT
    assert "redirects" in outcome.reason


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Invalid `from` field. The email address needs to follow the format.", OutcomeKind.HALT),
        ("Invalid `reply_to` field.", OutcomeKind.HALT),
        ("Invalid `headers` field.", OutcomeKind.HALT),
        ("Invalid `to` field. The email address needs to follow the format.", OutcomeKind.SPLIT),
        ("Missing `to` field.", OutcomeKind.SPLIT),
    ],
)
def test_a_complaint_about_what_all_messages_share_is_no_readers_fault(message: str, kind: OutcomeKind) -> None:
    body = orjson.dumps({"statusCode": 422, "name": "validation_error", "message": message})
    assert answered(422, body).kind is kind


def test_a_reason_holds_no_address() -> None:
    message = "You can only send to your own email address (owner@example.org)."
    body = orjson.dumps({"statusCode": 403, "name": "validation_error", "message": message})
    assert answered(403, body).reason.endswith("your own email address ((an address)).")


# Receipts


def signed(body: bytes, *, secret: str = SECRET, event_id: str = "msg_1", at: float | None = None) -> dict[str, str]:
    """Headers as Svix sends them."""
    timestamp = str(int(at if at is not None else time.time()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{event_id}.{timestamp}.".encode() + body, "sha256")
    return {
        "svix-id": event_id,
        "svix-timestamp": timestamp,
        "svix-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def receipts_provider() -> ResendProvider:
    return ResendProvider(url="http://127.0.0.1:1", api_key="re_x", webhook_secrets=(SECRET, OLD_SECRET))


def test_a_signed_body_is_taken_as_it_stands() -> None:
    body = b'{"type": "email.sent"}'
    receipt = receipts_provider().verify(signed(body), body)
    assert (receipt.event_id, receipt.body) == ("msg_1", body.decode())


def test_while_a_secret_is_rotated_either_signature_counts() -> None:
    body = b"{}"
    assert receipts_provider().verify(signed(body, secret=OLD_SECRET), body).body == "{}"
    headers = signed(body)
    headers["svix-signature"] = f"v1,!!! v2,x {headers['svix-signature']} v1,"
    assert receipts_provider().verify(headers, body).body == "{}"


@pytest.mark.parametrize("offset", [-299, 299])
def test_a_clock_that_is_a_little_off_is_forgiven(offset: int) -> None:
    assert receipts_provider().verify(signed(b"{}", at=time.time() + offset), b"{}").body == "{}"


@pytest.mark.parametrize(
    "change",
    [
        {"svix-id": ""},
        {"svix-id": "a.b"},
        {"svix-id": "x" * 129},
        {"svix-timestamp": "1_700_000_000"},
        {"svix-timestamp": " 1700000000"},
        {"svix-timestamp": "now"},
        {"svix-signature": ""},
        {"svix-signature": "v1,"},
        {"svix-signature": "v1"},
        {"svix-signature": "v1,ü"},
    ],
    ids=str,
)
def test_whatever_is_malformed_is_refused_and_nothing_else_is_raised(change: dict[str, str]) -> None:
    with pytest.raises(EventRejected):
        receipts_provider().verify({**signed(b"{}"), **change}, b"{}")


@pytest.mark.parametrize("offset", [-302, 302])
def test_an_old_or_future_signature_is_refused(offset: int) -> None:
    with pytest.raises(EventRejected, match="too long ago"):
        receipts_provider().verify(signed(b"{}", at=time.time() + offset), b"{}")


def test_a_signature_under_another_version_or_secret_or_body_is_refused() -> None:
    good = signed(b"{}")
    stranger = "whsec_" + base64.b64encode(b"x" * 32).decode()
    for headers, body in (
        ({**good, "svix-signature": good["svix-signature"].replace("v1,", "v2,")}, b"{}"),
        (signed(b"{}", secret=stranger), b"{}"),
        (good, b'{"a": 1}'),
        ({**good, "svix-signature": good["svix-signature"][:-4]}, b"{}"),
        (signed(b"\xff\xfe"), b"\xff\xfe"),
    ):
        with pytest.raises(EventRejected):
            receipts_provider().verify(headers, body)


@given(st.dictionaries(st.sampled_from(["svix-id", "svix-timestamp", "svix-signature"]), st.text()), st.binary())
def test_no_headers_or_body_can_raise_anything_but_a_refusal(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(EventRejected):
        receipts_provider().verify(headers, body)


def event(kind: str, **data: Any) -> ParsedEvent:
    """What the provider reads from an event of this kind."""
    defaults = {"email_id": "e-1", "to": ["Ada <ada@example.org>"], "tags": {"delivery": "7", "env": "tests"}}
    body = {"type": kind, "created_at": "2026-11-20T07:00:01.5Z", "data": {**defaults, **data}}
    return receipts_provider().parse(orjson.dumps(body).decode())


def test_an_event_is_read_into_our_words() -> None:
    delivered = event("email.delivered")
    assert delivered.fact is Fact.DELIVERED
    assert delivered.at.isoformat() == "2026-11-20T07:00:01.500000+00:00"
    assert delivered.tags == {"delivery": "7", "env": "tests"}


def test_tags_are_read_from_a_list_too() -> None:
    assert event("email.sent", tags=[{"name": "delivery", "value": "9"}]).tags == {"delivery": "9"}


@pytest.mark.parametrize("kind", ["email.teleported", "contact.created", "domain.updated"])
def test_a_kind_that_nobody_knows_is_an_event_without_a_fact(kind: str) -> None:
    assert event(kind).fact is None


@pytest.mark.parametrize(
    ("bounce", "kind"),
    [
        ({"type": "Permanent", "subType": "General", "message": "550 5.1.1 no such user"}, BounceKind.HARD),
        ({"type": "Permanent", "subType": "NoEmail"}, BounceKind.HARD),
        ({"type": "Permanent", "subType": "Suppressed"}, BounceKind.HARD),
        ({"type": "Permanent", "subType": "MailboxFull"}, BounceKind.SOFT),
        ({"type": "Permanent", "subType": "MessageTooLarge"}, BounceKind.SOFT),
        ({"type": "Transient", "subType": "General"}, BounceKind.SOFT),
        ({"type": "Undetermined", "subType": "Undetermined"}, BounceKind.SOFT),
        ({"type": "Temporary"}, BounceKind.SOFT),
        ({"type": "Permanent", "message": "550 5.7.515 Access denied"}, BounceKind.POLICY),
        ({"type": "Permanent", "diagnosticCode": ["smtp; 550 5.7.1 blocked"]}, BounceKind.POLICY),
        ({"type": "Permanent", "diagnosticCode": ["smtp; 550 5.4.1 relay access denied"]}, BounceKind.POLICY),
        ({"type": "Permanent", "subType": "ContentRejected"}, BounceKind.SOFT),
        ({"type": "Permanent", "subType": "AttachmentRejected"}, BounceKind.SOFT),
        ({"type": "Permanent", "message": "smtp; 550 5.1.1 unknown (from 10.4.7.23)"}, BounceKind.HARD),
        ({"type": "Permanent", "subType": ["NoEmail"]}, BounceKind.SOFT),
        ("nonsense", BounceKind.SOFT),
        (None, BounceKind.SOFT),
    ],
    ids=str,
)
def test_only_a_permanent_bounce_about_the_mailbox_is_hard(bounce: object, kind: BounceKind) -> None:
    assert event("email.bounced", bounce=bounce).bounce is kind


def test_what_a_stranger_wrote_into_an_event_is_cut_and_cleaned() -> None:
    detail = event("email.bounced", bounce={"type": "Permanent", "message": "a\x00b\n<img>" + "x" * 900}).detail
    assert detail.startswith("a b <img>")
    assert len(detail) <= 300


@given(
    st.text()
    | st.recursive(
        st.none() | st.integers(-9, 9) | st.text(), lambda j: st.lists(j) | st.dictionaries(st.text(), j)
    ).map(lambda j: orjson.dumps(j).decode())
)
def test_an_unreadable_body_is_refused_and_nothing_else_is_raised(body: str) -> None:
    with pytest.raises(EventRejected):
        receipts_provider().parse(body)
