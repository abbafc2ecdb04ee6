"""Transactional mails: written once, retried under one key, each with a known or explicitly unknown outcome."""

from __future__ import annotations

import datetime
import email
import email.policy
import re
import smtplib
from collections.abc import Callable

import pytest
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db.models import F
from django.utils import timezone
from pytest_django import Settings

from subscribers.addresses import parse_address
from subscribers.consent import actions, double_opt_in
from subscribers.consent.links import send_preferences_link
from subscribers.consent.sunset import ask_to_stay
from subscribers.consent.tokens import Purpose, read_confirmation, read_key
from subscribers.models import (
    Evidence,
    MailingList,
    Subscriber,
    Subscription,
    SunsetQuestion,
    SuppressionReason,
    TransactionalMail,
    TransactionalMailState,
)
from subscribers.models import TransactionalMailKind as Kind
from subscribers.models import TransactionalMailReason as Reason
from subscribers.suppression import suppress_addresses
from subscribers.transactional.compose import enqueue_mail
from subscribers.transactional.outbox import (
    LEASE,
    MailBackendError,
    claim_mail,
    lease_for,
    retry_delay,
    send_due_transactional_mails,
    send_mail,
)
from tests.people import ADA, ada, make_mailing_list
from tests.subscribers.recording_backend import BACKEND, RECORDER, Recorder

pytestmark = pytest.mark.django_db

GUS = "gus@example.org"
HERE = Evidence(form="signup", text="You subscribe to Harbour Notes.")
BUSY = MailBackendError("rate_limit_exceeded", "Too many requests.", permanent=False)
NO_ANSWER = MailBackendError("no_answer", permanent=False, may_have_been_sent=True)
WITHOUT_BODY = {"text": "", "html": "", "headers": {}}


@pytest.fixture(autouse=True)
def recorder(settings: Settings) -> Recorder:
    settings.EMAIL_BACKEND = BACKEND
    RECORDER.errors.clear()
    RECORDER.attempts.clear()
    RECORDER.key_lifetime = datetime.timedelta(hours=23)
    RECORDER.is_stopped = False
    return RECORDER


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


# --- Content ------------------------------------------------------------------------------------------------


def test_a_confirmation_mail_has_one_recipient_and_a_text_and_an_html_part(recorder: Recorder) -> None:
    row = ask()
    send_due_transactional_mails()
    (mail,) = recorder.attempts
    assert (mail.to, mail.cc, mail.bcc) == ([GUS], [], [])
    assert mail.from_email == "Harbour Notes <notes@mail.example.org>"
    assert mail.reply_to == ["editors@example.org"]
    parsed = email.message_from_bytes(mail.message().as_bytes(), policy=email.policy.default)
    assert [part.get_content_type() for part in parsed.iter_parts()] == ["text/plain", "text/html"]
    assert mail.idempotency_key == row.idempotency_key  # type: ignore[attr-defined]
    assert mail.tags == {"transactional_mail": str(row.pk), "env": "tests"}  # type: ignore[attr-defined]


def test_both_parts_contain_the_confirm_and_the_decline_link(recorder: Recorder) -> None:
    ask()
    send_due_transactional_mails()
    (mail,) = recorder.attempts
    gus = Subscription.objects.get()
    for part in (mail.body, mail.alternatives[0][0]):
        tokens = {url.rpartition("/")[2] for url in re.findall(r"https?://[^\s\"<>]+", str(part))}
        assert {read_key(Purpose.DECLINE, token) for token in tokens} == {None, gus.key}
        (confirmation,) = filter(None, map(read_confirmation, tokens))
        assert (confirmation.key, confirmation.request_number) == (gus.key, 1)
        assert "4 Quay Street" in str(part)
        assert "7 days" in str(part)


def test_the_headers_offer_one_click_decline_and_suppress_automatic_replies(recorder: Recorder) -> None:
    ask()
    send_due_transactional_mails()
    headers = recorder.attempts[0].extra_headers
    url = headers["List-Unsubscribe"]
    assert re.fullmatch(r"<http://127\.0\.0\.1:8000/decline/[A-Za-z0-9_-]{43}>", url)
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert (headers["Auto-Submitted"], headers["X-Auto-Response-Suppress"]) == ("auto-generated", "All")


def test_the_already_subscribed_mail_contains_unsubscribe_and_preferences_links(recorder: Recorder) -> None:
    subscription = ada()
    ask(ADA)
    send_due_transactional_mails()
    (mail,) = recorder.attempts
    tokens = [url.rpartition("/")[2].rstrip(">'") for url in links_in(mail)]
    assert {read_key(Purpose.UNSUBSCRIBE, token) for token in tokens} >= {subscription.key}
    assert {read_key(Purpose.PREFERENCES, token) for token in tokens} >= {subscription.key}
    assert not any(map(read_confirmation, tokens))
    assert "/unsubscribe/" in mail.extra_headers["List-Unsubscribe"]


def test_all_links_lead_to_the_site_and_nothing_is_tracked(recorder: Recorder) -> None:
    ask()
    send_due_transactional_mails()
    (mail,) = recorder.attempts
    assert all(url.startswith("http://127.0.0.1:8000/") for url in links_in(mail))
    assert "<img" not in str(mail.alternatives[0][0])


def test_a_list_name_with_markup_is_escaped(recorder: Recorder) -> None:
    ask(mailing_list=make_mailing_list("odd", name="Cranes & <Ferries> {{ 7*7 }}"))
    send_due_transactional_mails()
    (mail,) = recorder.attempts
    assert mail.subject == "Please confirm: Cranes & <Ferries> {{ 7*7 }}"
    assert "Cranes & <Ferries> {{ 7*7 }}" in str(mail.body)
    assert "Cranes &amp; &lt;Ferries&gt; {{ 7*7 }}" in str(mail.alternatives[0][0])


# --- Sending ------------------------------------------------------------------------------------------------


def test_writing_a_mail_does_not_send_it(recorder: Recorder) -> None:
    ask()
    assert recorder.attempts == []
    assert TransactionalMail.objects.get().state == TransactionalMailState.PENDING


def test_a_sent_mail_keeps_its_outcome_and_loses_its_body() -> None:
    mail = ask()
    assert not send_due_transactional_mails()
    mail.refresh_from_db()
    assert (mail.state, mail.provider_id, mail.attempts) == (TransactionalMailState.SENT, "mail-1", 1)
    assert mail.sent_at is not None
    assert {name: getattr(mail, name) for name in WITHOUT_BODY} == WITHOUT_BODY


def test_the_step_sends_up_to_its_limit_and_reports_more_work(recorder: Recorder) -> None:
    for number in range(3):
        ask(f"reader-{number}@example.org")
    assert send_due_transactional_mails(limit=2)
    assert len(recorder.attempts) == 2
    assert not send_due_transactional_mails(limit=2)
    assert len(recorder.attempts) == 3


@pytest.mark.parametrize(
    "error",
    [
        BUSY,
        NO_ANSWER,
        ConnectionResetError("cut"),
        TimeoutError("slow"),
        smtplib.SMTPServerDisconnected("gone"),
        KeyError("bug"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_failed_attempt_is_retried_with_the_same_bytes_and_key(recorder: Recorder, error: Exception) -> None:
    recorder.errors = [error]
    mail = ask()
    send_due_transactional_mails()
    mail.refresh_from_db()
    assert (mail.state, mail.attempts) == (TransactionalMailState.PENDING, 1)
    assert mail.explanation
    assert GUS not in mail.explanation
    send_due_transactional_mails()
    assert len(recorder.attempts) == 1
    time_passes(datetime.timedelta(minutes=1))
    make_mailing_list()
    MailingList.objects.update(name="Renamed in between")
    send_due_transactional_mails()
    first, second = recorder.attempts
    assert sent_bytes(first) == sent_bytes(second)
    assert len(set(recorder.keys)) == 1
    mail.refresh_from_db()
    assert (mail.state, mail.reason, mail.detail) == (TransactionalMailState.SENT, "", "")


def test_a_permanent_error_fails_the_mail_with_the_reason(recorder: Recorder) -> None:
    recorder.errors = [MailBackendError("validation_error", "The domain is not verified.", permanent=True)]
    mail = ask()
    send_due_transactional_mails()
    time_passes(datetime.timedelta(days=1))
    send_due_transactional_mails()
    mail.refresh_from_db()
    assert (mail.state, mail.reason, mail.detail) == (
        TransactionalMailState.FAILED,
        Reason.REFUSED,
        "validation_error: The domain is not verified.",
    )
    assert len(recorder.attempts) == 1
    assert mail.html == ""


def test_a_mail_that_may_have_been_sent_is_repeated_for_23_hours(recorder: Recorder) -> None:
    recorder.errors = [NO_ANSWER, *[BUSY] * 1000]
    mail = ask()
    for _hour in range(30):
        send_due_transactional_mails()
        time_passes(datetime.timedelta(hours=1, minutes=16))
    mail.refresh_from_db()
    assert mail.state == TransactionalMailState.UNKNOWN
    assert (mail.reason, mail.detail) == (Reason.UNAVAILABLE, "rate_limit_exceeded: Too many requests.")
    assert "The provider has not accepted the mail." in mail.explanation
    assert "may have arrived" in mail.explanation
    assert 10 < len(recorder.attempts) <= 20
    assert {name: getattr(mail, name) for name in WITHOUT_BODY} == WITHOUT_BODY


def test_a_mail_that_was_never_sent_has_failed_after_30_attempts(recorder: Recorder) -> None:
    recorder.errors = [BUSY] * 1000
    mail = ask()
    for _hour in range(40):
        send_due_transactional_mails()
        time_passes(datetime.timedelta(hours=1, minutes=16))
    mail.refresh_from_db()
    assert (mail.state, mail.reason) == (TransactionalMailState.FAILED, Reason.UNAVAILABLE)
    assert "may have arrived" not in mail.explanation
    assert len(recorder.attempts) == 30


@pytest.mark.parametrize("error", [NO_ANSWER, TimeoutError("slow"), KeyError("bug")], ids=lambda error: str(error))
def test_a_provider_without_keys_gets_a_mail_that_may_have_been_sent_once(recorder: Recorder, error: Exception) -> None:
    recorder.key_lifetime = datetime.timedelta(0)
    recorder.errors = [BUSY, error]
    mail = ask()
    for _ in range(4):
        send_due_transactional_mails()
        time_passes(datetime.timedelta(hours=1))
    mail.refresh_from_db()
    assert mail.state == TransactionalMailState.UNKNOWN
    assert len(recorder.attempts) == 2


def test_a_provider_without_keys_does_not_repeat_the_mail_of_a_dead_worker(recorder: Recorder) -> None:
    recorder.key_lifetime = datetime.timedelta(0)
    mail = ask()
    claim_mail()
    time_passes(datetime.timedelta(minutes=3))
    send_due_transactional_mails()
    mail.refresh_from_db()
    assert (mail.state, mail.reason) == (TransactionalMailState.UNKNOWN, Reason.NOT_FINISHED)
    assert recorder.attempts == []


def test_a_permanent_refusal_after_an_unknown_outcome_leaves_the_state_unknown(recorder: Recorder) -> None:
    recorder.errors = [NO_ANSWER, MailBackendError("validation_error", permanent=True)]
    mail = ask()
    send_due_transactional_mails()
    time_passes(datetime.timedelta(minutes=1))
    send_due_transactional_mails()
    mail.refresh_from_db()
    assert (mail.state, mail.reason) == (TransactionalMailState.UNKNOWN, Reason.REFUSED)


def test_a_lease_outlasts_every_reply_of_a_slow_mail_server(recorder: Recorder, settings: Settings) -> None:
    settings.EMAIL_TIMEOUT = 600
    assert lease_for(get_connection()) == LEASE
    recorder.key_lifetime = datetime.timedelta(0)
    assert lease_for(get_connection()) >= datetime.timedelta(seconds=10 * 600)


def test_the_claim_of_a_dead_worker_expires(recorder: Recorder) -> None:
    ask()
    assert claim_mail() is not None
    send_due_transactional_mails()
    assert recorder.attempts == []
    time_passes(datetime.timedelta(minutes=3))
    send_due_transactional_mails()
    assert len(recorder.attempts) == 1


def test_a_mail_without_a_finished_attempt_is_given_up_after_a_day(recorder: Recorder) -> None:
    mail = ask()
    claim_mail()
    time_passes(datetime.timedelta(hours=24))
    send_due_transactional_mails()
    mail.refresh_from_db()
    assert (mail.state, mail.reason) == (TransactionalMailState.UNKNOWN, Reason.NOT_FINISHED)
    assert recorder.attempts == []


def test_a_mail_that_is_no_longer_needed_is_withdrawn_with_the_reason(recorder: Recorder) -> None:
    mail = ask()
    actions.unsubscribe(mail.subscription.key, HERE)
    send_due_transactional_mails()
    mail.refresh_from_db()
    assert (mail.state, mail.reason) == (TransactionalMailState.WITHDRAWN, Reason.NOTHING_TO_CONFIRM)
    assert recorder.attempts == []


def test_links_to_preferences_and_questions_to_stay_are_sent_to_active_subscribers_only(recorder: Recorder) -> None:
    subscription, now = ada(), timezone.now()

    def write() -> None:
        TransactionalMail.objects.all().delete()
        send_preferences_link(subscription)
        SunsetQuestion.objects.all().delete()
        ask_to_stay([subscription.pk], silent_since=now, answer_time=datetime.timedelta(days=14))

    write()
    send_due_transactional_mails()
    sent = TransactionalMail.objects.filter(state=TransactionalMailState.SENT).values_list("kind", flat=True)
    assert sorted(sent) == ["preferences_link", "stay"]
    write()
    actions.unsubscribe(subscription.key, HERE)
    send_due_transactional_mails()
    reasons = TransactionalMail.objects.values_list("state", "reason").distinct()
    assert list(reasons) == [(TransactionalMailState.WITHDRAWN, Reason.NOT_SUBSCRIBED)]


def test_a_mail_to_a_suppressed_address_is_withdrawn(recorder: Recorder) -> None:
    ask()
    suppress_addresses({GUS: (SuppressionReason.COMPLAINT, "")})
    send_due_transactional_mails()
    assert recorder.attempts == []


def test_a_mail_is_withdrawn_after_an_attempt_that_sent_nothing(recorder: Recorder) -> None:
    recorder.errors = [BUSY]
    mail = ask()
    send_due_transactional_mails()
    actions.decline(mail.subscription.key, HERE)
    time_passes(datetime.timedelta(minutes=1))
    send_due_transactional_mails()
    mail.refresh_from_db()
    assert (mail.state, mail.reason, mail.detail) == (TransactionalMailState.WITHDRAWN, Reason.DECLINED, "")
    assert len(recorder.attempts) == 1


#: What may happen to a request between two attempts, and the reason for which its mail is not sent any more.
CHANGES: dict[str, tuple[Callable[[Subscription], object], str]] = {
    "declined": (lambda gus: actions.decline(gus.key, HERE), Reason.DECLINED),
    "unsubscribed": (lambda gus: actions.unsubscribe(gus.key, HERE), Reason.NOTHING_TO_CONFIRM),
    "complained": (lambda gus: suppress_addresses({GUS: (SuppressionReason.COMPLAINT, "")}), Reason.SUPPRESSED),
    "suppressed by the provider": (
        lambda gus: suppress_addresses({GUS: (SuppressionReason.PROVIDER, "")}),
        Reason.SUPPRESSED,
    ),
    "suppressed by an editor": (
        lambda gus: suppress_addresses({GUS: (SuppressionReason.MANUAL, "")}),
        Reason.SUPPRESSED,
    ),
    "bounced": (
        lambda gus: suppress_addresses({GUS: (SuppressionReason.HARD_BOUNCE, "")}),
        Reason.NOTHING_TO_CONFIRM,
    ),
    "asked again": (lambda gus: ask(), Reason.SUPERSEDED),
}


@pytest.mark.parametrize("failed_attempts", [1, 2, 5])
@pytest.mark.parametrize("change", CHANGES)
def test_every_attempt_after_which_nothing_was_sent_checks_the_mail_again(
    recorder: Recorder, change: str, failed_attempts: int
) -> None:
    recorder.errors = [BUSY] * failed_attempts
    mail = ask()
    for _ in range(failed_attempts):
        send_due_transactional_mails()
        time_passes(datetime.timedelta(minutes=5))
    do, reason = CHANGES[change]
    do(mail.subscription)
    time_passes(datetime.timedelta(minutes=5))
    send_due_transactional_mails()
    mail.refresh_from_db()
    assert (mail.state, mail.reason, mail.first_attempt_at) == (TransactionalMailState.WITHDRAWN, reason, None)
    assert recorder.keys.count(mail.idempotency_key) == failed_attempts


def test_the_mail_of_an_erased_subscriber_is_not_tried_again(recorder: Recorder) -> None:
    recorder.errors = [BUSY]
    ask()
    send_due_transactional_mails()
    time_passes(datetime.timedelta(minutes=5))
    Subscriber.objects.all().delete()
    assert not send_due_transactional_mails()
    assert len(recorder.attempts) == 1


def test_no_mail_is_claimed_while_the_backend_is_stopped_and_each_is_sent_afterwards(recorder: Recorder) -> None:
    mail = ask()
    recorder.is_stopped = True
    assert not send_due_transactional_mails()
    mail.refresh_from_db()
    assert (mail.state, mail.attempts, mail.lease_until) == (TransactionalMailState.PENDING, 0, None)
    recorder.is_stopped = False
    send_due_transactional_mails()
    mail.refresh_from_db()
    assert mail.state == TransactionalMailState.SENT


def test_a_mail_that_was_never_sent_names_no_attempt_that_may_have_sent_it(recorder: Recorder) -> None:
    mail = ask()
    actions.decline(mail.subscription.key, HERE)
    send_due_transactional_mails()
    mail.refresh_from_db()
    assert (mail.state, mail.first_attempt_at) == (TransactionalMailState.WITHDRAWN, None)


def test_a_worker_whose_lease_ended_leaves_the_next_claim_alone(recorder: Recorder) -> None:
    ask()
    late = claim_mail()
    assert late is not None
    time_passes(datetime.timedelta(minutes=3))
    recorder.errors = [NO_ANSWER]
    send_due_transactional_mails()
    stored = TransactionalMail.objects.values("attempts", "first_attempt_at", "not_before", "reason").get()
    recorder.errors = [BUSY]
    send_mail(late, get_connection(BACKEND))
    assert TransactionalMail.objects.values("attempts", "first_attempt_at", "not_before", "reason").get() == stored


def test_a_mail_that_is_no_longer_needed_and_may_have_been_sent_is_given_up(recorder: Recorder) -> None:
    recorder.errors = [NO_ANSWER]
    mail = ask()
    send_due_transactional_mails()
    suppress_addresses({GUS: (SuppressionReason.COMPLAINT, "")})
    time_passes(datetime.timedelta(minutes=1))
    send_due_transactional_mails()
    mail.refresh_from_db()
    assert (mail.state, mail.reason) == (TransactionalMailState.UNKNOWN, Reason.SUPPRESSED)
    assert len(recorder.attempts) == 1


def test_only_the_newest_of_two_pending_confirmation_mails_is_sent(recorder: Recorder) -> None:
    ask()
    ask()
    send_due_transactional_mails()
    assert len(recorder.attempts) == 1
    assert set(TransactionalMail.objects.values_list("state", flat=True)) == {
        TransactionalMailState.SENT,
        TransactionalMailState.WITHDRAWN,
    }


def test_a_mail_with_an_expired_link_is_withdrawn(recorder: Recorder) -> None:
    ask()
    time_passes(datetime.timedelta(days=8))
    send_due_transactional_mails()
    assert recorder.attempts == []
    assert TransactionalMail.objects.get().reason == Reason.LINK_EXPIRED


def test_the_delay_between_attempts_grows_to_about_an_hour() -> None:
    seconds = [retry_delay(attempt).total_seconds() for attempt in (1, 2, 5, 9, 10_000)]
    for pause, expected in zip(seconds, (15, 30, 240, 3600, 3600), strict=True):
        assert 0.75 * expected <= pause <= 1.25 * expected


@pytest.mark.django_db(transaction=True)
def test_a_claimed_mail_cannot_be_claimed_again() -> None:
    ask()
    first, second = claim_mail(), claim_mail()
    assert first is not None
    assert second is None
    assert first.mail.lease_until is not None
    assert first.mail.lease_until > timezone.now()


@pytest.mark.parametrize("kind", [Kind.ALREADY_SUBSCRIBED, Kind.STAY, Kind.ACCESS, Kind.ERASE, Kind.PREFERENCES_LINK])
def test_a_mail_to_an_active_subscriber_is_sent(recorder: Recorder, kind: Kind) -> None:
    mail = enqueue_mail(kind, ada(), {}, one_click_url="https://example.org/unsubscribe")
    send_due_transactional_mails()
    mail.refresh_from_db()
    assert (mail.state, mail.reason) == (TransactionalMailState.SENT, "")
    assert recorder.keys == [mail.idempotency_key]
