"""Picking stories: the offered items, and adding them to a draft once without overwriting it."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from django.utils import timezone, translation
from hypothesis import given

from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.store import IssueIsClosed, load_content, save_content
from newsletter.gathering import pick
from newsletter.gathering.pick import (
    OFFERED_FOR,
    StoryPlacement,
    add_items,
    add_stories,
    dismiss_items,
    items_to_pick,
    with_stories,
)
from newsletter.models import FeedItem, FeedItemState, Issue, Newsletter
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
def test_old_items_are_not_offered() -> None:
    make_items(1, 2)
    FeedItem.objects.filter(title="Quay 1").update(found_at=timezone.now() - OFFERED_FOR)
    assert offered() == ["Quay 2"]


@pytest.mark.django_db
def test_a_link_that_is_already_in_an_issue_is_not_offered() -> None:
    make_items(1, 2)
    used = StoryContent(title="The first quay", url="http://QUAY.example/1/?utm_medium=mail#photo")
    make_issue(sections=(SectionContent(title="News", stories=(used,)),))
    assert offered() == ["Quay 2"]


@pytest.mark.django_db
def test_a_link_in_an_issue_of_another_newsletter_is_offered() -> None:
    make_items(1)
    there = StoryContent(title="There", url="https://quay.example/1")
    make_issue(newsletter=make_newsletter("ferry-post"), sections=(SectionContent(title="News", stories=(there,)),))
    assert offered() == ["Quay 1"]


@pytest.mark.django_db
def test_picked_items_are_added_to_the_chosen_section_in_order() -> None:
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
def test_without_a_choice_an_item_goes_to_the_section_of_its_feed() -> None:
    issue, (item,) = make_issue(), make_items(1)
    add_items(issue, [item.pk], section="", by="will")
    assert stories_by_section(issue)["News"] == ["Quay 1"]


@pytest.mark.django_db
def test_items_that_were_used_or_dismissed_meanwhile_are_skipped() -> None:
    issue, (first, second, third) = make_issue(), make_items(1, 2, 3)
    add_items(issue, [first.pk], section="", by="edda")
    assert dismiss_items(issue.newsletter, [second.pk]) == 1
    assert add_items(issue, [first.pk, second.pk, third.pk], section="", by="will") == 1
    assert add_items(issue, [first.pk], section="", by="will") == 0
    assert stories_by_section(issue)["News"] == ["Quay 1", "Quay 3"]


@pytest.mark.django_db
def test_items_of_another_newsletter_cannot_be_used_or_dismissed() -> None:
    (item,) = make_items(1)
    other = make_issue(newsletter=make_newsletter("ferry-post"))
    assert add_items(other, [item.pk], section="", by="will") == 0
    assert dismiss_items(other.newsletter, [item.pk]) == 0
    assert offered() == ["Quay 1"]


@pytest.mark.django_db
def test_adding_keeps_changes_that_were_saved_meanwhile() -> None:
    issue, (item,) = make_issue(), make_items(1)
    same = Issue.objects.get()
    save_content(same, content(title="Edited meanwhile"), by="edda")
    add_items(issue, [item.pk], section="", by="will")
    assert issue.title == "Edited meanwhile"
    assert stories_by_section(issue)["News"] == ["Quay 1"]


@pytest.mark.django_db
def test_stories_cannot_be_added_to_an_issue_that_is_not_a_draft() -> None:
    issue, (item,) = start_sending(make_issue()).issue, make_items(1)
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
def test_a_story_goes_to_its_section(before: tuple[str, ...], heading: str, after: list[str]) -> None:
    changed = with_stories(content(sections=sections(*before)), [StoryPlacement(heading, FERRY)])
    assert [section.title for section in changed.sections if section.stories] == after


def test_without_a_heading_stories_go_to_the_last_section_with_stories() -> None:
    some = SectionContent(title="News", stories=(FERRY,))
    changed = with_stories(content(sections=(some, *sections("Farewell"))), [StoryPlacement("", FERRY)])
    assert [len(section.stories) for section in changed.sections] == [2, 0]


def test_a_block_with_the_same_title_is_not_a_section() -> None:
    sponsor = SectionContent(kind=SectionKind.SPONSOR, title="News")
    changed = with_stories(content(sections=(sponsor,)), [StoryPlacement("News", FERRY)])
    assert [section.kind for section in changed.sections] == [SectionKind.SPONSOR, SectionKind.SECTION]


@given(issues)
def test_adding_keeps_all_sections_and_stories(written: IssueContent) -> None:
    changed = with_stories(written, [StoryPlacement("", FERRY), StoryPlacement("Ferries at night", FERRY)])
    assert [*changed.stories()].count(FERRY) >= 2
    assert [story for story in changed.stories() if story != FERRY] == [
        story for story in written.stories() if story != FERRY
    ]
    kept = changed.sections[: len(written.sections)]
    assert [section.title for section in kept] == [section.title for section in written.sections]


@pytest.mark.django_db
def test_the_heading_of_a_new_section_is_in_the_language_of_the_newsletter(monkeypatch: pytest.MonkeyPatch) -> None:
    Newsletter.objects.filter(pk=make_newsletter().pk).update(language="de")
    issue = make_issue(newsletter=Newsletter.objects.get(), sections=())
    active: list[str | None] = []

    def with_stories(content: IssueContent, placements: Iterable[StoryPlacement]) -> IssueContent:
        active.append(translation.get_language())
        return content

    monkeypatch.setattr(pick, "with_stories", with_stories)
    add_stories(issue, [StoryPlacement("", FERRY)], by="will")
    assert active == ["de"]
