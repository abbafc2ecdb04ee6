"""Metadata of saved links: fetched once, tried again a few times, and never over what a person wrote."""

from __future__ import annotations

import datetime

import pytest
from django.utils import timezone

from newsletter.gathering import metadata
from newsletter.gathering.metadata import RETRIES, fetch_next_link, problem_of_link, try_again
from newsletter.gathering.page import story_from_link
from newsletter.gathering.saving import NewLink, save_links
from newsletter.models import LinkWay, SavedLink
from newsletter.outbound import FetchPolicy
from tests.publications import make_newsletter
from tests.publisher import Answer, Publisher

pytestmark = pytest.mark.django_db

PAGE = Answer(
    b'<title>Quay 3</title><meta property="og:site_name" content="Harbour Daily">'
    b'<meta name="description" content="Forty tonnes.">',
    headers={"Content-Type": "text/html"},
)


def save(url: str, title: str = "") -> SavedLink:
    return save_links(make_newsletter(), [NewLink(url, title)], way=LinkWay.FORM, by="will")[0].link


def test_the_page_gives_title_source_and_summary(site: Publisher) -> None:
    site.pages["/3"] = PAGE
    link = save(f"{site.url}/3")
    assert fetch_next_link()
    assert not fetch_next_link()
    link.refresh_from_db()
    assert (link.metadata, link.title, link.source, link.summary) == (
        *("fetched", "Quay 3"),
        *("Harbour Daily", "Forty tonnes."),
    )


def test_a_title_that_a_person_wrote_stays(site: Publisher) -> None:
    site.pages["/3"] = PAGE
    link = save(f"{site.url}/3", "My quay")
    fetch_next_link()
    link.refresh_from_db()
    assert (link.title, link.source) == ("My quay", "Harbour Daily")


def test_a_page_that_is_gone_is_not_tried_again_by_itself(site: Publisher) -> None:
    link = save(f"{site.url}/gone")
    fetch_next_link()
    link.refresh_from_db()
    assert (link.metadata, link.fetch_at) == ("failed", None)
    assert "HTTP 404" in problem_of_link(link)
    assert try_again(link.newsletter, [link.pk]) == 1
    site.pages["/gone"] = PAGE
    fetch_next_link()
    link.refresh_from_db()
    assert (link.title, problem_of_link(link)) == ("Quay 3", "")


def test_a_server_with_an_error_is_tried_a_few_times(site: Publisher) -> None:
    site.pages["/3"] = Answer(status=503)
    link = save(f"{site.url}/3")
    waits = []
    while True:
        SavedLink.objects.filter(metadata="pending").update(fetch_at=timezone.now())
        if not fetch_next_link():
            break
        link.refresh_from_db()
        waits.append(round((link.fetch_at - timezone.now()).total_seconds()) if link.fetch_at else None)
    assert waits == [*(round(each.total_seconds()) for each in RETRIES), None]
    assert link.metadata == "failed"
    assert len(site.requests) == 1 + len(RETRIES)


def test_a_private_address_is_not_fetched() -> None:
    link = save("http://169.254.169.254/latest")
    fetch_next_link()
    link.refresh_from_db()
    assert link.metadata == "failed"
    assert "is not on the public internet" in problem_of_link(link)


def test_a_link_is_fetched_by_one_worker_at_a_time(site: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    site.pages["/3"] = PAGE
    save(f"{site.url}/3")
    others: list[bool] = []
    read = story_from_link

    def read_slowly(url: str, policy: FetchPolicy) -> object:
        others.append(fetch_next_link())
        return read(url, policy)

    monkeypatch.setattr(metadata, "story_from_link", read_slowly)
    fetch_next_link()
    assert others == [False]


def test_the_claim_of_a_killed_worker_expires(site: Publisher) -> None:
    save(f"{site.url}/3")
    assert metadata._claim() is not None
    link = SavedLink.objects.get()
    assert link.fetch_at is not None
    assert timezone.now() < link.fetch_at <= timezone.now() + datetime.timedelta(minutes=5)
