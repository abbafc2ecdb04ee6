"""What the templates see: an issue as plain strings and safe HTML. Imports the content's words and shapes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser

from markupsafe import Markup

from newsletter.content.document import IssueContent, SectionContent, StoryContent
from newsletter.content.links import web_link_problem
from newsletter.content.markdown import markdown_to_html, markdown_to_text
from newsletter.rendering.errors import RenderingError
from newsletter.rendering.shapes import Link

WORDS_PER_MINUTE = 275
PREHEADER_LENGTH = 140
"""Characters that a list of mails shows behind the subject, at most."""

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")
_RIGHT_TO_LEFT = frozenset({"ar", "dv", "fa", "he", "ku", "ps", "ur", "yi"})


@dataclass(frozen=True, slots=True)
class StoryView:
    """A story as templates see it. `number` counts through the whole issue from 1."""

    number: int
    title: str
    url: str
    source: str
    html: Markup
    text: str


@dataclass(frozen=True, slots=True)
class SectionView:
    """A section as templates see it. The lead is the first section when it has words and no stories."""

    title: str
    html: Markup
    text: str
    stories: tuple[StoryView, ...]
    is_lead: bool


@dataclass(frozen=True, slots=True)
class IssueView:
    """An issue as templates see it."""

    title: str
    date: str
    categories: tuple[str, ...]
    preheader: str
    sections: tuple[SectionView, ...]
    story_count: int
    minutes: int


def view_issue(content: IssueContent) -> IssueView:
    """Turn Markdown into HTML and text, once, and work out what the masthead says about the issue."""
    sections = tuple(_view_sections(content))
    words = sum(len(part.split()) for section in sections for part in _texts(section))
    return IssueView(
        title=_line(content.title),
        date=f"{content.date:%A}, {content.date.day} {content.date:%B %Y}",
        categories=tuple(_line(category) for category in content.categories),
        preheader=_line(content.preheader) or _opening(sections),
        sections=sections,
        story_count=sum(len(section.stories) for section in sections),
        minutes=max(1, round(words / WORDS_PER_MINUTE)),
    )


def editor_links(issue: IssueView) -> Iterator[Link]:
    """Every link that editors wrote, in reading order."""
    for section in issue.sections:
        yield from _links_in(section.html, section.title)
        for position, story in enumerate(section.stories, start=1):
            place = f"{section.title}, story {position}"
            if story.url:
                yield Link(story.url, story.title, place)
            yield from _links_in(story.html, place)


def writing_direction(language: str) -> str:
    """`rtl` for languages written from right to left, else `ltr`."""
    return "rtl" if language.partition("-")[0].lower() in _RIGHT_TO_LEFT else "ltr"


def _view_sections(content: IssueContent) -> Iterator[SectionView]:
    number = 0
    for index, section in enumerate(content.sections):
        stories = tuple(_view_story(story, number + offset) for offset, story in enumerate(section.stories, start=1))
        number += len(stories)
        yield SectionView(
            title=_line(section.title),
            html=Markup(markdown_to_html(section.body, under="section")),  # noqa: S704  # sanitised by content
            text=markdown_to_text(section.body),
            stories=stories,
            is_lead=_is_lead(index, section),
        )


def _is_lead(index: int, section: SectionContent) -> bool:
    return index == 0 and not section.stories and bool(section.body.strip())


def _view_story(story: StoryContent, number: int) -> StoryView:
    problem = web_link_problem(story.url) if story.url else None
    if problem:
        raise RenderingError(f"The link of story {number}, “{_line(story.title)}”, {problem}: {story.url!r}.")
    return StoryView(
        number=number,
        title=_line(story.title),
        url=story.url,
        source=_line(story.source),
        html=Markup(markdown_to_html(story.body)),  # noqa: S704  # sanitised by content
        text=markdown_to_text(story.body),
    )


def _texts(section: SectionView) -> Iterator[str]:
    yield section.text
    for story in section.stories:
        yield from (story.title, story.text)


def _opening(sections: tuple[SectionView, ...]) -> str:
    """The first words of an issue: what stands behind the subject when editors wrote nothing for that place."""
    words = _line(" ".join(next((text for section in sections for text in _texts(section) if text), "").split()))
    if len(words) <= PREHEADER_LENGTH:
        return words
    return re.sub(r"\W*\s\S*$", "", words[:PREHEADER_LENGTH]) + "…"


def _line(text: str) -> str:
    """Text that stands on one line. What XML and mail cannot carry is refused."""
    hidden = _UNPRINTABLE.search(text)
    if hidden:
        words = _UNPRINTABLE.sub("", text)[:80]
        raise RenderingError(f"“{words}” holds the invisible character U+{ord(hidden[0]):04X}; type it without it.")
    return " ".join(text.split())


def _links_in(html: str, place: str) -> Iterator[Link]:
    if "<a " in html:  # most stories have no link, and HTMLParser is slow
        reader = _LinkReader()
        reader.feed(html)
        yield from (Link(url, _line(label), place) for url, label in reader.links)


class _LinkReader(HTMLParser):
    """Collects (href, words) of each link of sanitised HTML; links do not nest there."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[tuple[str, str]] = []
        self._url: str | None = None
        self._words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self._url, self._words = dict(attrs).get("href"), []

    def handle_data(self, data: str) -> None:
        self._words.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._url:
            self.links.append((self._url, "".join(self._words)))
            self._url = None
