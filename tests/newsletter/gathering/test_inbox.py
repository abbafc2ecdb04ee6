"""The list of the inbox: its order, pages and search, and where an address ran before."""

from __future__ import annotations

import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from newsletter.content.document import SectionContent, StoryContent
from newsletter.gathering.expiry import follow_links
from newsletter.gathering.inbox import (
    PAGE,
    LinkOrder,
    LinkQuery,
    WrongCursor,
    count_open,
    drafts_of,
    earlier_stories,
    page_of_links,
    sections_in,
    similar_story,
    tags_of,
)
from newsletter.gathering.pick import add_links
from newsletter.gathering.saving import set_tags
from newsletter.models import Feed, LinkTag, SavedLink, SavedLinkState
from tests.feeds import make_links, save_link
from tests.publications import content, make_issue, make_newsletter, start_sending, today

pytestmark = pytest.mark.django_db


def listed(**query: object) -> list[str]:
    return [link.title for link in page_of_links(make_newsletter(), LinkQuery(**query)).links]  # type: ignore[arg-type]


def test_the_most_often_linked_come_first_and_then_the_newest() -> None:
    make_links(1, 2, 3)
    SavedLink.objects.filter(title="Quay 2").update(times=3)
    assert listed() == ["Quay 2", "Quay 3", "Quay 1"]
    assert listed(order=LinkOrder.NEWEST) == ["Quay 3", "Quay 2", "Quay 1"]
    SavedLink.objects.filter(title="Quay 1").update(expires_at=timezone.now())
    assert listed(order=LinkOrder.EXPIRY) == ["Quay 1", "Quay 2", "Quay 3"]


@pytest.mark.parametrize("order", LinkOrder)
def test_pages_list_each_link_once(order: LinkOrder) -> None:
    links = make_links(*range(2 * PAGE + 3))
    at = timezone.now()
    for index, link in enumerate(links):
        expires_at = at + datetime.timedelta(microseconds=index // 4)
        SavedLink.objects.filter(pk=link.pk).update(times=1 + index % 3, expires_at=expires_at)
    found: list[int] = []
    sizes: list[int] = []
    after = ""
    while not sizes or after:
        page = page_of_links(make_newsletter(), LinkQuery(order=order, after=after))
        found += [link.pk for link in page.links]
        sizes.append(len(page.links))
        after = page.next
    assert sizes == [PAGE, PAGE, 3]
    assert sorted(found) == sorted(link.pk for link in links)


@pytest.mark.parametrize("order", LinkOrder)
@pytest.mark.parametrize("after", ["x", "1-", "-", "9" * 400 + "-1"])
def test_a_place_that_the_list_did_not_give_out_is_refused(order: LinkOrder, after: str) -> None:
    with pytest.raises(WrongCursor):
        page_of_links(make_newsletter(), LinkQuery(order=order, after=after))


def test_a_search_finds_all_of_its_words_in_one_link() -> None:
    first, *_ = make_links(1, 2, 3)
    SavedLink.objects.filter(pk=first.pk).update(note="For the harbour master")
    assert listed(search="MASTER daily") == ["Quay 1"]
    assert listed(search="quay.example/2") == ["Quay 2"]
    assert listed(search="master quay.example/2") == []


def test_a_tag_narrows_the_list_and_unused_tags_are_not_offered() -> None:
    first, second = make_links(1, 2)
    set_tags(first, ["ports", "quiet"])
    set_tags(second, ["ports"])
    set_tags(first, ["ports"])
    assert [tag.name for tag in tags_of(make_newsletter())] == ["ports"]
    assert listed(tag=LinkTag.objects.get(name="ports").pk) == ["Quay 2", "Quay 1"]


def test_new_and_kept_links_are_counted() -> None:
    make_links(1, 2, 3)
    SavedLink.objects.filter(title="Quay 1").update(state=SavedLinkState.KEPT)
    assert count_open(make_newsletter()) == {"new": 2, "kept": 1}
    assert count_open(make_newsletter("ferry-post")) == {"new": 0, "kept": 0}


# Where an address ran


def test_an_address_ran_in_the_newest_issue_with_it() -> None:
    links = make_links(1, 2)
    for slug, date in (("old", "2026-09-01"), ("newer", "2026-10-06")):
        story = StoryContent(title="T", url="http://quay.example/1/?utm_source=mail")
        day = datetime.date.fromisoformat(date)
        make_issue(slug, date=day, title=slug, sections=(SectionContent(title="News", stories=(story,)),))
    found = earlier_stories(make_newsletter(), [link.url for link in links], [link.page_sha256 for link in links])
    assert [(url, each.issue.title, each.section) for url, each in found.items()] == [(links[0].url, "newer", "News")]


def test_another_part_of_a_page_has_not_run() -> None:
    make_links(1)
    feed = Feed.objects.get()
    june_5, june_6 = (save_link(f"https://quay.example/notes#June_0{day}", day, feed) for day in (5, 6))
    story = StoryContent(title="June 5", url=june_5.url)
    make_issue(sections=(SectionContent(title="News", stories=(story,)),))
    found = earlier_stories(june_5.newsletter, [june_5.url, june_6.url], [june_5.page_sha256])
    assert list(found) == [june_5.url]


def test_an_issue_of_another_newsletter_does_not_count() -> None:
    (link,) = make_links(1)
    there = (SectionContent(title="News", stories=(StoryContent(title="T", url=link.url),)),)
    make_issue(newsletter=make_newsletter("ferry-post"), sections=there)
    assert earlier_stories(link.newsletter, [link.url], [link.page_sha256]) == {}


@pytest.mark.parametrize(
    ("title", "number"),
    [("The harbour that measures its silence", 2), ("Container rates: what they leave out", None), ("Quay 1", None)],
)
def test_a_story_with_most_of_the_same_words_is_similar(title: str, number: int | None) -> None:
    stories = ("Quay 1", "The harbour that measures its own silence")
    section = SectionContent(
        title="News", stories=tuple(StoryContent(title=each, url="https://a.example/") for each in stories)
    )
    (link,) = make_links(1)
    link.title = title
    found = similar_story(link, content(sections=(section,)))
    assert (found.number if found else None) == number


# Where links go


def test_the_next_draft_comes_first_and_issues_that_were_sent_are_left_out() -> None:
    day = datetime.timedelta(days=1)
    for slug, date in (("past", today() - day), ("later", today() + 9 * day), ("next", today() + day)):
        make_issue(slug, date=date)
    start_sending(make_issue("sent", date=today()))
    assert [issue.slug for issue in drafts_of(make_newsletter())] == ["next", "later", "past"]


def test_sections_are_listed_with_their_stories() -> None:
    sections = (SectionContent(title="News"), SectionContent(title=""), SectionContent(title="Ships", body="Text"))
    assert sections_in(content(sections=sections)) == [("News", 0), ("Ships", 0)]


# Time


def test_open_links_expire_when_their_time_is_over() -> None:
    make_links(1, 2, 3, 4)
    over = timezone.now() - datetime.timedelta(seconds=1)
    for number, state in ((1, "new"), (2, "kept"), (3, "dismissed")):
        SavedLink.objects.filter(title=f"Quay {number}").update(state=state, expires_at=over)
    assert not follow_links()
    states = dict(SavedLink.objects.values_list("title", "state"))
    assert states == {"Quay 1": "expired", "Quay 2": "expired", "Quay 3": "dismissed", "Quay 4": "new"}


def test_links_of_an_issue_that_was_deleted_are_kept() -> None:
    issue, (link,) = make_issue(), make_links(1)
    add_links(issue, [link.pk], section="", by="will")
    issue.delete()
    follow_links()
    link.refresh_from_db()
    assert (link.state, link.issue) == ("kept", None)
    assert link.expires_at > timezone.now() + datetime.timedelta(days=300)


def test_the_number_of_queries_does_not_grow_with_the_number_of_links() -> None:
    counts = []
    for numbers in ((1,), range(2, 25)):
        make_links(*numbers, feed=Feed.objects.first())
        with CaptureQueriesContext(connection) as queries:
            page = page_of_links(make_newsletter(), LinkQuery())
            earlier_stories(
                make_newsletter(), [each.url for each in page.links], [each.page_sha256 for each in page.links]
            )
        counts.append(len(queries))
    assert counts[0] == counts[1]
