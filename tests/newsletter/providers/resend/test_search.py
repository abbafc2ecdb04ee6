"""Resend's list of mails: whatever else stands in it, ours are recognised, and what is not told is not guessed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from newsletter.providers.base import ProviderSearchFailed
from newsletter.providers.resend.search import ResendList
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


def looked_up(resend: Publisher, rows: list[dict[str, Any]], tags: Any = TAGS) -> Any:
    listed = json.dumps({"object": "list", "has_more": False, "data": rows})
    resend.pages["/emails?limit=100"] = Answer(listed.encode())
    resend.pages["/emails/m-1"] = Answer(json.dumps({"id": "m-1", "tags": tags}).encode())
    return ResendList(resend.url, "re_full").look_up(BODY, after="")


@pytest.mark.parametrize(
    "fields",
    [{}, {"to": "ada@example.org"}, {"to": ["ADA@example.org"]}, {"subject": " Taller cranes, quieter ferries "}],
    ids=["as-sent", "no-list", "capitals", "spaces"],
)
def test_a_mail_of_ours_is_recognised_however_the_list_writes_it(resend: Publisher, fields: dict[str, Any]) -> None:
    sight = looked_up(resend, [row(**fields)])
    assert (sight.found, sight.untold) == ({0: "m-1"}, 0)


@pytest.mark.parametrize("fields", [{"to": []}, {"to": None}, {"subject": None}, {"to": [None]}])
def test_a_strangers_odd_mail_does_not_keep_the_list_from_being_read(resend: Publisher, fields: dict[str, Any]) -> None:
    sight = looked_up(resend, [row(id="m-0", **fields), row()])
    assert (sight.found, sight.mails_read) == ({0: "m-1"}, 2)


@pytest.mark.parametrize("tags", [None, {}, []])
def test_a_mail_that_looks_alike_and_tells_no_tags_is_neither_ours_nor_a_strangers(
    resend: Publisher, tags: Any
) -> None:
    sight = looked_up(resend, [row()], tags)
    assert (sight.found, sight.untold) == ({}, 1)


@pytest.mark.parametrize("tags", [{**TAGS, "env": "staging"}, {"kind": "test", "env": "tests"}])
def test_a_mail_with_other_tags_is_another(resend: Publisher, tags: Any) -> None:
    sight = looked_up(resend, [row()], tags)
    assert (sight.found, sight.untold) == ({}, 0)


def test_when_a_mail_was_made_is_told_and_one_that_is_not_there_is_none(resend: Publisher) -> None:
    resend.pages["/emails/m-1"] = Answer(json.dumps(row()).encode())
    missing = json.dumps({"statusCode": 404, "name": "not_found", "message": "Email not found"}).encode()
    resend.pages["/emails/m-2"] = Answer(missing, status=404)
    reader = ResendList(resend.url, "re_full")
    made_at = reader.made_at("m-1")
    assert made_at is not None
    assert made_at.isoformat() == "2026-11-20T07:00:00.500000+00:00"
    assert reader.made_at("m-2") is None
    resend.pages["/emails/m-3"] = Answer(b'{"name": "application_error"}', status=500)
    with pytest.raises(ProviderSearchFailed):
        reader.made_at("m-3")
