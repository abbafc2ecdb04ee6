"""The page of a newsletter's brand: saving, what it says about colors, and its preview."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.urls import reverse

from newsletter.models import Brand, Newsletter
from newsletter.rendering.theme import SHIPPED_THEMES
from tests.newsletter.admin.pages import form_data, words_on
from tests.publications import make_issue, make_newsletter

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

FORM = "//form[@id='brand_form']"
OCHRE = "#c98a3a"


@pytest.fixture
def newsletter() -> Newsletter:
    return make_newsletter()


@pytest.fixture
def url(newsletter: Newsletter) -> str:
    return f"{reverse('brand')}?newsletter={newsletter.pk}"


def preview_url(shown: str, newsletter: Newsletter) -> str:
    return f"{reverse('brand_preview', args=[shown])}?newsletter={newsletter.pk}"


def save(client: Client, url: str, **changes: str) -> Any:
    return client.post(url, form_data(client, url, FORM) | changes, follow=True)


def test_everything_of_a_brand_is_saved_and_shown_again(edda: Client, url: str) -> None:
    changes = {
        "theme": "gazette",
        "accent": "#1F3A4D",
        "accent_dark": "#7cc4e4",
        "paper": "warm",
        "heading_font": "old-serif",
        "text_font": "book-serif",
        "logo_url": "https://pictures.example/day.png",
        "logo_dark_url": "https://pictures.example/night.png",
        "logo_alt": "A lighthouse",
        "logo_width": "200",
        "writer": "Ada Meyer",
        "portrait_url": "https://pictures.example/ada.png",
        "tagline": "Ships, weather and craft",
        "footer": "A person reads every answer.",
        "postal_address": "Pier 4\n24103 Kiel",
        "share_picture_url": "https://pictures.example/share.png",
        "links_text": "Mastodon https://social.example/@log\nOur code https://code.example/log",
    }
    response = save(edda, url, **changes)
    assert "The brand is saved." in words_on(response)
    shown = form_data(edda, url, FORM)
    assert {name: shown[name] for name in changes} == changes | {"accent": "#1f3a4d"}
    newsletter = Newsletter.objects.get()
    assert (newsletter.theme, newsletter.logo_width) == ("gazette", 200)
    assert [link.word for link in newsletter.brand.footer_links()] == ["Mastodon", "Our code"]


def test_a_brand_is_saved_twice(edda: Client, url: str) -> None:
    save(edda, url, writer="Ada")
    save(edda, url, writer="Bo")
    assert Brand.objects.get().writer == "Bo"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"accent": "red"}, "Write a color as # and six hexadecimal digits"),
        ({"logo_url": "http://pictures.example/logo.png"}, "The URL of an image must start with https://."),
        ({"logo_dark_url": "logo.png"}, "The address is not a full web address."),
        ({"portrait_url": "javascript:alert(1)"}, "The address is not a full web address."),
        ({"theme": "lost"}, "Select a valid choice."),
        ({"links_text": "https://social.example/"}, "has no word."),
        ({"links_text": "Mastodon social"}, "The address is not a full web address."),
        ({"links_text": "\n".join(f"Link {number} https://a.example/{number}" for number in range(6))}, "at most five"),
        ({"tagline": "x" * 61}, "60"),
    ],
)
def test_a_wrong_value_is_refused_at_its_field(edda: Client, url: str, changes: dict[str, str], sentence: str) -> None:
    response = save(edda, url, **changes)
    page = words_on(response)
    assert "Nothing was saved." in page
    assert sentence in page
    assert not Brand.objects.exists()


def test_a_color_that_is_hard_to_read_is_corrected_and_the_page_says_so(edda: Client, url: str) -> None:
    page = words_on(save(edda, url, accent=OCHRE))
    assert f"Shown as #976729, because text in {OCHRE} would be hard to read (2.7 : 1, 4.5 : 1 is required)." in page
    assert "Use #976729" in page


def test_exact_colors_are_saved_with_a_warning(edda: Client, url: str) -> None:
    page = words_on(save(edda, url, accent=OCHRE, is_exact="on"))
    assert f"Text in {OCHRE} is hard to read: its contrast is 2.7 : 1" in page
    assert "pre-flight blocks sending" in page
    assert Brand.objects.get().is_exact


def test_without_script_a_suggestion_is_put_into_the_form_and_not_saved(edda: Client, url: str) -> None:
    typed = form_data(edda, url, FORM) | {"accent": OCHRE, "writer": "Ada", "use": "accent:#976729"}
    response = edda.post(url, typed)
    page = response.content.decode()
    assert 'value="#976729"' in page
    assert 'value="Ada"' in page
    assert "Used as chosen." in words_on(response)
    assert not Brand.objects.exists()


def test_the_colors_of_what_is_typed_are_a_part_of_the_page(edda: Client, url: str, newsletter: Newsletter) -> None:
    colors = f"{reverse('brand_colors')}?newsletter={newsletter.pk}"
    typed = form_data(edda, url, FORM)
    assert "The colors of the theme are used." in words_on(edda.post(colors, typed))
    assert "Shown as #976729" in words_on(edda.post(colors, typed | {"accent": OCHRE}))
    assert not Brand.objects.exists()


@pytest.mark.parametrize(("shown", "paper"), [("mail", "#fbf7ee"), ("dark", "#1b1814")])
def test_the_preview_shows_what_is_typed_and_saves_nothing(
    edda: Client, url: str, newsletter: Newsletter, shown: str, paper: str
) -> None:
    make_issue(newsletter=newsletter, title="Quiet engines")
    typed = form_data(edda, url, FORM) | {"paper": "warm", "writer": "Ada Meyer"}
    response = edda.post(preview_url(shown, newsletter), typed)
    mail = response.content.decode()
    assert "Quiet engines" in mail
    assert paper in mail
    assert "Ada Meyer" in mail
    assert response["X-Frame-Options"] == "SAMEORIGIN"
    assert "sandbox" in response["Content-Security-Policy"]
    assert not Brand.objects.exists()


def test_the_preview_of_a_newsletter_without_issues_is_a_sample(edda: Client, newsletter: Newsletter) -> None:
    mail = edda.get(preview_url("mail", newsletter)).content.decode()
    assert "Seams, steam and a slip" in mail
    assert newsletter.name in mail
    assert "There is no issue yet" in words_on(edda.get(preview_url("web", newsletter)))


def test_the_preview_of_the_web_page_shows_what_is_typed(edda: Client, url: str, newsletter: Newsletter) -> None:
    make_issue(newsletter=newsletter, title="Quiet engines")
    typed = form_data(edda, url, FORM) | {"accent": "#7a1f5c", "tagline": "Ships, weekly"}
    response = edda.post(preview_url("web", newsletter), typed)
    assert response.status_code == 303
    page = edda.get(response["Location"])
    words = page.content.decode()
    assert "--accent:light-dark(#7a1f5c," in words
    assert "Ships, weekly" in words
    assert "'sha256-" in page["Content-Security-Policy"]
    assert not Brand.objects.exists()


def test_a_brand_in_a_url_is_for_editors_and_for_its_newsletter(edda: Client, newsletter: Newsletter) -> None:
    make_issue(newsletter=newsletter)
    location = edda.get(preview_url("web", newsletter))["Location"]
    path, packed = urlsplit(location).path, parse_qs(urlsplit(location).query)["brand"][0]
    assert Client().get(location).status_code == 404
    assert edda.get(path, {"brand": packed}).status_code == 200
    assert edda.get(path, {"brand": packed + "x"}).status_code == 404
    other = make_newsletter(slug="other", name="Other")
    issue = make_issue(newsletter=other)
    assert edda.get(reverse("draft", args=[other.slug, issue.slug]), {"brand": packed}).status_code == 404


def test_a_preview_with_errors_says_so(edda: Client, url: str, newsletter: Newsletter) -> None:
    typed = form_data(edda, url, FORM) | {"accent": "red"}
    assert "The brand has errors." in words_on(edda.post(preview_url("mail", newsletter), typed))


def test_only_those_who_may_change_the_newsletter_open_it(
    signed_in: Callable[[str], Client], url: str, newsletter: Newsletter
) -> None:
    norm = signed_in("norm")
    for path in (url, preview_url("mail", newsletter), f"{reverse('brand_colors')}?newsletter={newsletter.pk}"):
        assert norm.post(path).status_code == 403


def test_wrong_addresses_are_refused(edda: Client, newsletter: Newsletter) -> None:
    assert edda.get(reverse("brand"), {"newsletter": "x"}).status_code == 400
    assert edda.get(preview_url("fax", newsletter)).status_code == 404


def test_without_a_newsletter_the_page_says_so(edda: Client) -> None:
    assert "There is no newsletter yet." in words_on(edda.get(reverse("brand")))


def test_every_shipped_theme_has_a_small_picture(edda: Client, url: str) -> None:
    page = edda.get(url).content.decode()
    for folder in SHIPPED_THEMES.iterdir():
        assert f"newsletter/admin/themes/{folder.name}.svg" in page
    pictures = Path("newsletter/static/newsletter/admin/themes")
    assert all(picture.stat().st_size < 1500 for picture in pictures.iterdir())


def test_a_missing_theme_is_reported(edda: Client, url: str) -> None:
    Newsletter.objects.update(theme="lost")
    assert "There is no theme with this name." in words_on(edda.get(url))


def test_a_custom_theme_is_offered_unless_it_is_broken(edda: Client, url: str, tmp_path: Path, settings: Any) -> None:
    toml = (SHIPPED_THEMES / "plain" / "theme.toml").read_text(encoding="utf-8")
    for name, source in (("ours", toml.replace("Plain", "Ours")), ("broken", toml + "x = 1")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "theme.toml").write_text(source, encoding="utf-8")
    settings.THEME_FOLDERS = (tmp_path,)
    page = words_on(edda.get(url))
    assert "Ours" in page
    assert "broken" not in page
