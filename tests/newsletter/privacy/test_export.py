"""The copy of everything that is stored about a subscriber: complete, readable, and of no other subscriber."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest
from lxml import html  # type: ignore[import-untyped]

from newsletter.providers.base import Provider
from subscribers.models import Note
from subscribers.privacy.export import export_data, export_zip
from subscribers.privacy.registry import find_data_subject
from subscribers.privacy.rules import rules
from tests import people
from tests.newsletter.privacy.canary import ADDRESS, OTHER, TYPED, WORD, make_data_subject
from tests.newsletter.sending.conftest import provider, sandbox

pytestmark = pytest.mark.django_db

__all__ = ["provider", "sandbox"]


def files_of(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_every_kind_of_data_is_in_the_export_and_that_of_others_is_not(provider: Provider) -> None:
    subscription = make_data_subject(provider)
    data = export_data(find_data_subject(TYPED))
    expected = {rule.name for rule in rules() if rule.export}
    assert set(data["sections"]) == expected, "A rule exports nothing of a subscriber who has such data."
    text = json.dumps(data)
    assert OTHER not in text
    sections: dict[str, list[dict[str, Any]]] = data["sections"]
    assert sections["subscriber"][0]["address"] == TYPED or sections["subscriber"][0]["canonical"] == ADDRESS
    assert sections["subscriptions"][0]["list"] == subscription.mailing_list.name
    assert {row["state"] for row in sections["deliveries"]} == {"accepted", "batched", "pending", "unknown"}
    assert {row["issue"] for row in sections["deliveries"]} == {"Taller cranes"}
    assert sections["suppressions"][0]["reason"] == "hard_bounce"
    assert sections["tags"] == [{"list": "Harbour Notes", "tag": "Sailor"}]
    assert len(sections["consents"]) == 2
    assert sections["notes"][0]["text"] == WORD
    assert all(WORD in row["body"] for row in sections["events"])


def test_the_zip_has_a_page_in_the_language_of_the_reader_and_escapes_what_it_shows() -> None:
    subscription = people.ada()
    Note.objects.create(subscriber=subscription.subscriber, text="<script>alert(1)</script>", by="ida")
    files = files_of(export_zip(find_data_subject(people.ADA), language="de"))
    assert set(files) == {"data.json", "data.html"}
    assert json.loads(files["data.json"])["sections"]["notes"][0]["text"] == "<script>alert(1)</script>"
    page = html.fromstring(files["data.html"])
    assert page.get("lang") == "de"
    assert not page.xpath("//script")
    assert "<script>alert(1)</script>" in page.text_content()


def test_an_export_contains_no_working_link_of_a_waiting_mail(provider: Provider) -> None:
    make_data_subject(provider)
    rows = export_data(find_data_subject(TYPED))["sections"]["transactional_mails"]
    assert not any({"text", "html", "headers"} & set(row) for row in rows)


def test_of_an_unknown_address_nothing_is_exported() -> None:
    people.ada()
    assert export_data(find_data_subject("stranger@example.org"))["sections"] == {}


def test_a_column_of_a_subscriber_or_a_subscription_that_is_not_exported_is_named_here(provider: Provider) -> None:
    """A new column is exported, or it is internal and listed here."""
    internal = {
        "subscriber": {"id", "signups_allowed_at"},
        "subscriptions": {"id", "subscriber", "mailing_list", "key", "request_number", "import_pk"},
    }
    make_data_subject(provider)
    for rule in rules():
        if rule.name in internal:
            row = rule.models[0]._default_manager.all()[0]
            rule.models[0]._default_manager.update(
                **{
                    field.name: "2026-01-01T00:00:00Z"
                    for field in row._meta.concrete_fields
                    if field.get_internal_type() == "DateTimeField"
                }
            )
            assert rule.export
            exported = set(next(iter(rule.export(find_data_subject(ADDRESS)))))
            fields = {field.name for field in row._meta.concrete_fields}
            assert fields - internal[rule.name] - {"language"} <= exported
