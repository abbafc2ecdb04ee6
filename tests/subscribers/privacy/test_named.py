"""Texts that name a subscriber: by the whole address, and not by that of another one which contains it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscribers.privacy.registry import DataSubject

AN = DataSubject("an@example.org", None)

#: What may stand around an address in texts, lists, links and JSON.
AROUND = ["", " ", ",", ";", "<", ">", '"', "'", "(", ")", ":", "=", "/", "?", "&", "\n", "\t", "ü", "\u2028", "@", "|"]


@given(st.sampled_from(AROUND), st.sampled_from([*AROUND, ".", "…", ". ", "!"]), st.text(), st.booleans())
def test_an_address_between_other_signs_is_found_also_in_json(before: str, after: str, text: str, upper: bool) -> None:
    address = AN.canonical.upper() if upper else AN.canonical
    named = f"{text} {before}{address}{after} {text}"
    assert AN.is_named_in(named)
    assert AN.is_named_in(json.dumps({"to": [named]}))
    assert AN.is_named_in(json.dumps(named, ensure_ascii=False))


@pytest.mark.parametrize(
    "other",
    [
        "susan@example.org",
        "su.an@example.org",
        "x+an@example.org",
        "d-an@example.org",
        "1an@example.org",
        "an@example.org.uk",
        "an@example.organic",
        "an@example.org-mail.net",
        "an@my.example.org",
    ],
)
def test_the_address_of_another_is_not(other: str) -> None:
    assert not AN.is_named_in(f"Mail to <{other}>, bounced")
    assert not AN.is_named_in(json.dumps({"to": [other]}))
    assert AN.is_named_in(f"{other} and an@example.org")
    assert "@" in AN.without_name(f"an@example.org, {other}")
