"""The report: counted from the rows, and refreshed while the send runs."""

from __future__ import annotations

import datetime
import re

import pytest
from django.test import Client
from django.utils import timezone
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.config.configuration import PROJECT_ROOT
from newsletter.models import Batch, BatchState, Delivery, DeliveryState, Event, EventState, Issue, Reason, Send
from newsletter.sending.control import cancel_send, pause_send, resume_send
from newsletter.sending.recipients import deliveries_of
from newsletter.sending.schedule import send_now
from newsletter.sending.undo import undo_send
from subscribers.models import Subscription, SubscriptionState
from tests.newsletter.admin.pages import page_of, words_on
from tests.newsletter.monitoring.conftest import a_worker
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
    assert "70%" in shown
    assert "6 of 10 accepted · 3 pending · 0 in progress" in shown
    assert "Delivered so far 5 5 of 10 recipients" in shown
    assert "Opened (estimate) so far 3 3 of 5 delivered mails" in shown
    assert "Clicked so far 2 2 of 5 delivered mails" in shown
    assert "Not delivered so far 2 2 of 10 recipients 1 bounced" in shown
    assert "Failed 1 The provider refused it, so it was not sent. The address is malformed. 1" in shown
    assert "Unsubscribed: 1" in shown
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
    a_worker()
    shown = words_on(edda.get(page_of(send.issue, "report")))
    assert "0.1 mails per second. About 2 min left, until " in shown
    assert "by tests" in shown
    assert "Retrying" not in shown


def test_batches_that_are_retried_are_shown_with_the_next_attempt(edda: Client, send: Send) -> None:
    Batch.objects.update(
        attempts=1,
        recipients=10,
        reason=Reason.NO_PERMIT,
        not_before=datetime.datetime(2100, 1, 1, 6, tzinfo=datetime.UTC),
    )
    a_worker()
    shown = words_on(edda.get(page_of(send.issue, "report")))
    reason = "The provider's rate limit left no permit. The batch is posted later."
    assert f"The next attempt is at 07:00. {reason}" in shown, "in the newsletter's time zone"
    assert f"Retrying 10 mails: {reason} Next attempt 07:00." in shown
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


def test_the_announcement_that_the_script_reads_is_on_the_page(edda: Client, send: Send) -> None:
    script = (PROJECT_ROOT / "newsletter/static/newsletter/admin/poll.js").read_text()
    tree = lxml_html.fromstring(edda.get(page_of(send.issue, "report")).content.decode())
    selectors = re.findall(r'document\.querySelector\("\[([\w-]+)\]"\)', script)
    assert len(selectors) == 2
    for attribute in selectors:
        assert len(tree.xpath(f"//*[@{attribute}]")) == 1, attribute
    (announcement,) = tree.xpath("//*[@data-poll-announcement]")
    assert "{percent}" in announcement.get("data-text")
    assert "announcement.dataset.text.replace" in script


def test_an_open_report_reloads_when_the_start_was_undone(edda: Client, send: Send) -> None:
    before = version_of(edda, send.issue)
    undo_send(send, by="Sue")
    assert version_of(edda, send.issue) != before
    assert "data-percent" in edda.get(page_of(send.issue, "report_numbers")).content.decode()


def test_only_active_subscribers_have_joined(edda: Client, send: Send) -> None:
    make_subscription("late@example.org", confirmed_at=timezone.now())
    Subscription.objects.filter(subscriber__canonical="late@example.org").update(
        state=SubscriptionState.UNSUBSCRIBED, ended_at=timezone.now()
    )
    assert "joined since the start" not in words_on(edda.get(page_of(send.issue, "report")))


def test_the_web_version_is_linked_once_the_page_exists(edda: Client, send: Send) -> None:
    Send.objects.update(undo_until=timezone.now() + datetime.timedelta(minutes=1))
    assert "Web version" not in words_on(edda.get(page_of(send.issue, "report")))
    assert Client().get(send.issue.get_absolute_url()).status_code == 404
    Send.objects.update(undo_until=timezone.now())
    assert "Web version" in words_on(edda.get(page_of(send.issue, "report")))
    assert Client().get(send.issue.get_absolute_url()).status_code == 200


def test_a_pause_within_the_undo_window_does_not_publish_the_page(edda: Client, send: Send) -> None:
    Send.objects.update(undo_until=timezone.now() + datetime.timedelta(minutes=1))
    pause_send(send, by="Edda")
    assert Client().get(send.issue.get_absolute_url()).status_code == 404


@pytest.mark.parametrize("reason", [Reason.OTHER_ACCOUNT, Reason.PROVIDER_NOT_IN_ROUTE, Reason.PARTLY_FOUND])
def test_a_report_shows_held_batches_whatever_their_reason_names(edda: Client, send: Send, reason: Reason) -> None:
    batch = Batch.objects.get()
    values = {"provider": "resend", "found": 1, "missing": 1}
    Batch.objects.update(state=BatchState.HELD, payload=b"x", reason=reason, reason_values=values)
    deliveries_of(batch).update(state=DeliveryState.UNKNOWN, reason=reason)
    assert "Mark as sent" in words_on(edda.get(page_of(send.issue, "report")))
    assert edda.get("/admin/newsletter/delivery/").status_code == 200


def test_a_held_batch_of_a_cancelled_send_cannot_be_sent_again(edda: Client, send: Send) -> None:
    Batch.objects.update(state=BatchState.HELD, payload=b"x", reason=Reason.KEY_EXPIRED)
    assert "Send again" in words_on(edda.get(page_of(send.issue, "report")))
    cancel_send(send, by="Edda")
    shown = words_on(edda.get(page_of(send.issue, "report")))
    assert "Mark as sent" in shown
    assert "Send again" not in shown


def event_of(delivery: int, detail: str) -> None:
    Event.objects.create(
        provider="resend",
        event_id=f"msg_{delivery}",
        kind="email.failed",
        body="{}",
        state=EventState.APPLIED,
        delivery_id=delivery,
        detail=detail,
    )


def test_failures_after_acceptance_have_a_place_with_the_reasons_of_the_provider(edda: Client, send: Send) -> None:
    now, keys = timezone.now(), list(Delivery.objects.order_by("pk").values_list("pk", flat=True))
    Delivery.objects.filter(pk__in=keys[:4]).update(state=DeliveryState.ACCEPTED)
    Delivery.objects.filter(pk__in=keys[:2]).update(failed_at=now)
    Delivery.objects.filter(pk=keys[2]).update(suppressed_at=now)
    Delivery.objects.filter(pk=keys[3]).update(failed_at=now, delivered_at=now)
    Delivery.objects.filter(pk=keys[4]).update(state=DeliveryState.FAILED, reason="validation_error")
    for key in keys[:2]:
        event_of(key, "reached_daily_quota")
    event_of(keys[2], "On your list")
    for page in ("report", "report_numbers"):
        shown = words_on(edda.get(page_of(send.issue, page)))
        assert "3 failed deliveries can be retried" in shown
        assert "Failed after acceptance 2 The provider could not send it. reached_daily_quota 2" in shown
        assert "suppression list. On your list 1" in shown
        assert "Failed 1 The provider refused it, so it was not sent. The provider rejected the request" in shown
        assert "Delivered 1 The mail server took the mail." in shown


def test_reasons_that_differ_for_each_recipient_are_one_row_with_an_example(edda: Client, send: Send) -> None:
    for number, delivery in enumerate(Delivery.objects.order_by("pk")):
        Delivery.objects.filter(pk=delivery.pk).update(
            state=DeliveryState.FAILED, reason="mailbox_unavailable", detail=f"550 5.1.1 user {number}"
        )
    shown = words_on(edda.get(page_of(send.issue, "report")))
    assert "The mail server refused the recipient's address. For example: 550 5.1.1 user 9 10" in shown


def test_many_reasons_of_events_are_cut_with_the_rest_in_one_row(
    edda: Client, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newsletter.reports.places.MAX_REASONS", 2)
    Delivery.objects.update(state=DeliveryState.ACCEPTED, failed_at=timezone.now())
    for key in Delivery.objects.values_list("pk", flat=True):
        event_of(key, f"reason {key}")
    assert "Other reasons. 8" in words_on(edda.get(page_of(send.issue, "report")))


def test_reasons_of_more_mails_than_are_looked_at_are_examples_without_numbers(
    edda: Client, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newsletter.reports.places.EXAMPLES", 4)
    Delivery.objects.update(state=DeliveryState.ACCEPTED, failed_at=timezone.now())
    for key in Delivery.objects.values_list("pk", flat=True):
        event_of(key, "quota reached")
    shown = words_on(edda.get(page_of(send.issue, "report")))
    assert "Failed after acceptance 10" in shown
    assert "quota reached These are examples: there are too many to count." in shown


def test_many_held_batches_are_cut_with_their_number(edda: Client, send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newsletter.admin.report.MAX_HELD", 1)
    Batch.objects.update(state=BatchState.HELD, payload=b"frozen", recipients=9)
    first = Batch.objects.get()
    first.pk, first.key = None, "another"
    first.save()
    shown = words_on(edda.get(page_of(send.issue, "report")))
    assert "2 batches with unknown outcomes need your decision" in shown
    assert shown.count("Mark as sent…") == 1
    assert "and 1 more" in shown
