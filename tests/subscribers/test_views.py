"""The reader pages through HTTP: what they show, what they change, and what they never tell."""

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
    confirm_url,
    decline_url,
    preferences_url,
    unsubscribe_url,
)
from subscribers.models import Consent, ConsentKind, Evidence, Signup, Subscriber, Subscription, TransactionalMail
from subscribers.models import SubscriptionState as State
from subscribers.signup.forms import make_stamp
from subscribers.signup.queue import SIGNUPS_AN_HOUR, answer_signups
from subscribers.transactional.outbox import send_due_transactional_mails
from tests.people import ADA, BEN, CLEO, DINA, EMIL, FINN, ada, ben, cleo, dina, emil, finn, make_mailing_list

pytestmark = pytest.mark.django_db

SIGNUP = "/subscribe/harbour-notes/"
GUS = "gus@example.org"
HERE = Evidence(form="test")
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
def client() -> Client:
    """A stranger's browser, before a site that checks CSRF tokens as in production."""
    return Client(enforce_csrf_checks=True)


def filled_in(address: str, **changes: str) -> dict[str, str]:
    """The sign-up form as a person sends it who took ten seconds."""
    stamp = make_stamp(make_mailing_list(), time.time() - 10)
    return {"email": address, "website": "", "stamp": stamp} | changes


def path_of(url: str) -> str:
    return url.removeprefix("http://127.0.0.1:8000")


def text_of(response: Any) -> str:
    return str(response.content.decode())


def asked(address: str = GUS) -> Subscription:
    double_opt_in.request_subscription(make_mailing_list(), parse_address(address), HERE)
    return Subscription.objects.get(subscriber__canonical=address)


def rows() -> list[object]:
    """Everything that a reader page could change."""
    return [
        list(model._default_manager.order_by("pk").values())
        for model in (Subscriber, Subscription, Consent, TransactionalMail, Signup)
    ]


# --- Signing up --------------------------------------------------------------------------------------------


def test_a_visitor_signs_up_and_is_sent_to_look_into_their_mail(client: Client) -> None:
    make_mailing_list()
    shown = client.get(SIGNUP)
    assert shown.status_code == 200
    assert signup_text(make_mailing_list()) in text_of(shown)
    answer = client.post(SIGNUP, filled_in(GUS))
    assert answer.status_code == 303
    assert answer["Location"].startswith("/subscribe/harbour-notes/check-mail/?for=")
    next_page = client.get(answer["Location"])
    assert GUS in text_of(next_page)
    assert "notes@mail.example.org" in text_of(next_page)
    answer_signups()
    assert Subscription.objects.get().state == State.PENDING


def test_the_proof_holds_the_words_that_the_page_showed(client: Client) -> None:
    make_mailing_list()
    client.post(SIGNUP, filled_in(GUS), headers={"user-agent": "Firefox\n\x00 140"})
    answer_signups()
    proof = Consent.objects.get()
    assert proof.text is not None
    assert (proof.text.text, proof.text.version) == (signup_text(make_mailing_list()), TEXT_VERSION)
    assert (proof.source, proof.ip, proof.user_agent) == (SIGNUP, "127.0.0.1", "Firefox 140")


def test_the_answer_is_the_same_whoever_the_address_belongs_to(client: Client) -> None:
    for person in (ada, ben, cleo, dina, emil, finn):
        person()
    pages = set()
    for address in (GUS, ADA, BEN, CLEO, DINA, EMIL, FINN):
        answer = client.post(SIGNUP, filled_in(address))
        assert answer.status_code == 303
        shown = client.get(answer["Location"])
        key = answer["Location"].partition("for=")[2]
        assert str(uuid.UUID(key)) == key
        pages.add(text_of(shown).replace(address, "X").replace(key, "Y"))
    assert len(pages) == 1


def test_the_work_is_the_same_whoever_the_address_belongs_to(client: Client) -> None:
    for person in (ada, ben, cleo, dina, emil, finn):
        person()
    work = set()
    for address in (GUS, ADA, BEN, CLEO, DINA, EMIL, FINN):
        with CaptureQueriesContext(connection) as captured:
            client.post(SIGNUP, filled_in(address))
        work.add(tuple(query["sql"].split("WHERE")[0].split("VALUES")[0] for query in captured))
    (statements,) = work
    assert len(statements) <= 4


def test_the_link_can_be_sent_again_without_typing_the_address(client: Client) -> None:
    make_mailing_list()
    check_mail = client.post(SIGNUP, filled_in(GUS))["Location"]
    again = client.post(check_mail)
    assert again.status_code == 303
    assert GUS in text_of(client.get(again["Location"]))
    answer_signups()
    assert TransactionalMail.objects.count() == 2


@pytest.mark.parametrize(
    "key", ["", "x", "%00", str(uuid.UUID(int=7)), "\ud800".encode("utf-8", "surrogatepass").hex()]
)
def test_without_a_known_signup_the_page_says_the_same_in_general(client: Client, key: str) -> None:
    make_mailing_list()
    shown = client.get(f"{SIGNUP}check-mail/?for={key}")
    assert shown.status_code == 200
    assert "your address" in text_of(shown)
    again = client.post(f"{SIGNUP}check-mail/?for={key}")
    assert (again.status_code, again["Location"]) == (303, SIGNUP)


@pytest.mark.parametrize("typed", ["", "anna@@example", "müller@example.org", "a@b\x00.example", "x" * 1_000_000])
def test_a_bad_address_is_named_at_the_field_and_in_a_summary_that_links_to_it(client: Client, typed: str) -> None:
    make_mailing_list()
    shown = client.post(SIGNUP, filled_in(typed))
    page = text_of(shown)
    assert shown.status_code == 400
    assert 'href="#email"' in page
    assert 'aria-invalid="true" aria-describedby="email-error"' in page
    assert "<title>Error: " in page
    assert len(page) < 10_000
    assert not Signup.objects.exists()


def test_what_was_typed_is_shown_again_as_text_only(client: Client) -> None:
    make_mailing_list()
    page = text_of(client.post(SIGNUP, filled_in('"><script>alert(1)</script>')))
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_bytes_that_are_no_text_are_refused_without_an_error_of_ours(client: Client) -> None:
    make_mailing_list()
    body = "email=gus%ED%A0%80%40example.org&website=&stamp=%00"
    answer = client.post(SIGNUP, body, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 400


def test_a_robot_that_fills_the_hidden_field_is_answered_and_ignored(client: Client) -> None:
    make_mailing_list()
    answer = client.post(SIGNUP, filled_in(GUS, website="https://pills.example"))
    assert answer.status_code == 303
    assert not Signup.objects.exists()


@pytest.mark.parametrize(
    ("age", "sentence"),
    [(0.0, "faster than a hand"), (-400.0, "faster than a hand"), (7300.0, "open for a long time")],
)
def test_a_form_sent_too_fast_or_too_late_comes_back_filled_in(client: Client, age: float, sentence: str) -> None:
    stamp = make_stamp(make_mailing_list(), time.time() - age)
    shown = client.post(SIGNUP, filled_in(GUS, stamp=stamp))
    assert shown.status_code == 400
    assert sentence in text_of(shown)
    assert f'value="{GUS}"' in text_of(shown)
    assert not Signup.objects.exists()


def test_a_stamp_of_another_list_or_of_nobody_does_not_count(client: Client) -> None:
    foreign = make_stamp(make_mailing_list("tide-tables"), time.time() - 10)
    for stamp in (foreign, "", "12.0:forged"):
        assert client.post(SIGNUP, filled_in(GUS, stamp=stamp)).status_code == 400


def test_the_form_as_shown_is_accepted_after_half_a_second(client: Client) -> None:
    make_mailing_list()
    stamp = re.search(r'name="stamp" value="([^"]+)"', text_of(client.get(SIGNUP)))
    assert stamp is not None
    deadline = time.monotonic() + 10
    while client.post(SIGNUP, filled_in(GUS, stamp=stamp[1])).status_code != 303:
        assert time.monotonic() < deadline


def test_one_network_cannot_sign_up_the_whole_world(client: Client) -> None:
    for number in range(SIGNUPS_AN_HOUR):
        client.post(SIGNUP, filled_in(f"r{number}@example.org"))
    answer = client.post(SIGNUP, filled_in(GUS))
    assert (answer.status_code, answer["Retry-After"]) == (429, "3600")
    assert "try again later" in text_of(answer)


def test_another_site_may_send_the_form_and_nobody_becomes_a_reader_by_it(client: Client) -> None:
    make_mailing_list()
    answer = client.post(SIGNUP, filled_in(GUS), headers={"origin": "https://elsewhere.example"})
    assert answer.status_code == 303
    answer_signups()
    assert Subscription.objects.get().state == State.PENDING


def test_an_unknown_list_has_no_page(client: Client) -> None:
    assert client.get("/subscribe/nothing-here/").status_code == 404
    assert client.post("/subscribe/nothing-here/check-mail/").status_code == 404


@pytest.mark.parametrize("header", ["Host", "X-Forwarded-Host"])
def test_a_forged_host_never_reaches_a_mail(client: Client, header: str) -> None:
    make_mailing_list()
    client.post(SIGNUP, filled_in(GUS), headers={header: "evil.example"})
    answer_signups()
    assert not any(
        "evil.example" in f"{mail.text}{mail.html}{mail.headers}" for mail in TransactionalMail.objects.all()
    )


# --- Who is asking -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proxies", "forwarded", "ip"),
    [
        (0, "203.0.113.9", "127.0.0.1"),
        (1, "", "127.0.0.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        (2, "6.6.6.6, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        (2, "203.0.113.9", "127.0.0.1"),
        (1, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6"),
        (1, "::ffff:203.0.113.9", "203.0.113.9"),
        (1, "nonsense\x00", "127.0.0.1"),
    ],
)
def test_the_proof_names_the_address_that_our_own_proxies_saw(
    client: Client, settings: Settings, proxies: int, forwarded: str, ip: str
) -> None:
    make_mailing_list()
    settings.TRUSTED_PROXIES = proxies
    client.post(SIGNUP, filled_in(GUS), headers={"x-forwarded-for": forwarded})
    answer_signups()
    assert Consent.objects.get().ip == ip


def test_a_household_counts_as_one_network(client: Client, settings: Settings) -> None:
    make_mailing_list()
    settings.TRUSTED_PROXIES = 1
    for address in ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1"):
        client.post(SIGNUP, filled_in(GUS), headers={"x-forwarded-for": address})
    networks = Signup.objects.order_by("pk").values_list("network", flat=True)
    assert list(networks) == ["2001:db8:1:2::/64", "2001:db8:1:2::/64", "2001:db8:1:3::/64"]


# --- Confirming --------------------------------------------------------------------------------------------


def test_looking_at_a_confirmation_link_changes_nothing_and_the_button_confirms(client: Client) -> None:
    gus = asked()
    path = path_of(confirm_url(gus.key, 1))
    before = rows()
    for _ in range(10):
        assert "Yes, subscribe me" in text_of(client.get(path))
        client.head(path)
        client.post(path)
    assert rows() == before
    assert "You are subscribed" in text_of(client.post(path, {"action": "confirm"}))
    gus.refresh_from_db()
    assert gus.state == State.ACTIVE
    assert "Already confirmed" in text_of(client.get(path))
    assert "Already confirmed" in text_of(client.post(path, {"action": "confirm"}))


def test_the_proof_of_a_confirmation_holds_what_was_read_and_no_working_link(client: Client) -> None:
    gus = asked()
    path = path_of(confirm_url(gus.key, 1))
    shown = text_of(client.get(path))
    client.post(path, {"action": "confirm"})
    proof = gus.consents.get(kind=ConsentKind.CONFIRMED)
    assert proof.source == "/confirm/…"
    assert proof.text is not None
    assert proof.text.text in shown


def test_an_expired_link_offers_a_new_mail(client: Client) -> None:
    gus = asked()
    Subscription.objects.update(requested_at="2020-01-01T00:00Z")
    path = path_of(confirm_url(gus.key, 1))
    assert "This link has expired" in text_of(client.post(path, {"action": "confirm"}))
    assert "Check your mail" in text_of(client.post(path, {"action": "again"}))
    gus.refresh_from_db()
    assert (gus.state, gus.request_number, gus.transactional_mails.count()) == (State.PENDING, 2, 2)


def test_a_link_from_before_an_unsubscribe_says_that_it_has_ended(client: Client) -> None:
    gus = asked()
    actions.unsubscribe(gus.key, HERE)
    assert "This link has ended" in text_of(client.get(path_of(confirm_url(gus.key, 1))))


# --- “This was not me” -------------------------------------------------------------------------------------


def test_the_one_click_no_of_a_confirmation_mail_really_declines(client: Client) -> None:
    make_mailing_list()
    client.post(SIGNUP, filled_in(GUS))
    answer_signups()
    path = path_of(TransactionalMail.objects.get().headers["List-Unsubscribe"].strip("<>"))
    answer = client.post(path, ONE_CLICK)
    assert (answer.status_code, answer.content) == (200, b"Unsubscribed.\n")
    assert Subscription.objects.get().state == State.UNSUBSCRIBED
    client.post(SIGNUP, filled_in(GUS))
    answer_signups()
    assert TransactionalMail.objects.count() == 1


def test_the_page_behind_no_asks_acts_and_offers_a_way_back(client: Client) -> None:
    gus = asked()
    path = path_of(decline_url(gus.key))
    assert "g•••@example.org" in text_of(client.get(path))
    assert Subscriber.objects.get().declined_at is None
    assert "Thank you for telling us" in text_of(client.post(path, {"action": "decline"}))
    assert Subscriber.objects.get().declined_at is not None
    assert "Check your mail" in text_of(client.post(path, {"action": "again"}))
    assert TransactionalMail.objects.count() == 2


# --- Leaving -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_form", [True, False], ids=["multipart", "urlencoded"])
@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("changes", [{}, {"APPEND_SLASH": False}, {"PREPEND_WWW": False, "APPEND_SLASH": True}])
def test_one_click_unsubscribes_without_redirect_cookie_or_question(
    client: Client, settings: Settings, as_form: bool, slash: str, changes: dict[str, bool]
) -> None:
    for name, value in changes.items():
        setattr(settings, name, value)
    reader = ada()
    path = path_of(unsubscribe_url(reader.key)) + slash
    if as_form:
        answer = client.post(path, ONE_CLICK)
    else:
        answer = client.post(path, "List-Unsubscribe=One-Click", content_type="application/x-www-form-urlencoded")
    assert (answer.status_code, answer.content) == (200, b"Unsubscribed.\n")
    assert not answer.has_header("Location")
    assert not answer.cookies
    reader.refresh_from_db()
    assert reader.state == State.UNSUBSCRIBED
    assert reader.consents.get().form == "one-click"


def test_one_click_answers_the_same_the_hundredth_time_and_for_an_erased_reader(client: Client) -> None:
    paths = [path_of(unsubscribe_url(key)) for key in (ada().key, cleo().key, dina().key, uuid.UUID(int=7))]
    answers = {
        (answer.status_code, answer.content, str(sorted(answer.headers.items())))
        for path in paths
        for answer in [client.post(path, ONE_CLICK), client.post(path, ONE_CLICK)]
    }
    assert len(answers) == 1


def test_one_click_with_an_editors_cookies_ends_the_subscription_of_the_link_only(client: Client) -> None:
    editor = User.objects.create_superuser("ida", "ida@example.org", "a long password")
    client.force_login(editor)
    own, reader = asked("ida@example.org"), ada()
    assert client.post(path_of(unsubscribe_url(reader.key)), ONE_CLICK).status_code == 200
    own.refresh_from_db()
    reader.refresh_from_db()
    assert (own.state, reader.state) == (State.PENDING, State.UNSUBSCRIBED)


@pytest.mark.parametrize("method", ["get", "head", "options", "put", "patch", "delete", "trace"])
def test_no_method_but_post_changes_anything(client: Client, method: str) -> None:
    reader, before = ada(), None
    for url in (unsubscribe_url(reader.key), preferences_url(reader.key), decline_url(reader.key)):
        before = before or rows()
        getattr(client, method)(path_of(url) + "?List-Unsubscribe=One-Click&action=unsubscribe")
    assert rows() == before


@pytest.mark.parametrize("fields", [{}, {"List-Unsubscribe": "one-click"}, {"action": "x"}, {"confirm": "1"}])
def test_a_post_without_the_pair_or_our_button_shows_the_page_and_changes_nothing(
    client: Client, fields: dict[str, str]
) -> None:
    reader = ada()
    before = rows()
    answer = client.post(path_of(unsubscribe_url(reader.key)), fields)
    assert "Unsubscribe?" in text_of(answer)
    assert rows() == before


def test_leaving_takes_one_page_and_one_click_and_offers_a_way_back(client: Client) -> None:
    reader = ada()
    path = path_of(unsubscribe_url(reader.key))
    page = text_of(client.get(path))
    assert "a•••@example.org" in page
    assert ADA not in page
    done = text_of(client.post(path, {"action": "unsubscribe"}))
    assert "You are unsubscribed" in done
    assert done == text_of(client.post(path, {"action": "unsubscribe"}))
    assert "Check your mail" in text_of(client.post(path, {"action": "again"}))
    reader.refresh_from_db()
    assert reader.state == State.PENDING


def test_a_link_of_an_erased_reader_still_shows_its_page_and_says_done(client: Client) -> None:
    path = path_of(unsubscribe_url(uuid.UUID(int=7)))
    assert "Unsubscribe?" in text_of(client.get(path))
    assert "You are unsubscribed" in text_of(client.post(path, {"action": "unsubscribe"}))
    assert client.post(path, {"action": "again"}).status_code == 200


def test_links_of_old_mails_work_after_the_secret_was_changed(client: Client, settings: Settings) -> None:
    reader = ada()
    path = path_of(unsubscribe_url(reader.key))
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a-newer-secret-" + "n" * 50
    client.post(path, ONE_CLICK)
    reader.refresh_from_db()
    assert reader.state == State.UNSUBSCRIBED


@pytest.mark.parametrize("door", ["unsubscribe", "preferences", "confirm", "decline"])
@pytest.mark.parametrize("token", ["x", "A" * 43, "%00", "%ff%fe", "%ED%A0%80", "a%0Ab", "x" * 5000, "<b>"])
def test_a_forged_link_gets_one_fixed_answer(client: Client, door: str, token: str) -> None:
    answers = {
        (answer.status_code, answer.content)
        for answer in (
            client.get(f"/{door}/{token}"),
            client.post(f"/{door}/{token}", ONE_CLICK),
            client.post(f"/{door}/{token}/", {"action": "unsubscribe"}),
            client.get("/unsubscribe/forged"),
        )
    }
    assert len(answers) == 1
    assert answers.pop()[0] == 404


# --- Preferences -------------------------------------------------------------------------------------------


def test_a_reader_pauses_and_resumes(client: Client) -> None:
    reader = ada()
    path = path_of(preferences_url(reader.key))
    assert "Saved. No issues until" in text_of(client.post(path, {"action": "pause", "weeks": "4"}))
    reader.refresh_from_db()
    assert reader.paused_until is not None
    assert "Saved. You get issues again" in text_of(client.post(path, {"action": "resume"}))
    reader.refresh_from_db()
    assert reader.paused_until is None


@pytest.mark.parametrize("weeks", ["", "3", "52", "-2", "x", "\x00"])
def test_a_pause_of_another_length_is_refused_at_the_field(client: Client, weeks: str) -> None:
    reader = ada()
    shown = client.post(path_of(preferences_url(reader.key)), {"action": "pause", "weeks": weeks})
    assert 'href="#weeks-2"' in text_of(shown)
    reader.refresh_from_db()
    assert reader.paused_until is None


def test_a_reader_leaves_from_the_preferences(client: Client) -> None:
    reader = ada()
    answer = client.post(path_of(preferences_url(reader.key)), {"action": "unsubscribe"})
    assert "You are unsubscribed" in text_of(answer)
    reader.refresh_from_db()
    assert reader.state == State.UNSUBSCRIBED


@pytest.mark.parametrize("person", [ada, ben, cleo, dina, emil, finn])
def test_the_holder_of_a_link_learns_nothing_but_the_state(client: Client, person: Callable[[], Subscription]) -> None:
    reader = person()
    page = text_of(client.get(path_of(preferences_url(reader.key))))
    assert reader.subscriber.address not in page
    assert reader.subscriber.address[0] + "•••@example.org" in page


# --- All of them -------------------------------------------------------------------------------------------


def every_page(reader: Subscription) -> dict[str, str]:
    return {
        "signup": SIGNUP,
        "check mail": SIGNUP + "check-mail/",
        "confirm": path_of(confirm_url(reader.key, 1)),
        "decline": path_of(decline_url(reader.key)),
        "unsubscribe": path_of(unsubscribe_url(reader.key)),
        "preferences": path_of(preferences_url(reader.key)),
        "forged": "/unsubscribe/forged",
    }


def test_no_page_sets_a_cookie_or_depends_on_one(client: Client) -> None:
    for path in every_page(asked()).values():
        for answer in (client.get(path), client.post(path, {"action": "nothing"})):
            assert not answer.cookies
            assert "Cookie" not in answer.get("Vary", "")


def test_pages_behind_a_token_are_kept_by_no_cache_robot_or_referrer(client: Client) -> None:
    pages = every_page(asked())
    del pages["signup"]
    for path in pages.values():
        answer = client.get(path)
        assert answer["Cache-Control"] == "no-store"
        assert answer["X-Robots-Tag"] == "noindex"
        assert answer["Referrer-Policy"] == "no-referrer"


def test_pages_work_without_scripts_and_within_the_content_policy(client: Client) -> None:
    for path in every_page(asked()).values():
        answer = client.get(path)
        assert "default-src 'self'" in answer["Content-Security-Policy"]
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=", text_of(answer))


def test_no_working_link_gets_into_the_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    reader = ada()
    for url in (unsubscribe_url(reader.key), preferences_url(reader.key), decline_url(reader.key)):
        for answer in (client.options, client.put, client.get):
            answer(path_of(url))
        client.post(path_of(url), {"action": "pause", "weeks": "x\x00"})
        assert url.rpartition("/")[2] not in caplog.text


def test_nothing_from_the_query_is_shown(client: Client) -> None:
    for path in every_page(asked()).values():
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
    assert exempt(get_resolver().url_patterns) - {"resend-webhook"} == ours


def test_the_style_sheet_is_small() -> None:
    from django.contrib.staticfiles import finders

    path = finders.find("subscribers/pages.css")
    assert path is not None
    with open(path, "rb") as sheet:
        assert len(sheet.read()) <= 6 * 1024


def test_the_whole_way_of_a_reader_through_http(client: Client, mailoutbox: list[Any]) -> None:
    make_mailing_list()
    client.post(SIGNUP, filled_in(GUS))
    answer_signups()
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
