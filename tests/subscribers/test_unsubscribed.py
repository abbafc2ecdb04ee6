"""After an unsubscribe: undo, the optional reason, and leaving all lists of the site."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subscribers.consent import actions
from subscribers.consent.reasons import MAX_REASON_TEXT, store_reason
from subscribers.consent.tokens import decline_url, preferences_url, unsubscribe_url
from subscribers.models import Consent, ConsentForm, ConsentKind, Evidence, LeaveReason, Subscriber, Subscription
from subscribers.models import SubscriptionState as State
from tests.people import ada, ben, cleo, dina, make_mailing_list

pytestmark = pytest.mark.django_db

SITE = "http://127.0.0.1:8000"
HERE = Evidence(form="test")


@pytest.fixture
def client() -> Client:
    return Client(enforce_csrf_checks=True)


def path_of(subscription: Subscription) -> str:
    return unsubscribe_url(subscription.key).removeprefix(SITE)


def text_of(response: Any) -> str:
    return html.unescape(response.content.decode())


def reasons() -> list[str]:
    given = Consent.objects.filter(form=ConsentForm.UNSUBSCRIBE_REASON).order_by("pk")
    return list(given.values_list("detail", flat=True))


# --- The reason -----------------------------------------------------------------------------------------------------


def test_a_reason_is_asked_for_after_the_unsubscribe_and_never_before(client: Client) -> None:
    subscription = ada()
    before = text_of(client.get(path_of(subscription)))
    assert "Why?" not in before
    assert "Why?" not in text_of(client.get(preferences_url(subscription.key).removeprefix(SITE)))
    assert "Why? (optional)" in text_of(client.post(path_of(subscription), {"action": "unsubscribe"}))


def test_a_reason_sent_before_the_unsubscribe_is_not_stored(client: Client) -> None:
    subscription = ada()
    assert client.post(path_of(subscription), {"action": "reason", "reason": "other"}).status_code == 200
    assert not store_reason(subscription.key, LeaveReason.OTHER, "", HERE)
    assert not Consent.objects.exists()


@pytest.mark.parametrize("url", [unsubscribe_url, preferences_url, decline_url])
def test_the_reason_can_be_given_wherever_one_has_unsubscribed(client: Client, url: Any) -> None:
    subscription = ada()
    action = "decline" if url is decline_url else "unsubscribe"
    page = text_of(client.post(url(subscription.key).removeprefix(SITE), {"action": action}))
    form = re.search(r'<form method="post" action="(/unsubscribe/[^"]+)" class="card">', page)
    assert form is not None
    answer = client.post(form[1], {"action": "reason", "reason": "too_many", "text": "Twice\na day"})
    assert answer.status_code == 303
    assert "Thank you for your answer." in text_of(client.get(answer["Location"]))
    assert reasons() == ["too_many: Twice a day"]


def test_a_reason_is_a_consent_of_its_own_and_changes_no_other(client: Client) -> None:
    subscription = ada()
    client.post(path_of(subscription), {"action": "unsubscribe"})
    ended = Consent.objects.values().get()
    client.post(path_of(subscription), {"action": "reason", "reason": "not_expected"})
    first, second = Consent.objects.order_by("pk").values()
    assert first == ended
    assert (second["kind"], second["form"], second["detail"]) == (
        ConsentKind.UNSUBSCRIBED,
        ConsentForm.UNSUBSCRIBE_REASON,
        "not_expected",
    )
    assert (second["language"], second["source"]) == ("en", "/unsubscribe/…")


def test_a_reason_can_be_given_once_per_unsubscribe(client: Client) -> None:
    subscription = ada()
    path = path_of(subscription)
    client.post(path, {"action": "unsubscribe"})
    for reason in ("other", "too_many"):
        page = text_of(client.post(path, {"action": "reason", "reason": reason}, follow=True))
        assert "Why?" not in page
    assert reasons() == ["other"]


@pytest.mark.parametrize(
    ("fields", "anchor"),
    [
        ({}, "reason-too_many"),
        ({"reason": "<b>"}, "reason-too_many"),
        ({"reason": "other", "text": "x" * (MAX_REASON_TEXT + 1)}, "reason-text"),
    ],
)
def test_a_wrong_answer_is_an_error_of_its_field(client: Client, fields: dict[str, str], anchor: str) -> None:
    subscription = cleo()
    page = client.post(path_of(subscription), {"action": "reason", **fields}).content.decode()
    assert f'href="#{anchor}"' in page
    assert "<title>Error: " in page
    assert "<b>" not in page
    assert reasons() == []


def test_the_free_text_is_escaped_for_editors_and_the_reason_is_in_words(client: Client) -> None:
    subscription = cleo()
    text = '<script>alert("x")</script>'
    client.post(path_of(subscription), {"action": "reason", "reason": "too_many", "text": text})
    assert reasons() == [f"too_many: {text}"]
    editor = Client()
    editor.force_login(User.objects.create_superuser("ida"))
    consent = Consent.objects.get()
    for page in (
        reverse("admin:subscribers_consent_change", args=[consent.pk]),
        reverse("admin:subscribers_subscriber_change", args=[subscription.subscriber_id]),
    ):
        shown = editor.get(page).content.decode()
        assert "Too many mails: &lt;script&gt;" in shown
        assert text not in shown


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=400), reason=st.sampled_from([*LeaveReason.values, "", "x: y"]))
def test_whatever_is_typed_is_stored_in_one_line_or_refused(client: Client, text: str, reason: str) -> None:
    subscription = Subscription.objects.first() or cleo()
    Consent.objects.update(subscription=None)
    count = Consent.objects.count()
    answer = client.post(path_of(subscription), {"action": "reason", "reason": reason, "text": text})
    assert answer.status_code in (200, 303)
    if answer.status_code == 303:
        detail = Consent.objects.latest("pk").detail
        assert detail.isprintable() or "\u3000" in detail or not detail.isascii()
        assert len(detail) <= 300
        assert detail.startswith(reason)
    assert Consent.objects.count() == count + (answer.status_code == 303)


# --- All lists ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", [unsubscribe_url, preferences_url])
def test_all_lists_of_the_site_can_be_left_at_once(client: Client, url: Any) -> None:
    here, there = ada(), ada(make_mailing_list("tide-tables"))
    waiting = ben()
    Subscription.objects.filter(pk=waiting.pk).update(subscriber=here.subscriber, mailing_list=make_mailing_list("new"))
    other = ben(make_mailing_list("tide-tables"))
    page = text_of(client.post(url(here.key).removeprefix(SITE), {"action": "leave-all"}))
    assert "from any newsletter of this site" in page
    states = dict(Subscription.objects.values_list("pk", "state"))
    assert states == {
        here.pk: State.UNSUBSCRIBED,
        there.pk: State.UNSUBSCRIBED,
        waiting.pk: State.UNSUBSCRIBED,
        other.pk: State.PENDING,
    }
    assert Consent.objects.filter(kind=ConsentKind.UNSUBSCRIBED).count() == 3


def test_the_button_for_all_lists_does_not_tell_who_is_on_another_list(client: Client) -> None:
    subscription = ada()
    path = path_of(subscription)
    assert "all newsletters" not in text_of(client.post(path, {"action": "unsubscribe"}))
    tides = make_mailing_list("tide-tables")
    alone = text_of(client.get(path))
    assert "Unsubscribe from all newsletters of this site" in alone
    ada(tides)
    assert text_of(client.get(path)) == alone


# --- Links of ended subscriptions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("person", [cleo, dina])
def test_the_link_of_an_ended_subscription_says_that_it_has_ended(client: Client, person: Any) -> None:
    subscription = person()
    page = text_of(client.get(path_of(subscription)))
    assert "You are unsubscribed" in page
    assert "Undo: subscribe again" in page
    assert subscription.subscriber.address not in page
    assert "complain" not in page.lower()


def test_undo_asks_for_a_new_confirmation(client: Client) -> None:
    subscription = cleo()
    assert "Check your mail" in text_of(client.post(path_of(subscription), {"action": "again"}, follow=True))
    subscription.refresh_from_db()
    assert subscription.state == State.PENDING


def test_a_reason_after_a_new_unsubscribe_is_stored_again(client: Client) -> None:
    subscription = ada()
    path = path_of(subscription)
    for reason in ("other", "too_many"):
        Subscription.objects.update(state=State.ACTIVE)
        actions.unsubscribe(subscription.key, HERE)
        client.post(path, {"action": "reason", "reason": reason})
    assert reasons() == ["other", "too_many"]
    assert Subscriber.objects.count() == 1
