"""Corrected, hidden, withdrawn and imported issues on the public pages."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from newsletter.content.web_versions import (
    change_visibility,
    correct_web_version,
    publish_on_web,
    shown_content,
    version_number,
)
from newsletter.models import Batch, BatchState, Issue, SendState, Visibility, WebPage
from newsletter.models.web_pages import reachable_issues
from tests.newsletter.web.published import html_of, open_page, parse_xml, publish, publish_weekly, words
from tests.publications import make_issue, make_newsletter, send_of, start_sending

pytestmark = pytest.mark.django_db

FRONT, ARCHIVE = "/harbour-notes/", "/harbour-notes/issues/"
ISSUE, CHANGES = f"{ARCHIVE}issue-1/", f"{ARCHIVE}issue-1/changes/"
FEED, SITEMAP = "/harbour-notes/feed.atom", "/sitemap.xml"
LISTS = ("/", FRONT, ARCHIVE, f"{ARCHIVE}other/", FEED, SITEMAP)
ATOM = {"atom": "http://www.w3.org/2005/Atom"}


def correct(issue: Issue, *, note: str = "The cranes are lower.", **options: Any) -> None:
    """Correct the page; fields of the content are options, too."""
    settings = {name: options.pop(name) for name in ("is_minor", "shows_changes") if name in options}
    row = reachable_issues().get(pk=issue.pk)
    after = replace(shown_content(row), **options)
    correct_web_version(issue, after, by="edda", based_on=version_number(row), note=note, **settings)


def with_body(issue: Issue, body: str) -> dict[str, Any]:
    """The sections of the page, the first with another text."""
    first, *others = shown_content(reachable_issues().get(pk=issue.pk)).sections
    return {"sections": (replace(first, body=body), *others)}


def hide(issue: Issue, visibility: Visibility) -> None:
    change_visibility(issue, visibility, by="edda", text="The author asked for it.")


# --- Corrections ---------------------------------------------------------------------------------------------------


def test_every_page_and_the_feed_have_the_corrected_title(client: Client) -> None:
    correct(publish(title="Taller cranes"), title="Lower cranes")
    publish("other", week=1, title="Another")
    for path in (FRONT, ARCHIVE, f"{ARCHIVE}other/", FEED, ISSUE):
        page = client.get(path).content.decode()
        assert "Lower cranes" in page, path
        assert "Taller cranes" not in page, path


def test_a_corrected_page_has_a_note_with_the_date_and_a_link_to_the_changes(client: Client) -> None:
    issue = publish()
    correct(issue, title="Lower cranes")
    correct(issue, title="Lowest cranes", note="They are <b>lowest</b>.")
    page = open_page(client, ISSUE)
    day = WebPage.objects.get().changed_at
    at = f"{day:%a} {day.day} {day:%b} {day.year}"
    assert words(page, "//aside[@class='correction']/p") == [
        f"Corrected on {at}: They are <b>lowest</b>.",
        f"Corrected on {at}: The cranes are lower.",
        "Show changes",
    ]
    assert words(page, "//aside[@class='correction']//a/@href") == ["changes/"]


def test_an_issue_that_was_not_corrected_says_nothing_and_has_no_changes(client: Client) -> None:
    publish()
    assert open_page(client, ISSUE).xpath("//aside[@class='correction']") == []
    assert client.get(CHANGES).status_code == 404


def test_a_minor_correction_has_no_note(client: Client) -> None:
    correct(publish(), title="Lower cranes", note="", is_minor=True)
    page = open_page(client, ISSUE)
    assert words(page, "//h1") == ["Lower cranes"]
    assert page.xpath("//aside[@class='correction']") == []


def test_the_changes_are_marked_for_eyes_and_screen_readers(client: Client) -> None:
    correct(publish(title="Taller cranes"), title="Lower cranes")
    response = client.get(CHANGES)
    page = html_of(response.content)
    assert words(page, "//dd//del") == ["Taller"]
    assert words(page, "//dd//ins") == ["Lower"]
    assert words(page, "//dd") == ["[removed:] Taller [end of removed text][added:] Lower [end of added text]cranes"]
    assert response["X-Robots-Tag"] == "noindex"


def test_changes_show_what_readers_could_read_and_no_notes_of_editors(client: Client) -> None:
    issue = publish()
    correct(issue, **with_body(issue, "**Quieter** [ferries](https://example.org/f)\n\n<!-- Told by Gus -->"))
    page = client.get(CHANGES).content.decode()
    assert "Quieter ferries (https://example.org/f)" in page
    for hidden in ("Told by Gus", "**", "]("):
        assert hidden not in page


def test_changes_that_must_not_stay_public_are_hidden_with_all_before_them(client: Client) -> None:
    issue = publish(title="Gus and his taller cranes")
    correct(issue, title="Gus and his lower cranes")
    correct(issue, title="Lower cranes", note="A name was removed.", shows_changes=False)
    assert "Show changes" not in client.get(ISSUE).content.decode()
    assert client.get(CHANGES).status_code == 404
    correct(issue, title="Low cranes", note="They are low.")
    page = open_page(client, CHANGES)
    assert words(page, "//dd//del | //dd//ins") == ["Lower", "Low"]
    assert "Gus" not in page.text_content()
    assert words(page, "//section/p[not(@class)]") == ["They are low.", "A name was removed.", "The cranes are lower."]
    assert words(page, "//section/p[@class='meta']") == ["The changes are not shown."] * 2


def test_the_feed_says_when_an_issue_was_corrected(client: Client) -> None:
    correct(publish(), title="Lower cranes")
    publish("other", week=1)
    feed = parse_xml(client.get(FEED))
    corrected = WebPage.objects.get().changed_at
    dates = [
        [datetime.datetime.fromisoformat(found.text) for found in entry.iterfind(path, ATOM)]
        for entry in feed.iterfind("atom:entry", ATOM)
        for path in ("atom:published", "atom:updated")
    ]
    sent = [send_of(Issue.objects.get(slug=slug)).started_at for slug in ("other", "issue-1")]
    assert dates == [[sent[0]], [sent[0]], [sent[1]], [corrected]]
    assert feed.findtext("atom:updated", namespaces=ATOM) == corrected.isoformat()


def test_pages_become_stale_with_each_correction_and_change_of_visibility(client: Client) -> None:
    issue = publish()
    tags, dates = set(), []
    steps: list[Callable[[], None]] = [
        lambda: None,
        lambda: correct(issue, title="Lower cranes"),
        lambda: hide(issue, Visibility.UNLISTED),
        lambda: hide(issue, Visibility.LISTED),
    ]
    for step in steps:
        step()
        response = client.get(FRONT)
        tags.add(response["ETag"])
        dates.append(response["Last-Modified"])
    assert len(tags) == 3  # the last is the second again
    changed = WebPage.objects.get().changed_at
    assert dates[-1] == changed.strftime("%a, %d %b %Y %H:%M:%S GMT")


def test_a_cancelled_issue_can_be_corrected_and_taken_down(client: Client) -> None:
    publish("other", week=1)
    send = start_sending(make_issue(title="Embargoed quay"))
    fields = {"send": send, "edition": send.edition, "first_delivery": 1, "last_delivery": 1, "payload": b"x"}
    Batch.objects.create(**fields, key="one", state=BatchState.ACCEPTED, recipients=1)
    send.move(SendState.CANCELLED, by="tests")
    correct(send.issue, title="Open quay")
    response = client.get(ISSUE)
    assert words(html_of(response.content), "//h1") == ["Open quay"]
    assert response["X-Robots-Tag"] == "noindex"
    for path in LISTS:
        assert "quay</a>" not in client.get(path).content.decode()
    hide(send.issue, Visibility.TAKEN_DOWN)
    assert client.get(ISSUE).status_code == 410


# --- Visibility ----------------------------------------------------------------------------------------------------


def test_a_page_hidden_from_search_engines_is_listed_and_asks_them_to_leave_it_out(client: Client) -> None:
    hide(publish(title="Taller cranes"), Visibility.NOT_INDEXED)
    response = client.get(ISSUE)
    assert (response.status_code, response["X-Robots-Tag"]) == (200, "noindex")
    assert words(html_of(response.content), "//meta[@name='robots']/@content") == ["noindex"]
    assert "Taller cranes" in client.get(ARCHIVE).content.decode()
    assert "Taller cranes" in client.get(FEED).content.decode()
    assert ISSUE not in client.get(SITEMAP).content.decode()


def test_an_unlisted_page_is_found_by_its_link_only(client: Client) -> None:
    publish("other", week=1, title="Another")
    hide(publish(title="Taller cranes"), Visibility.UNLISTED)
    response = client.get(ISSUE)
    assert (response.status_code, response["X-Robots-Tag"]) == (200, "noindex")
    for path in LISTS:
        page = client.get(path).content.decode()
        assert "Taller cranes" not in page, path
        assert ISSUE not in page, path


def test_a_page_that_was_taken_down_says_so_and_nothing_of_the_issue(client: Client) -> None:
    publish("other", week=1)
    issue = publish(title="Taller cranes")
    correct(issue, title="Lower cranes")
    hide(issue, Visibility.TAKEN_DOWN)
    for path in (ISSUE, CHANGES):
        response = client.get(path)
        page = response.content.decode()
        assert (response.status_code, response["X-Robots-Tag"]) == (410, "noindex")
        assert "This issue was withdrawn" in page
        assert "cranes" not in page
        assert "The author asked" not in page
    for path in LISTS:
        assert ISSUE not in client.get(path).content.decode(), path
    change_visibility(issue, Visibility.LISTED, by="edda")
    assert client.get(ISSUE).status_code == 200
    assert ISSUE in client.get(SITEMAP).content.decode()


def test_pages_of_ordinary_issues_have_no_word_for_robots(client: Client) -> None:
    publish()
    response = client.get(ISSUE)
    assert "X-Robots-Tag" not in response
    assert "noindex" not in response.content.decode()


# --- Published without a send --------------------------------------------------------------------------------------


def import_old(slug: str, year: int, **changes: Any) -> Issue:
    issue = make_issue(slug, **{"date": datetime.date(year, 5, 3), "title": f"Cranes of {year}", **changes})
    publish_on_web(issue, published_at=datetime.datetime(year, 5, 3, 6, tzinfo=datetime.UTC), by="import")
    return issue


def test_imported_issues_are_in_the_archive_in_their_year(client: Client) -> None:
    publish("sent", title="Taller cranes")
    import_old("old", 2019)
    import_old("older", 2017)
    page = open_page(client, ARCHIVE)
    assert words(page, "//h2") == ["2026", "2019", "2017"]
    assert words(page, "//article//h3") == ["Taller cranes", "Cranes of 2019", "Cranes of 2017"]
    assert words(open_page(client, f"{ARCHIVE}?year=2019"), "//article//h3") == ["Cranes of 2019"]
    assert words(open_page(client, f"{ARCHIVE}old/"), "//nav[contains(@class, 'neighbours')]//a") == [
        "Cranes of 2017",
        "Taller cranes",
    ]
    for path in (FRONT, FEED):
        assert "Cranes of 2019" in client.get(path).content.decode()
    assert f"{ARCHIVE}older/" in client.get(SITEMAP).content.decode()


def test_an_imported_issue_has_the_page_of_any_other(client: Client) -> None:
    import_old("issue-1", 2019)
    page = open_page(client, ISSUE)
    assert words(page, "//h1") == ["Cranes of 2019"]
    assert words(page, "//article/p[@class='meta']/time/@datetime") == ["2019-05-03"]
    assert page.xpath("//aside[@class='correction']") == []


def test_imported_issues_are_found_under_their_own_newsletter(client: Client) -> None:
    make_newsletter("tide", name="Tide & Time")
    import_old("issue-1", 2019)
    assert client.get("/tide/issues/issue-1/").status_code == 404
    assert "Cranes" not in client.get("/tide/issues/").content.decode()


@pytest.mark.parametrize(("path", "queries"), [(FRONT, 7), (ARCHIVE, 8), (FEED, 6)])
def test_corrected_and_imported_issues_cost_one_more_query_whatever_their_number(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries, path: str, queries: int
) -> None:
    for issue in publish_weekly(3):
        correct(issue, preheader="Corrected")
    publish("sent", week=9)
    import_old("old", 2019)
    client.get(path)
    with django_assert_num_queries(queries):
        client.get(path)


def test_the_draft_preview_of_a_corrected_issue_is_what_its_page_shows(admin_client: Client) -> None:
    correct(publish(), title="Lower cranes")
    assert words(html_of(admin_client.get(f"{ISSUE}draft/").content), "//h1") == ["Lower cranes"]
