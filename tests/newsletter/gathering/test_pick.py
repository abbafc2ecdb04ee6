"""Deciding about links: keeping, dropping, adding to a draft without overwriting it, and taking that back."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from django.utils import timezone, translation
from hypothesis import given

from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.store import IssueIsClosed, load_content, save_content
from newsletter.gathering import pick
from newsletter.gathering.pick import (
    StoryPlacement,
    add_links,
    add_stories,
    drop_links,
    keep_links,
    take_back,
    with_stories,
)
from newsletter.models import Feed, Issue, Newsletter, SavedLink, SavedLinkState
from tests.feeds import make_links
from tests.newsletter.content.issues import issues
from tests.publications import content, make_issue, make_newsletter, start_sending

FERRY = StoryContent(title="A ferry that waits", url="https://ferry.example/waits", source="Ferry Post")


def stories_by_section(issue: Issue) -> dict[str, list[str]]:
    return {section.title: [story.title for story in section.stories] for section in load_content(issue).sections}


def states() -> dict[str, str]:
    return dict(SavedLink.objects.values_list("title", "state"))


@pytest.mark.django_db
def test_links_become_stories_of_the_chosen_section_in_order() -> None:
    issue, (first, second) = make_issue(), make_links(1, 2)
    assert add_links(issue, [second.pk, first.pk, second.pk], section="the PATTERN", by="will") == 2
    assert stories_by_section(issue)["The pattern"] == ["Quay 2", "Quay 1"]
    added = load_content(issue).sections[-1].stories[0]
    assert added == StoryContent(
        title="Quay 2", url="https://quay.example/2", source="Harbour Daily", body="Crane 2 lifts."
    )
    assert set(SavedLink.objects.values_list("state", "issue")) == {(SavedLinkState.USED, issue.pk)}


@pytest.mark.django_db
def test_without_a_choice_a_link_goes_to_the_section_of_its_feed() -> None:
    issue, (link,) = make_issue(), make_links(1)
    add_links(issue, [link.pk], section="", by="will")
    assert stories_by_section(issue)["News"] == ["Quay 1"]


@pytest.mark.django_db
def test_links_that_were_used_meanwhile_are_left_out_and_dropped_ones_can_be_used() -> None:
    issue, (first, second, third) = make_issue(), make_links(1, 2, 3)
    add_links(issue, [first.pk], section="", by="edda")
    assert drop_links(issue.newsletter, [second.pk]) == 1
    assert add_links(issue, [first.pk, second.pk, third.pk], section="", by="will") == 2
    assert add_links(issue, [first.pk], section="", by="will") == 0
    assert stories_by_section(issue)["News"] == ["Quay 1", "Quay 2", "Quay 3"]


@pytest.mark.django_db
def test_a_link_whose_story_is_in_the_draft_gets_no_second_one() -> None:
    there = StoryContent(title="The first quay", url="http://QUAY.example/1/?utm_medium=mail")
    issue = make_issue(sections=(SectionContent(title="News", stories=(there,)),))
    (link,) = make_links(1)
    assert add_links(issue, [link.pk], section="", by="will") == 1
    assert stories_by_section(issue) == {"News": ["The first quay"]}
    assert states() == {"Quay 1": "used"}


@pytest.mark.django_db
def test_links_of_another_newsletter_cannot_be_decided_about() -> None:
    (link,) = make_links(1)
    other = make_issue(newsletter=make_newsletter("ferry-post"))
    assert add_links(other, [link.pk], section="", by="will") == 0
    assert drop_links(other.newsletter, [link.pk]) == 0
    assert keep_links(other.newsletter, [link.pk]) == 0
    assert take_back(other.newsletter, [link.pk], "kept", by="will") == 0
    assert states() == {"Quay 1": "new"}


@pytest.mark.django_db
def test_adding_keeps_changes_that_were_saved_meanwhile() -> None:
    issue, (link,) = make_issue(), make_links(1)
    same = Issue.objects.get()
    save_content(same, content(title="Edited meanwhile"), by="edda")
    add_links(issue, [link.pk], section="", by="will")
    assert issue.title == "Edited meanwhile"
    assert stories_by_section(issue)["News"] == ["Quay 1"]


@pytest.mark.django_db
def test_stories_cannot_be_added_to_an_issue_that_is_not_a_draft() -> None:
    issue, (link,) = start_sending(make_issue()).issue, make_links(1)
    with pytest.raises(IssueIsClosed):
        add_links(issue, [link.pk], section="", by="will")
    with pytest.raises(IssueIsClosed):
        add_stories(issue, [StoryPlacement("", FERRY)], by="will")
    assert states() == {"Quay 1": "new"}


@pytest.mark.django_db
def test_a_kept_link_stays_longer_than_a_new_one() -> None:
    newsletter, (link,) = make_newsletter(), make_links(1)
    assert keep_links(newsletter, [link.pk]) == 1
    assert keep_links(newsletter, [link.pk]) == 0
    link.refresh_from_db()
    assert link.expires_at > timezone.now() + datetime.timedelta(days=360)


@pytest.mark.django_db
@pytest.mark.parametrize("before", ["new", "kept"])
@pytest.mark.parametrize("decide", [keep_links, drop_links])
def test_a_decision_can_be_taken_back(before: str, decide: Callable[[Newsletter, list[int]], int]) -> None:
    newsletter, (link,) = make_newsletter(), make_links(1, state=before)
    decide(newsletter, [link.pk])
    assert take_back(newsletter, [link.pk], before, by="will") == 1
    assert states() == {"Quay 1": before}


@pytest.mark.django_db
@pytest.mark.parametrize("before", ["new", "kept"])
def test_taking_back_an_addition_removes_the_story_only(before: str) -> None:
    issue, (first, second) = make_issue(), make_links(1, 2, state=before)
    written = load_content(issue)
    add_links(issue, [first.pk], section="The pattern", by="will")
    add_links(issue, [second.pk], section="The pattern", by="will")
    assert take_back(issue.newsletter, [first.pk], before, by="will") == 1
    assert stories_by_section(issue)["The pattern"] == ["Quay 2"]
    take_back(issue.newsletter, [second.pk], before, by="will")
    assert load_content(issue) == written
    assert states() == {"Quay 1": before, "Quay 2": before}
    assert not SavedLink.objects.exclude(issue=None).exists()


@pytest.mark.django_db
def test_the_story_of_an_issue_that_is_sent_cannot_be_taken_back() -> None:
    issue, (link,) = make_issue(), make_links(1)
    add_links(issue, [link.pk], section="", by="will")
    start_sending(issue)
    with pytest.raises(IssueIsClosed):
        take_back(issue.newsletter, [link.pk], "kept", by="will")
    assert states() == {"Quay 1": "used"}


# However the draft changes


@pytest.mark.django_db
def test_a_link_is_kept_when_its_story_leaves_the_draft_and_used_when_it_comes_back() -> None:
    issue, (link, other) = make_issue(), make_links(1, 2)
    written = load_content(issue)
    add_links(issue, [link.pk, other.pk], section="", by="will")
    with_both = load_content(issue)
    save_content(issue, written, by="edda")
    assert states() == {"Quay 1": "kept", "Quay 2": "kept"}
    assert not SavedLink.objects.exclude(issue=None).exists()
    save_content(issue, with_both, by="edda")
    assert set(SavedLink.objects.values_list("state", "issue")) == {("used", issue.pk)}


@pytest.mark.django_db
def test_a_link_that_is_written_into_a_draft_is_used_unless_it_was_dropped() -> None:
    make_links(1)
    make_links(2, feed=Feed.objects.get(), state="dismissed")
    stories = tuple(StoryContent(title="T", url=f"http://quay.example/{number}/") for number in (1, 2))
    issue = make_issue(sections=(SectionContent(title="News", stories=stories),))
    assert states() == {"Quay 1": "used", "Quay 2": "dismissed"}
    assert SavedLink.objects.get(title="Quay 1").issue == issue


@pytest.mark.django_db
def test_another_draft_with_the_same_link_leaves_it_to_the_first() -> None:
    issue, (link,) = make_issue(), make_links(1)
    add_links(issue, [link.pk], section="", by="will")
    same = StoryContent(title="T", url="https://quay.example/1")
    other = make_issue("issue-2", sections=(SectionContent(title="News", stories=(same,)),))
    save_content(other, replace(load_content(other), sections=()), by="edda")
    link.refresh_from_db()
    assert (link.state, link.issue) == ("used", issue)


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
