"""What the fields of an issue may hold, and which fields each kind of section has. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.links import web_link_problem
from newsletter.content.merge_faults import merge_field_faults, one_line_merge_faults
from newsletter.content.merge_fields import merge_fields_in

FieldName = Literal[
    "title",
    "slug",
    "subject",
    "preheader",
    "category",
    "section heading",
    "story title",
    "link",
    "source",
    "image",
    "description",
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
    "image": 2000,
    "description": 300,
}
"""Characters that fit in the column of each field; for the subject it is also the limit of R-20."""

SectionField = Literal["title", "body", "url", "source", "image", "alt"]

NAMES: dict[SectionField, FieldName] = {
    "title": "section heading",
    "url": "link",
    "source": "source",
    "image": "image",
    "alt": "description",
}
"""What people call the one-line fields of a section."""


@dataclass(frozen=True, slots=True)
class KindFields:
    """The fields of one kind of section; those that are `needed` are never empty."""

    fields: tuple[SectionField, ...]
    needed: tuple[SectionField, ...] = ()


FIELDS_OF_KIND: Mapping[SectionKind, KindFields] = {
    SectionKind.SECTION: KindFields(("title", "body"), needed=("title",)),
    SectionKind.CALLOUT: KindFields(("title", "body"), needed=("body",)),
    SectionKind.QUOTE: KindFields(("body", "source", "url"), needed=("body",)),
    SectionKind.BUTTON: KindFields(("title", "url"), needed=("title", "url")),
    SectionKind.IMAGE: KindFields(("image", "alt", "body", "url"), needed=("image", "alt")),
    SectionKind.LINKS: KindFields(("title", "body"), needed=("body",)),
    SectionKind.DIVIDER: KindFields(()),
    SectionKind.CONTENTS: KindFields(("title",)),
    SectionKind.SPONSOR: KindFields(("source", "title", "url", "body", "image", "alt"), needed=("source",)),
}
"""Which fields mean something at which kind, in the order in which people fill them."""

LABELS: Mapping[SectionKind, str] = {
    SectionKind.SECTION: "section",
    SectionKind.CALLOUT: "call-out",
    SectionKind.QUOTE: "quote",
    SectionKind.BUTTON: "button",
    SectionKind.IMAGE: "image",
    SectionKind.LINKS: "link list",
    SectionKind.DIVIDER: "divider",
    SectionKind.CONTENTS: "table of contents",
    SectionKind.SPONSOR: "sponsor",
}
"""What people call each kind, within a sentence."""

_MISSING: dict[tuple[SectionKind, SectionField], str] = {
    (SectionKind.SECTION, "title"): "The section has no heading. Write one.",
    (SectionKind.CALLOUT, "body"): "The call-out has no text. Write it, or remove the call-out.",
    (SectionKind.QUOTE, "body"): "The quote has no words. Write them, or remove the quote.",
    (SectionKind.BUTTON, "title"): "The button has no words on it. Write what pressing it does.",
    (SectionKind.BUTTON, "url"): "The button leads nowhere. Give it a link, or remove it.",
    (SectionKind.IMAGE, "image"): "The image has no address. Give the https:// address of the picture.",
    (SectionKind.IMAGE, "alt"): (
        "The image has no description. Say what it shows, for readers and mail programs that do not see it."
    ),
    (SectionKind.LINKS, "body"): "The link list is empty. Write a list such as “- [Title](https://…)”, or remove it.",
    (SectionKind.SPONSOR, "source"): "The sponsor has no name. Readers must be told who pays for this part.",
}

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
    if name in ("link", "image"):
        yield from _address_faults(name, value)
    else:
        yield from one_line_merge_faults(name, value)


def body_faults(text: str) -> Iterator[tuple[int, str]]:
    """What is wrong with a body: the line, from 1, and a sentence that says what to do."""
    for number, line in enumerate(text.split("\n"), start=1):
        if fault := body_fault(line):
            yield number, fault
    yield from merge_field_faults(text)


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
    for number, section in enumerate(content.sections, start=1):
        place = section_name(section, number)
        yield from (f"{place}: {fault}" for _, fault in section_faults(section))
        for position, story in enumerate(section.stories, start=1):
            yield from (f"{place}: Story {position}, “{story.title}”: {fault}" for fault in _story_faults(story))


def section_name(section: SectionContent, number: int) -> str:
    """What to call a part of an issue; `number` counts them from 1 and names those without a title."""
    label = LABELS[section.kind].capitalize()
    return f"{label} “{section.title}”" if section.title.strip() else f"{label}, part {number} of the issue"


def section_faults(section: SectionContent) -> Iterator[tuple[SectionField, str]]:
    """What is wrong with the fields of a section or block, but for its stories: the field, and a sentence."""
    own = FIELDS_OF_KIND[section.kind]
    for field in own.needed:
        if not getattr(section, field).strip():
            yield field, _MISSING[section.kind, field]
    for field, name in NAMES.items():
        value = getattr(section, field)
        if value and field not in own.fields:
            yield field, _not_its_field(section.kind, name)
        else:
            yield from ((field, fault) for fault in field_faults(name, value))
    if section.body and "body" not in own.fields:
        yield "body", _not_its_field(section.kind, "text")
    else:
        yield from (("body", fault) for _, fault in body_faults(section.body))
    if section.image and not section.alt.strip() and "alt" not in own.needed:
        yield "alt", "The picture has no description. Say what it shows, for readers who do not see it."


def _not_its_field(kind: SectionKind, name: str) -> str:
    return f"A {LABELS[kind]} has no {name} of its own. Empty it, or choose another kind."


def _story_faults(story: StoryContent) -> Iterator[str]:
    yield from field_faults("story title", story.title)
    yield from field_faults("link", story.url)
    yield from field_faults("source", story.source)
    yield from (fault for _, fault in body_faults(story.body))


def slug_from(title: str) -> str:
    """A slug made of the words of `title`: "Engineering @ Scale" gives "engineering-at-scale". May be empty."""
    spelled = title.replace("@", " at ").replace("&", " and ")
    ascii_only = unicodedata.normalize("NFKD", spelled).encode("ascii", "ignore").decode("ascii")
    words = re.findall(r"[a-z0-9]+", ascii_only.lower().replace("'", ""))
    return "-".join(words)[: LIMITS["slug"]].strip("-")


def _address_faults(name: FieldName, value: str) -> Iterator[str]:
    if value and (problem := web_link_problem(value)):
        yield f"The {name} “{value}” {problem}. Correct it, or leave it out until you have it."
    elif name == "image" and value and not value.lower().startswith("https://"):
        yield f"The image “{value}” is not at an https:// address, and mail programs warn of others. Use one that is."
    elif any(merge_fields_in(value)):
        yield f"The {name} “{value}” holds a merge field, and an address is the same for every reader. Take it out."


def _named(character: str) -> str:
    if character in _VISIBLE_NAMES:
        return _VISIBLE_NAMES[character]
    name = unicodedata.name(character, "")
    return f"the invisible character U+{ord(character):04X}" + (f" ({name.lower()})" if name else "")
