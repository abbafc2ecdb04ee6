r"""Issues as Markdown files with YAML front matter: a lenient parser and a canonical writer. Pure.

The format, as it is written:

    ---
    title: The Harbour Log — 2026-03-31
    date: 2026-03-31
    slug: harbour-log-2026-03-31
    categories: [News, Tech]
    ---

    ## Signal of the week
    Text of a section: anything Markdown.

    ## Deep dives

    ### [Title](https://source.example/x) · Source
    Text of a story.

    ## · Ada {quote}
    A quotation of hers. The line of a block ends with its kind in braces.

    ## {image}
    ![What the image shows](https://pictures.example/x.png)
    The caption.

The parser also accepts the title as an H1, stories as `**[Title](address)** · Source` with their text on the same or
the next line, a missing slug, subject or date (the title may end with it), CRLF and a byte order mark.

`read_issue_file(write_issue_file(x)).content == x` for every content that can be stored. Lines of a body that the
parser would take for structure are escaped with a backslash and a space (`\ ## Not a section`), as are blank lines at
a body's ends; the parser removes the escapes. Lines within a closed code fence are never structure and are written
as they are. Levels #### and deeper are ordinary headings of a body.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from newsletter.config.translatable import translatable
from newsletter.content.details import IssueDetails, finish_issue
from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.fields import (
    FIELD_LABELS,
    FIELDS_OF_KIND,
    FieldName,
    body_faults,
    field_faults,
    section_faults,
)
from newsletter.content.front_matter import read_front_matter, write_front_matter
from newsletter.content.lines import fenced_lines, read_body, text_lines, write_body
from newsletter.content.problems import IssueFileError, ParsedIssue, Problem, ProblemList, listed
from newsletter.content.story_line import (
    StoryLine,
    StoryLineError,
    known_source,
    read_block_line,
    read_bold_story_line,
    read_heading,
    read_image_line,
    read_kind,
    read_story_line,
    split_source,
    unescape,
    write_image_line,
    write_section_line,
    write_story_line,
)

_HEADING = re.compile(r"(#{1,3})(?:[ \t]+(.*)|[ \t]*)")
_LONGEST_GUESSED_SOURCE = 40
_STORY_LABELS = {
    "title": FIELD_LABELS["title"],
    "url": FIELD_LABELS["link"],
    "source": FIELD_LABELS["source"],
    "body": FIELD_LABELS["text"],
}
_HOVER_TEXT = translatable("The link title in quotes was ignored: mail programs do not show it.")
_KINDS = {kind.value: kind for kind in SectionKind}


def read_issue_file(text: str, *, known_sources: Iterable[str] = ()) -> ParsedIssue:
    """Parse a Markdown issue file.

    `known_sources` matter only for stories on one line, where nothing separates source and text. Raises
    IssueFileError with every problem of the file.
    """
    problems = ProblemList()
    lines = text_lines(text)
    details, start = read_front_matter(lines, problems)
    parts = _parts(lines, start, problems)
    _read_title(parts, details, problems)
    sections = _read_sections(parts, tuple(known_sources), problems)
    return finish_issue(details, sections, problems)


def write_issue_file(content: IssueContent) -> str:
    """Write `content` in the canonical form.

    The result is parsed again and compared. Raises IssueFileError if `content` cannot be represented, for example a
    control character in a body or a story link that is not a web address.
    """
    text = "\n".join([write_front_matter(content), *(_written_section(section) for section in content.sections)])
    if read_issue_file(text).content != content:
        sentence = translatable("This issue cannot be exported as a file without changing it.")
        raise IssueFileError([Problem(1, sentence)])
    return text


# Parsing: lines become parts, each a heading with the lines below it, and parts become the issue.


@dataclass(slots=True)
class _Part:
    """A heading with the lines below it, up to the next heading."""

    kind: Literal["start", "title", "section", "story"]
    number: int
    words: str = ""
    block: SectionKind = SectionKind.SECTION
    story: StoryLine = field(default_factory=lambda: StoryLine(title="", url="", rest=""))
    is_bold_line: bool = False
    lines: list[str] = field(default_factory=list)
    fenced: list[bool] = field(default_factory=list)

    def image(self) -> tuple[str, str]:
        """Address and description of the image in the first line, which is removed; empty if there is none."""
        first = self._first_line()
        image = read_image_line(self.lines[first]) if first < len(self.lines) and not self.fenced[first] else None
        if image:
            self.lines[first] = ""
        return image or ("", "")

    def body(self, problems: ProblemList) -> str:
        body, first = read_body(self.lines, self.fenced), self._first_line()
        for line, fault in body_faults(body):
            problems.error(self.number + first + line, fault)
        return body

    def _first_line(self) -> int:
        return next((index for index, line in enumerate(self.lines) if line.strip()), len(self.lines))


def _parts(lines: Sequence[str], start: int, problems: ProblemList) -> list[_Part]:
    parts = [_Part("start", start)]
    fenced = fenced_lines(lines[start:])
    for number, (line, is_fenced) in enumerate(zip(lines[start:], fenced, strict=True), start=start + 1):
        part = None if is_fenced else _part_beginning(line, number, problems)
        if part:
            parts.append(part)
        else:
            parts[-1].lines.append(line)
            parts[-1].fenced.append(is_fenced)
            if is_fenced and line.startswith("## "):
                sentence = translatable("This looks like a section, but it is in a code block between ``` or ~~~.")
                problems.warn(number, sentence)
    return parts


def _part_beginning(line: str, number: int, problems: ProblemList) -> _Part | None:
    if bold := read_bold_story_line(line):
        return _Part("story", number, story=bold, is_bold_line=True)
    heading = _HEADING.fullmatch(line)
    if heading is None:
        return None
    words = heading[2] or ""
    if len(heading[1]) == 1:
        return _Part("title", number, words=read_heading(words))
    try:
        if len(heading[1]) == 2:
            return _section_beginning(words, number, problems)
        return _Part("story", number, story=read_story_line(words))
    except StoryLineError as error:
        problems.error(number, error.args[0])
        return _Part("section" if len(heading[1]) == 2 else "story", number, words="?")


def _section_beginning(line: str, number: int, problems: ProblemList) -> _Part:
    words, name = read_kind(line)
    if name is None or name == SectionKind.SECTION:
        return _Part("section", number, words=read_heading(words))
    if name not in _KINDS:
        sentence = translatable(
            "There is no block of the kind “{kind}”. The kinds are {kinds}. If the braces belong to the heading, put a "
            "backslash before the first one.",
            kind=name,
            kinds=", ".join(f"{{{kind}}}" for kind in _KINDS),
        )
        problems.error(number, sentence)
        return _Part("section", number, words="?")
    return _Part("section", number, block=_KINDS[name], story=read_block_line(words))


def _read_title(parts: Sequence[_Part], details: IssueDetails, problems: ProblemList) -> None:
    """Take the title from an H1 above the sections unless the front matter has one."""
    for index, part in enumerate(parts):
        if part.kind != "title":
            continue
        if index > 1:
            sentence = translatable("Only the title at the top has one #. Write ## or ### here.")
            problems.error(part.number, sentence)
        elif details.values.setdefault("title", part.words) != part.words:
            sentence = translatable("This title differs from the one in the front matter. Remove one of them.")
            problems.error(part.number, sentence)
        else:
            details.lines.setdefault("title", part.number)


def _read_sections(
    parts: Sequence[_Part], known_sources: Sequence[str], problems: ProblemList
) -> tuple[SectionContent, ...]:
    sections: list[SectionContent] = []
    heading: _Part | None = None
    stories: list[StoryContent] = []
    for part in [*parts, None]:
        if part is None or part.kind == "section":
            if heading:
                sections.append(_section(heading, tuple(stories), problems))
            heading, stories = part, []
        elif part.kind == "story":
            if heading is None:
                sentence = translatable("This story has no section. Add a line such as “## News” above it.")
                problems.error(part.number, sentence)
            stories.append(_story(part, known_sources, problems))
        elif part.body(problems):
            sentence = translatable("This text has no section. Add a line such as “## Welcome” above it.")
            problems.error(part.number + 1, sentence)
    return tuple(sections)


def _section(part: _Part, stories: tuple[StoryContent, ...], problems: ProblemList) -> SectionContent:
    if part.block != SectionKind.SECTION:
        return _block_of(part, stories, problems)
    if not part.words.strip():
        problems.error(part.number, translatable("This section has no heading. Write one after the ##."))
    _check(problems, part.number, "section heading", part.words)
    body = part.body(problems)
    if not body and not stories:
        problems.warn(part.number, translatable("The section “{title}” is empty.", title=part.words))
    return SectionContent(title=part.words, body=body, stories=stories)


def _block_of(part: _Part, stories: tuple[StoryContent, ...], problems: ProblemList) -> SectionContent:
    has_image = "image" in FIELDS_OF_KIND[part.block].fields
    image, alt = part.image() if has_image else ("", "")
    block = SectionContent(
        kind=part.block,
        title=part.story.title,
        body=part.body(problems),
        url=part.story.url,
        source=unescape(part.story.rest),
        image=image,
        alt=alt,
        stories=stories,
    )
    reported_with_line = {fault for _, fault in body_faults(block.body)}
    for _, fault in section_faults(block):
        if fault not in reported_with_line:
            problems.error(part.number, fault)
    if part.story.has_hover_text:
        problems.warn(part.number, _HOVER_TEXT)
    return block


def _story(part: _Part, known_sources: Sequence[str], problems: ProblemList) -> StoryContent:
    source, body = unescape(part.story.rest), part.body(problems)
    if part.is_bold_line and not body:
        source, body = _source_and_text(part, known_sources, problems)
    story = StoryContent(title=part.story.title, url=part.story.url, source=source, body=body)
    _check(problems, part.number, "story title", story.title)
    _check(problems, part.number, "source", story.source)
    _check(problems, part.number, "link", story.url)
    if part.story.has_hover_text:
        problems.warn(part.number, _HOVER_TEXT)
    if missing := [label for field, label in _STORY_LABELS.items() if not getattr(story, field)]:
        sentence = translatable(
            "The story “{title}” is incomplete. Missing: {fields}.", title=story.title, fields=listed(missing)
        )
        problems.warn(part.number, sentence)
    return story


def _source_and_text(part: _Part, known_sources: Sequence[str], problems: ProblemList) -> tuple[str, str]:
    """Source and text of a story on one line; without a known source, the source is guessed with a warning."""
    words = part.story.rest
    if not words or (len(words) <= _LONGEST_GUESSED_SOURCE and known_source(words, known_sources) is None):
        return unescape(words), ""
    split = split_source(words, known_sources)
    if split.guessed:
        sentence = translatable("The source “{source}” was guessed: the first word after the “·”.", source=split.source)
        problems.warn(part.number, sentence)
    return split.source, split.text


def _check(problems: ProblemList, number: int, name: FieldName, value: str) -> None:
    for fault in field_faults(name, value):
        problems.error(number, fault)


# Writing: the canonical form.


def _written_section(section: SectionContent) -> str:
    parts = [_written_part(_written_section_line(section), section.body, _structure_test(section))]
    parts += [_written_part(_written_story_line(story), story.body, _begins_a_part) for story in section.stories]
    return "\n".join(parts)


def _written_section_line(section: SectionContent) -> str:
    line = f"## {write_section_line(section)}"
    return f"{line}\n{write_image_line(section.image, section.alt)}" if section.image or section.alt else line


def _written_story_line(story: StoryContent) -> str:
    line = write_story_line(story)
    return f"### {line}" if line else "###"


def _written_part(heading: str, body: str, is_structure: Callable[[str], bool]) -> str:
    below = write_body(body, is_structure=is_structure)
    return f"{heading}\n{below}\n" if below else f"{heading}\n"


def _structure_test(section: SectionContent) -> Callable[[str], bool]:
    """What the parser takes for structure in the body of `section`: image lines too, if its kind has an image."""
    if "image" not in FIELDS_OF_KIND[section.kind].fields:
        return _begins_a_part
    return lambda line: _begins_a_part(line) or read_image_line(line) is not None


def _begins_a_part(line: str) -> bool:
    return _HEADING.fullmatch(line) is not None or line.startswith("**[")
