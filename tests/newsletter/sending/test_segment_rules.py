"""Rules of segments about issues find whom deliveries and their events mean."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone, translation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from newsletter.models import Delivery, DeliveryState, Issue, Send, SendState
from newsletter.sending.segment_rules import issues_of
from subscribers.models import Subscription
from subscribers.segments.kinds import Facts
from subscribers.segments.query import matching
from subscribers.segments.rules import RulesError, describe, parse_rules
from tests.people import make_subscription
from tests.publications import make_issue, make_newsletter, start_sending

pytestmark = pytest.mark.django_db

NOW = datetime.datetime(2026, 11, 29, 12, tzinfo=datetime.UTC)

#: What may have become of a delivery: the state and the times that are known.
OUTCOMES: dict[str, dict[str, Any]] = {
    "none": {},
    "skipped": {"state": DeliveryState.SKIPPED},
    "accepted": {"state": DeliveryState.ACCEPTED},
    "delivered": {"state": DeliveryState.ACCEPTED, "delivered_at": NOW},
    "bounced": {"state": DeliveryState.ACCEPTED, "bounced_at": NOW},
    "opened": {"state": DeliveryState.ACCEPTED, "delivered_at": NOW, "opened_at": NOW},
    "clicked": {"state": DeliveryState.ACCEPTED, "clicked_at": NOW},
    "opened, then bounced": {"state": DeliveryState.ACCEPTED, "opened_at": NOW, "bounced_at": NOW},
}
RECEIVED = {"accepted", "delivered", "opened", "clicked", "opened, then bounced"}
OPENED = {"opened", "clicked", "opened, then bounced"}


def make_sends(count: int) -> list[Issue]:
    """Issues whose sending began on one day after the other, the newest first."""
    issues = [make_issue(f"issue-{number}") for number in range(count)]
    edition = start_sending(issues[0]).edition
    for number, issue in enumerate(issues):
        if number:
            Send.objects.create(issue=issue, edition=edition, state=SendState.SENDING, started_at=NOW)
        Send.objects.filter(issue=issue).update(started_at=NOW - (count - number) * datetime.timedelta(days=7))
    return issues[::-1]


def deliver(issue: Issue, subscription: Subscription, outcome: str) -> None:
    """A delivery with this outcome."""
    if outcome != "none":
        send = Send.objects.get(issue=issue)
        Delivery.objects.create(issue=issue, send=send, subscriber=subscription.subscriber, **OUTCOMES[outcome])


def find(kind: str, comparison: str, value: object) -> set[int]:
    """The subscriptions that the rule matches."""
    facts = Facts(make_newsletter(), NOW)
    rule = {"kind": kind, "field": "", "comparison": comparison, "value": str(value)}
    return set(matching(parse_rules({"match": "all", "rules": [rule]}, facts), facts).values_list("pk", flat=True))


def means(kind: str, comparison: str, value: int, outcomes: list[str], *, agreed: bool) -> bool:
    """Whether the rule matches who had these outcomes, of the newest issue first."""
    last = outcomes[:value]
    facts = {"received": RECEIVED, "opened": OPENED, "clicked": {"clicked"}}
    if kind in facts:
        return any(outcome in facts[kind] for outcome in last) is (comparison == "last")
    if kind == "ignored":
        received_all = len(last) == value and all(outcome in RECEIVED for outcome in last)
        return agreed and received_all and not any(outcome in OPENED for outcome in last)
    enough = sum(outcome in RECEIVED for outcome in outcomes) >= value
    return enough is (comparison == "at_least")


RULES = [
    *((kind, comparison) for kind in ("received", "opened", "clicked") for comparison in ("last", "not_last")),
    ("ignored", "last"),
    ("issues_received", "at_least"),
    ("issues_received", "fewer"),
]


@given(
    st.lists(
        st.tuples(st.booleans(), st.lists(st.sampled_from(sorted(OUTCOMES)), min_size=3, max_size=3)),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_sql_finds_whom_the_rules_mean(three_issues: list[Issue], drawn: list[tuple[bool, list[str]]]) -> None:
    with transaction.atomic():
        people = []
        for number, (agreed, outcomes) in enumerate(drawn):
            agreed_at = NOW if agreed else None
            person = make_subscription(f"reader-{number}@example.org", make_newsletter(), tracking_agreed_at=agreed_at)
            people.append((person.pk, agreed, outcomes))
            for issue, outcome in zip(three_issues, outcomes, strict=True):
                deliver(issue, person, outcome)
        for kind, comparison in RULES:
            for value in (1, 2, 3, 4):
                wanted = {
                    pk for pk, agreed, outcomes in people if means(kind, comparison, value, outcomes, agreed=agreed)
                }
                assert find(kind, comparison, value) == wanted, (kind, comparison, value)
        transaction.set_rollback(True)


@pytest.fixture
def three_issues() -> list[Issue]:
    return make_sends(3)


def test_one_issue_can_be_named(three_issues: list[Issue]) -> None:
    reader, other = (make_subscription(f"{name}@example.org", make_newsletter()) for name in ("reader", "other"))
    deliver(three_issues[1], reader, "clicked")
    assert find("clicked", "issue", three_issues[1].pk) == {reader.pk}
    assert find("clicked", "issue", three_issues[0].pk) == set()
    assert find("received", "not_issue", three_issues[1].pk) == {other.pk}


def test_only_issues_of_the_newsletter_whose_sending_has_begun_can_be_named(three_issues: list[Issue]) -> None:
    draft, elsewhere = make_issue("draft"), make_issue("elsewhere", make_newsletter("tide-tables"))
    start_sending(elsewhere)
    assert list(issues_of(Facts(make_newsletter()))) == [str(issue.pk) for issue in three_issues]
    for issue in (draft, elsewhere):
        with pytest.raises(RulesError, match="no longer exists"):
            find("received", "issue", issue.pk)


def test_a_list_without_a_newsletter_or_issues_has_no_last_issues() -> None:
    reader = make_subscription("reader@example.org", make_newsletter(), tracking_agreed_at=timezone.now())
    assert find("ignored", "last", 1) == set()
    assert find("clicked", "last", 8) == set()
    assert find("clicked", "not_last", 8) == {reader.pk}


def test_the_rules_are_said_in_words(three_issues: list[Issue]) -> None:
    facts = Facts(make_newsletter(), NOW)
    rules = [
        {"kind": "issues_received", "field": "", "comparison": "at_least", "value": "20"},
        {"kind": "clicked", "field": "", "comparison": "not_last", "value": "8"},
        {"kind": "ignored", "field": "", "comparison": "last", "value": "1"},
        {"kind": "opened", "field": "", "comparison": "issue", "value": str(three_issues[0].pk)},
    ]
    with translation.override("en"):
        words = describe(parse_rules({"match": "any", "rules": rules}, facts), facts)
    assert words == (
        "received at least 20 issues, no click in the last 8 issues, received the last issue without an open "
        "or opened the issue “Taller cranes”"
    )


def test_more_issues_than_a_statement_should_name_are_refused() -> None:
    with pytest.raises(RulesError, match="from 1 to 100"):
        find("ignored", "last", 101)
