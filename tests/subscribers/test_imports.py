"""Addresses that the demo, tests and measurements import as confirmed: the same rules as for every import."""

from __future__ import annotations

import pytest

from subscribers.imports.confirmed import import_confirmed
from subscribers.models import Consent, ConsentKind, ImportPart, StagedRow, Subscriber, Subscription
from subscribers.models import SubscriptionState as State
from tests.people import ADA, BEN, CLEO, DINA, EMIL, ada, ben, cleo, dina, emil, make_mailing_list
from tests.subscribers.imports.importing import counts

pytestmark = pytest.mark.django_db
PROOF = "Moved from our old system on 1 March, where all subscribers had confirmed by mail."


def test_imported_subscriptions_are_active_and_have_a_proof() -> None:
    stored = import_confirmed(make_mailing_list(), ["Gus@Example.org", "hana@example.org"], proof=PROOF)
    assert counts(stored) == {"created": 2}
    gus = Subscription.objects.get(subscriber__canonical="gus@example.org")
    assert (gus.state, gus.subscriber.address) == (State.ACTIVE, "Gus@Example.org")
    proof = gus.consents.get()
    assert (proof.kind, proof.address, proof.list_name) == (ConsentKind.IMPORTED, "Gus@Example.org", "Harbour Notes")
    assert proof.text is not None
    assert proof.text.text == PROOF
    assert not ImportPart.objects.exists()
    assert not StagedRow.objects.exists()


def test_an_import_does_not_reactivate_subscriptions() -> None:
    standing = [ben(), cleo(), dina(), emil()]
    states = [subscription.state for subscription in standing]
    stored = import_confirmed(make_mailing_list(), [BEN, CLEO, DINA, EMIL], proof=PROOF)
    assert stored.outcomes == {"kept": {"pending": 1, "unsubscribed": 1, "suppressed": 2}}
    for subscription, state in zip(standing, states, strict=True):
        subscription.refresh_from_db()
        assert subscription.state == state


def test_a_suppressed_address_is_refused_after_its_subscriber_was_deleted() -> None:
    dina().delete()
    Subscriber.objects.all().delete()
    stored = import_confirmed(make_mailing_list(), [DINA.upper()], proof=PROOF)
    assert counts(stored) == {"kept": 1}
    assert not Subscriber.objects.exists()


def test_a_subscriber_of_one_list_can_be_imported_into_another() -> None:
    ada()
    stored = import_confirmed(make_mailing_list("tide-tables"), [ADA], proof=PROOF)
    assert counts(stored) == {"created": 1}
    assert Subscription.objects.filter(subscriber__canonical=ADA, state=State.ACTIVE).count() == 2


def test_invalid_addresses_are_refused_and_the_others_imported() -> None:
    stored = import_confirmed(make_mailing_list(), ["gus@example.org", "not an address"], proof=PROOF)
    assert counts(stored) == {"created": 1, "refused": 1}
    assert Consent.objects.count() == 1
