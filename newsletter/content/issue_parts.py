"""The lines of an issue's file as parts, each a heading with the lines below it. Pure.

    lines ─► code fences, comments and definitions ─► parts ─► each definition in the parts that use it

Link definitions and footnotes count for the whole file, but each text of an issue stands alone: a definition is moved
to the texts that use it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from newsletter.config.translatable import translatable
from newsletter.content.body_notes import COMMENT, UNCLOSED, body_notes
from newsletter.content.document import SectionContent, SectionKind
from newsletter.content.fields import body_faults, section_faults
from newsletter.content.footnotes import Definition, find_definitions
from newsletter.content.lines import is_escaped, read_body, scan_lines, without_comments
from newsletter.content.markdown_parser import parse_markdown
from newsletter.content.problems import ProblemList
from newsletter.content.story_line import (
    StoryLine,
    StoryLineError,
    read_block_line,
    read_bold_story_line,
    read_heading,
    read_image_line,
    read_kind,
    read_linked_image_line,
    read_story_line,
    with_address,
)

_HEADING = re.compile(r"(#{1,3})(?:[ \t]+(.*)|[ \t]*)")
_KINDS = {kind.value: kind for kind in SectionKind}


@dataclass(slots=True)
class Part:
    """A heading with the lines below it, up to the next heading."""

    kind: Literal["start", "title", "section", "story", "text", "picture"]
    """`text` is what follows a heading without a link below a story, `picture` an image and the text after it."""
    number: int
    words: str = ""
    block: SectionKind = SectionKind.SECTION
    picture: SectionContent | None = None
    story: StoryLine = field(default_factory=lambda: StoryLine(title="", url="", rest=""))
    is_bold_line: bool = False
    links: tuple[str, ...] = ()
    """Addresses in the heading of a section."""
    lines: list[str] = field(default_factory=list)
    literal: list[bool] = field(default_factory=list)
    """For each line, whether it is in a code block or a comment."""
    numbers: list[int] = field(default_factory=list)
    """The number of each line in the file, from 1."""

    @property
    def may_have_headings(self) -> bool:
        """Whether headings without a link belong to its text, and images on a line of their own divide it."""
        is_text = self.kind == "section" and self.block in (SectionKind.SECTION, SectionKind.TEXT)
        return is_text or self.kind in ("start", "title", "text", "picture")

    def image(self, *, is_next_line: bool = False) -> tuple[str, str]:
        """Address and description of the image in the first line, which is removed; empty if there is none.

        With `is_next_line`, nothing may be between it and the heading, not even an empty line.
        """
        first = 0 if is_next_line else self._first_line()
        image = read_image_line(self.lines[first]) if first < len(self.lines) and not self.literal[first] else None
        if image:
            self.lines[first] = ""
        return image or ("", "")

    def pictures(self, problems: ProblemList) -> list[SectionContent]:
        """An image block for each image on a line of its own, which is removed from the lines."""
        found = []
        for at, (line, is_literal) in enumerate(zip(self.lines, self.literal, strict=True)):
            block = None if is_literal or "](" not in line else _picture(line)
            if block:
                self.lines[at] = ""
                found.append(block)
                problems.warn(
                    self.numbers[at], translatable("This image became an image block below the text that it is in.")
                )
        return found

    def text(self) -> str:
        """The text below the heading, unescaped."""
        return read_body(self.lines, self.literal)

    def body(self, problems: ProblemList) -> str:
        """The text below the heading; what is wrong with it, or not shown, is reported."""
        body, first = self.text(), self._first_line()
        for line, fault in body_faults(body):
            problems.error(self._number(first + line - 1), fault)
        for line, note in body_notes(body):
            problems.warn(self._number(first + line - 1), note)
        return body

    def _number(self, at: int) -> int:
        return self.numbers[min(at, len(self.numbers) - 1)] if self.numbers else self.number

    def _first_line(self) -> int:
        return next((index for index, line in enumerate(self.lines) if line.strip()), len(self.lines))


def read_parts(
    lines: Sequence[str], start: int, problems: ProblemList, *, divides_at_pictures: bool = True
) -> list[Part]:
    """The parts of a file whose front matter ends before line `start`, from 0.

    `divides_at_pictures`: whether an image on a line of its own begins a part, where texts may be divided.
    """
    below = lines[start:]
    scan = scan_lines(below, may_span=lambda line: not is_escaped(line) and not begins_a_part(line))
    for comment in scan.comments:
        problems.warn(start + comment.line + 1, COMMENT)
    for at, _ in scan.unclosed:
        if not is_escaped(below[at]):
            problems.error(start + at + 1, UNCLOSED)
    literal = scan.literal()
    definitions = find_definitions(
        below, [literal[at] or is_escaped(line) for at, line in enumerate(below)] if "]:" in "".join(below) else literal
    )
    in_headings: set[str] = set()
    targets = {one.key: one.text for one in reversed(definitions) if not one.is_footnote}
    parts = [Part("start", start)]
    for at, line in enumerate(below):
        number = start + at + 1
        part = None if literal[at] else _part_beginning(line, number, problems, targets, in_headings)
        may_be_picture = divides_at_pictures and not literal[at] and "](" in line
        if part is None and may_be_picture and parts[-1].may_have_headings:
            part = _picture_part(line, number, problems)
        if part and part.kind == "text" and parts[-1].may_have_headings:
            part, line = None, f"#{line}"
        if part:
            parts.append(part)
            if part.kind != "text":
                continue
            line = f"#{line}"
        parts[-1].lines.append(line)
        parts[-1].literal.append(literal[at])
        parts[-1].numbers.append(number)
        if scan.fenced[at] and line.startswith("## "):
            sentence = translatable("This looks like a section, but it is in a code block between ``` or ~~~.")
            problems.warn(number, sentence)
    if definitions:
        _share(parts, definitions, start, below, in_headings)
    return parts


def begins_a_part(line: str) -> bool:
    """Whether the line may be the heading of a part."""
    return _HEADING.fullmatch(line) is not None or line.startswith("**[")


def is_picture(line: str) -> bool:
    """Whether the line is an image and nothing else."""
    return read_image_line(line) is not None or read_linked_image_line(line) is not None


def shared_keys(bodies: Sequence[str]) -> set[str]:
    """The keys of definitions that one of the bodies has and another one, without a definition, would use."""
    if not any("]:" in body for body in bodies):
        return set()
    parsed = [parse_markdown(body, as_written=True) for body in bodies]
    defined = {one.key for body in bodies for one in definitions_in(body)}
    return defined & {key for one in parsed for key in one.missing}


def definitions_in(body: str) -> list[Definition]:
    """The definitions in a body, as the parser of files finds them."""
    lines = body.split("\n")
    return find_definitions(lines, scan_lines(lines).literal()) if "]:" in body else []


def _part_beginning(
    line: str, number: int, problems: ProblemList, targets: Mapping[str, str], used: set[str]
) -> Part | None:
    shown = without_comments(line).text if "<!--" in line and begins_a_part(line) else line
    if bold := read_bold_story_line(shown):
        return Part("story", number, story=bold, is_bold_line=True)
    heading = _HEADING.fullmatch(shown)
    if heading is None:
        return None
    words = heading[2] or ""
    try:
        if len(heading[1]) == 3:
            with_target, key = with_address(words, targets)
            story = read_story_line(with_target)
            if story.title and not (story.url or story.rest or story.is_link):
                return Part("text", number)
            used.add(key)
            return Part("story", number, story=story)
        used.update(_keys_in(words, targets))
        if len(heading[1]) == 1:
            title, links = read_heading(words, targets)
            return Part("title", number, words=title, links=links)
        return _section_beginning(words, number, problems, targets)
    except StoryLineError as error:
        problems.error(number, error.args[0])
        return Part("section" if len(heading[1]) == 2 else "story", number, words="?")


def _keys_in(words: str, targets: Mapping[str, str]) -> set[str]:
    """The keys of the definitions that a heading uses."""
    parsed = parse_markdown(words, as_written=True) if targets and "[" in words else None
    return parsed.missing & set(targets) if parsed else set()


def _section_beginning(line: str, number: int, problems: ProblemList, targets: Mapping[str, str]) -> Part:
    words, name = read_kind(line)
    if name is None or name == SectionKind.SECTION:
        title, links = read_heading(words, targets)
        return Part("section", number, words=title, links=links)
    if name not in _KINDS:
        sentence = translatable(
            "There is no block of the kind “{kind}”. The kinds are {kinds}. If the braces belong to the heading, put a "
            "backslash before the first one.",
            kind=name,
            kinds=", ".join(f"{{{kind}}}" for kind in _KINDS),
        )
        problems.error(number, sentence)
        return Part("section", number, words="?")
    return Part("section", number, block=_KINDS[name], story=read_block_line(with_address(words, targets)[0]))


def _picture(line: str) -> SectionContent | None:
    """The image block of a line; None if the line is no image, or lacks what an image block needs."""
    linked = read_linked_image_line(line)
    image = read_image_line(line)
    if linked is None and image is None:
        return None
    address, description, target = linked or (*(image or ("", "")), "")
    block = SectionContent(kind=SectionKind.IMAGE, image=address, alt=description, url=target)
    return None if any(section_faults(block)) else block


def _picture_part(line: str, number: int, problems: ProblemList) -> Part | None:
    block = _picture(line)
    if block is None:
        return None
    problems.warn(number, translatable("This image became an image block between the texts around it."))
    return Part("picture", number, picture=block)


def _share(
    parts: Sequence[Part], definitions: Sequence[Definition], start: int, below: Sequence[str], in_headings: set[str]
) -> None:
    """Copy each definition to the parts that use it and have none, and remove it from where it is not used."""
    first = {one.key: one for one in reversed(definitions)}
    parsed = [parse_markdown(part.text(), as_written=True) for part in parts]
    wanted = [_wanted(one.missing & set(first), first) for one in parsed]
    moved = set().union(*wanted) | in_headings
    for part, one, keys in zip(parts, parsed, wanted, strict=True):
        kept = {*one.used, *keys}
        gone = {
            start + at + 1 for key in moved - kept if key in first for at in range(first[key].first, first[key].end)
        }
        _keep_lines(part, lambda at, part=part, gone=gone: part.numbers[at] not in gone)  # type: ignore[misc]
        for key in sorted(keys, key=lambda key: first[key].first):
            numbers = range(first[key].first, first[key].end)
            added = [below[at] for at in numbers]
            if part.lines and part.lines[-1].strip():
                added.insert(0, "")
            part.lines += added
            part.literal += [False] * len(added)
            part.numbers += [start + numbers[-1] + 1] * (len(added) - len(numbers)) + [start + at + 1 for at in numbers]


def _wanted(keys: set[str], first: Mapping[str, Definition]) -> set[str]:
    """The keys, and those that their footnotes use in turn."""
    waiting, found = list(keys), set(keys)
    while waiting:
        definition = first[waiting.pop()]
        if definition.is_footnote:
            more = (parse_markdown(definition.text, as_written=True).missing & set(first)) - found
            found |= more
            waiting += more
    return found


def _keep_lines(part: Part, is_kept: Callable[[int], bool]) -> None:
    kept = [at for at in range(len(part.lines)) if is_kept(at)]
    part.lines = [part.lines[at] for at in kept]
    part.literal = [part.literal[at] for at in kept]
    part.numbers = [part.numbers[at] for at in kept]
