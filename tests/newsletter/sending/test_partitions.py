"""Partitioned tables: what docs/deploy/partition.sql makes still takes everybody once."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction

from newsletter.config.configuration import PROJECT_ROOT
from newsletter.models import Batch, Delivery, Edition, Event, Issue
from tests import people
from tests.publications import address_everybody, make_issue, start_sending


def partition() -> None:
    # A table with checks that wait for the end of the transaction cannot be changed.
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute((PROJECT_ROOT / "docs/deploy/partition.sql").read_text().replace("%", "%%"), [])
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


@pytest.mark.postgresql
@pytest.mark.django_db
def test_partitioned_deliveries_take_old_and_new_issues_and_nobody_twice(issue: Issue) -> None:
    people.ada(issue.newsletter)
    start_sending(issue)
    address_everybody()
    partition()
    second = start_sending(make_issue("issue-2", issue.newsletter))
    address_everybody()
    assert Delivery.objects.count() == Batch.objects.count() == Edition.objects.count() == 2
    assert second.edition is not None
    delivery = Delivery.objects.get(edition=second.edition)
    with pytest.raises(IntegrityError), transaction.atomic():
        Delivery.objects.create(edition=second.edition, subscriber_id=delivery.subscriber_id)


@pytest.mark.postgresql
@pytest.mark.django_db
def test_partitioned_receipts_keep_one_row_for_an_event() -> None:
    partition()
    for _ in range(2):
        Event.objects.bulk_create(
            [Event(provider="resend", event_id="e-1", kind="k", body="{}")], ignore_conflicts=True
        )
    assert Event.objects.count() == 1
