"""The admin page with the sign-up form for other sites."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.models import Newsletter
from tests.newsletter.admin.pages import form_data, words_on
from tests.publications import make_newsletter

FORM = "//form[@id='newsletter_form']"


@pytest.fixture
def url(db: None) -> str:
    return reverse("admin:newsletter_newsletter_sign_up_form", args=[make_newsletter().pk])


def test_the_settings_of_the_sign_up_are_stored(edda: Client, url: str) -> None:
    change = reverse("admin:newsletter_newsletter_change", args=[make_newsletter().pk])
    chosen = {
        "privacy_url": "https://harbour.example/privacy",
        "complaint_contact": "privacy@harbour.example",
        "is_embeddable": "on",
        "frame_origins": "https://harbour.example",
    }
    assert edda.post(change, form_data(edda, change, FORM) | chosen).status_code == 302
    stored = Newsletter.objects.get()
    assert stored.allowed_frame_origins == ["https://harbour.example"]
    assert (stored.privacy_url, stored.complaint_contact) == (chosen["privacy_url"], chosen["complaint_contact"])
    assert url in edda.get(change).content.decode()


def test_the_texts_to_copy_are_shown_with_a_preview(edda: Client, url: str) -> None:
    Newsletter.objects.update(is_embeddable=True, frame_origins="https://harbour.example")
    page = lxml_html.fromstring(edda.get(url).content.decode())
    form, frame, program = (area.text_content() for area in page.xpath("//textarea"))
    assert 'action="http://127.0.0.1:8000/subscribe/harbour-notes/embed/"' in form
    assert "<iframe src=" in frame
    assert "application/json" in program
    assert [preview.get("sandbox") for preview in page.xpath("//iframe")] == ["", "allow-same-origin"]
    assert page.xpath("//iframe/@srcdoc")[0].strip() == form.strip()
    assert len(page.xpath("//button[@data-copy]")) == 3


def test_the_page_says_that_other_sites_are_off(edda: Client, url: str) -> None:
    assert "Sign-ups from other sites are off" in words_on(edda.get(url))
    Newsletter.objects.update(is_embeddable=True)
    assert "No site may show the frame yet." in words_on(edda.get(url))


def test_the_page_needs_the_permission_to_view_newsletters(signed_in: Callable[[str], Client], url: str) -> None:
    assert signed_in("will").get(url).status_code == 403
    assert Client().get(url).status_code == 302
