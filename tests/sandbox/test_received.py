"""Received mails: the event without contents, the calls that list and read them, and the signed addresses of files."""

from __future__ import annotations

import base64
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from newsletter.sandbox import ReceivedFile, SandboxServer
from newsletter.sandbox.received import DOWNLOAD_SECONDS
from tests.sandbox.conftest import StartSandbox
from tests.sandbox.peers import Caller, Clock, Json, Receiver, wait_until
from tests.sandbox.test_webhook_log import answer, endpoint_of

CallerOf = Callable[[SandboxServer], Caller]
FILE = ReceivedFile(filename="report.xml.gz", content_type="application/gzip", content=b"packed")
TO = ["dmarc@reports.example.org"]


def path_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def test_the_event_names_the_attachments_without_their_contents(
    posting_sandbox: SandboxServer, posting_caller: Caller, receiver: Receiver
) -> None:
    uid = posting_sandbox.receive("Harbour <dmarc@harbour.example>", TO, FILE, subject="Report")
    wait_until(posting_sandbox, lambda: len(receiver.received) == 1)
    event = receiver.received[0].verified()
    assert event["type"] == "email.received"
    assert (event["data"]["email_id"], event["data"]["to"]) == (uid, TO)
    (attachment,) = event["data"]["attachments"]
    assert set(attachment) == {"id", "filename", "content_type", "content_disposition", "content_id"}
    (logged,) = answer(posting_caller, f"{endpoint_of(posting_caller)}/events")["data"]
    read = answer(posting_caller, f"{endpoint_of(posting_caller)}/events/{logged['id']}")
    assert read["payload"] == event


def test_attachments_are_listed_and_loaded_from_a_signed_address_without_a_key(
    sandbox: SandboxServer, caller: Caller
) -> None:
    uid = sandbox.receive("dmarc@harbour.example", TO, FILE)
    assert [mail["id"] for mail in answer(caller, "/emails/receiving")["data"]] == [uid]
    assert answer(caller, f"/emails/receiving/{uid}")["attachments"][0]["size"] == len(FILE.content)
    (listed,) = answer(caller, f"/emails/receiving/{uid}/attachments")["data"]
    read = answer(caller, f"/emails/receiving/{uid}/attachments/{listed['id']}")
    assert read["object"] == "attachment"
    response = caller.call("GET", path_of(read["download_url"]))
    assert (response.status, response.data, response.headers["content-type"]) == (200, b"packed", "application/gzip")


def test_an_address_is_refused_once_it_is_old_or_was_changed(
    start_sandbox: StartSandbox, caller_of: CallerOf, clock: Clock
) -> None:
    server = start_sandbox(moving=True)
    caller = caller_of(server)
    uid = server.receive("dmarc@harbour.example", TO, FILE)
    path = path_of(answer(caller, f"/emails/receiving/{uid}/attachments")["data"][0]["download_url"])
    changed = path.replace("expires=", "expires=9")
    assert caller.call("GET", changed).status == 403
    assert caller.call("GET", path.partition("?")[0]).status == 403
    clock.advance(DOWNLOAD_SECONDS - 10)
    assert caller.call("GET", path).status == 200
    clock.advance(20)
    assert caller.call("GET", path).status == 403


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/emails/receiving/none", 422),
        ("/emails/receiving/00000000-0000-4000-8000-000000000000", 404),
        ("/emails/receiving/00000000-0000-4000-8000-000000000000/attachments", 404),
    ],
)
def test_an_unknown_mail_is_refused_as_by_resend(caller: Caller, path: str, status: int) -> None:
    answer(caller, path, status=status)


def test_a_sending_key_may_not_read_received_mails(start_sandbox: StartSandbox, caller_of: CallerOf) -> None:
    server = start_sandbox()
    uid = server.receive("dmarc@harbour.example", TO, FILE)
    response = caller_of(server).call(
        "GET", f"/emails/receiving/{uid}", headers={"Authorization": f"Bearer {server.team.options.sending_key}"}
    )
    assert (response.status, response.json()["name"]) == (401, "restricted_api_key")


def test_a_mail_is_received_over_http_and_a_wrong_one_is_refused(caller: Caller) -> None:
    files = [{"filename": "a.xml", "content_type": "text/xml", "content": base64.b64encode(b"<a/>").decode()}]
    body = {"from": "a@harbour.example", "to": TO, "subject": "Report", "attachments": files}
    uid = answer(caller, "/sandbox/received", "POST", body, status=201)["id"]
    assert answer(caller, f"/emails/receiving/{uid}")["subject"] == "Report"
    all_wrong: list[Json] = [{"from": ""}, {"to": []}, {"to": [1]}, {"attachments": {}}]
    for wrong in [*all_wrong, {"attachments": [{"content": "…"}]}]:
        answer(caller, "/sandbox/received", "POST", {**body, **wrong}, status=422)
