"""Provider events: stored once, applied in any order, counted once. Hard bounces and complaints suppress an address."""

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

from newsletter.engagement.judge import judge_hits
from newsletter.engagement.provider_hits import ENGAGEMENT_TYPES
from newsletter.events.apply import apply_events
from newsletter.events.inbox import store_event
from newsletter.models import (
    ConsentMode,
    Delivery,
    DeliveryState,
    EngagementSource,
    Event,
    EventState,
    EventType,
    Issue,
    Reason,
    Send,
)
from newsletter.providers import get_provider
from newsletter.providers.base import ParsedEvent, SignedEvent
from newsletter.reports.statistics import SendTotals, report_of, send_totals
from newsletter.worker.steps import STEPS
from subscribers.models import (
    Change,
    ChangeKind,
    Subscriber,
    Subscription,
    SubscriptionState,
    Suppression,
    SuppressionReason,
    fingerprint,
)
from tests import people
from tests.publications import make_issue, make_newsletter, start_sending

START = datetime.datetime(2026, 11, 20, 7, tzinfo=datetime.UTC)
HARD: dict[str, Any] = {"bounce": {"type": "Permanent", "subType": "NoEmail", "message": "550 5.1.1 no such user"}}

numbers = itertools.count(1)


def delivery_to(address: str, send: Send) -> Delivery:
    """An accepted delivery to a new subscriber, who agreed to tracking."""
    subscription = people.make_subscription(address, send.issue.newsletter)
    Subscription.objects.filter(pk=subscription.pk).update(tracking_agreed_at=START)
    return Delivery.objects.create(
        issue=send.issue,
        send=send,
        subscriber=subscription.subscriber,
        state=DeliveryState.ACCEPTED,
        provider_id=f"e-{address}",
    )


def make_tracked_issue(**fields: Any) -> Issue:
    """An issue of a newsletter whose source of opens and clicks is the provider."""
    make_newsletter(consent_mode=ConsentMode.CONSENT, engagement_source=EngagementSource.PROVIDER)
    return make_issue(**fields)


@pytest.fixture
def send(db: None) -> Send:
    return start_sending(make_tracked_issue())


@pytest.fixture
def delivery(send: Send) -> Delivery:
    return delivery_to(people.ADA, send)


def receive(kind: str, delivery: Delivery, *, after: float = 0, event_id: str = "", **data: Any) -> None:
    """Store an event about a delivery as the webhook view does; it happened `after` seconds after START."""
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
    while judge_hits():
        pass


def states() -> list[str]:
    return list(Event.objects.order_by("pk").values_list("state", flat=True))


def test_an_event_sets_the_time_of_its_type(delivery: Delivery) -> None:
    receive("email.delivered", delivery, after=3)
    apply()
    delivery.refresh_from_db()
    assert delivery.delivered_at == START + datetime.timedelta(seconds=3)
    assert (states(), delivery.outcome) == ([EventState.APPLIED], "Delivered")


def test_a_delivery_keeps_the_first_time_of_a_type(delivery: Delivery) -> None:
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
    event = Event.objects.get()
    assert (event.state, event.reason) == (EventState.IGNORED, Reason.NOT_ABOUT_A_MAIL)


def test_an_event_of_another_installation_is_ignored(delivery: Delivery) -> None:
    receive("email.complained", delivery, tags={"delivery": str(delivery.pk), "env": "staging"})
    apply()
    event = Event.objects.get()
    assert (event.state, event.reason) == (EventState.IGNORED, Reason.OTHER_INSTALLATION)
    assert not Suppression.objects.exists()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"tags": {"delivery": "999999", "env": "tests"}}, Reason.NO_SUCH_DELIVERY),
        ({"to": ["mallory@example.org"]}, Reason.OTHER_RECIPIENT),
        ({"to": []}, Reason.OTHER_RECIPIENT),
    ],
    ids=["no such delivery", "another recipient", "no recipient"],
)
def test_an_event_that_matches_no_delivery_is_an_orphan_and_changes_nothing(
    delivery: Delivery, data: dict[str, Any], reason: Reason
) -> None:
    receive("email.opened", delivery, **data)
    apply()
    delivery.refresh_from_db()
    event = Event.objects.get()
    assert (event.state, event.reason, delivery.opened_at) == (EventState.ORPHAN, reason, None)
    assert event.delivery_id is None
    assert not Suppression.objects.exists()


@pytest.mark.parametrize(
    ("kind", "data", "reason"),
    [
        ("email.complained", {}, SuppressionReason.COMPLAINT),
        ("email.bounced", HARD, SuppressionReason.HARD_BOUNCE),
        ("email.bounced", {"bounce": {"type": "Transient", "subType": "General"}}, None),
        ("email.delivered", {}, None),
    ],
)
def test_a_complaint_or_hard_bounce_without_its_delivery_suppresses_the_address(
    delivery: Delivery, kind: str, data: dict[str, Any], reason: SuppressionReason | None
) -> None:
    """As after a restored backup, which does not know the delivery."""
    receive(kind, delivery, tags={"delivery": "999999", "env": "tests"}, **data)
    apply()
    assert states() == [EventState.ORPHAN]
    assert [row.reason for row in Suppression.objects.all()] == ([reason] if reason else [])
    assert Subscription.objects.get().state == ("suppressed" if reason else "active")


def test_an_event_of_the_issue_of_its_delivery_is_applied(delivery: Delivery) -> None:
    edition = delivery.send.edition_id
    receive("email.delivered", delivery, tags={"delivery": str(delivery.pk), "edition": str(edition), "env": "tests"})
    apply()
    assert states() == [EventState.APPLIED]


def test_an_event_of_another_issue_is_an_orphan_although_number_and_recipient_match(delivery: Delivery) -> None:
    # As after a restore, if the number of a delivery that the backup does not know was given again.
    other = start_sending(make_issue("issue-2", delivery.issue.newsletter)).edition_id
    for edition in (other, other + 1_000):
        tags = {"delivery": str(delivery.pk), "edition": str(edition), "env": "tests"}
        receive("email.delivered", delivery, tags=tags)
    apply()
    delivery.refresh_from_db()
    assert delivery.delivered_at is None
    found = Event.objects.values_list("state", "reason", "delivery_id")
    assert set(found) == {(EventState.ORPHAN, Reason.OTHER_EDITION, None)}


def test_an_unreadable_body_does_not_block_the_others_and_the_note_says_why(delivery: Delivery) -> None:
    store_event("resend", SignedEvent(event_id="msg_broken", body="{"))
    receive("email.delivered", delivery)
    apply()
    assert states() == [EventState.IGNORED, EventState.APPLIED]
    unreadable = Event.objects.get(event_id="msg_broken")
    assert unreadable.reason == "event_unreadable"
    assert unreadable.note.startswith("The event could not be read.")


def test_an_escaped_nul_is_stored_as_text(delivery: Delivery) -> None:
    receive("email.bounced", delivery, bounce={"type": "Transient", "message": "full\x00 up, \\u0000 they say"})
    apply()
    event = Event.objects.get()
    assert (event.state, event.bounce) == (EventState.APPLIED, "unknown")
    assert event.note == "full  up, \\u0000 they say"


def test_a_subject_with_an_escape_sequence_loses_no_event(delivery: Delivery) -> None:
    receive("email.complained", delivery, subject="What \\u0000 does")
    apply()
    assert states() == [EventState.APPLIED]


def test_an_unexpected_error_in_one_event_does_not_block_the_others(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = get_provider()
    real_parse = provider.parse_webhook

    def parse_webhook(body: str) -> ParsedEvent:
        if "unexpected" in body:
            raise RuntimeError("A case that the provider does not document.")
        return real_parse(body)

    monkeypatch.setattr(provider, "parse_webhook", parse_webhook)
    receive("email.delivered", delivery, event_id="msg_unexpected", unexpected=True)
    receive("email.delivered", delivery)
    apply()
    assert states() == [EventState.IGNORED, EventState.APPLIED]
    event = Event.objects.get(event_id="msg_unexpected")
    assert event.reason == "event_unreadable"
    assert event.note.startswith("The event could not be read.")
    assert "RuntimeError" in event.note


@pytest.mark.parametrize("created_at", ["0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00", "yesterday"])
def test_an_event_with_an_impossible_time_is_ignored(delivery: Delivery, created_at: str) -> None:
    tags = {"delivery": str(delivery.pk), "env": "tests"}
    body = {"type": "email.delivered", "created_at": created_at, "data": {"to": [people.ADA], "tags": tags}}
    store_event("resend", SignedEvent(event_id="msg_t", body=orjson.dumps(body).decode()))
    apply()
    delivery.refresh_from_db()
    assert (states(), delivery.delivered_at) == ([EventState.IGNORED], None)


def test_a_raw_nul_is_removed_from_the_stored_copy(delivery: Delivery) -> None:
    store_event("resend", SignedEvent(event_id="msg_raw", body='{"type": "email.sent\x00"}'))
    assert "\x00" not in Event.objects.get().body


def test_a_hard_bounce_suppresses_the_address_on_every_list(delivery: Delivery) -> None:
    receive("email.bounced", delivery, **HARD)
    apply()
    assert Suppression.objects.get().reason == SuppressionReason.HARD_BOUNCE
    assert Subscription.objects.get().state == SubscriptionState.SUPPRESSED


def test_a_complaint_suppresses_even_before_the_delivered_event_arrives(delivery: Delivery) -> None:
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
def test_a_bounce_that_is_not_hard_does_not_end_the_subscription(delivery: Delivery, bounce: dict[str, str]) -> None:
    receive("email.bounced", delivery, bounce=bounce)
    apply()
    delivery.refresh_from_db()
    assert delivery.bounced_at
    assert not Suppression.objects.exists()


def test_an_address_on_the_providers_own_suppression_list_is_suppressed(delivery: Delivery) -> None:
    receive("email.suppressed", delivery, suppressed={"message": "On your list", "type": "OnAccountSuppressionList"})
    apply()
    assert Suppression.objects.get().reason == SuppressionReason.PROVIDER


def test_a_bounced_confirmation_mail_suppresses_the_address_without_a_delivery(send: Send) -> None:
    tags = {"transactional_mail": "5", "env": "tests"}
    body = {
        "type": "email.bounced",
        "created_at": START.isoformat(),
        "data": {"to": ["x@example.org"], "tags": tags, **HARD},
    }
    store_event("resend", SignedEvent(event_id="msg_n", body=orjson.dumps(body).decode()))
    apply()
    assert Suppression.objects.count() == 1


def test_an_event_for_an_erased_subscriber_still_suppresses_the_address(delivery: Delivery) -> None:
    receive("email.complained", delivery)
    Subscription.objects.all().delete()
    delivery.subscriber.delete()
    apply()
    assert Suppression.objects.count() == 1


def test_an_event_that_arrives_before_the_answer_to_the_post_is_not_lost(send: Send) -> None:
    subscription = people.ada(send.issue.newsletter)
    waiting = Delivery.objects.create(
        issue=send.issue, send=send, subscriber=subscription.subscriber, state=DeliveryState.BATCHED
    )
    receive("email.delivered", waiting, email_id="e-early")
    apply()
    waiting.refresh_from_db()
    assert (waiting.provider_id, bool(waiting.delivered_at)) == ("e-early", True)


def test_a_recipient_who_clicks_several_times_is_counted_once(send: Send) -> None:
    for address in ("a@example.org", "b@example.org"):
        delivery = delivery_to(address, send)
        for after in range(5):
            receive("email.clicked", delivery, after=after, click={"link": "https://harbour.example/1"})
    apply()
    assert report_of(send).clicked == 2


def test_opened_and_clicked_mails_count_as_delivered_when_that_event_is_lost(send: Send) -> None:
    receive("email.clicked", delivery_to("a@example.org", send))
    receive("email.opened", delivery_to("b@example.org", send))
    receive("email.delivered", delivery_to("c@example.org", send))
    apply()
    report = report_of(send)
    assert (report.delivered, report.share(report.clicked)) == (3, 1 / 3)
    assert send_totals([send.pk])[send.pk] == SendTotals(3, 3, 1)


def test_events_are_applied_after_their_provider_has_left_the_route(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive("email.delivered", delivery)
    monkeypatch.setattr("django.conf.settings.PROVIDER", "smtp")
    (step,) = [step for step in STEPS if step.name == "apply_events"]
    step.run()
    assert states() == [EventState.APPLIED]


def test_forty_events_take_twelve_queries(send: Send, django_assert_max_num_queries: Any) -> None:
    for number in range(40):
        receive("email.delivered", delivery_to(f"r{number}@example.org", send))
    with django_assert_max_num_queries(12):
        apply_events(get_provider(), limit=100)
    assert report_of(send).delivered == 40


KINDS = {
    event_type: f"email.{'delivery_delayed' if event_type is EventType.DELAYED else event_type.value}"
    for event_type in EventType
}


class AnyOrder(TestCase):
    """The same events give the same row in any order, with any repeats, in any chunks."""

    @settings(max_examples=30, deadline=None)
    @given(
        st.lists(st.tuples(st.sampled_from(list(EventType)), st.integers(0, 5)), max_size=12),
        st.randoms(use_true_random=False),
    )
    def test_a_delivery_depends_on_its_events_and_not_on_their_order(
        self, events: list[tuple[EventType, int]], random: Any
    ) -> None:
        send = start_sending(make_tracked_issue(slug=f"issue-{next(numbers)}"))
        rows = []
        for address in ("in-order@example.org", "shuffled@example.org"):
            Subscription.objects.filter(subscriber__canonical=address).delete()
            delivery = delivery_to(address, send)
            received = list(events)
            if address.startswith("shuffled"):
                received += received[: len(received) // 2]
                random.shuffle(received)
            for event_type, after in received:
                receive(KINDS[event_type], delivery, after=after, bounce={"type": "Transient"})
                if random.random() < 0.3:
                    apply()
            apply()
            delivery.refresh_from_db()
            rows.append([getattr(delivery, f"{event_type.value}_at") for event_type in EventType])
        assert rows[0] == rows[1]
        assert rows[0] == [_first(_read_as(events), event_type) for event_type in EventType]


def _read_as(events: list[tuple[EventType, int]]) -> list[tuple[EventType, int]]:
    """Opens and clicks prove that the mail was delivered a second before; before it was sent, nobody opens it."""
    sent = min((after for event_type, after in events if event_type is EventType.SENT), default=0)
    reactions = [pair for pair in events if pair[0] in ENGAGEMENT_TYPES]
    others = [pair for pair in events if pair[0] not in ENGAGEMENT_TYPES]
    by_people = [pair for pair in reactions if pair[1] >= sent]
    return [*others, *by_people, *((EventType.DELIVERED, after - 1) for _type, after in reactions)]


def test_the_heaviest_of_several_causes_is_kept_though_a_lighter_one_comes_last(delivery: Delivery) -> None:
    """In one transaction: each order of the same events ends with the same reason."""
    receive("email.bounced", delivery, **HARD)
    receive("email.complained", delivery)
    receive("email.suppressed", delivery)
    apply()
    assert Suppression.objects.get().reason == SuppressionReason.COMPLAINT
    consent = Subscription.objects.get().consents.last()
    assert consent is not None
    assert consent.reason == SuppressionReason.COMPLAINT


CAUSES = {
    SuppressionReason.COMPLAINT: ("email.complained", {}),
    SuppressionReason.PROVIDER: ("email.suppressed", {}),
    SuppressionReason.HARD_BOUNCE: ("email.bounced", HARD),
}


class AnyCause(TestCase):
    """Of several causes to suppress an address the heaviest one is kept, in any order and in chunks of any size."""

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.sampled_from(list(CAUSES)), min_size=1, max_size=6), st.integers(1, 7))
    def test_the_cause_of_a_suppression_does_not_depend_on_order_or_chunks(
        self, causes: list[SuppressionReason], chunk: int
    ) -> None:
        send = start_sending(make_issue(slug=f"issue-{next(numbers)}"))
        Subscription.objects.filter(subscriber__canonical=people.ADA).delete()
        Suppression.objects.all().delete()
        delivery = delivery_to(people.ADA, send)
        for cause in causes:
            kind, data = CAUSES[cause]
            receive(kind, delivery, **data)
        while apply_events(get_provider(), limit=chunk):
            pass
        heaviest = next(cause for cause in CAUSES if cause in causes)
        assert Suppression.objects.get().reason == heaviest


def _first(events: list[tuple[EventType, int]], wanted: EventType) -> datetime.datetime | None:
    times = [after for event_type, after in events if event_type is wanted]
    return START + datetime.timedelta(seconds=min(times)) if times else None


def test_events_are_applied_in_the_order_of_their_arrival(delivery: Delivery) -> None:
    for _ in range(5):
        receive("email.opened", delivery)
    assert apply_events(get_provider(), limit=2)
    assert states() == ["applied", "applied", "new", "new", "new"]
    assert timezone.now() > START


def change_address(subscriber: Subscriber, address: str) -> None:
    """As once both mailboxes have agreed."""
    values = {"from": subscriber.address, "to": address}
    Change.objects.create(subscriber=subscriber, kind=ChangeKind.ADDRESS, values=values)
    Subscriber.objects.filter(pk=subscriber.pk).update(address=address, canonical=address)


def test_an_event_about_the_former_address_of_a_recipient_is_applied(send: Send) -> None:
    delivery = delivery_to("Ada@example.org", send)
    receive("email.delivered", delivery)
    receive("email.bounced", delivery, **HARD)
    change_address(delivery.subscriber, "ada.new@example.net")
    apply()
    delivery.refresh_from_db()
    assert states() == [EventState.APPLIED] * 2
    assert delivery.delivered_at == START
    # The bounce is about the former mailbox.
    assert [row.fingerprint for row in Suppression.objects.all()] == [fingerprint(people.ADA)]
    assert Subscription.objects.get().state == SubscriptionState.ACTIVE


def test_a_complaint_about_a_mail_to_the_former_address_holds_for_the_present_one(send: Send) -> None:
    delivery = delivery_to(people.ADA, send)
    receive("email.complained", delivery)
    change_address(delivery.subscriber, "ada.new@example.net")
    apply()
    assert Subscription.objects.get().state == SubscriptionState.SUPPRESSED
    found = {row.fingerprint: row.reason for row in Suppression.objects.all()}
    both = (fingerprint(people.ADA), fingerprint("ada.new@example.net"))
    assert found == dict.fromkeys(both, SuppressionReason.COMPLAINT)


def test_a_complaint_of_a_stranger_ends_no_other_subscription(delivery: Delivery) -> None:
    receive("email.complained", delivery, to=["mallory@example.org"])
    apply()
    assert states() == [EventState.ORPHAN]
    assert Subscription.objects.get().state == SubscriptionState.ACTIVE
