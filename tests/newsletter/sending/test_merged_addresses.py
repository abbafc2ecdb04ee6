"""Merging two addresses of one person: deliveries follow, and nothing on its way is lost or sent twice."""

from __future__ import annotations

import orjson
import pytest
from django.utils import timezone

from newsletter.events.apply import apply_events
from newsletter.events.inbox import store_event
from newsletter.models import (
    SEND_MACHINE,
    Delivery,
    DeliveryState,
    Event,
    EventState,
    InvalidTransition,
    Issue,
    Send,
    SendState,
)
from newsletter.models.reasons import reason_sentence
from newsletter.providers import get_provider
from newsletter.providers.base import SignedEvent
from newsletter.sending.retry import count_failed, retry_failed
from subscribers.directory.merge import MergeRefused, merge
from subscribers.models import Subscription
from tests.people import ada, ben, make_subscription
from tests.publications import make_issue, start_sending

pytestmark = pytest.mark.django_db


@pytest.fixture
def two(db: None) -> tuple[Subscription, Subscription]:
    mailing_list = make_issue("first").newsletter
    return ada(mailing_list), ben(mailing_list)


def delivered(subscription: Subscription, slug: str, state: DeliveryState = DeliveryState.ACCEPTED) -> Delivery:
    issue = Issue.objects.filter(slug=slug).first() or make_issue(slug)
    send = Send.objects.current().filter(issue=issue).first() or start_sending(issue)
    return Delivery.objects.create(
        issue=issue, send=send, subscriber=subscription.subscriber, state=state, provider_id=f"e-{slug}"
    )


def finish() -> None:
    SEND_MACHINE.move(Send.objects.all(), SendState.SENT, expanded_at=timezone.now(), finished_at=timezone.now())


def test_deliveries_follow_except_of_an_issue_that_both_got(two: tuple[Subscription, Subscription]) -> None:
    mine, theirs = two
    both, other = delivered(mine, "first"), delivered(theirs, "second")
    again = delivered(theirs, "first")
    finish()
    merge(mine.subscriber_id, theirs.subscriber_id, by="ida")
    owners = dict(Delivery.objects.values_list("pk", "subscriber"))
    assert owners == {
        both.pk: mine.subscriber_id,
        other.pk: mine.subscriber_id,
        again.pk: theirs.subscriber_id,
    }


def test_nothing_is_merged_while_an_issue_is_being_sent(two: tuple[Subscription, Subscription]) -> None:
    mine, theirs = two
    delivery = delivered(theirs, "second", DeliveryState.PENDING)
    with pytest.raises(MergeRefused):
        merge(mine.subscriber_id, theirs.subscriber_id, by="ida")
    delivery.refresh_from_db()
    assert delivery.subscriber_id == theirs.subscriber_id


def test_nothing_is_merged_while_the_outcome_of_a_mail_is_unknown(two: tuple[Subscription, Subscription]) -> None:
    mine, theirs = two
    delivered(theirs, "second", DeliveryState.UNKNOWN)
    finish()
    with pytest.raises(MergeRefused):
        merge(mine.subscriber_id, theirs.subscriber_id, by="ida")


@pytest.mark.parametrize("failed", ["kept", "merged"])
def test_a_failed_delivery_is_not_retried_if_the_other_address_has_the_issue(
    two: tuple[Subscription, Subscription], failed: str
) -> None:
    mine, theirs = two
    states = [DeliveryState.FAILED, DeliveryState.ACCEPTED]
    for subscription, state in zip(two, states if failed == "kept" else reversed(states), strict=True):
        delivered(subscription, "first", state)
    finish()
    send = Send.objects.get()
    assert count_failed(send) == 1
    merge(mine.subscriber_id, theirs.subscriber_id, by="ida")
    delivery = Delivery.objects.get(state=DeliveryState.FAILED)
    assert reason_sentence(delivery.reason) == (
        "The subscriber has another delivery of this issue, at an address that was merged with this one."
    )
    assert count_failed(send) == 0
    with pytest.raises(InvalidTransition):
        retry_failed(send, by="ida")


def test_if_an_issue_failed_for_both_addresses_it_is_retried_once(two: tuple[Subscription, Subscription]) -> None:
    mine, theirs = two
    delivered(mine, "first", DeliveryState.FAILED)
    delivered(theirs, "first", DeliveryState.FAILED)
    finish()
    merge(mine.subscriber_id, theirs.subscriber_id, by="ida")
    assert count_failed(Send.objects.get()) == 1
    assert Delivery.objects.get(reason="other_address").subscriber_id == theirs.subscriber_id


def test_a_third_address_knows_what_the_second_knew_of_the_first(two: tuple[Subscription, Subscription]) -> None:
    mine, theirs = two
    third = make_subscription("cy@example.org", mine.mailing_list)
    delivered(theirs, "first")
    delivered(mine, "first", DeliveryState.FAILED)
    delivered(third, "first", DeliveryState.FAILED)
    finish()
    merge(mine.subscriber_id, theirs.subscriber_id, by="ida")
    merge(third.subscriber_id, mine.subscriber_id, by="ida")
    assert count_failed(Send.objects.get()) == 0


def in_digest(*slugs: str) -> None:
    """Make the issue “weekly” the weekly digest of these issues, which were started."""
    Issue.objects.filter(slug="weekly").update(digest_at=timezone.now())
    Send.objects.filter(issue__slug__in=slugs).update(weekly_digest=Issue.objects.get(slug="weekly"))


@pytest.mark.parametrize("failed", ["first", "weekly"])
def test_an_issue_and_the_digest_with_it_count_as_one(two: tuple[Subscription, Subscription], failed: str) -> None:
    mine, theirs = two
    for subscription, slug in ((mine, "first"), (theirs, "weekly")):
        delivered(subscription, slug, DeliveryState.FAILED if slug == failed else DeliveryState.ACCEPTED)
    in_digest("first")
    finish()
    merge(mine.subscriber_id, theirs.subscriber_id, by="ida")
    assert [count_failed(send) for send in Send.objects.all()] == [0, 0]


def test_addresses_are_not_merged_while_a_failed_digest_has_more_than_the_other_address_got(
    two: tuple[Subscription, Subscription],
) -> None:
    mine, theirs = two
    delivered(mine, "first")
    start_sending(make_issue("second"))
    delivered(theirs, "weekly", DeliveryState.FAILED)
    in_digest("first", "second")
    finish()
    with pytest.raises(MergeRefused, match="Retry the failed deliveries of the digest"):
        merge(mine.subscriber_id, theirs.subscriber_id, by="ida")


@pytest.mark.parametrize(
    ("recipient", "state"), [("ben@example.org", EventState.APPLIED), ("gus@example.org", EventState.ORPHAN)]
)
def test_a_late_event_about_the_merged_address_is_still_applied(
    two: tuple[Subscription, Subscription], recipient: str, state: EventState
) -> None:
    mine, theirs = two
    delivery = delivered(theirs, "second")
    finish()
    merge(mine.subscriber_id, theirs.subscriber_id, by="ida")
    body = {
        "type": "email.opened",
        "created_at": "2026-11-20T07:00:00Z",
        "data": {
            "email_id": delivery.provider_id,
            "to": [recipient],
            "tags": {"delivery": str(delivery.pk), "env": "tests"},
        },
    }
    store_event("resend", SignedEvent(event_id="msg_1", body=orjson.dumps(body).decode()))
    apply_events(get_provider(), limit=50)
    assert Event.objects.get().state == state
    delivery.refresh_from_db()
    assert (delivery.opened_at is not None) == (state == EventState.APPLIED)
