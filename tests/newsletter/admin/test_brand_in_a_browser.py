"""The page of a brand in a real browser: what is typed is previewed, and a suggestion is taken."""

from __future__ import annotations

from typing import Any

from django.test import Client
from django.urls import reverse

from newsletter.models import Brand
from tests.newsletter.admin.test_in_a_browser import browsing, pytestmark, watched
from tests.publications import make_issue, make_newsletter

__all__ = ["pytestmark"]


def test_what_is_typed_is_previewed_and_a_suggestion_is_taken(live_server: Any, edda: Client, settings: Any) -> None:
    settings.SITE_URL = live_server.url
    make_issue(newsletter=make_newsletter(), title="Quiet engines")
    errors: list[str] = []
    with browsing(live_server, edda, viewport={"width": 1440, "height": 900}) as context:
        page = watched(context, errors)
        page.goto(reverse("brand"))
        frame = page.frame_locator("iframe[name=brand-preview]")
        frame.get_by_role("heading", name="Quiet engines").wait_for()
        page.get_by_label("Writer", exact=True).fill("Ada Meyer")
        frame.get_by_text("Ada Meyer").first.wait_for()
        page.locator("#id_accent").fill("#c98a3a")
        page.get_by_role("button", name="Use #976729").click()
        page.get_by_text("Used as chosen.").wait_for()
        assert page.locator("#id_accent").input_value() == "#976729"
        page.get_by_role("button", name="Web page").click()
        heading = frame.get_by_role("link", name="Contact")
        heading.wait_for()
        assert heading.evaluate("each => getComputedStyle(each).color") == "rgb(151, 103, 41)"
        page.get_by_role("button", name="Save brand").click()
        page.get_by_text("The brand is saved.").wait_for()
    assert errors == []
    assert Brand.objects.get().accent == "#976729"
