"""The URLs of the site, robots.txt and sitemap, and the error pages."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.core.exceptions import ValidationError
from django.template import loader
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from newsletter.models import Newsletter
from newsletter.models.newsletter import RESERVED_SLUGS
from subscribers.consent.tokens import Purpose
from tests.newsletter.web.published import html_of, parse_xml, publish
from tests.publications import make_newsletter


def first_parts() -> Iterator[str]:
    """The fixed first part of every URL of the site: `admin` of `admin/login/`."""
    for pattern in get_resolver().url_patterns:
        yield from _first_part(pattern, "")


def _first_part(pattern: URLPattern | URLResolver, before: str) -> Iterator[str]:
    path = before + str(pattern.pattern).removeprefix("^")
    if isinstance(pattern, URLResolver) and "/" not in path:
        for below in pattern.url_patterns:
            yield from _first_part(below, path)
    elif fixed := re.match(r"[-\w]+(?=/)", path):
        yield fixed[0]


def test_no_newsletter_can_have_a_slug_that_the_site_uses() -> None:
    taken = set(first_parts())
    assert {"admin", "subscribe", "unsubscribe", "webhooks"} <= taken
    assert taken <= RESERVED_SLUGS


@pytest.mark.parametrize("slug", ["admin", "Admin", "static", "unsubscribe"])
def test_a_newsletter_with_a_reserved_slug_is_refused(slug: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        Newsletter(slug=slug).clean()
    assert "Choose a different slug." in refusal.value.message_dict["slug"][0]


def test_a_slug_that_begins_with_a_reserved_one_is_allowed() -> None:
    Newsletter(slug="administration").clean()


@pytest.mark.django_db
def test_fixed_urls_take_precedence_over_newsletters(client: Client) -> None:
    make_newsletter("admin")
    assert client.get("/admin/").status_code == 302


@pytest.mark.django_db
def test_robots_txt_disallows_pages_of_subscribers_and_editors(client: Client) -> None:
    lines = client.get("/robots.txt").content.decode().splitlines()
    assert lines[0] == "User-agent: *"
    assert {f"Disallow: /{purpose}/" for purpose in Purpose} <= set(lines)
    assert "Disallow: /admin/" in lines
    assert "Disallow: /" not in lines
    assert not [line for line in lines if line.startswith("Disallow: /static")]
    assert lines[-1] == "Sitemap: http://127.0.0.1:8000/sitemap.xml"


@pytest.mark.django_db
def test_the_sitemap_lists_every_public_page(client: Client) -> None:
    publish()
    root = parse_xml(client.get("/sitemap.xml"))
    site = "http://127.0.0.1:8000/harbour-notes"
    assert [address.text for address in root.iter("{*}loc")] == [
        f"{site}/",
        f"{site}/issues/",
        f"{site}/issues/issue-1/",
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/nothing/here/", "/nobody/", "/%ff%fe/", "/" + "x" * 3000 + "/"])
def test_an_unknown_url_shows_the_not_found_page(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    page = html_of(response.content)
    assert page.findtext(".//h1") == "Page not found"
    assert page.xpath("//main//a/@href") == ["/"]


def test_the_error_page_needs_neither_database_nor_request() -> None:
    page = html_of(loader.get_template("500.html").render().encode())
    assert page.findtext(".//h1") == "Something went wrong"


def test_an_exception_shows_the_error_page(client: Client) -> None:
    client.raise_request_exception = False
    response = client.get("/")  # no database in this test: it may not be used, so the view fails
    assert response.status_code == 500
    assert "Something went wrong" in response.content.decode()
