"""Times of opens and clicks leave deliveries after 13 months, and no counter changes: not now, and not in a recount."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from newsletter.engagement.delivery_times import are_kept
from newsletter.engagement.judge import judge_due
from newsletter.events.statistics import rebuild_statistics
from newsletter.models import (
    Batch,
    Delivery,
    DeliveryState,
    Edition,
    Hit,
    HitMethod,
    Send,
    SendCount,
    Verdict,
)
from newsletter.models.send_count import KEPT, fold_send_counts
from newsletter.privacy import engagement_times
from newsletter.privacy.engagement_times import EngagementTimes, clear_times
from newsletter.sending.retry import count_failed
from subscribers.models import RetentionProgress, Subscriber
from subscribers.privacy.retention import overdue_rules, purge_expired
from tests import people
from tests.newsletter.models.test_send_count import START, changed, changes, counters, make_number, recounted
from tests.publications import expand_audiences, make_issue, start_sending

LONG_AGO = datetime.timedelta(days=400)


def sent_long_ago(*names: str, ago: datetime.timedelta = LONG_AGO) -> Send:
    """A send with a batch, which began so long ago."""
    issue = make_issue(slug=f"issue-{make_number()}")
    for name in names:
        people.make_subscription(f"{name}@{name}.example", issue.newsletter)
    send = start_sending(issue)
    expand_audiences()
    Send.objects.filter(pk=send.pk).update(started_at=timezone.now() - ago)
    # Editions are immutable; only time can make one older.
    QuerySet.update(Edition.objects.filter(issue=issue), created_at=timezone.now() - ago)
    send.refresh_from_db()
    return send


def count_by_key(send: Send) -> None:
    """Count by hour and domain what tests write to deliveries directly."""
    rebuild_statistics(send)


def clear(send: Send) -> None:
    clear_times(list(Delivery.objects.filter(send=send).values_list("pk", flat=True)))


class AnyDeliveries(TestCase):
    """Whatever events say of deliveries, in whatever state they are."""

    @hypothesis_settings(max_examples=20, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 3), changes), max_size=14), st.booleans())
    def test_clearing_changes_no_counter_and_a_recount_afterwards_changes_none(
        self, steps: list[tuple[int, dict[str, Any]]], is_folded: bool
    ) -> None:
        send = sent_long_ago("a", "b", "c")
        keys = list(Delivery.objects.filter(send=send).order_by("pk").values_list("pk", flat=True))
        for place, change in steps:
            chosen = keys if place == len(keys) else [keys[place]]
            Delivery.objects.filter(pk__in=chosen).update(**(changed(change) or {"detail": "nothing that counts"}))
        count_by_key(send)
        before = counters(send)
        clear(send)
        assert not Delivery.objects.filter(send=send).filter(engagement_times.HAS_TIMES).exists()
        if is_folded:
            fold_send_counts()
        assert counters(send) == before
        assert recounted(send) == before
        clear(send)
        assert counters(send) == before


@pytest.mark.django_db
def test_what_happens_to_other_deliveries_later_is_counted_as_ever() -> None:
    send = sent_long_ago("a", "b")
    first, second = Delivery.objects.filter(send=send).order_by("pk")
    Delivery.objects.filter(send=send).update(state=DeliveryState.ACCEPTED)
    Delivery.objects.filter(pk=first.pk).update(opened_at=START, clicked_at=START)
    count_by_key(send)
    clear(send)
    Delivery.objects.filter(pk=second.pk).update(bounced_at=START)
    rebuild_statistics(send)
    found = counters(send)
    assert (found["", "", "event.opened"], found["", "", "event.clicked"], found["", "", "event.bounced"]) == (1, 1, 1)
    assert (found["", "", "reached"], found["", "", "place.reached"], found["", "", "place.bounced"]) == (1, 1, 1)
    assert found["hour", "2026-11-20T07", "opened"] == 1
    assert found["domain", "a.example", "clicked"] == 1


@pytest.mark.django_db
def test_a_delivery_that_was_opened_is_not_sent_again_once_its_times_are_gone() -> None:
    send = sent_long_ago("a")
    Delivery.objects.filter(send=send).update(state=DeliveryState.ACCEPTED, failed_at=START, opened_at=START)
    clear(send)
    row = Delivery.objects.get(send=send)
    assert row.delivered_at == send.started_at
    assert count_failed(send) == 0
    rebuild_statistics(send)
    assert counters(send).get(("", "", "retriable"), 0) == 0


@pytest.mark.django_db
def test_an_erased_subscriber_takes_no_count_along() -> None:
    send = sent_long_ago("a", "b")
    Delivery.objects.filter(send=send).update(state=DeliveryState.ACCEPTED, opened_at=START)
    count_by_key(send)
    Subscriber.objects.filter(canonical="a@a.example").delete()
    before = counters(send)
    clear(send)
    assert counters(send) == before
    after = recounted(send)
    assert after["", "", "event.opened"] == 2
    assert sum(value for (scope, _, name), value in after.items() if (scope, name) == ("domain", "opened")) == 2


def purge() -> None:
    while purge_expired():
        pass


@pytest.mark.django_db
def test_the_worker_clears_sends_in_their_order_up_to_the_first_that_is_not_old_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engagement_times, "BATCHES_PER_RUN", 1)
    days = settings.RETENTION_DAYS["engagement_times"]
    more = {"a": 30, "b": 5, "c": -1}
    sends = [sent_long_ago(name, ago=datetime.timedelta(days=days + more[name])) for name in more]
    Delivery.objects.update(state=DeliveryState.ACCEPTED, opened_at=timezone.now())
    assert [rule.name for rule in overdue_rules(timezone.now())] == ["engagement_times"]
    purge()
    left = Delivery.objects.filter(opened_at__isnull=False).values_list("send", flat=True)
    assert set(left) == {sends[2].pk}
    assert EngagementTimes().purge(timezone.now() - datetime.timedelta(days=days)) == 0
    last = Batch.objects.filter(send=sends[1]).get()
    assert RetentionProgress.objects.get(name="engagement_times").last_pk == last.pk
    assert overdue_rules(timezone.now()) == []


@pytest.mark.django_db
@pytest.mark.parametrize(("ago", "is_written"), [(LONG_AGO, False), (datetime.timedelta(days=300), True)])
def test_a_late_click_on_an_old_mail_is_counted_and_its_time_is_not_kept(
    ago: datetime.timedelta, is_written: bool
) -> None:
    send = sent_long_ago("a", ago=ago)
    Delivery.objects.update(state=DeliveryState.ACCEPTED)
    edition = Edition.objects.get(issue=send.issue)
    assert are_kept(edition) is is_written
    delivery = Delivery.objects.get(send=send)
    Hit.objects.create(
        edition=edition, delivery_id=delivery.pk, at=timezone.now(), number=5, method=HitMethod.GET, agent="Firefox",
        network="n", network_class="", visitor="",
    )  # fmt: skip
    assert judge_due(edition) == 1
    assert Hit.objects.get().verdict in Verdict.values
    delivery.refresh_from_db()
    if Hit.objects.get().verdict == Verdict.HUMAN:
        assert (delivery.clicked_at is not None) is is_written


@pytest.mark.django_db
def test_rows_that_are_kept_are_neither_folded_nor_counted_again() -> None:
    send = sent_long_ago("a")
    Delivery.objects.update(state=DeliveryState.ACCEPTED, clicked_at=START)
    clear(send)
    kept = SendCount.objects.filter(writer=KEPT)
    before = sorted(kept.values_list("scope", "key", "name", "value"))
    assert ("", "", "event.clicked", 1) in before
    fold_send_counts()
    rebuild_statistics(send)
    assert sorted(kept.values_list("scope", "key", "name", "value")) == before
