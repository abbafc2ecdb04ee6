"""First names: what may greet somebody, asked only behind a link from their own mailbox."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from subscribers.consent.tokens import confirm_url, preferences_url
from subscribers.models import Consent, Subscriber, TransactionalMail
from subscribers.models import SubscriptionState as State
from subscribers.signup.names import NameRefused, parse_first_name
from tests.people import ada
from tests.subscribers.test_views import asked, path_of, text_of


@pytest.mark.parametrize(
    "name",
    ["Ada", "José", "Jean-Luc", "O’Brien", "D'Arcy", "J. R.", "نور", "さくら", "Zoë Ann", "ณัฐ", "Nguyễn", "Louis 2"],
)
def test_names_of_people_are_kept_as_they_are(name: str) -> None:
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
def test_what_only_poses_as_a_name_is_refused_with_a_sentence(words: str) -> None:
    with pytest.raises(NameRefused, match=r"\.$"):
        parse_first_name(words)


@given(st.text())
def test_whatever_is_typed_a_kept_name_is_short_and_harmless(words: str) -> None:
    try:
        name = parse_first_name(words)
    except NameRefused:
        return
    assert len(name) <= 60
    assert not set(name) & set('{}<>[]|@/:"&=\n\r\0')
    assert parse_first_name(name) == name


@pytest.mark.django_db
def test_who_confirms_may_say_how_to_be_greeted(client: Client) -> None:
    subscription = asked()
    link = path_of(confirm_url(subscription.key, subscription.request_number))

    assert "First name (optional)" in text_of(client.get(link))
    assert "You are subscribed" in text_of(client.post(link, {"action": "confirm", "first_name": " Gus "}))
    assert Subscriber.objects.get().first_name == "Gus"
    assert not Consent.objects.filter(detail__contains="Gus").exists()


@pytest.mark.django_db
def test_a_name_that_is_refused_is_said_at_its_field_and_nothing_is_confirmed_yet(client: Client) -> None:
    subscription = asked()
    link = path_of(confirm_url(subscription.key, subscription.request_number))
    answer = client.post(link, {"action": "confirm", "first_name": "win at casino.example"})
    subscription.refresh_from_db()

    assert answer.status_code == 200  # a 400 would put the working link into the log
    assert "A first name has letters" in text_of(answer)
    assert subscription.state == State.PENDING
    assert Subscriber.objects.get().first_name == ""


@pytest.mark.django_db
def test_no_stranger_can_put_words_into_a_name_or_a_confirmation_mail(client: Client) -> None:
    subscription = asked()
    Subscriber.objects.update(first_name="Casino")
    asked()

    for mail in TransactionalMail.objects.filter(subscription=subscription):
        assert "Casino" not in f"{mail.subject} {mail.text} {mail.html}"
    assert "first_name" not in text_of(client.get("/subscribe/harbour-notes/"))


@pytest.mark.django_db
def test_a_reader_changes_and_takes_back_their_name_without_ever_seeing_the_old_one(client: Client) -> None:
    subscription = ada()
    link = path_of(preferences_url(subscription.key))

    assert "Saved. The next issue knows." in text_of(client.post(link, {"action": "name", "first_name": "Augusta"}))
    assert Subscriber.objects.get().first_name == "Augusta"
    assert "Augusta" not in text_of(client.get(link))
    client.post(link, {"action": "name", "first_name": ""})
    assert Subscriber.objects.get().first_name == "Augusta"
    client.post(link, {"action": "forget-name", "first_name": "Ada"})
    assert Subscriber.objects.get().first_name == ""
    assert "A first name has letters" in text_of(client.post(link, {"action": "name", "first_name": "<b>"}))


@pytest.mark.django_db
def test_editors_see_the_name_and_cannot_change_it(client: Client) -> None:
    subscription = ada()
    Subscriber.objects.update(first_name="Augusta")
    client.force_login(User.objects.create_superuser("edda"))
    page = reverse("admin:subscribers_subscriber_change", args=[subscription.subscriber_id])

    assert "Augusta" in text_of(client.get(page))
    assert client.post(page, {"first_name": "Other"}).status_code == 403
    assert Subscriber.objects.get().first_name == "Augusta"
