"""The report: counted from the rows, and refreshed while the send runs."""

from __future__ import annotations

import datetime

import pytest
from django.test import Client
from django.utils import timezone

from newsletter.models import Batch, BatchState, Delivery, DeliveryState, Issue, Reason, Send
from newsletter.sending.control import pause_send, resume_send
from newsletter.sending.schedule import send_now
from newsletter.sending.undo import undo_send
from tests.newsletter.admin.pages import page_of, words_on
from tests.people import make_subscription, make_subscriptions
from tests.publications import expand_audiences, make_newsletter, send_of, start_sending

pytestmark = pytest.mark.usefixtures("read_by_ada")


@pytest.fixture
def send(issue: Issue) -> Send:
    """A send to ten recipients, its audience expanded and nothing posted."""
    make_subscriptions(9, make_newsletter())
    started = start_sending(issue)
    expand_audiences()
    return started


def test_the_counts_are_those_of_the_deliveries(edda: Client, send: Send) -> None:
    now, keys = timezone.now(), list(Delivery.objects.values_list("pk", flat=True))
    Delivery.objects.filter(pk__in=keys[:6]).update(state=DeliveryState.ACCEPTED, delivered_at=now)
    Delivery.objects.filter(pk__in=keys[:3]).update(opened_at=now)
    Delivery.objects.filter(pk__in=keys[:2]).update(clicked_at=now)
    Delivery.objects.filter(pk=keys[5]).update(bounced_at=now)
    Delivery.objects.filter(pk=keys[6]).update(
        state=DeliveryState.FAILED, reason=Reason.OTHER, detail="The address is malformed."
    )
    shown = words_on(edda.get(page_of(send.issue, "report")))
    assert "70 %" in shown
    assert "Accepted 6" in shown
    assert "Delivered 5" in shown
    assert "Opened (estimate) 3" in shown
    assert "Clicked 2 40.0 % of delivered" in shown
    assert "Bounced 1" in shown
    assert "Failed The address is malformed. 1" in shown
    assert "Excluded Unsubscribed. 1" in shown
    assert send.edition.sha256 in shown


def test_the_counts_are_sent_again_only_when_they_changed(edda: Client, send: Send) -> None:
    first = edda.get(page_of(send.issue, "report_numbers"))
    assert first.status_code == 200
    unchanged = {"If-None-Match": first["ETag"]}
    assert edda.get(page_of(send.issue, "report_numbers"), headers=unchanged).status_code == 304
    Delivery.objects.filter(pk=Delivery.objects.first().pk).update(state=DeliveryState.ACCEPTED)  # type: ignore[union-attr]
    assert edda.get(page_of(send.issue, "report_numbers"), headers=unchanged).status_code == 200


def test_the_page_refreshes_until_the_send_is_over(edda: Client, send: Send) -> None:
    def refreshes() -> tuple[bool, bool]:
        body = edda.get(page_of(send.issue, "report")).content.decode()
        return "poll.js" in body, '<noscript><meta http-equiv="refresh"' in body

    assert refreshes() == (True, True)
    pause_send(send, by="tests", text="A check")
    assert refreshes() == (True, True)
    edda.post(page_of(send.issue, "cancel"))
    assert refreshes() == (False, False)


def test_a_draft_has_no_report_and_says_so(edda: Client, issue: Issue) -> None:
    assert "There is no report yet" in words_on(edda.get(page_of(issue, "report"), follow=True))


def test_the_rate_and_the_time_left_are_shown(edda: Client, send: Send) -> None:
    Send.objects.update(started_at=timezone.now() - datetime.timedelta(minutes=5))
    first = Delivery.objects.order_by("pk").first()
    assert first is not None
    Delivery.objects.filter(pk=first.pk).update(state=DeliveryState.ACCEPTED)
    Batch.objects.create(
        **{"send": send, "edition": send.edition, "first_delivery": first.pk, "last_delivery": first.pk, "key": "one"},
        **{"state": BatchState.ACCEPTED, "recipients": 6, "finished_at": timezone.now()},
    )
    shown = words_on(edda.get(page_of(send.issue, "report")))
    assert "0.1 per second · about 2 min left (" in shown
    assert "by tests" in shown
    assert "Retrying 0" in shown


def test_batches_that_are_retried_are_shown_with_the_next_attempt(edda: Client, send: Send) -> None:
    Batch.objects.update(
        attempts=1,
        recipients=10,
        reason=Reason.NO_PERMIT,
        not_before=datetime.datetime(2100, 1, 1, 6, tzinfo=datetime.UTC),
    )
    shown = words_on(edda.get(page_of(send.issue, "report")))
    reason = "The provider's rate limit left no permit. The batch is posted later."
    assert f"Retrying 10 {reason} Next attempt 07:00." in shown, "in the newsletter's time zone"
    assert f"Waiting for a retry: batch {Batch.objects.get().pk}, 10 recipients. {reason}" in shown


def test_the_log_is_refreshed_with_the_counts_and_in_the_newsletters_zone(edda: Client, send: Send) -> None:
    pause_send(send, by="Sue", text="A check")
    send.transitions.filter(target="paused").update(at=datetime.datetime(2100, 7, 1, 6, tzinfo=datetime.UTC))
    shown = words_on(edda.get(page_of(send.issue, "report_numbers")))
    assert "Log 1 July 2100, 08:00:00 Paused. Decided by an operator. A check – Sue" in shown


def test_the_page_of_a_large_send_refreshes_less_often(
    edda: Client, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 'data-poll="2"' in edda.get(page_of(send.issue, "report")).content.decode()
    monkeypatch.setattr("newsletter.admin.report.LARGE_SEND", 10)
    assert 'data-poll="10"' in edda.get(page_of(send.issue, "report")).content.decode()


def test_the_counts_of_a_paused_send_are_not_sent_again(edda: Client, send: Send) -> None:
    pause_send(send, by="Sue", text="A check")
    first = edda.get(page_of(send.issue, "report_numbers"))
    again = edda.get(page_of(send.issue, "report_numbers"), headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_start_can_be_undone_while_nothing_was_sent(edda: Client, send: Send) -> None:
    report = page_of(send.issue, "report")
    assert "No mail of this send was sent so far. You can undo the start" in words_on(edda.get(report))
    pause_send(send, by="edda")
    assert f'action="{page_of(send.issue, "undo")}"' in edda.get(report).content.decode()
    before = version_of(edda, send.issue)
    Batch.objects.update(state=BatchState.CLAIMED, payload=b"frozen")
    assert "Nothing is sent yet" not in words_on(edda.get(report))
    assert version_of(edda, send.issue) != before


def version_of(client: Client, issue: Issue) -> str:
    """An open page reloads itself when this changes."""
    return client.get(page_of(issue, "report_numbers")).content.decode().split('data-version="')[1].split('"')[0]


def test_subscribers_who_joined_since_the_start_are_counted(edda: Client, send: Send) -> None:
    assert "joined since the start" not in words_on(edda.get(page_of(send.issue, "report")))
    make_subscription("late@example.org", confirmed_at=timezone.now())
    shown = words_on(edda.get(page_of(send.issue, "report")))
    assert "1 subscriber joined since the start and gets the next issue." in shown


def test_the_report_names_who_started_the_send_and_not_who_resumed_it(edda: Client, issue: Issue) -> None:
    start_sending(issue)
    undo_send(send_of(issue), by="Sue")
    send_now(issue, by="Will")
    pause_send(send_of(issue), by="Sue")
    resume_send(send_of(issue), by="Sue")
    assert "by Will" in words_on(edda.get(page_of(issue, "report")))
