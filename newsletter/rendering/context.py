"""The issue as templates see it: plain strings and safe HTML."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser

from markupsafe import Markup

from newsletter.config.translatable import translatable
from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.fields import LABELS
from newsletter.content.links import web_link_problem
from newsletter.content.markdown import Place, markdown_to_html, markdown_to_text
from newsletter.content.merge_fields import MergeFunction, fallback_of, replace_merge_fields
from newsletter.content.picture_address import size_in
from newsletter.rendering.errors import RenderingError
from newsletter.rendering.shapes import IssueLink
from newsletter.rendering.words import reading_minutes

PREHEADER_LENGTH = 140
"""Maximum characters that mail programs show after the subject."""
NUMBERED_FROM = 5
"""Stories of an issue without sections, from which on they have numbers."""
SECTIONS_OF_CONTENTS, STORIES_OF_CONTENTS = 3, 8
"""With fewer, a table of contents is longer than the way to what it lists."""

LONGEST_LEAD = 1_200
"""Characters of a text without a heading that is still shown as the lead. Longer ones are essays."""

_MERGED = "\ufffc"
"""Stands for a merge field."""
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
    anchor: str
    """Id of its heading on web pages: `story-3`."""
    image: str = ""
    """Address of a picture, three by two; empty for most stories."""
    alt: str = ""

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Width and height in pixels, if they are known."""
        return size_in(self.image)


@dataclass(frozen=True, slots=True)
class EntryView:
    """One entry of a table of contents: a section with its stories."""

    title: str
    anchor: str
    stories: tuple[EntryView, ...] = ()
    number: int = 0
    """Of a story: its number in the issue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionView:
    """A part of an issue as templates see it. The lead is the first part if it has text and no stories."""

    kind: str
    block: str
    """The template block: the kind; for a section or text `lead`, `text` or `stories`."""
    anchor: str
    """Id of its heading: `section-2`."""
    title: str
    html: Markup
    text: str
    url: str = ""
    source: str = ""
    image: str = ""
    alt: str = ""
    stories: tuple[StoryView, ...] = ()
    level: int = 2
    """Of the heading of a call-out in mails: 3 within a section."""
    is_brief: bool = False
    """Whether none of its stories has text: they are listed with title and source."""
    entries: tuple[EntryView, ...] = ()
    """Of a table of contents: the parts below it."""
    is_in_mail: bool = True
    """Whether mails show it: a table of contents needs three sections and eight stories."""

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Width and height in pixels, if they are known."""
        return size_in(self.image)

    @property
    def is_lead(self) -> bool:
        """Whether it is the lead."""
        return self.block == "lead"


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
    is_numbered: bool
    """Whether the stories have numbers: several sections have stories, or there are at least five."""
    lists_contents: bool
    """Whether mails show a table of contents."""

    @property
    def entries(self) -> tuple[EntryView, ...]:
        """A table of contents of the issue without its lead, for web pages."""
        return _entries(section for section in self.sections if not section.is_lead)

    @property
    def has_contents(self) -> bool:
        """Whether it has a table of contents of its own."""
        return any(section.kind == SectionKind.CONTENTS for section in self.sections)


@dataclass(frozen=True, slots=True)
class MergesByPart:
    """Replacements of merge fields, for each of the two parts."""

    html: MergeFunction
    text: MergeFunction


AS_FALLBACKS = MergesByPart(fallback_of, fallback_of)


def view_issue(content: IssueContent, merges: MergesByPart = AS_FALLBACKS, *, date: str = "") -> IssueView:
    """Render the Markdown of an issue. `date` is its date in the language of the mail. Raises RenderingError."""
    sections = tuple(_with_contents(tuple(_view_sections(content, merges))))
    story_count = sum(len(section.stories) for section in sections)
    return IssueView(
        title=_line(content.title),
        date=date,
        categories=tuple(_line(category) for category in content.categories),
        preheader=_line(replace_merge_fields(content.preheader, merges.html)) or _opening(content),
        sections=sections,
        story_count=story_count,
        minutes=reading_minutes(content),
        is_numbered=story_count >= NUMBERED_FROM or sum(bool(section.stories) for section in sections) > 1,
        lists_contents=any(section.kind == SectionKind.CONTENTS and section.is_in_mail for section in sections),
    )


def editor_links(issue: IssueView) -> Iterator[IssueLink]:
    """Every link of the content, in reading order."""
    for section in issue.sections:
        place = section.title or section.kind.capitalize()
        if section.url:
            yield IssueLink(section.url, section.title or section.source or section.alt, place)
        yield from _links_in(section.html, place)
        for position, story in enumerate(section.stories, start=1):
            at = f"{place}, story {position}"
            if story.url:
                yield IssueLink(story.url, story.title, at)
            yield from _links_in(story.html, at)


def writing_direction(language: str) -> str:
    """`rtl` for languages that are written from right to left, else `ltr`."""
    return "rtl" if language.partition("-")[0].lower() in _RIGHT_TO_LEFT else "ltr"


def _view_sections(content: IssueContent, merges: MergesByPart) -> Iterator[SectionView]:
    number, level, is_below_section = 0, 2, False
    for position, section in enumerate(content.sections, start=1):
        title = _line(section.title)
        stories = tuple(
            _view_story(story, number + offset, merges) for offset, story in enumerate(section.stories, start=1)
        )
        number += len(stories)
        is_text = section.kind is SectionKind.TEXT
        is_below_section |= bool(title) and section.kind in (SectionKind.SECTION, SectionKind.LINKS)
        under: Place = "section" if title or is_below_section else "text"
        html = _html(section.body, merges, under=under if title or is_text else "story")
        yield SectionView(
            kind=section.kind.value,
            block=_block_of(section, is_lead=position == 1 and _may_lead(section, html)),
            anchor=f"section-{position}",
            title=title,
            html=html,
            text=markdown_to_text(section.body, merge=merges.text),
            url=_checked(section.url, title or LABELS[section.kind]),
            source=_line(section.source),
            image=_checked(section.image, title or LABELS[section.kind]),
            alt=_line(section.alt),
            stories=stories,
            level=level,
            is_brief=bool(stories) and not any(story.html for story in stories),
        )
        if title and section.kind in (SectionKind.SECTION, SectionKind.LINKS) and position > 1:
            level = 3


def _with_contents(sections: tuple[SectionView, ...]) -> Iterator[SectionView]:
    """The parts; each table of contents with the entries below it, its own stories included."""
    for position, section in enumerate(sections):
        if section.kind != SectionKind.CONTENTS:
            yield section
            continue
        entries = _entries(sections[position:])
        stories = sum(len(entry.stories) for entry in entries)
        is_in_mail = len(entries) >= SECTIONS_OF_CONTENTS and stories >= STORIES_OF_CONTENTS
        yield dataclasses.replace(section, entries=entries, is_in_mail=is_in_mail)


def _entries(sections: Iterable[SectionView]) -> tuple[EntryView, ...]:
    """The entries of a table of contents: parts with a heading, and stories."""
    entries = (
        EntryView(
            section.title if section.kind in (SectionKind.SECTION, SectionKind.LINKS) else "",
            section.anchor,
            tuple(EntryView(story.title, story.anchor, number=story.number) for story in section.stories),
        )
        for section in sections
    )
    return tuple(entry for entry in entries if entry.title or entry.stories)


def _block_of(section: SectionContent, *, is_lead: bool) -> str:
    if section.kind not in (SectionKind.SECTION, SectionKind.TEXT):
        return section.kind.value
    if section.stories:
        return "stories"
    return "lead" if is_lead else "text"


def _may_lead(section: SectionContent, html: str) -> bool:
    is_essay = len(section.body) > LONGEST_LEAD or "<h2>" in html
    return bool(html) and not (section.kind is SectionKind.TEXT and is_essay)


def _view_story(story: StoryContent, number: int, merges: MergesByPart) -> StoryView:
    return StoryView(
        number=number,
        title=_line(story.title),
        url=_checked(story.url, _line(story.title)),
        source=_line(story.source),
        html=_html(story.body, merges, under="story"),
        text=markdown_to_text(story.body, merge=merges.text),
        anchor=f"story-{number}",
        image=_checked(story.image, _line(story.title)),
        alt=_line(story.alt),
    )


def _html(body: str, merges: MergesByPart, *, under: Place) -> Markup:
    return Markup(markdown_to_html(body, under=under, merge=merges.html))  # noqa: S704  # sanitised by content


def _checked(url: str, title: str) -> str:
    if url and (problem := web_link_problem(url)):
        raise RenderingError(
            translatable(
                "The address “{url}” of “{title}” cannot be used. {problem}", url=url, title=title, problem=problem
            )
        )
    return url


def _opening(content: IssueContent) -> str:
    """The first words of an issue, for the preheader if editors wrote none.

    Paragraphs with merge fields, such as greetings, are skipped: the preheader is the same for everybody, and on the
    web it stands for the issue.
    """
    texts = [text for section in content.sections for text in _first_texts(section)]
    paragraphs = (paragraph for text in texts for paragraph in text.split("\n\n") if _MERGED not in paragraph)
    first = next((paragraph for paragraph in paragraphs if paragraph.strip()), "")
    if not first:
        first = next((text for section in content.sections for text in _first_texts(section, fallback_of) if text), "")
    words = _line(" ".join(first.split()))
    if len(words) <= PREHEADER_LENGTH:
        return words
    return re.sub(r"\W*\s\S*$", "", words[:PREHEADER_LENGTH]) + "…"


def _first_texts(section: SectionContent, merge: MergeFunction = lambda _: _MERGED) -> Iterator[str]:
    """The texts that the preheader may be taken from."""
    if section.kind is not SectionKind.SPONSOR:
        yield markdown_to_text(section.body, merge=merge)
    for story in section.stories:
        yield from (story.title, markdown_to_text(story.body, merge=merge))


def _line(text: str) -> str:
    """Text on one line. Raises RenderingError for characters that XML and mail must not contain."""
    hidden = _UNPRINTABLE.search(text)
    if hidden:
        words = _UNPRINTABLE.sub("", text)[:80]
        code = f"U+{ord(hidden[0]):04X}"
        raise RenderingError(
            translatable(
                "“{text}” contains the invisible character {character}. Delete it.", text=words, character=code
            )
        )
    return " ".join(text.split())


def _links_in(html: str, place: str) -> Iterator[IssueLink]:
    if "<a " in html:  # most texts have no link, and HTMLParser is slow
        collector = _LinkCollector()
        collector.feed(html)
        yield from (IssueLink(url, _line(label), place) for url, label in collector.links)


class _LinkCollector(HTMLParser):
    """Collects the address and text of each link of sanitised HTML, where links are never nested."""

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
