"""Which links belong to which story: as they stand in the mail, in its order."""

from __future__ import annotations

from dataclasses import asdict

import orjson
import pytest

from newsletter.content.document import SectionContent, SectionKind, StoryContent
from newsletter.engagement.stories import LinkedStory, host_of, linked_stories
from newsletter.models import FIRST_LINK, numbered_links
from tests.newsletter.engagement.sent import edition_of, own_links, send_to
from tests.people import ADA
from tests.publications import content


def links(*places: tuple[str, str]) -> list[dict[str, str]]:
    return [{"url": url, "label": "Read on", "place": place} for place, url in places]


def stored(**changes: object) -> dict[str, object]:
    found: dict[str, object] = orjson.loads(orjson.dumps(content(**changes)))  # type: ignore[arg-type]
    return found


SECTIONS = (
    SectionContent(title="Deep  dives", stories=(StoryContent(title="Cranes", source="Harbour Daily"),) * 2),
    SectionContent(kind=SectionKind.SPONSOR, title="", source="Rope & Sons", url="https://rope.example/offer"),
    SectionContent(kind=SectionKind.QUOTE, source="A pilot", body="Slowly.", url="https://www.pilot.example/said"),
)


def test_each_part_takes_the_links_that_stand_at_its_place() -> None:
    numbered = links(
        ("Deep dives, story 1", "https://www.daily.example/1"),
        ("Deep dives, story 1", "https://more.example/"),
        ("Deep dives, story 2", "https://daily.example/2"),
        ("Sponsor", "https://rope.example/offer"),
        ("Quote", "https://www.pilot.example/said"),
    )
    found = linked_stories(stored(sections=SECTIONS), numbered)
    assert [(each.kind, each.title, each.source) for each in found] == [
        ("story", "Cranes", "Harbour Daily"),
        ("story", "Cranes", "Harbour Daily"),
        ("sponsor", "Read on", "Rope & Sons"),
        ("quote", "Read on", "pilot.example"),
    ]
    assert [(each.first_number - FIRST_LINK, each.last_number - FIRST_LINK) for each in found] == [
        (0, 1),
        (2, 2),
        (3, 3),
        (4, 4),
    ]


def test_a_story_without_links_is_left_out_and_one_without_source_has_the_host_of_its_first() -> None:
    stories = (StoryContent(title="No link"), StoryContent(title="Ferries", url="https://www.ferry.example/a"))
    sections = (SectionContent(title="News", stories=stories),)
    (found,) = linked_stories(stored(sections=sections), links(("News, story 2", "https://www.ferry.example/a")))
    assert asdict(found) == asdict(
        LinkedStory(
            kind="story",
            title="Ferries",
            source="ferry.example",
            url="https://www.ferry.example/a",
            first_number=FIRST_LINK,
            last_number=FIRST_LINK,
        )
    )


@pytest.mark.django_db
def test_the_stories_of_a_frozen_edition_have_its_numbers() -> None:
    edition = edition_of(send_to(ADA, newsletter=own_links()))
    found = linked_stories(edition.content, numbered_links(edition))
    assert [(each.title, each.source, each.url) for each in found] == [
        (f"Quay {number} gets a taller crane", "Harbour Daily", f"https://harbour.example/cranes/{number}")
        for number in (1, 2, 3)
    ]
    assert [each.first_number for each in found] == [FIRST_LINK, FIRST_LINK + 1, FIRST_LINK + 2]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://www.daily.example/a", "daily.example"),
        ("https://WWW.Daily.Example:8000", "daily.example"),
        ("//[", ""),
    ],
)
def test_a_host_is_written_without_its_prefix(url: str, host: str) -> None:
    assert host_of(url) == host
