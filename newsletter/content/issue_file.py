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
    ![What the picture of the story shows](https://pictures.example/y.jpg)
    Text of a story. Its picture is on the line right below the heading; other images become blocks.

    ## · Ada {quote}
    A quotation of hers. The line of a block ends with its kind in braces.

    ## {image}
    ![What the image shows](https://pictures.example/x.png)
    The caption.

Text above the first `##` is a text block without a heading, as is `## {text}`. A `###` heading with neither a link nor
a source is a heading within the text, and one below a story begins a text block.

The parser also accepts the title as an H1, stories as `**[Title](address)** · Source` with their text on the same or
the next line, ` by Ada` or text after the link of a story, a missing slug, subject or date (the title may end with it),
headings over a line of === or --- if the front matter has no title, CRLF and a byte order mark.

`read_issue_file(write_issue_file(x)).content == x` for every content that can be stored. Lines of a body that the
parser would take for structure are escaped with a backslash and a space (`\ ## Not a section`), as are blank lines at
a body's ends; the parser removes the escapes. Lines within a closed code fence are never structure and are written
as they are. Levels #### and deeper are ordinary headings of a body.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

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
    story_picture_faults,
)
from newsletter.content.front_matter import read_front_matter, write_front_matter
from newsletter.content.headings import with_hashes
from newsletter.content.issue_parts import Part, begins_a_part, definitions_in, is_picture, read_parts, shared_keys
from newsletter.content.lines import is_blank, text_lines, without_comments, write_body
from newsletter.content.problems import IssueFileError, ParsedIssue, Problem, ProblemList, listed
from newsletter.content.story_line import (
    known_source,
    read_words,
    split_source,
    write_image_line,
    write_section_line,
    write_story_line,
)

_LONGEST_GUESSED_SOURCE = 40
_STORY_LABELS = {
    "title": FIELD_LABELS["title"],
    "url": FIELD_LABELS["link"],
    "source": FIELD_LABELS["source"],
    "body": FIELD_LABELS["text"],
}
_HOVER_TEXT = translatable("The link title in quotes was ignored: mail programs do not show it.")


def read_issue_file(text: str, *, known_sources: Iterable[str] = ()) -> ParsedIssue:
    """Parse a Markdown issue file.

    `known_sources` matter only for stories on one line, where nothing separates source and text. Raises
    IssueFileError with every problem of the file.
    """
    problems = ProblemList()
    lines = text_lines(text)
    details, start = read_front_matter(lines, problems)
    if "title" not in details.lines:
        lines[start:] = with_hashes(lines[start:])
    parts = read_parts(lines, start, problems)
    _read_title(parts, details, problems)
    sections = _read_sections(parts, tuple(known_sources), problems)
    return finish_issue(details, sections, problems)


def write_issue_file(content: IssueContent) -> str:
    """Write `content` in the canonical form.

    The result is parsed again and compared. Raises IssueFileError if `content` cannot be represented, for example a
    control character in a body or a story link that is not a web address.
    """
    bodies = [text for section in content.sections for text in (section.body, *(one.body for one in section.stories))]
    shared = shared_keys(bodies)
    sections = (_written_section(section, shared, is_first=not at) for at, section in enumerate(content.sections))
    text = "\n".join([write_front_matter(content), *sections])
    if read_issue_file(text).content != content:
        sentence = translatable("This issue cannot be exported as a file without changing it.")
        raise IssueFileError([Problem(1, sentence)])
    return text


# Parsing: parts become the issue.


def _read_title(parts: Sequence[Part], details: IssueDetails, problems: ProblemList) -> None:
    """Take the title from an H1 above the sections unless the front matter has one."""
    for index, part in enumerate(parts):
        if part.kind != "title":
            continue
        if any(before.kind not in ("start", "picture") for before in parts[:index]):
            sentence = translatable("Only the title at the top has one #. Write ## or ### here.")
            problems.error(part.number, sentence)
        elif details.values.setdefault("title", part.words) != part.words:
            sentence = translatable("This title differs from the one in the front matter. Remove one of them.")
            problems.error(part.number, sentence)
        else:
            details.lines.setdefault("title", part.number)


def _read_sections(
    parts: Sequence[Part], known_sources: Sequence[str], problems: ProblemList
) -> tuple[SectionContent, ...]:
    sections: list[SectionContent] = []
    begun: dict[int, int] = {}  # the line of each section
    for part in parts:
        if part.kind == "story":
            image, alt = part.image(is_next_line=True)
            pictures = part.pictures(problems)
            if not sections:
                sections.append(SectionContent(kind=SectionKind.TEXT))
            story = replace(_story(part, known_sources, problems), image=image, alt=alt)
            for fault in story_picture_faults(image, alt):
                problems.error(part.number, fault)
            sections[-1] = replace(sections[-1], stories=(*sections[-1].stories, story))
            sections += pictures
            continue
        if part.kind == "section":
            begun[len(sections)] = part.number
        sections += _section_and_pictures(part, problems) if part.kind == "section" else _text_of(part, problems)
    for number, (section, after) in enumerate(zip(sections, [*sections, None][1:], strict=True)):
        if number in begun and _is_empty_text(section):
            problems.error(begun[number], next(fault for _, fault in section_faults(section)))
        _note_empty(section, after, parts, problems)
    return tuple(section for section in sections if not _is_empty_text(section))


def _is_empty_text(section: SectionContent) -> bool:
    """Whether it is a text block of comments only; one without text may hold stories."""
    return section.kind is SectionKind.TEXT and is_blank(section.body) and not section.stories


def _text_of(part: Part, problems: ProblemList) -> Iterator[SectionContent]:
    """The text outside all sections, which is a text block; and the image before it."""
    if part.picture:
        yield part.picture
    if body := part.body(problems):
        yield SectionContent(kind=SectionKind.TEXT, body=body)


def _section_and_pictures(part: Part, problems: ProblemList) -> Iterator[SectionContent]:
    pictures = part.pictures(problems) if "image" not in FIELDS_OF_KIND[part.block].fields else []
    yield _section(part, problems)
    yield from pictures


def _section(part: Part, problems: ProblemList) -> SectionContent:
    if part.block != SectionKind.SECTION:
        return _block_of(part, problems)
    if not part.words.strip():
        problems.error(part.number, translatable("This section has no heading. Write one after the ##."))
    _check(problems, part.number, "section heading", part.words)
    _note_links(problems, part.number, part.links)
    return SectionContent(title=part.words, body=part.body(problems))


def _block_of(part: Part, problems: ProblemList) -> SectionContent:
    has_image = "image" in FIELDS_OF_KIND[part.block].fields
    image, alt = part.image() if has_image else ("", "")
    source, links = read_words(part.story.rest)
    block = SectionContent(
        kind=part.block,
        title=part.story.title,
        body=part.body(problems),
        url=part.story.url,
        source=source,
        image=image,
        alt=alt,
    )
    _note_links(problems, part.number, (*part.story.other_links, *links))
    reported_with_line = {fault for _, fault in body_faults(block.body)}
    may_be_empty = block.kind is SectionKind.TEXT and is_blank(block.body)  # if stories follow
    for _, fault in () if may_be_empty else section_faults(block):
        if fault not in reported_with_line:
            problems.error(part.number, fault)
    if part.story.has_hover_text:
        problems.warn(part.number, _HOVER_TEXT)
    return block


def _story(part: Part, known_sources: Sequence[str], problems: ProblemList) -> StoryContent:
    (source, links), body = read_words(part.story.rest), part.body(problems)
    body = "\n\n".join(text for text in (part.story.after, body) if text)
    if part.is_bold_line and not body:
        source, body, links = _source_and_text(part, known_sources, problems)
    story = StoryContent(title=part.story.title, url=part.story.url, source=source, body=body)
    _check(problems, part.number, "story title", story.title)
    _check(problems, part.number, "source", story.source)
    _check(problems, part.number, "link", story.url)
    if part.story.has_hover_text:
        problems.warn(part.number, _HOVER_TEXT)
    _note_links(problems, part.number, (*part.story.other_links, *links))
    shown = replace(story, body=without_comments(body).text.strip())
    if missing := [label for field, label in _STORY_LABELS.items() if not getattr(shown, field)]:
        sentence = translatable(
            "The story “{title}” is incomplete. Missing: {fields}.", title=story.title, fields=listed(missing)
        )
        problems.warn(part.number, sentence)
    return story


def _source_and_text(
    part: Part, known_sources: Sequence[str], problems: ProblemList
) -> tuple[str, str, tuple[str, ...]]:
    """Source and text of a story on one line; without a known source, the source is guessed with a warning."""
    words = part.story.rest
    if not words or (len(words) <= _LONGEST_GUESSED_SOURCE and known_source(words, known_sources) is None):
        source, links = read_words(words)
        return source, "", links
    split = split_source(words, known_sources)
    if split.guessed:
        sentence = translatable("The source “{source}” was guessed: the first word after the “·”.", source=split.source)
        problems.warn(part.number, sentence)
    return split.source, split.text, ()


def _note_links(problems: ProblemList, number: int, addresses: Sequence[str]) -> None:
    for address in addresses:
        sentence = translatable(
            "The link to {url} was left out: headings and sources have none. Put it into the text.", url=address
        )
        problems.warn(number, sentence)


def _note_empty(
    section: SectionContent, after: SectionContent | None, parts: Sequence[Part], problems: ProblemList
) -> None:
    """A section with neither text nor stories; an image below it is its content."""
    is_filled = section.body or section.stories or (after and after.kind == SectionKind.IMAGE)
    if section.kind != SectionKind.SECTION or is_filled:
        return
    number = next((part.number for part in parts if part.kind == "section" and part.words == section.title), 1)
    problems.warn(number, translatable("The section “{title}” is empty.", title=section.title))


def _check(problems: ProblemList, number: int, name: FieldName, value: str) -> None:
    for fault in field_faults(name, value):
        problems.error(number, fault)


# Writing: the canonical form.


def _written_section(section: SectionContent, shared: set[str], *, is_first: bool) -> str:
    heading = "" if is_first and section.kind is SectionKind.TEXT else _written_section_line(section)
    parts = [_written_part(heading, section.body, shared)] if heading or section.body else []
    parts += [
        _written_part(_with_image_line(_written_story_line(story), story), story.body, shared)
        for story in section.stories
    ]
    return "\n".join(parts)


def _written_section_line(section: SectionContent) -> str:
    return _with_image_line(f"## {write_section_line(section)}", section)


def _with_image_line(line: str, part: SectionContent | StoryContent) -> str:
    if not (part.image or part.alt):
        return line
    # A definition directly below the image would be part of its paragraph.
    gap = "\n" if part.body.lstrip(" ").startswith("[") else ""
    return f"{line}\n{write_image_line(part.image, part.alt)}{gap}"


def _written_story_line(story: StoryContent) -> str:
    line = write_story_line(story)
    return f"### {line}" if line else "###"


def _written_part(heading: str, body: str, shared: set[str]) -> str:
    below = write_body(body, is_structure=_structure_test(body, shared))
    return "\n".join([*filter(None, (heading, below)), ""])


def _structure_test(body: str, shared: set[str]) -> Callable[[str], bool]:
    """What the parser takes for structure: headings, images, and definitions that other texts would use."""
    lines = body.split("\n")
    definitions = {lines[one.first] for one in definitions_in(body) if one.key in shared} if shared else set()
    return lambda line: begins_a_part(line) or is_picture(line) or line in definitions
