"""The webhook endpoint and its log of events: paging, payloads, attempts, replays, and an endpoint that is disabled."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest

from newsletter.sandbox import SandboxServer
from newsletter.sandbox.endpoint import DISABLED_AFTER
from tests.sandbox.conftest import StartSandbox
from tests.sandbox.peers import SECRET, Caller, Clock, Json, Receiver, mail, wait_until

CallerOf = Callable[[SandboxServer], Caller]

DOWN = "http://127.0.0.1:9/"


@pytest.fixture
def endpoint(posting_caller: Caller) -> str:
    """The path of the endpoint."""
    return endpoint_of(posting_caller)


def endpoint_of(caller: Caller) -> str:
    return f"/webhooks/{caller.call('GET', '/webhooks').json()['data'][0]['id']}"


def answer(caller: Caller, path: str, method: str = "GET", body: object = None, status: int = 200) -> Json:
    response = caller.call(method, path, body)
    assert response.status == status, response.data
    found: Json = response.json()
    return found


def test_the_endpoint_is_listed_and_read_with_its_secret(
    posting_caller: Caller, posting_sandbox: SandboxServer, endpoint: str
) -> None:
    listed = answer(posting_caller, "/webhooks")
    assert (listed["object"], listed["has_more"]) == ("list", False)
    (row,) = listed["data"]
    assert set(row) == {"id", "endpoint", "events", "status", "created_at"}
    assert (row["endpoint"], row["status"]) == (posting_sandbox.team.options.webhook_url, "enabled")
    read = answer(posting_caller, endpoint)
    assert read == {"object": "webhook", **row, "signing_secret": SECRET}


def test_without_a_url_there_is_no_endpoint(caller: Caller, posting_caller: Caller, endpoint: str) -> None:
    assert answer(caller, "/webhooks")["data"] == []
    answer(caller, endpoint, status=404)
    answer(caller, "/webhooks/x", status=422)
    answer(posting_caller, f"{endpoint}/events/msg_none", status=404)


def test_the_log_has_each_event_newest_first_with_its_payload_and_its_id(
    posting_sandbox: SandboxServer, posting_caller: Caller, receiver: Receiver, endpoint: str
) -> None:
    posting_caller.send(*[mail(f"reader{number}@readers.test") for number in range(13)])
    posting_sandbox.wait_for_webhooks()
    entries, after = list[Json](), ""
    while True:
        page = answer(posting_caller, f"{endpoint}/events?limit=10{after}")
        entries += page["data"]
        if not page["has_more"]:
            break
        assert len(page["data"]) == 10
        after = f"&after={entries[-1]['id']}"
    assert len(entries) == 26
    times = [entry["created_at"] for entry in entries]
    assert times == sorted(times, reverse=True)
    posted = {received.id: received.body for received in receiver.received}
    assert {entry["id"] for entry in entries} == set(posted)
    for entry in entries[:3]:
        assert set(entry) == {"id", "type", "created_at", "status"}
        assert entry["status"] == "success"
        read = answer(posting_caller, f"{endpoint}/events/{entry['id']}")
        assert (read["object"], read["next_attempt_at"]) == ("webhook_event", None)
        assert {name: read[name] for name in entry} == entry
        assert orjson.dumps(read["payload"]) == posted[entry["id"]]


def test_a_new_event_does_not_shift_the_next_page(
    posting_sandbox: SandboxServer, posting_caller: Caller, endpoint: str
) -> None:
    posting_caller.send(*[mail(f"reader{number}@readers.test") for number in range(3)])
    posting_sandbox.wait_for_webhooks()
    first = answer(posting_caller, f"{endpoint}/events?limit=4")["data"]
    posting_caller.send_one(mail())
    posting_sandbox.wait_for_webhooks()
    second = answer(posting_caller, f"{endpoint}/events?limit=4&after={first[-1]['id']}")["data"]
    assert len({entry["id"] for entry in first + second}) == 6


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "after=msg_unknown", "before=msg_1"])
def test_an_invalid_page_is_refused(posting_caller: Caller, endpoint: str, query: str) -> None:
    answer(posting_caller, f"{endpoint}/events?{query}", status=422)


def test_future_events_and_those_without_a_subscription_are_not_in_the_log(
    posting_sandbox: SandboxServer, posting_caller: Caller, endpoint: str
) -> None:
    posting_sandbox.configure(webhook_events=frozenset({"email.delivered"}))
    posting_caller.send_one(mail())
    posting_caller.send_one(mail(scheduled_at="in 1 hour"))
    wait_until(posting_sandbox, lambda: posting_sandbox.team.events.counts()["delivered"] == 1)
    assert [entry["type"] for entry in answer(posting_caller, f"{endpoint}/events")["data"]] == ["email.delivered"]


def test_attempts_have_the_status_and_the_answer_of_the_endpoint(
    posting_sandbox: SandboxServer, posting_caller: Caller, receiver: Receiver, endpoint: str
) -> None:
    posting_sandbox.configure(webhook_events=frozenset({"email.sent"}))
    receiver.answers.append(500)
    posting_caller.send_one(mail())
    posting_sandbox.wait_for_webhooks()
    (entry,) = answer(posting_caller, f"{endpoint}/events")["data"]
    path = f"{endpoint}/events/{entry['id']}/attempts"
    attempts = answer(posting_caller, path)["data"]
    assert [attempt["http_status_code"] for attempt in attempts] == [200, 500]
    assert all(set(attempt) == {"id", "http_status_code", "response", "sent_at"} for attempt in attempts)
    older = answer(posting_caller, f"{path}?limit=1&after={attempts[0]['id']}")
    assert (older["data"], older["has_more"]) == (attempts[1:], False)


def test_a_replay_posts_the_event_again_and_needs_an_enabled_endpoint(
    posting_sandbox: SandboxServer, posting_caller: Caller, receiver: Receiver, endpoint: str
) -> None:
    posting_sandbox.configure(webhook_events=frozenset({"email.sent"}))
    posting_caller.send_one(mail())
    posting_sandbox.wait_for_webhooks()
    path = f"{endpoint}/events/{receiver.received[0].id}/replay"
    assert answer(posting_caller, path, "POST") == {"object": "webhook_event", "id": receiver.received[0].id}
    posting_sandbox.wait_for_webhooks()
    assert len({(received.id, received.body) for received in receiver.received}) == 1
    assert len(receiver.received) == 2
    answer(posting_caller, endpoint, "PATCH", {"status": "disabled"})
    refused = answer(posting_caller, path, "POST", status=422)
    assert refused["name"] == "validation_error"
    assert "disabled" in refused["message"]


def test_an_endpoint_that_fails_for_five_days_is_disabled_and_gets_nothing_until_it_is_enabled(
    start_sandbox: StartSandbox, caller_of: CallerOf, receiver: Receiver, clock: Clock
) -> None:
    events = frozenset({"email.sent"})
    sandbox = start_sandbox(
        moving=True,
        webhook_url=DOWN,
        webhook_secrets=(SECRET,),
        webhook_events=events,
        webhook_time_scale=1.0,
        webhook_workers=1,
    )
    caller = caller_of(sandbox)
    path = endpoint_of(caller)

    def send_and_fail() -> None:
        before = sandbox.team.events.summary()["tries_refused"]
        caller.send_one(mail())
        wait_until(sandbox, lambda: sandbox.team.events.summary()["tries_refused"] > before)

    send_and_fail()
    # All of its tries are over by then.
    for _ in range(8):
        before = sandbox.team.events.summary()["tries_refused"]
        clock.advance(36_001)
        wait_until(
            sandbox,
            lambda before=before: (
                sandbox.team.events.summary()["tries_refused"] > before or not sandbox.team.events.waiting()
            ),
        )
    clock.advance(DISABLED_AFTER - 8 * 36_001 - 10)
    send_and_fail()
    assert answer(caller, path)["status"] == "enabled"
    clock.advance(10)
    # The second try of that event.
    wait_until(sandbox, lambda: not sandbox.team.endpoint.is_enabled)
    assert answer(caller, path)["status"] == "disabled"

    sandbox.configure(webhook_url=receiver.url)
    caller.send_one(mail())
    clock.advance(301)
    sandbox.wait_for_webhooks()
    newest, *older = answer(caller, f"{path}/events")["data"]
    assert (newest["status"], {entry["status"] for entry in older}) == ("pending", {"failed"})
    assert receiver.received == []

    answer(caller, path, "PATCH", {"status": "enabled"})
    caller.send_one(mail())
    sandbox.wait_for_webhooks()
    assert len(receiver.received) == 1
    answer(caller, f"{path}/events/{newest['id']}/replay", "POST")
    sandbox.wait_for_webhooks()
    assert receiver.received[-1].id == newest["id"]


def test_one_success_begins_the_five_days_anew(
    start_sandbox: StartSandbox, caller_of: CallerOf, receiver: Receiver, clock: Clock
) -> None:
    sandbox = start_sandbox(
        moving=True, webhook_url=receiver.url, webhook_secrets=(SECRET,), webhook_events=frozenset({"email.sent"})
    )
    caller = caller_of(sandbox)
    for status in (500, 200, 500):
        receiver.answers.append(status)
        before = sandbox.team.events.summary()["tries"]
        caller.send_one(mail())
        wait_until(sandbox, lambda before=before: sandbox.team.events.summary()["tries"] > before)
        clock.advance(DISABLED_AFTER * 0.001 + 1)
        sandbox.wait_for_webhooks()
    assert answer(caller, endpoint_of(caller))["status"] == "enabled"


def test_the_endpoint_keeps_its_id_and_its_state_across_restarts(
    start_sandbox: StartSandbox, caller_of: CallerOf, tmp_path: object
) -> None:
    options = {"webhook_url": DOWN, "webhook_secrets": (SECRET,), "ledger": tmp_path / "ledger.sqlite3"}  # type: ignore[operator]
    first = start_sandbox(**options)
    path = endpoint_of(caller_of(first))
    answer(caller_of(first), path, "PATCH", {"status": "disabled", "events": ["email.bounced"]})
    first.stop()
    read = answer(caller_of(start_sandbox(**options)), path)
    assert read["status"] == "disabled"


@pytest.mark.parametrize(
    "change",
    [{"status": "off"}, {"events": []}, {"events": "email.sent"}, {"endpoint": "ftp://example.org"}, {"endpoint": 5}],
)
def test_an_invalid_change_of_the_endpoint_is_refused(posting_caller: Caller, endpoint: str, change: Json) -> None:
    before = answer(posting_caller, endpoint)
    answer(posting_caller, endpoint, "PATCH", change, status=422)
    assert answer(posting_caller, endpoint) == before


def test_a_key_with_sending_access_reads_neither_endpoints_nor_counts(posting_caller: Caller, endpoint: str) -> None:
    sending = Caller(posting_caller.url, key="re_sandbox_sending")
    for path in ("/webhooks", endpoint, f"{endpoint}/events", f"{endpoint}/events/msg_1", "/emails/metrics"):
        assert answer(sending, path, status=401)["name"] == "restricted_api_key"
    sending.close()
