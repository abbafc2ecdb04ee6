"""What one field of an issue may hold: how long it is, and which characters have no place in it. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Literal

from newsletter.content.document import IssueContent, SectionContent, StoryContent
from newsletter.content.links import web_link_problem

FieldName = Literal[
    "title", "slug", "subject", "preheader", "category", "section heading", "story title", "link", "source"
]

LIMITS: dict[FieldName, int] = {
    "title": 200,
    "slug": 120,
    "subject": 200,
    "preheader": 200,
    "category": 60,
    "section heading": 200,
    "story title": 300,
    "link": 2000,
    "source": 100,
}
"""Characters that fit in the column of each field; for the subject it is also the limit of R-20."""

# what can end a header, hide in a name or turn the reading direction of what follows.
_NOT_IN_ONE_LINE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
_NOT_IN_A_BODY = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_VISIBLE_NAMES = {"\n": "a line break", "\r": "a line break", "\t": "a tab"}
_SLUG = re.compile(r"[-a-zA-Z0-9_]+")


def field_faults(name: FieldName, value: str) -> Iterator[str]:
    """What is wrong with the one-line field `name`, as sentences that say what to do; nothing if all is well.

    Emptiness is no fault here: whether a field may be empty depends on where it stands.
    """
    if bad := _NOT_IN_ONE_LINE.search(value):
        yield f"The {name} holds {_named(bad[0])}, which mail programs may misread. Delete it there."
    if len(value) > LIMITS[name]:
        yield f"The {name} is {len(value)} characters long and {LIMITS[name]} fit. Shorten it."
    if name == "slug" and value and not _SLUG.fullmatch(value):
        yield f"The slug “{value}” may have letters a to z, digits, hyphens and underscores only. Rename it."
    if name == "category" and "," in value:
        yield f"The category “{value}” holds a comma, which separates categories. Take it out, or make two of it."
    if name == "link" and value and (problem := web_link_problem(value)):
        yield f"The link “{value}” {problem}. Correct it, or leave it out until you have it."


def body_fault(line: str) -> str | None:
    """What is wrong with a line (or more) of running text, as a sentence; None if all is well."""
    bad = _NOT_IN_A_BODY.search(line)
    return f"The text holds {_named(bad[0])}, which mail cannot carry. Delete it there." if bad else None


def content_faults(content: IssueContent) -> Iterator[str]:
    """Everything in `content` that must not be stored, as sentences that say where and what to do."""
    if not content.title.strip():
        yield "The issue has no title. Write one."
    envelope: tuple[tuple[FieldName, str], ...] = (
        ("title", content.title),
        ("slug", content.slug or "?"),
        ("subject", content.subject),
        ("preheader", content.preheader),
    )
    for name, value in envelope:
        yield from field_faults(name, value)
    for category in content.categories:
        yield from field_faults("category", category)
    for section in content.sections:
        yield from (f"Section “{section.title}”: {fault}" for fault in _section_faults(section))


def _section_faults(section: SectionContent) -> Iterator[str]:
    if not section.title.strip():
        yield "The section has no heading. Write one."
    yield from field_faults("section heading", section.title)
    if fault := body_fault(section.body):
        yield fault
    for number, story in enumerate(section.stories, start=1):
        yield from (f"Story {number}, “{story.title}”: {fault}" for fault in _story_faults(story))


def _story_faults(story: StoryContent) -> Iterator[str]:
    yield from field_faults("story title", story.title)
    yield from field_faults("link", story.url)
    yield from field_faults("source", story.source)
    if fault := body_fault(story.body):
        yield fault


def slug_from(title: str) -> str:
    """A slug made of the words of `title`: "Engineering @ Scale" gives "engineering-at-scale". May be empty."""
    spelled = title.replace("@", " at ").replace("&", " and ")
    ascii_only = unicodedata.normalize("NFKD", spelled).encode("ascii", "ignore").decode("ascii")
    words = re.findall(r"[a-z0-9]+", ascii_only.lower().replace("'", ""))
    return "-".join(words)[: LIMITS["slug"]].strip("-")


def _named(character: str) -> str:
    if character in _VISIBLE_NAMES:
        return _VISIBLE_NAMES[character]
    name = unicodedata.name(character, "")
    return f"the invisible character U+{ord(character):04X}" + (f" ({name.lower()})" if name else "")
