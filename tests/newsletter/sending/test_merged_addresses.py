"""Merging two addresses of one person: deliveries follow, and nothing on its way is lost or sent twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import orjson
import pytest
from django.utils import timezone

from newsletter.config.failpoints import Point
from newsletter.events.apply import apply_events
from newsletter.events.inbox import store_event
from newsletter.models import (
    SEND_MACHINE,
    Batch,
    BatchState,
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
from newsletter.sending import merged_addresses, schedule
from newsletter.sending.retry import count_failed, retry_failed
from newsletter.sending.schedule import send_now
from subscribers.directory.merge import MergeRefused, merge
from subscribers.models import Subscriber, Subscription
from tests.newsletter.sending.two_connections import in_a_thread, waits_for_a_lock
from tests.people import ada, ben, finn, make_mailing_list, make_subscription
from tests.publications import expand_audiences, make_issue, start_sending

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


# --- Beside a start or a retry --------------------------------------------------------------------------------------


@pytest.fixture
def merging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Merging]:
    """A merge that stops after its checks and before its first change, until the test lets it go on."""
    stopped = Merging()
    check = merged_addresses._failed_weekly_digests

    def wait(kept: Subscriber, merged: Subscriber) -> set[int]:
        found = check(kept, merged)
        stopped.reached.set()
        stopped.may_go_on.wait(60)
        return found

    monkeypatch.setattr(merged_addresses, "_failed_weekly_digests", wait)
    yield stopped
    stopped.may_go_on.set()


class Merging:
    """Two events of the merge."""

    def __init__(self) -> None:
        self.reached, self.may_go_on = threading.Event(), threading.Event()

    def is_waited_for(self, kept: Subscription, merged: Subscription, action: Callable[[], object]) -> None:
        """Merge, start the action in the middle of that, and let both end. The action must wait for the merge."""
        threads = [in_a_thread(lambda: merge(kept.subscriber_id, merged.subscriber_id, by="ida"))]
        assert self.reached.wait(60)
        threads.append(in_a_thread(action))
        while threads[1].is_alive() and not waits_for_a_lock():
            threads[1].join(0.05)
        waits = threads[1].is_alive()
        self.may_go_on.set()
        for thread in threads:
            thread.join(60)
        assert waits


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_an_issue_that_starts_during_a_merge_is_for_the_address_that_is_kept(merging: Merging) -> None:
    issue = make_issue("first")
    mine = make_subscription("cy@example.org", make_mailing_list("club", name="Club"))
    theirs = ada(issue.newsletter)
    merging.is_waited_for(mine, theirs, lambda: send_now(issue, by="tests", may_undo=False))
    expand_audiences()
    assert list(Delivery.objects.values_list("subscriber", flat=True)) == [mine.subscriber_id]


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_a_retry_during_a_merge_leaves_out_who_has_the_issue_at_the_other_address(merging: Merging) -> None:
    issue = make_issue("first")
    mine, theirs, other = ada(issue.newsletter), ben(issue.newsletter), finn(issue.newsletter)
    start_sending(issue)
    Delivery.objects.bulk_create(
        Delivery(issue=issue, send=Send.objects.get(), subscriber=each.subscriber, state=state)
        for each, state in ((mine, "failed"), (theirs, "accepted"), (other, "failed"))
    )
    keys = list(Delivery.objects.order_by("pk").values_list("pk", flat=True))
    Batch.objects.create(
        send=Send.objects.get(),
        edition=Send.objects.get().edition,
        first_delivery=keys[0],
        last_delivery=keys[-1],
        key="first",
        state=BatchState.ACCEPTED,
    )
    finish()
    merging.is_waited_for(mine, theirs, lambda: retry_failed(Send.objects.get(), by="ida"))
    pending = Delivery.objects.filter(state=DeliveryState.PENDING)
    assert list(pending.values_list("subscriber", flat=True)) == [other.subscriber_id]


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_a_merge_waits_for_an_issue_that_is_being_started_and_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    issue = make_issue("first")
    mine, theirs = ada(issue.newsletter), ben(make_mailing_list("club", name="Club"))
    reached, may_commit = threading.Event(), threading.Event()
    refused: list[MergeRefused] = []

    def wait(point: Point) -> None:
        if point is Point.START_UNCOMMITTED:
            reached.set()
            may_commit.wait(60)

    def merge_both() -> None:
        try:
            merge(theirs.subscriber_id, mine.subscriber_id, by="ida")
        except MergeRefused as error:
            refused.append(error)

    monkeypatch.setattr(schedule, "failpoint", wait)
    starting = in_a_thread(lambda: send_now(issue, by="tests", may_undo=False))
    assert reached.wait(60)
    merging = in_a_thread(merge_both)
    while merging.is_alive() and not waits_for_a_lock():
        merging.join(0.05)
    may_commit.set()
    for thread in (starting, merging):
        thread.join(60)
    assert len(refused) == 1


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
        "type": "email.delivered",
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
    assert (delivery.delivered_at is not None) == (state == EventState.APPLIED)
