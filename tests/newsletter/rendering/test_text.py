"""Line wrapping of the text part."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.rendering.text import MAX_LINE_OCTETS, WIDTH, underline, wrap_text


def test_a_paragraph_is_wrapped_at_72_columns() -> None:
    wrapped = wrap_text("Every subscriber gets each issue once. " * 12)
    assert max(len(line) for line in wrapped.splitlines()) <= WIDTH
    assert wrapped.split() == ("Every subscriber gets each issue once. " * 12).split()


def test_an_address_is_never_broken() -> None:
    address = "https://www.example.com/" + "a-very-long-path/" * 20
    assert address in wrap_text(f"Some words before it ({address}) and some more words after it, enough to wrap.")


def test_list_items_and_quotes_have_hanging_indents() -> None:
    assert wrap_text("- " + "word " * 20).splitlines()[1].startswith("  word")
    assert wrap_text("12. " + "word " * 20).splitlines()[1].startswith("    word")
    assert wrap_text("> " + "word " * 20).splitlines()[1].startswith("> word")


def test_code_is_not_wrapped() -> None:
    code = "    " + "x = compute(1, 2, 3) and " * 4
    assert wrap_text(code) == code.rstrip()


@pytest.mark.parametrize("text", ["文" * 2_000, "a" * 5_000, "    " + "é" * 2_000, "> " * 3 + "字" * 900])
def test_text_without_spaces_fits_a_line_of_mail(text: str) -> None:
    wrapped = wrap_text(text)
    assert max(len(line.encode()) for line in wrapped.split("\n")) <= MAX_LINE_OCTETS
    assert "".join(wrapped.replace(">", "").split()) == "".join(text.replace(">", "").split())


def test_an_underline_has_the_length_of_the_heading() -> None:
    assert underline("Deep Dives") == "Deep Dives\n----------"
    assert underline("Été", "=") == "Été\n==="


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters=">"), max_size=400))
def test_wrapping_loses_no_character(text: str) -> None:
    assert "".join(wrap_text(text).split()) == "".join(text.split())


WORDS = st.lists(st.text("ab", min_size=1, max_size=90), max_size=30)


@given(st.sampled_from(["", "> ", "- ", "> 12. ", "> " * 40]), WORDS)
def test_a_line_contains_as_many_words_as_fit(mark: str, words: list[str]) -> None:
    lines = wrap_text(mark + " ".join(words)).splitlines()
    assert " ".join(lines).replace(">", "").split() == (mark + " ".join(words)).replace(">", "").split()
    for line, following in itertools.pairwise(lines):
        first_word = following.lstrip("> ").partition(" ")[0]
        assert len(line) + 1 + len(first_word) > WIDTH
