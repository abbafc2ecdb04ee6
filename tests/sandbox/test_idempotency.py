"""Each idempotency key is accepted once, however often it is used."""

from __future__ import annotations

import threading
from collections.abc import Callable

import orjson
import pytest

from newsletter.sandbox import Fault, SandboxServer
from tests.sandbox.conftest import StartSandbox
from tests.sandbox.peers import ADA, BEN, Caller, Clock, mail

CallerOf = Callable[[SandboxServer], Caller]


def test_the_same_call_again_gets_the_same_answer_and_sends_nothing(caller: Caller) -> None:
    first = caller.send(mail(ADA), mail(BEN), key="issue-1")
    again = caller.send(mail(ADA), mail(BEN), key="issue-1")
    assert (again.status, again.data) == (200, first.data)
    ledger = caller.ledger()
    assert (ledger["messages"], ledger["calls"]) == (2, 2)
    assert ledger["keys"]["issue-1"]["attempts"] == 2
    assert len(ledger["keys"]["issue-1"]["body_sha256"]) == 1


def test_without_a_key_each_call_sends(caller: Caller) -> None:
    caller.send(mail())
    caller.send(mail())
    ledger = caller.ledger()
    assert (ledger["messages"], ledger["calls_without_key"]) == (2, 2)
    assert ledger["repeated_recipients"] == {ADA: 2}


def test_another_payload_under_the_key_is_refused(caller: Caller) -> None:
    caller.send(mail(ADA), key="issue-1")
    answer = caller.send(mail(BEN), key="issue-1")
    assert answer.status == 409
    assert answer.json() == {
        "statusCode": 409,
        "name": "invalid_idempotent_request",
        "message": "Same idempotency key used with a different request payload.",
    }
    ledger = caller.ledger()
    assert ledger["messages"] == 1
    assert len(ledger["keys"]["issue-1"]["body_sha256"]) == 2


def test_white_space_and_the_order_of_names_do_not_change_the_payload(caller: Caller) -> None:
    first = caller.send(mail(), key="issue-1")
    reordered = orjson.dumps([dict(reversed(mail().items()))], option=orjson.OPT_INDENT_2)
    again = caller.call("POST", "/emails/batch", reordered, {"idempotency-key": "issue-1"})
    assert (again.status, again.data) == (200, first.data)


def test_another_path_is_another_payload(caller: Caller) -> None:
    caller.send(mail(), key="issue-1")
    assert caller.send_one(mail(), key="issue-1").status == 409


def test_a_second_call_is_refused_while_the_first_is_running(
    sandbox: SandboxServer, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, finish = threading.Event(), threading.Event()

    def pause(seconds: float) -> None:
        if seconds:
            running.set()
            finish.wait(seconds)

    monkeypatch.setattr(sandbox.team, "pause", pause)
    sandbox.plan(Fault("latency", seconds=20))
    answers: list[bytes] = []
    first = threading.Thread(target=lambda: answers.append(caller.send(mail(), key="issue-1").data))
    first.start()
    assert running.wait(10)
    second = caller.send(mail(), key="issue-1")
    other = caller.send(mail(BEN), key="issue-2")
    finish.set()
    first.join(10)
    assert (second.status, second.json()["name"]) == (409, "concurrent_idempotent_requests")
    assert other.status == 200
    assert caller.send(mail(), key="issue-1").data == answers[0]
    assert caller.ledger()["repeated_recipients"] == {}


def test_keys_are_kept_for_a_day(start_sandbox: StartSandbox, caller_of: CallerOf, clock: Clock) -> None:
    caller = caller_of(start_sandbox(moving=True))
    first = caller.send(mail(), key="issue-1")
    clock.advance(24 * 3600 - 1)
    assert caller.send(mail(), key="issue-1").data == first.data
    clock.advance(2)
    assert caller.send(mail(), key="issue-1").data != first.data
    assert caller.ledger()["repeated_recipients"] == {ADA: 2}


@pytest.mark.parametrize(("length", "status"), [(0, 400), (1, 200), (256, 200), (257, 400)])
def test_keys_have_1_to_256_characters(caller: Caller, length: int, status: int) -> None:
    answer = caller.call("POST", "/emails/batch", [mail()], {"idempotency-key": "k" * length})
    assert answer.status == status
    if status == 400:
        assert answer.json()["name"] == "invalid_idempotency_key"


def test_a_refused_call_does_not_use_its_key(caller: Caller) -> None:
    assert caller.send(mail(subject=None), key="issue-1").status == 422
    assert caller.send(mail(), key="issue-1").status == 200


def test_a_permissive_answer_is_replayed_with_its_errors(caller: Caller) -> None:
    def send() -> bytes:
        return caller.send(mail(), mail("nobody"), key="issue-1", x_batch_validation="permissive").data

    first = send()
    assert send() == first
    assert len(orjson.loads(first)["errors"]) == 1
    assert caller.ledger()["messages"] == 1


def test_concurrent_callers_with_one_key_send_once(sandbox: SandboxServer, caller: Caller) -> None:
    statuses: list[int] = []
    start = threading.Barrier(8)

    def send() -> None:
        start.wait(10)
        statuses.append(caller.send(mail(ADA), mail(BEN), key="issue-1").status)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert set(statuses) <= {200, 409}
    assert 200 in statuses
    assert sandbox.ledger.summary()["messages"] == 2
