"""Resend's provider against the sandbox: the contract, and the outcome of each answer."""

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

from newsletter.models import EventType
from newsletter.providers.base import BlockScope, EventRejected, Outcome, OutcomeKind, ParsedEvent
from newsletter.providers.bounce_classes import BounceClass
from newsletter.providers.reasons import REASONS
from newsletter.providers.resend import ResendProvider
from newsletter.sandbox import Fault, SandboxServer
from newsletter.sandbox.paging import Page
from tests.faults.proxy import proxy_to
from tests.newsletter.providers.contract import ProviderContract, Remote, message, new_key
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


class ResendDouble:
    """The sandbox, as the contract controls it."""

    def __init__(self, sandbox: SandboxServer) -> None:
        self._sandbox = sandbox
        self.stop = sandbox.stop

    def recipients(self) -> list[str]:
        mails, _more = self._sandbox.ledger.page(Page(limit=100), 2e9)
        return sorted(mail.address for mail in mails)

    def drop_next_answer(self) -> None:
        self._sandbox.plan(Fault("reset", after_commit=True))

    def block_sender(self) -> None:
        self._sandbox.plan(Fault("invalid_api_key"))


@pytest.fixture
def remote(sandbox: SandboxServer) -> Remote:
    return ResendDouble(sandbox)


class TestContract(ProviderContract):
    """Resend fulfils the contract of all providers."""


#: A planned answer of Resend, its outcome, and the number of mails that Resend then has.
ANSWERS = [
    (Fault("missing_api_key"), OutcomeKind.BLOCKED, 0),
    (Fault("restricted_api_key"), OutcomeKind.BLOCKED, 0),
    (Fault("invalid_api_key"), OutcomeKind.BLOCKED, 0),
    (Fault("validation_error", status=403), OutcomeKind.BLOCKED, 0),
    (Fault("daily_quota_exceeded"), OutcomeKind.BLOCKED, 0),
    (Fault("monthly_quota_exceeded"), OutcomeKind.BLOCKED, 0),
    (Fault("not_found"), OutcomeKind.BLOCKED, 0),
    (Fault("method_not_allowed"), OutcomeKind.BLOCKED, 0),
    (Fault("security_error"), OutcomeKind.BLOCKED, 0),
    (Fault("rate_limit_exceeded"), OutcomeKind.RETRY_LATER, 0),
    (Fault("concurrent_idempotent_requests"), OutcomeKind.UNKNOWN, 0),
    (Fault("invalid_idempotent_request"), OutcomeKind.KEY_CONFLICT, 0),
    (Fault("invalid_idempotency_key"), OutcomeKind.BLOCKED, 0),
    (Fault("missing_required_field"), OutcomeKind.REFUSED, 0),
    (Fault("invalid_parameter"), OutcomeKind.REFUSED, 0),
    (Fault("validation_error", status=422), OutcomeKind.REFUSED, 0),
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
def test_each_answer_has_one_outcome(
    provider: ResendProvider, sandbox: SandboxServer, fault: Fault, kind: OutcomeKind, messages: int
) -> None:
    sandbox.plan(fault)
    outcome = provider.post_batch(provider.join([[provider.encode(message())]]), key=new_key(), size=1)
    assert outcome.kind is kind
    assert outcome.code in REASONS or outcome.code.startswith("http_")
    assert "ada@" not in outcome.reason
    assert sandbox.ledger.summary()["messages"] == messages


def test_an_unknown_key_blocks_although_resend_calls_it_a_validation_error(sandbox: SandboxServer) -> None:
    other = ResendProvider(url=sandbox.url, api_key="re_wrong", webhook_secrets=(SECRET,))
    outcome = other.post_message(message(), key=new_key())
    assert (outcome.kind, outcome.code) == (OutcomeKind.BLOCKED, "invalid_api_key")


def test_an_answer_with_too_few_ids_has_an_unknown_outcome(provider: ResendProvider, sandbox: SandboxServer) -> None:
    sandbox.plan(Fault("duplicate_id"))
    body = provider.join([[provider.encode(message(to))] for to in ("ada@example.org", "ben@example.org")])
    assert provider.post_batch(body, key=new_key(), size=2).kind is OutcomeKind.UNKNOWN


@pytest.mark.parametrize(
    ("first", "second"),
    [(None, OutcomeKind.UNKNOWN), (Fault("validation_error", status=422), OutcomeKind.ACCEPTED)],
    ids=["an-acceptance", "a-refusal"],
)
def test_an_answer_that_arrives_twice_is_not_used_for_the_next_post(
    sandbox: SandboxServer, first: Fault | None, second: OutcomeKind
) -> None:
    sandbox.plan(*([first] if first else []))
    with proxy_to(sandbox.url, {1: "duplicate-late"}) as proxy:
        provider = ResendProvider(url=proxy.url, api_key="re_sandbox", webhook_secrets=(SECRET,))
        bodies = [provider.join([[provider.encode(message(name))]]) for name in ("ada@example.org", "ben@example.org")]
        provider.post_batch(bodies[0], key=new_key(), size=1)
        key = new_key()
        outcome = provider.post_batch(bodies[1], key=key, size=1)
        assert outcome.kind is second
        again = provider.post_batch(bodies[1], key=key, size=1)
        provider.close()
    assert again.kind is OutcomeKind.ACCEPTED
    mails, _more = sandbox.ledger.page(Page(limit=9), 2e9)
    assert [mail.address for mail in mails if mail.id in again.ids] == ["ben@example.org"]


def test_the_rate_limit_and_the_wait_are_read_from_the_headers() -> None:
    with running_sandbox(rate_limit=1) as busy:
        provider = ResendProvider(url=busy.url, api_key="re_sandbox", webhook_secrets=(SECRET,))
        outcomes = [provider.post_message(message(), key=new_key()) for _ in range(3)]
    refused = next(outcome for outcome in outcomes if outcome.kind is OutcomeKind.RETRY_LATER)
    assert refused.retry_after == 1.0
    assert refused.rate_limit == 1.0


def test_a_fault_of_the_program_has_an_unknown_outcome_and_is_logged(
    provider: ResendProvider, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("resend.Batch.send", fail)
    outcome = provider.post_batch(b"[]", key=new_key(), size=1)
    assert (outcome.kind, outcome.code) == (OutcomeKind.UNKNOWN, "unreadable_answer")
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_the_frozen_bytes_are_sent_unchanged(provider: ResendProvider, sandbox: SandboxServer) -> None:
    # Spaces and a key order that no JSON encoder would choose: they survive only if nothing encodes again.
    body = b'[ {"text":"t", "to":["ada@example.org"],"subject":"s","html":"<p>\xc3\xa4</p>","from":"a@b.example"} ]'
    key = new_key()
    assert provider.post_batch(body, key=key, size=1).kind is OutcomeKind.ACCEPTED
    call = next(call for call in sandbox.ledger.calls() if call["key"] == key)
    assert hashlib.sha256(body).hexdigest() in str(call)


class FixedAnswer(http.server.BaseHTTPRequestHandler):
    """A server that gives the same answer to every request."""

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
        """Do not log."""


def answered(status: int, body: bytes, kind: str = "application/json") -> Outcome:
    """The outcome of a batch of one mail that gets this answer."""
    handler = type("Handler", (FixedAnswer,), {"status": status, "body": body, "kind": kind})
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        provider = ResendProvider(url=url, api_key="re_x", webhook_secrets=(SECRET,))
        outcome = provider.post_batch(b"[{}]", key=new_key(), size=1)
        provider.close()
        thread.join()
    return outcome


#: Bodies of successful answers without exactly one valid id.
BODIES_WITHOUT_ID = (
    *(b"", b"{", b"[]", b'"ok"', b"null", b"7", b"{}"),
    *(b'{"data": null}', b'{"data": {}}', b'{"data": [null]}', b'{"data": ["x"]}', b'{"data": [{"id": 7}]}'),
    *(b'{"data": [{"id": ""}]}', b'{"data": [{"id": "' + b"x" * 65 + b'"}]}'),
)


@pytest.mark.parametrize("body", BODIES_WITHOUT_ID, ids=repr)
def test_a_successful_answer_without_valid_ids_has_an_unknown_outcome(body: bytes) -> None:
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
def test_an_error_answer_that_cannot_be_read_has_an_outcome(status: int, body: bytes) -> None:
    assert answered(status, body).kind in OutcomeKind


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("kind", ["text/html", "application/json"])
def test_a_redirect_is_not_followed_and_blocks_the_account(status: int, kind: str) -> None:
    outcome = answered(status, b"{}", kind)
    assert (outcome.kind, outcome.scope) == (OutcomeKind.BLOCKED, BlockScope.ACCOUNT)
    assert (outcome.code, outcome.detail) == ("redirected", str(status))


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Invalid `from` field. The email address needs to follow the format.", OutcomeKind.BLOCKED),
        ("Invalid `reply_to` field.", OutcomeKind.BLOCKED),
        ("Invalid `headers` field.", OutcomeKind.BLOCKED),
        ("Invalid `to` field. The email address needs to follow the format.", OutcomeKind.REFUSED),
        ("Missing `to` field.", OutcomeKind.REFUSED),
    ],
)
def test_an_error_about_a_field_that_all_messages_share_blocks_the_issue(message: str, kind: OutcomeKind) -> None:
    body = orjson.dumps({"statusCode": 422, "name": "validation_error", "message": message})
    assert answered(422, body).kind is kind


def test_the_detail_holds_no_address() -> None:
    message = "You can only send to your own email address (owner@example.org)."
    body = orjson.dumps({"statusCode": 403, "name": "validation_error", "message": message})
    assert answered(403, body).detail == "You can only send to your own email address ((an address))."


@pytest.mark.parametrize("name", ["validation_error", "invalid_api_key", "forbidden", ""])
def test_a_key_that_is_not_active_blocks_the_account_and_is_named(name: str) -> None:
    body = orjson.dumps({"statusCode": 403, "name": name, "message": "API key is not active"})
    outcome = answered(403, body)
    assert (outcome.kind, outcome.scope, outcome.code) == (
        OutcomeKind.BLOCKED,
        BlockScope.ACCOUNT,
        "inactive_api_key",
    )
    assert str(outcome.reason).startswith("The API key is not active.")


# Events


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


def event_provider() -> ResendProvider:
    return ResendProvider(url="http://127.0.0.1:1", api_key="re_x", webhook_secrets=(SECRET, OLD_SECRET))


def test_a_valid_signature_returns_the_body_unchanged() -> None:
    body = b'{"type": "email.sent"}'
    signed_event = event_provider().verify_webhook(signed(body), body)
    assert (signed_event.event_id, signed_event.body) == ("msg_1", body.decode())


def test_signatures_of_the_current_and_the_previous_secret_are_valid() -> None:
    body = b"{}"
    assert event_provider().verify_webhook(signed(body, secret=OLD_SECRET), body).body == "{}"
    headers = signed(body)
    headers["svix-signature"] = f"v1,!!! v2,x {headers['svix-signature']} v1,"
    assert event_provider().verify_webhook(headers, body).body == "{}"


@pytest.mark.parametrize("offset", [-299, 299])
def test_a_small_clock_difference_is_accepted(offset: int) -> None:
    assert event_provider().verify_webhook(signed(b"{}", at=time.time() + offset), b"{}").body == "{}"


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
def test_malformed_headers_are_rejected(change: dict[str, str]) -> None:
    with pytest.raises(EventRejected):
        event_provider().verify_webhook({**signed(b"{}"), **change}, b"{}")


@pytest.mark.parametrize("offset", [-302, 302])
def test_an_old_or_future_timestamp_is_rejected(offset: int) -> None:
    with pytest.raises(EventRejected, match="too old or in the future"):
        event_provider().verify_webhook(signed(b"{}", at=time.time() + offset), b"{}")


def test_a_signature_with_another_version_secret_or_body_is_rejected() -> None:
    valid = signed(b"{}")
    other_secret = "whsec_" + base64.b64encode(b"x" * 32).decode()
    for headers, body in (
        ({**valid, "svix-signature": valid["svix-signature"].replace("v1,", "v2,")}, b"{}"),
        (signed(b"{}", secret=other_secret), b"{}"),
        (valid, b'{"a": 1}'),
        ({**valid, "svix-signature": valid["svix-signature"][:-4]}, b"{}"),
        (signed(b"\xff\xfe"), b"\xff\xfe"),
    ):
        with pytest.raises(EventRejected):
            event_provider().verify_webhook(headers, body)


@given(st.dictionaries(st.sampled_from(["svix-id", "svix-timestamp", "svix-signature"]), st.text()), st.binary())
def test_no_headers_or_body_raise_another_error_than_event_rejected(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(EventRejected):
        event_provider().verify_webhook(headers, body)


def event(kind: str, **data: Any) -> ParsedEvent:
    """The parsed event of this kind."""
    defaults = {"email_id": "e-1", "to": ["Ada <ada@example.org>"], "tags": {"delivery": "7", "env": "tests"}}
    body = {"type": kind, "created_at": "2026-11-20T07:00:01.5Z", "data": {**defaults, **data}}
    return event_provider().parse_webhook(orjson.dumps(body).decode())


def test_an_event_is_parsed() -> None:
    delivered = event("email.delivered")
    assert delivered.event_type is EventType.DELIVERED
    assert delivered.at.isoformat() == "2026-11-20T07:00:01.500000+00:00"
    assert delivered.tags == {"delivery": "7", "env": "tests"}


def test_tags_may_be_a_list() -> None:
    assert event("email.sent", tags=[{"name": "delivery", "value": "9"}]).tags == {"delivery": "9"}


@pytest.mark.parametrize("subtype", ["Suppressed", "OnAccountSuppressionList", "UnsubscribedRecipient"])
def test_a_bounce_from_the_suppression_list_is_no_bounce(subtype: str) -> None:
    parsed = event("email.bounced", bounce={"type": "Permanent", "subType": subtype, "message": "On the list."})
    assert (parsed.event_type, parsed.bounce, parsed.detail) == (EventType.SUPPRESSED, None, "On the list.")


@pytest.mark.parametrize("kind", ["email.teleported", "contact.created", "domain.updated"])
def test_an_unknown_kind_is_an_event_without_a_type(kind: str) -> None:
    assert event(kind).event_type is None


@pytest.mark.parametrize(
    ("bounce", "kind"),
    [
        ({"type": "Permanent", "subType": "General", "message": "550 5.1.1 no such user"}, BounceClass.NO_MAILBOX),
        ({"type": "Permanent", "subType": "NoEmail"}, BounceClass.NO_MAILBOX),
        ({"type": "Permanent", "subType": "MailboxFull"}, BounceClass.MAILBOX_FULL),
        ({"type": "Permanent", "subType": "MessageTooLarge"}, BounceClass.CONTENT),
        ({"type": "Transient", "subType": "General"}, BounceClass.TEMPORARY),
        ({"type": "Undetermined", "subType": "Undetermined"}, BounceClass.UNKNOWN),
        ({"type": "Temporary"}, BounceClass.TEMPORARY),
        ({"type": "Permanent", "message": "550 5.7.515 Access denied"}, BounceClass.POLICY),
        ({"type": "Permanent", "diagnosticCode": ["smtp; 550 5.7.1 blocked"]}, BounceClass.POLICY),
        ({"type": "Permanent", "diagnosticCode": ["smtp; 550 5.4.1 relay access denied"]}, BounceClass.RELAY_DENIED),
        ({"type": "Permanent", "subType": "ContentRejected"}, BounceClass.CONTENT),
        ({"type": "Permanent", "subType": "AttachmentRejected"}, BounceClass.CONTENT),
        ({"type": "Permanent", "message": "smtp; 550 5.1.1 unknown (from 10.4.7.23)"}, BounceClass.NO_MAILBOX),
        ({"type": "Permanent", "subType": ["NoEmail"]}, BounceClass.UNKNOWN),
        ("nonsense", BounceClass.UNKNOWN),
        (None, BounceClass.UNKNOWN),
    ],
    ids=str,
)
def test_a_bounce_has_the_class_that_its_words_or_else_its_type_tell(bounce: object, kind: BounceClass) -> None:
    assert event("email.bounced", bounce=bounce).bounce is kind


def test_the_detail_of_an_event_is_sanitized_and_shortened() -> None:
    detail = event("email.bounced", bounce={"type": "Permanent", "message": "a\x00b\n<img>" + "x" * 900}).detail
    assert detail.startswith("a b <img>")
    assert len(detail) <= 300


@given(
    st.text()
    | st.recursive(
        st.none() | st.integers(-9, 9) | st.text(), lambda j: st.lists(j) | st.dictionaries(st.text(), j)
    ).map(lambda j: orjson.dumps(j).decode())
)
def test_an_unreadable_body_raises_no_other_error_than_event_rejected(body: str) -> None:
    with pytest.raises(EventRejected):
        event_provider().parse_webhook(body)
