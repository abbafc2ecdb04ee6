"""Languages: pages and mails in that of their list, the consent text as it was shown, all other pages negotiated.

Catalogues of translations change; these tests bring a small one of their own.
"""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import translation
from django.utils.translation import trans_real

from newsletter.config.languages import preferred_language
from subscribers.addresses import parse_address
from subscribers.consent import double_opt_in
from subscribers.consent.texts import confirmation_text, signup_text
from subscribers.consent.tokens import confirm_url, preferences_url, unsubscribe_url
from subscribers.models import Consent, ConsentKind, Evidence, MailingList, Subscription, TransactionalMail
from subscribers.signup.queue import process_signups
from tests.people import ada, make_mailing_list
from tests.subscribers.test_views import form_data

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

GERMAN = {
    "Your preferences": "Ihre Einstellungen",
    "Page not found": "Seite nicht gefunden",
    "This link does not work": "Dieser Link funktioniert nicht",
    "Confirm your subscription": "Bestätigen Sie Ihr Abonnement",
    "Please confirm: %(name)s": "Bitte bestätigen: %(name)s",
    "Enter an email address.": "Geben Sie eine E-Mail-Adresse ein.",
    "By confirming, you agree to receive %(name)s at this address. You can unsubscribe at any time with one click.": (
        "Mit der Bestätigung stimmen Sie zu, %(name)s an diese Adresse zu erhalten."
    ),
}


@pytest.fixture(autouse=True)
def catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few sentences in German, and none of ours in French and Spanish."""
    with translation.override("de"):
        original = trans_real.catalog()
    gettext = type(original).gettext

    def translated(self: Any, message: str) -> str:
        found = GERMAN.get(message) if self.to_language() == "de" else None
        return found or gettext(self, message)

    monkeypatch.setattr(type(original), "gettext", translated)


@pytest.fixture
def german() -> MailingList:
    return make_mailing_list(language="de")


def page(client: Client, path: str, accept: str = "fr, en;q=0.5") -> Any:
    return client.get(path.removeprefix("http://127.0.0.1:8000"), headers={"accept-language": accept})


# --- Pages of a list ---------------------------------------------------------------------------------------


def test_a_page_speaks_the_language_of_its_list_whatever_the_browser_asks_for(
    client: Client, german: MailingList
) -> None:
    response = page(client, preferences_url(ada(german).key))
    assert "Ihre Einstellungen" in response.content.decode()
    assert '<html lang="de" dir="ltr">' in response.content.decode()
    assert response["Content-Language"] == "de"
    assert "Accept-Language" not in response.get("Vary", "")


def test_errors_of_forms_speak_the_language_of_the_list(client: Client, german: MailingList) -> None:
    response = client.post("/subscribe/harbour-notes/", form_data(""), headers={"accept-language": "en"})
    assert "Geben Sie eine E-Mail-Adresse ein." in response.content.decode()


def test_a_list_in_a_language_without_translation_has_english_pages(client: Client) -> None:
    mailing_list = make_mailing_list(language="it")
    response = page(client, unsubscribe_url(ada(mailing_list).key), "de")
    assert '<html lang="en" dir="ltr">' in response.content.decode()


@pytest.mark.parametrize("language", ["en", "de", "fr", "es"])
def test_a_list_can_have_each_of_the_four_languages(language: str) -> None:
    mailing_list = make_mailing_list(language=language)
    mailing_list.full_clean()
    assert mailing_list.page_language == language


@pytest.mark.parametrize(
    ("language", "date"),
    [("en", "1 July 2027"), ("de", "1. Juli 2027"), ("fr", "1 juillet 2027"), ("es", "1 de julio de 2027")],
)
def test_dates_of_a_page_follow_its_language(client: Client, language: str, date: str) -> None:
    subscription = ada(make_mailing_list(language=language))
    Subscription.objects.update(paused_until=datetime.datetime(2027, 7, 1, 5, tzinfo=datetime.UTC))
    assert date in page(client, preferences_url(subscription.key)).content.decode()


@pytest.mark.parametrize(
    ("language", "length"),
    [("en", "For 2 weeks"), ("de", "Für 2 Wochen"), ("fr", "Pendant 2 semaines"), ("es", "Durante 2 semanas")],
)
def test_the_lengths_of_a_pause_follow_the_language_of_the_page(client: Client, language: str, length: str) -> None:
    subscription = ada(make_mailing_list(language=language))
    assert length in page(client, preferences_url(subscription.key)).content.decode()


def test_the_language_of_one_page_does_not_reach_the_next(client: Client, german: MailingList) -> None:
    page(client, preferences_url(ada(german).key))
    assert translation.get_language() == "en"


# --- Mails and consents ------------------------------------------------------------------------------------


def test_a_mail_speaks_the_language_of_its_list(german: MailingList) -> None:
    double_opt_in.request_subscription(german, parse_address("gus@example.org"), Evidence(form="test"))
    mail = TransactionalMail.objects.get()
    assert mail.subject == "Bitte bestätigen: Harbour Notes"
    assert mail.text.startswith("Bestätigen Sie Ihr Abonnement")
    assert '<html lang="de" dir="ltr">' in mail.html
    assert translation.get_language() == "en"


def test_a_consent_stores_the_text_in_the_language_that_was_shown(client: Client, german: MailingList) -> None:
    client.post("/subscribe/harbour-notes/", form_data("gus@example.org"), headers={"accept-language": "es"})
    process_signups()
    request = Consent.objects.get()
    assert request.text is not None
    assert (request.language, request.text.text) == ("de", signup_text(german))
    assert request.subscription is not None
    path = confirm_url(request.subscription.key, 1)
    shown = page(client, path).content.decode()
    client.post(path.removeprefix("http://127.0.0.1:8000"), {"action": "confirm"})
    confirmed = Consent.objects.get(kind=ConsentKind.CONFIRMED)
    assert confirmed.text is not None
    assert confirmed.text.text == "Mit der Bestätigung stimmen Sie zu, Harbour Notes an diese Adresse zu erhalten."
    assert confirmed.text.text in shown
    assert confirmed.language == "de"


def test_a_consent_text_speaks_the_language_of_the_list_everywhere(german: MailingList) -> None:
    with translation.override("fr"):
        assert confirmation_text(german).startswith("Mit der Bestätigung")


# --- Other pages -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/unsubscribe/forged", "/nothing/is/here/"])
def test_a_page_without_a_list_speaks_the_language_of_the_browser(client: Client, path: str) -> None:
    response = page(client, path, "de-AT, en;q=0.8")
    assert re.search("Dieser Link funktioniert nicht|Seite nicht gefunden", response.content.decode())
    assert response["Content-Language"] == "de"
    assert "Accept-Language" in response["Vary"]


@pytest.mark.parametrize(
    ("accept", "language"), [("de", "de"), ("fr", "en"), ("es, de;q=0.5", "de"), ("", "en"), ("en-GB, de", "en")]
)
def test_the_admin_speaks_english_or_german(client: Client, accept: str, language: str) -> None:
    client.force_login(User.objects.create_superuser("ida"))
    response = page(client, "/admin/subscribers/subscriber/", accept)
    assert f'<html lang="{language}"' in response.content.decode()
    assert "Accept-Language" in response["Vary"]


def test_answers_to_programs_do_not_vary_by_language(client: Client) -> None:
    response = client.post(
        unsubscribe_url(ada().key).removeprefix("http://127.0.0.1:8000"),
        {"List-Unsubscribe": "One-Click"},
        headers={"accept-language": "de"},
    )
    assert response.content == b"Unsubscribed.\n"
    assert "Accept-Language" not in response.get("Vary", "")


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("fr-CH, fr;q=0.9, en;q=0.8", "fr"),
        ("pt-BR, es;q=0.7", "es"),
        ("de;q=0, en", "en"),
        ("*", "en"),
        ("xx-yy-zz", "en"),
        ("\x00", "en"),
        ("de" * 10_000, "en"),
    ],
)
def test_the_first_offered_language_of_the_header_is_taken(header: str, language: str) -> None:
    assert preferred_language(header, ["en", "de", "fr", "es"]) == language
