"""The suppression list, and mails that change it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from newsletter.sandbox import SandboxServer
from tests.sandbox.conftest import StartSandbox
from tests.sandbox.peers import ADA, BEN, Caller, Clock, mail

CallerOf = Callable[[SandboxServer], Caller]


def test_an_address_is_listed_found_and_removed(caller: Caller) -> None:
    added = caller.call("POST", "/suppressions", {"email": "Ada@Readers.test"})
    assert added.status == 201
    uid = added.json()["id"]
    assert added.json() == {"object": "suppression", "id": uid}
    found = caller.call("GET", f"/suppressions/{ADA.replace('@', '%40')}", b"{}").json()
    assert (found["id"], found["email"], found["origin"], found["source_id"]) == (uid, ADA, "manual", None)
    removed = caller.call("DELETE", f"/suppressions/{uid}", b"{}")
    assert removed.json() == {"object": "suppression", "id": uid, "deleted": True}
    assert caller.call("GET", f"/suppressions/{ADA}").status == 404
    assert caller.call("DELETE", f"/suppressions/{ADA}").status == 404


def test_adding_a_listed_address_returns_its_entry(caller: Caller) -> None:
    first = caller.call("POST", "/suppressions", {"email": ADA}).json()
    assert caller.call("POST", "/suppressions", {"email": ADA}).json() == first


def test_a_mail_to_a_listed_address_is_accepted_and_suppressed(caller: Caller) -> None:
    caller.call("POST", "/suppressions", {"email": ADA})
    answer = caller.send(mail(ADA), mail(BEN))
    assert answer.status == 200
    events = [caller.call("GET", f"/emails/{entry['id']}").json()["last_event"] for entry in answer.json()["data"]]
    assert events[0] == "suppressed"
    assert events[1] != "suppressed"


@pytest.mark.parametrize(("name", "origin"), [("bounced", "bounce"), ("complained", "complaint")])
def test_a_bounce_or_complaint_adds_the_address_at_its_time(
    start_sandbox: StartSandbox, caller_of: CallerOf, clock: Clock, name: str, origin: str
) -> None:
    caller = caller_of(start_sandbox(moving=True, webhook_time_scale=1.0))
    address = f"{name}+ada@resend.dev"
    uid = caller.send_one(mail(address)).json()["id"]
    assert caller.call("GET", f"/suppressions/{address}").status == 404
    clock.advance(3600)
    entry = caller.call("GET", f"/suppressions/{address}").json()
    assert (entry["origin"], entry["source_id"]) == (origin, uid)
    again = caller.send_one(mail(address)).json()["id"]
    assert caller.call("GET", f"/emails/{again}").json()["last_event"] == "suppressed"


def test_several_addresses_are_added_and_removed_in_one_call(caller: Caller) -> None:
    added = caller.call("POST", "/suppressions/batch/add", {"emails": [ADA, BEN]})
    assert (added.status, len(added.json()["data"])) == (201, 2)
    removed = caller.call("POST", "/suppressions/batch/remove", {"emails": [ADA, "nobody@readers.test"]})
    assert (removed.status, [entry["deleted"] for entry in removed.json()["data"]]) == (200, [True])
    ids = [added.json()["data"][1]["id"]]
    assert len(caller.call("POST", "/suppressions/batch/remove", {"ids": ids}).json()["data"]) == 1
    assert caller.call("GET", "/suppressions").json() == {"object": "list", "has_more": False, "data": []}


def test_the_list_has_pages_and_a_filter_by_origin(caller: Caller) -> None:
    for number in range(3):
        caller.call("POST", "/suppressions", {"email": f"reader{number}@readers.test"})
    page = caller.call("GET", "/suppressions?limit=2").json()
    assert [entry["email"] for entry in page["data"]] == ["reader2@readers.test", "reader1@readers.test"]
    assert page["has_more"]
    rest = caller.call("GET", f"/suppressions?after={page['data'][-1]['id']}").json()
    assert [entry["email"] for entry in rest["data"]] == ["reader0@readers.test"]
    assert caller.call("GET", "/suppressions?origin=bounce").json()["data"] == []
    assert caller.call("GET", "/suppressions?origin=unknown").status == 422


@pytest.mark.parametrize("body", [{}, {"email": 5}, {"email": "ada"}, [], b"{"])
def test_an_invalid_address_is_refused(caller: Caller, body: object) -> None:
    assert caller.call("POST", "/suppressions", body).status in (400, 422)


@pytest.mark.parametrize("body", [{}, {"emails": []}, {"emails": [ADA] * 101}, {"emails": ADA}])
def test_a_batch_has_1_to_100_addresses(caller: Caller, body: object) -> None:
    assert caller.call("POST", "/suppressions/batch/add", body).status == 422
