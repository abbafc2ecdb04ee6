"""Planned faults; the ledger still records what was accepted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.sandbox import Fault, SandboxOptions, SandboxServer
from newsletter.sandbox.faults import KINDS
from tests.sandbox.conftest import StartSandbox
from tests.sandbox.peers import ADA, BEN, CLEO, Caller, Receiver, mail

CallerOf = Callable[[SandboxServer], Caller]


def send_and_fail(caller: Caller, key: str = "issue-1") -> None:
    with pytest.raises(urllib3.exceptions.HTTPError):
        caller.send(mail(ADA), mail(BEN), key=key)


@pytest.mark.parametrize("kind", ["reset", "silence"])
def test_a_fault_before_the_commit_accepts_nothing_and_leaves_the_key_unused(
    sandbox: SandboxServer, caller: Caller, kind: str
) -> None:
    sandbox.plan(Fault(kind, seconds=0.01))
    send_and_fail(caller)
    assert sandbox.ledger.summary()["messages"] == 0
    assert caller.send(mail(CLEO), key="issue-1").status == 200
    assert [call["status"] for call in sandbox.ledger.calls()] == [0, 200]


@pytest.mark.parametrize("kind", ["reset", "silence"])
def test_a_fault_after_the_commit_accepts_all_and_a_repeat_gets_the_answer(
    sandbox: SandboxServer, caller: Caller, kind: str
) -> None:
    sandbox.plan(Fault(kind, after_commit=True, seconds=0.01))
    send_and_fail(caller)
    assert sandbox.ledger.summary()["messages"] == 2
    again = caller.send(mail(ADA), mail(BEN), key="issue-1")
    assert len(again.json()["data"]) == 2
    summary = sandbox.ledger.summary()
    assert (summary["messages"], summary["repeated_recipients"]) == (2, {})
    assert summary["keys"]["issue-1"]["statuses"] == [0, 200]


@pytest.mark.parametrize(("after_commit", "messages"), [(False, 0), (True, 2)])
def test_an_html_502_may_come_before_or_after_the_commit(
    sandbox: SandboxServer, caller: Caller, after_commit: bool, messages: int
) -> None:
    sandbox.plan(Fault("html_502", after_commit=after_commit))
    answer = caller.send(mail(ADA), mail(BEN), key="issue-1")
    assert (answer.status, answer.headers["content-type"]) == (502, "text/html; charset=utf-8")
    assert sandbox.ledger.summary()["messages"] == messages
    caller.send(mail(ADA), mail(BEN), key="issue-1")
    assert sandbox.ledger.summary()["messages"] == 2


def test_a_refusal_may_come_after_the_commit(sandbox: SandboxServer, caller: Caller) -> None:
    sandbox.plan(Fault("application_error", after_commit=True))
    assert caller.send(mail(), key="issue-1").status == 500
    assert sandbox.ledger.summary()["messages"] == 1
    assert caller.send(mail(), key="issue-1").status == 200
    assert sandbox.ledger.summary()["messages"] == 1


def test_a_truncated_answer_is_incomplete(sandbox: SandboxServer, caller: Caller) -> None:
    sandbox.plan("truncated")
    with pytest.raises(urllib3.exceptions.ProtocolError, match="IncompleteRead"):
        caller.send(mail(), key="issue-1")
    assert sandbox.ledger.summary()["messages"] == 1


@pytest.mark.parametrize(
    ("kind", "count", "different"),
    [("missing_id", 1, 1), ("extra_id", 3, 3), ("duplicate_id", 2, 1), ("null_id", 3, 3)],
)
def test_wrong_ids_are_correct_in_a_repeated_call(
    sandbox: SandboxServer, caller: Caller, kind: str, count: int, different: int
) -> None:
    sandbox.plan(kind)
    ids = [entry["id"] for entry in caller.send(mail(ADA), mail(BEN), key="issue-1").json()["data"]]
    assert (len(ids), len(set(ids))) == (count, different)
    assert (None in ids) == (kind == "null_id")
    repeated = caller.send(mail(ADA), mail(BEN), key="issue-1").json()["data"]
    assert len({entry["id"] for entry in repeated}) == 2
    assert sandbox.ledger.summary()["messages"] == 2


def test_a_refusal_may_have_another_message(sandbox: SandboxServer, caller: Caller) -> None:
    sandbox.plan(Fault("validation_error", status=403, message="API key is not active"))
    refused = caller.send(mail())
    assert refused.json() == {"statusCode": 403, "name": "validation_error", "message": "API key is not active"}
    with pytest.raises(ValueError, match="only refusals have one"):
        Fault("reset", message="API key is not active")


def test_faults_are_used_in_order_by_one_call_each(sandbox: SandboxServer, caller: Caller) -> None:
    sandbox.plan("none", Fault("service_unavailable", times=2), Fault("rate_limit_exceeded"))
    assert [caller.send(mail()).status for _ in range(5)] == [200, 503, 503, 429, 200]


def test_a_fault_affects_only_calls_with_its_path(sandbox: SandboxServer, caller: Caller) -> None:
    sandbox.plan(Fault("service_unavailable", on="GET /emails"))
    assert caller.send(mail()).status == 200
    assert caller.call("GET", "/usage").status == 200
    assert caller.call("GET", "/emails").status == 503
    assert caller.call("GET", "/emails").status == 200


def test_faults_are_planned_listed_and_cleared_over_http(caller: Caller) -> None:
    planned = caller.call("POST", "/sandbox/faults", [{"kind": "reset"}, {"kind": "latency", "seconds": 2}])
    assert (planned.status, planned.json()) == (201, {"planned": 2})
    waiting = caller.call("GET", "/sandbox/faults").json()["faults"]
    assert [fault["kind"] for fault in waiting] == ["reset", "latency"]
    caller.call("POST", "/sandbox/faults", {"kind": "daily_quota_exceeded"})
    assert len(caller.call("GET", "/sandbox/faults").json()["faults"]) == 3
    assert caller.call("DELETE", "/sandbox/faults").json() == {"faults": []}
    assert caller.send(mail()).status == 200


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "earthquake"},
        {"kind": "reset", "times": 0},
        {"kind": "reset", "often": 1},
        {"kind": "reset", "seconds": "x"},
        {"kind": "reset", "seconds": True},
        {"kind": "silence", "seconds": 1e300},
        {"kind": "none", "times": 1.5},
        {"kind": "none", "times": True},
        {"kind": "none", "status": "x"},
        {"kind": "not_found", "status": 404.0},
        {"kind": "reset", "after_commit": "no"},
        {"kind": ["reset"]},
        {"kind": "reset", "on": 5},
        {"kind": "not_found", "status": 500},
        {},
        "reset",
        7,
    ],
)
def test_an_invalid_fault_is_refused(caller: Caller, fault: object) -> None:
    answer = caller.call("POST", "/sandbox/faults", fault)
    assert (answer.status, answer.json()["name"]) == (422, "validation_error")
    assert caller.send(mail()).status == 200


def test_every_kind_of_fault_can_be_planned() -> None:
    assert {Fault(kind).kind for kind in KINDS} == KINDS


def test_a_webhook_may_arrive_before_the_answer(
    posting_sandbox: SandboxServer, posting_caller: Caller, receiver: Receiver
) -> None:
    posting_sandbox.plan("webhook_first")
    uid = posting_caller.send(mail()).json()["data"][0]["id"]
    events = [received.event for received in receiver.received]
    assert "email.sent" in [event["type"] for event in events]
    assert {event["data"]["email_id"] for event in events} == {uid}


def test_stopping_does_not_wait_for_faults(start_sandbox: StartSandbox, caller_of: CallerOf) -> None:
    sandbox = start_sandbox()
    caller = caller_of(sandbox)
    sandbox.plan(Fault("silence", seconds=600))
    sandbox.team.stopping.set()
    send_and_fail(caller)


FAULTS = st.builds(
    Fault,
    kind=st.sampled_from(["reset", "html_502", "truncated", "application_error", "service_unavailable", "none"]),
    after_commit=st.booleans(),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(FAULTS, max_size=12))
def test_a_client_that_repeats_the_same_bytes_under_the_same_key_sends_each_mail_once(faults: list[Fault]) -> None:
    with SandboxServer(SandboxOptions(port=0, rate_limit=10_000)) as sandbox, closing(Caller(sandbox.url)) as caller:
        sandbox.plan(*faults)
        for number in range(3):
            tags = [{"name": "delivery", "value": str(number)}]
            while not was_answered(caller, mail(tags=tags), key=f"batch-{number}"):
                pass
        summary = sandbox.ledger.by_tag("delivery")
        assert (summary["messages"], summary["repeated_values"]) == (3, {})
        assert all(len(key["body_sha256"]) == 1 for key in sandbox.ledger.summary()["keys"].values())


def was_answered(caller: Caller, one: dict[str, Any], key: str) -> bool:
    try:
        return caller.send(one, key=key).status == 200
    except urllib3.exceptions.HTTPError:
        return False
