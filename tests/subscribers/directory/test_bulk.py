"""Bulk actions: what they change, and what an interruption leaves."""

from __future__ import annotations

from typing import Any

import pytest

from subscribers.directory import bulk
from subscribers.directory.selection import Selection
from subscribers.models import (
    BulkAction,
    BulkActionKind,
    BulkActionReason,
    BulkActionState,
    Change,
    Consent,
    Segment,
    SegmentPick,
    Subscription,
    SubscriptionState,
    SuppressionReason,
)
from subscribers.profile.tags import get_tags
from subscribers.suppression import get_suppression
from tests.people import ada, cleo, make_mailing_list, make_subscription, make_subscriptions

pytestmark = pytest.mark.django_db

EVERYBODY = Selection()


def start(kind: BulkActionKind, selection: Selection = EVERYBODY, **values: Any) -> BulkAction:
    return bulk.start_bulk_action(kind, selection, values, by="ida")


@pytest.fixture
def in_chunks_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "CHUNK", 2)


@pytest.fixture
def in_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "AT_ONCE", 0)


def test_a_tag_is_added_to_those_without_it_and_removed_again(in_chunks_of_two: None) -> None:
    make_subscriptions(5)
    (tag,) = get_tags(make_mailing_list(), ["patron"])
    action = start(BulkActionKind.ADD_TAG, tag=tag.pk)
    assert (action.state, action.total, action.done, action.changed) == (BulkActionState.FINISHED, 5, 5, 5)
    assert start(BulkActionKind.ADD_TAG, tag=tag.pk).changed == 0
    assert Change.objects.filter(kind="tag_added", by="ida").count() == 5
    assert start(BulkActionKind.REMOVE_TAG, Selection(text="reader-3"), tag=tag.pk).changed == 1
    assert tag.subscription_tags.count() == 4


def test_a_tag_stays_on_its_list() -> None:
    ada()
    there = ada(make_mailing_list("tide-tables", name="Tide Tables"))
    (tag,) = get_tags(make_mailing_list(), ["patron"])
    assert start(BulkActionKind.ADD_TAG, tag=tag.pk).changed == 1
    assert not there.subscription_tags.exists()


def test_subscribers_are_added_to_a_picked_segment_once() -> None:
    make_subscriptions(3)
    segment = Segment.objects.create(mailing_list=make_mailing_list(), name="Jury", is_picked=True)
    assert start(BulkActionKind.ADD_TO_SEGMENT, segment=segment.pk).changed == 3
    assert start(BulkActionKind.ADD_TO_SEGMENT, segment=segment.pk).changed == 0
    assert segment.picks.count() == 3


def test_unsubscribing_ends_the_subscriptions_that_the_filter_names_only() -> None:
    here = ada()
    there = ada(make_mailing_list("tide-tables", name="Tide Tables"))
    ended = cleo()
    action = start(BulkActionKind.UNSUBSCRIBE, Selection(mailing_list=here.mailing_list_id), words="asked by letter")
    assert (action.total, action.changed) == (2, 1)
    for subscription in (here, there, ended):
        subscription.refresh_from_db()
    assert (here.state, there.state) == (SubscriptionState.UNSUBSCRIBED, SubscriptionState.ACTIVE)
    proof = Consent.objects.get()
    assert (proof.form, proof.by, proof.detail) == ("admin", "ida", "asked by letter")


def test_suppressing_ends_every_subscription_of_the_address() -> None:
    here, there = ada(), ada(make_mailing_list("tide-tables", name="Tide Tables"))
    start(BulkActionKind.SUPPRESS, Selection(mailing_list=here.mailing_list_id), words="role account")
    for subscription in (here, there):
        subscription.refresh_from_db()
        assert subscription.state == SubscriptionState.SUPPRESSED
    stored = get_suppression(here.subscriber.canonical)
    assert stored is not None
    assert (stored.reason, stored.detail) == (SuppressionReason.MANUAL, "role account")


def test_a_large_action_waits_for_a_worker_and_continues_where_it_was_interrupted(
    in_chunks_of_two: None, in_background: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_subscriptions(5)
    action = start(BulkActionKind.UNSUBSCRIBE)
    assert action.state == BulkActionState.WAITING
    assert bulk.run_bulk_actions()
    with monkeypatch.context() as broken:
        # The process ends after the rows were changed, and before the progress is stored.
        broken.setattr(bulk, "F", lambda _name: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            bulk.run_bulk_actions()
    action.refresh_from_db()
    assert (action.state, action.done, action.percent) == (BulkActionState.RUNNING, 2, 40)
    assert Subscription.objects.filter(state=SubscriptionState.ACTIVE).count() == 3
    while bulk.run_bulk_actions():
        pass
    action.refresh_from_db()
    assert (action.state, action.done, action.changed) == (BulkActionState.FINISHED, 5, 5)
    assert Consent.objects.count() == 5


def test_subscribers_who_come_later_are_left_alone(in_background: None) -> None:
    make_subscriptions(2)
    action = start(BulkActionKind.UNSUBSCRIBE)
    late = make_subscription("late@example.org")
    while bulk.run_bulk_actions():
        pass
    action.refresh_from_db()
    late.refresh_from_db()
    assert (action.changed, late.state) == (2, SubscriptionState.ACTIVE)


def test_an_action_whose_tag_was_deleted_fails_with_the_reason(in_background: None) -> None:
    make_subscriptions(2)
    (tag,) = get_tags(make_mailing_list(), ["patron"])
    action = start(BulkActionKind.ADD_TAG, tag=tag.pk)
    tag.delete()
    while bulk.run_bulk_actions():
        pass
    action.refresh_from_db()
    assert (action.state, action.reason) == (BulkActionState.FAILED, BulkActionReason.TAG_GONE)


def test_an_action_whose_filter_names_a_deleted_segment_fails_with_the_reason(in_background: None) -> None:
    segment = Segment.objects.create(mailing_list=make_mailing_list(), name="Jury", is_picked=True)
    segment.picks.bulk_create(SegmentPick(segment=segment, subscription=row) for row in make_subscriptions(2))
    action = start(BulkActionKind.UNSUBSCRIBE, Selection(segment=segment.pk))
    segment.delete()
    while bulk.run_bulk_actions():
        pass
    action.refresh_from_db()
    assert (action.state, action.reason) == (BulkActionState.FAILED, BulkActionReason.SELECTION_GONE)


def test_a_cancelled_action_does_no_more(in_chunks_of_two: None, in_background: None) -> None:
    make_subscriptions(5)
    action = start(BulkActionKind.UNSUBSCRIBE)
    bulk.run_bulk_actions()
    action.refresh_from_db()
    bulk.cancel_bulk_action(action)
    assert not bulk.run_bulk_actions()
    assert Subscription.objects.filter(state=SubscriptionState.ACTIVE).count() == 3
