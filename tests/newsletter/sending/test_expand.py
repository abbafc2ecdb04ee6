"""Addressing: who gets an issue, once each, in batches, whatever is interrupted."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from itertools import pairwise

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Case, ProtectedError
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from newsletter.models import Batch, Delivery, Edition, Issue, IssueStatus
from newsletter.sending import expand
from newsletter.sending.control import cancel_issue
from newsletter.sending.expand import expand_chunk, expand_next
from subscribers.models import Subscriber
from tests import people
from tests.publications import address_everybody, make_issue, start_sending


def ranges() -> list[tuple[int, int]]:
    return list(Batch.objects.order_by("pk").values_list("first_delivery", "last_delivery"))


def owned() -> list[int]:
    """How many deliveries each batch owns."""
    return [Delivery.objects.filter(pk__gte=first, pk__lte=last).count() for first, last in ranges()]


def delete_at_once(edition: Edition) -> None:
    """As the database sees it, asking no model, and not only at the end of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM newsletter_edition WHERE id = %s", [edition.pk])
    connection.check_constraints()


def test_the_audience_is_who_is_active_now_and_the_others_are_counted_with_the_reason(issue: Issue) -> None:
    for person in (people.ada, people.ben, people.cleo, people.dina, people.emil, people.finn):
        person(issue.newsletter)
    start_sending(issue)
    address_everybody()
    issue.refresh_from_db()
    assert [delivery.subscriber.address for delivery in Delivery.objects.select_related("subscriber")] == [people.ADA]
    assert issue.excluded == {"waiting_for_confirmation": 1, "unsubscribed": 1, "suppressed": 2, "paused": 1}
    assert issue.expanded_at


def test_chunks_are_cut_into_batches_that_cover_everybody_once(issue: Issue) -> None:
    people.make_subscriptions(47, issue.newsletter)
    start_sending(issue)
    address_everybody(batch_size=10, chunk=20)
    assert owned() == [10, 10, 10, 10, 7]
    assert Delivery.objects.count() == 47
    assert all(last < first for (_, last), (first, _) in zip(ranges(), ranges()[1:], strict=False))


def test_each_batch_has_a_key_that_follows_from_what_it_sends_and_to_whom(issue: Issue) -> None:
    people.make_subscriptions(3, issue.newsletter)
    edition = start_sending(issue).edition
    address_everybody(batch_size=2)
    first, second = Batch.objects.order_by("pk")
    assert edition is not None
    assert first.key == f"tests:{edition.sha256[:32]}:{first.first_delivery}-{first.last_delivery}:1"
    assert first.key != second.key


def test_who_confirms_after_the_start_gets_the_next_issue(issue: Issue) -> None:
    people.make_subscriptions(2, issue.newsletter)
    start_sending(issue)
    expand_next(batch_size=100, chunk=1)
    people.make_subscription(people.ADA, issue.newsletter, confirmed_at=timezone.now() + datetime.timedelta(seconds=1))
    address_everybody()
    assert Delivery.objects.count() == 2


def test_addressing_again_makes_nothing_twice(issue: Issue) -> None:
    people.make_subscriptions(5, issue.newsletter)
    start_sending(issue)
    address_everybody(batch_size=2)
    for _ in range(3):
        expand_chunk(issue.pk, batch_size=2)
    assert (Delivery.objects.count(), Batch.objects.count()) == (5, 3)


def test_a_cancelled_issue_is_addressed_no_further(issue: Issue) -> None:
    people.make_subscriptions(4, issue.newsletter)
    start_sending(issue)
    expand_next(batch_size=2, chunk=2)
    cancel_issue(issue, by="tests")
    address_everybody()
    assert Delivery.objects.count() == 2


def test_two_issues_at_once_keep_their_batches_apart(issue: Issue) -> None:
    people.make_subscriptions(6, issue.newsletter)
    other = make_issue("issue-2", issue.newsletter)
    for each in (issue, other):
        start_sending(each)
    for each in (issue, other, issue, other):
        expand_chunk(each.pk, batch_size=2, chunk=3)
    for batch in Batch.objects.all():
        mine = Delivery.objects.filter(
            edition=batch.edition_id, pk__gte=batch.first_delivery, pk__lte=batch.last_delivery
        )
        assert 1 <= mine.count() <= 2
    assert Delivery.objects.count() == 12


def test_the_database_refuses_a_second_delivery_of_an_edition_to_a_reader(issue: Issue) -> None:
    reader = people.ada(issue.newsletter)
    edition = Edition.objects.get(sent_as=start_sending(issue))
    Delivery.objects.create(edition=edition, subscriber=reader.subscriber)
    with pytest.raises(IntegrityError):
        Delivery.objects.create(edition=edition, subscriber=reader.subscriber)


def test_whose_membership_was_made_anew_meanwhile_is_not_addressed_twice_and_stops_nobody(issue: Issue) -> None:
    first, *_others = people.make_subscriptions(4, issue.newsletter)
    start_sending(issue)
    expand_next(batch_size=2, chunk=2)
    address, joined = first.subscriber.address, first.confirmed_at
    first.delete()
    people.make_subscription(address, issue.newsletter, confirmed_at=joined)
    address_everybody(batch_size=2, chunk=2)
    assert Delivery.objects.count() == 4
    assert owned() == [2, 2]


def test_an_addressed_row_is_as_the_models_would_have_made_it(issue: Issue) -> None:
    people.ada(issue.newsletter)
    start_sending(issue)
    address_everybody()
    for row in (Delivery.objects.get(), Batch.objects.get()):
        named = {"id", "edition", "subscriber", "first_delivery", "last_delivery", "key", "not_before"}
        for field in row._meta.concrete_fields:
            if field.name not in named:
                assert getattr(row, field.attname) == field.get_default(), field


def test_a_large_chunk_takes_as_many_queries_as_a_small_one(issue: Issue) -> None:
    people.make_subscriptions(250, issue.newsletter)
    start_sending(issue)
    counts = []
    for chunk in (10, 200):
        with CaptureQueriesContext(connection) as queries:
            expand_next(batch_size=10, chunk=chunk)
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert Delivery.objects.count() == 210


def test_who_moves_between_two_looks_at_their_zone_is_addressed_once_and_alone(
    issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    berlin, tokyo = "Europe/Berlin", "Asia/Tokyo"
    for name, zone in {"ada": berlin, "ben": berlin, "cleo": tokyo, "dina": tokyo}.items():
        member = people.make_subscription(f"{name}@example.org", issue.newsletter)
        Subscriber.objects.filter(pk=member.subscriber_id).update(time_zone=zone)
    start_sending(issue)
    Issue.objects.update(is_local=True, scheduled_zone=berlin, scheduled_wall="2199-11-20T07:00")
    seen = expand._rank_among

    def move_cleo(waves: Iterable[list[str]]) -> Case:
        Subscriber.objects.filter(address=people.CLEO).update(time_zone="Pacific/Auckland")
        return seen(waves)

    monkeypatch.setattr(expand, "_rank_among", move_cleo)
    address_everybody()
    rows = Batch.objects.order_by("first_delivery").values_list("first_delivery", "last_delivery", "not_before")
    hours = [moment.astimezone(datetime.UTC).hour for _first, _last, moment in rows]
    # Dina's morning in Tokyo, Berlin's, and Tokyo's for Cleo too, who was there when her zone was read.
    assert (owned(), hours) == ([1, 2, 1], [22, 6, 22])
    assert all(last < first for (_, last, _), (first, _, _) in pairwise(rows))


def test_no_edition_goes_from_under_its_deliveries(issue: Issue) -> None:
    people.ada(issue.newsletter)
    edition = start_sending(issue).edition
    address_everybody()
    assert edition is not None
    with pytest.raises(ProtectedError):
        edition.delete()
    # Deliveries have no constraint of the database; the batch, made in the same transaction, has it for them.
    Issue.objects.update(status=IssueStatus.DRAFT, edition=None)
    with pytest.raises(IntegrityError), transaction.atomic():
        delete_at_once(edition)
    Batch.objects.all().delete()
    delete_at_once(edition)
