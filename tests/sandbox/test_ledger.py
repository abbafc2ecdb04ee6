"""The ledger: every accepted mail and every call, across restarts, in little memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from newsletter.sandbox import Fault, SandboxOptions, SandboxServer
from tests.sandbox.conftest import StartSandbox
from tests.sandbox.peers import ADA, BEN, CLEO, Caller, mail

CallerOf = Callable[[SandboxServer], Caller]


def delivery(number: int, to: str = ADA) -> dict[str, object]:
    return mail(to, tags=[{"name": "delivery", "value": str(number)}, {"name": "issue", "value": "5"}])


def test_the_ledger_counts_mails_recipients_and_calls(caller: Caller) -> None:
    caller.send(mail(ADA), mail([BEN, CLEO]), key="a")
    caller.send(mail(ADA, cc=BEN), key="b")
    caller.send(mail(BEN), key="b")
    summary = caller.ledger()
    assert (summary["messages"], summary["recipients"], summary["distinct_recipients"]) == (3, 5, 3)
    assert summary["repeated_recipients"] == {ADA: 2, BEN: 2}
    assert (summary["calls"], summary["calls_by_status"]) == (3, {"200": 2, "409": 1})
    assert summary["keys"]["b"]["attempts"] == 2
    assert summary["keys"]["b"]["statuses"] == [200, 409]
    assert len(summary["keys"]["b"]["body_sha256"]) == 2


def test_mails_are_counted_by_the_values_of_a_tag(caller: Caller) -> None:
    caller.send(delivery(1), delivery(2, BEN), mail(CLEO))
    assert caller.ledger("?tag=delivery") == {
        "tag": "delivery",
        "messages": 2,
        "messages_without": 1,
        "distinct_values": 2,
        "repeated_values": {},
    }
    caller.send(delivery(1))
    assert caller.ledger("?tag=delivery")["repeated_values"] == {"1": 2}
    assert caller.ledger("?tag=issue")["repeated_values"] == {"5": 3}
    assert caller.ledger("?tag=nothing")["messages"] == 0


def test_calls_are_listed_with_their_fault(sandbox: SandboxServer, caller: Caller) -> None:
    sandbox.plan(Fault("service_unavailable"))
    caller.send(mail(), key="a")
    caller.send_one(mail())
    calls = caller.call("GET", "/sandbox/ledger/calls").json()["calls"]
    assert [(call["path"], call["key"], call["status"], call["fault"]) for call in calls] == [
        ("/emails/batch", "a", 503, "service_unavailable"),
        ("/emails", None, 200, ""),
    ]


def test_mails_are_listed_by_address(caller: Caller) -> None:
    caller.send(delivery(1, ADA), delivery(2, BEN))
    listed = caller.call("GET", "/sandbox/ledger/mails?to=ADA@").json()
    assert [(entry["to"], entry["tags"]["delivery"]) for entry in listed["mails"]] == [([ADA], "1")]
    assert not listed["has_more"]
    assert caller.call("GET", "/sandbox/ledger/mails?to=%25").json()["mails"] == []


def test_the_ledger_is_available_in_the_process(sandbox: SandboxServer, caller: Caller) -> None:
    caller.send(delivery(1, ADA), delivery(2, BEN))
    now = sandbox.team.clock()
    (found,) = sandbox.ledger.mails_to("Ben <BEN@readers.test>", now)
    assert (found.address, found.tags["delivery"]) == (BEN, "2")
    assert sandbox.ledger.contents(found)["subject"] == "Eleven stories"
    assert sandbox.ledger.tag_values("delivery") == {"1": 1, "2": 1}


def test_a_ledger_file_is_kept_across_restarts(
    start_sandbox: StartSandbox, caller_of: CallerOf, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.sqlite3"
    first = start_sandbox(ledger=ledger)
    answer = caller_of(first).send(mail(ADA), key="issue-1").data
    caller_of(first).call("POST", "/suppressions", {"email": BEN})
    first.stop()
    caller = caller_of(start_sandbox(ledger=ledger))
    assert caller.send(mail(ADA), key="issue-1").data == answer
    assert (caller.ledger()["messages"], caller.ledger()["calls"]) == (1, 2)
    uid = orjson.loads(answer)["data"][0]["id"]
    assert caller.call("GET", f"/emails/{uid}").json()["to"] == [ADA]
    assert caller.call("GET", f"/suppressions/{BEN}").status == 200


def test_a_batch_of_large_mails_takes_little_space(sandbox: SandboxServer, caller: Caller) -> None:
    filler = "".join(f"<p>Paragraph {number} describes {number * 7919}.</p>" for number in range(1600))
    mails = [
        mail(f"reader{number}@readers.test", html=f"<a href='https://a.test/{number}'>{number}</a>{filler}")
        for number in range(100)
    ]
    assert len(orjson.dumps(mails)) > 6_000_000
    caller.send(*mails)
    stored = sandbox.team.database.number("SELECT sum(length(zstd)) FROM bodies")
    assert stored < 100_000
    (found,) = sandbox.ledger.mails_to("reader42@readers.test", sandbox.team.clock())
    assert sandbox.ledger.contents(found)["html"] == mails[42]["html"]


def test_a_ledger_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("These are notes and not a database. " * 50)
    for path in (tmp_path / "notes.txt", tmp_path, tmp_path / "notes.txt" / "ledger.sqlite3"):
        with pytest.raises(OSError, match=r"The ledger .* cannot be opened"):
            SandboxServer(SandboxOptions(port=0, ledger=path))


def test_the_folder_of_a_ledger_is_created(start_sandbox: StartSandbox, tmp_path: Path) -> None:
    start_sandbox(ledger=tmp_path / "var" / "demo" / "ledger.sqlite3")
    assert (tmp_path / "var" / "demo" / "ledger.sqlite3").exists()
