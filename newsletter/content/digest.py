"""Plain-text digests: headings end in `#`, a story is one line `Title · Source Text`. Pure.

    The Harbour Log — 2026-07-01#

    Signal of the week#

    A paragraph of text.

    Deep dives#

    The crane is back · Harbour Gazette After two years of repairs, the …

    Categories: News, Tech

The rules, where the format leaves a choice:

* A heading is a line that ends in `#`, has no ` · ` and at most 150 characters. The first one is the title; it
  ends in the date, and the slug is made of it. What stands above it is left out and noted, except for the
  word "Sources", which pages of digests begin with.
* Every other line that is not blank is a paragraph.
* The ` · ` that ends a title is the first one that a known source follows; so titles may contain ` · `
  themselves. Where no known source follows any, it is the first ` · `, the source is the word behind it, and
  a note says that it was guessed.
* A section holds stories if a known source tells so in any of its paragraphs, or if at least half of them have
  a ` · ` within their first 200 characters. In a section of text, a ` · ` is only a character.
* In a section of stories, a paragraph without ` · ` belongs to the story above it (noted), or to the section
  if no story stands above.
* The last line may name the categories. Texts are taken literally: a `*` in them stays a `*`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from newsletter.content.document import SectionContent, StoryContent
from newsletter.content.envelope import Envelope, date_in, finish_issue, without_repeats
from newsletter.content.fields import LIMITS, FieldName, body_fault, field_faults, slug_from
from newsletter.content.lines import text_lines
from newsletter.content.plain_text import plain_to_markdown
from newsletter.content.problems import IssueReading, ProblemList
from newsletter.content.sources import SourceSplit, known_source, split_source

SEPARATOR = " · "
_LONGEST_HEADING = 150
_LONGEST_TITLE = 200
_CATEGORIES = re.compile(r"categories:\s*(.+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Paragraph:
    """One line of the file that is not blank, and its number."""

    number: int
    text: str


@dataclass(slots=True)
class _Part:
    """A heading and the paragraphs below it."""

    heading: _Paragraph
    paragraphs: list[_Paragraph] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _StoryLine:
    title: str
    split: SourceSplit


def read_digest(text: str, *, known_sources: Collection[str]) -> IssueReading:
    """Read a plain-text digest; `known_sources` are the newsletter's, in any order.

    The notes name each source that was guessed, with its line. Stories have no link: the format has none.
    Raises IssueFileError with every problem of the file.
    """
    problems = ProblemList()
    paragraphs = _paragraphs(text, problems)
    envelope = Envelope()
    paragraphs = _take_categories(paragraphs, envelope, problems)
    parts = _parts(paragraphs, problems)
    sections = _take_title(parts, envelope, problems)
    return finish_issue(envelope, tuple(_section(part, known_sources, problems) for part in sections), problems)


def is_digest_heading(line: str) -> bool:
    """Whether `line` is a heading of a plain-text digest."""
    words = line.strip()
    return (
        words.endswith("#") and not words.startswith("#") and SEPARATOR not in words and len(words) <= _LONGEST_HEADING
    )


def _paragraphs(text: str, problems: ProblemList) -> list[_Paragraph]:
    found = [_Paragraph(number, line.strip()) for number, line in enumerate(text_lines(text), start=1) if line.strip()]
    for paragraph in found:
        if fault := body_fault(paragraph.text):
            problems.must_fix(paragraph.number, fault)
    return found


def _take_categories(paragraphs: list[_Paragraph], envelope: Envelope, problems: ProblemList) -> list[_Paragraph]:
    """Read the last line if it names the categories, and return the paragraphs before it."""
    named = _CATEGORIES.fullmatch(paragraphs[-1].text) if paragraphs else None
    if named is None:
        return paragraphs
    number = envelope.lines["categories"] = paragraphs[-1].number
    envelope.categories = without_repeats((name.strip() for name in named[1].split(",")), number, problems)
    return paragraphs[:-1]


def _parts(paragraphs: Sequence[_Paragraph], problems: ProblemList) -> list[_Part]:
    parts: list[_Part] = []
    for paragraph in paragraphs:
        if is_digest_heading(paragraph.text):
            words = paragraph.text.removesuffix("#").rstrip()
            parts.append(_Part(_Paragraph(paragraph.number, words)))
        elif parts:
            parts[-1].paragraphs.append(paragraph)
        elif paragraph.text != "Sources":
            problems.look_at(
                paragraph.number, f"“{_shortened(paragraph.text)}” stands above the title and is left out."
            )
    return parts


def _take_title(parts: list[_Part], envelope: Envelope, problems: ProblemList) -> list[_Part]:
    """Read title, date and slug from the first heading, and return the parts below it."""
    if not parts:
        problems.must_fix(
            1, "No line ends in #. Write the title as its own line, such as The Harbour Log — 2026-07-01#."
        )
        envelope.readable = False
        return []
    title, *sections = parts
    envelope.values["title"] = title.heading.text
    envelope.lines["title"] = title.heading.number
    envelope.date = date_in(title.heading.text)
    envelope.values["slug"] = slug_from(title.heading.text)
    for paragraph in title.paragraphs:
        problems.must_fix(
            paragraph.number, "Text stands below the title. Put a heading above it, such as Signal of the day#."
        )
    return sections


def _section(part: _Part, known_sources: Collection[str], problems: ProblemList) -> SectionContent:
    _check(problems, part.heading.number, "section heading", part.heading.text)
    if not part.paragraphs:
        problems.look_at(part.heading.number, f"The section “{part.heading.text}” is empty.")
    lines = [(paragraph, _story_line(paragraph.text, known_sources)) for paragraph in part.paragraphs]
    if not _holds_stories([line for _, line in lines]):
        return SectionContent(title=part.heading.text, body=_body(part.paragraphs))
    texts: list[_Paragraph] = []
    stories: list[tuple[_Paragraph, _StoryLine, list[_Paragraph]]] = []
    for paragraph, line in lines:
        if line:
            stories.append((paragraph, line, []))
        elif stories:
            stories[-1][2].append(paragraph)
            problems.look_at(
                paragraph.number,
                f"This line has no ` · ` and was added to the story “{_shortened(stories[-1][1].title)}”.",
            )
        else:
            texts.append(paragraph)
    return SectionContent(
        title=part.heading.text,
        body=_body(texts),
        stories=tuple(_story(start, line, more, problems) for start, line, more in stories),
    )


def _holds_stories(lines: Sequence[_StoryLine | None]) -> bool:
    if any(line and not line.split.guessed for line in lines):
        return True
    likely = sum(1 for line in lines if line and len(line.title) <= _LONGEST_TITLE)
    return likely > 0 and likely * 2 >= len(lines)


def _story_line(text: str, known_sources: Collection[str]) -> _StoryLine | None:
    places = [match.start() for match in re.finditer(re.escape(SEPARATOR), text)]
    for place in places:
        start = place + len(SEPARATOR)
        # A source is short: looking no further keeps lines with thousands of dots from taking quadratic time.
        if known_source(text[start : start + LIMITS["source"] + 1], known_sources) is not None:
            return _StoryLine(text[:place].strip(), split_source(text[start:], known_sources))
    if not places:
        return None
    return _StoryLine(text[: places[0]].strip(), split_source(text[places[0] + len(SEPARATOR) :], ()))


def _story(start: _Paragraph, line: _StoryLine, more: Sequence[_Paragraph], problems: ProblemList) -> StoryContent:
    _check(problems, start.number, "story title", line.title)
    _check(problems, start.number, "source", line.split.source)
    if line.split.guessed:
        problems.look_at(
            start.number, f"The source “{line.split.source}” was guessed: no known source stands behind the ·."
        )
    if not line.split.text:
        problems.look_at(start.number, f"The story “{_shortened(line.title)}” has no text yet.")
    body = _body([_Paragraph(start.number, line.split.text), *more])
    return StoryContent(title=line.title, source=line.split.source, body=body)


def _body(paragraphs: Sequence[_Paragraph]) -> str:
    return "\n\n".join(plain_to_markdown(paragraph.text) for paragraph in paragraphs if paragraph.text)


def _check(problems: ProblemList, number: int, name: FieldName, value: str) -> None:
    for fault in field_faults(name, value):
        problems.must_fix(number, fault)


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59].rstrip()}…"
