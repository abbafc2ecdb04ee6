"""Outgoing webhooks in the admin: endpoints with a secret that is shown once, tests, states, and the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from newsletter.models import (
    EndpointState,
    MessageState,
    WebhookAttempt,
    WebhookEndpoint,
    WebhookMessage,
    WebhookSecret,
)
from newsletter.notifications.endpoints import disable_endpoint, open_endpoint, pause_endpoint, send_test
from newsletter.notifications.signing import secret_text
from tests.newsletter.admin.pages import form_on, words_on
from tests.publications import make_newsletter

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

LIST = "/admin/newsletter/webhookendpoint/"
TYPES = ["subscriber.confirmed", "issue.sent"]


def page(name: str, *arguments: object) -> str:
    return reverse(f"admin:newsletter_{name}", args=arguments)


@pytest.fixture
def endpoint(db: None) -> WebhookEndpoint:
    made = WebhookEndpoint(name="Shop", url="https://shop.example/hook", types=TYPES)
    open_endpoint(made)
    return made


@pytest.fixture
def act(edda: Client, endpoint: WebhookEndpoint) -> Callable[..., str]:
    """Presses a button on the page of the endpoint; the words that follow."""

    def press(action: str, **fields: str) -> str:
        answer = edda.post(page("webhookendpoint_act", endpoint.pk), {"action": action, **fields}, follow=True)
        assert answer.status_code == 200
        return words_on(answer)

    return press


def add(client: Client, **changes: Any) -> Any:
    data = {"name": "Shop", "url": "https://shop.example/hook", "types": TYPES, "newsletter": ""}
    return client.post(f"{LIST}add/", data | changes, follow=True)


def test_a_new_endpoint_shows_its_secret_once(edda: Client) -> None:
    newsletter = make_newsletter()
    answer = add(edda, newsletter=str(newsletter.pk), includes_imports="on")
    endpoint = WebhookEndpoint.objects.get()
    assert (endpoint.types, endpoint.newsletter, endpoint.includes_addresses) == (TYPES, newsletter, False)
    assert endpoint.includes_imports
    secret = secret_text(WebhookSecret.objects.get())
    assert secret in words_on(answer)
    assert "no-store" in answer["Cache-Control"]
    again = edda.get(page("webhookendpoint_secret", endpoint.pk), follow=True)
    assert secret not in again.content.decode()
    assert "A secret is shown once." in words_on(again)
    assert secret not in edda.get(page("webhookendpoint_change", endpoint.pk)).content.decode()
    assert secret not in str(edda.session.items())


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://shop.example/hook", "The URL must start with https://."),
        ("https://user:word@shop.example/", "a user name or a password"),
        ("shop", ""),
        ("javascript:alert(1)", ""),
        ("https://", ""),
    ],
)
def test_an_endpoint_needs_https(edda: Client, url: str, sentence: str) -> None:
    assert sentence in words_on(add(edda, url=url))
    assert not WebhookEndpoint.objects.exists()


def test_a_host_that_the_operator_allows_may_do_without(edda: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "FETCH_ALLOWED_HOSTS", ("crm.internal",))
    add(edda, url="http://crm.internal:8080/hook")
    assert WebhookEndpoint.objects.get().url == "http://crm.internal:8080/hook"


def test_an_endpoint_needs_a_type_and_takes_no_unknown_one(edda: Client) -> None:
    for types in ([], ["webhook.test"], ["subscriber.teleported"]):
        assert add(edda, types=types).status_code == 200
    assert not WebhookEndpoint.objects.exists()


def test_saving_an_endpoint_again_keeps_its_secret_and_its_state(edda: Client, endpoint: WebhookEndpoint) -> None:
    url = page("webhookendpoint_change", endpoint.pk)
    shown = form_on(edda.get(url), "//form[@id='webhookendpoint_form']")
    pause_endpoint(endpoint, by="ida")
    edda.post(url, {**shown, "types": TYPES, "name": "Shop of the harbour"})
    endpoint.refresh_from_db()
    assert (endpoint.name, endpoint.state) == ("Shop of the harbour", EndpointState.PAUSED)
    assert WebhookSecret.objects.count() == 1


def test_a_replaced_secret_is_shown_once_and_both_sign_for_a_day(act: Callable[..., str]) -> None:
    words = act("replace")
    old, new = WebhookSecret.objects.order_by("pk")
    assert secret_text(new) in words
    assert "signed with the former secret, too, for 24 hours" in words
    assert old.expires_at
    assert new.expires_at is None


def test_a_test_is_one_message(act: Callable[..., str]) -> None:
    assert "A test is sent within seconds." in act("test")
    assert WebhookMessage.objects.get().type == "webhook.test"


def test_an_endpoint_is_paused_activated_and_disabled(act: Callable[..., str], endpoint: WebhookEndpoint) -> None:
    for action, state in (
        ("pause", "paused"),
        ("activate", "active"),
        ("disable", "disabled"),
        ("activate", "active"),
    ):
        act(action)
        endpoint.refresh_from_db()
        assert endpoint.state == state
    assert not endpoint.mail_due
    assert list(endpoint.transitions.values_list("target", "by")) == [
        ("paused", "edda"),
        ("active", "edda"),
        ("disabled", "edda"),
        ("active", "edda"),
    ]


def test_a_button_of_a_page_that_is_out_of_date_explains_itself(
    act: Callable[..., str], endpoint: WebhookEndpoint
) -> None:
    disable_endpoint(endpoint, by="worker", reason="gone")
    assert "cannot change to “Paused”" in act("pause")
    assert "choose a button" in act("explode")


def test_the_page_says_why_an_endpoint_was_disabled(edda: Client, endpoint: WebhookEndpoint) -> None:
    disable_endpoint(endpoint, by="worker", reason="gone")
    words = words_on(edda.get(page("webhookendpoint_change", endpoint.pk)))
    assert "Disabled The endpoint answered 410: it wants no more messages." in words
    assert "Also send what happened while it was disabled" in words


def test_what_failed_since_a_time_is_sent_again(act: Callable[..., str], endpoint: WebhookEndpoint) -> None:
    for _ in range(2):
        send_test(endpoint)
    WebhookMessage.objects.update(state=MessageState.FAILED)
    assert "0 messages are sent again." in act("again", since="2100-01-01T00:00")
    assert "Enter a date and a time" in act("again", since="soon")
    assert "Enter a date and a time" in act("again", since="2026-02-31T00:00")
    assert "2 messages are sent again." in act("again", since="2026-01-01T00:00")
    assert set(WebhookMessage.objects.values_list("state", flat=True)) == {MessageState.PENDING}


def test_the_log_shows_every_attempt_with_its_answer_and_sends_a_message_again(
    edda: Client, endpoint: WebhookEndpoint
) -> None:
    message = send_test(endpoint)
    values: dict[str, Any] = {"message": message, "duration": 12}
    WebhookAttempt.objects.create(**values, code="timeout", detail={"host": "shop.example", "seconds": 15})
    WebhookAttempt.objects.create(**values, status=302)
    WebhookAttempt.objects.create(**values, status=200, answer="<script>alert(1)</script>")
    WebhookMessage.objects.update(state=MessageState.DELIVERED)
    url = page("webhookmessage_change", message.pk)
    answer = edda.get(url)
    words = words_on(answer)
    assert "shop.example did not complete its response within 15 seconds." in words
    assert "redirects are not followed" in words
    assert "The message was taken." in words
    assert b"<script>alert(1)" not in answer.content
    assert "200" in words_on(edda.get("/admin/newsletter/webhookmessage/"))
    assert "200" in words_on(edda.get(page("webhookendpoint_change", endpoint.pk)))
    assert "sent again within seconds" in words_on(edda.post(page("webhookmessage_again", message.pk), follow=True))
    assert "waits already" in words_on(edda.post(page("webhookmessage_again", message.pk), follow=True))
    assert edda.get(page("webhookmessage_again", message.pk)).status_code == 405


def permitted(client: Client, name: str, *codenames: str) -> Client:
    wanted = Permission.objects.filter(codename__in=codenames)
    User.objects.get(username=name).user_permissions.add(*wanted)
    return client


def test_each_page_and_button_needs_its_permission(
    signed_in: Callable[[str], Client], endpoint: WebhookEndpoint
) -> None:
    message = send_test(endpoint)
    lou = permitted(signed_in("lou"), "lou", "view_webhookendpoint")
    assert lou.get(page("webhookendpoint_change", endpoint.pk)).status_code == 200
    assert "Send a test" not in words_on(lou.get(page("webhookendpoint_change", endpoint.pk)))
    for url in (page("webhookendpoint_act", endpoint.pk), page("webhookmessage_again", message.pk)):
        assert lou.post(url, {"action": "disable"}).status_code == 403
    assert lou.get(page("webhookendpoint_secret", endpoint.pk)).status_code == 403
    assert lou.get(page("webhookmessage_change", message.pk)).status_code == 403
    endpoint.refresh_from_db()
    assert endpoint.state == EndpointState.ACTIVE
    assert Client().post(page("webhookendpoint_act", endpoint.pk), {"action": "disable"}).status_code == 302


def test_whoever_may_not_see_addresses_may_not_have_them_sent_elsewhere(signed_in: Callable[[str], Client]) -> None:
    will = permitted(signed_in("will"), "will", "add_webhookendpoint", "change_webhookendpoint")
    add(will, includes_addresses="on")
    assert not WebhookEndpoint.objects.get().includes_addresses


def test_a_deleted_endpoint_takes_its_log_with_it(edda: Client, endpoint: WebhookEndpoint) -> None:
    other = WebhookEndpoint(name="Other", url="https://other.example/", types=TYPES)
    open_endpoint(other)
    kept = send_test(other)
    WebhookAttempt.objects.create(message=send_test(endpoint), duration=1, status=500)
    url = page("webhookendpoint_delete", endpoint.pk)
    assert "Messages that wait are not sent." in words_on(edda.get(url))
    edda.post(url)
    assert list(WebhookEndpoint.objects.all()) == [other]
    assert list(WebhookMessage.objects.all()) == [kept]


def test_no_odd_key_breaks_a_page(edda: Client, endpoint: WebhookEndpoint) -> None:
    for key in ("0", "-1", "9" * 18, "x", "9" * 40):
        for model in ("webhookendpoint", "webhookmessage"):
            assert edda.get(f"/admin/newsletter/{model}/{key}/change/").status_code in (302, 404)
        assert edda.post(f"/admin/newsletter/webhookendpoint/{key}/act/", {"action": "test"}).status_code in (302, 404)
        assert edda.post(f"/admin/newsletter/webhookmessage/{key}/again/").status_code in (302, 404)
