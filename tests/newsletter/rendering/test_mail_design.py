"""The rules that all shipped themes follow: sizes, links, headings, numbers, and the order from human to legal."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import re
from functools import cache
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest

from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.rendering import Masthead, RenderedIssue, Theme, load_theme, render_issue
from newsletter.rendering.typography import DENSITIES
from tests.newsletter.rendering.digests import CLOSING, LEAD, SENTENCES, TITLES
from tests.newsletter.rendering.sample_issues import BLOCKS, MASTHEAD, PICTURE, WEB_URL, sample_issue, shipped_themes
from tests.newsletter.rendering.test_issue import Page, write_issue

IN_EVERY_THEME = pytest.mark.parametrize("theme", shipped_themes(), ids=lambda theme: theme.name)
WITH_HEADINGS = pytest.mark.parametrize("theme", [load_theme(name) for name in ("gazette", "plain", "workbench")])

LARGEST_SIZE = 75_000
LONGEST_LINK = "https://news.example.org/l/" + "x" * 75
"""As long as a link of ours with an ending per recipient."""
SECTIONS = {
    "Berths and traffic": 6,
    "Cranes and cargo": 6,
    "Weather and water": 5,
    "Crews and ashore": 5,
    "Rules and money": 5,
    "Odds and ends": 4,
}


def write_story(number: int, *, has_picture: bool) -> StoryContent:
    return StoryContent(
        title=TITLES[number],
        url=f"https://www.example.com/articles/{number}",
        source="Kestrel Sound Gazette",
        body=" ".join(SENTENCES[(3 * number + step) % len(SENTENCES)] for step in range(5)),
        image=PICTURE if has_picture else "",
        alt="A ship at the quay" if has_picture else "",
    )


@cache
def full_issue() -> IssueContent:
    """A lead, a table of contents, 31 stories in six sections, six of them with a picture, and a closing section."""
    numbers = itertools.count()
    sections = [
        SectionContent(
            title=title,
            stories=tuple(write_story(next(numbers), has_picture=place == 0) for place in range(count)),
        )
        for title, count in SECTIONS.items()
    ]
    return IssueContent(
        title="Three tugs short",
        slug="tugs",
        date=datetime.date(2026, 11, 3),
        subject="Three tugs short",
        sections=(
            SectionContent(title="Signal of the day", body=LEAD),
            SectionContent(kind=SectionKind.CONTENTS),
            *sections,
            SectionContent(title="From the signal station", body=CLOSING),
        ),
    )


def render(content: IssueContent, theme: Theme, masthead: Masthead = MASTHEAD) -> RenderedIssue:
    return render_issue(content, masthead, web_url=WEB_URL, theme=theme)


def sized_html(theme: Theme) -> str:
    """The HTML as it is sent, with the longest links."""
    html = render(full_issue(), theme).html
    assert len(re.findall(r'href="https://www\.example\.com/articles/\d+"', html)) == 31
    return re.sub(r'href="https://www\.example\.com/articles/\d+"', f'href="{LONGEST_LINK}"', html)


def parts(html: str, tag: str, name: str) -> list[str]:
    """The contents of the elements `tag` with the class `name`, which contain no `tag`."""
    found = re.findall(rf'<{tag}[^>]*class="([^"]*)"[^>]*>(.*?)</{tag}>', html, re.DOTALL)
    return [inner for classes, inner in found if name in classes.split()]


# Size


@IN_EVERY_THEME
def test_31_stories_with_six_pictures_are_at_most_75_kb(theme: Theme) -> None:
    html = sized_html(theme)
    assert html.count(PICTURE) == (0 if theme.name == "letter" else 6)
    assert len(html.encode()) <= LARGEST_SIZE
    assert sum(len(style) for style in re.findall(r"<style.*?</style>", html, re.DOTALL)) < 8_192


@pytest.mark.parametrize("density", DENSITIES.values(), ids=list(DENSITIES))
def test_each_step_is_larger_than_the_next(density: object) -> None:
    values = dataclasses.asdict(density)  # type: ignore[call-overload]
    for end in ("", "_phone"):
        steps = [values[f"{name}{end}"] for name in ("title", "heading", "story")]
        assert steps == sorted(steps, reverse=True)
        assert min(larger - smaller for larger, smaller in itertools.pairwise(steps)) >= 2
    assert values["small"] >= 13
    assert values["body_phone"] >= values["body"]


# Stories


@WITH_HEADINGS
def test_a_story_has_one_link_and_only_its_source_is_underlined(theme: Theme) -> None:
    html = render(full_issue(), theme).html
    links = parts(html, "a", "title")
    stories = [link for link in links if "Kestrel Sound Gazette" in link]
    assert len(stories) == 31
    for number, link in enumerate(stories):
        title, _, source = link.partition("<br>")
        assert unescape(title) == TITLES[number]
        assert "text-decoration:underline" in source
    assert html.count("www.example.com/articles/7") == 1
    assert all("text-decoration:none" in tag for tag in re.findall(r'<a [^>]*class="title"[^>]*>', html))


def test_the_source_of_a_letter_ends_the_text_and_its_title_begins_it() -> None:
    body = "First words.\n\nLast words."
    story = StoryContent(title="Is it a letter?", url="https://a.example/", source="Quayside", body=body)
    other = StoryContent(title="It is", source="Tidemark")
    content = write_issue(SectionContent(title="News", stories=(story, other)))
    assert "Is it a letter? First words. Last words. Quayside It is. Tidemark" in re.sub(
        r"\s+", " ", Page(render(content, load_theme("letter")).html).text
    )


@IN_EVERY_THEME
@pytest.mark.parametrize("body", ["", "One.", "- a\n- b", "One.\n\n- a", "```\nx\n```"])
def test_what_a_story_lacks_leaves_no_trace(theme: Theme, body: str) -> None:
    for url, source in itertools.product(("", "https://a.example/"), ("", "Quayside")):
        story = StoryContent(title="A title", url=url, source=source, body=body)
        content = write_issue(SectionContent(title="News", stories=(story,)), preheader="Read this")
        html = render(content, theme).html
        assert html.count("A title") == 1
        assert html.count("Quayside") == (1 if source else 0)
        assert len([link for link in parts(html, "a", "title") if "A title" in link]) == (1 if url else 0)
        bare = re.findall(r'<a [^>]*class="title bare"', html)
        assert bool(bare) == bool(url and not source and theme.name != "letter")


@WITH_HEADINGS
def test_a_picture_is_at_the_end_of_the_line_in_both_directions(theme: Theme) -> None:
    for language, side in (("en", "right"), ("ar", "left")):
        html = render(full_issue(), theme, dataclasses.replace(MASTHEAD, language=language)).html
        pictures = [picture for picture in Page(html).all("img") if picture["src"] == PICTURE]
        assert len(pictures) == 6
        for picture in pictures:
            assert (picture["align"], picture["alt"]) == (side, "A ship at the quay")
            assert int(picture["width"] or 0) / int(picture["height"] or 1) == pytest.approx(1.5, abs=0.01)
            assert f"float:{side}" in (picture["style"] or "")


@WITH_HEADINGS
def test_stories_without_text_are_listed_smaller(theme: Theme) -> None:
    stories = tuple(StoryContent(title=f"Story {number}", url="https://a.example/") for number in range(3))
    brief = render(write_issue(SectionContent(title="In brief", stories=stories)), theme).html
    mixed = render(
        write_issue(SectionContent(title="In brief", stories=(*stories, StoryContent(title="Long", body="Text.")))),
        theme,
    ).html
    mark = 'class="brief"' if theme.name != "workbench" else ' top"'
    assert brief.count(mark) >= 3
    assert mixed.count(mark) <= 2


@pytest.mark.parametrize(("theme", "count", "has_numbers"), [("plain", 4, False), ("plain", 5, True)])
def test_a_short_list_without_sections_has_no_numbers(theme: str, count: int, has_numbers: bool) -> None:
    stories = tuple(StoryContent(title=f"Story {number}", body="Text.") for number in range(count))
    html = render(write_issue(SectionContent(title="News", stories=stories)), load_theme(theme)).html
    assert ('class="number"' in html) == has_numbers


# The head of the mail


@IN_EVERY_THEME
def test_the_name_is_said_once_and_the_date_is_written_in_words(theme: Theme) -> None:
    content = dataclasses.replace(full_issue(), title="The Slipway — 2026-11-03")
    rendered = render(content, theme)
    (heading,) = re.findall(r"<h1[^>]*>(.*?)</h1>", rendered.html)
    year = " 2026" if theme.name == "workbench" else ""
    assert heading == f"Tuesday, 3 November{year}"
    shown = Page(rendered.html.partition("</head>")[2]).text.partition("Signal of the day")[0]
    assert shown.count("November") == 1
    assert shown.count("The Slipway") == 1
    assert "2026-11-03" not in shown
    assert rendered.text.splitlines()[2] == "Tuesday, 3 November 2026"
    assert rendered.text.partition("Signal of the day")[0].count("November") == 1


@IN_EVERY_THEME
def test_a_title_of_its_own_stands_beside_the_date(theme: Theme) -> None:
    rendered = render(dataclasses.replace(full_issue(), title="The Slipway: Three tugs short"), theme)
    shown = Page(rendered.html.partition("</head>")[2]).text.partition("Signal of the day")[0]
    for part in (shown, rendered.text.partition("Signal of the day")[0]):
        assert part.count("Three tugs short") == 1
        assert part.count("Tuesday, 3 November 2026") == 1
        assert part.count("The Slipway") == 1


@IN_EVERY_THEME
def test_facts_do_not_break_and_separators_stand_between_them(theme: Theme) -> None:
    html = render(full_issue(), theme).html
    facts = parts(html, "span", "fact")
    assert {"31 stories", "13 min read"} & set(facts) or theme.name == "letter"
    assert all("white-space:nowrap" in tag for tag in re.findall(r'<span class="fact[^>]*>', html))


@IN_EVERY_THEME
def test_the_mail_can_be_viewed_in_a_browser_from_its_first_row_and_from_its_end(theme: Theme) -> None:
    page = Page(render(full_issue(), theme).html)
    targets = [link.get("href") for link in page.all("a") if link.get("href")]
    assert targets.count(WEB_URL) == 2
    assert targets.index(WEB_URL) <= 1


@IN_EVERY_THEME
def test_categories_are_listed_only_if_there_are_no_contents(theme: Theme) -> None:
    content = dataclasses.replace(full_issue(), categories=("Wood", "Water"))
    without = dataclasses.replace(content, sections=(content.sections[0], *content.sections[2:]))
    assert "Wood · Water" not in Page(render(content, theme).html).text
    assert "Wood · Water" not in render(content, theme).text
    assert "Wood · Water" in render(without, theme).text
    assert ("Wood · Water" in Page(render(without, theme).html).text) == (theme.name != "letter")


# Contents and sections


def test_contents_list_sections_with_their_ranges_and_no_story() -> None:
    rendered = render(full_issue(), load_theme("plain"))
    page = Page(rendered.html).text
    listed = page.partition("In this issue")[2].partition(TITLES[0])[0]
    for title, numbers in (("Berths and traffic", "1–6"), ("Cranes and cargo", "7–12"), ("Odds and ends", "28–31")):
        assert f"{title} {numbers}" in listed
        assert f"- {title} ({numbers})" in rendered.text


@pytest.mark.parametrize(
    ("sections", "stories", "is_shown"), [(3, 8, True), (2, 8, False), (3, 7, False), (6, 31, True)]
)
def test_short_contents_are_left_out(sections: int, stories: int, is_shown: bool) -> None:
    titles = [StoryContent(title=f"Story {number}", body="Text.") for number in range(stories)]
    share = -(-stories // sections)
    parts_of_it = (
        SectionContent(title=f"Section {number}", stories=tuple(titles[number * share : (number + 1) * share]))
        for number in range(sections)
    )
    rendered = render(write_issue(SectionContent(kind=SectionKind.CONTENTS), *parts_of_it), load_theme("plain"))
    assert ("In this issue" in Page(rendered.html).text) == is_shown
    assert ("In this issue" in rendered.text) == is_shown


@IN_EVERY_THEME
def test_a_line_never_stands_directly_before_a_section(theme: Theme) -> None:
    line = BLOCKS["divider"]
    mark = f'class="gap {"ornament" if theme.name == "gazette" else "line"}"'
    kept = render(write_issue(BLOCKS["lead"], line, BLOCKS["callout"], line), theme).html
    left_out = render(write_issue(BLOCKS["lead"], line, BLOCKS["text"]), theme).html
    assert (kept.count(mark), left_out.count(mark)) == (2, 0)


@IN_EVERY_THEME
def test_paid_content_says_so_first_and_is_never_numbered(theme: Theme) -> None:
    html = render(sample_issue(), theme).html
    start = Page(html[html.index("Advertisement") - 3 :]).text
    assert start.partition("Rope by the metre")[0].strip().endswith("Advertisement · Boje & Daughters")


@pytest.mark.parametrize("theme", [load_theme("gazette"), load_theme("plain")], ids=lambda theme: theme.name)
def test_the_picture_of_a_lead_comes_before_its_text(theme: Theme) -> None:
    lead = dataclasses.replace(BLOCKS["lead"], image="https://pictures.example/lead.png", alt="The old slip")
    html = render(write_issue(lead), theme).html
    assert html.count("lead.png") == 1
    assert 0 < html.index("lead.png") < html.index("Worth knowing first", html.index("<body"))


def test_quotations_have_the_marks_of_the_language_once() -> None:
    for body, expected in (("Only launched.", "“Only launched.”"), ("„Nur gelaunscht.“", "„Nur gelaunscht.“")):
        quote = dataclasses.replace(BLOCKS["quote"], body=body)
        page = Page(render(write_issue(quote), load_theme("gazette")).html).text
        assert expected in page
        assert "““" not in page
        assert "“„" not in page


# The end


@IN_EVERY_THEME
def test_the_end_goes_from_human_to_legal(theme: Theme) -> None:
    rendered = render(full_issue(), theme)
    order = ["Reply to this mail", "Forwarded to you?", "Subscribe to The Slipway", "All issues", "You get this mail"]
    order += ["Unsubscribe", "Preferences", "Kinsale P17 XX00, Ireland"]
    for part in (Page(rendered.html).text, rendered.text):
        places = [part.rindex(words) for words in order]
        assert places == sorted(places)


@IN_EVERY_THEME
def test_forwarding_shares_the_public_address_and_nothing_of_the_recipient(theme: Theme) -> None:
    content = dataclasses.replace(full_issue(), subject="{first_name|Reader}: three tugs & a half")
    rendered = render(content, theme)
    links = [link.get("href") or "" for link in Page(rendered.html).all("a")]
    reply, forward = (urlsplit(link) for link in links if link.startswith("mailto:"))
    assert (reply.path, parse_qs(reply.query)) == (
        "cleo@slipway.example",
        {"subject": ["Re: Reader: three tugs & a half"]},
    )
    assert (forward.path, parse_qs(forward.query)) == (
        "",
        {"subject": ["Reader: three tugs & a half"], "body": [WEB_URL]},
    )
    assert rendered.nonce not in reply.query + forward.query


@IN_EVERY_THEME
def test_what_a_newsletter_lacks_is_not_mentioned(theme: Theme) -> None:
    bare = dataclasses.replace(MASTHEAD, reply_to="", subscribe_url="", feed_url="")
    rendered = render(full_issue(), theme, bare)
    for part in (Page(rendered.html).text, rendered.text):
        for words in ("Reply", "Forwarded to you?", "Subscribe to", "RSS"):
            assert words not in part
    assert "All issues" in rendered.text


# Blocks of operators


def test_a_block_of_a_theme_may_be_sections_or_the_content_of_a_column() -> None:
    plain = load_theme("plain")
    section = "<mj-section><mj-column><mj-text>Own {{ words.story }}</mj-text></mj-column></mj-section>"
    for source in (section, section.replace("<mj-section><mj-column>", "").replace("</mj-column></mj-section>", "")):
        theme = dataclasses.replace(plain, sources=(("blocks/divider.mjml", source),))
        page = Page(render(write_issue(BLOCKS["lead"], BLOCKS["divider"], BLOCKS["callout"]), theme).html).text
        assert page.index("Worth knowing") < page.index("Own story") < page.index("Tides to mind")
