"""The brand on public pages: its stylesheet, masthead, pictures and links."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import reverse

from newsletter.content.document import SectionContent, SectionKind
from newsletter.models import Brand, Newsletter
from newsletter.rendering import load_theme
from newsletter.rendering.brand import BrandSettings, branded
from newsletter.rendering.web_style import web_stylesheet
from subscribers.consent.tokens import LinkSigner, Purpose
from tests.newsletter.rendering.sample_issues import sample_issue, shipped_themes
from tests.newsletter.web.published import html_of, open_page, publish, words
from tests.people import ada, make_mailing_list
from tests.publications import make_newsletter

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

PICTURE = "https://pictures.example/"
TOKENS = ("paper", "tint", "title", "ink", "quiet", "link", "accent", "rule", "line", "button", "button-text")


@pytest.fixture
def newsletter() -> Newsletter:
    return make_newsletter()


def in_brand(newsletter: Newsletter, **fields: Any) -> Brand:
    brand, _ = Brand.objects.update_or_create(newsletter=newsletter, defaults=fields)
    return brand


def stylesheets(page: Any) -> list[str]:
    return [href for href in words(page, "//link[@rel='stylesheet']/@href") if "/brand-" in href]


def front(newsletter: Newsletter) -> str:
    return reverse("newsletter", args=[newsletter.slug])


@pytest.mark.parametrize("theme", shipped_themes(), ids=lambda theme: theme.name)
def test_the_stylesheet_has_the_tokens_of_the_mail(theme: Any) -> None:
    style = web_stylesheet(branded(theme, BrandSettings(accent="#7a1f5c", paper="cool")).theme)
    for token in TOKENS:
        assert re.search(rf"--{token}:light-dark\(#[0-9a-f]{{6}},#[0-9a-f]{{6}}\)", style), token
    assert "--accent:light-dark(#7a1f5c," in style
    assert "--paper:light-dark(#f7f9fc,#13171e)" in style
    assert f"--radius:{theme.radius}px" in style
    assert "<" not in style


def test_the_masthead_has_the_form_of_the_theme() -> None:
    forms = {theme.name: web_stylesheet(theme) for theme in shipped_themes()}
    assert [name for name, style in forms.items() if "background:var(--head)" in style] == ["workbench"]
    assert [name for name, style in forms.items() if "flex-direction:column" in style] == ["gazette"]


def test_the_stylesheet_is_kept_forever_under_its_hash(client: Client, newsletter: Newsletter) -> None:
    (url,) = stylesheets(open_page(client, front(newsletter)))
    response = client.get(url)
    assert response["Content-Type"] == "text/css; charset=utf-8"
    assert response["Cache-Control"] == "public, max-age=31536000, immutable"
    assert not response.cookies
    assert response.content.decode() == web_stylesheet(load_theme("plain"))


def test_a_changed_brand_has_another_url_and_the_earlier_one_still_answers(
    client: Client, newsletter: Newsletter
) -> None:
    (before,) = stylesheets(open_page(client, front(newsletter)))
    in_brand(newsletter, accent="#7a1f5c")
    (after,) = stylesheets(open_page(client, front(newsletter)))
    assert before != after
    earlier = client.get(before)
    assert "#7a1f5c" in earlier.content.decode()
    assert "immutable" not in earlier["Cache-Control"]


def test_a_theme_that_cannot_be_used_leaves_pages_readable(
    client: Client, newsletter: Newsletter, caplog: pytest.LogCaptureFixture
) -> None:
    Newsletter.objects.update(theme="lost")
    (url,) = stylesheets(open_page(client, front(newsletter)))
    assert client.get(url).content.decode() == web_stylesheet(load_theme("plain"))
    assert "are shown in the theme Plain" in caplog.text


def test_every_page_of_a_newsletter_has_its_brand(client: Client, newsletter: Newsletter) -> None:
    in_brand(newsletter, accent="#7a1f5c")
    publish()
    subscription = ada(newsletter)
    paths = [
        front(newsletter),
        reverse("archive", args=[newsletter.slug]),
        reverse("issue", args=[newsletter.slug, "issue-1"]),
        reverse("subscribe", args=[newsletter.slug]),
        *(
            reverse(purpose.value, args=[LinkSigner(purpose).token_of(subscription.key)])
            for purpose in (Purpose.UNSUBSCRIBE, Purpose.PREFERENCES)
        ),
    ]
    found = {path: stylesheets(open_page(client, path)) for path in paths}
    assert len({url for urls in found.values() for url in urls}) == 1
    assert all(found.values()), found


def test_a_list_without_a_newsletter_has_no_brand(client: Client) -> None:
    mailing_list = make_mailing_list()
    assert stylesheets(open_page(client, reverse("subscribe", args=[mailing_list.slug]))) == []


def test_the_logo_stands_for_the_name_on_pages_that_may_load_pictures(client: Client, newsletter: Newsletter) -> None:
    Newsletter.objects.update(logo_url=f"{PICTURE}day.png")
    in_brand(newsletter, logo_dark_url=f"{PICTURE}night.png", logo_alt="A lighthouse")
    page = open_page(client, front(newsletter))
    assert words(page, "//header//img/@src") == [f"{PICTURE}day.png"]
    assert words(page, "//header//img/@alt") == ["A lighthouse"]
    assert words(page, "//header//source[contains(@media, 'dark')]/@srcset") == [f"{PICTURE}night.png"]


def test_pages_behind_private_links_load_no_picture_of_another_site(
    client: Client, newsletter: Newsletter, settings: Any
) -> None:
    Newsletter.objects.update(logo_url=f"{PICTURE}day.png")
    path = reverse("preferences", args=[LinkSigner(Purpose.PREFERENCES).token_of(ada(newsletter).key)])
    page = open_page(client, path)
    assert words(page, "//header//img") == []
    assert newsletter.name in words(page, "//header")[0]
    Newsletter.objects.update(logo_url=f"{settings.SITE_URL}/media/day.png")
    assert words(open_page(client, path), "//header//img/@src") == [f"{settings.SITE_URL}/media/day.png"]


def test_letter_has_the_portrait_of_the_writer(client: Client, newsletter: Newsletter) -> None:
    in_brand(newsletter, portrait_url=f"{PICTURE}ada.png")
    assert words(open_page(client, front(newsletter)), "//header//img/@src") == []
    Newsletter.objects.update(theme="letter")
    assert words(open_page(client, front(newsletter)), "//header//img/@src") == [f"{PICTURE}ada.png"]


def test_tagline_links_and_share_picture_are_shown(client: Client, newsletter: Newsletter) -> None:
    in_brand(
        newsletter,
        tagline="Ships, weather and craft",
        links=[["Mastodon", "https://social.example/@log"]],
        share_picture_url=f"{PICTURE}share.png",
    )
    page = open_page(client, front(newsletter))
    assert words(page, "//header//p[@class='tagline']") == ["Ships, weather and craft"]
    assert words(page, "//footer//a[@href='https://social.example/@log']") == ["Mastodon"]
    assert words(page, "//meta[@property='og:image']/@content") == [f"{PICTURE}share.png"]


def test_values_of_a_brand_are_escaped(client: Client, newsletter: Newsletter) -> None:
    in_brand(newsletter, tagline="<b>Loud</b>", links=[["<i>Word</i>", "https://a.example/?x=<y>"]])
    page = client.get(front(newsletter)).content.decode()
    assert "<b>Loud" not in page
    assert "<i>Word" not in page
    assert html_of(page.encode()).xpath("//footer//a/@href")[-1] == "https://a.example/?x=<y>"


def test_every_link_of_paid_content_is_marked_as_paid(client: Client) -> None:
    paid = SectionContent(
        kind=SectionKind.SPONSOR, source="Boje", body="Rope with [a core](https://rope.example/core)."
    )
    publish(sections=(*sample_issue("stories").sections, paid))
    page = open_page(client, reverse("issue", args=["harbour-notes", "issue-1"]))
    assert words(page, "//aside//a[@rel='sponsored']/@href") == ["https://rope.example/core"]
    assert words(page, "//aside/p[@class='meta']") == ["Advertisement · Boje"]


def test_the_stylesheets_of_public_pages_are_small() -> None:
    sizes = 0
    for name in ("subscribers/pages.css", "newsletter/archive.css"):
        path = finders.find(name)
        assert path is not None
        with open(path, "rb") as sheet:
            sizes += len(sheet.read())
    assert sizes <= 9 * 1024
    assert max(len(web_stylesheet(theme)) for theme in shipped_themes()) <= 2 * 1024
