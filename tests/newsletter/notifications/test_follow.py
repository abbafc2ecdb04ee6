"""Messages are made from facts: one for each, of the chosen kinds, from the time on at which an endpoint was made."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from django.db import connection, connections, transaction

from newsletter.models import SendState, WebhookCursor, WebhookEndpoint, WebhookMessage
from newsletter.notifications import follow
from newsletter.notifications.endpoints import activate_endpoint, disable_endpoint, pause_endpoint
from newsletter.notifications.follow import make_messages
from newsletter.notifications.settled import Settled
from subscribers.models import Consent, ConsentForm, ConsentKind, Evidence, SuppressionReason, record_consents
from subscribers.privacy.erase import erase_data_subject
from subscribers.privacy.registry import find_data_subject
from tests import people
from tests.newsletter.notifications.story import (
    import_consents,
    make_all,
    send_an_issue,
    subscribe,
    suppress,
    take,
    unsubscribe,
)
from tests.publications import make_issue, make_newsletter, schedule_send

pytestmark = pytest.mark.django_db

QueryLimit = Callable[..., AbstractContextManager[object]]


def types(endpoint: WebhookEndpoint | None = None) -> list[str]:
    rows = WebhookMessage.objects.filter(endpoint=endpoint) if endpoint else WebhookMessage.objects.all()
    return list(rows.order_by("pk").values_list("type", flat=True))


def test_each_step_of_a_subscription_makes_one_message(endpoint: WebhookEndpoint) -> None:
    unsubscribe(subscribe("ada@example.org"))
    subscribe("ben@example.org")
    suppress("ben@example.org", SuppressionReason.HARD_BOUNCE)
    subscribe("cleo@example.org")
    suppress("cleo@example.org", SuppressionReason.COMPLAINT)
    subscribe("dina@example.org")
    suppress("dina@example.org", SuppressionReason.MANUAL)
    make_all()
    joined = ["subscriber.subscribed", "subscriber.confirmed"]
    ends = ["unsubscribed", "bounced", "complained", "unsubscribed"]
    assert types() == [each for end in ends for each in (*joined, f"subscriber.{end}")]
    assert not make_messages()
    assert len(types()) == 12


def test_declining_ends_a_subscription_and_pausing_and_the_reason_afterwards_say_nothing(
    endpoint: WebhookEndpoint,
) -> None:
    subscription = subscribe("ada@example.org")
    for kind in (ConsentKind.PAUSED, ConsentKind.RESUMED):
        record_consents(kind, [subscription], Evidence(form=ConsentForm.PREFERENCES))
    unsubscribe(subscription)
    reason = Evidence(form=ConsentForm.UNSUBSCRIBE_REASON, detail="too_many")
    record_consents(ConsentKind.UNSUBSCRIBED, [subscription], reason)
    take(people.ben(), ConsentKind.DECLINED, ConsentForm.DECLINE)
    make_all()
    assert types() == [f"subscriber.{each}" for each in ("subscribed", "confirmed", "unsubscribed", "unsubscribed")]


def test_a_message_has_numbers_and_the_list_and_no_address(endpoint: WebhookEndpoint) -> None:
    subscription = subscribe("ada@example.org")
    make_all()
    message = WebhookMessage.objects.latest("pk")
    assert message.data == {
        "subscriber": subscription.subscriber_id,
        "subscription": subscription.pk,
        "list": {"slug": "harbour-notes", "name": "Harbour Notes"},
        "form": "confirm",
        "reason": "",
    }
    assert message.at == Consent.objects.latest("pk").created_at
    assert "ada@" not in str(WebhookMessage.objects.values_list())


def test_a_schedule_and_the_end_of_a_send_make_messages(endpoint: WebhookEndpoint) -> None:
    schedule_send(make_issue("issue-2")).note("rescheduled", by="worker")
    send = send_an_issue("issue-1")
    make_all()
    assert types() == ["issue.scheduled", "issue.sent"]
    message = WebhookMessage.objects.latest("pk")
    assert (message.data["send"], message.data["issue"]["slug"]) == (send.pk, "issue-1")
    assert message.data["newsletter"] == {"slug": "harbour-notes", "name": "Harbour Notes"}
    send.move(SendState.SENDING, by="edda")
    send.move(SendState.SENT, by="worker")
    make_all()
    assert types() == ["issue.scheduled", "issue.sent", "issue.sent"]


def test_nothing_from_before_the_endpoint_is_told(open_at: Callable[..., WebhookEndpoint]) -> None:
    subscription = subscribe("ada@example.org")
    send_an_issue()
    open_at()
    unsubscribe(subscription)
    make_all()
    assert types() == ["subscriber.unsubscribed"]


def test_an_endpoint_gets_the_types_and_the_newsletter_that_it_names(open_at: Callable[..., WebhookEndpoint]) -> None:
    harbour, other = make_newsletter(), make_newsletter("other")
    every, narrow = open_at("/all"), open_at("/one", newsletter=harbour, types=["subscriber.confirmed"])
    subscribe("ada@example.org", harbour)
    subscribe("ben@example.org", other)
    send_an_issue()
    make_all()
    assert types(narrow) == ["subscriber.confirmed"]
    assert len(types(every)) == 5


def test_an_import_makes_messages_only_where_an_endpoint_asks_for_it(
    open_at: Callable[..., WebhookEndpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "WINDOW", 4)
    without, asks = open_at("/without"), open_at("/asks", includes_imports=True)
    import_consents(10)
    subscribe("ada@example.org")
    make_all()
    assert types(without) == ["subscriber.subscribed", "subscriber.confirmed"]
    assert types(asks) == ["subscriber.confirmed"] * 10 + types(without)


def test_imported_consents_are_passed_over_with_a_handful_of_queries(
    endpoint: WebhookEndpoint, django_assert_max_num_queries: QueryLimit
) -> None:
    import_consents(200)
    with django_assert_max_num_queries(20):
        make_all()
    assert types() == []


def test_the_same_fact_read_again_makes_no_second_message(endpoint: WebhookEndpoint) -> None:
    subscribe("ada@example.org")
    make_all()
    uids = set(WebhookMessage.objects.values_list("uid", flat=True))
    WebhookCursor.objects.update(last_pk=0)
    make_all()
    assert set(WebhookMessage.objects.values_list("uid", flat=True)) == uids
    assert WebhookMessage.objects.count() == 2


def test_a_paused_endpoint_misses_nothing(endpoint: WebhookEndpoint) -> None:
    pause_endpoint(endpoint, by="edda")
    subscribe("ada@example.org")
    make_all()
    assert len(types()) == 2


@pytest.mark.parametrize(("catches_up", "count"), [(True, 3), (False, 1)])
def test_a_disabled_endpoint_makes_none_and_may_catch_up(
    endpoint: WebhookEndpoint, catches_up: bool, count: int
) -> None:
    disable_endpoint(endpoint, by="edda", reason="disabled")
    subscription = subscribe("ada@example.org")
    make_all()
    assert types() == []
    activate_endpoint(endpoint, by="edda", catches_up=catches_up)
    unsubscribe(subscription)
    make_all()
    assert len(types()) == count


def test_an_erased_subscriber_is_told_of_no_more(endpoint: WebhookEndpoint) -> None:
    subscribe("ada@example.org")
    erase_data_subject(find_data_subject("ada@example.org"))
    make_all()
    assert types() == []


def test_without_endpoints_the_step_takes_one_query(db: None, django_assert_num_queries: QueryLimit) -> None:
    with django_assert_num_queries(1):
        assert not make_messages()


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_consent_whose_transaction_ends_late_is_not_passed_over(endpoint: WebhookEndpoint) -> None:
    """It has the lower key, and shows after one with a higher key was seen."""
    late, early = people.ada(), people.make_subscription("ben@example.org")
    has_inserted, may_end = threading.Event(), threading.Event()

    def insert_late() -> None:
        with transaction.atomic():
            record_consents(ConsentKind.CONFIRMED, [late], Evidence(form=ConsentForm.CONFIRM))
            has_inserted.set()
            may_end.wait(10)
        connections.close_all()

    thread = threading.Thread(target=insert_late)
    thread.start()
    assert has_inserted.wait(10)
    try:
        record_consents(ConsentKind.CONFIRMED, [early], Evidence(form=ConsentForm.CONFIRM))
        for _ in range(3):
            make_messages()
        assert types() == []
    finally:
        may_end.set()
        thread.join()
    make_all()
    make_all()
    told = list(WebhookMessage.objects.order_by("source_pk").values_list("subscriber_id", flat=True))
    assert told == [late.subscriber_id, early.subscriber_id]


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_facts_before_a_long_import_do_not_wait_for_the_transactions_after_them() -> None:
    """One import chunk follows the other, so that some transaction inserts at any time."""
    settled, rows = Settled(Consent), [people.ada(), people.ben()]
    first_in, first_may_end, second_in, second_may_end = (threading.Event() for _ in range(4))

    def chunk(row: object, is_in: threading.Event, may_end: threading.Event) -> None:
        with transaction.atomic():
            record_consents(ConsentKind.IMPORTED, [row], Evidence(form=ConsentForm.IMPORT))  # type: ignore[list-item]
            is_in.set()
            may_end.wait(10)
        connections.close_all()

    record_consents(ConsentKind.CONFIRMED, rows, Evidence(form=ConsentForm.CONFIRM))
    seen = Consent.objects.latest("pk").pk
    first = threading.Thread(target=chunk, args=(rows[0], first_in, first_may_end))
    first.start()
    assert first_in.wait(10)
    assert settled.pk() == 0
    second = threading.Thread(target=chunk, args=(rows[1], second_in, second_may_end))
    second.start()
    assert second_in.wait(10)
    first_may_end.set()
    first.join()
    assert settled.pk() == seen
    second_may_end.set()
    second.join()
    assert settled.pk() == Consent.objects.latest("pk").pk == seen + 2
    assert connection.vendor == "postgresql"
