"""The same refusal of a mail at several mailbox providers, or many times, pauses the send and suppresses nobody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.models import Issue, SendState, SoftBounce
from newsletter.providers.bounces import gist_of
from newsletter.sending.auto_pause import auto_pause_sends
from newsletter.sending.content_bounces import MIN_REPLIES, content_bounces
from newsletter.sending.control import resume_send
from subscribers.models import Subscriber, Suppression
from tests.newsletter.sending.test_policy_bounces import at, bounce, sent
from tests.publications import send_of

SPAM = "554 5.7.1 Message content rejected, UBE, id={}"
URI = "554 5.7.1 The message contains a link that is listed at uribl, see https://{}.example/"
DOMAINS = ("one.example", "two.example", "three.example", "four.example")


def state_after_check(issue: Issue) -> str:
    auto_pause_sends()
    return send_of(issue).state


def refuse(domain: str, count: int = 1, reply: str = SPAM, first: int = 0) -> None:
    for number, delivery in enumerate(at(domain)[first : first + count]):
        bounce([delivery], reply.format(f"x{first + number}{domain[:3]}7"))


@pytest.mark.django_db
def test_the_same_reply_of_three_mailbox_providers_pauses_a_send_and_two_do_not(issue: Issue) -> None:
    sent(issue, dict.fromkeys(DOMAINS, 30))
    refuse("one.example", 5)
    refuse("two.example", 5)
    assert state_after_check(issue) == SendState.SENDING
    refuse("three.example")
    assert state_after_check(issue) == SendState.PAUSED
    paused = send_of(issue)
    assert paused.was_auto_paused
    sentence = (
        "11 mails were refused because of what is in them, with the same words (mailbox providers: 3): “554 5.7.1"
    )
    assert sentence in paused.hold_sentence
    assert "links to listed sites" in paused.hold_sentence
    assert not Suppression.objects.exists()
    assert not SoftBounce.objects.exists()


@pytest.mark.django_db
def test_three_replies_that_say_different_things_do_not_pause_a_send(issue: Issue) -> None:
    sent(issue, dict.fromkeys(DOMAINS, 30))
    refuse("one.example")
    refuse("two.example", reply=URI)
    refuse("three.example", reply="552 5.3.4 Message size exceeds fixed limit {}")
    assert state_after_check(issue) == SendState.SENDING


@pytest.mark.django_db
def test_one_mailbox_provider_pauses_a_send_by_the_number_of_its_refusals(issue: Issue) -> None:
    sent(issue, {"one.example": 60})
    refuse("one.example", MIN_REPLIES - 1)
    assert state_after_check(issue) == SendState.SENDING
    refuse("one.example", first=MIN_REPLIES)
    assert state_after_check(issue) == SendState.PAUSED


@pytest.mark.django_db
def test_domains_of_one_mailbox_provider_count_as_one(issue: Issue) -> None:
    sent(issue, dict.fromkeys(("gmail.com", "googlemail.com", "one.example"), 30))
    for domain in ("gmail.com", "googlemail.com", "one.example"):
        refuse(domain)
    assert state_after_check(issue) == SendState.SENDING
    (same,) = content_bounces(send_of(issue)).values()
    assert len(same.providers) == 2


@pytest.mark.django_db
def test_a_reply_that_an_operator_has_seen_does_not_pause_the_send_again_and_another_does(issue: Issue) -> None:
    sent(issue, dict.fromkeys(DOMAINS, 30))
    for domain in DOMAINS[:3]:
        refuse(domain)
    assert state_after_check(issue) == SendState.PAUSED
    resume_send(send_of(issue), by="Edda", text="Their filter is wrong.")
    refuse("four.example", 5)
    assert state_after_check(issue) == SendState.SENDING
    for domain in DOMAINS[:3]:
        refuse(domain, reply=URI, first=20)
    assert state_after_check(issue) == SendState.PAUSED
    assert "listed at uribl" in send_of(issue).hold_sentence
    assert "UBE" not in send_of(issue).hold_sentence


@pytest.mark.django_db
def test_an_erased_subscriber_still_counts_among_the_refusals(issue: Issue) -> None:
    sent(issue, {"one.example": 60})
    refuse("one.example", MIN_REPLIES)
    Subscriber.objects.filter(canonical__endswith="@one.example").delete()
    assert state_after_check(issue) == SendState.PAUSED


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (SPAM.format("1a2b"), SPAM.format("9z8y7")),
        (URI.format("a"), URI.format("b")),
        ("smtp; 552-5.7.0 This message was blocked", "552 5.7.0 This message was blocked"),
        ("550 5.6.0 spam message from ada@one.example", "550 5.6.0 Spam message from ben@two.example."),
    ],
)
def test_replies_that_differ_in_ids_addresses_and_links_have_one_gist(one: str, other: str) -> None:
    assert gist_of(one) == gist_of(other) != ""


def test_replies_with_other_codes_or_words_have_another_gist() -> None:
    replies = ("554 5.7.1 content rejected", "550 5.7.1 content rejected", "554 5.6.1 content rejected", "554 5.7.1 no")
    assert len({gist_of(reply) for reply in replies}) == len(replies)
    assert gist_of("") == ""


@given(st.text(max_size=300))
def test_any_text_has_a_short_gist(text: str) -> None:
    assert len(gist_of(text)) <= 200
