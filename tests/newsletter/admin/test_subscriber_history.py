"""What the pages of subscribers show of issues."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from lxml import html  # type: ignore[import-untyped]

from newsletter.models import Delivery, DeliveryState, Event, Send
from newsletter.reports.subscriber_history import issue_histories
from subscribers.directory.issues import Outcome
from subscribers.models import Subscriber
from tests.people import ada, ben
from tests.publications import make_issue, start_sending

LIST = "/admin/subscribers/subscriber/"
NOW = timezone.now()

FACTS: list[tuple[dict[str, Any], Outcome | None]] = [
    ({"delivered_at": NOW, "clicked_at": NOW, "opened_at": NOW}, Outcome.CLICKED),
    ({"delivered_at": NOW, "opened_at": NOW}, Outcome.OPENED),
    ({"delivered_at": NOW}, Outcome.DELIVERED),
    ({"bounced_at": NOW, "delivered_at": NOW}, Outcome.BOUNCED),
    ({}, Outcome.SENT),
    ({"failed_at": NOW}, None),
    ({"state": DeliveryState.SKIPPED}, None),
    ({"state": DeliveryState.PENDING}, None),
]


@pytest.fixture
def reader(db: None) -> Subscriber:
    """Was sent one issue per line of FACTS."""
    subscriber: Subscriber | None = None
    for number, (facts, _outcome) in enumerate(FACTS):
        issue = make_issue(f"issue-{number}", title=f"Issue {number}")
        send = start_sending(issue)
        Send.objects.filter(pk=send.pk).update(started_at=NOW - datetime.timedelta(days=len(FACTS) - number))
        subscriber = subscriber or ada(issue.newsletter).subscriber
        state = facts.get("state", DeliveryState.ACCEPTED)
        rest = {name: value for name, value in facts.items() if name != "state"}
        Delivery.objects.create(issue=issue, send=send, subscriber=subscriber, state=state, **rest)
    assert subscriber is not None
    return subscriber


def test_the_last_issues_are_marks_in_their_order(reader: Subscriber) -> None:
    expected = [outcome for _facts, outcome in FACTS if outcome]
    history = issue_histories([reader.pk, 99], 8)[reader.pk]
    assert [mark.outcome for mark in history.marks] == expected
    assert history.received == 4
    assert [mark.outcome for mark in issue_histories([reader.pk], 2)[reader.pk].marks] == expected[-2:]
    assert 99 not in issue_histories([reader.pk, 99], 8)


def test_the_list_shows_them_as_squares_with_their_sums(reader: Subscriber, edda: Client) -> None:
    ben(reader.subscriptions.get().mailing_list)
    page = html.fromstring(edda.get(LIST).content.decode())
    (label,) = page.xpath("//span[@role='img']/@aria-label")
    assert label == "1 clicked, 1 opened, 1 delivered, 1 bounced"
    assert [each.get("class") for each in page.xpath("//span[@role='img']/i")] == [
        "clicked",
        "opened",
        "delivered",
        "bounced",
        "sent",
    ]


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("no_mailbox", "The mailbox does not exist. The address is suppressed at once."),
        ("mailbox_full", "The mailbox is full. Counts as one soft bounce. Repeated soft bounces suppress the address."),
        ("policy", "The address is not suppressed for this."),
        ("hard", "The mailbox does not exist."),
        ("soft", "The reply gives no reason that is known."),
    ],
)
def test_the_page_tells_a_bounce_in_words_with_those_of_the_mail_server(
    reader: Subscriber, edda: Client, code: str, sentence: str
) -> None:
    bounced = Delivery.objects.get(bounced_at__isnull=False)
    Event.objects.create(
        provider="resend", event_id="m-1", kind="email.bounced", bounce=code, detail="550 <b>no</b>", body="{}",
        state="applied", delivery_id=bounced.pk,
    )  # fmt: skip
    page = edda.get(f"{LIST}{reader.pk}/change/", {"show": "mail"}).content.decode()
    (entry,) = [each for each in html.fromstring(page).xpath("//ol/li") if "Bounced: Issue 3" in each.text_content()]
    assert sentence in entry.text_content()
    assert "The mail server's words: “550 <b>no</b>”" in entry.text_content()
    assert "550 &lt;b&gt;no" in page


def test_of_several_bounces_the_one_that_suppresses_is_told(reader: Subscriber, edda: Client) -> None:
    bounced = Delivery.objects.get(bounced_at__isnull=False)
    for number, code in enumerate(("mailbox_full", "inactive", "temporary")):
        Event.objects.create(
            provider="resend", event_id=f"m-{number}", kind="email.bounced", bounce=code, body="{}",
            state="applied", delivery_id=bounced.pk,
        )  # fmt: skip
    page = edda.get(f"{LIST}{reader.pk}/change/", {"show": "mail"}).content.decode()
    assert "The mailbox is disabled, closed or no longer used. The address is suppressed at once." in page
    assert "The mailbox is full." not in page


def test_the_page_shows_each_issue_with_what_became_of_it(reader: Subscriber, edda: Client) -> None:
    page = edda.get(f"{LIST}{reader.pk}/change/", {"show": "mail"}).content.decode()
    for sentence in (
        "Clicked a link: Issue 0",
        "Opened (estimate): Issue 1",
        "Delivered: Issue 2",
        "Bounced: Issue 3",
        "Sent: Issue 4",
        "Failed: Issue 5",
        "Skipped: Issue 6",
        "In progress: Issue 7",
    ):
        assert sentence in page


def test_clicks_are_personal(reader: Subscriber, client: Client) -> None:
    leo = User.objects.create_user("leo", password="a long password", is_staff=True)
    leo.user_permissions.set(Permission.objects.filter(codename="view_subscriber"))
    client.force_login(leo)
    page = client.get(f"{LIST}{reader.pk}/change/").content.decode()
    assert "Delivered: Issue 2" in page
    assert "Clicked" not in page
    assert "Opened" not in page
