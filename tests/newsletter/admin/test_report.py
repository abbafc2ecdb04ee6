"""The report: counted from the rows, and refreshed while the send runs."""

from __future__ import annotations

import csv
import datetime
import io
import re
import zoneinfo
from collections.abc import Callable

import pytest
from django.db.models import QuerySet
from django.test import Client
from django.utils import timezone
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.config.configuration import PROJECT_ROOT
from newsletter.models import (
    FIRST_LINK,
    OPEN,
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    Edition,
    EngagementCounter,
    Event,
    EventState,
    Issue,
    Newsletter,
    Reason,
    Send,
    SendCount,
    Verdict,
)
from newsletter.sending.control import cancel_send, pause_send, resume_send
from newsletter.sending.recipients import deliveries_of
from newsletter.sending.schedule import send_now
from newsletter.sending.undo import undo_send
from subscribers.models import Subscription, SubscriptionState
from tests.newsletter.admin.pages import page_of, words_on
from tests.newsletter.monitoring.conftest import a_worker
from tests.newsletter.reports.filled import PLACES, START, fill_every_place
from tests.newsletter.reports.test_joined import join
from tests.people import make_subscriptions
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
    join("late@example.org")
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
    join("late@example.org")
    Subscription.objects.filter(subscriber__canonical="late@example.org").update(
        state=SubscriptionState.UNSUBSCRIBED, ended_at=timezone.now()
    )
    assert "joined since the start" not in words_on(edda.get(page_of(send.issue, "report")))


def test_the_web_version_is_linked_once_the_page_exists(edda: Client, send: Send) -> None:
    Send.objects.update(undo_until=timezone.now() + datetime.timedelta(minutes=1))
    link = f'href="{send.issue.get_absolute_url()}"'
    assert link not in edda.get(page_of(send.issue, "report")).content.decode()
    assert Client().get(send.issue.get_absolute_url()).status_code == 404
    Send.objects.update(undo_until=timezone.now())
    assert link in edda.get(page_of(send.issue, "report")).content.decode()
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


# One truth while a send is held back


def limited(send: Send, hourly: int) -> None:
    """The newsletter has this limit, and as many mails were sent ten minutes ago."""
    Newsletter.objects.update(hourly_limit=hourly)
    at = timezone.now() - datetime.timedelta(minutes=10)
    keys = list(Delivery.objects.order_by("pk").values_list("pk", flat=True))[:hourly]
    Delivery.objects.filter(pk__in=keys).update(state=DeliveryState.ACCEPTED)
    Batch.objects.create(
        **{"send": send, "edition": send.edition, "first_delivery": keys[0], "last_delivery": keys[-1], "key": "one"},
        **{"state": BatchState.ACCEPTED, "recipients": hourly, "finished_at": timezone.now(), "first_attempt_at": at},
    )


def test_a_limited_send_says_when_it_goes_on_and_no_time_left(edda: Client, send: Send) -> None:
    a_worker()
    limited(send, 4)
    goes_on = timezone.now() + datetime.timedelta(minutes=50)
    shown = words_on(edda.get(page_of(send.issue, "report")))
    assert "Paced: sending goes on at " in shown
    assert shown.split("Paced: sending goes on at ")[1][:5] in in_berlin(goes_on)
    assert "The sending limit of Harbour Notes is used up: 4 mails per hour." in shown
    assert " left" not in shown
    assert "per second" not in shown
    assert "Blocked" not in shown


def in_berlin(at: datetime.datetime) -> set[str]:
    """The clock of the newsletter then, and a minute earlier."""
    zone = zoneinfo.ZoneInfo("Europe/Berlin")
    return {f"{(at - datetime.timedelta(minutes=late)).astimezone(zone):%H:%M}" for late in (0, 1)}


def test_a_send_that_its_limit_will_hold_back_promises_no_end(edda: Client, send: Send) -> None:
    a_worker()
    limited(send, 4)
    Newsletter.objects.update(hourly_limit=6)
    shown = words_on(edda.get(page_of(send.issue, "report")))
    assert "mails per second. Paced: the sending limit of the newsletter does not allow all mails at once." in shown
    assert " left" not in shown
    Newsletter.objects.update(hourly_limit=60)
    assert " left, until " in words_on(edda.get(page_of(send.issue, "report")))


def test_a_paused_send_has_one_sentence(edda: Client, send: Send) -> None:
    limited(send, 4)
    pause_send(send, by="Sue", text="A check")
    shown = words_on(edda.get(page_of(send.issue, "report_numbers")))
    assert "Nothing is sent until you resume it." in shown
    assert "Paced" not in shown
    assert "per second" not in shown


def test_a_batch_that_was_cut_is_in_the_log_without_recipients(edda: Client, send: Send) -> None:
    Batch.objects.update(state=BatchState.SPLIT, reason=Reason.CUT_FOR_LIMIT, finished_at=timezone.now())
    shown = words_on(edda.get(page_of(send.issue, "report")))
    assert f"Split into smaller batches: batch {Batch.objects.get().pk}. Cut into two batches" in shown
    assert ", 0 recipients" not in shown


# After the end


def test_a_cancelled_send_says_who_was_cancelled_before_it_went_out(edda: Client, send: Send) -> None:
    keys = list(Delivery.objects.order_by("pk").values_list("pk", flat=True))
    Delivery.objects.filter(pk__in=keys[:4]).update(state=DeliveryState.ACCEPTED, delivered_at=timezone.now())
    edda.post(page_of(send.issue, "cancel"))
    shown = words_on(edda.get(page_of(send.issue, "report")))
    assert "Cancelled before it went out 6 The send was cancelled first." in shown
    assert "Not delivered 6 6 of 10 recipients" in shown
    assert "Skipped" not in shown


def test_an_undo_shows_one_message_even_if_an_open_page_reloads(edda: Client, issue: Issue) -> None:
    start_sending(issue)
    answer = edda.post(page_of(issue, "undo"))
    # The script of the report, which was open, reloads it before the answer is shown.
    shown = edda.get(page_of(issue, "report"), follow=True)
    assert answer.status_code == 302
    assert [str(message) for message in shown.context["messages"]] == [
        "The start is undone. Nothing was sent, and the issue is a draft again."
    ]


def test_another_editor_learns_that_the_start_was_undone(edda: Client, issue: Issue) -> None:
    undo_send(start_sending(issue), by="Sue")
    (message,) = edda.get(page_of(issue, "report"), follow=True).context["messages"]
    assert str(message).startswith("The start of this issue was undone.")


# Everything at once


@pytest.fixture
def full(issue: Issue) -> Send:
    return fill_every_place(issue)


def test_the_table_of_places_adds_up_to_all_recipients(edda: Client, full: Send) -> None:
    tree = lxml_html.fromstring(edda.get(page_of(full.issue, "report")).content.decode())
    rows = tree.xpath("//table[contains(@class, 'places')]/tbody/tr")
    counts = {row.get("data-place"): int(row.xpath("string(td[1])")) for row in rows}
    extra = Delivery.objects.filter(send=full).count() - sum(PLACES.values())
    assert counts == {**PLACES, "reached": PLACES["reached"] + extra}
    (total,) = tree.xpath("//table[contains(@class, 'places')]/tfoot/tr/td[1]")
    assert sum(counts.values()) == int(total.text_content())


def test_each_number_with_a_link_leads_to_as_many_people(edda: Client, full: Send) -> None:
    tree = lxml_html.fromstring(edda.get(page_of(full.issue, "report")).content.decode())
    links = tree.xpath("//section//a[contains(@href, '/report/recipients/')]")
    assert len(links) == 10
    for link in links:
        listed = lxml_html.fromstring(edda.get(link.get("href")).content.decode())
        assert len(listed.xpath("//main//tbody/tr")) == int(link.text_content()), link.get("href")


def test_the_chart_has_its_result_in_words_and_as_a_table(edda: Client, full: Send) -> None:
    Send.objects.update(started_at=START)
    tree = lxml_html.fromstring(edda.get(page_of(full.issue, "report")).content.decode())
    (image,) = tree.xpath("//svg[@role='img']")
    assert image.get("aria-label").endswith("30 opened, 12 clicked.")
    assert len(image.xpath(".//polyline")) == 3
    rows = tree.xpath("//details[@id='hours-table']//tbody/tr")
    assert 0 < len(rows) <= 48
    assert [cell.text_content() for cell in rows[-1].xpath("td")][2:] == ["30", "12"]


def test_the_files_have_the_numbers_of_the_page(edda: Client, full: Send) -> None:
    found = edda.get(page_of(full.issue, "report_json"))
    assert found["Content-Disposition"] == 'attachment; filename="report-issue-1.json"'
    data = found.json()
    text = edda.get(page_of(full.issue, "report_csv")).content.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    places = {row["name"]: int(row["recipients"]) for row in rows if row["section"] == "places"}
    assert {each["place"]: each["recipients"] for each in data["places"]} == places
    assert sum(places.values()) == data["recipients"]
    assert data["bounces"] == [{"class": "hard", "recipients": 5}, *data["bounces"][1:]]
    assert {row["name"] for row in rows if row["section"] == "bounces"} == {"hard", "policy", "soft"}
    assert (data["opened"], data["clicked"], data["complained"]) == (30, 12, 3)
    assert data["comparison"]["issues"] == 2
    assert {each["domain"] for each in data["domains"]} == {"gmx.example", "example.org", "post.example"}
    assert "filled-" not in text + found.content.decode(), "no address of a recipient"


def test_unsubscribes_have_a_share_ways_and_reasons_with_complaints_beside(edda: Client, full: Send) -> None:
    shown = words_on(edda.get(page_of(full.issue, "report")))
    assert re.search(r"Unsubscribed so far 6\.\d% 4 of 6\d delivered mails .*? 3 complaints \(\d\.\d%\)", shown)
    assert "Too many mails 2 – No reason given 2 –" in shown
    ways = "Unsubscribe button of the mail program 2 – Unsubscribe link in the mail 1 – Preferences page 1 –"
    assert f"Where they unsubscribed {ways}" in shown
    data = edda.get(page_of(full.issue, "report_json")).json()
    assert data["unsubscribed"] == 4
    assert data["unsubscribes"] == {
        "by_way": {"one-click": 2, "unsubscribe": 1, "preferences": 1},
        "by_reason": {"too_many": 2},
    }
    text = edda.get(page_of(full.issue, "report_csv")).content.decode()
    assert f"numbers,unsubscribed,,4,{data['rates_of']['count']}" in text
    assert "unsubscribes,way,one-click,2,4" in text
    assert "unsubscribes,reason,too_many,2,4" in text


def test_unsubscribes_are_compared_with_the_issues_that_counted_them(edda: Client, full: Send) -> None:
    assert "Unsubscribed 6." in words_on(edda.get(page_of(full.issue, "report"))).split("Compared with")[1]
    assert edda.get(page_of(full.issue, "report_json")).json()["comparison"]["median"]["unsubscribed"] == 0
    Send.objects.exclude(pk=full.pk).update(counts_unsubscribes=False)
    assert edda.get(page_of(full.issue, "report_json")).json()["comparison"]["median"]["unsubscribed"] is None


def test_unsubscribes_of_mails_of_earlier_versions_are_no_zero(edda: Client, full: Send) -> None:
    Send.objects.update(counts_unsubscribes=False)
    shown = words_on(edda.get(page_of(full.issue, "report")))
    assert "Unsubscribed so far – Not counted. 3 complaints" in shown
    assert "Not counted: the links in these mails do not tell which issue they are from." in shown
    assert edda.get(page_of(full.issue, "report_json")).json()["unsubscribed"] is None
    assert "numbers,unsubscribed" not in edda.get(page_of(full.issue, "report_csv")).content.decode()


def test_a_cell_that_a_spreadsheet_takes_for_a_formula_is_guarded(edda: Client, send: Send) -> None:
    SendCount.objects.add({(send.pk, "domain", "=cmd", "delivered"): 3})
    assert "domains,'=cmd,delivered,3,3" in edda.get(page_of(send.issue, "report_csv")).content.decode()


def test_an_empty_send_has_a_report_and_files(edda: Client, issue: Issue) -> None:
    Subscription.objects.all().delete()
    start_sending(issue)
    expand_audiences()
    shown = words_on(edda.get(page_of(issue, "report")))
    assert "All recipients 0" in shown
    assert "No delivery is reported yet." in shown
    assert edda.get(page_of(issue, "report_json")).json()["places"] == []
    assert edda.get(page_of(issue, "report_csv")).status_code == 200


@pytest.mark.parametrize("page", ["report_csv", "report_json", "report_recipients"])
def test_a_draft_has_no_files_of_a_report(edda: Client, issue: Issue, page: str) -> None:
    assert edda.get(page_of(issue, page)).status_code == 404


@pytest.mark.parametrize("query", ["", "?place=reached", "?place=bounced&after=x", "?state=skipped", "?bounce="])
def test_a_list_that_does_not_exist_is_not_found(edda: Client, full: Send, query: str) -> None:
    assert edda.get(page_of(full.issue, "report_recipients") + query).status_code == 404


def test_the_people_behind_a_number_are_for_those_who_may_see_them(
    signed_in: Callable[[str], Client], full: Send
) -> None:
    lou = signed_in("lou")
    assert lou.get(page_of(full.issue, "report_recipients") + "?place=bounced").status_code == 403
    body = lou.get(page_of(full.issue, "report")).content.decode()
    assert "/report/recipients/" not in body
    assert "no such user" not in body
    assert "Bounced" in body


def test_clicks_that_nobody_counts_are_no_zero(edda: Client, send: Send) -> None:
    shown = words_on(edda.get(page_of(send.issue, "report")))
    assert "Clicked so far – Not counted: tracking is off." in shown


def test_links_show_humans_beside_all_hits_in_the_order_of_the_mail(edda: Client, send: Send) -> None:
    links = [{"url": f"https://story.example/{name}", "label": name, "place": "Deep dives"} for name in ("a", "b")]
    # An edition cannot be changed; one that was frozen so would need a whole issue with links.
    QuerySet(Edition).filter(pk=send.edition_id).update(engagement={"source": "own", "links": links})
    hour = START.replace(minute=0)
    for number, verdict, hits, visitors in (
        (FIRST_LINK, Verdict.HUMAN, 3, 2),
        (FIRST_LINK, Verdict.MACHINE, 40, 9),
        (FIRST_LINK + 1, Verdict.HUMAN, 5, 4),
        (OPEN, Verdict.HUMAN, 7, 6),
        (OPEN, Verdict.PROXY, 2, 2),
    ):
        EngagementCounter.objects.create(
            edition=send.edition, number=number, hour=hour, verdict=verdict, hits=hits, visitors=visitors
        )
    shown = words_on(edda.get(page_of(send.issue, "report")))
    assert "48 hits on links, 40 of them by programs" in shown
    assert "about 8, of whom 2 through programs that load every image. Loads of the image in all: 9." in shown
    assert "a Deep dives · https://story.example/a · Disable… a 2 43 b Deep dives · https://story.example/b" in shown


def test_an_issue_without_a_source_of_clicks_has_no_section_about_links(edda: Client, send: Send) -> None:
    assert "Links in the order of the mail" not in words_on(edda.get(page_of(send.issue, "report")))
