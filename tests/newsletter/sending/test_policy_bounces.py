"""Mailbox providers that refuse the sender pause a send, and suppress nobody; missing mailboxes do both."""

from __future__ import annotations

import datetime
import logging

import orjson
import pytest
from django.utils import timezone

from newsletter.events.apply import apply_events
from newsletter.models import Batch, BatchState, Delivery, DeliveryState, Event, Issue, Send, SendState, SoftBounce
from newsletter.monitoring.diagnostics import diagnostics
from newsletter.providers import get_provider
from newsletter.sending import auto_pause
from newsletter.sending.auto_pause import auto_pause_sends, send_health_of
from newsletter.sending.policy_bounces import mailbox_provider_of, policy_bounces
from subscribers.models import Subscriber, Subscription, Suppression, SuppressionReason, fingerprint
from tests import people
from tests.publications import expand_audiences, make_issue, send_of, start_sending

GMAIL = "550 5.7.26 This mail has been blocked because the sender is unauthenticated."
OUTLOOK = "550 5.7.515 Access denied, sending domain example.org doesn't meet the required authentication level."
UNKNOWN_USER = "550 5.1.1 user unknown"


def sent(issue: Issue, counts: dict[str, int]) -> Send:
    """A send that was accepted for so many recipients at each domain, in this order; more wait."""
    people.make_subscriptions(sum(counts.values()) + 100, issue.newsletter)
    domains = [domain for domain, count in counts.items() for _number in range(count)]
    for subscriber, domain in zip(Subscriber.objects.order_by("pk"), domains, strict=False):
        address = f"reader{subscriber.pk}@{domain}"
        Subscriber.objects.filter(pk=subscriber.pk).update(address=address, canonical=address)
    send = start_sending(issue)
    expand_audiences()
    Delivery.objects.all().update(state=DeliveryState.ACCEPTED)
    for batch in Batch.objects.order_by("pk"):
        size = batch.last_delivery - batch.first_delivery + 1
        Batch.objects.filter(pk=batch.pk).update(state=BatchState.ACCEPTED, recipients=size)
    last = Batch.objects.order_by("-pk")[0]
    Batch.objects.filter(pk=last.pk).update(state=BatchState.READY)
    return send


def at(domain: str) -> list[Delivery]:
    deliveries = Delivery.objects.filter(subscriber__canonical__endswith=f"@{domain}").order_by("pk")
    return list(deliveries.select_related("subscriber"))


def bounce(deliveries: list[Delivery], reply: str) -> None:
    """The webhooks told it, and it was applied."""
    told_at = timezone.now()
    events = []
    for delivery in deliveries:
        data = {
            "to": [delivery.subscriber.address],
            "tags": {"delivery": str(delivery.pk), "env": "tests"},
            "bounce": {"type": "Permanent", "subType": "General", "diagnosticCode": [f"smtp; {reply}"]},
        }
        body = orjson.dumps({"type": "email.bounced", "created_at": told_at.isoformat(), "data": data}).decode()
        event_id = f"msg_{delivery.pk}_{abs(hash(reply))}"
        events.append(Event(provider="resend", event_id=event_id, kind="email.bounced", body=body, received_at=told_at))
    Event.objects.bulk_create(events)
    while apply_events(get_provider()):
        pass


def test_five_hundred_refusals_of_the_sender_suppress_nobody_and_pause_the_send_once(
    issue: Issue, caplog: pytest.LogCaptureFixture
) -> None:
    send = sent(issue, {"outlook.com": 500, "firm.example": 300})
    bounce(at("outlook.com"), OUTLOOK)
    assert not Suppression.objects.exists()
    assert not SoftBounce.objects.exists()
    assert send_health_of(send).bounced == 0
    with caplog.at_level(logging.WARNING, logger=auto_pause.__name__):
        auto_pause_sends()
        auto_pause_sends()
    assert len(caplog.records) == 1
    paused = send_of(issue)
    assert paused.state == SendState.PAUSED
    refused = "Outlook refused 500 of its last mails because of the sender: “550 5.7.515 Access denied"
    assert refused in paused.hold_sentence
    assert "No address is suppressed for this." in paused.hold_sentence
    assert Subscription.objects.filter(state="active").count() == Subscription.objects.count()


def test_five_hundred_missing_mailboxes_suppress_their_addresses_and_pause_the_send_by_rate(issue: Issue) -> None:
    sent(issue, {"outlook.com": 500, "firm.example": 300})
    gone = at("outlook.com")
    bounce(gone, UNKNOWN_USER)
    reasons = dict(Suppression.objects.values_list("fingerprint", "reason"))
    assert reasons == {fingerprint(each.subscriber.canonical): SuppressionReason.HARD_BOUNCE for each in gone}
    auto_pause_sends()
    paused = send_of(issue)
    assert paused.state == SendState.PAUSED
    assert "500 of 800 mails bounced permanently" in paused.hold_sentence
    assert "because of the sender" not in paused.hold_sentence


def test_twenty_refusals_of_one_mailbox_provider_pause_a_send_and_nineteen_do_not(issue: Issue) -> None:
    sent(issue, {"gmail.com": 19, "googlemail.com": 1, "firm.example": 100})
    bounce(at("gmail.com"), GMAIL)
    auto_pause_sends()
    assert send_of(issue).state == SendState.SENDING
    bounce(at("googlemail.com"), GMAIL)
    auto_pause_sends()
    assert send_of(issue).state == SendState.PAUSED
    assert "Gmail refused 20 of its last mails" in send_of(issue).hold_sentence


def test_each_mailbox_provider_that_refuses_is_named_with_its_words(issue: Issue) -> None:
    sent(issue, {"gmail.com": 25, "hotmail.com": 30, "firm.example": 60})
    bounce(at("gmail.com"), GMAIL)
    bounce(at("hotmail.com"), OUTLOOK)
    auto_pause_sends()
    sentence = send_of(issue).hold_sentence
    assert sentence.index("Outlook refused 30 of") < sentence.index("Gmail refused 25 of")
    assert "blocked because the sender is unauthenticated" in sentence


def test_more_than_twenty_refusals_by_small_domains_pause_a_send_too(issue: Issue) -> None:
    sent(issue, {f"firm{number}.example": 3 for number in range(7)} | {"other.example": 100})
    for number in range(7):
        bounce(at(f"firm{number}.example"), "554 5.7.1 blocked using zen.spamhaus.org")
    auto_pause_sends()
    assert "21 mails of the last 5 minutes were refused because of the sender" in send_of(issue).hold_sentence


@pytest.mark.parametrize(("refused", "state"), [(10, SendState.SENDING), (11, SendState.PAUSED)])
def test_more_than_five_percent_of_a_providers_last_mails_pause_a_send(issue: Issue, refused: int, state: str) -> None:
    sent(issue, {"gmail.com": 200, "firm.example": 20})
    there = at("gmail.com")
    Delivery.objects.filter(pk__in=[each.pk for each in there]).update(delivered_at=timezone.now())
    bounce(there[:refused], GMAIL)
    auto_pause_sends()
    assert send_of(issue).state == state
    if state == SendState.PAUSED:
        assert "Gmail refused 11 of its last mails because of the sender" in send_of(issue).hold_sentence


def test_the_last_send_tells_operators_who_refused_it_and_with_which_words(issue: Issue) -> None:
    send = sent(issue, {"gmail.com": 8, "hotmail.com": 4, "firm.example": 60})
    bounce(at("gmail.com"), GMAIL)
    bounce(at("hotmail.com"), OUTLOOK)
    assert {name: found.total for name, found in policy_bounces(send, since=None).items()} == {"Gmail": 8, "Outlook": 4}
    (found,) = [diagnostic for diagnostic in diagnostics() if diagnostic.name == "policy_bounces"]
    assert found.sentence.startswith("Gmail refused 8 mails of “")
    assert "the sender is unauthenticated" in found.sentence


def test_domains_that_are_missing_count_as_bounces_the_second_time_only(issue: Issue) -> None:
    send = sent(issue, {"gone.example": 40, "firm.example": 260})
    gone = at("gone.example")
    bounce(gone, "550 5.4.4 Invalid domain")
    assert send_health_of(send).bounced == 0
    earlier = start_sending(make_issue("earlier", issue.newsletter))
    SoftBounce.objects.bulk_create(
        SoftBounce(
            subscriber=each.subscriber,
            send=earlier,
            fingerprint=fingerprint(each.subscriber.canonical),
            bounce="no_domain",
            at=timezone.now() - datetime.timedelta(hours=73),
        )
        for each in gone
    )
    assert send_health_of(send).bounced == 40


@pytest.mark.parametrize(
    ("canonical", "name"),
    [("a@gmail.com", "Gmail"), ("a@firm.example", "firm.example"), ("a@hotmail.de", "Outlook"), ("", "")],
)
def test_large_mailbox_providers_have_a_name_and_others_are_their_domain(canonical: str, name: str) -> None:
    assert mailbox_provider_of(canonical) == name
