"""Stop all sending in the admin: a page with a required reason, and a banner on every page until it is resumed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.test import Client

from newsletter.models import Issue, SwitchTransition, sending_stopped
from newsletter.sending.switch import stop_all_sending
from tests.newsletter.admin.pages import page_of, words_on

pytestmark = pytest.mark.django_db

PAGE = "/admin/sending/"
BANNER = "All sending is stopped. Decided by an operator. The API key leaked."


@pytest.fixture
def stella(signed_in: Callable[[str], Client]) -> Client:
    """She may stop all sending, and nothing else."""
    client = signed_in("stella")
    permission = Permission.objects.get(codename="stop_all_sending")
    User.objects.get(username="stella").user_permissions.add(permission)
    return client


def test_the_first_page_leads_to_the_stop_which_asks_for_a_reason(stella: Client) -> None:
    assert "Stop all sending…" in words_on(stella.get("/admin/"))
    words = words_on(stella.get(PAGE))
    assert "every issue, confirmation mails and test mails" in words
    refused = stella.post(PAGE, {"action": "stop", "reason": " "})
    assert refused.status_code == 400
    assert "Say why all sending is stopped." in words_on(refused)
    assert sending_stopped() is None


def test_a_stop_is_recorded_and_shown_on_every_page_until_it_is_resumed(
    stella: Client, edda: Client, issue: Issue
) -> None:
    answer = stella.post(PAGE, {"action": "stop", "reason": "The API key leaked."}, follow=True)
    assert BANNER in words_on(answer)
    pages = [
        "/admin/",
        PAGE,
        page_of(issue),
        page_of(issue, "preview"),
        "/admin/newsletter/issue/",
        "/admin/auth/user/",
    ]
    for page in pages:
        words = words_on(edda.get(page))
        assert f"{BANNER} Stopped by stella," in words
        assert "Resume sending…" in words
        assert "Stop all sending…" not in words
    resumed = stella.post(PAGE, {"action": "resume", "reason": "A new key is in place."}, follow=True)
    assert "Sending is resumed." in words_on(resumed)
    assert BANNER not in words_on(edda.get("/admin/"))
    assert list(SwitchTransition.objects.values_list("target", "by", "values")) == [
        ("stopped", "stella", {"text": "The API key leaked."}),
        ("on", "stella", {"text": "A new key is in place."}),
    ]
    assert "A new key is in place." in words_on(stella.get(PAGE))


def test_an_editor_without_the_permission_sees_the_stop_and_cannot_change_it(
    signed_in: Callable[[str], Client],
) -> None:
    will = signed_in("will")
    assert "Stop all sending…" not in words_on(will.get("/admin/"))
    assert will.post(PAGE, {"action": "stop", "reason": "For fun."}).status_code == 403
    stop_all_sending(by="Edda", text="The API key leaked.")
    words = words_on(will.get(PAGE))
    assert BANNER in words
    assert "You do not have the permission to resume it." in words
    assert will.post(PAGE, {"action": "resume"}).status_code == 403
    assert sending_stopped()


def test_strangers_see_neither_the_page_nor_the_banner() -> None:
    stop_all_sending(by="Edda", text="The API key leaked.")
    assert Client().get(PAGE).status_code == 302
    assert "API key" not in Client().get("/admin/login/").content.decode()
    assert "API key" not in Client().get("/").content.decode()


def test_resuming_twice_is_harmless(stella: Client) -> None:
    answer = stella.post(PAGE, {"action": "resume"}, follow=True)
    assert "Sending is not stopped." in words_on(answer)


def test_the_setting_is_shown_and_cannot_be_resumed_in_the_admin(
    stella: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "SENDING_IS_OFF", True)
    words = words_on(stella.get(PAGE))
    assert "SENDING=off is set in the settings." in words
    assert "Resume sending…" not in words
    assert "set SENDING=on and restart every process" in words
    stella.post(PAGE, {"action": "resume"})
    assert sending_stopped()


def test_words_of_an_operator_are_shown_as_text(stella: Client) -> None:
    stella.post(PAGE, {"action": "stop", "reason": "<img src=x onerror=alert(1)>"})
    assert b"<img src=x" not in stella.get("/admin/").content
