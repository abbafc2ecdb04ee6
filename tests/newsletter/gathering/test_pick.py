"""Picking stories: what is offered, and that adding it overwrites nobody and comes once."""

from __future__ import annotations

import pytest
from django.utils import timezone
from hypothesis import given

from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.store import IssueIsClosed, load_content, save_content
from newsletter.gathering.pick import (
    OFFERED_FOR,
    StoryPlacement,
    add_items,
    add_stories,
    dismiss_items,
    items_to_pick,
    with_stories,
)
from newsletter.models import FeedItem, FeedItemState, Issue
from tests.feeds import make_items
from tests.newsletter.content.issues import issues
from tests.publications import content, make_issue, make_newsletter, start_sending

FERRY = StoryContent(title="A ferry that waits", url="https://ferry.example/waits", source="Ferry Post")


def offered() -> list[str]:
    return [item.title for item in items_to_pick(make_newsletter())]


def stories_by_section(issue: Issue) -> dict[str, list[str]]:
    return {section.title: [story.title for story in section.stories] for section in load_content(issue).sections}


@pytest.mark.django_db
def test_the_newest_items_are_offered_first() -> None:
    make_items(1, 2, 3)
    assert offered() == ["Quay 3", "Quay 2", "Quay 1"]


@pytest.mark.django_db
def test_what_was_found_long_ago_is_not_offered_any_more() -> None:
    make_items(1, 2)
    FeedItem.objects.filter(title="Quay 1").update(found_at=timezone.now() - OFFERED_FOR)
    assert offered() == ["Quay 2"]


@pytest.mark.django_db
def test_a_page_that_stands_in_an_issue_already_is_not_offered_however_its_link_is_spelled() -> None:
    make_items(1, 2)
    spelled = StoryContent(title="The first quay", url="http://QUAY.example/1/?utm_medium=mail#photo")
    make_issue(sections=(SectionContent(title="News", stories=(spelled,)),))
    assert offered() == ["Quay 2"]


@pytest.mark.django_db
def test_what_stands_in_an_issue_of_another_newsletter_is_offered() -> None:
    make_items(1)
    there = StoryContent(title="There", url="https://quay.example/1")
    make_issue(newsletter=make_newsletter("ferry-post"), sections=(SectionContent(title="News", stories=(there,)),))
    assert offered() == ["Quay 1"]


@pytest.mark.django_db
def test_what_is_picked_comes_to_the_section_that_was_chosen_in_the_order_of_the_picks() -> None:
    issue, (first, second) = make_issue(), make_items(1, 2)
    assert add_items(issue, [second.pk, first.pk, second.pk], section="the PATTERN", by="will") == 2
    assert stories_by_section(issue)["The pattern"] == ["Quay 2", "Quay 1"]
    added = load_content(issue).sections[-1].stories[0]
    assert added == StoryContent(
        title="Quay 2", url="https://quay.example/2", source="Harbour Daily", body="Crane 2 lifts."
    )
    assert set(FeedItem.objects.values_list("state", "issue")) == {(FeedItemState.USED, issue.pk)}
    assert offered() == []


@pytest.mark.django_db
def test_without_a_choice_an_item_goes_where_its_feed_says() -> None:
    issue, (item,) = make_issue(), make_items(1)
    add_items(issue, [item.pk], section="", by="will")
    assert stories_by_section(issue)["News"] == ["Quay 1"]


@pytest.mark.django_db
def test_what_was_used_or_dismissed_meanwhile_is_passed_over() -> None:
    issue, (first, second, third) = make_issue(), make_items(1, 2, 3)
    add_items(issue, [first.pk], section="", by="edda")
    assert dismiss_items(issue.newsletter, [second.pk]) == 1
    assert add_items(issue, [first.pk, second.pk, third.pk], section="", by="will") == 1
    assert add_items(issue, [first.pk], section="", by="will") == 0
    assert stories_by_section(issue)["News"] == ["Quay 1", "Quay 3"]


@pytest.mark.django_db
def test_items_of_another_newsletter_can_be_neither_used_nor_dismissed() -> None:
    (item,) = make_items(1)
    other = make_issue(newsletter=make_newsletter("ferry-post"))
    assert add_items(other, [item.pk], section="", by="will") == 0
    assert dismiss_items(other.newsletter, [item.pk]) == 0
    assert offered() == ["Quay 1"]


@pytest.mark.django_db
def test_adding_keeps_what_somebody_else_saved_meanwhile() -> None:
    issue, (item,) = make_issue(), make_items(1)
    same = Issue.objects.get()
    save_content(same, content(title="Edited meanwhile"), by="edda")
    add_items(issue, [item.pk], section="", by="will")
    assert issue.title == "Edited meanwhile"
    assert stories_by_section(issue)["News"] == ["Quay 1"]


@pytest.mark.django_db
def test_an_issue_past_draft_takes_no_stories_and_the_items_stay_on_offer() -> None:
    issue, (item,) = start_sending(make_issue()), make_items(1)
    with pytest.raises(IssueIsClosed):
        add_items(issue, [item.pk], section="", by="will")
    with pytest.raises(IssueIsClosed):
        add_stories(issue, [StoryPlacement("", FERRY)], by="will")
    assert offered() == ["Quay 1"]


def sections(*titles: str) -> tuple[SectionContent, ...]:
    return tuple(SectionContent(title=title) for title in titles)


@pytest.mark.parametrize(
    ("before", "heading", "after"),
    [
        ((), "", ["Stories"]),
        (("News", "Tech"), "", ["Tech"]),
        (("News", "Tech"), "news", ["News"]),
        (("News", "Tech"), "Ferries", ["Ferries"]),
    ],
)
def test_a_story_finds_its_section(before: tuple[str, ...], heading: str, after: list[str]) -> None:
    put = with_stories(content(sections=sections(*before)), [StoryPlacement(heading, FERRY)])
    assert [section.title for section in put.sections if section.stories] == after


def test_without_a_heading_stories_join_the_last_that_are_there() -> None:
    some = SectionContent(title="News", stories=(FERRY,))
    put = with_stories(content(sections=(some, *sections("Farewell"))), [StoryPlacement("", FERRY)])
    assert [len(section.stories) for section in put.sections] == [2, 0]


def test_a_block_that_has_the_heading_is_no_section() -> None:
    sponsor = SectionContent(kind=SectionKind.SPONSOR, title="News")
    put = with_stories(content(sections=(sponsor,)), [StoryPlacement("News", FERRY)])
    assert [section.kind for section in put.sections] == [SectionKind.SPONSOR, SectionKind.SECTION]


@given(issues)
def test_adding_takes_nothing_away(written: IssueContent) -> None:
    put = with_stories(written, [StoryPlacement("", FERRY), StoryPlacement("Ferries at night", FERRY)])
    assert [*put.stories()].count(FERRY) >= 2
    assert [story for story in put.stories() if story != FERRY] == [
        story for story in written.stories() if story != FERRY
    ]
    kept = put.sections[: len(written.sections)]
    assert [section.title for section in kept] == [section.title for section in written.sections]
