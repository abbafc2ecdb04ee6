"""Unsubscribes of a send: whoever leaves by which link, the counters say what a recount says."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from newsletter.events.statistics import rebuild_statistics
from newsletter.models import Send
from newsletter.sending.message import RecipientValues
from newsletter.sending.recipients import Recipient
from subscribers.models import (
    ConsentForm,
    ConsentKind,
    Evidence,
    LeaveReason,
    MailLink,
    Subscription,
    SubscriptionState,
    record_consents,
)
from subscribers.privacy.erase import erase_data_subject
from subscribers.privacy.registry import find_data_subject
from tests import people
from tests.newsletter.models.test_send_count import counters, recounted
from tests.publications import make_issue, start_sending

ONE_CLICK = {"List-Unsubscribe": "One-Click"}
ADDRESSES = [f"{name}@example.org" for name in "abc"]

#: What a subscriber does, with whose mail, of which send.
ACTIONS = ("one-click", "page", "preferences", "leave-all", "back", "answer", "old link", "erase")
steps = st.lists(
    st.tuples(st.sampled_from(ACTIONS), st.integers(0, 2), st.integers(0, 1), st.sampled_from(LeaveReason.values)),
    max_size=12,
)


def links_of(send: Send | None, subscription: Subscription) -> dict[str, str]:
    """The paths of the links in a mail of this send, or in one of an earlier version."""
    values = RecipientValues({}, send_pk=send.pk if send else None).of(
        Recipient(delivery_pk=1, address="x@example.org", subscription_key=subscription.key, skip_reason=None)
    )
    return {
        name: values[f"{name}_url"].removeprefix("http://127.0.0.1:8000") for name in ("unsubscribe", "preferences")
    }


def act(client: Client, action: str, subscription: Subscription, send: Send, reason: str) -> None:
    links = links_of(None if action == "old link" else send, subscription)
    if action in ("one-click", "old link"):
        client.post(links["unsubscribe"], ONE_CLICK)
    elif action == "page":
        client.post(links["unsubscribe"], {"action": "unsubscribe"})
    elif action == "preferences":
        client.post(links["preferences"], {"action": "unsubscribe"})
    elif action == "leave-all":
        client.post(links["preferences"], {"action": "leave-all"})
    elif action == "answer":
        client.post(links["unsubscribe"], {"action": "reason", "reason": reason, "text": "Words"})
    elif action == "back":
        Subscription.objects.filter(pk=subscription.pk).update(state=SubscriptionState.ACTIVE, ended_at=None)


def of_unsubscribes(send: Send) -> dict[tuple[str, str, str], int]:
    return {what: value for what, value in counters(send).items() if what[2] == "unsubscribed"}


class AnyOrder(TestCase):
    """Subscribers may do anything, in any order, also after they were erased."""

    @settings(max_examples=40, deadline=None)
    @given(steps)
    def test_the_counters_are_those_of_a_recount(self, taken: list[tuple[str, int, int, str]]) -> None:
        first = start_sending(make_issue())
        sends = [first, start_sending(make_issue("issue-2", first.issue.newsletter))]
        subscriptions = [people.make_subscription(address, first.issue.newsletter) for address in ADDRESSES]
        left: set[tuple[int, int]] = set()
        for action, who, which, reason in taken:
            subscription, send = subscriptions[who], sends[which]
            if action == "erase":
                erase_data_subject(find_data_subject(ADDRESSES[who]))
                continue
            state = Subscription.objects.filter(pk=subscription.pk).values_list("state", flat=True).first()
            act(Client(), action, subscription, send, reason)
            if action in ("one-click", "page", "preferences", "leave-all") and state == SubscriptionState.ACTIVE:
                left.add((who, which))
        for place, send in enumerate(sends):
            assert counters(send) == recounted(send)
            count = sum(which == place for _who, which in left)
            found = of_unsubscribes(send)
            assert found.get(("", "", "unsubscribed"), 0) == count
            assert sum(value for (scope, *_), value in found.items() if scope == "left") == count
            assert sum(value for (scope, *_), value in found.items() if scope == "left_why") <= count


@pytest.fixture
def send(db: None) -> Send:
    return start_sending(make_issue())


def leave(subscription: Subscription, reference: int, kind: str = ConsentKind.UNSUBSCRIBED) -> None:
    evidence = Evidence(form=ConsentForm.ONE_CLICK, mail_link=MailLink(subscription.key, reference))
    record_consents(ConsentKind(kind), [subscription], evidence)


def test_each_way_and_each_answer_is_counted(send: Send, client: Client) -> None:
    ways = ("one-click", "one-click", "page", "preferences")
    for number, action in enumerate(ways):
        subscription = people.make_subscription(f"{number}@example.org", send.issue.newsletter)
        act(client, action, subscription, send, "")
        if number:
            act(client, "answer", subscription, send, "too_many" if number == 1 else "other")
    assert of_unsubscribes(send) == {
        ("", "", "unsubscribed"): 4,
        ("left", "one-click", "unsubscribed"): 2,
        ("left", "unsubscribe", "unsubscribed"): 1,
        ("left", "preferences", "unsubscribed"): 1,
        ("left_why", "too_many", "unsubscribed"): 1,
        ("left_why", "other", "unsubscribed"): 2,
    }


def test_an_unsubscribe_that_is_rolled_back_is_not_counted(send: Send) -> None:
    with transaction.atomic():
        leave(people.make_subscription(people.ADA, send.issue.newsletter), send.pk)
        assert of_unsubscribes(send)
        transaction.set_rollback(True)
    assert not of_unsubscribes(send)


def test_a_link_of_a_send_that_is_gone_counts_nowhere(send: Send) -> None:
    leave(people.make_subscription(people.ADA, send.issue.newsletter), send.pk + 1)
    assert not of_unsubscribes(send)
    assert counters(Send(pk=send.pk + 1)) == {}


def test_a_recount_mends_counters_of_unsubscribes(send: Send) -> None:
    leave(people.make_subscription(people.ADA, send.issue.newsletter), send.pk)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE newsletter_sendcount SET value = 5 WHERE name = 'unsubscribed'")
    assert ("", "", "unsubscribed", 5, 1) in rebuild_statistics(send)
    assert of_unsubscribes(send) == {("", "", "unsubscribed"): 1, ("left", "one-click", "unsubscribed"): 1}


def test_the_trigger_is_on_the_table(db: None) -> None:
    """A migration that makes the table of consents anew must make it again."""
    query = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'subscribers_consent'",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE tgrelid = 'subscribers_consent'::regclass",
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(query)
        assert "subscribers_consent_count" in {name for (name,) in cursor.fetchall()}
