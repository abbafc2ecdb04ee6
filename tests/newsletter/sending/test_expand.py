"""Expanding the audience: each recipient gets one delivery, in one batch, even if the expansion is interrupted."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from itertools import pairwise

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Case, ProtectedError
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from newsletter.content.store import save_content
from newsletter.models import Batch, Delivery, Edition, Issue, Send, SendState
from newsletter.sending import expand
from newsletter.sending.control import cancel_send
from newsletter.sending.expand import expand_audience, expand_chunk
from newsletter.sending.freeze import freeze_edition
from subscribers.models import Subscriber
from tests import people
from tests.publications import content, expand_audiences, make_issue, send_of, start_sending


def batch_ranges() -> list[tuple[int, int]]:
    return list(Batch.objects.order_by("pk").values_list("first_delivery", "last_delivery"))


def batch_sizes() -> list[int]:
    """How many deliveries each batch owns."""
    return [Delivery.objects.filter(pk__gte=first, pk__lte=last).count() for first, last in batch_ranges()]


def delete_in_database(edition: Edition) -> None:
    """Delete without Django's checks, and check the database's constraints at once."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM newsletter_edition WHERE id = %s", [edition.pk])
    connection.check_constraints()


def test_the_audience_is_the_active_subscribers_and_the_others_are_counted_by_reason(issue: Issue) -> None:
    for person in (people.ada, people.ben, people.cleo, people.dina, people.emil, people.finn):
        person(issue.newsletter)
    start_sending(issue)
    expand_audiences()
    assert [delivery.subscriber.address for delivery in Delivery.objects.select_related("subscriber")] == [people.ADA]
    send = send_of(issue)
    assert send.excluded == {"waiting_for_confirmation": 1, "unsubscribed": 1, "suppressed": 2, "paused": 1}
    assert send.expanded_at


def test_chunks_are_cut_into_batches_that_own_each_delivery_once(issue: Issue) -> None:
    people.make_subscriptions(47, issue.newsletter)
    start_sending(issue)
    expand_audiences(batch_size=10, chunk=20)
    assert batch_sizes() == [10, 10, 10, 10, 7]
    assert Delivery.objects.count() == 47
    assert all(last < first for (_, last), (first, _) in pairwise(batch_ranges()))


def test_the_key_of_a_batch_follows_from_its_edition_and_its_deliveries(issue: Issue) -> None:
    people.make_subscriptions(3, issue.newsletter)
    edition = start_sending(issue).edition
    expand_audiences(batch_size=2)
    first, second = Batch.objects.order_by("pk")
    assert first.key == f"tests:{edition.sha256[:32]}:{first.first_delivery}-{first.last_delivery}:1"
    assert first.key != second.key


def test_a_subscriber_who_confirms_after_the_start_gets_the_next_issue(issue: Issue) -> None:
    people.make_subscriptions(2, issue.newsletter)
    start_sending(issue)
    expand_audience(batch_size=100, chunk=1)
    people.make_subscription(people.ADA, issue.newsletter, confirmed_at=timezone.now() + datetime.timedelta(seconds=1))
    expand_audiences()
    assert Delivery.objects.count() == 2


def test_expanding_again_makes_no_further_deliveries(issue: Issue) -> None:
    people.make_subscriptions(5, issue.newsletter)
    send = start_sending(issue)
    expand_audiences(batch_size=2)
    for expanded_through in (send_of(issue).expanded_through, 0):
        # As after a crash: the send's row is as it was, and its deliveries are there.
        Send.objects.update(expanded_at=None, expanded_through=expanded_through)
        for _ in range(3):
            expand_chunk(send.pk, batch_size=2)
        assert (Delivery.objects.count(), Batch.objects.count()) == (5, 3)


def test_a_cancelled_send_is_not_expanded_further(issue: Issue) -> None:
    people.make_subscriptions(4, issue.newsletter)
    start_sending(issue)
    expand_audience(batch_size=2, chunk=2)
    cancel_send(send_of(issue), by="tests")
    expand_audiences()
    assert Delivery.objects.count() == 2


def test_two_sends_that_are_expanded_in_turns_keep_their_batches_apart(issue: Issue) -> None:
    people.make_subscriptions(6, issue.newsletter)
    sends = [start_sending(issue), start_sending(make_issue("issue-2", issue.newsletter))]
    for send in (*sends, *sends):
        expand_chunk(send.pk, batch_size=2, chunk=3)
    for batch in Batch.objects.all():
        owned = Delivery.objects.filter(send=batch.send_id, pk__gte=batch.first_delivery, pk__lte=batch.last_delivery)
        assert 1 <= owned.count() <= 2
    assert Delivery.objects.count() == 12


def test_the_database_rejects_a_second_delivery_of_an_issue_to_a_subscriber(issue: Issue) -> None:
    subscription = people.ada(issue.newsletter)
    send = start_sending(issue)
    Delivery.objects.create(issue=issue, send=send, subscriber=subscription.subscriber)
    with pytest.raises(IntegrityError):
        Delivery.objects.create(issue=issue, send=send, subscriber=subscription.subscriber)


def test_another_send_of_the_issue_makes_no_second_delivery_for_a_subscriber(issue: Issue) -> None:
    people.make_subscriptions(3, issue.newsletter)
    first = start_sending(issue)
    expand_audience(batch_size=2, chunk=2)
    # No step withdraws a send that has deliveries. If one ever did, the unique index would still hold.
    Send.objects.filter(pk=first.pk).update(state=SendState.WITHDRAWN)
    save_content(issue, content(subject="Another edition"), by="tests")
    second = start_sending(issue)
    assert first.edition_id != second.edition_id
    expand_audiences(batch_size=2)
    assert Delivery.objects.count() == 3
    assert Delivery.objects.filter(send=second).count() == 1


def test_the_database_rejects_a_second_current_send_of_an_issue(issue: Issue) -> None:
    start_sending(issue)
    with pytest.raises(IntegrityError), transaction.atomic():
        start_sending(issue)


def test_a_subscription_that_is_made_again_meanwhile_gets_no_second_delivery(issue: Issue) -> None:
    first, *_others = people.make_subscriptions(4, issue.newsletter)
    start_sending(issue)
    expand_audience(batch_size=2, chunk=2)
    address, confirmed_at = first.subscriber.address, first.confirmed_at
    first.delete()
    people.make_subscription(address, issue.newsletter, confirmed_at=confirmed_at)
    expand_audiences(batch_size=2, chunk=2)
    assert Delivery.objects.count() == 4
    assert batch_sizes() == [2, 2]


def test_rows_of_the_expansion_have_the_defaults_of_the_models(issue: Issue) -> None:
    people.ada(issue.newsletter)
    start_sending(issue)
    expand_audiences()
    for row in (Delivery.objects.get(), Batch.objects.get()):
        set_by_expansion = {"id", "issue", "send", "edition", "subscriber"}
        set_by_expansion |= {"first_delivery", "last_delivery", "key", "not_before"}
        for field in row._meta.concrete_fields:
            if field.name not in set_by_expansion:
                assert getattr(row, field.attname) == field.get_default(), field


def test_a_large_chunk_takes_as_many_queries_as_a_small_one(issue: Issue) -> None:
    people.make_subscriptions(250, issue.newsletter)
    start_sending(issue)
    counts = []
    for chunk in (10, 200):
        with CaptureQueriesContext(connection) as queries:
            expand_audience(batch_size=10, chunk=chunk)
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert Delivery.objects.count() == 210


def test_a_subscriber_who_changes_their_zone_during_the_expansion_gets_one_delivery_in_a_batch_of_its_own(
    issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    berlin, tokyo = "Europe/Berlin", "Asia/Tokyo"
    for name, zone in {"ada": berlin, "ben": berlin, "cleo": tokyo, "dina": tokyo}.items():
        subscription = people.make_subscription(f"{name}@example.org", issue.newsletter)
        Subscriber.objects.filter(pk=subscription.subscriber_id).update(time_zone=zone)
    start_sending(issue)
    Send.objects.update(is_local=True, scheduled_zone=berlin, scheduled_wall="2199-11-20T07:00")
    rank_among = expand._rank_among

    def move_cleo(waves: Iterable[list[str]]) -> Case:
        Subscriber.objects.filter(address=people.CLEO).update(time_zone="Pacific/Auckland")
        return rank_among(waves)

    monkeypatch.setattr(expand, "_rank_among", move_cleo)
    expand_audiences()
    rows = Batch.objects.order_by("first_delivery").values_list("first_delivery", "last_delivery", "not_before")
    hours = [not_before.astimezone(datetime.UTC).hour for _first, _last, not_before in rows]
    # The morning in Tokyo for Dina, the one in Berlin, and Tokyo's for Cleo, whose zone was read before it changed.
    assert (batch_sizes(), hours) == ([1, 2, 1], [22, 6, 22])
    assert all(last < first for (_, last, _), (first, _, _) in pairwise(rows))


def test_an_edition_cannot_be_deleted_while_a_send_or_a_batch_uses_it(issue: Issue) -> None:
    people.ada(issue.newsletter)
    edition = start_sending(issue).edition
    expand_audiences()
    with pytest.raises(ProtectedError):
        edition.delete()
    with pytest.raises(IntegrityError), transaction.atomic():
        delete_in_database(edition)
    # Deliveries have no foreign key of the database to it. Without their send, their batch protects it.
    Send.objects.update(state=SendState.WITHDRAWN)
    save_content(issue, content(subject="Another edition"), by="tests")
    Send.objects.update(edition=freeze_edition(issue))
    with pytest.raises(IntegrityError), transaction.atomic():
        delete_in_database(edition)
    Batch.objects.all().delete()
    delete_in_database(edition)
