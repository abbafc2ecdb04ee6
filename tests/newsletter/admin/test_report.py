"""The report: every number from the rows, and fresh while the issue is on its way."""

from __future__ import annotations

import datetime

import pytest
from django.test import Client
from django.utils import timezone

from newsletter.models import Batch, BatchState, Delivery, DeliveryStatus, Issue, IssueStatus
from newsletter.sending.control import pause_issue, resume_issue
from newsletter.sending.schedule import send_now
from newsletter.sending.undo import undo_send
from tests.newsletter.admin.pages import page_of, words_on
from tests.people import make_subscription, make_subscriptions
from tests.publications import address_everybody, make_newsletter, start_sending

pytestmark = pytest.mark.usefixtures("read_by_ada")


@pytest.fixture
def on_its_way(issue: Issue) -> Issue:
    make_subscriptions(9, make_newsletter())
    start_sending(issue)
    address_everybody()
    return Issue.objects.get(pk=issue.pk)


def test_the_numbers_are_those_of_the_deliveries(edda: Client, on_its_way: Issue) -> None:
    now, keys = timezone.now(), list(Delivery.objects.values_list("pk", flat=True))
    Delivery.objects.filter(pk__in=keys[:6]).update(status=DeliveryStatus.ACCEPTED, delivered_at=now)
    Delivery.objects.filter(pk__in=keys[:3]).update(opened_at=now)
    Delivery.objects.filter(pk__in=keys[:2]).update(clicked_at=now)
    Delivery.objects.filter(pk=keys[5]).update(bounced_at=now)
    Delivery.objects.filter(pk=keys[6]).update(status=DeliveryStatus.FAILED, reason="The address is malformed.")
    shown = words_on(edda.get(page_of(on_its_way, "report")))
    assert "70 %" in shown
    assert "Accepted 6" in shown
    assert "Delivered 5" in shown
    assert "Opened (estimate) 3" in shown
    assert "Clicked 2 40.0 % of the delivered" in shown
    assert "Bounced 1" in shown
    assert "Refused The address is malformed. 1" in shown
    assert "Not addressed Unsubscribed. 1" in shown
    assert on_its_way.edition is not None
    assert on_its_way.edition.sha256 in shown


def test_the_numbers_are_sent_again_only_when_they_have_changed(edda: Client, on_its_way: Issue) -> None:
    first = edda.get(page_of(on_its_way, "report_numbers"))
    assert first.status_code == 200
    seen = {"If-None-Match": first["ETag"]}
    assert edda.get(page_of(on_its_way, "report_numbers"), headers=seen).status_code == 304
    Delivery.objects.filter(pk=Delivery.objects.first().pk).update(status=DeliveryStatus.ACCEPTED)  # type: ignore[union-attr]
    assert edda.get(page_of(on_its_way, "report_numbers"), headers=seen).status_code == 200


def test_the_page_watches_while_it_sends_and_not_when_all_is_over(edda: Client, on_its_way: Issue) -> None:
    def watches() -> tuple[bool, bool]:
        body = edda.get(page_of(on_its_way, "report")).content.decode()
        return "poll.js" in body, '<noscript><meta http-equiv="refresh"' in body

    assert watches() == (True, True)
    pause_issue(on_its_way, by="tests", reason="A look")
    assert watches() == (True, True)
    edda.post(page_of(on_its_way, "cancel"))
    assert watches() == (False, False)


def test_a_draft_has_no_report_and_says_so(edda: Client, issue: Issue) -> None:
    assert "There is no report yet" in words_on(edda.get(page_of(issue, "report"), follow=True))


def test_a_send_says_how_fast_it_goes_and_when_it_is_over(edda: Client, on_its_way: Issue) -> None:
    Issue.objects.update(started_at=timezone.now() - datetime.timedelta(minutes=5))
    first = Delivery.objects.order_by("pk").first()
    assert first is not None
    Delivery.objects.filter(pk=first.pk).update(status=DeliveryStatus.ACCEPTED)
    Batch.objects.create(
        **{"edition_id": on_its_way.edition_id, "first_delivery": first.pk, "last_delivery": first.pk, "key": "one"},
        **{"state": BatchState.ACCEPTED, "recipients": 6, "finished_at": timezone.now()},
    )
    shown = words_on(edda.get(page_of(on_its_way, "report")))
    assert "0.1 a second · about 2 min left (" in shown
    assert "by tests" in shown
    assert "Retrying 0" in shown


def test_a_send_says_what_is_tried_again_and_when(edda: Client, on_its_way: Issue) -> None:
    Batch.objects.update(
        attempts=1,
        recipients=10,
        reason="Too many requests.",
        not_before=datetime.datetime(2100, 1, 1, 6, tzinfo=datetime.UTC),
    )
    shown = words_on(edda.get(page_of(on_its_way, "report")))
    assert "Retrying 10 Too many requests. Next try 07:00." in shown, "on the clocks of the newsletter's zone"
    assert "(10 readers) to be tried again: Too many requests." in shown


def test_the_log_is_fresh_with_the_numbers_and_on_the_newsletters_clocks(edda: Client, on_its_way: Issue) -> None:
    pause_issue(on_its_way, by="Sue", reason="A look")
    on_its_way.transitions.filter(target="paused").update(at=datetime.datetime(2100, 7, 1, 6, tzinfo=datetime.UTC))
    assert "Log Thu 1 Jul, 08:00:00 Paused: A look – Sue" in words_on(edda.get(page_of(on_its_way, "report_numbers")))


def test_a_large_send_is_looked_at_less_often(edda: Client, on_its_way: Issue, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 'data-poll="2"' in edda.get(page_of(on_its_way, "report")).content.decode()
    monkeypatch.setattr("newsletter.admin.report.MANY", 10)
    assert 'data-poll="10"' in edda.get(page_of(on_its_way, "report")).content.decode()


def test_a_send_that_stands_still_is_not_sent_again(edda: Client, on_its_way: Issue) -> None:
    pause_issue(on_its_way, by="Sue", reason="A look")
    first = edda.get(page_of(on_its_way, "report_numbers"))
    again = edda.get(page_of(on_its_way, "report_numbers"), headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_start_can_be_taken_back_for_as_long_as_nothing_is_out(edda: Client, on_its_way: Issue) -> None:
    report = page_of(on_its_way, "report")
    assert "None of it has gone out so far" in words_on(edda.get(report))
    on_its_way.move(IssueStatus.PAUSED, by="edda")
    assert f'action="{page_of(on_its_way, "undo")}"' in edda.get(report).content.decode()
    before = version_of(edda, on_its_way)
    Batch.objects.update(state=BatchState.CLAIMED, payload=b"frozen")
    assert "Nothing is out yet" not in words_on(edda.get(report))
    assert version_of(edda, on_its_way) != before


def version_of(client: Client, issue: Issue) -> str:
    """What makes an open page load itself anew."""
    return client.get(page_of(issue, "report_numbers")).content.decode().split('data-version="')[1].split('"')[0]


def test_who_joins_while_it_is_sent_is_told_to_get_the_next_issue(edda: Client, on_its_way: Issue) -> None:
    assert "joined since" not in words_on(edda.get(page_of(on_its_way, "report")))
    make_subscription("late@example.org", confirmed_at=timezone.now())
    shown = words_on(edda.get(page_of(on_its_way, "report")))
    assert "1 reader has joined since it started. They get the next issue." in shown


def test_who_started_it_is_who_started_it_last_and_not_who_resumed_it(edda: Client, issue: Issue) -> None:
    start_sending(issue)
    undo_send(issue, by="Sue")
    send_now(issue, by="Will")
    pause_issue(issue, by="Sue", reason="A look.")
    resume_issue(issue, by="Sue")
    assert "by Will" in words_on(edda.get(page_of(issue, "report")))
