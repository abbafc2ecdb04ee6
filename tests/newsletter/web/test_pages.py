"""The public pages: content, access, caching and cost."""

from __future__ import annotations

import datetime
import json

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from newsletter.content.document import SectionContent, StoryContent
from newsletter.models import (
    Batch,
    BatchState,
    Edition,
    Issue,
    IssueState,
    Reason,
    Section,
    Send,
    SendState,
    SendTransition,
    Story,
)
from newsletter.web import archive, public_page
from newsletter.web.pages import ISSUES_PER_PAGE
from tests import people
from tests.newsletter.web.published import open_page, publish, publish_weekly, words
from tests.publications import make_issue, make_newsletter, schedule_send, send_of, start_sending

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

FRONT, ARCHIVE, ISSUE = "/harbour-notes/", "/harbour-notes/issues/", "/harbour-notes/issues/issue-1/"
FEED, SITEMAP = "/harbour-notes/feed.atom", "/sitemap.xml"
EVERYWHERE = ("/", FRONT, ARCHIVE, ISSUE, FEED, SITEMAP, "/robots.txt")


# --- The home page -------------------------------------------------------------------------------------------------


def test_a_new_site_shows_the_first_steps(client: Client) -> None:
    response = client.get("/")
    page = response.content.decode()
    assert "/admin/" in page
    assert "import_issue" in page
    assert "no-store" in response["Cache-Control"]


def test_the_only_newsletter_is_the_home_page_with_its_own_canonical_url(client: Client) -> None:
    publish()
    home = open_page(client, "/")
    assert words(home, "//h1") == ["Harbour Notes"]
    assert words(home, "//link[@rel='canonical']/@href") == ["http://127.0.0.1:8000/harbour-notes/"]
    assert home.xpath("//form/@action") == ["/subscribe/harbour-notes/"]


def test_several_newsletters_are_listed(client: Client) -> None:
    make_newsletter("tide", name="Tide & Time")
    make_newsletter()
    assert words(open_page(client, "/"), "//h2") == ["Harbour Notes", "Tide & Time"]


# --- A newsletter's page -------------------------------------------------------------------------------------------


def test_the_front_page_shows_the_latest_issues_and_a_form(client: Client) -> None:
    publish_weekly(7)
    front = open_page(client, FRONT)
    assert words(front, "//article//h3") == [f"Week {week} at the quays" for week in (7, 6, 5, 4, 3)]
    assert words(front, "//form//label[@for='email']") == ["Email address"]


def test_the_form_on_the_front_page_signs_up(client: Client) -> None:
    make_newsletter()
    fields = {field.get("name"): field.get("value", "") for field in open_page(client, FRONT).xpath("//form//input")}
    answer = client.post("/subscribe/harbour-notes/", {**fields, "email": "gus@example.org"})
    assert answer.status_code == 303
    assert "check-mail" in answer["Location"]


def test_pages_link_to_the_feed(client: Client) -> None:
    publish()
    for path in (FRONT, ARCHIVE, ISSUE):
        assert open_page(client, path).xpath("//link[@type='application/atom+xml']/@href") == [FEED]


# --- The archive ---------------------------------------------------------------------------------------------------


def test_the_archive_is_paginated(client: Client) -> None:
    publish_weekly(ISSUES_PER_PAGE + 2)
    first = open_page(client, ARCHIVE)
    assert words(first, "//article//h3")[0] == f"Week {ISSUES_PER_PAGE + 2} at the quays"
    assert len(first.xpath("//article")) == ISSUES_PER_PAGE
    second = open_page(client, ARCHIVE + first.xpath("//a[@rel='next']/@href")[0])
    assert words(second, "//article//h3") == ["Week 2 at the quays", "Week 1 at the quays"]
    assert words(second, "//link[@rel='canonical']/@href") == ["http://127.0.0.1:8000/harbour-notes/issues/?page=2"]
    assert second.xpath("//a[@rel='prev']/@href") == ["?"]


def test_issues_are_grouped_by_year_and_a_year_can_be_selected(client: Client) -> None:
    publish("early", week=0)
    publish("late", week=50)
    everything = open_page(client, ARCHIVE)
    assert words(everything, "//h2") == ["2027", "2026"]
    assert everything.xpath("//ul[@class='years']//a/@href") == [ARCHIVE, "?year=2027", "?year=2026"]
    assert open_page(client, ARCHIVE + "?year=2026").xpath("//article//a/@href") == [f"{ARCHIVE}early/"]


def test_an_old_issue_that_is_published_late_is_listed_in_its_own_year(client: Client) -> None:
    for slug, year in (("first", 2026), ("looking-back", 2024), ("second", 2026)):
        start_sending(make_issue(slug, date=datetime.date(year, 5, 1)))
    archive_list = open_page(client, ARCHIVE)
    assert words(archive_list, "//h2") == ["2026", "2024"]
    paths = [f"{ARCHIVE}{slug}/" for slug in ("second", "first", "looking-back")]
    assert archive_list.xpath("//article//a/@href") == paths


@pytest.mark.parametrize(
    "query",
    ["page=0", "page=2", "page=-1", "page=1e9", "page=" + "9" * 5000, "page=%00", "year=1999", "year=%ED%A0%80"],
)
def test_an_unknown_page_of_the_archive_is_not_found(client: Client, query: str) -> None:
    publish()
    assert client.get(f"{ARCHIVE}?{query}").status_code == 404


def test_an_unreadable_edition_does_not_hide_other_issues(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    publish_weekly(2)
    break_edition("week-1")
    assert words(open_page(client, ARCHIVE), "//article//h3") == ["Week 2 at the quays"]
    assert "cannot be read" in caplog.text


# --- An issue ------------------------------------------------------------------------------------------------------


def test_an_issue_page_has_a_heading_for_each_section_in_order(client: Client) -> None:
    publish()
    headings = open_page(client, ISSUE).xpath("//main//*[self::h1 or self::h2 or self::h3 or self::h4]")
    assert [(heading.tag, heading.text_content().replace("\xa0", " ").strip()) for heading in headings] == [
        ("h1", "Taller cranes"),
        ("h2", "Signal of the day"),
        ("h2", "Deep dives"),
        ("h3", "Quay 1 gets a taller crane · Harbour Daily"),
        ("h3", "Quay 2 gets a taller crane · Harbour Daily"),
        ("h3", "Quay 3 gets a taller crane · Harbour Daily"),
        ("h2", "The pattern"),
        ("h2", "Get Harbour Notes by email"),
    ]


def test_date_and_length_of_an_issue_are_shown_below_its_title(client: Client) -> None:
    publish()
    page = open_page(client, ISSUE)
    assert words(page, "//h1/following-sibling::p[1]") == ["2 March 2026 · 3 stories · 1 min read · News, Tech"]
    assert page.xpath("//time/@datetime") == ["2026-03-02"]


def test_each_entry_of_the_contents_links_to_its_story(client: Client) -> None:
    publish(stories=31)
    page = open_page(client, ISSUE)
    targets = page.xpath("//details//ol//a/@href")
    assert targets == [f"#story-{number}" for number in range(1, 32)]
    for number, target in enumerate(targets, start=1):
        assert f"Quay {number} gets" in page.get_element_by_id(target.removeprefix("#")).text_content()


def test_an_issue_links_to_the_previous_and_the_next_one(client: Client) -> None:
    publish_weekly(3)
    middle = open_page(client, f"{ARCHIVE}week-2/")
    links = {link.get("rel"): (link.get("href"), link.text) for link in middle.xpath("//a[@rel]")}
    assert links == {
        "prev": (f"{ARCHIVE}week-1/", "Week 1 at the quays"),
        "next": (f"{ARCHIVE}week-3/", "Week 3 at the quays"),
    }


def test_issues_published_at_the_same_time_are_ordered_by_id(client: Client) -> None:
    publish("one", week=1)
    publish("two", week=1)
    assert open_page(client, f"{ARCHIVE}one/").xpath("//a[@rel='next']/@href") == [f"{ARCHIVE}two/"]
    assert open_page(client, f"{ARCHIVE}two/").xpath("//a[@rel='prev']/@href") == [f"{ARCHIVE}one/"]


def test_public_pages_show_the_edition_and_not_the_present_content(client: Client) -> None:
    issue = publish()
    Story.objects.filter(section__issue=issue).update(title="Changed", body="Changed")
    Section.objects.filter(issue=issue).update(title="Changed")
    Issue.objects.filter(pk=issue.pk).update(title="Changed")
    for path in (FRONT, ARCHIVE, ISSUE, FEED):
        page = client.get(path).content.decode()
        assert "Changed" not in page
        assert "Taller cranes" in page


def test_an_issue_page_has_metadata_and_structured_data(client: Client) -> None:
    publish()
    page = open_page(client, ISSUE)
    address = "http://127.0.0.1:8000" + ISSUE
    assert page.xpath("//link[@rel='canonical']/@href") == [address]
    assert page.xpath("//meta[@name='description']/@content") == ["And why the lock keeper smiles."]
    assert page.xpath("//meta[@property='og:url']/@content") == [address]
    data = json.loads(page.xpath("//script[@type='application/ld+json']/text()")[0])
    assert (data["@type"], data["headline"], data["mainEntityOfPage"]) == ("NewsArticle", "Taller cranes", address)


def test_urls_are_made_from_the_settings_and_not_from_the_host_header(client: Client) -> None:
    publish()
    for path in EVERYWHERE:
        assert b"localhost" not in client.get(path, headers={"host": "localhost"}).content


def test_markup_in_text_is_escaped(client: Client) -> None:
    title = "</script><script>alert(1)</script> & “quotes”"
    story = StoryContent(title=title, url="https://a.example/", source="<b>", body="<img src=x onerror=alert(1)>")
    publish(title=title, subject="x", preheader=title, sections=(SectionContent(title=title, stories=(story,)),))
    page = open_page(client, ISSUE)
    assert words(page, "//h1") == [title]
    assert not page.xpath("//script[not(@type='application/ld+json')] | //img | //b")
    assert json.loads(page.xpath("//script/text()")[0])["headline"] == title


# --- Who may see what ----------------------------------------------------------------------------------------------


def make_hidden(status: str) -> Issue:
    """An issue whose status is not public; “undoable”: sent now, and it can still be undone."""
    issue = make_issue(title="Embargoed quay")
    if status == SendState.SCHEDULED:
        schedule_send(issue)
    if status == SendState.CANCELLED:
        start_sending(issue).move(SendState.CANCELLED, by="tests")
    if status == SendState.WITHDRAWN:
        start_sending(issue).move(SendState.WITHDRAWN, by="tests")
    if status == "undoable":
        start_sending(issue)
        Send.objects.filter(issue=issue).update(undo_until=timezone.now() + datetime.timedelta(minutes=1))
    return issue


@pytest.mark.parametrize(
    "status", [IssueState.DRAFT, SendState.SCHEDULED, SendState.CANCELLED, SendState.WITHDRAWN, "undoable"]
)
def test_an_issue_that_is_not_public_appears_nowhere(client: Client, status: str) -> None:
    publish("public", week=1)
    make_hidden(status)
    assert client.get(ISSUE).status_code == 404
    for path in ("/", FRONT, ARCHIVE, f"{ARCHIVE}public/", FEED, SITEMAP):
        page = client.get(path).content.decode()
        assert "Embargoed" not in page
        assert ISSUE not in page


@pytest.mark.parametrize("state", [BatchState.CLAIMED, BatchState.ACCEPTED, BatchState.UNKNOWN, BatchState.HELD])
def test_a_cancelled_issue_that_went_out_is_reachable_by_its_link_only(client: Client, state: str) -> None:
    publish("public", week=1)
    send = start_sending(make_issue(title="Embargoed quay"))
    fields = {"send": send, "edition": send.edition, "first_delivery": 1, "last_delivery": 1, "payload": b"x"}
    Batch.objects.create(**fields, key="one", state=state, recipients=1)
    send.move(SendState.CANCELLED, by="tests")
    page = client.get(ISSUE)
    assert page.status_code == 200
    assert "Embargoed quay" in page.content.decode()
    assert page["X-Robots-Tag"] == "noindex"
    assert "X-Robots-Tag" not in client.get(f"{ARCHIVE}public/")
    for path in ("/", FRONT, ARCHIVE, f"{ARCHIVE}public/", FEED, SITEMAP):
        assert "Embargoed" not in client.get(path).content.decode()


@pytest.mark.parametrize("state", [BatchState.DROPPED, BatchState.REFUSED, BatchState.READY])
def test_a_cancelled_issue_of_which_nothing_went_out_has_no_page(client: Client, state: str) -> None:
    send = start_sending(make_issue())
    fields = {"send": send, "edition": send.edition, "first_delivery": 1, "last_delivery": 1}
    Batch.objects.create(**fields, key="one", state=state, recipients=1)
    send.move(SendState.CANCELLED, by="tests")
    assert client.get(ISSUE).status_code == 404


@pytest.mark.parametrize("status", [SendState.SENDING, SendState.PAUSED])
def test_an_issue_is_public_once_sending_starts(client: Client, status: str) -> None:
    send = start_sending(make_issue())
    if status == SendState.PAUSED:
        send.pause(Reason.OPERATOR)
    assert client.get(ISSUE).status_code == 200


def test_an_issue_is_found_only_under_its_own_newsletter(client: Client) -> None:
    publish()
    make_newsletter("tide", name="Tide & Time")
    assert client.get("/tide/issues/issue-1/").status_code == 404


@pytest.mark.parametrize("path", ["/nobody/", "/nobody/issues/", "/nobody/issues/x/", "/nobody/feed.atom", "/a%00b/"])
def test_an_unknown_newsletter_is_not_found(client: Client, path: str) -> None:
    make_newsletter()
    assert client.get(path).status_code == 404


def test_public_pages_contain_no_personal_data(client: Client) -> None:
    issue = publish()
    subscription = people.ada(issue.newsletter)
    for path in EVERYWHERE:
        page = client.get(path).content.decode()
        assert people.ADA not in page
        assert str(subscription.key) not in page
        assert send_of(issue).edition.nonce not in page
        if path != "/robots.txt":  # which disallows these paths
            assert not [path for path in ("/unsubscribe/", "/preferences/", "/confirm/", "/decline/") if path in page]


@pytest.mark.parametrize("path", EVERYWHERE)
def test_public_pages_use_no_cookies_and_no_scripts(client: Client, path: str) -> None:
    publish()
    response = client.get(path)
    assert not response.cookies
    assert "cookie" not in response.get("Vary", "").lower()
    policy = response["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "sandbox" in policy
    assert "allow-same-origin" not in policy
    assert "allow-scripts" not in policy


@pytest.mark.parametrize("path", EVERYWHERE)
def test_public_pages_allow_get_and_head_only(client: Client, path: str) -> None:
    publish()
    assert client.head(path).status_code == 200
    assert client.post(path).status_code == 405


# --- Caching -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [FRONT, ARCHIVE, ISSUE, FEED])
def test_an_unchanged_page_is_answered_with_304(client: Client, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_page, "TIMESTAMP_PERIOD", 10**9)  # the period does not end between the two requests
    publish()
    first = client.get(path)
    assert first["Cache-Control"] == "public, max-age=300"
    for condition in ({"If-None-Match": first["ETag"]}, {"If-Modified-Since": first["Last-Modified"]}):
        again = client.get(path, headers=condition)
        assert (again.status_code, again.content) == (304, b"")
        assert again["ETag"] == first["ETag"]


@pytest.mark.parametrize("path", [FRONT, ARCHIVE, ISSUE, FEED])
def test_a_page_changes_when_an_issue_is_withdrawn(client: Client, path: str) -> None:
    publish("issue-1", week=1)
    withdrawn = start_sending(make_issue("issue-2", title="Soon gone"))
    SendTransition.objects.update(at=timezone.now() - datetime.timedelta(hours=1))
    before = client.get(path)
    withdrawn.move(SendState.CANCELLED, by="tests")
    for condition in ({"If-None-Match": before["ETag"]}, {"If-Modified-Since": before["Last-Modified"]}):
        assert client.get(path, headers=condition).status_code == 200


@pytest.mark.parametrize("path", [FRONT, ARCHIVE, FEED])
def test_a_page_changes_when_the_undo_window_of_an_issue_ends(client: Client, path: str) -> None:
    publish("issue-1", week=1)
    start_sending(make_issue("issue-2", title="Soon here"))
    SendTransition.objects.update(at=timezone.now() - datetime.timedelta(hours=1))
    undoable = Send.objects.filter(issue__slug="issue-2")
    undoable.update(undo_until=timezone.now() + datetime.timedelta(minutes=1))
    before = client.get(path)
    undoable.update(undo_until=timezone.now())
    for condition in ({"If-None-Match": before["ETag"]}, {"If-Modified-Since": before["Last-Modified"]}):
        assert "Soon here" in client.get(path, headers=condition).content.decode()


def test_pages_are_compressed(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_page, "TIMESTAMP_PERIOD", 10**9)
    publish(stories=31)
    plain, compressed = client.get(ISSUE), client.get(ISSUE, headers={"Accept-Encoding": "gzip"})
    assert compressed["Content-Encoding"] == "gzip"
    assert len(compressed.content) < len(plain.content) / 2
    again = client.get(ISSUE, headers={"Accept-Encoding": "gzip", "If-None-Match": compressed["ETag"]})
    assert again.status_code == 304


# --- Cost ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "queries"), [("/", 6), (FRONT, 6), (ARCHIVE, 7), (f"{ARCHIVE}week-1/", 8), (FEED, 5)])
@pytest.mark.parametrize("issues", [1, 12])
def test_the_number_of_queries_does_not_depend_on_the_number_of_issues(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries, path: str, queries: int, issues: int
) -> None:
    publish_weekly(issues)
    with django_assert_num_queries(queries):
        client.get(path)


def test_the_markdown_of_an_edition_is_parsed_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(title="Parsed once")
    client.get(ISSUE)
    monkeypatch.setattr(archive, "view_issue", lambda content: pytest.fail("parsed again"))
    assert client.get(ISSUE).status_code == 200
    assert client.get(FEED).status_code == 200


def break_edition(slug: str) -> None:
    """Replace the edition by one with unreadable content."""
    send = Send.objects.get(issue__slug=slug)
    broken = Edition.objects.create(
        issue=send.issue,
        revision=send.edition.revision,
        subject="?",
        html="",
        text="",
        nonce="0" * 12,
        envelope={},
        content={"title": "?"},
        sha256="0" * 64,
    )
    Send.objects.filter(pk=send.pk).update(edition=broken)
