"""Past issues made to fit the fields of issues here, with a note for everything that had to change. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from newsletter.config.translatable import translatable
from newsletter.content.archives.item import ArchiveNote
from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.fields import (
    FIELD_LABELS,
    FIELDS_OF_KIND,
    LIMITS,
    MAX_TEXT,
    FieldName,
    body_faults,
    field_faults,
    section_faults,
    slug_from,
)
from newsletter.content.html_text import one_line, shortened
from newsletter.content.merge_faults import without_merge_fields
from newsletter.content.plain_text import plain_to_markdown

_URL = re.compile(r"https?://[^\s<>\"'`]+")
_UTM = re.compile(r"([?&])(?:utm_\w+(?:=[^&#\s()\[\]]*)?(&amp;|&|(?![^#\s()\[\]])))+", re.IGNORECASE)
_NOT_IN_A_BODY = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_BRACES = str.maketrans("{}", "()")
_MANY_LINES = 3
"""Attempts to mend the braces of a text."""


@dataclass(slots=True)
class _Notes:
    found: list[ArchiveNote] = field(default_factory=list)

    def add(self, sentence: str) -> None:
        self.found.append(ArchiveNote(sentence))


def without_utm(text: str) -> str:
    """`text` with the utm_ parameters removed from its web addresses."""
    if "utm_" not in text.lower():
        return text
    return _URL.sub(lambda url: _UTM.sub(_other_parameters, url[0]), text)


def _other_parameters(found: re.Match[str]) -> str:
    return found[1] if found[2] else ""


def content_without_utm(content: IssueContent) -> IssueContent:
    """`content` with the utm_ parameters removed from all its links."""
    sections = tuple(
        replace(
            section,
            url=without_utm(section.url),
            body=without_utm(section.body),
            stories=tuple(
                replace(story, url=without_utm(story.url), body=without_utm(story.body)) for story in section.stories
            ),
        )
        for section in content.sections
    )
    return replace(content, sections=sections)


def fit(content: IssueContent) -> tuple[IssueContent, tuple[ArchiveNote, ...]]:
    """`content` within the rules of its fields, and what was done for that.

    What is too long for a field is shortened there and kept whole in the text. The result may still have faults, which
    `content_faults` names: such an issue is not imported.
    """
    notes = _Notes()
    title = _line("title", content.title, notes)
    if not title:
        title = content.date.isoformat() if content.date.year > 1970 else content.slug
        notes.add(translatable("There is no title. “{title}” was used.", title=title))
    preheader = _line("preheader", content.preheader, notes)
    sections: list[SectionContent] = []
    for section in content.sections:
        sections += _fit_section(section, title, notes)
    lost = [
        words
        for whole, kept in ((content.title, title), (content.preheader, preheader))
        if (words := one_line(whole)) and len(words) > len(kept)
    ]
    if lost:
        sections = _with_lead(sections, "\n\n".join(plain_to_markdown(words) for words in lost))
    fitted = replace(
        content,
        title=title,
        slug=_slug(content, title),
        subject=_line("subject", content.subject, notes) or title,
        preheader=preheader,
        categories=_categories(content.categories, notes),
        sections=tuple(sections),
    )
    return fitted, tuple(notes.found)


def _line(name: FieldName, value: str, notes: _Notes) -> str:
    """A field of one line within its limit, without hidden characters or merge fields."""
    words = without_merge_fields(one_line(value))
    if len(words) > LIMITS[name]:
        notes.add(
            translatable(
                "“{field}” was shortened to {limit} characters. It was: {text}",
                field=FIELD_LABELS[name],
                limit=LIMITS[name],
                text=words,
            )
        )
        words = shortened(words, LIMITS[name])
    return words


def _slug(content: IssueContent, title: str) -> str:
    """The slug of the source if it can be one here, else one made of it, of the title or of the date."""
    slug = content.slug.strip()
    if slug and not any(field_faults("slug", slug)):
        return slug
    day = content.date.isoformat() if content.date.year > 1970 else ""
    return slug_from(slug) or slug_from(title) or (f"issue-{day}" if day else "issue")


def _categories(names: tuple[str, ...], notes: _Notes) -> tuple[str, ...]:
    fitted = (_line("category", name.replace(",", " "), notes) for name in names)
    return tuple(dict.fromkeys(name for name in fitted if name))


def _with_lead(sections: list[SectionContent], lead: str) -> list[SectionContent]:
    """The sections with a text before everything else."""
    first = sections[0] if sections else None
    if first is None or "body" not in FIELDS_OF_KIND[first.kind].fields:
        return [SectionContent(kind=SectionKind.TEXT, body=lead), *sections]
    return [replace(first, body=f"{lead}\n\n{first.body}".strip()), *sections[1:]]


# Sections and stories


def _fit_section(section: SectionContent, title: str, notes: _Notes) -> Iterator[SectionContent]:
    """The section; several if its text is too long."""
    own = FIELDS_OF_KIND[section.kind]
    heading = _line("section heading", section.title, notes)
    more: list[str] = []
    if len(one_line(section.title)) > len(heading):
        more.append(plain_to_markdown(one_line(section.title)))
    if not heading and "title" in own.needed:
        heading = _line("section heading", title, _Notes())
        notes.add(translatable("A section has no heading. The title of the issue was used."))
    url = _address("link", section.url, more, notes)
    image = _address("image", section.image, more, notes)
    fitted = replace(
        section,
        title=heading,
        url=url,
        image=image,
        source=_line("source", section.source, notes),
        alt=_line("description", section.alt, notes),
    )
    bodies = _bodies("\n\n".join(part for part in (*more, section.body) if part), notes)
    fitted = _complete(replace(fitted, body=bodies[0]), notes)
    stories = tuple(each for story in section.stories for each in _fit_story(story, notes))
    if len(bodies) == 1:
        yield replace(fitted, stories=stories)
        return
    yield replace(fitted, stories=())
    rest = [SectionContent(kind=SectionKind.TEXT, body=body) for body in bodies[1:]]
    yield from rest[:-1]
    yield replace(rest[-1], stories=stories)


def _fit_story(story: StoryContent, notes: _Notes) -> Iterator[StoryContent]:
    """The story; several if its text is too long."""
    title = _line("story title", story.title, notes)
    more: list[str] = []
    if len(one_line(story.title)) > len(title):
        more.append(plain_to_markdown(one_line(story.title)))
    url = _address("link", story.url, more, notes)
    image = _address("image", story.image, more, notes)
    alt = _description(image, _line("description", story.alt, notes), notes) if image else ""
    bodies = _bodies("\n\n".join(part for part in (*more, story.body) if part), notes)
    source = _line("source", story.source, notes)
    yield replace(story, title=title, url=url, source=source, image=image, alt=alt, body=bodies[0])
    yield from (StoryContent(title=title, body=body) for body in bodies[1:])


def _complete(section: SectionContent, notes: _Notes) -> SectionContent:
    """The section with what its kind needs; a text if that is not known."""
    if section.image:
        section = replace(section, alt=_description(section.image, section.alt, notes))
    if not any(True for _ in section_faults(section)):
        return section
    notes.add(translatable("A part with fields that it cannot have here was imported as a text."))
    is_section = section.kind == SectionKind.SECTION
    parts = (
        "" if is_section else plain_to_markdown(section.title),
        f"[{plain_to_markdown(section.alt) or section.image}](<{section.image}>)" if section.image else "",
        "" if section.image else plain_to_markdown(section.alt),
        section.body,
        plain_to_markdown(section.source),
        f"<{section.url}>" if section.url else "",
    )
    body = "\n\n".join(part for part in parts if part.strip())
    if is_section:
        return SectionContent(title=section.title, body=body, stories=section.stories)
    kind = SectionKind.TEXT if body.strip() else SectionKind.DIVIDER
    return SectionContent(kind=kind, body=body, stories=section.stories)


def _description(image: str, alt: str, notes: _Notes) -> str:
    """The description of an image, else the name of its file."""
    if alt.strip():
        return alt
    notes.add(translatable("The image {url} has no description. The name of its file was used.", url=image))
    name = PurePosixPath(urlsplit(image).path).stem.replace("-", " ").replace("_", " ")
    return _line("description", name, _Notes()) or "–"


def _address(name: FieldName, url: str, more: list[str], notes: _Notes) -> str:
    """The address, or none if it cannot be one: then it stands in the text as it was typed."""
    url = url.strip()
    faults = list(field_faults(name, url))
    if not url or not faults:
        return url
    notes.add(translatable("{problem} It stands in the text instead.", problem=faults[0]))
    more.append(f"<{url}>" if name == "image" and url.startswith("http://") else f"`{one_line(url).replace('`', '')}`")
    return ""


def _bodies(text: str, notes: _Notes) -> list[str]:
    """A text without characters that must not be stored, in parts that are not too long."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    cleaned = _NOT_IN_A_BODY.sub("", text)
    if cleaned != text:
        notes.add(translatable("Invisible characters were removed from a text."))
    parts = _divided(cleaned) if len(cleaned) > MAX_TEXT else [cleaned]
    if len(parts) > 1:
        notes.add(translatable("A long text was divided into {count} parts.", count=len(parts)))
    return [_without_templates(part, notes) for part in parts]


def _divided(text: str) -> list[str]:
    """Parts of at most MAX_TEXT characters, cut between paragraphs, else between words."""
    parts = []
    while len(text) > MAX_TEXT:
        ends = [found.start() for found in _PARAGRAPH.finditer(text, MAX_TEXT // 2, MAX_TEXT)]
        end = ends[-1] if ends else text.rfind(" ", MAX_TEXT // 2, MAX_TEXT)
        end = end if end > 0 else MAX_TEXT
        parts.append(text[:end].strip("\n"))
        text = text[end:].lstrip("\n ")
    return [*parts, text]


def _without_templates(text: str, notes: _Notes) -> str:
    """The text with the braces of other tools' templates shown as they are, which are merge fields here."""
    lines = text.split("\n")
    for attempt in range(_MANY_LINES):
        faulty = {number - 1 for number, _ in body_faults("\n".join(lines))}
        if not faulty:
            break
        if not attempt:
            notes.add(translatable("Braces or marks of a template in a text are shown as round brackets."))
        for number in faulty:
            # A fault is named with the first line of its paragraph.
            for index in _paragraph(lines, number):
                lines[index] = lines[index].translate(_BRACES).replace("*|", "(").replace("|*", ")")
    return "\n".join(lines)


def _paragraph(lines: list[str], number: int) -> Iterator[int]:
    while number < len(lines):
        yield number
        number += 1
        if number < len(lines) and not lines[number].strip():
            return
