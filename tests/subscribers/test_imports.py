"""Imports of confirmed subscribers: stored with their proof, never reactivating anyone."""

from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from subscribers.imports.confirmed import ImportRefusal, ProofMissing, import_confirmed
from subscribers.models import Consent, ConsentKind, ConsentText, Subscriber, Subscription
from subscribers.models import SubscriptionState as State
from tests.people import ADA, BEN, CLEO, DINA, EMIL, ada, ben, cleo, dina, emil, make_mailing_list

pytestmark = pytest.mark.django_db
PROOF = "Moved from our old system on 1 March, where all subscribers had confirmed by mail."


def test_imported_subscriptions_are_active_and_have_a_proof() -> None:
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


def test_a_repeated_import_adds_nothing() -> None:
    people = ["gus@example.org", "GUS@example.org", "hana@example.org"]
    first = import_confirmed(make_mailing_list(), people, proof=PROOF)
    second = import_confirmed(make_mailing_list(), people, proof=PROOF)
    assert (first.added, first.already) == (2, 1)
    assert (second.added, second.already) == (0, 3)
    assert (Consent.objects.count(), ConsentText.objects.count()) == (2, 1)


def test_an_import_does_not_reactivate_subscriptions() -> None:
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


def test_a_suppressed_address_is_refused_after_its_subscriber_was_deleted() -> None:
    dina().delete()
    Subscriber.objects.all().delete()
    result = import_confirmed(make_mailing_list(), [DINA.upper()], proof=PROOF)
    assert [refusal.address for refusal in result.refused] == [DINA.upper()]
    assert not Subscriber.objects.exists()


def test_a_subscriber_of_one_list_can_be_imported_into_another() -> None:
    ada()
    other = make_mailing_list("tide-tables")
    assert import_confirmed(other, [ADA], proof=PROOF).added == 1
    assert Subscription.objects.filter(subscriber__canonical=ADA, state=State.ACTIVE).count() == 2


def test_invalid_addresses_are_refused_and_the_others_imported() -> None:
    result = import_confirmed(make_mailing_list(), ["gus@example.org", "not an address", ""], proof=PROOF)
    assert result.added == 1
    assert [refusal.address for refusal in result.refused] == ["not an address", ""]


def test_an_import_without_proof_is_refused() -> None:
    with pytest.raises(ProofMissing):
        import_confirmed(make_mailing_list(), ["gus@example.org"], proof="  ")
    assert not Subscription.objects.exists()


def test_the_number_of_statements_of_an_import_is_bounded(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    mailing_list = make_mailing_list()
    with django_assert_max_num_queries(50):
        result = import_confirmed(mailing_list, (f"r{n}@example.org" for n in range(1000)), proof=PROOF)
    assert result.added == 1000
