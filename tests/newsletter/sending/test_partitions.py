"""Partitioned tables: with docs/deploy/partition.sql each subscriber still gets each issue once."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction

from newsletter.config.configuration import PROJECT_ROOT
from newsletter.models import Batch, Delivery, Event, Issue, Send
from newsletter.providers.base import Provider
from newsletter.reports.statistics import report_of
from tests import people
from tests.publications import expand_audiences, make_issue, post_everything, start_sending

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db]


def partition() -> None:
    """Execute docs/deploy/partition.sql in the transaction of the test."""
    # PostgreSQL refuses to alter a table while checks on it are deferred to the end of the transaction.
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute((PROJECT_ROOT / "docs/deploy/partition.sql").read_text().replace("%", "%%"), [])
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def partitions() -> dict[int, str]:
    """The partition of each delivery, by the issue."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT issue_id, tableoid::regclass::text FROM newsletter_delivery")
        return dict(cursor.fetchall())


def test_deliveries_of_earlier_and_later_issues_go_to_their_partitions(issue: Issue, provider: Provider) -> None:
    people.ada(issue.newsletter)
    first = start_sending(issue)
    expand_audiences()
    partition()
    other = make_issue("issue-2", issue.newsletter)
    second = start_sending(other)
    expand_audiences()
    assert Delivery.objects.count() == Batch.objects.count() == Send.objects.count() == 2
    assert partitions() == {issue.pk: "newsletter_delivery_before", other.pk: "newsletter_delivery_rest"}
    post_everything(provider)
    assert (report_of(first).accepted, report_of(second).accepted) == (1, 1)


@pytest.mark.parametrize("slug", ["issue-1", "issue-2"], ids=["earlier issue", "later issue"])
def test_a_second_delivery_of_an_issue_to_a_subscriber_is_rejected(issue: Issue, slug: str) -> None:
    people.ada(issue.newsletter)
    start_sending(issue)
    expand_audiences()
    partition()
    start_sending(make_issue("issue-2", issue.newsletter))
    expand_audiences()
    delivery = Delivery.objects.get(issue__slug=slug)
    with pytest.raises(IntegrityError), transaction.atomic():
        Delivery.objects.create(
            issue_id=delivery.issue_id, send_id=delivery.send_id, subscriber_id=delivery.subscriber_id
        )


def test_a_repeated_event_is_stored_once() -> None:
    partition()
    for _ in range(2):
        Event.objects.bulk_create(
            [Event(provider="resend", event_id="e-1", kind="k", body="{}")], ignore_conflicts=True
        )
    assert Event.objects.count() == 1
