"""Rows from pasted text: lists of links, and the Markdown of issue files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.content.document import SectionContent, SectionKind, StoryContent
from newsletter.content.issue_file import write_issue_file
from newsletter.content.pasted_rows import pasted_rows
from tests.publications import content


@pytest.mark.parametrize(
    ("line", "story"),
    [
        ("https://a.example/x", StoryContent(title="", url="https://a.example/x")),
        ("- https://a.example/x(1)", StoryContent(title="", url="https://a.example/x(1)")),
        ("[A](https://a.example) · Post", StoryContent(title="A", url="https://a.example", source="Post")),
        ("3. A crane: https://a.example", StoryContent(title="A crane", url="https://a.example")),
        ("• A crane (https://a.example)", StoryContent(title="A crane", url="https://a.example")),
        ("A crane\thttps://a.example", StoryContent(title="A crane", url="https://a.example")),
    ],
)
def test_each_line_of_a_list_of_links_is_a_story(line: str, story: StoryContent) -> None:
    assert pasted_rows(line) == (story,)
    assert pasted_rows(f"{line}\n\n{line}\n") == (story, story)


@pytest.mark.parametrize(
    "text",
    ["", "A title", "Two\nlines", "https://a.example\nand words", "See https://a.example for more", "[A](", "## "],
)
def test_other_text_makes_no_rows(text: str) -> None:
    assert pasted_rows(text) == ()


def test_stories_with_their_texts_need_no_section_above_them() -> None:
    text = "[A](https://a.example) · Post\n\nIts text.\n\n### [B]()\n\nMore.\n\n## Deep dives\n\nA lead."
    assert pasted_rows(text) == (
        StoryContent(title="A", url="https://a.example", source="Post", body="Its text."),
        StoryContent(title="B", body="More."),
        SectionContent(title="Deep dives", body="A lead."),
    )


def test_blocks_keep_their_kind() -> None:
    (quote,) = pasted_rows("## · Ada {quote}\n\nPorts are quiet.\n")
    assert quote == SectionContent(kind=SectionKind.QUOTE, source="Ada", body="Ports are quiet.")


def test_the_sections_of_an_exported_issue_come_back() -> None:
    written = content()
    _, _, body = write_issue_file(written).split("---\n", 2)
    rows = pasted_rows(body)
    assert [row for row in rows if isinstance(row, StoryContent)] == list(written.stories())
    assert [row.title for row in rows if isinstance(row, SectionContent)] == [each.title for each in written.sections]


@given(st.text(max_size=200))
def test_no_text_is_refused_with_an_error(text: str) -> None:
    for row in pasted_rows(text):
        assert row.title or row.url or isinstance(row, SectionContent)
