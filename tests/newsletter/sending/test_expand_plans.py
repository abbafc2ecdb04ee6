"""How PostgreSQL finds deliveries and batches of an edition that is so new that it knows nothing of it."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from newsletter.models import Batch, Delivery, DeliveryStatus, Issue
from newsletter.sending.control import cancel_issue
from newsletter.sending.recipients import deliveries_of
from tests import people
from tests.publications import address_everybody, start_sending

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db]


@pytest.fixture
def addressed(issue: Issue) -> Issue:
    people.make_subscriptions(300, issue.newsletter)
    start_sending(issue)
    address_everybody(batch_size=10)
    with connection.cursor() as cursor:
        # So small a table is read whole, whatever its indexes; what counts is how a large one would be read.
        cursor.execute("SET LOCAL enable_seqscan = off")
    return issue


def test_the_deliveries_of_a_batch_are_found_by_their_keys_and_never_through_their_edition(addressed: Issue) -> None:
    batch = Batch.objects.filter(edition=addressed.edition_id)[7]
    plan = deliveries_of(batch).filter(status__in=[DeliveryStatus.PENDING]).explain()
    assert "newsletter_delivery_pkey" in plan
    assert "delivery_once_per_reader_and_edition" not in plan
    assert deliveries_of(batch).count() == 10


def test_the_next_batch_is_found_among_the_open_ones_and_never_through_its_edition(addressed: Issue) -> None:
    plan = Batch.objects.claimable(timezone.now()).only("pk")[:1].explain()
    assert "batch_open" in plan
    assert "newsletter_edition" not in plan


def test_the_whole_of_an_audience_is_known_to_the_planner_once_it_is_addressed(addressed: Issue) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE relname = 'newsletter_delivery'")
        assert cursor.fetchone() == (300,)


def test_an_outcome_finds_room_beside_its_delivery_and_touches_no_index(addressed: Issue) -> None:
    Delivery.objects.filter(edition=addressed.edition_id).update(status=DeliveryStatus.BATCHED)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_get_xact_tuples_hot_updated('newsletter_delivery'::regclass)")
        assert cursor.fetchone()[0] > 270


def test_a_cancel_locks_the_batches_before_their_readers_as_a_claim_does(addressed: Issue) -> None:
    with CaptureQueriesContext(connection) as queries:
        cancel_issue(addressed, by="tests")
    changes = [query["sql"] for query in queries if '"newsletter_batch"' in query["sql"] or "UPDATE" in query["sql"]]
    locked = next(place for place, sql in enumerate(changes) if 'FOR UPDATE OF "newsletter_batch"' in sql)
    named = next(place for place, sql in enumerate(changes) if 'UPDATE "newsletter_delivery"' in sql)
    assert locked < named
