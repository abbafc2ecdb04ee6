"""The places of an issue as findings name them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from newsletter.config.translatable import translatable
from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.markdown import link_targets

WHOLE_ISSUE = ""
SUBJECT, PREHEADER = translatable("Subject"), translatable("Preheader")
NEWSLETTER, THEME, BRAND = translatable("Newsletter"), translatable("Theme"), translatable("Brand")
HTML_PART, TEXT_PART = translatable("HTML part"), translatable("Text part")
_RESERVED: frozenset[str] = frozenset({SUBJECT, PREHEADER, NEWSLETTER, THEME, BRAND, HTML_PART, TEXT_PART})

_KINDS = {
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


@dataclass(frozen=True, slots=True)
class PlacedLink:
    """An address in the issue. `is_image` if an image is loaded from it."""

    url: str
    place: str
    is_image: bool = False
    field: str = "body"
    """The field of its row that holds it: `url`, `image` or `body`."""


def place_of_section(section: SectionContent, number: int) -> str:
    """`Deep dives`; for a part without a title, `Divider, part 3`."""
    return section.title.strip() or _numbered(_KINDS[section.kind], number)


def place_of_story(section_place: str, number: int) -> str:
    """`Deep dives, story 3`."""
    return translatable("{section}, story {number}", section=section_place, number=number)


def _numbered(name: str, number: int) -> str:
    return translatable("{name}, part {number}", name=name, number=number)


def placed_sections(content: IssueContent) -> Iterator[tuple[str, SectionContent]]:
    """Every part with its unique place: `News`, and for a second part with that title `News, part 4`."""
    taken: set[str] = set(_RESERVED)
    for number, section in enumerate(content.sections, start=1):
        place = place_of_section(section, number)
        if place in taken:
            place = _numbered(place, number)
        taken.add(place)
        yield place, section


def placed_stories(content: IssueContent) -> Iterator[tuple[str, StoryContent]]:
    """Every story with its place."""
    for place, section in placed_sections(content):
        for number, story in enumerate(section.stories, start=1):
            yield place_of_story(place, number), story


def placed_pictures(content: IssueContent) -> Iterator[tuple[str, SectionContent | StoryContent]]:
    """Every part and story with a picture, with its place."""
    for place, section in placed_sections(content):
        if section.image:
            yield place, section
        for number, story in enumerate(section.stories, start=1):
            if story.image:
                yield place_of_story(place, number), story


def places_of(content: IssueContent) -> Iterator[str]:
    """Every place, in the order of the rows on the compose page."""
    for place, section in placed_sections(content):
        yield place
        yield from (place_of_story(place, number) for number, _ in enumerate(section.stories, start=1))


def placed_bodies(content: IssueContent) -> Iterator[tuple[str, str]]:
    """Every Markdown text that is not empty, with its place."""
    for place, section in placed_sections(content):
        if section.body.strip():
            yield place, section.body
        for number, story in enumerate(section.stories, start=1):
            if story.body.strip():
                yield place_of_story(place, number), story.body


def placed_links(content: IssueContent) -> Iterator[PlacedLink]:
    """Every address in the issue, in reading order. Repeated addresses are repeated here."""
    for place, section in placed_sections(content):
        if section.url:
            yield PlacedLink(section.url, place, field="url")
        if section.image:
            yield PlacedLink(section.image, place, is_image=True, field="image")
        yield from (PlacedLink(url, place) for url in _targets(section.body))
        for number, story in enumerate(section.stories, start=1):
            story_place = place_of_story(place, number)
            if story.url:
                yield PlacedLink(story.url, story_place, field="url")
            if story.image:
                yield PlacedLink(story.image, story_place, is_image=True, field="image")
            yield from (PlacedLink(url, story_place) for url in _targets(story.body))


def with_link_replaced(content: IssueContent, old: str, new: str) -> IssueContent | None:
    """`content` with links to `new` instead of `old`; None if the replacement would change more than these links.

    In a text, the address is replaced as it is typed. The other links of the text must stay the same.
    """
    sections = []
    for section in content.sections:
        body = _body_with(section.body, old, new)
        stories = [_story_with(story, old, new) for story in section.stories]
        if body is None or None in stories:
            return None
        replaced = tuple(story for story in stories if story is not None)
        url, image = (new if address == old else address for address in (section.url, section.image))
        sections.append(replace(section, body=body, url=url, image=image, stories=replaced))
    return replace(content, sections=tuple(sections))


def _story_with(story: StoryContent, old: str, new: str) -> StoryContent | None:
    body = _body_with(story.body, old, new)
    url, image = (new if address == old else address for address in (story.url, story.image))
    return None if body is None else replace(story, body=body, url=url, image=image)


def _body_with(body: str, old: str, new: str) -> str | None:
    targets = _targets(body)
    if old not in targets:
        return body
    replaced = body.replace(old, new)
    wanted = tuple(new if target == old else target for target in targets)
    is_exact = body.count(old) == targets.count(old) and _targets(replaced) == wanted
    return replaced if is_exact else None


def _targets(body: str) -> tuple[str, ...]:
    # Parsing is slow, and most texts contain no link.
    may_link = "](" in body or "://" in body or "mailto:" in body or "]:" in body
    return link_targets(body) if may_link else ()
