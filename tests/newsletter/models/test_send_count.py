"""Counters of a send: whatever changes its deliveries, they say what a recount says."""

from __future__ import annotations

import datetime
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from newsletter.events.statistics import rebuild_statistics
from newsletter.models import Delivery, DeliveryState, EventType, Reason, Send, SendCount
from newsletter.models.send_count import fold_send_counts
from tests import people
from tests.installation import wait_until
from tests.publications import make_issue, start_sending

START = datetime.datetime(2026, 11, 20, 7, tzinfo=datetime.UTC)

#: A change of a delivery: its state, its reason, and a type of event with the minutes after START, if any.
changes = st.fixed_dictionaries(
    {},
    optional={
        "state": st.sampled_from(list(DeliveryState)),
        "reason": st.sampled_from(["", Reason.OTHER_ADDRESS, Reason.DELIVERED_AFTER_ALL]),
        "event": st.tuples(st.sampled_from(list(EventType)), st.integers(0, 200)),
    },
)


def counters(send: Send) -> dict[tuple[str, str, str], int]:
    found: Counter[tuple[str, str, str]] = Counter()
    for scope, key, name, value in SendCount.objects.filter(send=send).values_list("scope", "key", "name", "value"):
        found[scope, key, name] += value
    return {what: value for what, value in found.items() if value}


def recounted(send: Send) -> dict[tuple[str, str, str], int]:
    """The counters as `rebuild_statistics` makes them; what was counted is put back."""
    with transaction.atomic():
        rebuild_statistics(send)
        found = counters(send)
        transaction.set_rollback(True)
    return found


def without_keys(found: dict[tuple[str, str, str], int]) -> dict[tuple[str, str, str], int]:
    """Only what the database counts by itself; the rest is counted where events are applied."""
    return {what: value for what, value in found.items() if what[0] in ("", "reason")}


def changed(change: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {name: value for name, value in change.items() if name != "event"}
    if "event" in change:
        event_type, minutes = change["event"]
        values[f"{event_type.value}_at"] = START + datetime.timedelta(minutes=minutes)
    return values


class AnyChange(TestCase):
    """Deliveries may be changed by any statement, one by one or many at once."""

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 3), changes), max_size=12), st.booleans())
    def test_the_counters_are_those_of_a_recount(
        self, steps: list[tuple[int, dict[str, Any]]], is_deleted: bool
    ) -> None:
        send = start_sending(make_issue(slug=f"issue-{make_number()}"))
        subscriptions = [people.make_subscription(f"{name}@example.org", send.issue.newsletter) for name in "abc"]
        for subscription in subscriptions:
            Delivery.objects.create(issue=send.issue, send=send, subscriber=subscription.subscriber)
        keys = list(Delivery.objects.filter(send=send).order_by("pk").values_list("pk", flat=True))
        for place, change in steps:
            chosen = keys if place == len(keys) else [keys[place]]
            Delivery.objects.filter(pk__in=chosen).update(**(changed(change) or {"detail": "nothing that counts"}))
        if is_deleted:
            Delivery.objects.filter(pk=keys[0]).delete()
        assert without_keys(counters(send)) == without_keys(recounted(send))
        assert sum(value for (_, _, name), value in counters(send).items() if name.startswith("place.")) == len(
            keys
        ) - int(is_deleted)


def make_number() -> int:
    return Send.objects.count() + 1


def test_a_recount_mends_a_counter_that_is_wrong(db: None) -> None:
    send = start_sending(make_issue())
    subscription = people.make_subscription(people.ADA, send.issue.newsletter)
    Delivery.objects.create(issue=send.issue, send=send, subscriber=subscription.subscriber, delivered_at=START)
    SendCount.objects.filter(send=send).update(value=7)
    SendCount.objects.add({(send.pk, "hour", "2026-01-01T00", "opened"): 3})
    rebuild_statistics(send)
    assert counters(send)["", "", "audience"] == 1
    assert counters(send)["hour", "2026-11-20T07", "delivered"] == 1
    assert counters(send)["domain", "example.org", "delivered"] == 1
    assert ("hour", "2026-01-01T00", "opened") not in counters(send)


def test_what_connections_counted_is_added_up_and_stays_the_same(db: None) -> None:
    send = start_sending(make_issue())
    subscription = people.make_subscription(people.ADA, send.issue.newsletter)
    Delivery.objects.create(issue=send.issue, send=send, subscriber=subscription.subscriber, delivered_at=START)
    before = counters(send)
    assert not fold_send_counts()
    assert counters(send) == before
    assert not SendCount.objects.exclude(writer=0).exists()
    Delivery.objects.filter(send=send).update(opened_at=START)
    assert counters(send)["", "", "event.opened"] == 1


def test_a_change_that_is_rolled_back_is_not_counted(db: None) -> None:
    send = start_sending(make_issue())
    subscription = people.make_subscription(people.ADA, send.issue.newsletter)
    values = {"issue": send.issue, "send": send, "subscriber": subscription.subscriber}
    Delivery.objects.create(**values)
    before = counters(send)
    with transaction.atomic():
        Delivery.objects.update(state=DeliveryState.ACCEPTED)
        assert counters(send) != before
        transaction.set_rollback(True)
    assert counters(send) == before


def test_the_triggers_are_on_the_table(db: None) -> None:
    """A migration that makes the table of deliveries anew must make them again."""
    query = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'newsletter_delivery'",
        "postgresql": """
            SELECT tgname FROM pg_trigger WHERE tgrelid = 'newsletter_delivery'::regclass AND NOT tgisinternal
        """,
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(query)
        names = {name.removeprefix("newsletter_delivery_count_") for (name,) in cursor.fetchall()}
    types = {event_type.value for event_type in EventType}
    assert names == (
        {"insert", "update", "delete"}
        if connection.vendor == "postgresql"
        else {"insert", "delete", "state", "reason", "derived", *types}
    )


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_recount_waits_for_counters_that_are_being_added_up() -> None:
    """Rows that a fold writes after the recount has deleted the counters would be counted twice."""
    send = start_sending(make_issue())
    subscription = people.make_subscription(people.ADA, send.issue.newsletter)
    Delivery.objects.create(issue=send.issue, send=send, subscriber=subscription.subscriber, delivered_at=START)
    before = without_keys(counters(send))

    def recount() -> None:
        try:
            rebuild_statistics(send)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            fold_send_counts()
            recounted_later = pool.submit(recount)
            wait_until(is_awaited, "the recount waits")
        recounted_later.result()
    assert without_keys(counters(send)) == before


def is_awaited() -> bool:
    """Whether another connection waits for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])
