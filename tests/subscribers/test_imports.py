"""Readers who confirmed elsewhere: taken over with their proof, never against their will."""

from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from subscribers.imports.confirmed import ImportRefusal, ProofMissing, import_confirmed
from subscribers.models import Consent, ConsentKind, ConsentText, Subscriber, Subscription
from subscribers.models import SubscriptionState as State
from tests.people import ADA, BEN, CLEO, DINA, EMIL, ada, ben, cleo, dina, emil, make_mailing_list

pytestmark = pytest.mark.django_db
PROOF = "Moved from our old system on 1 March, where everybody had confirmed by mail."


def test_imported_people_are_active_and_their_proof_is_kept() -> None:
    result = import_confirmed(make_mailing_list(), ["Gus@Example.org", "hana@example.org"], proof=PROOF)
    assert (result.added, result.already, result.refused) == (2, 0, [])
    gus = Subscription.objects.get(subscriber__canonical="gus@example.org")
    assert (gus.state, gus.subscriber.address) == (State.ACTIVE, "Gus@Example.org")
    proof = gus.consents.get()
    assert (proof.kind, proof.address, proof.list_name) == (
        ConsentKind.IMPORTED,
        "Gus@Example.org",
        "Harbour Notes",
    )
    assert proof.text is not None
    assert proof.text.text == PROOF


def test_the_same_import_again_adds_nobody() -> None:
    people = ["gus@example.org", "GUS@example.org", "hana@example.org"]
    first = import_confirmed(make_mailing_list(), people, proof=PROOF)
    second = import_confirmed(make_mailing_list(), people, proof=PROOF)
    assert (first.added, first.already) == (2, 1)
    assert (second.added, second.already) == (0, 3)
    assert (Consent.objects.count(), ConsentText.objects.count()) == (2, 1)


def test_nobody_is_brought_back_by_an_import() -> None:
    standing = [ben(), cleo(), dina(), emil()]
    states = [subscription.state for subscription in standing]
    result = import_confirmed(make_mailing_list(), [BEN, CLEO, DINA, EMIL], proof=PROOF)
    assert result.added == 0
    assert {refusal.address for refusal in result.refused} == {BEN, CLEO, DINA, EMIL}
    assert {refusal.reason for refusal in result.refused} == {
        ImportRefusal.PENDING,
        ImportRefusal.UNSUBSCRIBED,
        ImportRefusal.SUPPRESSED,
    }
    for subscription, state in zip(standing, states, strict=True):
        subscription.refresh_from_db()
        assert subscription.state == state


def test_a_suppressed_address_is_refused_even_where_its_person_is_forgotten() -> None:
    dina().delete()
    Subscriber.objects.all().delete()
    result = import_confirmed(make_mailing_list(), [DINA.upper()], proof=PROOF)
    assert [refusal.address for refusal in result.refused] == [DINA.upper()]
    assert not Subscriber.objects.exists()


def test_a_reader_of_one_list_may_join_another_by_import() -> None:
    ada()
    other = make_mailing_list("tide-tables")
    assert import_confirmed(other, [ADA], proof=PROOF).added == 1
    assert Subscription.objects.filter(subscriber__canonical=ADA, state=State.ACTIVE).count() == 2


def test_what_is_no_address_is_named_with_its_reason_and_the_rest_goes_in() -> None:
    result = import_confirmed(make_mailing_list(), ["gus@example.org", "not an address", ""], proof=PROOF)
    assert result.added == 1
    assert [refusal.address for refusal in result.refused] == ["not an address", ""]


def test_without_a_proof_nobody_is_taken_over() -> None:
    with pytest.raises(ProofMissing):
        import_confirmed(make_mailing_list(), ["gus@example.org"], proof="  ")
    assert not Subscription.objects.exists()


def test_an_import_takes_few_statements_however_many_people(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    mailing_list = make_mailing_list()
    with django_assert_max_num_queries(50):
        result = import_confirmed(mailing_list, (f"r{n}@example.org" for n in range(1000)), proof=PROOF)
    assert result.added == 1000
