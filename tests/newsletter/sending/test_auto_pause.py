"""A send with too many bounces or complaints is paused automatically, and resumed only with a reason."""

from __future__ import annotations

import datetime
import itertools
import json

import pytest
from django.utils import timezone

from newsletter.deliverability.rates import complaints
from newsletter.events.apply import apply_events
from newsletter.models import (
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    Event,
    EventState,
    Issue,
    Reason,
    Send,
    SendState,
)
from newsletter.monitoring.diagnostics import diagnostics
from newsletter.monitoring.status import as_lines
from newsletter.providers import get_provider
from newsletter.providers.bounce_classes import BounceClass
from newsletter.sending.auto_pause import auto_pause_sends, complaint_warning, send_health_of
from newsletter.sending.control import ReasonNeeded, pause_send, resume_send
from subscribers.models import Subscriber
from tests import people
from tests.publications import expand_audiences, send_of, start_sending


def sent_to(issue: Issue, recipients: int, *, waiting: int = 100) -> Send:
    """A send that was accepted for `recipients`, while the last batch still waits."""
    people.make_subscriptions(recipients + waiting, issue.newsletter)
    send = start_sending(issue)
    expand_audiences()
    last = Delivery.objects.order_by("pk")[recipients - 1].pk
    Delivery.objects.filter(pk__lte=last).update(state=DeliveryState.ACCEPTED)
    for batch in Batch.objects.filter(last_delivery__lte=last):
        batch.recipients = batch.last_delivery - batch.first_delivery + 1
        batch.state = BatchState.ACCEPTED
        batch.save()
    return send


def bounced_with(kind: BounceClass, count: int, *, minutes_ago: float = 0) -> None:
    """So many of the mails bounced, and the webhooks told how."""
    at = timezone.now() - datetime.timedelta(minutes=minutes_ago)
    keys = list(Delivery.objects.filter(bounced_at=None).order_by("pk").values_list("pk", flat=True)[:count])
    Delivery.objects.filter(pk__in=keys).update(bounced_at=at)
    Event.objects.bulk_create(
        Event(
            provider="resend",
            event_id=f"msg_{kind.value}_{key}",
            kind="email.bounced",
            body="{}",
            state=EventState.APPLIED,
            bounce=kind.value,
            detail="550 no",
            delivery_id=key,
            received_at=at,
        )
        for key in keys
    )


def report(fact: str, count: int) -> None:
    """So many more mails bounced permanently, or were reported as spam."""
    if fact == "bounced":
        bounced_with(BounceClass.NO_MAILBOX, count)
        return
    keys = list(Delivery.objects.filter(complained_at=None).order_by("pk").values_list("pk", flat=True)[:count])
    Delivery.objects.filter(pk__in=keys).update(complained_at=timezone.now())


def state_after_check(issue: Issue) -> str:
    auto_pause_sends()
    return send_of(issue).state


@pytest.mark.parametrize(
    ("fact", "fine", "too_many"), [("bounced", 8, 9), ("complained", 2, 3)], ids=["bounces", "complaints"]
)
def test_a_send_is_paused_above_the_limit_and_not_at_it(issue: Issue, fact: str, fine: int, too_many: int) -> None:
    sent_to(issue, 200)
    report(fact, fine)
    assert state_after_check(issue) == SendState.SENDING
    report(fact, too_many - fine)
    assert state_after_check(issue) == SendState.PAUSED
    send = send_of(issue)
    assert send.hold_reason == Reason.AUTO_PAUSED
    assert f"{too_many} of 200 mails" in send.hold_sentence
    assert send.transitions.get(target="paused").by == "worker"


def test_mails_to_suppressed_addresses_do_not_count_as_bounces(issue: Issue) -> None:
    send = sent_to(issue, 200)
    keys = list(Delivery.objects.order_by("pk").values_list("pk", flat=True)[:50])
    addresses = dict(Subscriber.objects.values_list("pk", "address"))
    for key in keys:
        data = {
            "to": [addresses[Delivery.objects.get(pk=key).subscriber_id]],
            "tags": {"delivery": str(key), "env": "tests"},
            "bounce": {"type": "Permanent", "subType": "OnAccountSuppressionList", "message": "On the list."},
        }
        body = {"type": "email.bounced", "created_at": timezone.now().isoformat(), "data": data}
        Event.objects.create(provider="resend", event_id=f"msg_{key}", kind="email.bounced", body=json.dumps(body))
    while apply_events(get_provider()):
        pass
    assert Delivery.objects.filter(suppressed_at__isnull=False).count() == 50
    assert send_health_of(send).bounced == 0
    assert state_after_check(issue) == SendState.SENDING


def test_one_bounce_of_three_is_no_trend(issue: Issue) -> None:
    sent_to(issue, 3, waiting=0)
    Batch.objects.update(state=BatchState.ACCEPTED, recipients=3)
    report("bounced", 1)
    assert state_after_check(issue) == SendState.SENDING


def test_one_held_batch_does_not_pause_a_send_and_two_do(issue: Issue) -> None:
    sent_to(issue, 300)
    held = Batch.objects.filter(state=BatchState.ACCEPTED).order_by("pk")
    Batch.objects.filter(pk=held[0].pk).update(state=BatchState.HELD, payload=b"frozen")
    assert state_after_check(issue) == SendState.SENDING
    Batch.objects.filter(pk=held[0].pk).update(state=BatchState.HELD, payload=b"frozen")  # the next one
    assert state_after_check(issue) == SendState.PAUSED
    assert "The outcome of 200 of 300 mails is unknown" in send_of(issue).hold_sentence


@pytest.fixture
def auto_paused(issue: Issue) -> Send:
    sent_to(issue, 200)
    report("bounced", 9)
    auto_pause_sends()
    return send_of(issue)


def test_it_is_resumed_only_with_a_reason_that_is_recorded(auto_paused: Send) -> None:
    with pytest.raises(ReasonNeeded):
        resume_send(auto_paused, by="Edda", text=" ")
    resume_send(auto_paused, by="Edda", text="An old list; the rest is fresh.")
    step = auto_paused.transitions.last()
    assert step is not None
    assert (auto_paused.state, step.by) == (SendState.SENDING, "Edda")
    assert step.values == {"text": "An old list; the rest is fresh."}


def test_acknowledged_rates_do_not_pause_it_again_and_higher_ones_do(auto_paused: Send) -> None:
    resume_send(auto_paused, by="Edda", text="An old list; the rest is fresh.")
    assert state_after_check(auto_paused.issue) == SendState.SENDING
    report("bounced", 1)
    assert state_after_check(auto_paused.issue) == SendState.PAUSED


def test_a_manual_pause_can_be_resumed_without_a_reason(issue: Issue) -> None:
    sent_to(issue, 200)
    pause_send(send_of(issue), by="Edda")
    resume_send(send_of(issue), by="Edda")
    assert issue.status == SendState.SENDING


def test_counting_takes_two_queries_whatever_the_size(
    issue: Issue, django_assert_num_queries: pytest.FixtureRequest
) -> None:
    sent_to(issue, 200)
    send = send_of(issue)
    with django_assert_num_queries(2):  # type: ignore[operator]
        assert send_health_of(send).sample == 200


def test_the_counters_give_the_numbers_that_counting_deliveries_gives(issue: Issue) -> None:
    send = sent_to(issue, 200)
    now = timezone.now()
    keys = iter(Delivery.objects.order_by("pk").values_list("pk", flat=True))
    facts = itertools.product(DeliveryState, (None, now), (None, now), (None, now), ("", "erased"))
    for (state, bounced, complained, delivered, reason), key in zip(facts, keys, strict=False):
        row = Delivery.objects.filter(pk=key)
        row.update(state=state, reason=reason, delivered_at=delivered, bounced_at=bounced, complained_at=complained)
    bounced_keys = Delivery.objects.filter(bounced_at__isnull=False).order_by("pk").values_list("pk", flat=True)
    Delivery.objects.filter(pk__in=list(bounced_keys)[::3]).update(bounced_at=None)
    Event.objects.bulk_create(
        Event(provider="resend", event_id=f"msg_{key}", kind="email.bounced", body="{}", bounce="no_mailbox",
              state=EventState.APPLIED, delivery_id=key)
        for key in bounced_keys
    )  # fmt: skip
    found = send_health_of(send)
    assert found.bounced == Delivery.objects.filter(send=send, bounced_at__isnull=False).count() > 10
    reported = Delivery.objects.filter(send=send, complained_at__isnull=False).count()
    assert found.complained == reported > 10
    assert complaints(now - datetime.timedelta(days=1))[0] == reported


def test_soft_bounces_do_not_pause_a_send(issue: Issue) -> None:
    sent_to(issue, 200)
    bounced_with(BounceClass.MAILBOX_FULL, 40)
    bounced_with(BounceClass.NO_MAILBOX, 8)
    assert state_after_check(issue) == SendState.SENDING
    bounced_with(BounceClass.NO_MAILBOX, 1)
    assert state_after_check(issue) == SendState.PAUSED
    assert "9 of 200 mails bounced permanently" in send_of(issue).hold_sentence


def test_twenty_policy_bounces_of_a_mailbox_provider_in_five_minutes_pause_a_send(issue: Issue) -> None:
    sent_to(issue, 600)
    bounced_with(BounceClass.POLICY, 30, minutes_ago=6)
    bounced_with(BounceClass.POLICY, 19)
    assert state_after_check(issue) == SendState.SENDING
    bounced_with(BounceClass.POLICY, 1)
    assert state_after_check(issue) == SendState.PAUSED
    sentence = send_of(issue).hold_sentence
    assert "example.org refused 20 of its last mails because of the sender: “550 no”" in sentence
    assert send_of(issue).was_auto_paused


def test_policy_bounces_from_before_a_resume_do_not_pause_it_again(issue: Issue) -> None:
    sent_to(issue, 600)
    bounced_with(BounceClass.POLICY, 21)
    assert state_after_check(issue) == SendState.PAUSED
    resume_send(send_of(issue), by="Edda", text="The SPF record is fixed.")
    assert state_after_check(issue) == SendState.SENDING
    bounced_with(BounceClass.POLICY, 21)
    assert state_after_check(issue) == SendState.PAUSED


def test_complaints_are_a_warning_before_they_pause_a_send(issue: Issue) -> None:
    sent_to(issue, 1_000)
    report("complained", 1)
    assert not complaint_warning(send_of(issue))
    report("complained", 1)
    assert state_after_check(issue) == SendState.SENDING
    assert "2 of 1,000 accepted mails were reported as spam: 0.20%." in complaint_warning(send_of(issue))
    (diagnostic,) = [diagnostic for diagnostic in diagnostics() if diagnostic.name == "complaints"]
    assert "2 of 1,000" in diagnostic.sentence
    assert any("warning: 2 of 1,000" in line for line in as_lines([send_of(issue)]))
    report("complained", 2)
    assert state_after_check(issue) == SendState.PAUSED
    assert complaint_warning(send_of(issue)) == "", "the reason of the pause tells it"


def test_one_complaint_is_no_warning(issue: Issue) -> None:
    sent_to(issue, 100)
    report("complained", 1)
    assert not complaint_warning(send_of(issue))


def test_two_complaints_in_a_small_list_warn_and_do_not_pause_it(issue: Issue) -> None:
    sent_to(issue, 300)
    report("complained", 1)
    assert not complaint_warning(send_of(issue)), "one of 300 is 0.3 %, and one recipient"
    report("complained", 1)
    assert state_after_check(issue) == SendState.SENDING
    assert "2 of 300 accepted mails were reported as spam: 0.67%." in complaint_warning(send_of(issue))
