"""Consents are proof: the database itself refuses to change or remove them, except for emptying what names a person."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from subscribers.models import Consent, ConsentKind, ConsentText, Evidence, record_consents
from tests.people import ada

pytestmark = pytest.mark.django_db

EVIDENCE = Evidence(
    form="signup", text="Yes, send me mails.", source="/subscribe/x/", ip="192.0.2.7", user_agent="Test", detail="d"
)


def stored_consent() -> Consent:
    record_consents(ConsentKind.REQUESTED, [ada()], EVIDENCE)
    return Consent.objects.get()


def refused(change: object) -> None:
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
        ("detail", "made up"),
    ],
)
def test_no_column_of_a_consent_can_be_rewritten(column: str, value: object) -> None:
    stored_consent()
    refused(lambda: Consent.objects.update(**{column: value}))


def test_a_consent_cannot_be_removed() -> None:
    stored_consent()
    refused(lambda: Consent.objects.all().delete())
    refused(lambda: Consent.objects.all()._raw_delete("default"))
    assert Consent.objects.count() == 1


def test_the_words_that_somebody_agreed_to_cannot_be_rewritten_or_removed() -> None:
    stored_consent()
    refused(lambda: ConsentText.objects.update(text="Yes, and my neighbours too."))
    refused(lambda: ConsentText.objects.all()._raw_delete("default"))


def test_erasure_may_empty_what_names_the_person_and_the_fact_remains() -> None:
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
    refused(lambda: Consent.objects.update(address="ada@example.org"))


def test_a_changed_form_text_leaves_earlier_proofs_with_the_words_of_their_time() -> None:
    earlier = stored_consent()
    assert earlier.subscription is not None
    changed = Evidence(form="signup", text="Yes, send me mails and offers.")
    record_consents(ConsentKind.REQUESTED, [earlier.subscription], changed)
    earlier.refresh_from_db()
    texts = [consent.text.text for consent in Consent.objects.order_by("pk") if consent.text]
    assert texts == ["Yes, send me mails.", "Yes, send me mails and offers."]


@pytest.mark.django_db(transaction=True)
def test_tests_with_real_transactions_start_with_empty_and_guarded_tables() -> None:
    stored_consent()
    refused(lambda: Consent.objects.all().delete())
