"""Accessibility: the mail is readable with a screen reader, and in light and dark mode."""

from __future__ import annotations

from dataclasses import replace

import pytest

from newsletter.content.document import SectionContent
from newsletter.rendering.theme import load_theme, theme_names
from tests.newsletter.preflight.finding import findings_of_family, mail, short, with_stories
from tests.newsletter.preflight.sample_issue import CRANE, EVERY_KIND, GAUGE, PLAIN_ISSUE, inspection_of, mail_of

HEAD = "<head><title>Harbour Notes</title></head>"


def page(body: str, *, head: str = HEAD, attributes: str = 'lang="en"') -> str:
    return f"<!DOCTYPE html><html {attributes}>{head}<body><h1>Harbour Notes</h1>{body}</body></html>"


def messages(html: str) -> list[str]:
    return [finding.message for finding in findings_of_family("accessibility", mail(html))]


@pytest.mark.parametrize("theme", theme_names())
@pytest.mark.parametrize("content", [PLAIN_ISSUE, EVERY_KIND], ids=["plain", "every kind"])
def test_the_shipped_themes_have_no_findings_with_every_kind_of_part(theme: str, content: object) -> None:
    inspection = inspection_of(content, load_theme(theme))  # type: ignore[arg-type]
    assert findings_of_family("accessibility", inspection) == []


@pytest.mark.parametrize("theme", theme_names())
def test_the_shipped_themes_have_no_findings_in_a_right_to_left_language(theme: str) -> None:
    rendered = mail_of(PLAIN_ISSUE, load_theme(theme), "ar")
    assert findings_of_family("accessibility", replace(inspection_of(PLAIN_ISSUE), rendered=rendered)) == []


@pytest.mark.parametrize(
    ("html", "text"),
    [
        (page("", attributes=""), "does not declare its language"),
        (page("", head="<head><title> </title></head>"), "has no title"),
        (page("", attributes='lang="he" dir="ltr"'), "written from right to left"),
        (page('<img src="https://p.example/a.png">'), "has no alternative text"),
        (page('<a href="https://a.example"><img src="https://p.example/a.png" alt=""></a>'), "is a link without text"),
        (page("<h1>Another</h1>"), "2 main headings"),
        (page("<h3>Deep</h3>"), "“Deep” has level 3 but follows a heading of level 1"),
        (page("<table><tr><td>x</td></tr></table>"), "1 layout table row by row"),
        (page('<a href="https://a.example">Click here!</a>'), "“Click here!” does not describe the target"),
        (page('<a href="https://a.example/long">https://a.example/long</a>'), "is its address"),
        (page('<a href="https://a.example"></a>'), "has no text"),
        (
            page('<a href="https://a.example">Tides</a> <a href="https://b.example">tides</a>'),
            "with the text “tides” have",
        ),
        (
            page('<p style="color:#999999">Faint</p>'),
            "#999999 on #ffffff has a contrast of 2.8",
        ),
    ],
)
def test_each_problem_has_a_message(html: str, text: str) -> None:
    (message,) = {message.replace("dark mode", "light mode") for message in messages(html)}
    assert text in message


@pytest.mark.parametrize(
    "body",
    [
        '<img src="https://p.example/line.png" alt="">',
        '<table role="presentation"><tr><td>x</td></tr></table><table><tr><th>Tide</th></tr></table>',
        '<a href="#part-2">here</a>',
        '<a href="https://a.example">Tides</a> <a href="https://a.example">Tides</a>',
        '<div style="display:none;color:#fefefe">Preheader</div>',
        '<p style="color:#8a8a8a;font-size:24px">Large</p>',
        '<div style="background:#222 url(x.png)"><p style="color:rgb(250, 250, 250)">On a dark background</p></div>',
        '<table role="none" bgcolor="black"><tr><td style="color:white">On a bgcolor</td></tr></table>',
    ],
)
def test_valid_markup_has_no_findings(body: str) -> None:
    assert messages(page(body)) == []


def test_rules_for_dark_mode_apply_there_only_and_by_specificity() -> None:
    rules = """<style>@media (prefers-color-scheme: dark) {
        .paper { background-color: #111111 !important }
        .paper p { color: #eeeeee !important }
        p.faint { color: #222222 !important }
        p { color: #000000 !important }
        [data-x] :unknown-thing { color: red !important }
    }</style>"""
    head = HEAD.replace("</head>", f"{rules}</head>")
    body = '<div class="paper" style="background-color:#ffffff;color:#111111">{}</div>'
    assert messages(page(body.format('<p style="color:#111111">Words</p>'), head=head)) == []
    (message,) = messages(page(body.format('<p class="faint" style="color:#111111">Words</p>'), head=head))
    assert message.startswith("“Words” is hard to read in dark mode: #222222 on #111111")


def test_an_inline_style_overrides_a_rule_of_the_head() -> None:
    rules = "<style>@media (prefers-color-scheme: dark) { p { color: #fefefe } }</style>"
    head = HEAD.replace("</head>", f"{rules}</head>")
    assert messages(page('<p style="color:#111111">Words</p>', head=head)) == []


def test_a_meaningless_link_text_is_reported_with_its_place() -> None:
    content = with_stories(GAUGE, replace(CRANE, body="Read [more](https://more.example/) today."))
    assert short(findings_of_family("accessibility", inspection_of(content))) == [
        ("warning", "accessibility", "Deep dives, story 2")
    ]


def test_a_skipped_heading_level_is_reported_with_its_place() -> None:
    lead = SectionContent(title="Signal", body="Words.")
    content = replace(PLAIN_ISSUE, sections=(lead, *PLAIN_ISSUE.sections[1:]))
    html = mail_of(content).html
    deeper = html.replace("<h2", "<h4").replace("</h2>", "</h4>")
    findings = findings_of_family("accessibility", mail(deeper, content=content))
    assert {finding.place for finding in findings if finding.code == "skipped_heading_level"} == {"Signal"}
