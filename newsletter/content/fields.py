"""The fields of an issue: their limits, their labels, and which fields each kind of section has. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from newsletter.config.translatable import translatable
from newsletter.content.document import AudienceContent, IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.lines import is_blank
from newsletter.content.links import web_link_problem
from newsletter.content.merge_faults import Names, merge_field_faults, one_line_merge_faults, subject_merge_faults
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
"""Maximum length of each field in characters, as in the database."""

MAX_TEXT = 100_000
"""Maximum length of a Markdown text in characters: ten times a long article. Parsing takes a second at most."""

FIELD_LABELS: Mapping[FieldName | Literal["text"], str] = {
    "title": translatable("Title"),
    "slug": translatable("Slug"),
    "subject": translatable("Subject"),
    "preheader": translatable("Preheader"),
    "category": translatable("Category"),
    "section heading": translatable("Heading"),
    "story title": translatable("Story title"),
    "link": translatable("Link"),
    "source": translatable("Source"),
    "image": translatable("Image"),
    "description": translatable("Image description"),
    "text": translatable("Text"),
}

MAX_LISTS, MAX_SEGMENTS, MAX_PART_NAME = 10, 20, 200
"""Of an audience: other lists, included and excluded segments together, and characters of a name."""

AUDIENCE_LABELS: Mapping[str, str] = {
    "topic": translatable("Topic"),
    "lists": translatable("Other lists"),
    "segments": translatable("Only these segments"),
    "exclude": translatable("Without these segments"),
}

SectionField = Literal["title", "body", "url", "source", "image", "alt"]

NAMES: dict[SectionField, FieldName] = {
    "title": "section heading",
    "url": "link",
    "source": "source",
    "image": "image",
    "alt": "description",
}
"""The field names of the one-line fields of a section."""


@dataclass(frozen=True, slots=True)
class KindFields:
    """The fields of one kind of section; `needed` ones must not be empty."""

    fields: tuple[SectionField, ...]
    needed: tuple[SectionField, ...] = ()


FIELDS_OF_KIND: Mapping[SectionKind, KindFields] = {
    SectionKind.SECTION: KindFields(("title", "body"), needed=("title",)),
    SectionKind.TEXT: KindFields(("body",), needed=("body",)),
    SectionKind.CALLOUT: KindFields(("title", "body"), needed=("body",)),
    SectionKind.QUOTE: KindFields(("body", "source", "url"), needed=("body",)),
    SectionKind.BUTTON: KindFields(("title", "url"), needed=("title", "url")),
    SectionKind.IMAGE: KindFields(("image", "alt", "body", "url"), needed=("image", "alt")),
    SectionKind.LINKS: KindFields(("title", "body"), needed=("body",)),
    SectionKind.DIVIDER: KindFields(()),
    SectionKind.CONTENTS: KindFields(("title",)),
    SectionKind.SPONSOR: KindFields(("source", "title", "url", "body", "image", "alt"), needed=("source",)),
}
"""The fields of each kind, in the order of the form."""

LABELS: Mapping[SectionKind, str] = {
    SectionKind.SECTION: translatable("Section"),
    SectionKind.TEXT: translatable("Text"),
    SectionKind.CALLOUT: translatable("Call-out"),
    SectionKind.QUOTE: translatable("Quote"),
    SectionKind.BUTTON: translatable("Button"),
    SectionKind.IMAGE: translatable("Image"),
    SectionKind.LINKS: translatable("Link list"),
    SectionKind.DIVIDER: translatable("Divider"),
    SectionKind.CONTENTS: translatable("Table of contents"),
    SectionKind.SPONSOR: translatable("Sponsor"),
}
"""The label of each kind of section."""

_MISSING: dict[tuple[SectionKind, SectionField], str] = {
    (SectionKind.SECTION, "title"): translatable("The section has no heading. Write one."),
    (SectionKind.TEXT, "body"): translatable("The text block is empty. Write some text, or remove the block."),
    (SectionKind.CALLOUT, "body"): translatable("The call-out has no text. Write some, or remove the call-out."),
    (SectionKind.QUOTE, "body"): translatable("The quote has no text. Write some, or remove the quote."),
    (SectionKind.BUTTON, "title"): translatable("The button has no label. Write what the button does."),
    (SectionKind.BUTTON, "url"): translatable("The button has no link. Add one, or remove the button."),
    (SectionKind.IMAGE, "image"): translatable("The image has no address. Enter its https:// address."),
    (SectionKind.IMAGE, "alt"): translatable(
        "The image has no description. Describe it for recipients who cannot see it and for mail programs that do not "
        "show it."
    ),
    (SectionKind.LINKS, "body"): translatable(
        "The link list is empty. Write a list such as “- [Title](https://…)”, or remove the link list."
    ),
    (SectionKind.SPONSOR, "source"): translatable(
        "The sponsor has no name. Enter it: paid content must be labelled with who pays for it."
    ),
}

# Characters that end a mail header, hide in a name or change the direction of the text after them.
_NOT_IN_ONE_LINE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
_NOT_IN_A_BODY = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_LINE_ENDS = "\n\r\u2028\u2029"
# Without encryption only on this machine, as SITE_URL may be.
_IMAGE_START = re.compile(r"https://|http://(?:127\.0\.0\.1|localhost|\[::1\])[:/]", re.IGNORECASE)
_SLUG = re.compile(r"[-a-zA-Z0-9_]+")


def field_faults(name: FieldName, value: str, names: Names = None) -> Iterator[str]:
    """What is wrong with the one-line field `name`, as sentences. An empty value has no faults.

    `names` are the merge fields of the newsletter; None: any may exist.
    """
    label = FIELD_LABELS[name]
    if bad := _NOT_IN_ONE_LINE.search(value):
        yield _hidden_character_fault(label, bad[0])
    if len(value) > LIMITS[name]:
        yield translatable(
            "“{field}” has {length} characters; the maximum is {limit}. Shorten it.",
            field=label,
            length=len(value),
            limit=LIMITS[name],
        )
    if name == "slug" and value and not _SLUG.fullmatch(value):
        yield translatable(
            "The slug “{slug}” may contain only the letters a to z, digits, hyphens and underscores. Change it.",
            slug=value,
        )
    if name == "category" and "," in value:
        yield translatable(
            "The category “{category}” contains a comma, which separates categories. Remove the comma.", category=value
        )
    if name in ("link", "image"):
        yield from _address_faults(name, value)
    elif name in ("subject", "preheader"):
        yield from subject_merge_faults(label, value, names)
    else:
        yield from one_line_merge_faults(label, value, names)


def body_faults(text: str, names: Names = None) -> Iterator[tuple[int, str]]:
    """What is wrong with a body: the line, from 1, and a sentence. `names` as in `field_faults`."""
    if len(text) > MAX_TEXT:
        yield (
            1,
            translatable(
                "This text has {length:,} characters; the maximum is {limit:,}. Divide it into several parts.",
                length=len(text),
                limit=MAX_TEXT,
            ),
        )
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if fault := body_fault(line):
            yield number, fault
    yield from merge_field_faults(text, names)


def body_fault(line: str) -> str | None:
    """The invisible character in running text, as a sentence; None if there is none."""
    bad = _NOT_IN_A_BODY.search(line)
    return _hidden_character_fault(FIELD_LABELS["text"], bad[0]) if bad else None


def audience_faults(audience: AudienceContent) -> Iterator[tuple[str, str]]:
    """What is wrong with an audience, as a key of AUDIENCE_LABELS and a sentence. Unknown names are no faults here:
    pre-flight reports them, and such an issue is not sent."""
    for key, names in (("lists", audience.lists), ("segments", audience.segments), ("exclude", audience.exclude)):
        for name in names:
            yield from ((key, fault) for fault in _part_name_faults(key, name))
        if len(set(names)) < len(names):
            yield key, translatable("“{label}” has the same name twice.", label=AUDIENCE_LABELS[key])
    if audience.topic:
        yield from (("topic", fault) for fault in _part_name_faults("topic", audience.topic))
    if len(audience.lists) > MAX_LISTS:
        yield "lists", translatable("An issue is sent to at most {limit} other lists.", limit=MAX_LISTS)
    if len(audience.segments) + len(audience.exclude) > MAX_SEGMENTS:
        yield "segments", translatable("An audience has at most {limit} segments.", limit=MAX_SEGMENTS)
    for name in set(audience.segments) & set(audience.exclude):
        yield "exclude", translatable("The segment “{name}” is included and excluded. Remove one of them.", name=name)


def _part_name_faults(key: str, name: str) -> Iterator[str]:
    label = AUDIENCE_LABELS[key]
    if not name.strip():
        yield translatable("“{label}” has an empty name. Remove it.", label=label)
    if bad := _NOT_IN_ONE_LINE.search(name):
        yield _hidden_character_fault(label, bad[0])
    if len(name) > MAX_PART_NAME:
        yield translatable("“{label}” has a name with more than {limit} characters.", label=label, limit=MAX_PART_NAME)


def content_faults(content: IssueContent) -> Iterator[str]:
    """Everything in `content` that must not be stored, as sentences that name the place."""
    if not content.title.strip():
        yield translatable("The issue has no title. Write one.")
    details: tuple[tuple[FieldName, str], ...] = (
        ("title", content.title),
        ("slug", content.slug or "?"),
        ("subject", content.subject),
        ("preheader", content.preheader),
    )
    for name, value in details:
        yield from field_faults(name, value)
    for category in content.categories:
        yield from field_faults("category", category)
    yield from (fault for _, fault in audience_faults(content.audience))
    for number, section in enumerate(content.sections, start=1):
        place = section_name(section, number)
        for _, fault in section_faults(section):
            yield translatable("{place}: {problem}", place=place, problem=fault)
        for position, story in enumerate(section.stories, start=1):
            for fault in _story_faults(story):
                yield translatable(
                    "{place}, story {number} “{title}”: {problem}",
                    place=place,
                    number=position,
                    title=story.title,
                    problem=fault,
                )


def section_name(section: SectionContent, number: int) -> str:
    """The name of a part of an issue: its kind and title, or its position, counted from 1."""
    label = LABELS[section.kind]
    if section.title.strip():
        return translatable("{kind} “{title}”", kind=label, title=section.title)
    return translatable("{kind} (part {number} of the issue)", kind=label, number=number)


def section_faults(section: SectionContent, names: Names = None) -> Iterator[tuple[SectionField, str]]:
    """What is wrong with the fields of a section or block, without its stories: the field, and a sentence.

    `names` as in `field_faults`.
    """
    own = FIELDS_OF_KIND[section.kind]
    for field in () if is_list_of_stories(section) else own.needed:
        value = getattr(section, field)
        if is_blank(value) if field == "body" else not value.strip():
            yield field, _MISSING[section.kind, field]
    for field, name in NAMES.items():
        value = getattr(section, field)
        if value and field not in own.fields:
            yield field, _extra_field_fault(section.kind, name)
        else:
            yield from ((field, fault) for fault in field_faults(name, value, names))
    if section.body and "body" not in own.fields:
        yield "body", _extra_field_fault(section.kind, "text")
    else:
        yield from (("body", fault) for _, fault in body_faults(section.body, names))
    if section.image and not section.alt.strip() and "alt" not in own.needed:
        yield "alt", _MISSING[SectionKind.IMAGE, "alt"]


def is_list_of_stories(section: SectionContent) -> bool:
    """Whether the section is a text block that only holds stories: they need no heading."""
    return section.kind is SectionKind.TEXT and bool(section.stories)


def slug_from(title: str) -> str:
    """A slug made of the words of `title`: "Engineering @ Scale" gives "engineering-at-scale". May be empty."""
    spelled = title.replace("@", " at ").replace("&", " and ")
    ascii_only = unicodedata.normalize("NFKD", spelled).encode("ascii", "ignore").decode("ascii")
    words = re.findall(r"[a-z0-9]+", ascii_only.lower().replace("'", ""))
    return "-".join(words)[: LIMITS["slug"]].strip("-")


def _extra_field_fault(kind: SectionKind, name: FieldName | Literal["text"]) -> str:
    return translatable(
        "“{kind}” has no field “{field}”. Clear the field, or choose another kind.",
        kind=LABELS[kind],
        field=FIELD_LABELS[name],
    )


def _story_faults(story: StoryContent) -> Iterator[str]:
    yield from field_faults("story title", story.title)
    yield from field_faults("link", story.url)
    yield from field_faults("source", story.source)
    yield from story_picture_faults(story.image, story.alt)
    yield from (fault for _, fault in body_faults(story.body))


def story_picture_faults(image: str, alt: str, names: Names = None) -> Iterator[str]:
    """What is wrong with the picture of a story. A description may be missing: the picture may be decorative."""
    yield from field_faults("image", image, names)
    yield from field_faults("description", alt, names)
    if alt.strip() and not image.strip():
        yield translatable("The description has no image. Enter the address of the image, or clear the description.")


def _address_faults(name: FieldName, value: str) -> Iterator[str]:
    problem = web_link_problem(value) if value else None
    if problem is None and name == "image" and value and not _IMAGE_START.match(value):
        problem = translatable("The address must start with https://. Mail programs warn about other images.")
    if problem is None and any(merge_fields_in(value)):
        problem = translatable("The address contains a merge field, but it must be the same for every recipient.")
    if problem:
        yield translatable("{field} “{url}”: {problem}", field=FIELD_LABELS[name], url=value, problem=problem)


def _hidden_character_fault(label: str, character: str) -> str:
    if character in _LINE_ENDS:
        return translatable("“{field}” contains a line break. Write it on one line.", field=label)
    name = unicodedata.name(character, "")
    code = f"U+{ord(character):04X} ({name})" if name else f"U+{ord(character):04X}"
    return translatable(
        "“{field}” contains the invisible character {character}. Delete it.", field=label, character=code
    )
