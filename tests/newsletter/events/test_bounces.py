"""Bounces as they are applied: who is suppressed at once, who after repeated soft bounces, and who is not."""

from __future__ import annotations

import datetime
import itertools
from typing import Any

import orjson
import pytest
from django.core.management import call_command
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from newsletter.events.apply import apply_events
from newsletter.events.bounces import SETTLE_AFTER, settle_soft_bounces
from newsletter.events.rebuild_bounces import rebuild_soft_bounces
from newsletter.models import Delivery, DeliveryState, Event, EventType, Newsletter, Send, SoftBounce
from newsletter.providers import get_provider
from subscribers.models import (
    LiftedSuppression,
    Subscriber,
    Subscription,
    Suppression,
    SuppressionReason,
    fingerprint,
)
from tests import people
from tests.publications import make_issue, make_newsletter, start_sending

#: Two months ago: soft bounces are kept for four.
START = timezone.now().replace(hour=7, minute=0, second=0, microsecond=0) - datetime.timedelta(days=60)
FULL = "452 4.2.2 mailbox full"
ABANDONED = "552 5.2.2 The recipient's inbox is out of storage space and inactive."
NO_DOMAIN = "550 5.4.4 Invalid domain"

numbers = itertools.count(1)


def after(days: float) -> datetime.datetime:
    return START + datetime.timedelta(days=days)


def make_sends(newsletter: Newsletter, *days: float) -> list[Send]:
    """A send on each of these days."""
    sends = []
    for day in days:
        send = start_sending(make_issue(f"issue-{next(numbers)}", newsletter))
        Send.objects.filter(pk=send.pk).update(started_at=after(day))
        send.started_at = after(day)
        sends.append(send)
    return sends


def deliver(send: Send, *subscribers: Subscriber) -> None:
    """A delivery of the send to each of them."""
    Delivery.objects.bulk_create(
        Delivery(issue=send.issue, send=send, subscriber=each, state=DeliveryState.ACCEPTED) for each in subscribers
    )


def receive(send: Send, subscriber: Subscriber, reply: str = "", *, kind: str = "", day: float | None = None) -> None:
    """Store an event about the delivery: a bounce with this reply, or one of another kind."""
    delivery = Delivery.objects.get(send=send, subscriber=subscriber)
    data: dict[str, Any] = {
        "to": [subscriber.address],
        "tags": {"delivery": str(delivery.pk), "env": "tests"},
    }
    if reply:
        data["bounce"] = {"type": "Transient", "subType": "General", "diagnosticCode": [f"smtp; {reply}"]}
    assert send.started_at
    at = send.started_at if day is None else after(day)
    name = kind or "email.bounced"
    body = {"type": name, "created_at": at.isoformat(), "data": data}
    Event.objects.create(
        provider="resend",
        event_id=f"msg_{next(numbers)}",
        kind=name,
        body=orjson.dumps(body).decode(),
        received_at=timezone.now(),
    )


def apply(limit: int = 50) -> None:
    while apply_events(get_provider(), limit=limit):
        pass


def settle() -> None:
    """A day later."""
    SoftBounce.objects.filter(is_settled=False).update(recorded_at=timezone.now() - SETTLE_AFTER)
    while settle_soft_bounces():
        pass


def suppressed() -> dict[str, str]:
    """The reason of each suppressed address."""
    reasons = dict(Suppression.objects.values_list("fingerprint", "reason"))
    addresses = Subscriber.objects.values_list("canonical", flat=True)
    return {each: reasons[fingerprint(each)] for each in addresses if fingerprint(each) in reasons}


@pytest.fixture
def ada(db: None) -> Subscriber:
    return people.ada(make_newsletter()).subscriber


def bounce_weekly(subscriber: Subscriber, *replies: str, first: float = 0, every: float = 7) -> list[Send]:
    """A send every few days, with this reply to each; an empty one for a mail that arrived."""
    sends = make_sends(make_newsletter(), *(first + every * number for number in range(len(replies))))
    for send, reply in zip(sends, replies, strict=True):
        deliver(send, subscriber)
        receive(send, subscriber, reply, kind="" if reply else "email.delivered")
    apply()
    return sends


# --- At once ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("550 5.1.1 user unknown", SuppressionReason.HARD_BOUNCE),
        ("550 5.2.1 This mailbox is disabled", SuppressionReason.INACTIVE),
        ("556 5.1.10 Recipient address rejected: Domain has null MX", SuppressionReason.NO_DOMAIN),
    ],
)
def test_a_reply_about_the_mailbox_suppresses_at_once_whatever_the_provider_claims(
    ada: Subscriber, reply: str, reason: SuppressionReason
) -> None:
    bounce_weekly(ada, reply)
    assert suppressed() == {people.ADA: reason}
    assert not SoftBounce.objects.exists()


@pytest.mark.parametrize("reply", ["550 5.7.515 Access denied", "421 4.7.28 unusual rate", "552 5.3.4 too large",
                                   "451 greylisted", "550 out of the office"])  # fmt: skip
def test_replies_about_the_sender_or_the_mail_are_not_even_soft_bounces(ada: Subscriber, reply: str) -> None:
    bounce_weekly(ada, *[reply] * 8)
    settle()
    assert not SoftBounce.objects.exists()
    assert not suppressed()


def test_an_automatic_reply_proves_that_the_mail_arrived(ada: Subscriber) -> None:
    bounce_weekly(ada, "550 I am out of the office")
    delivery = Delivery.objects.get()
    assert (bool(delivery.delivered_at), delivery.bounced_at) == (True, None)
    assert Event.objects.get().bounce == "auto_reply"


# --- Repeated soft bounces --------------------------------------------------------------------------------------------


def test_five_weekly_soft_bounces_suppress_and_the_page_says_why(ada: Subscriber) -> None:
    bounce_weekly(ada, *[FULL] * 4)
    settle()
    assert not suppressed()
    bounce_weekly(ada, FULL, first=28)
    assert not suppressed(), "it is decided a day later"
    settle()
    assert suppressed() == {people.ADA: SuppressionReason.SOFT_BOUNCE}
    found = Suppression.objects.get()
    assert found.detail_in_words == "5 soft bounces within 28 days, and no mail arrived between them."
    assert Subscription.objects.get().state == "suppressed"


def test_four_full_then_delivered_then_four_full_is_no_reason(ada: Subscriber) -> None:
    bounce_weekly(ada, FULL, FULL, FULL, FULL, "", FULL, FULL, FULL, FULL, every=4)
    settle()
    assert SoftBounce.objects.count() == 8
    assert not suppressed()


def test_a_click_on_an_earlier_issue_sets_the_points_to_zero(ada: Subscriber) -> None:
    sends = bounce_weekly(ada, "", *[FULL] * 6, every=6)
    # As the clicks of humans are recorded, by whichever source.
    Delivery.objects.filter(send=sends[0], subscriber=ada).update(clicked_at=after(30))
    settle()
    assert not suppressed()


def test_a_mailbox_that_returns_a_mail_later_was_not_reached(ada: Subscriber) -> None:
    sends = bounce_weekly(ada, *[FULL] * 5)
    receive(sends[-1], ada, kind="email.delivered", day=28.1)
    apply()
    settle()
    assert suppressed() == {people.ADA: SuppressionReason.SOFT_BOUNCE}


def test_two_bounces_of_one_send_are_one_point(ada: Subscriber) -> None:
    sends = bounce_weekly(ada, *[FULL] * 4)
    receive(sends[-1], ada, "450 4.3.0 try later", day=22)
    apply()
    settle()
    assert SoftBounce.objects.count() == 4
    assert not suppressed()


def test_full_and_unused_mailboxes_are_suppressed_after_two_weeks(ada: Subscriber) -> None:
    bounce_weekly(ada, ABANDONED, ABANDONED, every=13)
    settle()
    assert not suppressed()
    bounce_weekly(ada, ABANDONED, first=20)
    settle()
    assert suppressed() == {people.ADA: SuppressionReason.SOFT_BOUNCE}


def test_bounces_of_a_daily_newsletter_count_for_thirty_days_only(ada: Subscriber) -> None:
    make_sends(make_newsletter(), *(day + 0.5 for day in range(48)))
    bounce_weekly(ada, *[FULL] * 5, every=12)
    settle()
    assert not suppressed()


def test_bounces_of_an_earlier_address_do_not_count(ada: Subscriber) -> None:
    bounce_weekly(ada, *[FULL] * 4)
    Subscriber.objects.update(address="ada@new.example", canonical="ada@new.example")
    ada.refresh_from_db()
    bounce_weekly(ada, FULL, FULL, first=28)
    settle()
    assert not suppressed()


def test_after_a_suppression_was_lifted_counting_begins_again(ada: Subscriber) -> None:
    bounce_weekly(ada, *[FULL] * 5)
    settle()
    Suppression.objects.all().delete()
    LiftedSuppression.objects.create(
        fingerprint=fingerprint(people.ADA), reason=SuppressionReason.SOFT_BOUNCE, lifted_at=after(30)
    )
    bounce_weekly(ada, FULL, first=35)
    settle()
    assert not suppressed()


def test_nothing_is_decided_before_a_day_is_over(ada: Subscriber) -> None:
    bounce_weekly(ada, *[FULL] * 5)
    assert settle_soft_bounces() is False
    SoftBounce.objects.update(recorded_at=timezone.now() - SETTLE_AFTER + datetime.timedelta(minutes=1))
    assert settle_soft_bounces() is False
    assert not suppressed()


def test_old_soft_bounces_are_deleted(ada: Subscriber) -> None:
    bounce_weekly(ada, FULL)
    settle()
    SoftBounce.objects.update(at=timezone.now() - datetime.timedelta(days=121))
    assert settle_soft_bounces() is False
    assert not SoftBounce.objects.exists()


# --- Faults of a domain -----------------------------------------------------------------------------------------------


def crowd(count: int, domain: str) -> list[Subscriber]:
    rows = [
        Subscriber(address=f"{domain[:2]}{number}@{domain}", canonical=f"{domain[:2]}{number}@{domain}")
        for number in range(count)
    ]
    return Subscriber.objects.bulk_create(rows)


@pytest.mark.parametrize(("bounced", "is_fault"), [(9, False), (11, True)])
def test_a_fault_of_a_domain_counts_for_nobody(ada: Subscriber, bounced: int, is_fault: bool) -> None:
    """In each of five sends the same share of a domain's recipients had a temporary problem: > 5 % is its fault."""
    there, elsewhere = crowd(190, "big.example"), crowd(20, "other.example")
    sends = make_sends(make_newsletter(), 0, 7, 14, 21, 28)
    for send in sends:
        deliver(send, *there, *elsewhere)
        for each in there[:bounced]:
            receive(send, each, "451 4.3.0 out of order")
    apply()
    settle()
    assert len(suppressed()) == (0 if is_fault else bounced)


def test_many_addresses_of_a_domain_that_got_mail_last_week_are_a_fault_of_its_dns(ada: Subscriber) -> None:
    there = crowd(200, "firm.example")
    last_week, first, second = make_sends(make_newsletter(), -7, 0, 4)
    for send in (last_week, first, second):
        deliver(send, *there)
    for each in there:
        receive(last_week, each, kind="email.delivered")
        receive(first, each, NO_DOMAIN)
    apply(limit=500)
    settle()
    assert not suppressed()
    for each in there:
        receive(second, each, NO_DOMAIN)
    apply(limit=500)
    settle()
    assert not suppressed()


def test_a_domain_that_is_missing_for_three_days_suppresses_its_address(ada: Subscriber) -> None:
    bounce_weekly(ada, NO_DOMAIN, NO_DOMAIN, every=2)
    settle()
    assert not suppressed()
    bounce_weekly(ada, NO_DOMAIN, first=5)
    settle()
    assert suppressed() == {people.ADA: SuppressionReason.NO_DOMAIN}


# --- Any order --------------------------------------------------------------------------------------------------------

REPLIES = (FULL, ABANDONED, NO_DOMAIN, "550 5.7.1 policy reasons", "", "450 4.3.0 later", "554 strange")


def state() -> tuple[Any, ...]:
    rows = SoftBounce.objects.order_by("subscriber", "send").values_list("subscriber", "send", "bounce", "at")
    return (list(rows), sorted(suppressed().items()))


class AnyOrder(TestCase):
    """Soft bounces and what follows depend on the events alone."""

    @settings(max_examples=30, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(0, 5), st.sampled_from(REPLIES), st.integers(0, 3)), min_size=1, max_size=14),
        st.integers(1, 6),
        st.randoms(use_true_random=False),
    )
    def test_order_repeats_and_chunks_do_not_matter(
        self, told: list[tuple[int, str, int]], chunk: int, random: Any
    ) -> None:
        ada = people.ada(make_newsletter()).subscriber
        sends = make_sends(make_newsletter(), 0, 7, 14, 21, 28, 35)
        for send in sends:
            deliver(send, ada)
        for place, reply, delay in told:
            kind = "" if reply else "email.delivered"
            receive(sends[place], ada, reply, kind=kind, day=7 * place + delay)
        apply()
        settle()
        expected = state()
        bodies = list(Event.objects.order_by("pk").values_list("kind", "body"))
        Event.objects.all().delete()
        Suppression.objects.all().delete()
        SoftBounce.objects.all().delete()
        Delivery.objects.update(**{f"{each.value}_at": None for each in EventType})
        for kind, body in random.sample(bodies, len(bodies)) + random.choices(bodies, k=3):
            Event.objects.create(provider="resend", event_id=f"msg_{next(numbers)}", kind=kind, body=body)
        apply(limit=chunk)
        settle()
        assert state() == expected
        assert rebuild_soft_bounces() == len(expected[0])
        settle()
        assert state() == expected


def test_the_command_rebuilds_soft_bounces(ada: Subscriber, capsys: pytest.CaptureFixture[str]) -> None:
    bounce_weekly(ada, FULL, FULL)
    SoftBounce.objects.all().delete()
    call_command("rebuild_soft_bounces")
    assert capsys.readouterr().out == "2 soft bounces.\n"
    assert set(SoftBounce.objects.values_list("bounce", flat=True)) == {"mailbox_full"}
