"""The pages of subscribers over HTTP: what they show, change and keep to themselves."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from subscribers.addresses import parse_address
from subscribers.consent import actions, double_opt_in
from subscribers.consent.texts import TEXT_VERSION, signup_text
from subscribers.consent.tokens import (
    approve_address_url,
    confirm_address_url,
    confirm_url,
    decline_url,
    preferences_url,
    refuse_address_url,
    unsubscribe_url,
)
from subscribers.models import (
    AddressChange,
    Consent,
    ConsentKind,
    Evidence,
    Signup,
    SignupState,
    Subscriber,
    Subscription,
    TransactionalMail,
)
from subscribers.models import SubscriptionState as State
from subscribers.signup.queue import process_signups
from subscribers.signup.stamps import sign_timestamp
from subscribers.transactional.outbox import send_due_transactional_mails
from tests.people import ADA, BEN, CLEO, DINA, EMIL, FINN, ada, ben, cleo, dina, emil, finn, make_mailing_list

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

SIGNUP = "/subscribe/harbour-notes/"
GUS = "gus@example.org"
HERE = Evidence(form="test")
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
def client() -> Client:
    """A client without cookies, on a site that checks CSRF tokens as in production."""
    return Client(enforce_csrf_checks=True)


def form_data(address: str, **changes: str) -> dict[str, str]:
    """The data of a sign-up form that was shown ten seconds ago."""
    timestamp = sign_timestamp(make_mailing_list(), time.time() - 10)
    return {"email": address, "website": "", "timestamp": timestamp} | changes


def path_of(url: str) -> str:
    return url.removeprefix("http://127.0.0.1:8000")


def text_of(response: Any) -> str:
    return str(response.content.decode())


def requested_subscription(address: str = GUS) -> Subscription:
    double_opt_in.request_subscription(make_mailing_list(), parse_address(address), HERE)
    return Subscription.objects.get(subscriber__canonical=address)


def rows() -> list[object]:
    """All rows that a page of subscribers could change."""
    return [
        list(model._default_manager.order_by("pk").values())
        for model in (Subscriber, Subscription, Consent, TransactionalMail, Signup)
    ]


# --- Signing up ---------------------------------------------------------------------------------------------


def test_a_sign_up_leads_to_the_check_mail_page(client: Client) -> None:
    make_mailing_list()
    shown = client.get(SIGNUP)
    assert shown.status_code == 200
    assert signup_text(make_mailing_list()) in text_of(shown)
    answer = client.post(SIGNUP, form_data(GUS))
    assert answer.status_code == 303
    assert answer["Location"].startswith("/subscribe/harbour-notes/check-mail/?for=")
    next_page = client.get(answer["Location"])
    assert GUS in text_of(next_page)
    assert "notes@mail.example.org" in text_of(next_page)
    process_signups()
    assert Subscription.objects.get().state == State.PENDING


def test_the_consent_stores_the_text_that_the_page_showed(client: Client) -> None:
    make_mailing_list()
    client.post(SIGNUP, form_data(GUS), headers={"user-agent": "Firefox\n\x00 140"})
    process_signups()
    proof = Consent.objects.get()
    assert proof.text is not None
    assert (proof.text.text, proof.text.version) == (signup_text(make_mailing_list()), TEXT_VERSION)
    assert (proof.source, proof.ip, proof.user_agent) == (SIGNUP, "127.0.0.1", "Firefox 140")


def test_only_the_sign_up_form_stores_its_text_with_a_consent(client: Client) -> None:
    make_mailing_list()
    check_mail = client.post(SIGNUP, form_data(GUS))["Location"]
    process_signups()
    client.post(check_mail)
    process_signups()
    gus = Subscription.objects.get()
    again = {"action": "again"}
    Subscription.objects.update(requested_at="2020-01-01T00:00Z")
    TransactionalMail.objects.all().delete()
    client.post(path_of(confirm_url(gus.key, gus.request_number)), again)
    for url in (decline_url(gus.key), unsubscribe_url(gus.key), preferences_url(gus.key)):
        TransactionalMail.objects.all().delete()
        actions.unsubscribe(gus.key, HERE)
        client.post(path_of(url), again)
    stored = Consent.objects.exclude(form="test").order_by("pk")
    assert [(proof.form, proof.text is not None, proof.language) for proof in stored] == [
        ("signup", True, "en"),
        ("signup-again", False, "en"),
        ("confirm-again", False, "en"),
        ("decline-undo", False, "en"),
        ("unsubscribe-undo", False, "en"),
        ("preferences", False, "en"),
    ]


def test_the_answer_is_the_same_for_every_address(client: Client) -> None:
    for person in (ada, ben, cleo, dina, emil, finn):
        person()
    pages = set()
    for address in (GUS, ADA, BEN, CLEO, DINA, EMIL, FINN):
        answer = client.post(SIGNUP, form_data(address))
        assert answer.status_code == 303
        shown = client.get(answer["Location"])
        key = answer["Location"].partition("for=")[2]
        assert str(uuid.UUID(key)) == key
        pages.add(text_of(shown).replace(address, "X").replace(key, "Y"))
    assert len(pages) == 1


def test_the_statements_are_the_same_for_every_address(client: Client) -> None:
    for person in (ada, ben, cleo, dina, emil, finn):
        person()
    work = set()
    for address in (GUS, ADA, BEN, CLEO, DINA, EMIL, FINN):
        with CaptureQueriesContext(connection) as captured:
            client.post(SIGNUP, form_data(address))
        # A savepoint has a number in its name.
        work.add(tuple(re.split("WHERE|VALUES|SAVEPOINT", query["sql"])[0] for query in captured))
    (statements,) = work
    assert len(statements) <= 11


def test_the_link_can_be_sent_again_without_typing_the_address(client: Client) -> None:
    make_mailing_list()
    check_mail = client.post(SIGNUP, form_data(GUS))["Location"]
    again = client.post(check_mail)
    assert again.status_code == 303
    shown = text_of(client.get(again["Location"]))
    assert GUS in shown
    assert "We will send the link again." in shown
    assert "We will send the link again." not in text_of(client.get(check_mail))
    process_signups()
    assert TransactionalMail.objects.count() == 2


@pytest.mark.parametrize(
    "key", ["", "x", "%00", str(uuid.UUID(int=7)), "\ud800".encode("utf-8", "surrogatepass").hex()]
)
def test_the_check_mail_page_without_a_signup_shows_no_address(client: Client, key: str) -> None:
    make_mailing_list()
    shown = client.get(f"{SIGNUP}check-mail/?for={key}")
    assert shown.status_code == 200
    assert "your address" in text_of(shown)
    again = client.post(f"{SIGNUP}check-mail/?for={key}")
    assert (again.status_code, again["Location"]) == (303, SIGNUP)


@pytest.mark.parametrize("typed", ["", "anna@@example", "müller@example.org", "a@b\x00.example", "x" * 1_000_000])
def test_an_invalid_address_is_shown_at_the_field_and_in_the_summary(client: Client, typed: str) -> None:
    make_mailing_list()
    shown = client.post(SIGNUP, form_data(typed))
    page = text_of(shown)
    assert shown.status_code == 400
    assert 'href="#email"' in page
    assert 'aria-invalid="true" aria-describedby="email-error"' in page
    assert "<title>Error: " in page
    assert len(page) < 10_000
    assert not Signup.objects.exists()


def test_the_typed_address_is_escaped(client: Client) -> None:
    make_mailing_list()
    page = text_of(client.post(SIGNUP, form_data('"><script>alert(1)</script>')))
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_invalid_unicode_is_refused(client: Client) -> None:
    make_mailing_list()
    body = "email=gus%ED%A0%80%40example.org&website=&timestamp=%00"
    answer = client.post(SIGNUP, body, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 400


def test_a_bot_that_fills_the_honeypot_field_is_ignored(client: Client) -> None:
    make_mailing_list()
    answer = client.post(SIGNUP, form_data(GUS, website="https://pills.example"))
    assert answer.status_code == 303
    process_signups()
    assert Signup.objects.get().state == SignupState.REFUSED
    assert not Subscriber.objects.exists()


@pytest.mark.parametrize(
    ("age", "sentence"),
    [
        (0.0, "submitted too fast"),
        (-200.0, "submitted too fast"),
        (-400.0, "open for too long"),
        (7300.0, "open for too long"),
    ],
)
def test_a_form_submitted_too_fast_or_too_late_is_shown_again(client: Client, age: float, sentence: str) -> None:
    timestamp = sign_timestamp(make_mailing_list(), time.time() - age)
    shown = client.post(SIGNUP, form_data(GUS, timestamp=timestamp))
    assert shown.status_code == 400
    assert sentence in text_of(shown)
    assert f'value="{GUS}"' in text_of(shown)
    assert not Signup.objects.exists()


def test_a_timestamp_of_another_list_or_without_signature_is_refused(client: Client) -> None:
    foreign = sign_timestamp(make_mailing_list("tide-tables"), time.time() - 10)
    for timestamp in (foreign, "", "12.0:forged"):
        assert client.post(SIGNUP, form_data(GUS, timestamp=timestamp)).status_code == 400


def test_the_shown_form_is_accepted_after_half_a_second(client: Client) -> None:
    make_mailing_list()
    timestamp = re.search(r'name="timestamp" value="([^"]+)"', text_of(client.get(SIGNUP)))
    assert timestamp is not None
    deadline = time.monotonic() + 10
    while client.post(SIGNUP, form_data(GUS, timestamp=timestamp[1])).status_code != 303:
        assert time.monotonic() < deadline


def test_too_many_sign_ups_of_one_network_are_refused(client: Client, settings: Settings) -> None:
    settings.SIGNUP_NETWORK_LIMIT = 3
    for number in range(3):
        client.post(SIGNUP, form_data(f"r{number}@example.org"))
    answer = client.post(SIGNUP, form_data(GUS))
    assert answer.status_code == 429
    assert 1 <= int(answer["Retry-After"]) <= 3600
    assert "Try again later" in text_of(answer)


def test_a_form_from_another_origin_creates_a_pending_subscription_only(client: Client) -> None:
    make_mailing_list()
    answer = client.post(SIGNUP, form_data(GUS), headers={"origin": "https://elsewhere.example"})
    assert answer.status_code == 303
    process_signups()
    assert Subscription.objects.get().state == State.PENDING


def test_an_unknown_list_is_not_found(client: Client) -> None:
    assert client.get("/subscribe/nothing-here/").status_code == 404
    assert client.post("/subscribe/nothing-here/check-mail/").status_code == 404


@pytest.mark.parametrize("header", ["Host", "X-Forwarded-Host"])
def test_a_forged_host_does_not_get_into_a_mail(client: Client, header: str) -> None:
    make_mailing_list()
    client.post(SIGNUP, form_data(GUS), headers={header: "evil.example"})
    process_signups()
    assert not any(
        "evil.example" in f"{mail.text}{mail.html}{mail.headers}" for mail in TransactionalMail.objects.all()
    )


# --- Evidence -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proxies", "forwarded", "ip"),
    [
        (0, "203.0.113.9", "127.0.0.1"),
        (1, "", "127.0.0.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        (2, "6.6.6.6, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        (1, "203.0.113.9:4711", "203.0.113.9"),
        (2, "203.0.113.9:4711, 10.0.0.2:80", "203.0.113.9"),
        (1, "[2001:db8::1]:4711", "2001:db8::1"),
        (1, "[2001:db8::1]", "2001:db8::1"),
        (1, '"[2001:db8::1]:4711"', "2001:db8::1"),
        (1, "[::ffff:203.0.113.9]:4711", "203.0.113.9"),
        (1, "fe80::1%eth0", "fe80::1"),
        (1, "[fe80::1%eth0]:4711", "fe80::1"),
        (1, "unknown", "127.0.0.1"),
        (1, "_hidden:4711", "127.0.0.1"),
        (1, "203.0.113.9:4711:1", "127.0.0.1"),
        (1, "[203.0.113.9", "203.0.113.9"),
        (1, ":4711", "127.0.0.1"),
        (1, "[]:4711", "127.0.0.1"),
        (1, "203.0.113.999", "127.0.0.1"),
        (2, "203.0.113.9", "127.0.0.1"),
        (1, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6"),
        (1, "::ffff:203.0.113.9", "203.0.113.9"),
        (1, "nonsense\x00", "127.0.0.1"),
    ],
)
def test_the_consent_stores_the_ip_that_the_trusted_proxies_saw(
    client: Client, settings: Settings, proxies: int, forwarded: str, ip: str
) -> None:
    make_mailing_list()
    settings.TRUSTED_PROXIES = proxies
    client.post(SIGNUP, form_data(GUS), headers={"x-forwarded-for": forwarded})
    process_signups()
    assert Consent.objects.get().ip == ip


def test_a_64_network_counts_as_one(client: Client, settings: Settings) -> None:
    make_mailing_list()
    settings.TRUSTED_PROXIES = 1
    for address in ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1"):
        client.post(SIGNUP, form_data(GUS), headers={"x-forwarded-for": address})
    networks = Signup.objects.order_by("pk").values_list("network", flat=True)
    assert list(networks) == ["2001:db8:1:2::/64", "2001:db8:1:2::/64", "2001:db8:1:3::/64"]


# --- Confirming ---------------------------------------------------------------------------------------------


def test_only_the_button_of_the_confirmation_page_confirms(client: Client) -> None:
    gus = requested_subscription()
    path = path_of(confirm_url(gus.key, 1))
    before = rows()
    for _ in range(10):
        assert "Confirm subscription" in text_of(client.get(path))
        client.head(path)
        client.post(path)
    assert rows() == before
    assert "You are subscribed" in text_of(client.post(path, {"action": "confirm"}))
    gus.refresh_from_db()
    assert gus.state == State.ACTIVE
    assert "Already confirmed" in text_of(client.get(path))
    assert "Already confirmed" in text_of(client.post(path, {"action": "confirm"}))


def test_the_consent_of_a_confirmation_stores_the_text_and_no_token(client: Client) -> None:
    gus = requested_subscription()
    path = path_of(confirm_url(gus.key, 1))
    shown = text_of(client.get(path))
    client.post(path, {"action": "confirm"})
    proof = gus.consents.get(kind=ConsentKind.CONFIRMED)
    assert proof.source == "/confirm/…"
    assert proof.text is not None
    assert proof.text.text in shown


def test_an_expired_link_offers_a_new_mail(client: Client) -> None:
    gus = requested_subscription()
    Subscription.objects.update(requested_at="2020-01-01T00:00Z")
    path = path_of(confirm_url(gus.key, 1))
    assert "This link has expired" in text_of(client.post(path, {"action": "confirm"}))
    assert "Check your mail" in text_of(client.post(path, {"action": "again"}, follow=True))
    gus.refresh_from_db()
    assert (gus.state, gus.request_number, gus.transactional_mails.count()) == (State.PENDING, 2, 2)


def test_a_link_from_before_an_unsubscribe_is_no_longer_valid(client: Client) -> None:
    gus = requested_subscription()
    actions.unsubscribe(gus.key, HERE)
    assert "This link is no longer valid" in text_of(client.get(path_of(confirm_url(gus.key, 1))))


# --- “This was not me” --------------------------------------------------------------------------------------


def test_one_click_of_a_confirmation_mail_declines(client: Client) -> None:
    make_mailing_list()
    client.post(SIGNUP, form_data(GUS))
    process_signups()
    path = path_of(TransactionalMail.objects.get().headers["List-Unsubscribe"].strip("<>"))
    answer = client.post(path, ONE_CLICK)
    assert (answer.status_code, answer.content) == (200, b"Unsubscribed.\n")
    assert Subscription.objects.get().state == State.UNSUBSCRIBED
    client.post(SIGNUP, form_data(GUS))
    process_signups()
    assert TransactionalMail.objects.count() == 1


def test_the_decline_page_declines_and_offers_undo(client: Client) -> None:
    gus = requested_subscription()
    path = path_of(decline_url(gus.key))
    assert "g•••@example.org" in text_of(client.get(path))
    assert Subscriber.objects.get().declined_at is None
    assert "Thank you for telling us" in text_of(client.post(path, {"action": "decline"}))
    assert Subscriber.objects.get().declined_at is not None
    assert "Check your mail" in text_of(client.post(path, {"action": "again"}, follow=True))
    assert TransactionalMail.objects.count() == 2


def test_a_decline_of_an_active_subscription_promises_nothing(client: Client) -> None:
    path = path_of(decline_url(ada().key))
    assert "confirmation mails" not in text_of(client.get(path))
    for _repeat in range(2):
        page = text_of(client.post(path, {"action": "decline"}))
        assert "You are unsubscribed" in page
        assert "confirmation mails" not in page
    assert Subscriber.objects.get().declined_at is None


def test_a_decline_of_a_deleted_subscription_promises_nothing(client: Client) -> None:
    path = path_of(decline_url(uuid.UUID(int=7)))
    assert "confirmation mails" not in text_of(client.get(path))
    page = text_of(client.post(path, {"action": "decline"}))
    assert "Your address is not subscribed." in page
    assert "confirmation mails" not in page


# --- Unsubscribing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_form", [True, False], ids=["multipart", "urlencoded"])
@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("changes", [{}, {"APPEND_SLASH": False}, {"PREPEND_WWW": False, "APPEND_SLASH": True}])
def test_one_click_unsubscribes_without_redirect_cookie_or_form(
    client: Client, settings: Settings, as_form: bool, slash: str, changes: dict[str, bool]
) -> None:
    for name, value in changes.items():
        setattr(settings, name, value)
    subscription = ada()
    path = path_of(unsubscribe_url(subscription.key)) + slash
    if as_form:
        answer = client.post(path, ONE_CLICK)
    else:
        answer = client.post(path, "List-Unsubscribe=One-Click", content_type="application/x-www-form-urlencoded")
    assert (answer.status_code, answer.content) == (200, b"Unsubscribed.\n")
    assert not answer.has_header("Location")
    assert not answer.cookies
    subscription.refresh_from_db()
    assert subscription.state == State.UNSUBSCRIBED
    assert subscription.consents.get().form == "one-click"


def test_one_click_answers_the_same_for_repeats_and_deleted_subscriptions(client: Client) -> None:
    paths = [path_of(unsubscribe_url(key)) for key in (ada().key, cleo().key, dina().key, uuid.UUID(int=7))]
    answers = {
        (answer.status_code, answer.content, str(sorted(answer.headers.items())))
        for path in paths
        for answer in [client.post(path, ONE_CLICK), client.post(path, ONE_CLICK)]
    }
    assert len(answers) == 1


def test_one_click_ignores_the_cookies_of_an_editor(client: Client) -> None:
    editor = User.objects.create_superuser("ida", "ida@example.org", "a long password")
    client.force_login(editor)
    own, subscription = requested_subscription("ida@example.org"), ada()
    assert client.post(path_of(unsubscribe_url(subscription.key)), ONE_CLICK).status_code == 200
    own.refresh_from_db()
    subscription.refresh_from_db()
    assert (own.state, subscription.state) == (State.PENDING, State.UNSUBSCRIBED)


@pytest.mark.parametrize("method", ["get", "head", "options", "put", "patch", "delete", "trace"])
def test_no_method_but_post_changes_anything(client: Client, method: str) -> None:
    subscription, before = ada(), None
    for url in (unsubscribe_url(subscription.key), preferences_url(subscription.key), decline_url(subscription.key)):
        before = before or rows()
        getattr(client, method)(path_of(url) + "?List-Unsubscribe=One-Click&action=unsubscribe")
    assert rows() == before


@pytest.mark.parametrize("fields", [{}, {"List-Unsubscribe": "one-click"}, {"action": "x"}, {"confirm": "1"}])
def test_a_post_without_a_known_field_changes_nothing(client: Client, fields: dict[str, str]) -> None:
    subscription = ada()
    before = rows()
    for url in (unsubscribe_url(subscription.key), preferences_url(subscription.key), decline_url(subscription.key)):
        answer = client.post(path_of(url), fields)
        assert answer.status_code == 400
        assert "The site did not understand this request. Nothing was changed." in text_of(answer)
        assert f'href="{path_of(url)}"' in answer.content.decode()
    assert rows() == before


def test_the_unsubscribe_page_needs_one_click_and_offers_undo(client: Client) -> None:
    subscription = ada()
    path = path_of(unsubscribe_url(subscription.key))
    page = text_of(client.get(path))
    assert "a•••@example.org" in page
    assert ADA not in page
    done = text_of(client.post(path, {"action": "unsubscribe"}))
    assert "You are unsubscribed" in done
    assert done == text_of(client.post(path, {"action": "unsubscribe"}))
    assert "Check your mail" in text_of(client.post(path, {"action": "again"}, follow=True))
    subscription.refresh_from_db()
    assert subscription.state == State.PENDING


def test_the_unsubscribe_link_of_a_deleted_subscription_still_works(client: Client) -> None:
    path = path_of(unsubscribe_url(uuid.UUID(int=7)))
    assert "Unsubscribe?" in text_of(client.get(path))
    assert "You are unsubscribed" in text_of(client.post(path, {"action": "unsubscribe"}))
    assert client.post(path, {"action": "again"}).status_code == 200


def test_links_of_old_mails_work_after_a_change_of_the_secret(client: Client, settings: Settings) -> None:
    subscription = ada()
    path = path_of(unsubscribe_url(subscription.key))
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a-newer-secret-" + "n" * 50
    client.post(path, ONE_CLICK)
    subscription.refresh_from_db()
    assert subscription.state == State.UNSUBSCRIBED


@pytest.mark.parametrize("purpose", ["unsubscribe", "preferences", "confirm", "decline"])
@pytest.mark.parametrize("token", ["x", "A" * 43, "%00", "%ff%fe", "%ED%A0%80", "a%0Ab", "x" * 5000, "<b>"])
def test_a_forged_link_gets_one_fixed_answer(client: Client, purpose: str, token: str) -> None:
    answers = {
        (answer.status_code, answer.content)
        for answer in (
            client.get(f"/{purpose}/{token}"),
            client.post(f"/{purpose}/{token}", ONE_CLICK),
            client.post(f"/{purpose}/{token}/", {"action": "unsubscribe"}),
            # The page of preferences also offers a new link.
            client.get("/preferences/forged" if purpose == "preferences" else "/unsubscribe/forged"),
        )
    }
    assert len(answers) == 1
    assert answers.pop()[0] == 404


# --- Preferences --------------------------------------------------------------------------------------------


def test_a_subscription_is_paused_and_resumed(client: Client) -> None:
    subscription = ada()
    path = path_of(preferences_url(subscription.key))
    answer = client.post(path, {"action": "pause", "weeks": "4"})
    assert (answer.status_code, answer["Cache-Control"]) == (303, "no-store")
    for _reload in range(2):
        assert "Saved. You will receive no issues until" in text_of(client.get(answer["Location"]))
    assert subscription.consents.count() == 1
    subscription.refresh_from_db()
    assert subscription.paused_until is not None
    assert "Saved. You receive issues again" in text_of(client.post(path, {"action": "resume"}, follow=True))
    assert "Saved. You will" not in text_of(client.get(answer["Location"]))
    subscription.refresh_from_db()
    assert subscription.paused_until is None


@pytest.mark.parametrize("weeks", ["", "3", "52", "-2", "x", "\x00"])
def test_a_pause_of_another_length_is_an_error_of_its_field(client: Client, weeks: str) -> None:
    subscription = ada()
    shown = client.post(path_of(preferences_url(subscription.key)), {"action": "pause", "weeks": weeks})
    assert 'href="#weeks-2"' in text_of(shown)
    subscription.refresh_from_db()
    assert subscription.paused_until is None


def test_the_preferences_page_unsubscribes(client: Client) -> None:
    subscription = ada()
    answer = client.post(path_of(preferences_url(subscription.key)), {"action": "unsubscribe"})
    assert "You are unsubscribed" in text_of(answer)
    subscription.refresh_from_db()
    assert subscription.state == State.UNSUBSCRIBED


@pytest.mark.parametrize("person", [ada, ben, cleo, dina, emil, finn])
def test_the_preferences_page_masks_the_address(client: Client, person: Callable[[], Subscription]) -> None:
    subscription = person()
    page = text_of(client.get(path_of(preferences_url(subscription.key))))
    assert subscription.subscriber.address not in page
    assert subscription.subscriber.address[0] + "•••@example.org" in page


# --- All pages ----------------------------------------------------------------------------------------------


def every_page(subscription: Subscription) -> dict[str, str]:
    change = AddressChange.objects.create(
        subscriber=subscription.subscriber,
        subscription=subscription,
        address="n@example.net",
        canonical="n@example.net",
    )
    return {
        "signup": SIGNUP,
        "check mail": SIGNUP + "check-mail/",
        "confirm": path_of(confirm_url(subscription.key, 1)),
        "decline": path_of(decline_url(subscription.key)),
        "unsubscribe": path_of(unsubscribe_url(subscription.key)),
        "preferences": path_of(preferences_url(subscription.key)),
        "confirm address": path_of(confirm_address_url(change.key)),
        "approve address": path_of(approve_address_url(change.key)),
        "refuse address": path_of(refuse_address_url(change.key)),
        "forged": "/unsubscribe/forged",
    }


def test_no_page_sets_a_cookie_or_depends_on_one(client: Client) -> None:
    for path in every_page(requested_subscription()).values():
        for answer in (client.get(path), client.post(path, {"action": "nothing"})):
            assert not answer.cookies
            assert "Cookie" not in answer.get("Vary", "")


def test_private_pages_are_not_cached_indexed_or_sent_as_referrer(client: Client) -> None:
    pages = every_page(requested_subscription())
    del pages["signup"]
    for path in pages.values():
        answer = client.get(path)
        assert answer["Cache-Control"] == "no-store"
        assert answer["X-Robots-Tag"] == "noindex"
        assert answer["Referrer-Policy"] == "no-referrer"


def test_pages_contain_no_scripts_or_inline_styles(client: Client) -> None:
    for path in every_page(requested_subscription()).values():
        answer = client.get(path)
        assert "default-src 'self'" in answer["Content-Security-Policy"]
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=", text_of(answer))


def test_no_token_gets_into_the_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    subscription = ada()
    for url in (unsubscribe_url(subscription.key), preferences_url(subscription.key), decline_url(subscription.key)):
        for answer in (client.options, client.put, client.get):
            answer(path_of(url))
        client.post(path_of(url), {"action": "pause", "weeks": "x\x00"})
        assert url.rpartition("/")[2] not in caplog.text


def test_query_parameters_are_not_shown(client: Client) -> None:
    for path in every_page(requested_subscription()).values():
        query = "&".join(f"{name}=marker<b>" for name in ("for", "email", "action", "next", "name", "list", "q"))
        assert "marker" not in text_of(client.get(f"{path}?{query}"))


def test_only_the_known_views_are_exempt_from_csrf_checks() -> None:
    from django.urls import get_resolver

    def exempt(patterns: Any) -> set[str]:
        names = set()
        for pattern in patterns:
            if hasattr(pattern, "url_patterns"):
                names |= exempt(pattern.url_patterns)
            elif getattr(pattern.callback, "csrf_exempt", False):
                names.add(pattern.name)
        return names

    ours = {"subscribe", "check-mail", "confirm", "decline", "unsubscribe", "preferences"}
    ours |= {"confirm-address", "approve-address", "refuse-address", "stay", "my-data", "erase-me"}
    # Forms on other sites: all that they cause is a confirmation mail, and the list must allow them.
    ours |= {"embed", "embed-check-mail"}
    # Programs that send a token of their own, and no cookie.
    ours |= {"save-link"}
    assert exempt(get_resolver().url_patterns) - {"webhook"} == ours


def test_the_style_sheet_is_small() -> None:
    from django.contrib.staticfiles import finders

    path = finders.find("subscribers/pages.css")
    assert path is not None
    with open(path, "rb") as sheet:
        assert len(sheet.read()) <= 6.5 * 1024


def test_a_subscription_from_sign_up_to_unsubscribe_over_http(client: Client, mailoutbox: list[Any]) -> None:
    make_mailing_list()
    client.post(SIGNUP, form_data(GUS))
    process_signups()
    send_due_transactional_mails()
    (mail,) = mailoutbox
    confirm = re.search(r"http://127\.0\.0\.1:8000(/confirm/\S+)", mail.body)
    assert confirm is not None
    client.get(confirm[1])
    client.post(confirm[1], {"action": "confirm"})
    gus = Subscription.objects.get()
    assert gus.state == State.ACTIVE
    client.post(path_of(unsubscribe_url(gus.key)), ONE_CLICK)
    gus.refresh_from_db()
    assert gus.state == State.UNSUBSCRIBED
    assert list(gus.consents.order_by("pk").values_list("kind", "form")) == [
        ("requested", "signup"),
        ("confirmed", "confirm"),
        ("unsubscribed", "one-click"),
    ]
