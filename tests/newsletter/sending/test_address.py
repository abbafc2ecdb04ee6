"""Addressing: who gets an issue, once each, in batches, whatever is interrupted."""

from __future__ import annotations

import datetime

import pytest
from django.db import IntegrityError
from django.utils import timezone

from newsletter.models import Batch, Delivery, Edition, Issue
from newsletter.sending.address import address_chunk, address_next
from newsletter.sending.control import cancel_issue
from tests import people
from tests.publications import address_everybody, make_issue, start_sending


def ranges() -> list[tuple[int, int]]:
    return list(Batch.objects.order_by("pk").values_list("first_delivery", "last_delivery"))


def owned() -> list[int]:
    """How many deliveries each batch owns."""
    return [Delivery.objects.filter(pk__gte=first, pk__lte=last).count() for first, last in ranges()]


def test_the_audience_is_who_is_active_now_and_the_others_are_counted_with_the_reason(issue: Issue) -> None:
    for person in (people.ada, people.ben, people.cleo, people.dina, people.emil, people.finn):
        person(issue.newsletter)
    start_sending(issue)
    address_everybody()
    issue.refresh_from_db()
    assert [delivery.subscriber.address for delivery in Delivery.objects.select_related("subscriber")] == [people.ADA]
    assert issue.excluded == {"waiting_for_confirmation": 1, "unsubscribed": 1, "suppressed": 2, "paused": 1}
    assert issue.addressed_at


def test_chunks_are_cut_into_batches_that_cover_everybody_once(issue: Issue) -> None:
    people.many_readers(47, issue.newsletter)
    start_sending(issue)
    address_everybody(batch_size=10, chunk=20)
    assert owned() == [10, 10, 10, 10, 7]
    assert Delivery.objects.count() == 47
    assert all(last < first for (_, last), (first, _) in zip(ranges(), ranges()[1:], strict=False))


def test_each_batch_has_a_key_that_follows_from_what_it_sends_and_to_whom(issue: Issue) -> None:
    people.many_readers(3, issue.newsletter)
    edition = start_sending(issue).edition
    address_everybody(batch_size=2)
    first, second = Batch.objects.order_by("pk")
    assert edition is not None
    assert first.key == f"tests:{edition.sha256[:32]}:{first.first_delivery}-{first.last_delivery}:1"
    assert first.key != second.key


def test_who_confirms_after_the_start_gets_the_next_issue(issue: Issue) -> None:
    people.many_readers(2, issue.newsletter)
    start_sending(issue)
    address_next(batch_size=100, chunk=1)
    people.make_reader(people.ADA, issue.newsletter, confirmed_at=timezone.now() + datetime.timedelta(seconds=1))
    address_everybody()
    assert Delivery.objects.count() == 2


def test_addressing_again_makes_nothing_twice(issue: Issue) -> None:
    people.many_readers(5, issue.newsletter)
    start_sending(issue)
    address_everybody(batch_size=2)
    for _ in range(3):
        address_chunk(issue.pk, batch_size=2)
    assert (Delivery.objects.count(), Batch.objects.count()) == (5, 3)


def test_a_cancelled_issue_is_addressed_no_further(issue: Issue) -> None:
    people.many_readers(4, issue.newsletter)
    start_sending(issue)
    address_next(batch_size=2, chunk=2)
    cancel_issue(issue, by="tests")
    address_everybody()
    assert Delivery.objects.count() == 2


def test_two_issues_at_once_keep_their_batches_apart(issue: Issue) -> None:
    people.many_readers(6, issue.newsletter)
    other = make_issue("issue-2", issue.newsletter)
    for each in (issue, other):
        start_sending(each)
    for each in (issue, other, issue, other):
        address_chunk(each.pk, batch_size=2, chunk=3)
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
