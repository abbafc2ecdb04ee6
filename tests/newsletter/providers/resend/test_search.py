"""Reading Resend's list of mails: our mails are identified by their tags, among any other mails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from newsletter.providers.base import ProviderSearchFailed, SearchPage
from newsletter.providers.resend.search import ResendEmails
from tests.publisher import Answer, Publisher, publishing

TAGS = {"delivery": "7", "edition": "3", "env": "tests"}
BODY = orjson.dumps(
    [
        {
            "to": ["Ada@Example.org"],
            "subject": "Taller cranes, \u2028quieter  ferries",
            "tags": [{"name": name, "value": value} for name, value in TAGS.items()],
        }
    ]
)


@pytest.fixture
def resend() -> Iterator[Publisher]:
    with publishing() as publisher:
        yield publisher


def row(**fields: Any) -> dict[str, Any]:
    listed = {"id": "m-1", "to": ["ada@example.org"], "created_at": "2026-11-20 07:00:00.5+00"}
    return {**listed, "subject": "Taller cranes, quieter ferries", **fields}


def search(resend: Publisher, rows: list[dict[str, Any]], tags: Any = TAGS) -> SearchPage:
    listed = json.dumps({"object": "list", "has_more": False, "data": rows})
    resend.pages["/emails?limit=100"] = Answer(listed.encode())
    resend.pages["/emails/m-1"] = Answer(json.dumps({"id": "m-1", "tags": tags}).encode())
    return ResendEmails(resend.url, "re_full").search(BODY, after="")


@pytest.mark.parametrize(
    "fields",
    [{}, {"to": "ada@example.org"}, {"to": ["ADA@example.org"]}, {"subject": " Taller cranes, quieter ferries "}],
    ids=["as-sent", "no-list", "capitals", "spaces"],
)
def test_our_mail_is_found_in_each_form_of_the_list(resend: Publisher, fields: dict[str, Any]) -> None:
    page = search(resend, [row(**fields)])
    assert (page.found, page.unverifiable) == ({0: "m-1"}, 0)


@pytest.mark.parametrize("fields", [{"to": []}, {"to": None}, {"subject": None}, {"to": [None]}])
def test_incomplete_rows_of_other_mails_are_skipped(resend: Publisher, fields: dict[str, Any]) -> None:
    page = search(resend, [row(id="m-0", **fields), row()])
    assert (page.found, page.mails_read) == ({0: "m-1"}, 2)


def test_tags_are_read_as_a_list_of_names_and_values_too(resend: Publisher) -> None:
    page = search(resend, [row()], [{"name": name, "value": value} for name, value in TAGS.items()])
    assert (page.found, page.unverifiable) == ({0: "m-1"}, 0)


@pytest.mark.parametrize("tags", [None, {}, []])
def test_a_matching_mail_without_tags_is_unverifiable(resend: Publisher, tags: Any) -> None:
    page = search(resend, [row()], tags)
    assert (page.found, page.unverifiable) == ({}, 1)


def test_a_mail_of_the_same_edition_with_the_number_of_another_delivery_is_unverifiable(resend: Publisher) -> None:
    # A restored copy may have expanded the audience again, with other numbers.
    page = search(resend, [row()], {**TAGS, "delivery": "8"})
    assert (page.found, page.unverifiable) == ({}, 1)


@pytest.mark.parametrize(
    "tags",
    [
        {**TAGS, "env": "staging"},
        {**TAGS, "env": "staging", "delivery": "8"},
        {**TAGS, "edition": "2", "delivery": "8"},
        {"kind": "test", "env": "tests"},
    ],
)
def test_a_mail_with_other_tags_is_not_ours(resend: Publisher, tags: Any) -> None:
    page = search(resend, [row()], tags)
    assert (page.found, page.unverifiable) == ({}, 0)


def test_the_creation_time_of_a_mail_is_read_and_none_for_an_unknown_id(resend: Publisher) -> None:
    resend.pages["/emails/m-1"] = Answer(json.dumps(row()).encode())
    missing = json.dumps({"statusCode": 404, "name": "not_found", "message": "Email not found"}).encode()
    resend.pages["/emails/m-2"] = Answer(missing, status=404)
    reader = ResendEmails(resend.url, "re_full")
    created_at = reader.mail_created_at("m-1")
    assert created_at is not None
    assert created_at.isoformat() == "2026-11-20T07:00:00.500000+00:00"
    assert reader.mail_created_at("m-2") is None
    resend.pages["/emails/m-3"] = Answer(b'{"name": "application_error"}', status=500)
    with pytest.raises(ProviderSearchFailed):
        reader.mail_created_at("m-3")
