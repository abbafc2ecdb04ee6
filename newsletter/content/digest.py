"""Plain-text digests: headings end in `#`, a story is one line `Title · Source Text`. Pure.

    The Harbour Log — 2026-07-01#

    Signal of the week#

    A paragraph of text.

    Deep dives#

    The crane is back · Harbour Gazette After two years of repairs, the …

    Categories: News, Tech

Where the format is ambiguous, these rules apply:

* A heading is a line that ends in `#`, contains no ` · ` and has at most 150 characters. The first heading is the
  title; it ends with the date, and the slug is made from it. Lines above it are ignored with a warning, except the
  word "Sources", with which web pages of digests start.
* Every other line that is not blank is a paragraph.
* A title ends at the first ` · ` that is followed by a known source, so titles may contain ` · ` themselves. Without
  a known source, the title ends at the first ` · `, the source is guessed to be the next word, and a warning for each
  such word says so.
* A section contains stories if any of its paragraphs contains a known source, or if at least half of them have a
  ` · ` within their first 200 characters. In other sections a ` · ` is ordinary text.
* In a section with stories, a paragraph without ` · ` belongs to the story above it (with a warning), or to the
  section if there is no story above it.
* The last line may list the categories. All text is literal: a `*` stays a `*`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from newsletter.config.translatable import translatable
from newsletter.content.details import IssueDetails, date_in, finish_issue, unique_categories
from newsletter.content.document import SectionContent, StoryContent
from newsletter.content.fields import LIMITS, FieldName, body_fault, field_faults, slug_from
from newsletter.content.guessed_sources import Guess, group_guesses
from newsletter.content.lines import text_lines
from newsletter.content.plain_text import plain_to_markdown
from newsletter.content.problems import ParsedIssue, ProblemList
from newsletter.content.story_line import SourceSplit, known_source, split_source

SEPARATOR = " · "
_LONGEST_HEADING = 150
_LONGEST_TITLE = 200
_CATEGORIES = re.compile(r"categories:\s*(.+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Paragraph:
    """A line that is not blank; `number` counts from 1."""

    number: int
    text: str


@dataclass(slots=True)
class _Part:
    """A heading and the paragraphs below it."""

    heading: _Paragraph
    paragraphs: list[_Paragraph] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _DigestStory:
    title: str
    split: SourceSplit


def read_digest(text: str, *, known_sources: Collection[str]) -> ParsedIssue:
    """Parse a plain-text digest; `known_sources` are the newsletter's, in any order.

    Stories have no links: the format has none. Raises IssueFileError with every problem of the file.
    """
    problems = ProblemList()
    paragraphs = _paragraphs(text, problems)
    details = IssueDetails()
    paragraphs = _take_categories(paragraphs, details, problems)
    parts = _parts(paragraphs, problems)
    guesses: list[Guess] = []
    sections = tuple(_section(part, known_sources, problems, guesses) for part in _take_title(parts, details, problems))
    guessed = group_guesses(guesses)
    for source in guessed:
        problems.warn(source.line, source.sentence)
    return replace(finish_issue(details, sections, problems), guessed_sources=guessed)


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
            problems.error(paragraph.number, fault)
    return found


def _take_categories(paragraphs: list[_Paragraph], details: IssueDetails, problems: ProblemList) -> list[_Paragraph]:
    """Read the categories from the last line if it lists them; return the other paragraphs."""
    named = _CATEGORIES.fullmatch(paragraphs[-1].text) if paragraphs else None
    if named is None:
        return paragraphs
    number = details.lines["categories"] = paragraphs[-1].number
    details.categories = unique_categories((name.strip() for name in named[1].split(",")), number, problems)
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
            sentence = translatable("“{text}” is above the title and was ignored.", text=_shortened(paragraph.text))
            problems.warn(paragraph.number, sentence)
    return parts


def _take_title(parts: list[_Part], details: IssueDetails, problems: ProblemList) -> list[_Part]:
    """Read title, date and slug from the first heading; return the parts below it."""
    if not parts:
        sentence = translatable(
            "No line ends in #. Write the title on a line of its own, such as “The Harbour Log — 2026-07-01#”."
        )
        problems.error(1, sentence)
        details.readable = False
        return []
    title, *sections = parts
    details.values["title"] = title.heading.text
    details.lines["title"] = title.heading.number
    details.date = date_in(title.heading.text)
    details.values["slug"] = slug_from(title.heading.text)
    details.has_derived_slug = True
    for paragraph in title.paragraphs:
        sentence = translatable("This text has no heading. Add one above it, such as “Signal of the day#”.")
        problems.error(paragraph.number, sentence)
    return sections


def _section(
    part: _Part, known_sources: Collection[str], problems: ProblemList, guesses: list[Guess]
) -> SectionContent:
    _check(problems, part.heading.number, "section heading", part.heading.text)
    if not part.paragraphs:
        sentence = translatable("The section “{title}” is empty.", title=part.heading.text)
        problems.warn(part.heading.number, sentence)
    lines = [(paragraph, _digest_story(paragraph.text, known_sources)) for paragraph in part.paragraphs]
    if not _holds_stories([line for _, line in lines]):
        return SectionContent(title=part.heading.text, body=_body(part.paragraphs))
    texts: list[_Paragraph] = []
    stories: list[tuple[_Paragraph, _DigestStory, list[_Paragraph]]] = []
    for paragraph, line in lines:
        if line:
            stories.append((paragraph, line, []))
        elif stories:
            stories[-1][2].append(paragraph)
            sentence = translatable(
                "This line has no ` · ` and was added to the story “{title}”.", title=_shortened(stories[-1][1].title)
            )
            problems.warn(paragraph.number, sentence)
        else:
            texts.append(paragraph)
    return SectionContent(
        title=part.heading.text,
        body=_body(texts),
        stories=tuple(_story(start, line, more, problems, guesses) for start, line, more in stories),
    )


def _holds_stories(lines: Sequence[_DigestStory | None]) -> bool:
    if any(line and not line.split.guessed for line in lines):
        return True
    likely = sum(1 for line in lines if line and len(line.title) <= _LONGEST_TITLE)
    return likely > 0 and likely * 2 >= len(lines)


def _digest_story(text: str, known_sources: Collection[str]) -> _DigestStory | None:
    places = [match.start() for match in re.finditer(re.escape(SEPARATOR), text)]
    for place in places:
        start = place + len(SEPARATOR)
        # A source is short: the limit keeps lines with thousands of dots from taking quadratic time.
        if known_source(text[start : start + LIMITS["source"] + 1], known_sources) is not None:
            return _DigestStory(text[:place].strip(), split_source(text[start:], known_sources))
    if not places:
        return None
    return _DigestStory(text[: places[0]].strip(), split_source(text[places[0] + len(SEPARATOR) :], ()))


def _story(
    start: _Paragraph,
    line: _DigestStory,
    more: Sequence[_Paragraph],
    problems: ProblemList,
    guesses: list[Guess],
) -> StoryContent:
    _check(problems, start.number, "story title", line.title)
    _check(problems, start.number, "source", line.split.source)
    if line.split.guessed:
        guesses.append(Guess(start.number, line.title, f"{line.split.source} {line.split.text}"))
    if not line.split.text:
        problems.warn(start.number, translatable("The story “{title}” has no text yet.", title=_shortened(line.title)))
    body = _body([_Paragraph(start.number, line.split.text), *more])
    return StoryContent(title=line.title, source=line.split.source, body=body)


def _body(paragraphs: Sequence[_Paragraph]) -> str:
    return "\n\n".join(plain_to_markdown(paragraph.text) for paragraph in paragraphs if paragraph.text)


def _check(problems: ProblemList, number: int, name: FieldName, value: str) -> None:
    for fault in field_faults(name, value):
        problems.error(number, fault)


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59].rstrip()}…"
