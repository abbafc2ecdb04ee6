"""Markdown as people write it, in the mails of every theme; and the preheader that is made from it."""

from __future__ import annotations

import datetime

import pytest

from newsletter.content.document import IssueContent, SectionContent
from newsletter.rendering import render_issue
from newsletter.rendering.context import view_issue
from newsletter.rendering.sample_issue import MASTHEAD, WEB_URL
from newsletter.rendering.theme import Theme
from tests.newsletter.rendering.test_blocks import IN_EVERY_THEME

BODY = """\
Two tides[^1] of H<sub>2</sub>O, ~~one~~ <!-- unpublished --> for all.

| Port | Depth |
|------|------:|
| Hull | 4 m   |

- [x] Sounded

[^1]: Since June.
"""


def issue(*bodies: str) -> IssueContent:
    sections = tuple(SectionContent(title=f"Part {number}", body=body) for number, body in enumerate(bodies))
    return IssueContent(title="T", slug="t", date=datetime.date(2026, 3, 31), subject="T", sections=sections)


@IN_EVERY_THEME
def test_tables_footnotes_and_marks_are_in_both_parts(theme: Theme) -> None:
    rendered = render_issue(issue("First.", BODY), MASTHEAD, web_url=WEB_URL, theme=theme)

    for piece in ("<sub", "[1]</sup>", "Since June.", "<s>one</s>", "☑ Sounded", ">Hull</td>", 'align="right"'):
        assert piece in rendered.html
    for piece in ("Two tides[1] of H₂O, ~~one~~", "Port | Depth\nHull | 4 m", "- ☑ Sounded", "[1] Since June."):
        assert piece in rendered.text
    assert "unpublished" not in rendered.html + rendered.text


@pytest.mark.parametrize(
    ("bodies", "preheader"),
    [
        (["Dear {first_name|friend},\n\nThe crane is back."], "The crane is back."),
        (["Dear {first_name|friend},", "The crane is back."], "The crane is back."),
        (["Dear {first_name|friend}."], "Dear friend."),
        (["<!-- unpublished -->\n\nThe crane."], "The crane."),
    ],
)
def test_the_preheader_is_not_a_greeting(bodies: list[str], preheader: str) -> None:
    assert view_issue(issue(*bodies)).preheader == preheader


def test_a_first_section_with_a_comment_only_is_no_lead() -> None:
    assert [section.block for section in view_issue(issue("<!-- unpublished -->", "Text.")).sections] == [
        "text",
        "text",
    ]
