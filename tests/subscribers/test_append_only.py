"""Append-only tables: the database refuses to change, replace or delete rows, except to empty personal columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from newsletter.content.document import AudienceContent
from newsletter.content.store import load_content
from newsletter.content.web_versions import correct_web_version
from newsletter.models import SpamRateAcknowledgement
from subscribers.models import Consent, ConsentKind, ConsentText, Evidence, record_consents
from tests.newsletter.web.published import publish
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
    leave_reason="other",
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
        ("mail_reference", 7),
        ("leave_reason", None),
        ("leave_reason", "too_many"),
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


def append_only_tables() -> list[str]:
    """The tables that have such a trigger, whoever has made it."""
    query = {
        "sqlite": "SELECT tbl_name FROM sqlite_master WHERE type = 'trigger' AND name LIKE '%_no_delete'",
        "postgresql": "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname LIKE '%_no_delete'",
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(query)
        return sorted(table for (table,) in cursor.fetchall())


def run(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def rows_of(table: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table} ORDER BY id")
        return list(cursor.fetchall())


def acknowledged_spam_rate() -> SpamRateAcknowledgement:
    return SpamRateAcknowledgement.objects.create(domain="example.org", rate=0.004, by="edda", text="A test mail.")


def corrected_page() -> None:
    issue = publish()
    content = replace(load_content(issue), title="Lower cranes", audience=AudienceContent())
    correct_web_version(issue, content, by="edda", based_on=1, note="The cranes are lower.")


SPAM_RATES = "newsletter_spamrateacknowledgement"

#: Makes a row in each append-only table.
MAKERS: dict[str, Callable[[], object]] = {
    "subscribers_consent": stored_consent,
    "subscribers_consenttext": stored_consent,
    SPAM_RATES: acknowledged_spam_rate,
    "newsletter_webversion": corrected_page,
    "newsletter_webpagetransition": corrected_page,
}


def test_the_tests_know_every_append_only_table() -> None:
    assert append_only_tables() == sorted(MAKERS), "Add the new table to MAKERS, so that the tests below include it."


@pytest.mark.parametrize("table", MAKERS)
def test_rows_cannot_be_deleted_in_any_way(table: str) -> None:
    MAKERS[table]()
    before = rows_of(table)
    assert_refused(lambda: run(f"DELETE FROM {table}"))
    if connection.vendor == "postgresql":
        # Deferred checks of foreign keys would refuse it first.
        run("SET CONSTRAINTS ALL IMMEDIATE")
        assert_refused(lambda: run(f"TRUNCATE {table} CASCADE"))
    assert rows_of(table) == before


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no TRUNCATE")
@pytest.mark.django_db
def test_truncating_a_table_that_consents_refer_to_is_refused_too() -> None:
    stored_consent()
    run("SET CONSTRAINTS ALL IMMEDIATE")
    assert_refused(lambda: run("TRUNCATE subscribers_subscriber CASCADE"))
    assert Consent.objects.count() == 1


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has no REPLACE; its upserts are updates")
@pytest.mark.parametrize("table", MAKERS)
@pytest.mark.parametrize("statement", ["REPLACE INTO", "INSERT OR REPLACE INTO"])
def test_rows_cannot_be_replaced(table: str, statement: str) -> None:
    MAKERS[table]()
    before = rows_of(table)
    assert_refused(lambda: run(f"{statement} {table} SELECT * FROM {table}"))
    assert rows_of(table) == before


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has no REPLACE; its upserts are updates")
def test_a_text_cannot_be_replaced_by_its_hash() -> None:
    stored_consent()
    columns = "sha256, form, version, text, created_at"
    stolen = f"REPLACE INTO subscribers_consenttext ({columns}) SELECT sha256, form, version, 'No.', created_at"
    assert_refused(lambda: run(f"{stolen} FROM subscribers_consenttext"))
    assert ConsentText.objects.get().text == "Yes, send me mails."


@pytest.mark.parametrize("table", MAKERS)
def test_an_upsert_is_refused(table: str) -> None:
    MAKERS[table]()
    before = rows_of(table)
    column = "created_at" if table.startswith("subscribers_") else "at"
    change = f"ON CONFLICT (id) DO UPDATE SET {column} = '2020-01-01 00:00:00+00'"
    assert_refused(lambda: run(f"INSERT INTO {table} SELECT * FROM {table} WHERE true {change}"))
    assert rows_of(table) == before
