"""The whole rendering of a digest: both parts, as recipients get them."""

from __future__ import annotations

import dataclasses
import datetime
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import newsletter.demo
from newsletter.content.digest import read_digest
from newsletter.content.document import IssueContent, SectionContent, StoryContent
from newsletter.content.markdown import markdown_to_text
from newsletter.rendering import (
    IssueLink,
    Masthead,
    PlaceholderContext,
    PlaceholderTemplate,
    RenderedIssue,
    RenderingError,
    placeholder_token,
    render_issue,
)
from tests.newsletter.rendering.digests import CLOSING, LEAD, MASTHEAD, TITLES, WEB_URL, write_digest

DEMO_DIGEST = Path(newsletter.demo.__file__).parent / "samples" / "issue-41.txt"
SAMPLES = Path(__file__).resolve().parents[4] / "shared" / "samples"
SIZE_GOAL = 60_000

VALUES = {
    "unsubscribe_url": "https://digest.example.org/u/abc?a=1&b=2",
    "preferences_url": "https://digest.example.org/p/abc",
}


def render(content: IssueContent, masthead: Masthead = MASTHEAD) -> RenderedIssue:
    return render_issue(content, masthead, web_url=WEB_URL)


def write_issue(*sections: SectionContent, **changes: object) -> IssueContent:
    issue = IssueContent(
        title="Notes", slug="notes", date=datetime.date(2026, 7, 1), subject="Notes", sections=sections
    )
    return dataclasses.replace(issue, **changes)  # type: ignore[arg-type]


def one_story(**fields: str) -> IssueContent:
    return write_issue(SectionContent(title="Stories", stories=(StoryContent(**({"title": "One"} | fields)),)))


class Page(HTMLParser):
    """The elements of a page in order, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "br":
            self.texts.append(" ")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def digest() -> RenderedIssue:
    return render(write_digest())


# Completeness


def test_a_digest_of_31_stories_stays_below_60_kb(digest: RenderedIssue) -> None:
    assert len(digest.html.encode()) <= SIZE_GOAL


def test_every_title_source_and_text_is_in_both_parts_in_order(digest: RenderedIssue) -> None:
    html, text = Page(digest.html).text, " ".join(digest.text.split())
    for part in (html, text):
        positions = [part.index(words) for words in (LEAD[-60:], *TITLES, CLOSING[:60])]
        assert positions == sorted(positions)
    for story in write_digest().stories():
        assert story.body in html
        assert story.body in text
        assert f"{story.title} {story.source}" in html
        assert f"{story.title} · {story.source}" in text.replace("\n", " ")


def test_stories_are_numbered_in_the_text_and_their_addresses_stand_on_their_own_lines(digest: RenderedIssue) -> None:
    lines = digest.text.split("\n")
    for number, story in enumerate(write_digest().stories(), start=1):
        assert story.url in lines
        assert any(line.startswith(f"{number}. ") for line in lines)


def test_no_line_of_the_text_is_longer_than_mail_allows(digest: RenderedIssue) -> None:
    assert max(len(line.encode()) for line in digest.text.split("\n")) <= 998


def test_both_parts_have_unsubscribe_link_postal_address_and_web_page(digest: RenderedIssue) -> None:
    page = Page(digest.html)
    targets = [link.get("href") for link in page.all("a")]
    for placeholder in VALUES:
        assert placeholder_token(digest.nonce, placeholder, PlaceholderContext.HTML) in targets
        assert placeholder_token(digest.nonce, placeholder, PlaceholderContext.PLAIN) in digest.text.split("\n")
    assert WEB_URL in targets
    assert WEB_URL in digest.text.split("\n")
    for line in MASTHEAD.postal_address.splitlines():
        assert line in page.text
        assert line in digest.text
    assert "Unsubscribe" in page.text
    assert "Unsubscribe" in digest.text


def test_a_recipients_values_fill_both_parts_and_leave_no_token(digest: RenderedIssue) -> None:
    for part, address in ((digest.html, "a=1&amp;b=2"), (digest.text, "a=1&b=2")):
        filled = PlaceholderTemplate.split(part.encode(), digest.nonce).fill(VALUES).decode()
        assert f"https://digest.example.org/u/abc?{address}" in filled
        assert digest.nonce not in filled
    assert digest.placeholders == ("preferences_url", "unsubscribe_url")


def test_the_same_input_gives_the_same_bytes_and_a_change_gives_another_nonce(digest: RenderedIssue) -> None:
    assert render(write_digest()) == digest
    others = [
        render(dataclasses.replace(write_digest(), preheader="Other")),
        render(write_digest(), dataclasses.replace(MASTHEAD, postal_address="Elsewhere")),
        render_issue(write_digest(), MASTHEAD, web_url=WEB_URL + "x"),
    ]
    assert len({digest.nonce, *(other.nonce for other in others)}) == 4


def test_an_issue_that_contains_its_own_placeholder_marker_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forged:
        def __init__(self, _: bytes) -> None: ...

        def hexdigest(self) -> str:
            return "0123456789ab" * 5

    monkeypatch.setattr("newsletter.rendering.render.hashlib.sha256", Forged)
    assert render(one_story(title="zq0123456789ac")).nonce == "0123456789ab"
    with pytest.raises(RenderingError, match="its own placeholder marker"):
        render(one_story(title="zq0123456789abxhunsubscribe_urlxqz"))


def test_links_are_listed_in_reading_order_with_text_and_place() -> None:
    content = write_issue(
        SectionContent(title="Hello", body="See [the *plan*](https://plan.example/?a=1&b=2), <https://x.example>."),
        SectionContent(
            title="Stories",
            stories=(
                StoryContent(title="No link yet", body="Mail [Ada](mailto:ada@example.org)."),
                StoryContent(title="One “two”", url="https://one.example/", body="Again [here](https://one.example/)."),
            ),
        ),
    )
    assert render(content).links == (
        IssueLink("https://plan.example/?a=1&b=2", "the plan", "Hello"),
        IssueLink("https://x.example", "https://x.example", "Hello"),
        IssueLink("mailto:ada@example.org", "Ada", "Stories, story 1"),
        IssueLink("https://one.example/", "One “two”", "Stories, story 2"),
        IssueLink("https://one.example/", "here", "Stories, story 2"),
    )


def test_every_listed_link_is_in_the_html(digest: RenderedIssue) -> None:
    targets = [link.get("href") for link in Page(digest.html).all("a")]
    assert [link.url for link in digest.links] == [story.url for story in write_digest().stories()]
    assert set(targets) >= {link.url for link in digest.links}


def test_a_real_digest_stays_below_60_kb_and_is_complete() -> None:
    """The demo's digest, and those in the folder of samples next to the checkout, if it exists."""
    for path in (DEMO_DIGEST, *sorted(SAMPLES.glob("*.txt"))):
        content = read_digest(path.read_text(encoding="utf-8"), known_sources=()).content
        rendered = render(_with_links(content))
        assert len(rendered.html.encode()) <= SIZE_GOAL
        assert len(rendered.links) == 31
        page = Page(rendered.html).text
        for section in content.sections:
            assert section.title in page
            assert " ".join(markdown_to_text(section.body).split()) in page
        for story in content.stories():
            assert f"{story.title} {story.source}" in page
            assert markdown_to_text(story.body) in page


def _with_links(content: IssueContent) -> IssueContent:
    """The plain-text format has no links; editors add them, and they count towards the size."""
    sections = tuple(
        dataclasses.replace(
            section,
            stories=tuple(
                dataclasses.replace(story, url=f"https://www.example.com/articles/2026/06/{'path-' * 10}{number}")
                for number, story in enumerate(section.stories)
            ),
        )
        for section in content.sections
    )
    return dataclasses.replace(content, sections=sections)


# Text is kept as written


@pytest.mark.parametrize(
    "words",
    [
        "{{ 7*7 }} {% if x %} {# note",
        "1 < 2 && 3 > 2",
        "<b>bold</b> <mj-text>x</mj-text> </td></table>",
        "&amp; &nbsp; &bogus; &#65;",
        "“curly” ‘quotes’ · — … é ü",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f e\u0301",
        "say \"hi\" 'there' \\n \\u{a0}",
        "<!--[if mso]> <![endif]--> <![if x",
        "zq0123456789abxhunsubscribe_urlxqz",
    ],
)
def test_a_title_is_kept_as_written(words: str) -> None:
    content = dataclasses.replace(one_story(title=words, source=words), title=words, categories=(words,))
    rendered = render(content)
    assert Page(rendered.html).text.count(words) >= 3
    assert " ".join(rendered.text.split()).count(words) >= 3
    assert Page(rendered.html).all("div")[1]["aria-label"] == words


def test_a_newsletter_may_have_any_name() -> None:
    masthead = dataclasses.replace(MASTHEAD, name='Tom & "Jerry" <3 {{x}}', postal_address="1 <Main> St\n\\Town")
    rendered = render(one_story(), masthead)
    for part in (Page(rendered.html).text, rendered.text):
        assert 'Tom & "Jerry" <3 {{x}}' in part
        assert "1 <Main> St" in part
        assert "\\Town" in part


def test_addresses_are_kept_in_both_parts() -> None:
    url = "https://x.example/a?b=1&c=%20d&e=<f>'g~#h"
    rendered = render(one_story(url=url))
    targets = [link.get("href") or "" for link in Page(rendered.html).all("a")]
    assert url.replace("<f>", "%3Cf%3E") in targets or url in targets
    assert url in rendered.text.split("\n")


@pytest.mark.parametrize("url", ["javascript:alert(1)", "//evil.example/", "data:text/html,x", "/relative", "https://"])
def test_a_story_can_link_to_web_addresses_only(url: str) -> None:
    with pytest.raises(RenderingError, match="of “One” cannot be used"):
        render(one_story(url=url))


def test_a_newsletter_can_link_to_web_addresses_only() -> None:
    with pytest.raises(RenderingError, match="The newsletter’s address"):
        render(one_story(), dataclasses.replace(MASTHEAD, archive_url="javascript:alert(1)"))


def test_markdown_is_formatted_in_both_parts() -> None:
    body = "First *one*\n**two**\n\n- a\n- b\n\n> quote\n\n```\nx = 1\n  y < 2\n```\n\n<script>alert(1)</script>"
    rendered = render(one_story(body=body))
    page = Page(rendered.html)
    assert "First one two" in page.text
    assert "x = 1\n  y < 2\n" in "".join(page.texts)
    assert page.all("li")
    assert page.all("blockquote")
    assert page.all("script") == []
    assert "    x = 1\n      y < 2\n" in rendered.text


def test_an_invisible_character_is_refused_with_its_code() -> None:
    with pytest.raises(RenderingError, match=r"“Oneup” contains the invisible character U\+0008"):
        render(one_story(title="One\x08up"))
    with pytest.raises(RenderingError, match="not valid Unicode"):
        render(one_story(title="\ud800"))


@pytest.mark.parametrize("hidden", ["\r\n", "\x00", "\x85", "\u2028", "\u202e", "\u2066"])
def test_a_subject_that_could_forge_a_header_is_refused(hidden: str) -> None:
    with pytest.raises(RenderingError, match=r"subject contains the invisible character U\+"):
        render(write_issue(subject=f"Hello{hidden}Bcc: ben@example.org"))


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=200))
def test_any_text_is_rendered_completely_or_refused(title: str, source: str, body: str) -> None:
    if re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]", title + source):
        with pytest.raises(RenderingError, match="invisible character"):
            render(one_story(title=title, source=source, body=body))
        return
    rendered = render(one_story(title=title, source=source, body=body))
    for part in (Page(rendered.html).text, " ".join(rendered.text.split())):
        assert " ".join(title.split()) in part
        assert " ".join(source.split()) in part


# The page


def test_the_page_is_a_document_with_language_and_headings_in_order(digest: RenderedIssue) -> None:
    page = Page(digest.html)
    assert digest.html.startswith("<!DOCTYPE html>")
    assert page.all("html")[0]["lang"] == "en"
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels == [1, 2, 2, *[3] * 31, 2]
    assert all(table["role"] == "presentation" for table in page.all("table"))
    assert "The Harbour Digest — 2026-07-01" in unescape(digest.html.partition("<title>")[2].partition("</title>")[0])


def test_a_heading_in_a_text_section_does_not_break_the_order() -> None:
    page = Page(render(write_issue(SectionContent(title="Text", body="# Big\n\nWords\n\n## Small"))).html)
    assert [tag for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)] == ["h1", "h2", "h3", "h3"]


def test_a_right_to_left_language_sets_the_direction() -> None:
    page = Page(render(one_story(), dataclasses.replace(MASTHEAD, language="ar-EG")).html)
    assert (page.all("html")[0]["lang"], page.all("html")[0]["dir"]) == ("ar-EG", "rtl")
    assert any("text-align:right" in (block.get("style") or "") for block in page.all("div"))


def test_all_stories_of_a_section_share_one_column(digest: RenderedIssue) -> None:
    short = render(write_digest(stories=1))
    assert digest.html.count("<table") == short.html.count("<table")


def test_the_preheader_is_followed_by_filler() -> None:
    page = Page(render(write_issue(preheader="Read this first")).html)
    hidden = "".join(page.texts).partition("Read this first")[2]
    assert hidden.startswith(" \u034f\u200c\u00a0" + "\u034f\u200c\u00a0" * 50)


def test_without_a_preheader_the_first_words_are_used(digest: RenderedIssue) -> None:
    preview = digest.html.partition('overflow:hidden;">')[2].partition("…")[0]
    assert LEAD.startswith(preview)
    assert 100 < len(preview) <= 140


def test_an_issue_without_sections_can_be_rendered() -> None:
    rendered = render(write_issue())
    assert "0 stories" not in rendered.html
    assert "Notes" in rendered.text


def test_one_story_has_the_singular() -> None:
    assert "· 1 story ·" in render(one_story()).text
    assert "· 1 story ·" in Page(render(one_story()).html).text


def test_rules_for_dark_and_narrow_screens_stay_in_the_head(digest: RenderedIssue) -> None:
    assert '<meta name="color-scheme" content="light dark">' in digest.html
    dark = digest.html.partition("@media (prefers-color-scheme:dark)")[2].partition("</style>")[0]
    assert dark.count("!important") >= 8
    assert "@media (max-width:479px)" in digest.html


def test_styles_in_the_head_stay_below_gmails_limit(digest: RenderedIssue) -> None:
    assert sum(len(style) for style in re.findall(r"<style.*?</style>", digest.html, re.DOTALL)) < 8_192
