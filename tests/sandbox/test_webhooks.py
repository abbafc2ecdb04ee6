"""Webhooks: the content, time and order of events, and that none is lost."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from newsletter.sandbox import SandboxOptions, SandboxServer
from newsletter.sandbox.database import Database
from newsletter.sandbox.events import RETRY_SECONDS, Events
from newsletter.sandbox.options import _TYPES
from newsletter.sandbox.webhooks import Receiver as Posting
from tests.sandbox.conftest import StartSandbox
from tests.sandbox.peers import ADA, BEN, NEXT_SECRET, SECRET, Caller, Clock, Receiver, mail, verify, wait_until

CallerOf = Callable[[SandboxServer], Caller]
StartPosting = Callable[..., tuple[SandboxServer, Caller]]


@pytest.fixture
def start_posting(start_sandbox: StartSandbox, caller_of: CallerOf, receiver: Receiver) -> StartPosting:
    """A sandbox with one webhook worker, so that the order of posts is fixed, and a caller of it."""

    def start(**options: object) -> tuple[SandboxServer, Caller]:
        known = {"webhook_url": receiver.url, "webhook_secrets": (SECRET,), "webhook_workers": 1, **options}
        sandbox = start_sandbox(**known)
        return sandbox, caller_of(sandbox)

    return start


def test_events_are_signed_and_contain_the_envelope(
    posting_sandbox: SandboxServer, posting_caller: Caller, receiver: Receiver
) -> None:
    tags = [{"name": "delivery", "value": "17"}, {"name": "environment", "value": "tests"}]
    uid = posting_caller.send_one(mail(tags=tags, headers={"X-Issue": "5"})).json()["id"]
    posting_sandbox.wait_for_webhooks()
    assert sorted(receiver.types) == ["email.delivered", "email.sent"]
    for received in receiver.received:
        event = received.verified()
        assert list(event) == ["type", "created_at", "data"]
        assert event["data"]["email_id"] == uid
        assert event["data"]["from"] == "The Digest <digest@letters.test>"
        assert event["data"]["to"] == [ADA]
        assert event["data"]["subject"] == "Eleven stories"
        assert event["data"]["tags"] == {"delivery": "17", "environment": "tests"}
        assert event["data"]["headers"] == [{"name": "X-Issue", "value": "5"}]
        assert event["data"]["message_id"].startswith("<")
        assert event["data"]["created_at"].endswith("Z")
        assert received.id.startswith("msg_")
        assert received.headers["content-type"] == "application/json"
    assert len({received.id for received in receiver.received}) == 2


def test_a_changed_body_does_not_verify(
    posting_sandbox: SandboxServer, posting_caller: Caller, receiver: Receiver
) -> None:
    posting_caller.send_one(mail())
    posting_sandbox.wait_for_webhooks()
    received = receiver.received[0]
    with pytest.raises(ValueError, match="signature"):
        verify(received.body.replace(ADA.encode(), BEN.encode()), received.headers, SECRET)


def test_during_a_rotation_both_secrets_verify(start_posting: StartPosting, receiver: Receiver) -> None:
    sandbox, caller = start_posting(webhook_secrets=(NEXT_SECRET, SECRET))
    caller.send_one(mail())
    sandbox.wait_for_webhooks()
    received = receiver.received[0]
    assert received.headers["svix-signature"].count("v1,") == 2
    assert received.verified(SECRET) == received.verified(NEXT_SECRET)
    sandbox.configure(webhook_secrets=(NEXT_SECRET,))
    caller.send_one(mail())
    sandbox.wait_for_webhooks()
    with pytest.raises(ValueError, match="signature"):
        receiver.received[-1].verified(SECRET)


def test_events_have_the_same_details_as_those_of_resend(start_posting: StartPosting, receiver: Receiver) -> None:
    sandbox, caller = start_posting(click_share=1.0)
    addresses = [ADA, "bounced@resend.dev", "complained@resend.dev", "suppressed@resend.dev"]
    caller.send(*[mail(address) for address in addresses])
    sandbox.wait_for_webhooks()
    data = {received.event["type"]: received.event["data"] for received in receiver.received}
    bounce = data["email.bounced"]["bounce"]
    assert (bounce["type"], bounce["subType"]) == ("Permanent", "General")
    assert set(bounce) == {"type", "subType", "message", "diagnosticCode"}
    click = data["email.clicked"]["click"]
    assert set(click) == {"ipAddress", "link", "timestamp", "userAgent"}
    assert click["link"] == "https://stories.test/one?a=1&b=2"
    assert set(data["email.suppressed"]["suppressed"]) == {"type", "message", "reason", "diagnosticCode"}
    common = {"email_id", "message_id", "created_at", "from", "to", "subject"}
    assert set(data["email.opened"]) == set(data["email.complained"]) == set(data["email.delivered"]) == common


def test_events_of_a_mail_arrive_in_order(start_posting: StartPosting, receiver: Receiver) -> None:
    sandbox, caller = start_posting(click_share=1.0)
    caller.send_one(mail())
    sandbox.wait_for_webhooks()
    assert receiver.types == ["email.sent", "email.delivered", "email.opened", "email.clicked"]
    times = [received.event["created_at"] for received in receiver.received]
    assert times == sorted(set(times))


def test_events_may_arrive_in_reverse_order(start_posting: StartPosting, receiver: Receiver) -> None:
    sandbox, caller = start_posting(click_share=1.0, webhook_reversed=True)
    caller.send_one(mail())
    sandbox.wait_for_webhooks()
    assert receiver.types == ["email.clicked", "email.opened", "email.delivered", "email.sent"]
    times = [received.event["created_at"] for received in receiver.received]
    assert times == sorted(times, reverse=True)


def test_events_may_arrive_twice_with_one_id(start_posting: StartPosting, receiver: Receiver) -> None:
    sandbox, caller = start_posting(webhook_duplicates=1.0)
    caller.send_one(mail())
    sandbox.wait_for_webhooks()
    assert len(receiver.received) == 4
    assert len({(received.id, received.body) for received in receiver.received}) == 2


def test_events_of_an_unknown_type_may_arrive(start_posting: StartPosting, receiver: Receiver) -> None:
    sandbox, caller = start_posting(webhook_unknown_types=True)
    caller.send_one(mail())
    sandbox.wait_for_webhooks()
    assert "email.unknown" in receiver.types


def test_only_subscribed_events_are_posted(start_posting: StartPosting, receiver: Receiver) -> None:
    sandbox, caller = start_posting(webhook_events=frozenset({"email.delivered"}))
    caller.send_one(mail())
    sandbox.wait_for_webhooks()
    assert receiver.types == ["email.delivered"]
    assert sandbox.team.events.counts() == {"delivered": 1, "pending": 0, "failed": 0, "not_posted": 1}


@pytest.mark.parametrize("status", [500, 400, 301, 304, 404])
def test_an_event_that_was_not_accepted_is_posted_again_unchanged(
    start_posting: StartPosting, receiver: Receiver, status: int
) -> None:
    sandbox, caller = start_posting(webhook_events=frozenset({"email.delivered"}))
    receiver.answers.extend([status, status])
    caller.send_one(mail())
    sandbox.wait_for_webhooks()
    assert len(receiver.received) == 3
    assert len({(received.id, received.body) for received in receiver.received}) == 1
    assert all(received.verified() for received in receiver.received)
    summary = caller.call("GET", "/sandbox/webhooks").json()
    assert (summary["tries"], summary["tries_refused"], summary["delivered"]) == (3, 2, 1)


def test_retries_follow_resends_schedule(start_posting: StartPosting, receiver: Receiver, clock: Clock) -> None:
    events = frozenset({"email.sent"})
    sandbox, caller = start_posting(moving=True, webhook_time_scale=1.0, webhook_events=events)
    receiver.answers.extend([500] * 8)
    caller.send_one(mail())
    for tries, wait in enumerate(RETRY_SECONDS, start=1):
        clock.advance(wait)
        receiver.wait_for(tries)
        wait_until(sandbox, lambda tries=tries: sandbox.team.events.summary()["tries"] == tries)
        clock.advance(-0.01)
        assert sandbox.team.events.take(clock(), 10) == []
        clock.advance(0.01)
    assert sandbox.team.events.counts()["failed"] == 1
    assert sum(RETRY_SECONDS) == 99_305


def test_no_event_is_lost_while_the_receiver_is_down(start_posting: StartPosting, receiver: Receiver) -> None:
    sandbox, caller = start_posting(webhook_workers=4)
    sandbox.configure(webhook_url="http://127.0.0.1:9/")
    caller.send(*[mail(f"reader{number}@readers.test") for number in range(30)])
    wait_until(sandbox, lambda: sandbox.team.events.summary()["tries_refused"] > 3)
    sandbox.configure(webhook_url=receiver.url)
    sandbox.wait_for_webhooks()
    assert len({received.id for received in receiver.received}) == 60
    assert sandbox.team.events.counts()["failed"] == 0


def test_finished_events_can_be_replayed_with_the_same_id(
    posting_sandbox: SandboxServer, posting_caller: Caller, receiver: Receiver
) -> None:
    uid = posting_caller.send_one(mail()).json()["id"]
    posting_sandbox.wait_for_webhooks()
    first = receiver.received[0]
    assert posting_caller.call("POST", "/sandbox/webhooks/replay", {"svix_id": first.id}).json() == {"replayed": 1}
    posting_sandbox.wait_for_webhooks()
    assert (receiver.received[-1].id, receiver.received[-1].body) == (first.id, first.body)
    assert posting_caller.call("POST", "/sandbox/webhooks/replay", {"email_id": uid}).json() == {"replayed": 2}
    posting_sandbox.wait_for_webhooks()
    assert len(receiver.received) == 5
    assert posting_caller.call("POST", "/sandbox/webhooks/replay", {"state": "failed"}).json() == {"replayed": 0}
    assert posting_caller.call("POST", "/sandbox/webhooks/replay", {}).status == 422


def test_events_can_be_triggered(posting_sandbox: SandboxServer, posting_caller: Caller, receiver: Receiver) -> None:
    uid = posting_caller.send_one(mail()).json()["id"]
    bounce = {"type": "Transient", "subType": "MailboxFull", "message": "Full", "diagnosticCode": []}
    body = {"email_id": uid, "type": "email.bounced", "bounce": bounce}
    assert posting_caller.call("POST", "/sandbox/events", body).status == 201
    posting_sandbox.wait_for_webhooks()
    data = {received.event["type"]: received.event["data"] for received in receiver.received}
    assert data["email.bounced"]["bounce"] == bounce
    assert posting_caller.call("GET", f"/suppressions/{ADA}").status == 404


@pytest.mark.parametrize(
    "change",
    [{"type": "email.nonsense"}, {"email_id": "x"}, {"bounce": "x"}, {"email_id": 5}, {"whatever": {}}],
)
def test_an_invalid_event_is_refused(caller: Caller, change: dict[str, object]) -> None:
    uid = caller.send_one(mail()).json()["id"]
    assert caller.call("POST", "/sandbox/events", {"email_id": uid, "type": "email.opened", **change}).status in (
        404,
        422,
    )


def test_a_slow_receiver_counts_as_an_error(start_posting: StartPosting, receiver: Receiver) -> None:
    sandbox, caller = start_posting(webhook_timeout=0.05, webhook_events=frozenset({"email.sent"}))
    with receiver.arrived:
        caller.send_one(mail())
        wait_until(sandbox, lambda: sandbox.team.events.summary()["tries_refused"] == 1)
    sandbox.configure(webhook_timeout=10.0)
    sandbox.wait_for_webhooks()
    assert sandbox.team.events.counts()["delivered"] == 1


def test_pending_events_are_kept_across_restarts(
    start_posting: StartPosting, receiver: Receiver, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.sqlite3"
    down = {"webhook_url": "http://127.0.0.1:9/", "webhook_time_scale": 1.0, "ledger": ledger}
    first, caller = start_posting(**down)
    caller.send_one(mail())
    wait_until(first, lambda: first.team.events.summary()["tries_refused"] == 1)
    first.stop()
    second, _caller = start_posting(ledger=ledger)
    second.team.database.rows("UPDATE events SET next_try_at = 0")
    second.wait_for_webhooks()
    assert sorted(receiver.types) == ["email.delivered", "email.sent"]


def test_a_timeout_names_the_number_of_pending_events(start_posting: StartPosting) -> None:
    sandbox, caller = start_posting(webhook_time_scale=1.0)
    caller.send_one(mail(scheduled_at="in 1 hour"))
    with pytest.raises(TimeoutError, match=r"2 events|3 events"):
        sandbox.wait_for_webhooks(timeout=0.01)


def test_options_can_be_changed_while_running(caller: Caller, receiver: Receiver) -> None:
    changes = {"webhook_url": receiver.url, "webhook_secrets": [SECRET], "webhook_events": ["email.sent"]}
    assert caller.call("PATCH", "/sandbox/options", changes).status == 200
    caller.send_one(mail())
    assert receiver.wait_for(1)[0].verified()["type"] == "email.sent"
    for invalid in ({"port": 1}, {"whatever": 1}, {"click_share": 2}, {"webhook_secrets": ["x"]}):
        assert caller.call("PATCH", "/sandbox/options", invalid).status == 422


@pytest.mark.parametrize(
    "changes",
    [
        {"open_tracking_domains": "notes.test"},
        {"open_tracking_domains": None},
        {"verified_domains": [1]},
        {"verified_domains": [["notes.test"]]},
        {"webhook_events": {"email.sent": True}},
        {"webhook_secrets": [1]},
        {"webhook_url": 5},
        {"webhook_timeout": 1e300},
        {"webhook_reversed": "no"},
        {"daily_quota": "x"},
        {"monthly_quota": 1.5},
        {"rate_limit": True},
        {"max_body_bytes": None},
        {"open_share": "0.5"},
        {"api_key": 5},
    ],
)
def test_an_option_of_another_type_is_refused_and_changes_nothing(
    sandbox: SandboxServer, caller: Caller, changes: dict[str, object]
) -> None:
    before = sandbox.team.options
    answer = caller.call("PATCH", "/sandbox/options", changes)
    assert (answer.status, answer.json()["name"]) == (422, "validation_error")
    assert sandbox.team.options == before
    assert caller.send(mail()).status == 200


def test_every_option_is_checked_for_its_type() -> None:
    assert {field.name for field in dataclasses.fields(SandboxOptions)} - {"ledger"} == set(_TYPES)


def test_the_signature_covers_the_posted_body(
    posting_sandbox: SandboxServer, posting_caller: Caller, receiver: Receiver
) -> None:
    posting_caller.send_one(mail(subject="Grüße · “quoted” 📬"))
    posting_sandbox.wait_for_webhooks()
    assert orjson.loads(receiver.received[0].body) == receiver.received[0].verified()
    assert receiver.received[0].event["data"]["subject"] == "Grüße · “quoted” 📬"


@pytest.fixture
def database() -> Iterator[Database]:
    database = Database(None)
    yield database
    # Python 3.13 warns of connections that are left to the garbage collector.
    database.close()


def test_a_transaction_without_writes_wakes_no_thread(database: Database) -> None:
    woken = threading.Event()
    listening = threading.Event()

    def listen() -> None:
        with database.changed:
            listening.set()
            if database.changed.wait(timeout=5):
                woken.set()

    listener = threading.Thread(target=listen)
    listener.start()
    listening.wait(timeout=5)
    with database.transaction() as tx:
        tx.execute("UPDATE events SET state = 'posting' WHERE id = -1")
    assert not woken.wait(timeout=0.2)
    with database.transaction() as tx:
        tx.execute("INSERT INTO bodies (zstd) VALUES (x'00')")
    assert woken.wait(timeout=5)
    listener.join()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:notaport/", "http://[/", "http://receiver..test/", "http://127.0.0.1/é"]
)
def test_a_url_that_cannot_be_used_is_an_error_of_the_event_and_not_of_the_worker(url: str) -> None:
    assert Posting().post(url, b"{}", {}, timeout=1).endswith("Error")


def test_finding_the_next_events_reads_only_those_that_are_due() -> None:
    """Without a usable index each look reads all events of the ledger, and no webhook is posted meanwhile."""
    database = Database(None)
    statements: list[str] = []
    events = Events(database)
    with database.transaction() as connection:
        connection.set_trace_callback(statements.append)
    events.take(1.0, 16)
    events.next_try_at()
    events.waiting()
    with database.transaction() as connection:
        connection.set_trace_callback(None)
    queries = [statement for statement in statements if statement.startswith("SELECT")]
    assert len(queries) == 3
    steps = [row["detail"] for query in queries for row in database.rows(f"EXPLAIN QUERY PLAN {query}")]
    assert [step for step in steps if step.startswith("SCAN") or "TEMP B-TREE" in step] == []
    database.close()
