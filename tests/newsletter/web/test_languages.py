"""Public pages and feeds speak the language of their newsletter, to every visitor."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import translation

from newsletter.models import Newsletter
from newsletter.web import public_page
from tests.newsletter.web.published import open_page, publish, words
from tests.publications import make_newsletter

pytestmark = pytest.mark.django_db

FRONT, ARCHIVE, ISSUE = "/harbour-notes/", "/harbour-notes/issues/", "/harbour-notes/issues/issue-1/"
FEED = "/harbour-notes/feed.atom"


@pytest.mark.parametrize("path", ["/", FRONT, ARCHIVE, ISSUE])
def test_a_page_is_in_the_language_of_the_newsletter(client: Client, path: str) -> None:
    publish(newsletter=make_newsletter(language="de"))
    page = open_page(client, path)
    assert page.get("lang") == "de"
    assert words(page, "//time") == ["2. März 2026"]
    assert words(page, "//article/@lang")[0] == "de"


@pytest.mark.parametrize("path", ["/", FRONT, ARCHIVE, ISSUE, FEED])
def test_a_page_is_the_same_for_every_visitor(client: Client, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_page, "TIMESTAMP_PERIOD", 10**9)
    publish(newsletter=make_newsletter(language="fr"))
    plain = client.get(path)
    client.cookies["django_language"] = "de"
    with translation.override("es"):
        other = client.get(path, headers={"Accept-Language": "de"})
    assert other.content == plain.content
    assert "Accept-Language" not in other.get("Vary", "")
    assert "Cookie" not in other.get("Vary", "")


def test_a_list_of_newsletters_is_in_the_language_of_the_site(client: Client) -> None:
    make_newsletter(language="de")
    make_newsletter("tide", language="fr")
    page = open_page(client, "/")
    assert page.get("lang") == "en"
    assert words(page, "//article/@lang") == ["de", "fr"]


def test_pages_of_a_newsletter_without_translations_are_in_english(client: Client) -> None:
    publish(newsletter=make_newsletter(language="ar"))
    page = open_page(client, ISSUE)
    assert page.get("lang") == "en"
    assert (words(page, "//article/@lang"), words(page, "//article/@dir")) == (["ar"], ["rtl"])
    assert words(page, "//p[@class='meta'][time]/@lang") == ["en"]


@pytest.mark.parametrize(
    ("language", "spoken"), [("de", "de"), ("de-AT", "de"), ("fr", "fr"), ("pt-BR", "en"), ("", "en"), ("x y", "en")]
)
def test_regional_variants_fall_back_to_their_language_and_others_to_english(language: str, spoken: str) -> None:
    assert Newsletter(language=language).page_language == spoken
