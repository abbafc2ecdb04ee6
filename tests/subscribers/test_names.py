"""First names: what is accepted, and on which pages."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from subscribers.consent.tokens import confirm_url, preferences_url
from subscribers.models import Change, Consent, Subscriber, TransactionalMail
from subscribers.models import SubscriptionState as State
from subscribers.signup.names import FirstNameError, parse_first_name
from tests.people import ada
from tests.subscribers.test_views import path_of, requested_subscription, text_of


@pytest.mark.parametrize(
    "name",
    [
        "Ada",
        "José",
        "Jean-Luc",
        "O’Brien",
        "D'Arcy",
        "J. R.",
        "نور",
        "さくら",
        "Zoë Ann",
        "ณัฐ",
        "Nguyễn",
        "Louis 2",
        "St. John",
    ],
)
def test_real_first_names_are_accepted_unchanged(name: str) -> None:
    assert parse_first_name(f"  {name} ") == name


@pytest.mark.parametrize(
    "words",
    [
        "{{ 7*7 }}",
        "{first_name|x}",
        "<img src=x onerror=alert(1)>",
        "win at casino.example",
        "www.pills",
        "https pills",
        "ada@example.org",
        "a/b",
        "line\nbreak",
        "bell\x07",
        "right\u202eleft",
        "12345",
        "...",
        "x" * 61,
    ],
)
def test_text_that_is_not_a_name_is_refused_with_an_explanation(words: str) -> None:
    with pytest.raises(FirstNameError, match=r"\.$"):
        parse_first_name(words)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("Anna.Maria", "Type a space after the dot."),
        ("St.John", "Type a space after the dot."),
        ("see www.pills", "cannot contain a web address"),
        ("Ada!", "letters, digits, spaces, hyphens, apostrophes and dots"),
    ],
)
def test_the_explanation_says_what_to_change(name: str, advice: str) -> None:
    with pytest.raises(FirstNameError, match=advice):
        parse_first_name(name)


@given(st.text())
def test_an_accepted_name_is_short_and_harmless(words: str) -> None:
    try:
        name = parse_first_name(words)
    except FirstNameError:
        return
    assert len(name) <= 60
    assert not set(name) & set('{}<>[]|@/:"&=\n\r\0')
    assert parse_first_name(name) == name


@pytest.mark.django_db
def test_a_first_name_can_be_entered_when_confirming(client: Client) -> None:
    subscription = requested_subscription()
    link = path_of(confirm_url(subscription.key, subscription.request_number))

    assert "First name (optional)" in text_of(client.get(link))
    assert "You are subscribed" in text_of(client.post(link, {"action": "confirm", "first_name": " Gus "}))
    assert Subscriber.objects.get().first_name == "Gus"
    assert not Consent.objects.filter(detail__contains="Gus").exists()


@pytest.mark.django_db
def test_a_refused_name_is_an_error_of_its_field_and_nothing_is_confirmed(client: Client) -> None:
    subscription = requested_subscription()
    link = path_of(confirm_url(subscription.key, subscription.request_number))
    answer = client.post(link, {"action": "confirm", "first_name": "win at casino.example"})
    subscription.refresh_from_db()

    assert answer.status_code == 200  # Django logs the path of a 400 response, and this path is a working link
    assert "A first name cannot look like a web address. Type a space after the dot." in text_of(answer)
    assert subscription.state == State.PENDING
    assert Subscriber.objects.get().first_name == ""


@pytest.mark.django_db
def test_confirmation_mails_do_not_contain_the_first_name(client: Client) -> None:
    subscription = requested_subscription()
    Subscriber.objects.update(first_name="Casino")
    requested_subscription()

    for mail in TransactionalMail.objects.filter(subscription=subscription):
        assert "Casino" not in f"{mail.subject} {mail.text} {mail.html}"
    assert "first_name" not in text_of(client.get("/subscribe/harbour-notes/"))


@pytest.mark.django_db
def test_the_first_name_can_be_changed_and_deleted_but_is_never_shown(client: Client) -> None:
    subscription = ada()
    link = path_of(preferences_url(subscription.key))

    saved = client.post(link, {"action": "name", "first_name": "Augusta"}, follow=True)
    assert "Saved. The change applies" in text_of(saved)
    assert Subscriber.objects.get().first_name == "Augusta"
    assert "Augusta" not in text_of(client.get(link))
    assert "Error: Enter a first name" in text_of(client.post(link, {"action": "name", "first_name": ""}))
    assert Subscriber.objects.get().first_name == "Augusta"
    client.post(link, {"action": "delete-name", "first_name": "Ada"})
    assert Subscriber.objects.get().first_name == ""
    assert "A first name has letters" in text_of(client.post(link, {"action": "name", "first_name": "<b>"}))


@pytest.mark.django_db
def test_editors_see_the_first_name_and_change_it_on_a_page_that_records_the_change(client: Client) -> None:
    subscription = ada()
    Subscriber.objects.update(first_name="Augusta")
    client.force_login(User.objects.create_superuser("edda"))
    page = reverse("admin:subscribers_subscriber_change", args=[subscription.subscriber_id])

    assert "Augusta" in text_of(client.get(page))
    assert client.post(page, {"first_name": "Other"}).status_code == 405
    assert Subscriber.objects.get().first_name == "Augusta"
    edit = reverse("admin:subscribers_subscriber_edit", args=[subscription.subscriber_id])
    frequency = {f"list-{subscription.mailing_list_id}-frequency": "each"}
    assert client.post(edit, {"first_name": "Other", **frequency}).status_code == 302
    change = Change.objects.get()
    assert (change.values, change.by) == ({"from": "Augusta", "to": "Other"}, "edda")
