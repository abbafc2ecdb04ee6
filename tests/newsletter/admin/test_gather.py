"""A story made from a link, and the feeds of a newsletter."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from newsletter.content.store import load_content
from newsletter.models import Feed, Issue, Newsletter
from tests.feeds import make_links
from tests.newsletter.admin.pages import form_data, page_of, words_on
from tests.publications import make_issue, make_newsletter, start_sending
from tests.publisher import Answer, Publisher, publishing

pytestmark = pytest.mark.any_database

PAGE = b'<title>Quay 3</title><meta property="og:site_name" content="Harbour Daily">'
HTML = {"Content-Type": "text/html"}


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    monkeypatch.setattr(settings, "FETCH_ALLOWED_HOSTS", ("127.0.0.1",))
    with publishing() as publisher:
        publisher.pages["/3"] = Answer(PAGE, headers=HTML)
        yield publisher


def last_story(issue: Issue) -> tuple[str, str, str]:
    section = next(section for section in reversed(load_content(issue).sections) if section.stories)
    return section.title, section.stories[-1].title, section.stories[-1].url


def test_the_page_of_feeds_leads_to_the_inbox(edda: Client, issue: Issue) -> None:
    answer = edda.get(page_of(issue, "feeds"))
    assert answer["Location"] == f"{reverse('inbox')}?newsletter={issue.newsletter_id}&issue={issue.pk}"


def test_a_link_cannot_be_added_to_an_issue_that_is_not_a_draft(edda: Client, issue: Issue, site: Publisher) -> None:
    start_sending(issue)
    assert "Stories can be added to drafts only. The status of this issue is Sending." in words_on(
        edda.get(page_of(issue, "link"))
    )
    answer = edda.post(page_of(issue, "link"), {"url": f"{site.url}/3"})
    assert "Nothing was added." in words_on(answer)


# From a link


def test_a_link_becomes_a_story(edda: Client, issue: Issue, site: Publisher) -> None:
    answer = edda.post(page_of(issue, "link"), {"url": f" {site.url}/3 ", "section": ""}, follow=True)
    assert "“Quay 3” was added to the draft." in words_on(answer)
    assert last_story(issue) == ("Deep dives", "Quay 3", f"{site.url}/3")


def test_a_link_that_cannot_be_read_can_be_added_alone(edda: Client, issue: Issue, site: Publisher) -> None:
    sent = {"url": f"{site.url}/gone", "new_section": "Ferries"}
    refused = edda.post(page_of(issue, "link"), sent)
    assert "No story could be made from this link. The server responded with an error (HTTP 404)." in words_on(refused)
    assert f"{site.url}/gone" in refused.content.decode(), "the input is kept"
    edda.post(page_of(issue, "link"), sent | {"bare": ""})
    assert last_story(issue) == ("Ferries", "", f"{site.url}/gone")


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("", "This field is required"),
        ("quay.example/3", "is not a full web address"),
        ("javascript:alert(1)", "is not a full web address"),
        ("http://127.0.0.1:9/", "is not on the public internet"),
        ("http://2130706433/", "is not on the public internet"),
    ],
)
def test_an_invalid_link_is_refused(edda: Client, issue: Issue, url: str, text: str) -> None:
    revision = issue.revision
    assert text in words_on(edda.post(page_of(issue, "link"), {"url": url}))
    issue.refresh_from_db()
    assert issue.revision == revision


def test_a_link_that_is_already_in_another_issue_is_added_with_a_warning(
    edda: Client, issue: Issue, site: Publisher
) -> None:
    edda.post(page_of(issue, "link"), {"url": f"{site.url}/3"})
    next_issue = make_issue("issue-2", title="Quieter ferries")
    answer = edda.post(page_of(next_issue, "link"), {"url": f"{site.url}/3#photo"}, follow=True)
    assert "The issue “Taller cranes” already contains its link" in words_on(answer)
    assert last_story(next_issue)[1] == "Quay 3"


def test_a_second_click_does_not_add_a_second_story(edda: Client, issue: Issue, site: Publisher) -> None:
    edda.post(page_of(issue, "link"), {"url": f"{site.url}/3"})
    before = load_content(issue)
    again = edda.post(page_of(issue, "link"), {"url": f"{site.url}/3#photo"})
    assert "Nothing was added. The draft already contains this link, in the story “Quay 3”." in words_on(again)
    assert load_content(issue) == before


def test_the_compose_page_links_to_the_inbox_and_to_the_page(edda: Client, issue: Issue) -> None:
    make_links(1, 2)
    answer = edda.get(page_of(issue))
    assert f"{reverse('inbox')}?newsletter={issue.newsletter_id}&amp;issue={issue.pk}" in answer.content.decode()
    assert "Add from inbox… 2" in words_on(answer)
    assert page_of(issue, "link") in answer.content.decode()


# Feeds of a newsletter


def newsletter_url(newsletter: Newsletter) -> str:
    return reverse("admin:newsletter_newsletter_change", args=[newsletter.pk])


def follow(client: Client, newsletter: Newsletter, **fields: str) -> Any:
    url = newsletter_url(newsletter)
    sent = form_data(client, url, "//form[@id='newsletter_form']")
    return client.post(url, sent | {f"feeds-0-{name}": value for name, value in fields.items()}, follow=True)


def test_a_new_feed_is_due_at_once(edda: Client) -> None:
    newsletter = make_newsletter()
    follow(edda, newsletter, url=" https://quay.example/feed ", section="News")
    feed = Feed.objects.get()
    assert (feed.url, feed.section, feed.is_active) == ("https://quay.example/feed", "News", True)
    assert feed.next_poll_at <= timezone.now()


@pytest.mark.parametrize("url", ["quay.example/feed", "file:///etc/passwd", "javascript:alert(1)"])
def test_a_feed_needs_a_web_address(edda: Client, url: str) -> None:
    assert "is not a full web address" in words_on(follow(edda, make_newsletter(), url=url))
    assert not Feed.objects.exists()


def test_a_feed_with_a_new_address_is_reset(edda: Client) -> None:
    newsletter = make_newsletter()
    later = timezone.now() + datetime.timedelta(days=1)
    Feed.objects.create(
        newsletter=newsletter,
        url="https://quay.example/old",
        etag='"1"',
        problem="feed_not_found",
        failures=9,
        next_poll_at=later,
    )
    follow(edda, newsletter, source="Harbour Daily")
    feed = Feed.objects.get()
    assert (feed.source, feed.failures, feed.next_poll_at) == ("Harbour Daily", 9, later)
    follow(edda, newsletter, url="https://quay.example/new")
    feed = Feed.objects.get()
    assert (feed.etag, feed.problem, feed.failures) == ("", "", 0)
    assert feed.next_poll_at <= timezone.now()


@pytest.mark.django_db
def test_the_permissions_of_feeds_are_those_of_the_newsletter() -> None:
    newsletter = make_newsletter()
    Feed.objects.create(newsletter=newsletter, url="https://quay.example/feed")
    shown = {}
    for name, codename in (("nora", "change_newsletter"), ("vera", "view_newsletter")):
        user = User.objects.create_user(name, is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename=codename))
        client = Client()
        client.force_login(user)
        shown[name] = client.get(newsletter_url(newsletter)).content.decode()
    assert 'name="feeds-0-url"' in shown["nora"]
    assert 'name="feeds-0-url"' not in shown["vera"]
    assert "https://quay.example/feed" in shown["vera"]
