"""Markdown of a past issue as its sections, stories and pictures, however it is divided. Pure.

    headings at their levels ─► the parser of issue files ─► a text, picture or story for each part, in order

A heading of level 1 or 2 begins a section, and one that is a link begins a story. All other headings stay in the text.
A title repeated above the text is left out. Every other word stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from newsletter.config.translatable import translatable, translatable_plural
from newsletter.content.archives.item import ArchiveNote
from newsletter.content.body_notes import body_notes
from newsletter.content.document import SectionContent, SectionKind, StoryContent
from newsletter.content.fields import LIMITS, MAX_TEXT, body_faults, field_faults, section_faults
from newsletter.content.footnotes import find_definitions
from newsletter.content.html_text import one_line, shortened
from newsletter.content.html_tree import NOT_SHOWN
from newsletter.content.issue_parts import Part, read_parts
from newsletter.content.lines import is_blank, is_escaped, read_body, scan_lines, text_lines, without_comments
from newsletter.content.markdown import plain_words
from newsletter.content.markdown_parser import parse_markdown
from newsletter.content.merge_faults import without_merge_fields
from newsletter.content.problems import ProblemList
from newsletter.content.story_line import (
    StoryLineError,
    read_image_line,
    read_linked_image_line,
    read_story_line,
    read_words,
    with_address,
    write_heading,
    write_story_line,
)

_HEADING = re.compile(r"(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*")
_SETEXT = re.compile(r" {0,3}(=+|-{3,})[ \t]*")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_NAMELESS = re.compile(r"!\[\]\((?P<url>[^()\s]+)\)")
_BRACE = re.compile(r"(?<!\\)\{")
_MERGE_TAG = re.compile(r"(?<!\\)\*\|")
_IMAGES = re.compile(r"(?:\[?!\[(?:\\.|[^\\\[\]])*\]\([^()\s]+\)(?:\]\([^()\s]+\))?[ \t]*){2,}")
_ONE_IMAGE = re.compile(r"\[!\[(?:\\.|[^\\\[\]])*\]\([^()\s]+\)\]\([^()\s]+\)|!\[(?:\\.|[^\\\[\]])*\]\([^()\s]+\)")
_LONGEST_SOURCE = 40


@dataclass(slots=True)
class IssueParts:
    """The parts of an issue in reading order, and what was changed or left out."""

    sections: list[SectionContent] = field(default_factory=list)
    notes: list[ArchiveNote] = field(default_factory=list)
    pictures: int = 0
    """Pictures that got the title as their description."""
    in_headings: set[str] = field(default_factory=set)
    """Keys of definitions that headings use, which stand in their lines."""

    def add_text(self, text: str) -> None:
        """A text block, or several if it is too long."""
        self.sections += [SectionContent(kind=SectionKind.TEXT, body=piece) for piece in _pieces(_safe_body(text))]

    def add_story(self, story: StoryContent) -> None:
        """A story of the last part."""
        if not self.sections:
            self.sections.append(SectionContent(kind=SectionKind.TEXT))
        last = self.sections[-1]
        self.sections[-1] = replace(last, stories=(*last.stories, story))


def sections_of(markdown: str, *, title: str, has_comments: bool = False) -> IssueParts:
    """The parts of `markdown`. `has_comments`: whether it was written by hand, so that comments in it are left out.

    Never raises. `title` is that of the issue; it describes pictures that have no description.
    """
    made = IssueParts()
    text = _CONTROLS.sub("", NOT_SHOWN.sub("", markdown.replace("\t", "    ").replace("\r\n", "\n")))
    lines = _levelled(text_lines(text), title, made)
    problems = ProblemList()
    for part in read_parts(lines, 0, problems):
        _add_part(part, title, made)
    _without_rules_at_ends(made.sections)
    if has_comments:
        _note_comments(text, made)
        _note_texts(made)
    if made.pictures:
        sentence = translatable_plural(
            "One picture has no description. The title of the issue describes it.",
            "{count} pictures have no description. The title of the issue describes them.",
            count=made.pictures,
        )
        made.notes.append(ArchiveNote(sentence))
    return made


def _levelled(lines: Sequence[str], title: str, made: IssueParts) -> list[str]:
    """The lines with headings as the parser of issue files wants them."""
    literal = scan_lines(lines).literal()
    definitions = find_definitions(lines, literal)
    targets = {one.key: one.text for one in reversed(definitions) if not one.is_footnote}
    written: list[str] = []
    headings = " ".join(line for line in lines if line.startswith("#")) if targets else ""
    made.in_headings = parse_markdown(headings, as_written=True).missing & set(targets) if headings else set()
    is_first, skip = True, False
    for at, line in enumerate(lines):
        if skip:
            skip = False
            written.append("")
            continue
        underlined = _underlined(lines, literal, at)
        heading = None if literal[at] else (underlined or _HEADING.fullmatch(line))
        if heading is None:
            is_marked = not literal[at] and (line.startswith("**[") or is_escaped(line) or _is_bare_hash(line))
            written.append(f"\\ {line}" if is_marked and line.strip() else line)
            continue
        level, words = (len(heading[1]), heading[2] or "") if isinstance(heading, re.Match) else heading
        skip = underlined is not None
        is_title = is_first and level <= 2 and _same(words, title)
        is_first = False
        written.append("" if is_title else _heading(level, words, targets, at + 1, made))
    return written


def _is_bare_hash(line: str) -> bool:
    return re.fullmatch(r"#{1,3}[ \t]*", line) is not None


def _underlined(lines: Sequence[str], literal: Sequence[bool], at: int) -> tuple[int, str] | None:
    """Level and words of a heading that is underlined in the next line."""
    line = lines[at]
    if at + 1 >= len(lines) or literal[at] or literal[at + 1] or (at and lines[at - 1].strip()):
        return None
    mark = _SETEXT.fullmatch(lines[at + 1])
    is_text = bool(line.strip()) and not line.startswith((" ", ">", "-", "#", "*", "+", "|", "`", "~", "<", "["))
    return (1 if mark[1][0] == "=" else 2, line.strip()) if mark and is_text else None


def _heading(level: int, words: str, targets: Mapping[str, str], number: int, made: IssueParts) -> str:
    """The line of a heading: that of a section, of a story, or of a heading in a text."""
    if level <= 3 and (story := _story_heading(words, targets)):
        return story
    if level <= 2:
        plain, links = plain_words(words, targets)
        plain = without_merge_fields(one_line(plain))
        if plain and not any(field_faults("section heading", plain)):
            _note_links(links, number, made)
            return f"## {write_heading(plain)}"
    return f"{'#' * max(4, level)} {words}" if words.strip() else ""


def _story_heading(words: str, targets: Mapping[str, str]) -> str:
    """The line of a story; empty if the heading does not have exactly one web link."""
    words = with_address(words, targets)[0]
    plain, links = plain_words(words, targets)
    if len(set(links)) != 1 or any(field_faults("link", links[0])):
        return ""
    title, source = without_merge_fields(one_line(plain)), ""
    try:
        line = read_story_line(words)
        named = one_line(read_words(line.rest)[0])
        if line.url == links[0] and not line.other_links and 0 < len(named) <= _LONGEST_SOURCE:
            title, source = without_merge_fields(one_line(line.title)), without_merge_fields(named)
    except StoryLineError:
        pass  # words after the link are part of the title
    if not title or any(field_faults("story title", title)) or any(field_faults("source", source)):
        return ""
    return f"### {write_story_line(StoryContent(title=title, url=links[0], source=source))}"


def _same(words: str, title: str) -> bool:
    return bool(title) and one_line(plain_words(words, {})[0]).casefold() == one_line(title).casefold()


def _note_links(links: Sequence[str], number: int, made: IssueParts) -> None:
    for url in links:
        sentence = translatable("The link to {url} was left out: the heading of a section has none.", url=url)
        made.notes.append(ArchiveNote(sentence, number))


def _without_rules_at_ends(sections: list[SectionContent]) -> None:
    """Lines across the page above all and below all text separate it from nothing."""
    if sections and not sections[-1].stories:
        sections[-1] = replace(sections[-1], body=re.sub(r"(?:(?:\A|\n\n)---)+\Z", "", sections[-1].body))
    if sections:
        sections[0] = replace(sections[0], body=re.sub(r"\A(?:---\n\n)+", "", sections[0].body))
    sections[:] = [one for one in sections if one.kind != SectionKind.TEXT or one.body.strip() or one.stories]


# Parts become sections.


def _add_part(part: Part, title: str, made: IssueParts) -> None:
    definitions = _taken_definitions(part)
    first, *pieces = _with_definitions(list(_pieces_of(part, title, made)), definitions, made.in_headings)
    text, *more = _pieces(_safe_body(str(first))) or [""]
    if part.kind in ("section", "title"):
        made.sections.append(SectionContent(title=part.words, body=text))
    elif part.kind == "story":
        line = part.story
        source = read_words(line.rest)[0]
        made.add_story(StoryContent(title=line.title, url=line.url, source=source, body=text))
    elif text:
        made.add_text(text)
    for body in more:
        made.add_text(body)
    for piece in pieces:
        if isinstance(piece, SectionContent):
            made.sections.append(piece)
        else:
            made.add_text(piece)


def _taken_definitions(part: Part) -> dict[str, str]:
    """The link definitions and footnotes of a part, by key, which are removed from its lines."""
    if not any("]:" in line for line in part.lines):
        return {}
    is_free = [is_literal or is_escaped(line) for line, is_literal in zip(part.lines, part.literal, strict=True)]
    found: dict[str, str] = {}
    for one in find_definitions(part.lines, is_free):
        found.setdefault(one.key, read_body(part.lines[one.first : one.end], part.literal[one.first : one.end]))
        for at in range(one.first, one.end):
            part.lines[at] = ""
    return found


def _with_definitions(
    pieces: list[str | SectionContent], definitions: Mapping[str, str], in_headings: Set[str]
) -> list[str | SectionContent]:
    """Each text with the definitions that it uses; the last text gets those that no text uses."""
    unused = {key: text for key, text in definitions.items() if key not in in_headings}
    for at, piece in enumerate(pieces if definitions else []):
        if not isinstance(piece, str):
            continue
        wanted = _used_in(piece, definitions)
        pieces[at] = "\n\n".join([piece, *(definitions[key] for key in definitions if key in wanted)])
        unused = {key: text for key, text in unused.items() if key not in wanted}
    if unused:
        last = max(at for at, piece in enumerate(pieces) if isinstance(piece, str))
        pieces[last] = "\n\n".join([str(pieces[last]), *unused.values()])
    return pieces


def _used_in(text: str, definitions: Mapping[str, str]) -> set[str]:
    """The keys that a text uses, and those that its footnotes use."""
    found: set[str] = set()
    waiting = [text]
    while waiting:
        new = parse_markdown(waiting.pop(), as_written=True).missing & set(definitions) - found
        found |= new
        waiting += [definitions[key].partition("]:")[2] for key in new if key.startswith("^")]
    return found


def _pieces_of(part: Part, title: str, made: IssueParts) -> Iterator[str | SectionContent]:
    """The texts and pictures of a part, in order; the first one is a text, which may be empty."""
    start = at = 0
    while at < len(part.lines):
        blocks, end = ([], at + 1) if part.literal[at] else _pictures(part, at, title, made)
        if blocks:
            text = read_body(part.lines[start:at], part.literal[start:at])
            if text or start == 0:
                yield text
            yield from blocks
            start = end
        at = end if blocks else at + 1
    text = read_body(part.lines[start:], part.literal[start:])
    if text or start == 0:
        yield text


def _pictures(part: Part, at: int, title: str, made: IssueParts) -> tuple[list[SectionContent], int]:
    """The picture blocks of the line, with the caption in the lines that continue it, and where they end."""
    line = part.lines[at]
    is_start = at == 0 or not part.lines[at - 1].strip()
    if "](" not in line or "![" not in line or not is_start:
        return [], at + 1
    has_caption = line.endswith("\\")
    line = line.removesuffix("\\").rstrip()
    end = at + 1
    while end < len(part.lines) and part.lines[end].strip() and not part.literal[end]:
        end += 1
    if not has_caption and end > at + 1:
        return [], at + 1
    found = _ONE_IMAGE.findall(line) if _IMAGES.fullmatch(line) else [line]
    caption = read_body(part.lines[at + 1 : end], part.literal[at + 1 : end])
    blocks = [_picture(one, caption if one is found[-1] else "", title, made) for one in found]
    return [block for block in blocks if block], end if all(blocks) else at + 1


def _picture(line: str, caption: str, title: str, made: IssueParts) -> SectionContent | None:
    linked, image = read_linked_image_line(line), read_image_line(line)
    if linked is None and image is None:
        return None
    address, words, target = linked or (*(image or ("", "")), "")
    address = re.sub(r"(?i)^http://", "https://", address)
    target = "" if re.sub(r"(?i)^http://", "https://", target) == address else target
    words = without_merge_fields(one_line(words))
    alt = words or without_merge_fields(one_line(plain_words(" ".join(caption.split()), {})[0]))
    if len(words) > LIMITS["description"]:
        caption = f"{caption}\n\n{_safe_body(words)}".strip()
    block = SectionContent(
        kind=SectionKind.IMAGE,
        image=address,
        alt=shortened(alt or one_line(title) or "…", LIMITS["description"]),
        body=_safe_body(caption),
        url=target,
    )
    if any(section_faults(block)):
        return None
    made.pictures += not alt
    return block


# Texts


def _safe_body(text: str) -> str:
    """A text without what bodies must not have: braces that would be filled are escaped.

    A picture within running text is shown as its description, so that one without gets the name of its file.
    """
    text = _NAMELESS.sub(lambda found: f"![{_file_name(found['url'])}]({found['url']})", text)
    if is_blank(text) or not ("{" in text or "*|" in text):
        return text.strip("\n")
    lines = text.split("\n")
    for number, _ in [one for piece in [text] if len(piece) <= MAX_TEXT for one in body_faults(piece)]:
        line = _MERGE_TAG.sub(r"\\*|", _BRACE.sub(r"\\{", lines[number - 1]))
        lines[number - 1] = re.sub(r"(\]\(<?)([^()\s]*)", lambda found: found[1] + _encoded(found[2]), line)
    safe = "\n".join(lines).strip("\n")
    if len(safe) <= MAX_TEXT and any(body_faults(safe)):
        return (
            "".join({"{": "(", "}": ")"}.get(letter, letter) for letter in safe).replace("*|", "(").replace("|*", ")")
        )
    return safe


def _file_name(url: str) -> str:
    return re.sub(r"[^\w .-]", " ", unquote(url.partition("?")[0].rstrip("/").rsplit("/", 1)[-1])).strip() or "…"


def _encoded(url: str) -> str:
    return url.replace("\\{", "{").replace("{", "%7B").replace("}", "%7D").replace("|", "%7C")


def _pieces(text: str) -> list[str]:
    """A text in pieces that can be stored, cut between paragraphs, lines or words."""
    if is_blank(text):
        return []
    if len(text) <= MAX_TEXT:
        return [text]
    for mark in ("\n\n", "\n", " ", ""):
        cut = text.rfind(mark, 1, MAX_TEXT) if mark else MAX_TEXT
        if cut > 0:
            return [*_pieces(text[:cut].strip("\n")), *_pieces(text[cut:].strip("\n"))]
    return []


def _note_comments(text: str, made: IssueParts) -> None:
    comments = len(scan_lines(text.split("\n")).comments) if "<!--" in text else 0
    if comments:
        sentence = translatable_plural("One comment was left out.", "{count} comments were left out.", count=comments)
        made.notes.append(ArchiveNote(sentence))


def _note_texts(made: IssueParts) -> None:
    """Remove comments, which are notes of the editors, and say what is shown in another form."""
    for at, section in enumerate(made.sections):
        stories = tuple(replace(story, body=without_comments(story.body).text.strip("\n")) for story in section.stories)
        body = without_comments(section.body).text.strip("\n")
        made.sections[at] = replace(section, body=body, stories=stories)
        for text in (body, *(story.body for story in stories)):
            made.notes += [ArchiveNote(sentence) for _, sentence in body_notes(text)]
    made.sections = [one for one in made.sections if one.kind != SectionKind.TEXT or one.body.strip() or one.stories]
