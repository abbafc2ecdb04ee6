"""Sends, deliveries, batches, provider events and editions: found, shown, and never changed by hand."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from newsletter.models import Batch, Delivery, Edition, Event, Issue, IssueState, Reason, Send, SendState
from subscribers.models import Subscriber
from tests.newsletter.admin.pages import words_on
from tests.people import make_subscriptions
from tests.publications import expand_audiences, make_issue, make_newsletter, schedule_send, start_sending

DELIVERIES = reverse("admin:newsletter_delivery_changelist")


@pytest.fixture(autouse=True)
def _sent(issue: Issue, read_by_ada: None) -> None:
    make_subscriptions(3, make_newsletter())
    start_sending(issue)
    expand_audiences()


def test_an_exact_address_finds_its_deliveries_however_it_is_spelled(edda: Client) -> None:
    found = words_on(edda.get(DELIVERIES, {"q": " Ada@Example.org "}))
    assert "ada@example.org" in found
    assert "reader-1@example.org" not in found
    assert "ada@example.org" not in words_on(edda.get(DELIVERIES, {"q": "ada@"})).replace("value", "")


def test_the_delivery_of_an_erased_subscriber_is_still_listed_and_opens(edda: Client) -> None:
    subscriber = Subscriber.objects.get(canonical="reader-1@example.org")
    delivery = Delivery.objects.get(subscriber=subscriber)
    Subscriber.objects.filter(pk=subscriber.pk).delete()
    assert "(erased)" in words_on(edda.get(DELIVERIES))
    assert "(erased)" in words_on(edda.get(reverse("admin:newsletter_delivery_change", args=[delivery.pk])))


def test_unknown_filters_are_refused(edda: Client) -> None:
    for query in ({"_connector": "OR"}, {"subscriber__address__startswith": "a"}, {"order_by": "subscriber"}):
        assert edda.get(DELIVERIES, query).status_code in (302, 400)


def test_the_body_of_an_event_is_indented_and_escaped(edda: Client) -> None:
    event = Event.objects.create(
        provider="resend", event_id="msg_1", kind="email.sent", body='{"to":["<script>alert(1)</script>"]}'
    )
    shown = edda.get(reverse("admin:newsletter_event_change", args=[event.pk])).content.decode()
    assert "<script>alert" not in shown
    assert "&lt;script&gt;alert(1)" in shown
    assert "{\n  &quot;to&quot;: [" in shown


def test_the_body_of_an_event_that_is_no_json_is_shown_unchanged(edda: Client) -> None:
    event = Event.objects.create(provider="resend", event_id="msg_1", kind="?", body="<not json>")
    shown = words_on(edda.get(reverse("admin:newsletter_event_change", args=[event.pk])))
    assert "<not json>" in shown


def test_the_bytes_of_a_batch_are_not_shown(edda: Client) -> None:
    Batch.objects.update(payload=b"ada@example.org", payload_sha256="f" * 64)
    shown = words_on(edda.get(reverse("admin:newsletter_batch_change", args=[Batch.objects.get().pk])))
    assert "f" * 64 in shown
    assert "ada@example.org" not in shown


@pytest.mark.parametrize("model", [Send, Delivery, Batch, Edition, Event])
def test_records_cannot_be_added_changed_or_deleted_by_hand(edda: Client, model: type[Model]) -> None:
    if model is Event:
        Event.objects.create(provider="resend", event_id="msg_1", kind="email.sent", body="{}")
    name, row = model._meta.model_name, model._default_manager.first()
    assert row is not None
    before = list(model._default_manager.values())
    assert edda.post(reverse(f"admin:newsletter_{name}_add"), {}).status_code == 403
    for page in ("change", "delete"):
        assert edda.post(reverse(f"admin:newsletter_{name}_{page}", args=[row.pk]), {"post": "yes"}).status_code == 403
    assert list(model._default_manager.values()) == before


def test_lists_take_as_many_queries_for_ten_rows_as_for_two(edda: Client) -> None:
    def queries_of(name: str) -> int:
        url = reverse(f"admin:newsletter_{name}_changelist")
        edda.get(url)
        with CaptureQueriesContext(connection) as captured:
            assert edda.get(url).status_code == 200
        return len(captured)

    names = ("issue", "send", "delivery", "batch", "edition", "event")
    before = {name: queries_of(name) for name in names}
    for number in range(2, 6):
        start_sending(make_issue(f"issue-{number}"))
        make_issue(f"draft-{number}")
        Event.objects.create(provider="resend", event_id=f"msg_{number}", kind="email.sent", body="{}")
    expand_audiences(batch_size=2)
    assert {name: queries_of(name) for name in names} == before


def test_the_list_of_issues_shows_status_time_counts_and_the_next_action(edda: Client) -> None:
    make_issue("issue-2", title="A draft")
    shown = words_on(edda.get(reverse("admin:newsletter_issue_changelist")))
    assert "A draft Harbour Notes · 3 stories Draft Edited just now" in shown
    assert "Europe/Berlin" in shown
    assert "Edit" in shown
    assert "Sending Started just now" in shown
    assert "0 delivered · 0 clicked View progress" in shown


def test_the_list_of_issues_is_filtered_by_status(edda: Client) -> None:
    make_issue("issue-2", title="A draft")
    schedule_send(make_issue("issue-3", title="A plan"))
    undone = start_sending(make_issue("issue-4", title="A false start"))
    undone.move(SendState.WITHDRAWN, by="tests")

    def listed(status: str) -> set[str]:
        page = words_on(edda.get(reverse("admin:newsletter_issue_changelist"), {"status": status}))
        return {title for title in ("Taller cranes", "A draft", "A plan", "A false start") if title in page}

    assert listed(IssueState.DRAFT) == {"A draft", "A false start"}
    assert listed(SendState.SCHEDULED) == {"A plan"}
    assert listed(SendState.SENDING) == {"Taller cranes"}
    assert listed(SendState.SENT) == set()


def test_a_send_shows_its_issue_its_state_and_its_reason(edda: Client) -> None:
    send = Send.objects.get()
    send.pause(Reason.OPERATOR, by="Sue", values={"text": "A typo"})
    for page in (
        reverse("admin:newsletter_send_changelist"),
        reverse("admin:newsletter_send_change", args=[send.pk]),
    ):
        shown = words_on(edda.get(page))
        assert "Taller cranes" in shown
        assert "Paused" in shown
        assert "Decided by an operator. A typo" in shown


def test_each_state_has_its_colour_in_the_list_of_issues_and_in_the_records(edda: Client) -> None:
    Send.objects.get().pause(Reason.OPERATOR, by="Sue")
    for name in ("issue", "send"):
        page = edda.get(reverse(f"admin:newsletter_{name}_changelist")).content.decode()
        assert '<span class="pill pill-paused">Paused</span>' in page
