"""Addresses that were changed or merged: whose data is whose, and what an erasure leaves."""

from __future__ import annotations

import pytest

from subscribers.addresses import parse_address
from subscribers.consent.address_change import agree, request_change
from subscribers.consent.tokens import LinkSigner, Purpose
from subscribers.models import AddressChange, Consent, ConsentKind, Evidence, Subscription, record_consents
from subscribers.privacy.erase import erase_data_subject
from subscribers.privacy.evidence import consents_of_subject
from subscribers.privacy.export import export_data
from subscribers.privacy.registry import find_data_subject
from tests.people import ADA, ada

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
    assert [row.ip for row in consents_of_subject(subject)] == ["192.0.2.2"]
    erase_data_subject(subject)
    kept = Consent.objects.get(subscription=moved, kind=ConsentKind.CONFIRMED)
    assert (kept.address, kept.ip) == (ADA, "192.0.2.1")
