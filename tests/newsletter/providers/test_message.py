"""A message refuses headers and tags that could inject something."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.providers.base import ALLOWED_HEADERS, InvalidMessage
from tests.newsletter.providers.contract import message


@given(st.text(min_size=1).filter(lambda name: name.lower() not in ALLOWED_HEADERS))
def test_only_allowed_headers_may_be_set(name: str) -> None:
    with pytest.raises(InvalidMessage):
        message(headers={name: "x"})


@pytest.mark.parametrize("name", ["From", "Bcc", "Subject", "Message-ID", "DKIM-Signature", "List-Id\r\nBcc"])
def test_protected_headers_may_not_be_set(name: str) -> None:
    with pytest.raises(InvalidMessage):
        message(headers={name: "x"})


@pytest.mark.parametrize("char", ["\r", "\n", "\0", "\x1b", "\x85", "\u2028", "\u2029", "\u202e", "\u2066", "\ud800"])
@pytest.mark.parametrize("field", ["sender", "to", "reply_to", "subject"])
def test_a_header_contains_no_line_break_or_invisible_character(field: str, char: str) -> None:
    with pytest.raises(InvalidMessage):
        message(**{field: f"a{char}b@example.org"})
    with pytest.raises(InvalidMessage):
        message(headers={"List-Id": f"<a{char}b>"})


def test_a_subject_may_contain_joined_emoji() -> None:
    assert message(subject="\U0001f468\u200d\U0001f469\u200d\U0001f467 on board").subject


@given(st.text())
def test_a_tag_contains_only_letters_digits_and_two_signs(value: str) -> None:
    is_valid = 0 < len(value) <= 256 and all(char.isascii() and (char.isalnum() or char in "_-") for char in value)
    if is_valid:
        assert message(tags={"delivery": value}).tags == {"delivery": value}
    else:
        with pytest.raises(InvalidMessage):
            message(tags={"delivery": value})


@pytest.mark.parametrize("field", ["to", "subject", "html", "text"])
def test_a_required_field_may_not_be_empty(field: str) -> None:
    with pytest.raises(InvalidMessage):
        message(**{field: ""})
