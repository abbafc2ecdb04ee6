"""Bounces by class: each bounced delivery counts under one class, in any order and in any chunks."""

from __future__ import annotations

import datetime
import itertools
from collections import Counter
from typing import Any

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from newsletter.events.apply import apply_events
from newsletter.events.inbox import store_event
from newsletter.events.statistics import rebuild_statistics
from newsletter.models import CountScope, Delivery, DeliveryState, Send, SendCount
from newsletter.providers import get_provider
from newsletter.providers.base import SignedEvent
from newsletter.reports.recipients import Selection, page_of_recipients
from tests import people
from tests.publications import make_issue, start_sending

START = datetime.datetime(2026, 11, 20, 7, tzinfo=datetime.UTC)
FULL, MISSING, AWAY, UNKNOWN = "452 4.2.2 mailbox full", "550 5.1.1 no such user", "out of office", "554 strange"
REPLIES = {FULL: "mailbox_full", MISSING: "no_mailbox", UNKNOWN: "unknown", AWAY: ""}

numbers = itertools.count(1)


def receive(delivery: Delivery, reply: str) -> None:
    number = next(numbers)
    data = {
        "email_id": f"mail-{delivery.pk}",
        "to": [delivery.subscriber.address],
        "tags": {"delivery": str(delivery.pk), "env": "tests"},
        "bounce": {"type": "Permanent", "subType": "General", "message": reply},
    }
    at = (START + datetime.timedelta(minutes=number)).isoformat()
    body = orjson.dumps({"type": "email.bounced", "created_at": at, "data": data}).decode()
    store_event("resend", SignedEvent(event_id=f"msg_{number}", body=body))


def counted(send: Send) -> dict[str, int]:
    rows = SendCount.objects.by_key(send, CountScope.BOUNCE)
    return {code: count for (code, _name), count in rows.items()}


class AnyOrder(TestCase):
    @settings(max_examples=30, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(0, 2), st.sampled_from(list(REPLIES))), min_size=1, max_size=8),
        st.integers(1, 4),
    )
    @example([(0, AWAY), (0, UNKNOWN)], 1)
    @example([(0, UNKNOWN), (0, AWAY)], 1)
    def test_the_counters_the_recount_and_the_lists_agree(self, told: list[tuple[int, str]], chunk: int) -> None:
        send = start_sending(make_issue(f"issue-{next(numbers)}"))
        deliveries = [delivery_to(f"{name}@example.org", send) for name in "abc"]
        for place, reply in told:
            receive(deliveries[place], reply)
            if chunk == 1:
                apply_events(get_provider())
        while apply_events(get_provider(), chunk):
            pass
        classes: dict[int, set[str]] = {}
        for place, reply in told:
            if REPLIES[reply]:
                classes.setdefault(place, set()).add(REPLIES[reply])
        expected = Counter(min(codes) for codes in classes.values())
        assert counted(send) == expected
        assert not rebuild_statistics(send)
        listed = {code: len(page_of_recipients(send, Selection(bounce=code)).rows) for code in REPLIES.values() if code}
        assert Counter(listed) == expected
        assert not page_of_recipients(send, Selection(bounce="auto_reply")).rows


def delivery_to(address: str, send: Send) -> Delivery:
    subscription: Any = people.make_subscription(address, send.issue.newsletter)
    return Delivery.objects.create(
        issue=send.issue, send=send, subscriber=subscription.subscriber, state=DeliveryState.ACCEPTED
    )
