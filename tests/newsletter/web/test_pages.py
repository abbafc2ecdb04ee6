"""The pages of a newsletter: what they show, and what they never do."""

from __future__ import annotations

import datetime
import json

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from newsletter.content.document import SectionContent, StoryContent
from newsletter.models import Edition, Issue, IssueStatus, Section, Story
from newsletter.web import archive, signup_box
from newsletter.web.pages import ISSUES_A_PAGE
from tests import people
from tests.newsletter.web.published import publish, publish_weekly, see, words
from tests.publications import make_issue, make_newsletter, start_sending

pytestmark = pytest.mark.django_db

FRONT, ARCHIVE, ISSUE = "/harbour-notes/", "/harbour-notes/issues/", "/harbour-notes/issues/issue-1/"
FEED, SITEMAP = "/harbour-notes/feed.atom", "/sitemap.xml"
EVERYWHERE = ("/", FRONT, ARCHIVE, ISSUE, FEED, SITEMAP, "/robots.txt")


# --- The home page -------------------------------------------------------------------------------------------------


def test_a_new_site_tells_its_operator_what_to_do_first(client: Client) -> None:
    response = client.get("/")
    page = response.content.decode()
    assert "/admin/" in page
    assert "import_issue" in page
    assert "no-store" in response["Cache-Control"]


def test_the_only_newsletter_is_the_home_page_under_its_own_address(client: Client) -> None:
    publish()
    home = see(client, "/")
    assert words(home, "//h1") == ["Harbour Notes"]
    assert words(home, "//link[@rel='canonical']/@href") == ["http://127.0.0.1:8000/harbour-notes/"]
    assert home.xpath("//form/@action") == ["/subscribe/harbour-notes/"]


def test_several_newsletters_are_listed(client: Client) -> None:
    make_newsletter("tide", name="Tide & Time")
    make_newsletter()
    assert words(see(client, "/"), "//h2") == ["Harbour Notes", "Tide & Time"]


# --- A newsletter's page -------------------------------------------------------------------------------------------


def test_the_front_page_shows_the_latest_issues_and_a_form(client: Client) -> None:
    publish_weekly(7)
    front = see(client, FRONT)
    assert words(front, "//article//h3") == [f"Week {week} at the quays" for week in (7, 6, 5, 4, 3)]
    assert words(front, "//form//label[@for='email']") == ["Email address"]


def test_the_form_on_the_front_page_signs_up(client: Client) -> None:
    make_newsletter()
    fields = {field.get("name"): field.get("value", "") for field in see(client, FRONT).xpath("//form//input")}
    answer = client.post("/subscribe/harbour-notes/", {**fields, "email": "gus@example.org"})
    assert answer.status_code == 303
    assert "check-mail" in answer["Location"]


def test_a_page_offers_the_feed_to_readers_of_feeds(client: Client) -> None:
    publish()
    for path in (FRONT, ARCHIVE, ISSUE):
        assert see(client, path).xpath("//link[@type='application/atom+xml']/@href") == [FEED]


# --- The archive ---------------------------------------------------------------------------------------------------


def test_the_archive_goes_back_page_by_page(client: Client) -> None:
    publish_weekly(ISSUES_A_PAGE + 2)
    first = see(client, ARCHIVE)
    assert words(first, "//article//h3")[0] == f"Week {ISSUES_A_PAGE + 2} at the quays"
    assert len(first.xpath("//article")) == ISSUES_A_PAGE
    second = see(client, ARCHIVE + first.xpath("//a[@rel='next']/@href")[0])
    assert words(second, "//article//h3") == ["Week 2 at the quays", "Week 1 at the quays"]
    assert words(second, "//link[@rel='canonical']/@href") == ["http://127.0.0.1:8000/harbour-notes/issues/?page=2"]
    assert second.xpath("//a[@rel='prev']/@href") == ["?"]


def test_issues_stand_under_their_years_and_a_year_can_be_chosen(client: Client) -> None:
    publish("early", week=0)
    publish("late", week=50)
    everything = see(client, ARCHIVE)
    assert words(everything, "//h2") == ["2027", "2026"]
    assert everything.xpath("//ul[@class='years']//a/@href") == [ARCHIVE, "?year=2027", "?year=2026"]
    assert see(client, ARCHIVE + "?year=2026").xpath("//article//a/@href") == [f"{ARCHIVE}early/"]


def test_an_old_issue_that_is_published_late_joins_its_own_year(client: Client) -> None:
    for slug, year in (("first", 2026), ("looking-back", 2024), ("second", 2026)):
        start_sending(make_issue(slug, date=datetime.date(year, 5, 1)))
    archive_list = see(client, ARCHIVE)
    assert words(archive_list, "//h2") == ["2026", "2024"]
    paths = [f"{ARCHIVE}{slug}/" for slug in ("second", "first", "looking-back")]
    assert archive_list.xpath("//article//a/@href") == paths


@pytest.mark.parametrize(
    "query",
    ["page=0", "page=2", "page=-1", "page=1e9", "page=" + "9" * 5000, "page=%00", "year=1999", "year=%ED%A0%80"],
)
def test_a_page_that_is_not_there_is_not_found(client: Client, query: str) -> None:
    publish()
    assert client.get(f"{ARCHIVE}?{query}").status_code == 404


def test_an_edition_that_cannot_be_read_takes_no_other_issue_with_it(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    publish_weekly(2)
    spoil("week-1")
    assert words(see(client, ARCHIVE), "//article//h3") == ["Week 2 at the quays"]
    assert "cannot be read" in caplog.text


# --- An issue ------------------------------------------------------------------------------------------------------


def test_an_issue_page_has_a_heading_for_each_part_in_order(client: Client) -> None:
    publish()
    headings = see(client, ISSUE).xpath("//main//*[self::h1 or self::h2 or self::h3 or self::h4]")
    assert [(heading.tag, heading.text_content().replace("\xa0", " ").strip()) for heading in headings] == [
        ("h1", "Taller cranes"),
        ("h2", "Signal of the day"),
        ("h2", "Deep dives"),
        ("h3", "Quay 1 gets a taller crane · Harbour Daily"),
        ("h3", "Quay 2 gets a taller crane · Harbour Daily"),
        ("h3", "Quay 3 gets a taller crane · Harbour Daily"),
        ("h2", "The pattern"),
        ("h2", "Get Harbour Notes by mail"),
    ]


def test_the_facts_of_an_issue_stand_below_its_title(client: Client) -> None:
    publish()
    page = see(client, ISSUE)
    assert words(page, "//h1/following-sibling::p[1]") == ["Monday, 2 March 2026 · 3 stories · 1 min read · News, Tech"]
    assert page.xpath("//time/@datetime") == ["2026-03-02"]


def test_each_story_of_the_contents_list_leads_to_its_story(client: Client) -> None:
    publish(stories=31)
    page = see(client, ISSUE)
    targets = page.xpath("//details//ol//a/@href")
    assert targets == [f"#story-{number}" for number in range(1, 32)]
    for number, target in enumerate(targets, start=1):
        assert f"Quay {number} gets" in page.get_element_by_id(target.removeprefix("#")).text_content()


def test_the_issues_before_and_after_are_one_step_away(client: Client) -> None:
    publish_weekly(3)
    middle = see(client, f"{ARCHIVE}week-2/")
    steps = {link.get("rel"): (link.get("href"), link.text) for link in middle.xpath("//a[@rel]")}
    assert steps == {
        "prev": (f"{ARCHIVE}week-1/", "Week 1 at the quays"),
        "next": (f"{ARCHIVE}week-3/", "Week 3 at the quays"),
    }


def test_issues_published_in_the_same_moment_are_neighbours_all_the_same(client: Client) -> None:
    publish("one", week=1)
    publish("two", week=1)
    assert see(client, f"{ARCHIVE}one/").xpath("//a[@rel='next']/@href") == [f"{ARCHIVE}two/"]
    assert see(client, f"{ARCHIVE}two/").xpath("//a[@rel='prev']/@href") == [f"{ARCHIVE}one/"]


def test_the_page_shows_what_was_sent_whatever_the_rows_say_now(client: Client) -> None:
    issue = publish()
    Story.objects.filter(section__issue=issue).update(title="Changed", body="Changed")
    Section.objects.filter(issue=issue).update(title="Changed")
    Issue.objects.filter(pk=issue.pk).update(title="Changed")
    for path in (FRONT, ARCHIVE, ISSUE, FEED):
        page = client.get(path).content.decode()
        assert "Changed" not in page
        assert "Taller cranes" in page


def test_an_issue_describes_itself_to_other_programs(client: Client) -> None:
    publish()
    page = see(client, ISSUE)
    address = "http://127.0.0.1:8000" + ISSUE
    assert page.xpath("//link[@rel='canonical']/@href") == [address]
    assert page.xpath("//meta[@name='description']/@content") == ["And why the lock keeper smiles."]
    assert page.xpath("//meta[@property='og:url']/@content") == [address]
    data = json.loads(page.xpath("//script[@type='application/ld+json']/text()")[0])
    assert (data["@type"], data["headline"], data["mainEntityOfPage"]) == ("NewsArticle", "Taller cranes", address)


def test_addresses_come_from_the_settings_never_from_the_request(client: Client) -> None:
    publish()
    for path in EVERYWHERE:
        assert b"localhost" not in client.get(path, headers={"host": "localhost"}).content


def test_text_that_looks_like_markup_stays_text(client: Client) -> None:
    title = "</script><script>alert(1)</script> & “quotes”"
    story = StoryContent(title=title, url="https://a.example/", source="<b>", body="<img src=x onerror=alert(1)>")
    publish(title=title, subject="x", preheader=title, sections=(SectionContent(title=title, stories=(story,)),))
    page = see(client, ISSUE)
    assert words(page, "//h1") == [title]
    assert not page.xpath("//script[not(@type='application/ld+json')] | //img | //b")
    assert json.loads(page.xpath("//script/text()")[0])["headline"] == title


# --- Who may see what ----------------------------------------------------------------------------------------------


def make_hidden(status: str) -> Issue:
    """An issue in a state that readers must not see."""
    issue = make_issue(title="Embargoed quay")
    if status == IssueStatus.SCHEDULED:
        issue.move(IssueStatus.SCHEDULED, by="tests", scheduled_at=timezone.now())
    if status == IssueStatus.CANCELLED:
        start_sending(issue).move(IssueStatus.CANCELLED, by="tests")
    return issue


@pytest.mark.parametrize("status", [IssueStatus.DRAFT, IssueStatus.SCHEDULED, IssueStatus.CANCELLED])
def test_an_issue_that_is_not_public_is_nowhere(client: Client, status: str) -> None:
    publish("public", week=1)
    make_hidden(status)
    assert client.get(ISSUE).status_code == 404
    for path in ("/", FRONT, ARCHIVE, f"{ARCHIVE}public/", FEED, SITEMAP):
        page = client.get(path).content.decode()
        assert "Embargoed" not in page
        assert ISSUE not in page


@pytest.mark.parametrize("status", [IssueStatus.SENDING, IssueStatus.PAUSED])
def test_an_issue_is_public_from_its_first_mail_on(client: Client, status: str) -> None:
    issue = start_sending(make_issue())
    if status == IssueStatus.PAUSED:
        issue.move(IssueStatus.PAUSED, by="tests")
    assert client.get(ISSUE).status_code == 200


def test_an_issue_is_found_in_its_own_newsletter_only(client: Client) -> None:
    publish()
    make_newsletter("tide", name="Tide & Time")
    assert client.get("/tide/issues/issue-1/").status_code == 404


@pytest.mark.parametrize("path", ["/nobody/", "/nobody/issues/", "/nobody/issues/x/", "/nobody/feed.atom", "/a%00b/"])
def test_a_newsletter_that_is_not_there_is_not_found(client: Client, path: str) -> None:
    make_newsletter()
    assert client.get(path).status_code == 404


def test_public_pages_hold_nothing_of_any_reader(client: Client) -> None:
    issue = publish()
    reader = people.ada(issue.newsletter)
    for path in EVERYWHERE:
        page = client.get(path).content.decode()
        assert people.ADA not in page
        assert str(reader.key) not in page
        assert issue.edition is not None
        assert issue.edition.nonce not in page
        if path != "/robots.txt":  # which names these folders to keep robots out
            assert not [door for door in ("/unsubscribe/", "/preferences/", "/confirm/", "/decline/") if door in page]


@pytest.mark.parametrize("path", EVERYWHERE)
def test_public_pages_use_no_cookie_no_script_and_no_other_site(client: Client, path: str) -> None:
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
def test_public_pages_can_only_be_read(client: Client, path: str) -> None:
    publish()
    assert client.head(path).status_code == 200
    assert client.post(path).status_code == 405


# --- Asking again --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [FRONT, ARCHIVE, ISSUE, FEED])
def test_who_has_the_page_already_is_told_so(client: Client, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signup_box, "STEP", 10**9)  # no turn of a step between the two requests
    publish()
    first = client.get(path)
    assert first["Cache-Control"] == "public, max-age=300"
    for question in ({"If-None-Match": first["ETag"]}, {"If-Modified-Since": first["Last-Modified"]}):
        again = client.get(path, headers=question)
        assert (again.status_code, again.content) == (304, b"")
        assert again["ETag"] == first["ETag"]


@pytest.mark.parametrize("path", [FRONT, ARCHIVE, ISSUE, FEED])
def test_a_page_changes_when_an_issue_comes_or_goes(client: Client, path: str) -> None:
    publish("issue-1", week=1)
    withdrawn = start_sending(make_issue("issue-2", title="Soon gone"))
    Issue.objects.update(updated_at=timezone.now() - datetime.timedelta(hours=1))
    before = client.get(path)
    withdrawn.move(IssueStatus.CANCELLED, by="tests")
    for question in ({"If-None-Match": before["ETag"]}, {"If-Modified-Since": before["Last-Modified"]}):
        assert client.get(path, headers=question).status_code == 200


def test_pages_travel_compressed(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signup_box, "STEP", 10**9)
    publish(stories=31)
    whole, packed = client.get(ISSUE), client.get(ISSUE, headers={"Accept-Encoding": "gzip"})
    assert packed["Content-Encoding"] == "gzip"
    assert len(packed.content) < len(whole.content) / 2
    again = client.get(ISSUE, headers={"Accept-Encoding": "gzip", "If-None-Match": packed["ETag"]})
    assert again.status_code == 304


# --- Cost ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "queries"), [("/", 3), (FRONT, 3), (ARCHIVE, 5), (f"{ARCHIVE}week-1/", 5), (FEED, 3)])
@pytest.mark.parametrize("issues", [1, 12])
def test_a_page_asks_the_database_equally_often_however_much_there_is(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries, path: str, queries: int, issues: int
) -> None:
    publish_weekly(issues)
    with django_assert_num_queries(queries):
        client.get(path)


def test_the_markdown_of_an_edition_is_read_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(title="Read once")
    client.get(ISSUE)
    monkeypatch.setattr(archive, "view_issue", lambda content: pytest.fail("read again"))
    assert client.get(ISSUE).status_code == 200
    assert client.get(FEED).status_code == 200


def spoil(slug: str) -> None:
    """Replace an edition by one whose content no version of the program can read."""
    issue = Issue.objects.get(slug=slug)
    assert issue.edition is not None
    spoilt = Edition.objects.create(
        issue=issue,
        revision=issue.revision,
        subject="?",
        html="",
        text="",
        nonce="0" * 12,
        envelope={},
        content={"title": "?"},
        sha256="0" * 64,
    )
    Issue.objects.filter(pk=issue.pk).update(edition=spoilt)
