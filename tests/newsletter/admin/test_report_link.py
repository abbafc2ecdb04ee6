"""The page of a link of a sent issue: who may disable it, why, and how that is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from newsletter.engagement.disabled_links import DISABLED
from newsletter.models import FIRST_LINK, DisabledLink, Send
from tests.newsletter.admin.pages import page_of, words_on
from tests.newsletter.engagement.sent import own_links, send_to
from tests.people import ADA

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh_process(settings: Settings, tmp_path: Path) -> Iterator[None]:
    settings.LINK_TABLES_DIR = tmp_path / "links"
    DISABLED.forget()
    yield
    DISABLED.forget()


@pytest.fixture
def send() -> Send:
    return send_to(ADA, newsletter=own_links())


def page_of_link(send: Send, number: int = FIRST_LINK) -> str:
    return reverse("admin:newsletter_issue_report_links", args=[send.issue_id, number])


def test_a_link_is_disabled_with_a_reason_and_enabled_again(edda: Client, send: Send) -> None:
    page = page_of_link(send)
    assert f'href="{page}"' in edda.get(page_of(send.issue, "report")).content.decode()
    assert "Disable this link" in words_on(edda.get(page))
    assert "Say why the link is disabled." in words_on(edda.post(page, {"reason": "  "}))
    assert not DisabledLink.objects.exists()
    done = edda.post(page, {"reason": "The site was hacked."}, follow=True)
    assert "disabled" in words_on(done)
    assert DisabledLink.objects.get(number=FIRST_LINK).by == "edda"
    assert "The link is disabled already." in words_on(edda.post(page, {"reason": "Again."}, follow=True))
    shown = words_on(edda.get(page))
    assert "This link is disabled" in shown
    assert "Disabled by edda" in shown
    assert "The site was hacked." in shown
    edda.post(page, {"action": "enable"})
    assert "Enabled by edda" in words_on(edda.get(page))
    assert not DisabledLink.objects.filter(ended_at__isnull=True).exists()


def test_who_may_not_send_may_not_disable_links(signed_in: Callable[[str], Client], send: Send) -> None:
    lou = signed_in("lou")
    assert lou.post(page_of_link(send), {"reason": "Because."}).status_code == 403
    assert page_of_link(send) not in lou.get(page_of(send.issue, "report")).content.decode()
    assert not DisabledLink.objects.exists()


@pytest.mark.parametrize("number", [0, 1, FIRST_LINK - 1, 40_000])
def test_a_number_that_is_no_link_has_no_page(edda: Client, send: Send, number: int) -> None:
    assert edda.get(page_of_link(send, number)).status_code == 404
