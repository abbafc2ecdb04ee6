"""Who joined while an issue was being sent, from the newest consents."""

from __future__ import annotations

import datetime

import pytest
from django.utils import timezone

from newsletter.models import Send
from newsletter.reports import joined
from newsletter.reports.joined import Joined, joined_since_start
from subscribers.consent import actions
from subscribers.models import Consent, Evidence, MailingList, Subscription, SubscriptionState
from tests.people import make_mailing_list, make_subscription
from tests.publications import make_issue, make_newsletter, start_sending

pytestmark = pytest.mark.django_db

HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def send() -> Send:
    return start_sending(make_issue())


def join(address: str, mailing_list: MailingList | None = None, *, at: datetime.datetime | None = None) -> Subscription:
    """A subscriber who confirmed, with the consent that proves it."""
    at = at or timezone.now()
    row = make_subscription(address, mailing_list or make_newsletter(), confirmed_at=at)
    Consent.objects.create(subscription=row, kind="confirmed", created_at=at, form="confirm", list_name="Harbour Notes")
    return row


def test_nobody_has_joined_before_there_is_a_consent(send: Send) -> None:
    make_subscription("old@example.org")
    assert joined_since_start(send) == Joined(0)


def test_those_who_confirmed_since_the_start_count_and_earlier_ones_do_not(send: Send) -> None:
    assert send.started_at
    join("early@example.org", at=send.started_at - HOUR)
    join("late@example.org")
    assert joined_since_start(send) == Joined(1)


def test_those_who_come_back_to_an_old_subscription_count_once(send: Send) -> None:
    assert send.started_at
    row = join("back@example.org", at=send.started_at - HOUR)
    for kind in ("unsubscribed", "requested", "confirmed"):
        Consent.objects.create(subscription=row, kind=kind, form="confirm", list_name="Harbour Notes")
    Subscription.objects.filter(pk=row.pk).update(confirmed_at=timezone.now())
    assert joined_since_start(send) == Joined(1)


def test_those_of_other_lists_and_those_who_left_again_do_not_count(send: Send) -> None:
    join("other@example.org", make_mailing_list("other-list"))
    row = join("left@example.org")
    Subscription.objects.filter(pk=row.pk).update(state=SubscriptionState.UNSUBSCRIBED, ended_at=timezone.now())
    assert joined_since_start(send) == Joined(0)


def test_a_consent_that_is_no_way_in_does_not_count(send: Send) -> None:
    assert send.started_at
    row = join("paused@example.org", at=send.started_at - HOUR)
    actions.pause(row.key, 2, Evidence(form="preferences", text="Paused."))
    assert joined_since_start(send) == Joined(0)


def test_when_more_came_than_are_looked_through_the_number_is_the_least(
    send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        join(f"late-{number}@example.org")
    assert joined_since_start(send) == Joined(5)
    monkeypatch.setattr(joined, "NEWEST", 3)
    assert joined_since_start(send) == Joined(3, is_least=True)
