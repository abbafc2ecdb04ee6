"""Signing up by the page, from other sites and by programs: brand, fields, source, frames, JSON, challenge."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from pytest_django import Settings

from subscribers.consent.double_opt_in import confirm
from subscribers.consent.texts import signup_text
from subscribers.consent.tokens import ConfirmationToken
from subscribers.models import (
    Consent,
    ConsentKind,
    CustomField,
    Evidence,
    FieldAsked,
    FieldKind,
    MailingList,
    Signup,
    SignupAnswers,
    SignupRule,
    SignupState,
    Subscriber,
    Subscription,
    TransactionalMail,
)
from subscribers.profile.fields import values_of
from subscribers.signup import challenge
from subscribers.signup.embed import form_html, frame_html, request_example
from subscribers.signup.queue import process_signups
from subscribers.signup.stamps import sign_timestamp
from tests.people import ADA, BEN, CLEO, DINA, EMIL, FINN, ada, ben, cleo, dina, emil, finn, make_mailing_list

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

SIGNUP, EMBED = "/subscribe/harbour-notes/", "/subscribe/harbour-notes/embed/"
GUS = "gus@example.org"
JSON = {"accept": "application/json"}


@pytest.fixture
def client() -> Client:
    """A client without cookies, on a site that checks CSRF tokens as in production."""
    return Client(enforce_csrf_checks=True)


def embeddable(**fields: Any) -> MailingList:
    return make_mailing_list(is_embeddable=True, **fields)


def form_data(address: str = GUS, /, **changes: Any) -> dict[str, Any]:
    return {"email": address, "timestamp": sign_timestamp(make_mailing_list(), time.time() - 10)} | changes


def page(response: Any) -> str:
    return str(response.content.decode())


# --- The page ------------------------------------------------------------------------------------------------------


def test_privacy_policy_and_complaint_contact_are_on_the_page_and_in_the_mail(client: Client) -> None:
    make_mailing_list(
        privacy_url="https://harbour.example/privacy?a=1&b=2", complaint_contact="privacy@harbour.example"
    )
    shown = page(client.get(SIGNUP))
    assert 'href="https://harbour.example/privacy?a=1&amp;b=2"' in shown
    assert 'href="mailto:privacy@harbour.example"' in shown
    client.post(SIGNUP, form_data())
    process_signups()
    mail = TransactionalMail.objects.get()
    assert "Privacy policy: https://harbour.example/privacy?a=1&b=2" in mail.text
    assert "privacy@harbour.example" in mail.text
    assert 'href="https://harbour.example/privacy?a=1&amp;b=2"' in mail.html


def test_a_page_without_them_has_no_empty_links(client: Client) -> None:
    make_mailing_list()
    assert "Privacy policy" not in page(client.get(SIGNUP))


@pytest.mark.parametrize(
    "fields",
    [
        {"privacy_url": "javascript:alert(1)"},
        {"privacy_url": "http://harbour.example"},
        {"privacy_url": 'https://harbour.example/"onclick'},
        {"privacy_url": "https://"},
        {"complaint_contact": "nobody"},
        {"complaint_contact": "javascript:a@b/c"},
        {"frame_origins": "https://a.example; script-src *"},
        {"frame_origins": "https://a.example/path"},
        {"frame_origins": "'self'"},
    ],
)
def test_links_and_origins_of_a_list_are_checked(fields: dict[str, str]) -> None:
    mailing_list = make_mailing_list()
    for name, value in fields.items():
        setattr(mailing_list, name, value)
    with pytest.raises(ValidationError) as refused:
        mailing_list.full_clean()
    assert set(refused.value.message_dict) == set(fields)


def test_the_source_of_the_address_is_kept_with_the_subscription(client: Client) -> None:
    make_mailing_list()
    shown = page(client.get(f"{SIGNUP}?source=%20Spring%0Afair%22%3E%3Cb"))
    assert 'name="source" value="Spring fair&quot;&gt;&lt;b"' in shown
    client.post(SIGNUP, form_data(source="Spring\nfair"))
    process_signups()
    assert Subscription.objects.get().source == "Spring fair"


def test_the_source_of_a_confirmed_subscription_does_not_change(client: Client) -> None:
    subscription = cleo()
    Subscription.objects.update(source="fair")
    client.post(SIGNUP, form_data(CLEO, source="attacker"))
    process_signups()
    subscription.refresh_from_db()
    assert (subscription.state, subscription.source) == ("pending", "fair")


def test_the_first_source_is_replaced_until_the_confirmation(client: Client) -> None:
    make_mailing_list()
    for source in ("one", "two", ""):
        client.post(SIGNUP, form_data(source=source))
        process_signups()
    assert Subscription.objects.get().source == "two"


def test_evidence_and_mail_have_the_language_of_the_list(client: Client) -> None:
    make_mailing_list(language="de")
    client.post(SIGNUP, form_data(), headers={"accept-language": "fr"})
    process_signups()
    assert Consent.objects.get().language == "de"
    assert 'lang="de"' in TransactionalMail.objects.get().html


def test_a_typo_is_hinted_at_and_the_address_stays_as_typed(client: Client) -> None:
    make_mailing_list()
    answer = client.post(SIGNUP, form_data("Gus@gmial.com"))
    assert "Perhaps you meant <strong>Gus@gmail.com</strong>" in page(client.get(answer["Location"]))
    process_signups()
    assert Subscriber.objects.get().address == "Gus@gmial.com"


def test_the_page_is_not_cached_since_its_stamp_counts_once(client: Client) -> None:
    make_mailing_list()
    assert client.get(SIGNUP)["Cache-Control"] == "no-store"


# --- Custom fields -------------------------------------------------------------------------------------------------


def make_fields() -> MailingList:
    mailing_list = make_mailing_list()
    for position, (key, kind, required) in enumerate(
        [("city", FieldKind.TEXT, True), ("ferries", FieldKind.CHOICES, False), ("later", FieldKind.TEXT, False)]
    ):
        CustomField.objects.create(
            mailing_list=mailing_list,
            key=key,
            label=key.title(),
            kind=kind,
            options=["Car, big", "Foot"] if kind == FieldKind.CHOICES else [],
            asked=FieldAsked.CONFIRMED if key == "later" else FieldAsked.SIGNUP,
            is_required=required,
            position=position,
        )
    return mailing_list


def test_the_form_asks_for_the_fields_of_the_sign_up_only(client: Client) -> None:
    make_fields()
    shown = page(client.get(SIGNUP))
    assert 'name="field-city"' in shown
    assert shown.count('name="field-ferries"') == 2
    assert "field-later" not in shown


def test_answers_become_values_with_the_confirmation(client: Client) -> None:
    make_fields()
    sent = {"field-city": "Bergen", "field-ferries": ["Foot", "Car, big"], "field-later": "x"}
    assert client.post(SIGNUP, form_data(**sent)).status_code == 303
    process_signups()
    subscription = Subscription.objects.get()
    assert values_of([subscription.pk]) == {subscription.pk: {}}
    mail = TransactionalMail.objects.get()
    assert "Bergen" not in mail.text + mail.html + mail.subject
    confirm(ConfirmationToken(subscription.key, 1), Evidence(form="test"))
    assert values_of([subscription.pk])[subscription.pk] == {"city": "Bergen", "ferries": ("Car, big", "Foot")}
    assert not SignupAnswers.objects.exists()


def test_answers_for_the_address_of_another_change_nothing(client: Client) -> None:
    make_fields()
    subscription = ada()
    client.post(SIGNUP, form_data(ADA, **{"field-city": "canary"}))
    process_signups()
    assert not SignupAnswers.objects.exists()
    assert values_of([subscription.pk])[subscription.pk] == {}


def test_an_answer_that_no_longer_fits_is_dropped(client: Client) -> None:
    make_fields()
    client.post(SIGNUP, form_data(**{"field-city": "Bergen", "field-ferries": ["Foot"]}))
    process_signups()
    CustomField.objects.filter(key="ferries").update(options=["Car"])
    subscription = Subscription.objects.get()
    confirm(ConfirmationToken(subscription.key, 1), Evidence(form="test"))
    assert values_of([subscription.pk])[subscription.pk] == {"city": "Bergen"}


def test_a_missing_answer_is_named_at_its_field(client: Client) -> None:
    make_fields()
    response = client.post(SIGNUP, form_data(**{"field-ferries": ["Raft"]}))
    shown = page(response)
    assert response.status_code == 400
    assert '<a href="#id_field-city">' in shown
    assert 'id="id_field-city_error"' in shown
    assert "is not an option" in shown
    assert not Signup.objects.exists()


# --- Forms on other sites --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [EMBED, f"{EMBED}check-mail/"])
def test_other_sites_are_refused_until_the_list_allows_them(client: Client, path: str) -> None:
    make_mailing_list()
    assert client.get(path).status_code == 404
    assert client.post(path, {"email": GUS}).status_code == 404


def test_a_copied_form_signs_up_without_stamp_and_cookies(client: Client) -> None:
    mailing_list = embeddable()
    html = form_html(mailing_list, "shop")
    assert f'action="http://127.0.0.1:8000{EMBED}"' in html
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', html))
    answer = client.post(EMBED, {"email": GUS, "website": ""} | fields, headers={"origin": "https://other.example"})
    assert (answer.status_code, answer.cookies) == (303, {})
    assert answer["Location"].startswith(f"{SIGNUP}check-mail/")
    process_signups()
    subscription = Subscription.objects.get()
    assert (subscription.state, subscription.source) == ("pending", "shop")
    assert Consent.objects.get().text.text == signup_text(mailing_list)  # type: ignore[union-attr]


def test_a_copied_form_has_the_privacy_policy_and_the_complaint_contact() -> None:
    html = form_html(embeddable(privacy_url="https://a.example/privacy", complaint_contact="privacy@a.example"))
    assert 'href="https://a.example/privacy"' in html
    assert 'href="mailto:privacy@a.example"' in html


def test_a_form_that_was_copied_before_the_text_changed_stores_no_text(client: Client) -> None:
    embeddable()
    client.post(EMBED, {"email": GUS, "shown_text": "0123456789abcdef"})
    process_signups()
    assert Consent.objects.get(kind=ConsentKind.REQUESTED).text is None


def test_a_copied_form_with_an_error_leads_to_the_page(client: Client) -> None:
    embeddable()
    answer = client.post(EMBED, {"email": "no address", "source": "shop"})
    assert answer.status_code == 400
    assert f'action="{SIGNUP}"' in page(answer)
    assert 'name="source" value="shop"' in page(answer)


def test_copied_forms_have_their_own_limit(client: Client, settings: Settings) -> None:
    embeddable()
    settings.SIGNUP_EMBEDDED_LIMIT = 1
    statuses = [client.post(EMBED, {"email": f"g{number}@example.org"}).status_code for number in range(2)]
    assert statuses == [303, 429]
    assert client.post(SIGNUP, form_data()).status_code == 303


def test_the_page_of_this_site_needs_a_stamp_in_any_case(client: Client) -> None:
    embeddable()
    assert client.post(SIGNUP, {"email": GUS}).status_code == 400


@pytest.mark.parametrize(
    ("origins", "ancestors"),
    [
        ("", "frame-ancestors 'self'"),
        ("https://a.example\nhttps://*.b.example:8443", "'self' https://a.example https://*.b.example:8443"),
        ("*", "frame-ancestors 'self' *"),
    ],
)
def test_the_frame_may_be_shown_by_the_origins_of_the_list(client: Client, origins: str, ancestors: str) -> None:
    embeddable(frame_origins=origins).full_clean()
    response = client.get(EMBED)
    directives = [part.strip() for part in response["Content-Security-Policy"].split(";")]
    (found,) = [part for part in directives if part.startswith("frame-ancestors")]
    assert ancestors in found
    assert "X-Frame-Options" not in response
    assert response.cookies == {}


def test_no_other_page_may_be_framed(client: Client) -> None:
    embeddable(frame_origins="*")
    for path in (SIGNUP, f"{SIGNUP}check-mail/"):
        response = client.get(path)
        assert "frame-ancestors 'none'" in response["Content-Security-Policy"]
        assert response["X-Frame-Options"] == "DENY"


def test_a_sign_up_in_a_frame_stays_in_the_frame(client: Client) -> None:
    embeddable(frame_origins="https://a.example")
    shown = page(client.get(f"{EMBED}?source=shop"))
    assert f'action="{EMBED}"' in shown
    assert 'name="source" value="shop"' in shown
    assert "<nav" not in shown
    answer = client.post(EMBED, form_data(source="shop"))
    assert answer["Location"].startswith(f"{EMBED}check-mail/?for=")
    after = client.get(answer["Location"])
    assert GUS in page(after)
    assert "https://a.example" in after["Content-Security-Policy"]
    again = client.post(answer["Location"])
    assert again["Location"].startswith(f"{EMBED}check-mail/?for=")


def test_what_is_copied_is_escaped() -> None:
    mailing_list = embeddable(name='"><script>', privacy_url="https://a.example/?a&b")
    CustomField.objects.create(mailing_list=mailing_list, key="city", label="<b>", asked=FieldAsked.SIGNUP)
    for html in (form_html(mailing_list), frame_html(mailing_list)):
        assert "<script" not in html
        assert "<b>" not in html
    assert EMBED in request_example(mailing_list)


# --- Programs --------------------------------------------------------------------------------------------------------


def test_a_program_gets_json_with_the_same_body_for_every_address(client: Client) -> None:
    embeddable()
    for person in (ada, ben, cleo, dina, emil, finn):
        person()
    bodies = set()
    for address in (GUS, ADA, BEN, CLEO, DINA, EMIL, FINN, "abuse@example.org"):
        answer = client.post(EMBED, {"email": address}, headers=JSON)
        assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (202, "*")
        assert "Accept" in answer["Vary"]
        bodies.add(answer.content)
    assert len(bodies) == 1
    assert json.loads(bodies.pop())["status"] == "check_mail"


def test_a_program_gets_its_errors_by_field(client: Client) -> None:
    make_fields()
    MailingList.objects.update(is_embeddable=True)
    answer = client.post(EMBED, {"email": "no address"}, headers=JSON)
    assert answer.status_code == 400
    content = json.loads(answer.content)
    assert content["status"] == "invalid"
    assert set(content["errors"]) == {"email", "field-city"}


def test_a_program_is_told_to_wait(client: Client, settings: Settings) -> None:
    embeddable()
    settings.SIGNUP_EMBEDDED_LIMIT = 1
    client.post(EMBED, {"email": GUS}, headers=JSON)
    answer = client.post(EMBED, {"email": GUS}, headers=JSON)
    assert (answer.status_code, json.loads(answer.content)["status"]) == (429, "too_many")
    assert 1 <= int(answer["Retry-After"]) <= 3600


@pytest.mark.parametrize("accept", ["*/*", "text/html,application/xhtml+xml,*/*;q=0.8", "application/json;q=0.5,*/*"])
def test_browsers_get_pages(client: Client, accept: str) -> None:
    make_mailing_list()
    assert client.post(SIGNUP, form_data(), headers={"accept": accept}).status_code == 303


# --- The challenge ---------------------------------------------------------------------------------------------------


@pytest.fixture
def challenged(monkeypatch: pytest.MonkeyPatch) -> MailingList:
    """Every sign-up is challenged; a solution takes few hashes."""
    monkeypatch.setattr(challenge, "MIN_HASHES", 5)
    monkeypatch.setattr(challenge, "MAX_HASHES", 50)
    SignupRule.objects.all().delete()
    SignupRule.objects.create(action="challenge")
    return make_mailing_list()


def solve(asked: str) -> str:
    import altcha

    parsed = altcha.Challenge.from_dict(json.loads(asked))
    solution = altcha.solve_challenge(parsed)
    assert solution is not None
    return altcha.Payload(parsed, solution).to_base64()


def asked_of(response: Any) -> str:
    found = re.search('data-challenge="([^"]+)"', page(response))
    assert found is not None
    return found[1].replace("&quot;", '"')


def test_a_solved_challenge_lets_the_sign_up_through(client: Client, challenged: MailingList) -> None:
    data = form_data(source="fair")
    shown = client.post(SIGNUP, data)
    assert shown.status_code == 200
    assert f'name="email" value="{GUS}"' in page(shown)
    assert 'name="source" value="fair"' in page(shown)
    assert not Signup.objects.exists()
    assert client.post(SIGNUP, data | {"challenge": solve(asked_of(shown))}).status_code == 303
    process_signups()
    assert Signup.objects.get().state == SignupState.PROCESSED
    assert Subscriber.objects.exists()


def test_without_javascript_a_challenge_becomes_a_hold(client: Client, challenged: MailingList) -> None:
    answer = client.post(SIGNUP, form_data(challenge="skip"))
    assert answer.status_code == 303
    assert GUS in page(client.get(answer["Location"]))
    process_signups()
    assert (Signup.objects.get().state, Signup.objects.get().reason) == (SignupState.HELD, "not_solved")


def test_a_program_that_a_challenge_meets_is_held(client: Client, challenged: MailingList) -> None:
    MailingList.objects.update(is_embeddable=True)
    assert client.post(EMBED, {"email": GUS}, headers=JSON).status_code == 202
    process_signups()
    assert Signup.objects.get().state == SignupState.HELD


def test_without_the_package_a_challenge_becomes_a_hold(
    client: Client, challenged: MailingList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(challenge, "is_available", lambda: False)
    assert client.post(SIGNUP, form_data()).status_code == 303
    process_signups()
    assert Signup.objects.get().state == SignupState.HELD


def test_a_solution_counts_once(client: Client, challenged: MailingList) -> None:
    solution = solve(challenge.new_challenge(challenged))
    assert client.post(SIGNUP, form_data(challenge=solution)).status_code == 303
    assert client.post(SIGNUP, form_data("hana@example.org", challenge=solution)).status_code == 400
    assert Signup.objects.count() == 1


def test_forged_late_and_foreign_solutions_are_refused(
    client: Client, challenged: MailingList, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = solve(challenge.new_challenge(challenged))
    content = json.loads(base64.b64decode(right))

    def changed(*path: str, value: Any) -> str:
        copied = json.loads(json.dumps(content))
        place = copied
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = value
        return base64.b64encode(json.dumps(copied).encode()).decode()

    assert challenge.read_solution(challenged, right)
    foreign = solve(challenge.new_challenge(make_mailing_list("tide-tables")))
    refused = [
        "",
        "x",
        "é",
        "e30=",
        "bnVsbA==",
        base64.b64encode(b"[" * 2000).decode(),
        right + "A" * 1_000_000,
        foreign,
        changed("challenge", "parameters", "salt", value=None),
        changed("challenge", "parameters", "nonce", value="zz"),
        changed("challenge", "parameters", "expiresAt", value=None),
        changed("challenge", "parameters", "data", value={"form": "tide-tables"}),
        changed("challenge", "parameters", value=None),
        changed("challenge", "parameters", value=[]),
        changed("challenge", "signature", value=None),
        changed("solution", "counter", value=-1),
        changed("solution", "derivedKey", value="00"),
        changed("solution", value=None),
    ]
    for payload in refused:
        assert challenge.read_solution(challenged, payload) == "", payload[:60]
        assert client.post(SIGNUP, form_data(challenge=payload)).status_code == 200
    later = time.time() + challenge.LIFETIME + 60
    monkeypatch.setattr(time, "time", lambda: later)
    assert challenge.read_solution(challenged, right) == ""
