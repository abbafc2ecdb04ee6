"""Addresses that were changed or merged: whose data is whose, and what an erasure leaves."""

from __future__ import annotations

import pytest

from subscribers.addresses import parse_address
from subscribers.consent.address_change import agree, request_change
from subscribers.consent.tokens import LinkSigner, Purpose
from subscribers.directory.merge import merge
from subscribers.models import (
    AddressChange,
    Consent,
    ConsentKind,
    Evidence,
    Subscriber,
    Subscription,
    SubscriptionState,
    SuppressionReason,
    record_consents,
)
from subscribers.privacy.erase import erase_data_subject
from subscribers.privacy.evidence import consents_of_subject
from subscribers.privacy.export import export_data
from subscribers.privacy.registry import find_data_subject
from subscribers.suppression import get_suppression
from tests.newsletter.privacy.canary import cells_with, leave_log_entry
from tests.people import ADA, BEN, ada, ben, make_mailing_list, make_subscription

pytestmark = pytest.mark.django_db

NEW = "ada.new@example.net"


def change_address(subscription: Subscription, address: str) -> None:
    assert request_change(subscription.key, parse_address(address))
    change = AddressChange.objects.latest("pk")
    for purpose in (Purpose.CONFIRM_ADDRESS, Purpose.APPROVE_ADDRESS):
        agree(purpose, LinkSigner(purpose).token(change.key.bytes))


def confirmed(subscription: Subscription, *, ip: str) -> Subscription:
    record_consents(ConsentKind.CONFIRMED, [subscription], Evidence(form="confirm", text="I agree.", ip=ip))
    return subscription


def test_who_gets_an_address_that_another_had_before_neither_sees_nor_erases_their_consents() -> None:
    moved = confirmed(ada(), ip="192.0.2.1")
    change_address(moved, NEW)
    confirmed(ada(), ip="192.0.2.2")
    subject = find_data_subject(ADA)
    assert [row["ip"] for row in export_data(subject)["sections"]["consents"] if "ip" in row] == ["192.0.2.2"]
    assert [row.ip for row in consents_of_subject(subject) if row.ip] == ["192.0.2.2"]
    erase_data_subject(subject)
    kept = Consent.objects.get(subscription=moved, kind=ConsentKind.CONFIRMED)
    assert (kept.address, kept.ip) == (ADA, "192.0.2.1")


def test_an_erasure_takes_the_earlier_addresses_along() -> None:
    moved = confirmed(ada(), ip="192.0.2.1")
    change_address(moved, "ada.second@example.net")
    change_address(moved, NEW)
    leave_log_entry(ADA)
    erase_data_subject(find_data_subject(NEW))
    assert cells_with("ada@example.org") == cells_with("ada.second") == []
    for address in (ADA, "ada.second@example.net", NEW):
        suppression = get_suppression(address)
        assert suppression is not None
        assert suppression.reason == SuppressionReason.ERASED


def test_an_erasure_takes_merged_addresses_along() -> None:
    """The row that stays after a merge is of the same subscriber."""
    kept, other = ada(), confirmed(ben(), ip="192.0.2.1")
    moved = make_subscription(BEN, make_mailing_list("tide-tables", name="Tide Tables"))
    merge(kept.subscriber_id, other.subscriber_id, by="ida")
    erase_data_subject(find_data_subject(ADA))
    assert not Subscriber.objects.exists()
    assert not Subscription.objects.filter(pk=moved.pk).exists()
    assert cells_with("ben@") == cells_with("ada@") == []
    assert get_suppression(BEN)


def test_an_erasure_leaves_an_earlier_address_that_another_subscriber_uses() -> None:
    moved = confirmed(ada(), ip="192.0.2.1")
    change_address(moved, NEW)
    other = confirmed(ada(), ip="192.0.2.2")
    erase_data_subject(find_data_subject(NEW))
    other.refresh_from_db()
    assert (other.state, other.consents.get().address) == (SubscriptionState.ACTIVE, ADA)
    assert get_suppression(ADA) is None


def test_an_erasure_leaves_a_merged_address_that_was_subscribed_again() -> None:
    kept, other = ada(), ben()
    merge(kept.subscriber_id, other.subscriber_id, by="ida")
    again = make_subscription(BEN, make_mailing_list("tide-tables", name="Tide Tables"))
    erase_data_subject(find_data_subject(ADA))
    again.refresh_from_db()
    assert again.state == SubscriptionState.ACTIVE
    assert get_suppression(BEN) is None
