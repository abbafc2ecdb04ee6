"""POST /emails and POST /emails/batch, and reading the mails afterwards."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from newsletter.sandbox import SandboxServer
from tests.sandbox.conftest import StartSandbox
from tests.sandbox.peers import ADA, BEN, CLEO, Caller, Clock, mail

CallerOf = Callable[[SandboxServer], Caller]


def test_one_mail_is_accepted_with_an_id(caller: Caller) -> None:
    answer = caller.send_one(mail())
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert list(answer.json()) == ["id"]
    assert uuid.UUID(answer.json()["id"]).version == 4


def test_a_batch_returns_one_id_for_each_mail_in_order(caller: Caller) -> None:
    answer = caller.send(mail(ADA), mail(BEN), mail(CLEO)).json()
    assert list(answer) == ["data"]
    to = [caller.call("GET", f"/emails/{entry['id']}").json()["to"] for entry in answer["data"]]
    assert to == [[ADA], [BEN], [CLEO]]


def test_a_strict_batch_with_one_invalid_mail_sends_nothing_and_has_no_index(caller: Caller) -> None:
    answer = caller.send(mail(ADA), mail(BEN, subject=None), mail("nobody"))
    assert answer.status == 422
    assert answer.json() == {
        "statusCode": 422,
        "name": "missing_required_field",
        "message": "Missing `subject` field.",
    }
    assert caller.ledger()["messages"] == 0


def test_a_permissive_batch_sends_the_valid_mails_and_lists_the_invalid_ones(caller: Caller) -> None:
    answer = caller.send(mail("nobody"), mail(ADA), mail(BEN, subject=None), x_batch_validation="permissive")
    assert answer.status == 200
    assert len(answer.json()["data"]) == 1
    assert [error["index"] for error in answer.json()["errors"]] == [0, 2]
    assert answer.json()["errors"][1]["message"] == "Missing `subject` field."
    assert set(answer.json()["errors"][0]) == {"index", "message"}
    assert [sent["to"] for sent in caller.call("GET", "/emails").json()["data"]] == [[ADA]]


def test_a_valid_permissive_batch_has_empty_errors(caller: Caller) -> None:
    assert caller.send(mail(), x_batch_validation="permissive").json()["errors"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [([], 422), ([mail()] * 101, 422), ({"from": "x"}, 422), (b"[{", 400), (b"\xff", 400), ([mail(), 7], 422)],
    ids=["empty", "101 mails", "an object", "cut JSON", "no UTF-8", "a number among mails"],
)
def test_an_invalid_batch_is_refused(caller: Caller, body: object, status: int) -> None:
    answer = caller.call("POST", "/emails/batch", body)
    assert (answer.status, answer.json()["statusCode"]) == (status, status)
    assert answer.json()["name"] == "validation_error"
    assert caller.ledger()["messages"] == 0


def test_a_batch_may_have_a_hundred_mails(caller: Caller) -> None:
    assert len(caller.send(*[mail()] * 100).json()["data"]) == 100


def test_attachments_of_a_batch_are_dropped(caller: Caller) -> None:
    answer = caller.send(mail(attachments=[{"content": "aGk=", "filename": "hi.txt"}]))
    assert answer.status == 200


def test_a_mail_is_read_as_it_was_sent(caller: Caller) -> None:
    sent = mail(
        [ADA, "Ben <ben@readers.test>"],
        reply_to="letters@letters.test",
        headers={"List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
        tags=[{"name": "delivery", "value": "17"}],
    )
    uid = caller.send_one(sent).json()["id"]
    read = caller.call("GET", f"/emails/{uid}", b"{}").json()
    assert {name: read[name] for name in ("object", "id", "from", "to", "subject", "html", "text", "reply_to")} == {
        "object": "email",
        "id": uid,
        "from": sent["from"],
        "to": sent["to"],
        "subject": sent["subject"],
        "html": sent["html"],
        "text": sent["text"],
        "reply_to": ["letters@letters.test"],
    }
    assert read["tags"] == [{"name": "delivery", "value": "17"}]
    assert (read["cc"], read["bcc"]) == ([], [])
    assert read["message_id"].startswith("<")
    assert read["created_at"].endswith("Z")


def test_a_missing_text_is_generated_from_the_html_and_an_empty_one_is_kept(caller: Caller) -> None:
    html = "<head><title>x</title></head><h1>News &amp; more</h1><p>One<br>two</p>"
    made = caller.send_one(mail(html=html, text=None)).json()["id"]
    empty = caller.send_one(mail(html=html, text="")).json()["id"]
    assert caller.call("GET", f"/emails/{made}").json()["text"] == "News & more\n\nOne\ntwo"
    assert caller.call("GET", f"/emails/{empty}").json()["text"] == ""


def test_the_list_is_newest_first_and_has_pages_in_both_directions(caller: Caller) -> None:
    sent = caller.send(*[mail(f"reader{number}@readers.test") for number in range(5)]).json()["data"]
    newest_first = [entry["id"] for entry in sent][::-1]

    def page(query: str) -> tuple[list[str], bool]:
        answer = caller.call("GET", f"/emails?{query}").json()
        assert answer["object"] == "list"
        return [entry["id"] for entry in answer["data"]], answer["has_more"]

    assert page("limit=2") == (newest_first[:2], True)
    assert page(f"limit=2&after={newest_first[1]}") == (newest_first[2:4], True)
    assert page(f"limit=2&after={newest_first[3]}") == (newest_first[4:], False)
    assert page(f"limit=2&before={newest_first[4]}") == (newest_first[2:4], True)
    assert page(f"limit=100&before={newest_first[2]}") == (newest_first[:2], False)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "limit=", "limit=%C2%B2", "after=none", "after=a&before=b"]
)
def test_an_invalid_page_is_refused(caller: Caller, query: str) -> None:
    answer = caller.call("GET", f"/emails?{query}")
    assert (answer.status, answer.json()["name"]) == (422, "validation_error")


def test_a_scheduled_mail_is_sent_at_its_time(start_sandbox: StartSandbox, caller_of: CallerOf, clock: Clock) -> None:
    caller = caller_of(start_sandbox(moving=True))
    uid = caller.send_one(mail(scheduled_at="in 1 hour")).json()["id"]

    def last_event() -> str:
        return str(caller.call("GET", f"/emails/{uid}").json()["last_event"])

    assert last_event() == "scheduled"
    clock.advance(3600)
    assert last_event() == "sent"
    clock.advance(1)
    assert last_event() == "delivered"


def test_a_scheduled_mail_can_be_rescheduled_and_canceled(
    start_sandbox: StartSandbox, caller_of: CallerOf, clock: Clock
) -> None:
    caller = caller_of(start_sandbox(moving=True))
    moved = caller.send_one(mail(scheduled_at="in 1 hour")).json()["id"]
    canceled = caller.send_one(mail(scheduled_at="in 1 hour")).json()["id"]
    assert caller.call("PATCH", f"/emails/{moved}", {"scheduled_at": "in 2 hours"}).status == 200
    assert caller.call("POST", f"/emails/{canceled}/cancel").json() == {"object": "email", "id": canceled}
    clock.advance(5400)
    assert caller.call("GET", f"/emails/{moved}").json()["last_event"] == "scheduled"
    clock.advance(3600)
    assert caller.call("GET", f"/emails/{moved}").json()["last_event"] == "delivered"
    assert caller.call("GET", f"/emails/{canceled}").json()["last_event"] == "canceled"


def test_a_mail_that_was_sent_cannot_be_canceled(caller: Caller) -> None:
    uid = caller.send_one(mail()).json()["id"]
    assert caller.call("POST", f"/emails/{uid}/cancel").status == 422


def test_domains_and_usage_are_returned(start_sandbox: StartSandbox, caller_of: CallerOf) -> None:
    options = {"verified_domains": frozenset({"letters.test"}), "daily_quota": 100, "rate_limit": 50}
    caller = caller_of(start_sandbox(**options))
    caller.send(mail(), mail([ADA, BEN]))
    domains = caller.call("GET", "/domains", b"{}").json()
    assert [(domain["name"], domain["status"]) for domain in domains["data"]] == [("letters.test", "verified")]
    usage = caller.call("GET", "/usage", b"{}").json()
    assert (usage["emails"]["daily"]["used"], usage["emails"]["daily"]["limit"]) == (3, 100)
    assert usage["rate_limit"] == {"limit": 50, "duration": "1000ms"}
    assert usage["generated_at"]


def test_usage_is_shown_to_a_key_with_sending_access(caller: Caller) -> None:
    caller.key = "re_sandbox_sending"
    assert caller.call("GET", "/usage", b"{}").status == 200
    assert caller.call("GET", "/domains").status == 401


def test_a_domain_shows_its_tracking_in_the_list_and_by_its_id(
    start_sandbox: StartSandbox, caller_of: CallerOf
) -> None:
    names = frozenset({"letters.test", "notes.test"})
    caller = caller_of(start_sandbox(verified_domains=names))
    changed = caller.call("PATCH", "/sandbox/options", {"open_tracking_domains": ["notes.test"]})
    assert changed.status == 200
    listed = {domain["name"]: domain for domain in caller.call("GET", "/domains").json()["data"]}
    assert {name: domain["open_tracking"] for name, domain in listed.items()} == {
        "letters.test": False,
        "notes.test": True,
    }
    shown = caller.call("GET", f"/domains/{listed['notes.test']['id']}").json()
    assert (shown["object"], shown["open_tracking"], shown["click_tracking"]) == ("domain", True, False)
    assert {(record["record"], record["type"]) for record in shown["records"]} >= {("SPF", "MX"), ("DKIM", "TXT")}
    assert caller.call("GET", "/domains/unknown").status == 404


def test_the_list_of_domains_is_read_page_by_page(start_sandbox: StartSandbox, caller_of: CallerOf) -> None:
    caller = caller_of(start_sandbox(verified_domains=frozenset(f"d{number}.test" for number in range(5))))
    first = caller.call("GET", "/domains?limit=3").json()
    assert ([domain["name"] for domain in first["data"]], first["has_more"]) == (
        ["d0.test", "d1.test", "d2.test"],
        True,
    )
    last = first["data"][-1]["id"]
    rest = caller.call("GET", f"/domains?limit=3&after={last}").json()
    assert ([domain["name"] for domain in rest["data"]], rest["has_more"]) == (["d3.test", "d4.test"], False)


def test_a_mail_that_is_read_has_its_tags_as_an_array_and_a_listed_one_has_none(caller: Caller) -> None:
    tags = [{"name": "delivery", "value": "7"}]
    uid = caller.send_one(mail(tags=tags)).json()["id"]
    assert caller.call("GET", f"/emails/{uid}").json()["tags"] == tags
    [listed] = caller.call("GET", "/emails").json()["data"]
    assert "tags" not in listed
    assert listed["message_id"]
