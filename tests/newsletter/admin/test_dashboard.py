"""The first page of the admin: what needs attention, for those who may see it."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.models import Batch, BatchState, Issue, WorkerHeartbeat
from newsletter.sending.control import pause_issue
from newsletter.sending.schedule import schedule_issue
from tests.newsletter.admin.pages import page_of, words_on
from tests.people import ben, many_readers
from tests.publications import address_everybody, make_issue, make_newsletter, start_sending

pytestmark = pytest.mark.usefixtures("read_by_ada")
INDEX = "/admin/"


def shown(client: Client) -> str:
    return words_on(client.get(INDEX))


def test_it_is_where_the_admins_first_page_is() -> None:
    assert reverse("admin:index") == INDEX
    assert Client().get(INDEX)["Location"] == "/admin/login/?next=/admin/"


def test_a_worker_that_does_not_run_needs_attention(edda: Client) -> None:
    assert "Broken No worker runs" in shown(edda)
    now = timezone.now()
    WorkerHeartbeat.objects.create(name="host:1", started_at=now, seen_at=now)
    assert "Fine 1 worker runs, last seen 0 s ago." in shown(edda)


def test_held_batches_lead_to_the_report(edda: Client, issue: Issue) -> None:
    start_sending(issue)
    address_everybody()
    Batch.objects.update(state=BatchState.HELD, payload=b"frozen", recipients=1)
    page = edda.get(INDEX)
    assert "Look 1 batch of “Taller cranes” (1 reader) may or may not be out" in words_on(page)
    tree = lxml_html.fromstring(page.content.decode())
    assert tree.xpath("//section[@aria-labelledby='attention']//a/@href") == [page_of(issue, "report")]


def test_what_comes_next_and_what_went_out_last(edda: Client, issue: Issue) -> None:
    ben(make_newsletter())
    later = timezone.now() + datetime.timedelta(hours=13, minutes=1)
    schedule_issue(issue, wall=later.replace(tzinfo=None), zone="UTC", by="tests")
    sent = start_sending(make_issue("issue-2", title="Quieter ferries"))
    address_everybody()
    pause_issue(sent, by="Sue", reason="A look")
    words = shown(edda)
    assert "Active readers 1" in words
    assert "To be confirmed 1" in words
    assert "Scheduled Taller cranes Harbour Notes" in words
    assert "in 13 hours" in words
    assert "Quieter ferries" in words
    assert "0 %" in words
    assert "is paused by Sue: A look" in words


def test_nothing_yet_is_said_kindly(edda: Client) -> None:
    assert "Nothing is scheduled." in shown(edda)
    assert "Nothing has been sent yet." in shown(edda)


@pytest.mark.parametrize(("name", "sees"), [("will", True), ("sue", True), ("lou", True), ("norm", False)])
def test_it_is_for_those_who_may_see_issues(name: str, sees: bool, signed_in: Callable[[str], Client]) -> None:
    answer = signed_in(name).get(INDEX)
    assert answer.status_code == 200
    assert ("Needs attention" in words_on(answer)) is sees


def test_every_link_on_it_opens_for_who_sees_it(issue: Issue, signed_in: Callable[[str], Client]) -> None:
    start_sending(issue)
    address_everybody()
    Batch.objects.update(state=BatchState.HELD, payload=b"frozen")
    lou = signed_in("lou")
    tree = lxml_html.fromstring(lou.get(INDEX).content.decode())
    links = set(tree.xpath("//main//a/@href"))
    assert page_of(issue, "report") in links
    assert {link for link in links if lou.get(link).status_code in (403, 404)} == set()


def test_it_has_no_inline_script_or_style(edda: Client) -> None:
    answer = edda.get(INDEX)
    assert "unsafe" not in answer["Content-Security-Policy"]
    for inline in ("<style", " style=", " onclick=", "<script>"):
        assert inline not in answer.content.decode()


def test_it_asks_as_much_of_a_large_list_as_of_a_small_one(edda: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            edda.get(INDEX)
        return len(asked)

    few = queries()
    many_readers(500, make_newsletter())
    assert queries() == few
