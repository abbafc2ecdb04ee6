"""A message: what stands on its outside cannot forge anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.providers.base import HEADERS, MessageRefused
from tests.newsletter.providers.contract import message


@given(st.text(min_size=1).filter(lambda name: name.lower() not in HEADERS))
def test_no_header_is_set_but_those_of_the_list(name: str) -> None:
    with pytest.raises(MessageRefused):
        message(headers={name: "x"})


@pytest.mark.parametrize("name", ["From", "Bcc", "Subject", "Message-ID", "DKIM-Signature", "List-Id\r\nBcc"])
def test_the_headers_that_matter_most_are_not_ours_to_set(name: str) -> None:
    with pytest.raises(MessageRefused):
        message(headers={name: "x"})


@pytest.mark.parametrize("char", ["\r", "\n", "\0", "\x1b", "\x85", "\u2028", "\u2029", "\u202e", "\u2066", "\ud800"])
@pytest.mark.parametrize("place", ["sender", "to", "reply_to", "subject"])
def test_no_line_break_or_invisible_character_gets_into_a_header(place: str, char: str) -> None:
    with pytest.raises(MessageRefused):
        message(**{place: f"a{char}b@example.org"})
    with pytest.raises(MessageRefused):
        message(headers={"List-Id": f"<a{char}b>"})


def test_a_family_emoji_may_stand_in_a_subject() -> None:
    assert message(subject="\U0001f468\u200d\U0001f469\u200d\U0001f467 on board").subject


@given(st.text())
def test_a_tag_holds_ids_and_nothing_else(value: str) -> None:
    fits = 0 < len(value) <= 256 and all(char.isascii() and (char.isalnum() or char in "_-") for char in value)
    if fits:
        assert message(tags={"delivery": value}).tags == {"delivery": value}
    else:
        with pytest.raises(MessageRefused):
            message(tags={"delivery": value})


@pytest.mark.parametrize("place", ["to", "subject", "html", "text"])
def test_nothing_that_a_mail_needs_may_be_missing(place: str) -> None:
    with pytest.raises(MessageRefused):
        message(**{place: ""})
