"""Consents are append-only: the database refuses to change or delete them, except to empty personal columns."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from subscribers.models import Consent, ConsentKind, ConsentText, Evidence, record_consents
from tests.people import ada

pytestmark = pytest.mark.django_db

EVIDENCE = Evidence(
    form="signup",
    text="Yes, send me mails.",
    source="/subscribe/x/",
    ip="192.0.2.7",
    user_agent="Test",
    by="ida",
    detail="d",
)


def stored_consent() -> Consent:
    record_consents(ConsentKind.REQUESTED, [ada()], EVIDENCE)
    return Consent.objects.get()


def assert_refused(change: object) -> None:
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        change()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("kind", ConsentKind.CONFIRMED),
        ("created_at", timezone.now()),
        ("list_name", "Another list"),
        ("form", "another"),
        ("text", None),
        ("address", "somebody@else.example"),
        ("ip", "192.0.2.8"),
        ("by", "someone"),
        ("reason", "manual"),
        ("detail", "made up"),
    ],
)
def test_no_column_of_a_consent_can_be_changed(column: str, value: object) -> None:
    stored_consent()
    assert_refused(lambda: Consent.objects.update(**{column: value}))


def test_a_consent_cannot_be_deleted() -> None:
    stored_consent()
    assert_refused(lambda: Consent.objects.all().delete())
    assert_refused(lambda: Consent.objects.all()._raw_delete("default"))
    assert Consent.objects.count() == 1


def test_a_consent_text_cannot_be_changed_or_deleted() -> None:
    stored_consent()
    assert_refused(lambda: ConsentText.objects.update(text="Yes, and my neighbours too."))
    assert_refused(lambda: ConsentText.objects.all()._raw_delete("default"))


def test_erasure_can_empty_the_personal_columns() -> None:
    consent = stored_consent()
    emptied = {column: "" for column in Consent.PERSONAL_COLUMNS if column != "ip"}
    Consent.objects.update(**emptied, ip=None, subscription=None)
    consent.refresh_from_db()
    assert (consent.kind, consent.list_name, consent.address, consent.ip) == (
        ConsentKind.REQUESTED,
        "Harbour Notes",
        "",
        None,
    )
    assert_refused(lambda: Consent.objects.update(address="ada@example.org"))


def test_a_changed_form_text_does_not_change_earlier_consents() -> None:
    earlier = stored_consent()
    assert earlier.subscription is not None
    changed = Evidence(form="signup", text="Yes, send me mails and offers.")
    record_consents(ConsentKind.REQUESTED, [earlier.subscription], changed)
    earlier.refresh_from_db()
    texts = [consent.text.text for consent in Consent.objects.order_by("pk") if consent.text]
    assert texts == ["Yes, send me mails.", "Yes, send me mails and offers."]


@pytest.mark.django_db(transaction=True)
def test_the_triggers_exist_in_tests_with_real_transactions() -> None:
    stored_consent()
    assert_refused(lambda: Consent.objects.all().delete())
