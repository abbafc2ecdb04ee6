"""Stories of an edition: which of its numbered links belong to which story or block. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from newsletter.models import FIRST_LINK, STORY

MAX_TITLE, MAX_SOURCE = 300, 200

#: Blocks whose source is who paid for them; that of a quotation is its author.
WITH_SOURCE = "sponsor"

#: The kind of ordinary parts.
SECTION = "section"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedStory:
    """A story or block with links, whose numbers go from `first_number` to `last_number`."""

    kind: str
    title: str
    source: str
    url: str
    first_number: int
    last_number: int


@dataclass(frozen=True, slots=True)
class _Part:
    """Where links stand, in the words of `IssueLink.place`, and what it is."""

    place: str
    kind: str
    title: str
    source: str


def linked_stories(content: Mapping[str, Any], links: Sequence[Mapping[str, Any]]) -> list[LinkedStory]:
    """The parts of a frozen content that have numbered links, in reading order.

    Links are in reading order, too: each part takes those that stand at its place, up to the first that does not.
    """
    found, taken = [], 0
    for part in _parts(content):
        first = taken
        while taken < len(links) and links[taken]["place"] == part.place:
            taken += 1
        if taken > first:
            found.append(_linked(part, links[first], FIRST_LINK + first, FIRST_LINK + taken - 1))
    return found


def _parts(content: Mapping[str, Any]) -> Iterator[_Part]:
    for section in content.get("sections", ()):
        kind, title = section.get("kind") or SECTION, _line(section.get("title", ""))
        place = title or kind.capitalize()
        yield _Part(place, kind, title, section.get("source", "") if kind == WITH_SOURCE else "")
        for position, story in enumerate(section.get("stories", ()), start=1):
            yield _Part(f"{place}, story {position}", STORY, _line(story.get("title", "")), story.get("source", ""))


def _linked(part: _Part, link: Mapping[str, Any], first: int, last: int) -> LinkedStory:
    return LinkedStory(
        kind=part.kind,
        title=(part.title or link["label"] or link["url"])[:MAX_TITLE],
        source=(_line(part.source) or host_of(link["url"]))[:MAX_SOURCE],
        url=link["url"],
        first_number=first,
        last_number=last,
    )


def host_of(url: str) -> str:
    """The host of a link without `www.`; empty if it cannot be read."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return ""
    return host.removeprefix("www.")


def _line(text: str) -> str:
    return " ".join(text.split())
