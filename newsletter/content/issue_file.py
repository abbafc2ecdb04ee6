r"""Issues as Markdown files with YAML front matter: a lenient reader and one canonical writer. Pure.

The shape, as the writer gives it:

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
    Words of hers. A block has its kind in braces, and before them what a story's line has.

    ## {image}
    ![What the picture shows](https://pictures.example/x.png)
    The line below it.

Read as well: the title as an H1, stories as `**[Title](address)** · Source` with their text on the next or on
the same line, a missing slug, subject or date (the title may end in it), CRLF and a byte order mark.

`read_issue_file(write_issue_file(x)).content == x` for every content that can be stored. Lines of a body that
would mean something to the reader are written behind a backslash and a space (`\ ## Not a section`), and so
are blank lines at a body's ends; the reader takes them off again. Lines within a closed code fence mean
nothing to the reader and are written as they are. Levels #### and deeper are ordinary headings of a body.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.envelope import Envelope, finish_issue
from newsletter.content.fields import FIELDS_OF_KIND, FieldName, body_faults, field_faults, section_faults
from newsletter.content.front_matter import read_front_matter, write_front_matter
from newsletter.content.lines import fenced_lines, read_body, text_lines, write_body
from newsletter.content.problems import IssueFileError, IssueReading, Problem, ProblemList
from newsletter.content.sources import known_source, split_source
from newsletter.content.story_line import (
    StoryLine,
    StoryLineError,
    read_block_line,
    read_bold_story_line,
    read_heading,
    read_image_line,
    read_kind,
    read_story_line,
    unescape,
    write_image_line,
    write_section_line,
    write_story_line,
)

_HEADING = re.compile(r"(#{1,3})(?:[ \t]+(.*)|[ \t]*)")
_LONGEST_GUESSED_SOURCE = 40
_HOVER_TEXT = "The words in quotes behind the link are left out: mail does not show them."
_KINDS = {kind.value: kind for kind in SectionKind}


def read_issue_file(text: str, *, known_sources: Iterable[str] = ()) -> IssueReading:
    """Read a Markdown issue file.

    `known_sources` only matter for stories typed on one line, where nothing stands between source and text.
    Raises IssueFileError with every problem of the file, each with its line.
    """
    problems = ProblemList()
    lines = text_lines(text)
    envelope, start = read_front_matter(lines, problems)
    parts = _parts(lines, start, problems)
    _read_title(parts, envelope, problems)
    sections = _read_sections(parts, tuple(known_sources), problems)
    return finish_issue(envelope, sections, problems)


def write_issue_file(content: IssueContent) -> str:
    """Write `content` in the one canonical form.

    Raises IssueFileError if it holds what a file cannot say, such as a control character in a body or a story
    link that is no web address: what was written is read again and compared, so that nothing changes unseen.
    """
    text = "\n".join([write_front_matter(content), *(_written_section(section) for section in content.sections)])
    if read_issue_file(text).content != content:
        raise IssueFileError([Problem(1, "This issue cannot be written as a file without changing it.")])
    return text


# Reading: lines become parts, each a heading with the lines below it, and parts become the issue.


@dataclass(slots=True)
class _Part:
    """What a heading begins, with the lines below it up to the next one."""

    kind: Literal["start", "title", "section", "story"]
    number: int
    words: str = ""
    block: SectionKind = SectionKind.SECTION
    story: StoryLine = field(default_factory=lambda: StoryLine(title="", url="", rest=""))
    is_bold_line: bool = False
    lines: list[str] = field(default_factory=list)
    fenced: list[bool] = field(default_factory=list)

    def image(self) -> tuple[str, str]:
        """Address and description of the picture in its first line, which is taken out; empty where there is none."""
        first = self._first_line()
        image = read_image_line(self.lines[first]) if first < len(self.lines) and not self.fenced[first] else None
        if image:
            self.lines[first] = ""
        return image or ("", "")

    def body(self, problems: ProblemList) -> str:
        body, first = read_body(self.lines, self.fenced), self._first_line()
        for line, fault in body_faults(body):
            problems.must_fix(self.number + first + line, fault)
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
                problems.look_at(number, "This looks like a section, but stands in a code block between ``` or ~~~.")
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
        problems.must_fix(number, str(error))
        return _Part("section" if len(heading[1]) == 2 else "story", number, words="?")


def _section_beginning(line: str, number: int, problems: ProblemList) -> _Part:
    words, name = read_kind(line)
    if name is None or name == SectionKind.SECTION:
        return _Part("section", number, words=read_heading(words))
    if name not in _KINDS:
        known = ", ".join(f"{{{kind}}}" for kind in _KINDS)
        problems.must_fix(
            number,
            f"There is no kind of block named “{name}”; there are {known}. "
            "If these words belong to the heading, put a backslash before the brace.",
        )
        return _Part("section", number, words="?")
    return _Part("section", number, block=_KINDS[name], story=read_block_line(words))


def _read_title(parts: Sequence[_Part], envelope: Envelope, problems: ProblemList) -> None:
    """Take the title from an H1 above the sections, unless the front matter has it."""
    for index, part in enumerate(parts):
        if part.kind != "title":
            continue
        if index > 1:
            problems.must_fix(
                part.number, "A heading with one # is the title and stands once, at the top. Write ## or ### here."
            )
        elif envelope.values.setdefault("title", part.words) != part.words:
            problems.must_fix(part.number, "This title differs from the one in the front matter. Remove one of them.")
        else:
            envelope.lines.setdefault("title", part.number)


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
                problems.must_fix(
                    part.number, "A story stands before the first section. Put a line such as ## News above."
                )
            stories.append(_story(part, known_sources, problems))
        elif part.body(problems):
            problems.must_fix(
                part.number + 1, "Text stands before the first section. Put a line such as ## Welcome above it."
            )
    return tuple(sections)


def _section(part: _Part, stories: tuple[StoryContent, ...], problems: ProblemList) -> SectionContent:
    if part.block != SectionKind.SECTION:
        return _block_of(part, stories, problems)
    if not part.words.strip():
        problems.must_fix(part.number, "This section has no heading. Write words behind the ##.")
    _check(problems, part.number, "section heading", part.words)
    body = part.body(problems)
    if not body and not stories:
        problems.look_at(part.number, f"The section “{part.words}” is empty.")
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
    told_with_their_line = {fault for _, fault in body_faults(block.body)}
    for _, fault in section_faults(block):
        if fault not in told_with_their_line:
            problems.must_fix(part.number, fault)
    if part.story.has_hover_text:
        problems.look_at(part.number, _HOVER_TEXT)
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
        problems.look_at(part.number, _HOVER_TEXT)
    missing = [what for what in ("title", "url", "source", "body") if not getattr(story, what)]
    if missing:
        problems.look_at(part.number, f"The story “{story.title}” has {_listed(missing)} yet.")
    return story


def _source_and_text(part: _Part, known_sources: Sequence[str], problems: ProblemList) -> tuple[str, str]:
    """Source and text of a story typed on one line; what no known source decides is guessed and noted."""
    words = part.story.rest
    if not words or (len(words) <= _LONGEST_GUESSED_SOURCE and known_source(words, known_sources) is None):
        return unescape(words), ""
    split = split_source(words, known_sources)
    if split.guessed:
        problems.look_at(part.number, f"The source “{split.source}” was guessed: the first word behind the ·.")
    return split.source, split.text


def _check(problems: ProblemList, number: int, name: FieldName, value: str) -> None:
    for fault in field_faults(name, value):
        problems.must_fix(number, fault)


def _listed(missing: Sequence[str]) -> str:
    names = {"title": "no title", "url": "no link", "source": "no source", "body": "no text"}
    *first, last = [names[what] for what in missing]
    return f"{', '.join(first)} and {last}" if first else last


# Writing: the canonical form.


def _written_section(section: SectionContent) -> str:
    parts = [_written_part(_written_section_line(section), section.body, _begins_or_shows(section))]
    parts += [_written_part(_written_story_line(story), story.body, _begins_a_part) for story in section.stories]
    return "\n".join(parts)


def _written_section_line(section: SectionContent) -> str:
    line = f"## {write_section_line(section)}"
    return f"{line}\n{write_image_line(section.image, section.alt)}" if section.image or section.alt else line


def _written_story_line(story: StoryContent) -> str:
    line = write_story_line(story)
    return f"### {line}" if line else "###"


def _written_part(heading: str, body: str, means_something: Callable[[str], bool]) -> str:
    below = write_body(body, means_something=means_something)
    return f"{heading}\n{below}\n" if below else f"{heading}\n"


def _begins_or_shows(section: SectionContent) -> Callable[[str], bool]:
    """What means something in the body of a section: where it may have a picture, a line that shows one does, too."""
    if "image" not in FIELDS_OF_KIND[section.kind].fields:
        return _begins_a_part
    return lambda line: _begins_a_part(line) or read_image_line(line) is not None


def _begins_a_part(line: str) -> bool:
    return _HEADING.fullmatch(line) is not None or line.startswith("**[")
