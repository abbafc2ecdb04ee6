"""Saving links: once each, with titles and tags, and counted when they are seen again."""

from __future__ import annotations

import datetime

import pytest
from django.utils import timezone

from newsletter.content.feeds import FeedEntry
from newsletter.gathering.saving import (
    MAX_LINKS,
    MAX_TAGS,
    LinkRefused,
    NewLink,
    checked,
    links_in,
    save_entries,
    save_links,
    set_tags,
    tags_in,
)
from newsletter.models import Feed, LinkWay, MetadataState, Newsletter, SavedLink, Sighting
from tests.feeds import make_links
from tests.publications import make_newsletter

QUAY = "https://quay.example/"


def save(*urls: str, by: str = "will", **more: object) -> list[bool]:
    """Whether each is new."""
    links = checked([NewLink(url) for url in urls])
    return [each.is_new for each in save_links(make_newsletter(), links, way=LinkWay.FORM, by=by, **more)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "links"),
    [
        (" https://quay.example/1 ", [("https://quay.example/1", "")]),
        (f"{QUAY}1\n{QUAY}2", [(f"{QUAY}1", ""), (f"{QUAY}2", "")]),
        (f"{QUAY}1 {QUAY}2", [(f"{QUAY}1", ""), (f"{QUAY}2", "")]),
        ("- [Quay 1](https://quay.example/1)", [("https://quay.example/1", "Quay 1")]),
        ("Quay 1 – https://quay.example/1", [("https://quay.example/1", "Quay 1")]),
        ("Look at this (https://quay.example/1), it is tall.", [("https://quay.example/1", "")]),
        ("https://quay.example/1\nhttp://quay.example/1/", [("https://quay.example/1", "")]),
    ],
)
def test_links_are_found_in_what_was_pasted(text: str, links: list[tuple[str, str]]) -> None:
    assert [(link.url, link.title) for link in links_in(text)] == links


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("quay.example/1", "not a full web address"),
        ("", "not a full web address"),
        ("javascript:alert(1)", "not a full web address"),
        ("\n".join(f"https://quay.example/{number}" for number in range(MAX_LINKS + 1)), "At most 50 links"),
        (f"https://quay.example/{'a' * 3_000}", "longer than"),
    ],
)
def test_text_without_a_link_is_refused_with_the_reason(text: str, sentence: str) -> None:
    with pytest.raises(LinkRefused, match=sentence):
        links_in(text)


def test_tags_are_words_between_commas() -> None:
    assert tags_in("Ports, #quiet ,, ports") == ["ports", "quiet"]
    for text in (",".join(f"tag{number}" for number in range(MAX_TAGS + 1)), "a" * 41):
        with pytest.raises(LinkRefused, match="at most 10 tags of 40"):
            tags_in(text)


@pytest.mark.django_db
def test_a_saved_link_waits_for_its_page_and_expires_later() -> None:
    Newsletter.objects.filter(pk=make_newsletter().pk).update(inbox_days=10)
    newsletter, now = Newsletter.objects.get(), timezone.now()
    (saved,) = save_links(
        newsletter, [NewLink("https://quay.example/1")], way=LinkWay.BUTTON, by="will", note="Tall", tags=["ports"]
    )
    link = SavedLink.objects.get()
    assert (saved.is_new, link.state, link.metadata, link.way, link.saved_by) == (
        True,
        "new",
        "pending",
        "button",
        "will",
    )
    assert (link.note, [tag.name for tag in link.tags.all()]) == ("Tall", ["ports"])
    assert link.fetch_at is not None
    assert now + datetime.timedelta(days=10) <= link.expires_at < now + datetime.timedelta(days=11)


@pytest.mark.django_db
def test_a_link_is_saved_once_for_all_spellings_of_its_address() -> None:
    assert (
        save("https://quay.example/1", "https://quay.example/2#June_05", "https://quay.example/2#June_06") == [True] * 3
    )
    assert save("http://quay.example/1/?utm_source=x", note="Again") == [False]
    assert SavedLink.objects.count() == 3
    assert not SavedLink.objects.exclude(note="").exists()


@pytest.mark.django_db
def test_a_link_is_counted_once_for_each_feed_and_person() -> None:
    (link,) = make_links(1)
    for by in ("will", "will", "edda"):
        save(link.url, by=by)
    other = Feed.objects.create(newsletter=make_newsletter(), url="https://ferry.example/feed")
    save_entries(other, [entry("https://quay.example/1?utm_source=ferry", "f-1")])
    link.refresh_from_db()
    assert (link.times, Sighting.objects.count()) == (4, 4)


@pytest.mark.django_db
def test_tags_replace_those_before() -> None:
    save("https://quay.example/1", tags=["ports", "quiet"])
    link = SavedLink.objects.get()
    set_tags(link, ["ports", "tall"])
    assert [tag.name for tag in link.tags.all()] == ["ports", "tall"]


def entry(url: str, guid: str = "", title: str = "Quay") -> FeedEntry:
    return FeedEntry(guid=guid, title=title, url=url, source="Harbour Daily", summary="", published=None)


@pytest.fixture
def daily(db: None) -> Feed:
    return Feed.objects.create(newsletter=make_newsletter(), url="https://quay.example/feed")


def titles() -> list[str]:
    return sorted(SavedLink.objects.values_list("title", flat=True))


def test_entries_that_share_a_link_are_links_of_their_own_if_their_ids_differ(daily: Feed) -> None:
    menu = "https://quay.example/menu"
    assert save_entries(daily, [entry(menu, "m-1", "Monday"), entry(menu, "m-2", "Tuesday")]) == 2
    assert save_entries(daily, [entry(menu, "m-2", "Tuesday"), entry(menu, "m-3", "Wednesday")]) == 1
    assert save_entries(daily, [entry(menu, "m-1", "Monday"), entry(menu, "m-3", "Wednesday")]) == 0
    assert titles() == ["Monday", "Tuesday", "Wednesday"]


def test_a_link_whose_id_is_another_spelling_of_it_stays_one(daily: Feed) -> None:
    save_entries(daily, [entry("https://quay.example/1", "http://quay.example/1")])
    assert save_entries(daily, [entry("https://quay.example/1", "https://quay.example/1")]) == 0
    assert titles() == ["Quay"]


def test_parts_of_one_page_are_links_of_their_own(daily: Feed) -> None:
    notes = [entry(f"https://quay.example/notes#June_0{day}", title=f"June {day}") for day in (5, 6)]
    assert save_entries(daily, notes) == 2
    assert save_entries(daily, notes) == 0
    assert titles() == ["June 5", "June 6"]


def test_an_entry_that_was_saved_by_hand_before_is_the_same_link(daily: Feed) -> None:
    save("https://quay.example/1")
    assert save_entries(daily, [entry("https://quay.example/1", "q-1")]) == 0
    link = SavedLink.objects.get()
    assert (link.times, link.way, link.metadata) == (2, LinkWay.FORM, MetadataState.PENDING)


def test_links_outlive_their_feed(daily: Feed) -> None:
    save_entries(daily, [entry("https://quay.example/1", "q-1")])
    daily.delete()
    link = SavedLink.objects.get()
    assert (link.feed, link.times, Sighting.objects.get().feed) == (None, 1, None)
