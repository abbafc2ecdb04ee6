"""Receipts: stored once, applied in any order, counted once; hard bounces and complaints end all mailing."""

from __future__ import annotations

import datetime
import itertools
from typing import Any

import orjson
import pytest
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from newsletter.events.apply import apply_events
from newsletter.events.inbox import store_event
from newsletter.models import Delivery, DeliveryStatus, Edition, Event, EventState, Fact, Issue
from newsletter.providers import get_provider
from newsletter.providers.base import ParsedEvent, SignedEvent
from newsletter.reports.statistics import report_of
from subscribers.models import Subscription, SubscriptionState, Suppression, SuppressionReason
from tests import people
from tests.publications import make_issue, start_sending

START = datetime.datetime(2026, 11, 20, 7, tzinfo=datetime.UTC)
HARD: dict[str, Any] = {"bounce": {"type": "Permanent", "subType": "NoEmail", "message": "550 5.1.1 no such user"}}

numbers = itertools.count(1)


def edition_of(issue: Issue) -> Edition:
    """What goes out of an issue."""
    return Edition.objects.get(sent_as=issue)


def delivery_for(address: str, issue: Issue) -> Delivery:
    """An accepted delivery to a reader."""
    reader = people.make_subscription(address, issue.newsletter)
    return Delivery.objects.create(
        edition=edition_of(issue),
        subscriber=reader.subscriber,
        status=DeliveryStatus.ACCEPTED,
        provider_id=f"e-{address}",
    )


@pytest.fixture
def issue(db: None) -> Issue:
    return start_sending(make_issue())


@pytest.fixture
def delivery(issue: Issue) -> Delivery:
    return delivery_for(people.ADA, issue)


def receive(kind: str, delivery: Delivery, *, after: float = 0, event_id: str = "", **data: Any) -> None:
    """Store an event about a delivery, `after` seconds from the start, as the webhook view does."""
    body = {
        "type": kind,
        "created_at": (START + datetime.timedelta(seconds=after)).isoformat(),
        "data": {
            "email_id": delivery.provider_id,
            "to": [delivery.subscriber.address],
            "tags": {"delivery": str(delivery.pk), "env": "tests"},
            **data,
        },
    }
    signed = SignedEvent(event_id=event_id or f"msg_{next(numbers)}", body=orjson.dumps(body).decode())
    store_event("resend", signed)


def apply() -> None:
    while apply_events(get_provider(), limit=50):
        pass


def states() -> list[str]:
    return list(Event.objects.order_by("pk").values_list("state", flat=True))


def test_an_event_becomes_the_time_of_a_fact(delivery: Delivery) -> None:
    receive("email.delivered", delivery, after=3)
    apply()
    delivery.refresh_from_db()
    assert delivery.delivered_at == START + datetime.timedelta(seconds=3)
    assert (states(), delivery.outcome) == ([EventState.APPLIED], "Delivered")


def test_the_first_time_of_a_fact_stays(delivery: Delivery) -> None:
    for after in (5, 2, 9):
        receive("email.opened", delivery, after=after)
        apply()
    delivery.refresh_from_db()
    assert delivery.opened_at == START + datetime.timedelta(seconds=2)


def test_a_repeated_event_is_stored_once(delivery: Delivery) -> None:
    receive("email.delivered", delivery, event_id="msg_same")
    receive("email.delivered", delivery, event_id="msg_same")
    assert Event.objects.count() == 1


def test_a_late_delivered_event_does_not_undo_a_complaint(delivery: Delivery) -> None:
    receive("email.complained", delivery, after=9)
    receive("email.delivered", delivery, after=1)
    apply()
    delivery.refresh_from_db()
    assert delivery.outcome == "Complained"


def test_an_unknown_kind_of_event_is_kept_and_ignored(delivery: Delivery) -> None:
    receive("email.teleported", delivery)
    apply()
    assert states() == [EventState.IGNORED]


def test_an_event_of_another_installation_is_ignored(delivery: Delivery) -> None:
    receive("email.complained", delivery, tags={"delivery": str(delivery.pk), "env": "staging"})
    apply()
    assert states() == [EventState.IGNORED]
    assert not Suppression.objects.exists()


@pytest.mark.parametrize(
    "data",
    [{"tags": {"delivery": "999999", "env": "tests"}}, {"to": ["mallory@example.org"]}, {"to": []}],
    ids=["no such delivery", "another recipient", "no recipient"],
)
def test_an_event_that_fits_no_delivery_is_an_orphan_and_changes_nothing(
    delivery: Delivery, data: dict[str, Any]
) -> None:
    receive("email.complained", delivery, **data)
    apply()
    delivery.refresh_from_db()
    assert (states(), delivery.complained_at) == ([EventState.ORPHAN], None)
    assert not Suppression.objects.exists()


def test_an_unreadable_body_does_not_stop_the_others(delivery: Delivery) -> None:
    store_event("resend", SignedEvent(event_id="msg_broken", body="{"))
    receive("email.delivered", delivery)
    apply()
    assert states() == [EventState.IGNORED, EventState.APPLIED]


def test_an_escaped_nul_breaks_nothing_and_shows_nowhere(delivery: Delivery) -> None:
    receive("email.bounced", delivery, bounce={"type": "Transient", "message": "full\x00 up, \\u0000 they say"})
    apply()
    receipt = Event.objects.get()
    assert receipt.state == EventState.APPLIED
    assert receipt.note == "soft bounce: full  up, \\u0000 they say"


def test_a_subject_that_speaks_of_an_escape_costs_no_receipt(delivery: Delivery) -> None:
    receive("email.complained", delivery, subject="What \\u0000 does")
    apply()
    assert states() == [EventState.APPLIED]


def test_what_no_provider_would_send_keeps_no_receipt_waiting(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = get_provider()
    real_parse = provider.parse

    def parse(body: str) -> ParsedEvent:
        if "poison" in body:
            raise RuntimeError("Nobody thought of this.")
        return real_parse(body)

    monkeypatch.setattr(provider, "parse", parse)
    receive("email.delivered", delivery, poison=True)
    receive("email.delivered", delivery)
    apply()
    assert states() == [EventState.IGNORED, EventState.APPLIED]


@pytest.mark.parametrize("created_at", ["0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00", "yesterday"])
def test_an_absurd_time_is_no_fact(delivery: Delivery, created_at: str) -> None:
    tags = {"delivery": str(delivery.pk), "env": "tests"}
    body = {"type": "email.delivered", "created_at": created_at, "data": {"to": [people.ADA], "tags": tags}}
    store_event("resend", SignedEvent(event_id="msg_t", body=orjson.dumps(body).decode()))
    apply()
    delivery.refresh_from_db()
    assert (states(), delivery.delivered_at) == ([EventState.IGNORED], None)


def test_a_raw_nul_is_taken_out_of_the_copy(delivery: Delivery) -> None:
    store_event("resend", SignedEvent(event_id="msg_raw", body='{"type": "email.sent\x00"}'))
    assert "\x00" not in Event.objects.get().body


def test_a_hard_bounce_suppresses_the_address_on_every_list(delivery: Delivery) -> None:
    receive("email.bounced", delivery, **HARD)
    apply()
    assert Suppression.objects.get().reason == SuppressionReason.HARD_BOUNCE
    assert Subscription.objects.get().state == SubscriptionState.SUPPRESSED


def test_a_complaint_suppresses_even_before_the_mail_is_known_as_delivered(delivery: Delivery) -> None:
    receive("email.complained", delivery)
    apply()
    assert Suppression.objects.get().reason == SuppressionReason.COMPLAINT


@pytest.mark.parametrize(
    "bounce",
    [
        {"type": "Transient", "subType": "MailboxFull"},
        {"type": "Permanent", "subType": "General", "message": "550 5.7.515 our DNS is wrong"},
        {"type": "Undetermined"},
    ],
    ids=["soft", "policy", "undetermined"],
)
def test_no_other_bounce_costs_a_reader_their_subscription(delivery: Delivery, bounce: dict[str, str]) -> None:
    receive("email.bounced", delivery, bounce=bounce)
    apply()
    delivery.refresh_from_db()
    assert delivery.bounced_at
    assert not Suppression.objects.exists()


def test_the_providers_own_list_suppresses_too(delivery: Delivery) -> None:
    receive("email.suppressed", delivery, suppressed={"message": "On your list", "type": "OnAccountSuppressionList"})
    apply()
    assert Suppression.objects.get().reason == SuppressionReason.PROVIDER


def test_a_bounced_confirmation_mail_suppresses_although_it_belongs_to_no_issue(issue: Issue) -> None:
    notice_tags = {"notice": "5", "env": "tests"}
    body = {
        "type": "email.bounced",
        "created_at": START.isoformat(),
        "data": {"to": ["x@example.org"], "tags": notice_tags, **HARD},
    }
    store_event("resend", SignedEvent(event_id="msg_n", body=orjson.dumps(body).decode()))
    apply()
    assert Suppression.objects.count() == 1


def test_an_event_for_an_erased_reader_still_suppresses(issue: Issue, delivery: Delivery) -> None:
    receive("email.complained", delivery)
    Subscription.objects.all().delete()
    delivery.subscriber.delete()
    apply()
    assert Suppression.objects.count() == 1


def test_a_webhook_that_comes_before_the_answer_of_the_post_is_not_lost(issue: Issue) -> None:
    reader = people.ada(issue.newsletter)
    waiting = Delivery.objects.create(
        edition=edition_of(issue), subscriber=reader.subscriber, status=DeliveryStatus.BATCHED
    )
    receive("email.delivered", waiting, email_id="e-early")
    apply()
    waiting.refresh_from_db()
    assert (waiting.provider_id, bool(waiting.delivered_at)) == ("e-early", True)


def test_readers_are_counted_once_however_often_they_click(issue: Issue) -> None:
    for address in ("a@example.org", "b@example.org"):
        delivery = delivery_for(address, issue)
        for after in range(5):
            receive("email.clicked", delivery, after=after, click={"link": "https://harbour.example/1"})
    apply()
    assert report_of(issue).clicked == 2


@pytest.mark.django_db
def test_a_thousand_receipts_take_few_statements(issue: Issue, django_assert_max_num_queries: Any) -> None:
    for number in range(40):
        receive("email.delivered", delivery_for(f"r{number}@example.org", issue))
    with django_assert_max_num_queries(10):
        apply_events(get_provider(), limit=100)
    assert report_of(issue).delivered == 40


KINDS = {fact: f"email.{'delivery_delayed' if fact is Fact.DELAYED else fact.value}" for fact in Fact}


class AnyOrder(TestCase):
    """The same events end in the same row, in any order, with any repeats, in any portions."""

    @settings(max_examples=30, deadline=None)
    @given(
        st.lists(st.tuples(st.sampled_from(list(Fact)), st.integers(0, 5)), max_size=12),
        st.randoms(use_true_random=False),
    )
    def test_the_row_depends_on_the_events_alone(self, events: list[tuple[Fact, int]], chance: Any) -> None:
        issue = start_sending(make_issue(slug=f"issue-{next(numbers)}"))
        rows = []
        for address in ("in-order@example.org", "shuffled@example.org"):
            Subscription.objects.filter(subscriber__canonical=address).delete()
            delivery = delivery_for(address, issue)
            received = list(events)
            if address.startswith("shuffled"):
                received += received[: len(received) // 2]
                chance.shuffle(received)
            for fact, after in received:
                receive(KINDS[fact], delivery, after=after, bounce={"type": "Transient"})
                if chance.random() < 0.3:
                    apply()
            apply()
            delivery.refresh_from_db()
            rows.append([getattr(delivery, f"{fact.value}_at") for fact in Fact])
        assert rows[0] == rows[1]
        assert rows[0] == [_first(events, fact) for fact in Fact]


def _first(events: list[tuple[Fact, int]], wanted: Fact) -> datetime.datetime | None:
    times = [after for fact, after in events if fact is wanted]
    return START + datetime.timedelta(seconds=min(times)) if times else None


def test_receipts_are_claimed_in_the_order_they_came(delivery: Delivery) -> None:
    for _ in range(5):
        receive("email.opened", delivery)
    assert apply_events(get_provider(), limit=2)
    assert states() == ["applied", "applied", "new", "new", "new"]
    assert timezone.now() > START
