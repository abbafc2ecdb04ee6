"""Query plans of PostgreSQL for a send that is so new that there are no statistics of it, only of its list."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from newsletter.models import Batch, Delivery, DeliveryState, Issue, Newsletter, Send
from newsletter.sending.audience import Audience
from newsletter.sending.control import cancel_send
from newsletter.sending.next_batch import SELECT_NEXT
from newsletter.sending.outcome import DELIVERIES_ACCEPTED
from newsletter.sending.recipients import RECIPIENTS, deliveries_of
from subscribers.models import present_secret_fingerprint
from tests import people
from tests.publications import expand_audiences, make_issue, start_sending

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db]


@pytest.fixture
def send(issue: Issue) -> Send:
    """An expanded send to three hundred recipients."""
    people.make_subscriptions(300, issue.newsletter)
    with connection.cursor() as cursor:
        # The list is older than the send, so that there are statistics of it.
        cursor.execute("ANALYZE subscribers_subscriber, subscribers_subscription")
    send = start_sending(issue)
    expand_audiences(batch_size=10)
    with connection.cursor() as cursor:
        # PostgreSQL reads so small a table whole, whatever its indexes. The plan for a large one is what matters.
        cursor.execute("SET LOCAL enable_seqscan = off")
    return send


def test_the_deliveries_of_a_batch_are_found_by_primary_key_and_not_through_their_send(send: Send) -> None:
    batch = Batch.objects.filter(send=send)[7]
    plan = deliveries_of(batch).filter(state__in=[DeliveryState.PENDING]).explain()
    assert "newsletter_delivery_pkey" in plan
    assert "delivery_once_per_issue_and_subscriber" not in plan
    assert "delivery_bounced_or_complained" not in plan
    assert deliveries_of(batch).count() == 10


def test_the_next_batch_is_found_among_the_open_ones_and_not_through_its_send(send: Send) -> None:
    now = timezone.now()
    plan = SELECT_NEXT.explain(now, present_secret_fingerprint(), now, "sandbox:account", [], [])
    assert "Index Scan using batch_open" in plan
    assert "newsletter_batch_send_id" not in plan
    assert "Sort" not in plan


def test_the_recipients_of_a_batch_are_found_by_primary_keys(send: Send) -> None:
    batch = Batch.objects.filter(send=send)[7]
    owned = (batch.first_delivery, batch.last_delivery, batch.send_id)
    lists = (send.issue_id, send.issue.newsletter_id)
    plan = RECIPIENTS.explain(timezone.now(), *lists, *owned, [DeliveryState.PENDING])
    assert "newsletter_delivery_pkey" in plan
    # Of two indexes, each of which finds one row, the statistics decide.
    conditions = [line for line in plan.splitlines() if "Index Cond" in line]
    assert any("subscriber_id = d.subscriber_id" in line for line in conditions)
    assert "subscription_audience" not in plan
    assert "Seq Scan" not in plan


def test_deliveries_are_locked_in_the_order_of_their_keys_before_they_are_accepted(send: Send) -> None:
    pks = list(Delivery.objects.values_list("pk", flat=True)[:10])
    plan = DELIVERIES_ACCEPTED.explain(pks, [f"id-{pk}" for pk in pks])
    lines = [line.strip() for line in plan.splitlines()]
    locked = lines.index(next(line for line in lines if "LockRows" in line))
    assert any("Sort Key: d.id" in line or "newsletter_delivery_pkey" in line for line in lines[locked:])


def test_deliveries_of_the_week_are_found_by_subscriber_and_not_read_whole(send: Send) -> None:
    Newsletter.objects.update(offers_weekly=True)
    Send.objects.update(awaits_digest=True)
    friday = make_issue("friday")
    subscriptions = next(Audience.of(friday).unexpanded(start_sending(friday)))
    plan = subscriptions.order_by("pk").explain()
    assert "delivery_once_per_issue_and_subscriber" in plan
    assert "hashed" not in plan.lower()


def test_statistics_cover_the_whole_audience_once_it_is_expanded(send: Send) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE relname = 'newsletter_delivery'")
        assert cursor.fetchone() == (300,)


def test_recording_an_outcome_updates_no_index_of_deliveries(send: Send) -> None:
    Delivery.objects.filter(send=send).update(state=DeliveryState.BATCHED)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_get_xact_tuples_hot_updated('newsletter_delivery'::regclass)")
        assert cursor.fetchone()[0] > 270


def test_a_cancellation_locks_batches_before_deliveries_as_a_claim_does(send: Send) -> None:
    with CaptureQueriesContext(connection) as queries:
        cancel_send(send, by="tests")
    changes = [query["sql"] for query in queries if '"newsletter_batch"' in query["sql"] or "UPDATE" in query["sql"]]
    batches = next(place for place, sql in enumerate(changes) if 'FOR UPDATE OF "newsletter_batch"' in sql)
    deliveries = next(place for place, sql in enumerate(changes) if 'UPDATE "newsletter_delivery"' in sql)
    assert batches < deliveries
