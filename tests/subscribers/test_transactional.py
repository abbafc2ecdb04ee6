"""Mails to one person: written once, sent at least once with one key, and never in the dark about their outcome."""

from __future__ import annotations

import datetime
import email
import email.policy
import re
import smtplib

import pytest
from django.core.mail import EmailMultiAlternatives
from django.db.models import F
from django.utils import timezone
from pytest_django import Settings

from subscribers.addresses import parse_address
from subscribers.consent import actions, double_opt_in
from subscribers.consent.tokens import Purpose, read_confirmation, read_key
from subscribers.models import (
    Evidence,
    MailingList,
    Subscription,
    SuppressionReason,
    TransactionalMail,
    TransactionalMailState,
)
from subscribers.models import TransactionalMailReason as Reason
from subscribers.suppression import suppress_addresses
from subscribers.transactional.outbox import MailBackendError, claim_mail, retry_delay, send_due_transactional_mails
from tests.people import ADA, ada, make_mailing_list
from tests.subscribers.post_office import BACKEND, Counter, counter

pytestmark = pytest.mark.django_db

GUS = "gus@example.org"
HERE = Evidence(form="signup", text="You ask for Harbour Notes.")
BUSY = MailBackendError("The provider asks to wait.", permanent=False)
BODILESS = {"text": "", "html": "", "headers": {}}


@pytest.fixture(autouse=True)
def post_office(settings: Settings) -> Counter:
    settings.EMAIL_BACKEND = BACKEND
    counter.planned.clear()
    counter.handed_in.clear()
    return counter


def ask(address: str = GUS, mailing_list: MailingList | None = None) -> TransactionalMail:
    double_opt_in.request_subscription(mailing_list or make_mailing_list(), parse_address(address), HERE)
    return TransactionalMail.objects.latest("pk")


def time_passes(delta: datetime.timedelta) -> None:
    columns = ["created_at", "not_before", "lease_until", "first_attempt_at"]
    TransactionalMail.objects.update(**{column: F(column) - delta for column in columns})
    Subscription.objects.update(requested_at=F("requested_at") - delta)


def links_in(mail: EmailMultiAlternatives) -> list[str]:
    return re.findall(r"https?://[^\s\"<>]+", f"{mail.body} {mail.alternatives[0][0]!s} {mail.extra_headers}")


def sent_bytes(mail: EmailMultiAlternatives) -> tuple[object, ...]:
    return (mail.subject, mail.body, mail.alternatives, mail.from_email, mail.to, mail.reply_to, mail.extra_headers)


# --- What stands in them -----------------------------------------------------------------------------------


def test_a_confirmation_mail_is_one_mail_to_one_person_with_text_before_html(post_office: Counter) -> None:
    row = ask()
    send_due_transactional_mails()
    (mail,) = post_office.handed_in
    assert (mail.to, mail.cc, mail.bcc) == ([GUS], [], [])
    assert mail.from_email == "Harbour Notes <notes@mail.example.org>"
    assert mail.reply_to == ["editors@example.org"]
    parsed = email.message_from_bytes(mail.message().as_bytes(), policy=email.policy.default)
    assert [part.get_content_type() for part in parsed.iter_parts()] == ["text/plain", "text/html"]
    assert mail.idempotency_key == row.idempotency_key  # type: ignore[attr-defined]
    assert mail.tags == {"transactional_mail": str(row.pk), "env": "tests"}  # type: ignore[attr-defined]


def test_both_parts_hold_the_link_to_confirm_and_the_way_to_say_no(post_office: Counter) -> None:
    ask()
    send_due_transactional_mails()
    (mail,) = post_office.handed_in
    gus = Subscription.objects.get()
    for part in (mail.body, mail.alternatives[0][0]):
        tokens = {url.rpartition("/")[2] for url in re.findall(r"https?://[^\s\"<>]+", str(part))}
        assert {read_key(Purpose.DECLINE, token) for token in tokens} == {None, gus.key}
        (confirmation,) = filter(None, map(read_confirmation, tokens))
        assert (confirmation.key, confirmation.request_number) == (gus.key, 1)
        assert "4 Quay Street" in str(part)
        assert "7 days" in str(part)


def test_the_headers_offer_a_one_click_no_and_ask_robots_for_silence(post_office: Counter) -> None:
    ask()
    send_due_transactional_mails()
    headers = post_office.handed_in[0].extra_headers
    url = headers["List-Unsubscribe"]
    assert re.fullmatch(r"<http://127\.0\.0\.1:8000/decline/[A-Za-z0-9_-]{43}>", url)
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert (headers["Auto-Submitted"], headers["X-Auto-Response-Suppress"]) == ("auto-generated", "All")


def test_the_note_to_a_reader_offers_to_leave_and_to_rest(post_office: Counter) -> None:
    reader = ada()
    ask(ADA)
    send_due_transactional_mails()
    (mail,) = post_office.handed_in
    tokens = [url.rpartition("/")[2].rstrip(">'") for url in links_in(mail)]
    assert {read_key(Purpose.UNSUBSCRIBE, token) for token in tokens} >= {reader.key}
    assert {read_key(Purpose.PREFERENCES, token) for token in tokens} >= {reader.key}
    assert not any(map(read_confirmation, tokens))
    assert "/unsubscribe/" in mail.extra_headers["List-Unsubscribe"]


def test_links_lead_to_the_configured_site_only_and_nothing_is_tracked(post_office: Counter) -> None:
    ask()
    send_due_transactional_mails()
    (mail,) = post_office.handed_in
    assert all(url.startswith("http://127.0.0.1:8000/") for url in links_in(mail))
    assert "<img" not in str(mail.alternatives[0][0])


def test_a_list_name_with_markup_is_text_in_both_parts(post_office: Counter) -> None:
    ask(mailing_list=make_mailing_list("odd", name="Cranes & <Ferries> {{ 7*7 }}"))
    send_due_transactional_mails()
    (mail,) = post_office.handed_in
    assert mail.subject == "Please confirm: Cranes & <Ferries> {{ 7*7 }}"
    assert "Cranes & <Ferries> {{ 7*7 }}" in str(mail.body)
    assert "Cranes &amp; &lt;Ferries&gt; {{ 7*7 }}" in str(mail.alternatives[0][0])


# --- How they go out ---------------------------------------------------------------------------------------


def test_nothing_is_sent_inside_the_request(post_office: Counter) -> None:
    ask()
    assert post_office.handed_in == []
    assert TransactionalMail.objects.get().state == TransactionalMailState.PENDING


def test_a_sent_notice_keeps_its_outcome_and_loses_its_body() -> None:
    mail = ask()
    assert not send_due_transactional_mails()
    mail.refresh_from_db()
    assert (mail.state, mail.provider_id, mail.attempts) == (TransactionalMailState.SENT, "mail-1", 1)
    assert mail.sent_at is not None
    assert {name: getattr(mail, name) for name in BODILESS} == BODILESS


def test_a_step_sends_no_more_than_asked_and_says_that_there_is_more(post_office: Counter) -> None:
    for number in range(3):
        ask(f"reader-{number}@example.org")
    assert send_due_transactional_mails(limit=2)
    assert len(post_office.handed_in) == 2
    assert not send_due_transactional_mails(limit=2)
    assert len(post_office.handed_in) == 3


@pytest.mark.parametrize(
    "trouble",
    [BUSY, ConnectionResetError("cut"), TimeoutError("slow"), smtplib.SMTPServerDisconnected("gone"), KeyError("bug")],
    ids=lambda trouble: type(trouble).__name__,
)
def test_a_failed_attempt_is_repeated_later_with_the_same_bytes_and_key(
    post_office: Counter, trouble: Exception
) -> None:
    post_office.planned = [trouble]
    mail = ask()
    send_due_transactional_mails()
    mail.refresh_from_db()
    assert (mail.state, mail.attempts) == (TransactionalMailState.PENDING, 1)
    assert mail.explanation
    assert GUS not in mail.explanation
    send_due_transactional_mails()
    assert len(post_office.handed_in) == 1
    time_passes(datetime.timedelta(minutes=1))
    make_mailing_list()
    MailingList.objects.update(name="Renamed in between")
    send_due_transactional_mails()
    first, second = post_office.handed_in
    assert sent_bytes(first) == sent_bytes(second)
    assert len(set(post_office.keys)) == 1
    mail.refresh_from_db()
    assert (mail.state, mail.reason, mail.detail) == (TransactionalMailState.SENT, "", "")


def test_a_refusal_for_good_ends_it_with_the_reason(post_office: Counter) -> None:
    post_office.planned = [MailBackendError("The provider does not know the sender's domain.", permanent=True)]
    mail = ask()
    send_due_transactional_mails()
    time_passes(datetime.timedelta(days=1))
    send_due_transactional_mails()
    mail.refresh_from_db()
    assert (mail.state, mail.reason, mail.detail) == (
        TransactionalMailState.FAILED,
        Reason.REFUSED,
        "The provider does not know the sender's domain.",
    )
    assert len(post_office.handed_in) == 1
    assert mail.html == ""


def test_after_23_hours_it_is_not_sent_again_and_says_that_nobody_knows(post_office: Counter) -> None:
    post_office.planned = [BUSY] * 1000
    mail = ask()
    for _hour in range(30):
        send_due_transactional_mails()
        time_passes(datetime.timedelta(hours=1, minutes=16))
    mail.refresh_from_db()
    assert mail.state == TransactionalMailState.UNKNOWN
    assert (mail.reason, mail.detail) == (Reason.UNAVAILABLE, "The provider asks to wait.")
    assert "may have arrived" in mail.explanation
    assert 10 < len(post_office.handed_in) <= 20
    assert {name: getattr(mail, name) for name in BODILESS} == BODILESS


def test_the_claim_of_a_dead_worker_ends_by_itself(post_office: Counter) -> None:
    ask()
    assert claim_mail() is not None
    send_due_transactional_mails()
    assert post_office.handed_in == []
    time_passes(datetime.timedelta(minutes=3))
    send_due_transactional_mails()
    assert len(post_office.handed_in) == 1


def test_a_notice_over_which_workers_died_for_a_day_is_given_up(post_office: Counter) -> None:
    mail = ask()
    claim_mail()
    time_passes(datetime.timedelta(hours=24))
    send_due_transactional_mails()
    mail.refresh_from_db()
    assert mail.state == TransactionalMailState.UNKNOWN
    assert post_office.handed_in == []


def test_a_notice_that_nobody_needs_any_more_is_withdrawn_with_the_reason(post_office: Counter) -> None:
    mail = ask()
    actions.unsubscribe(mail.subscription.key, HERE)
    send_due_transactional_mails()
    mail.refresh_from_db()
    assert (mail.state, mail.reason) == (TransactionalMailState.WITHDRAWN, Reason.NOTHING_TO_CONFIRM)
    assert post_office.handed_in == []


def test_a_complaint_in_between_keeps_the_note_back(post_office: Counter) -> None:
    ask()
    suppress_addresses({GUS: (SuppressionReason.COMPLAINT, "")})
    send_due_transactional_mails()
    assert post_office.handed_in == []


def test_who_presses_send_again_before_the_worker_looks_gets_one_mail(post_office: Counter) -> None:
    ask()
    ask()
    send_due_transactional_mails()
    assert len(post_office.handed_in) == 1
    assert set(TransactionalMail.objects.values_list("state", flat=True)) == {
        TransactionalMailState.SENT,
        TransactionalMailState.WITHDRAWN,
    }


def test_a_link_that_would_have_expired_is_not_sent(post_office: Counter) -> None:
    ask()
    time_passes(datetime.timedelta(days=8))
    send_due_transactional_mails()
    assert post_office.handed_in == []
    assert TransactionalMail.objects.get().reason == Reason.LINK_EXPIRED


def test_the_pause_between_attempts_grows_to_about_an_hour() -> None:
    seconds = [retry_delay(attempt).total_seconds() for attempt in (1, 2, 5, 9, 10_000)]
    for pause, expected in zip(seconds, (15, 30, 240, 3600, 3600), strict=True):
        assert 0.75 * expected <= pause <= 1.25 * expected


@pytest.mark.django_db(transaction=True)
def test_a_claimed_notice_is_in_one_pair_of_hands() -> None:
    ask()
    first, second = claim_mail(), claim_mail()
    assert first is not None
    assert second is None
    assert first.lease_until is not None
    assert first.lease_until > timezone.now()
