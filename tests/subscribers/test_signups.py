"""Sign-ups: stored for every address, processed once by the worker, deleted after a day."""

from __future__ import annotations

import datetime

import pytest
from django.db.models import F
from pytest_django import Settings

from subscribers.addresses import parse_address
from subscribers.models import (
    Consent,
    Evidence,
    MailingList,
    Signup,
    Subscriber,
    Subscription,
    SuppressionReason,
    TransactionalMail,
    TransactionalMailState,
)
from subscribers.models import SubscriptionState as State
from subscribers.signup import queue as signups
from subscribers.signup.queue import TooManySignups, process_signups, store_signup
from subscribers.suppression import suppress_addresses
from subscribers.transactional.outbox import send_due_transactional_mails
from tests.people import make_mailing_list

pytestmark = pytest.mark.django_db

GUS = "gus@example.org"
HERE = Evidence(form="signup", text="You subscribe to Harbour Notes.", ip="192.0.2.7")


def sign_up(address: str = GUS, network: str = "", mailing_list: MailingList | None = None) -> Signup:
    return store_signup(mailing_list or make_mailing_list(), parse_address(address), HERE, network=network)


def time_passes(delta: datetime.timedelta) -> None:
    Signup.objects.update(created_at=F("created_at") - delta, due_at=F("due_at") - delta)


def test_the_consent_of_a_signup_has_the_time_of_the_signup() -> None:
    signup = sign_up()
    assert not Subscriber.objects.exists()
    process_signups()
    assert Subscription.objects.get().state == State.PENDING
    proof = Consent.objects.get()
    assert (proof.created_at, proof.ip, proof.form) == (signup.created_at, "192.0.2.7", "signup")


def test_a_signup_is_processed_once() -> None:
    sign_up()
    for _ in range(3):
        process_signups()
    assert TransactionalMail.objects.count() == 1


def test_the_step_processes_up_to_its_limit_and_reports_more_work() -> None:
    for number in range(3):
        sign_up(f"reader-{number}@example.org")
    assert process_signups(limit=2)
    assert Subscriber.objects.count() == 2
    assert not process_signups(limit=2)
    assert Subscriber.objects.count() == 3


def test_a_failing_signup_is_logged_and_does_not_hold_up_others(caplog: pytest.LogCaptureFixture) -> None:
    broken = make_mailing_list("broken", sender_name="two\nlines")
    sign_up(mailing_list=broken)
    sign_up("hana@example.org")
    process_signups()
    assert Subscriber.objects.get().canonical == "hana@example.org"
    assert "could not be processed" in caplog.text
    assert GUS not in caplog.text
    MailingList.objects.filter(pk=broken.pk).update(sender_name="One line")
    process_signups()
    assert Subscriber.objects.count() == 1
    time_passes(signups.RETRY_DELAY)
    process_signups()
    assert Subscriber.objects.count() == 2


def test_a_signup_that_fails_for_a_day_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    sign_up(mailing_list=make_mailing_list("broken", sender_name="two\nlines"))
    time_passes(datetime.timedelta(hours=25))
    process_signups()
    process_signups()
    assert not Signup.objects.exists()
    assert "Sign-up given up" in caplog.text


def test_the_result_of_each_signup_is_logged_without_the_address(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "subscribers")
    suppress_addresses({GUS: (SuppressionReason.MANUAL, "")})
    signups_stored = [sign_up(), sign_up("hana@example.org")]
    process_signups()
    logged = [(record.signup, record.result) for record in caplog.records if record.message == "Sign-up processed"]  # type: ignore[attr-defined]
    assert logged == list(zip([row.pk for row in signups_stored], ["suppressed", "confirmation"], strict=True))
    assert "@example.org" not in caplog.text


def test_processed_signups_are_deleted_after_a_day() -> None:
    sign_up()
    process_signups()
    time_passes(datetime.timedelta(hours=23))
    process_signups()
    assert Signup.objects.count() == 1
    time_passes(datetime.timedelta(hours=2))
    process_signups()
    assert not Signup.objects.exists()


def test_unprocessed_signups_are_not_deleted() -> None:
    sign_up()
    time_passes(datetime.timedelta(days=2))
    process_signups()
    assert TransactionalMail.objects.count() == 1


def test_a_signup_of_a_suppressed_address_leaves_no_rows() -> None:
    suppress_addresses({GUS: (SuppressionReason.MANUAL, "")})
    sign_up()
    process_signups()
    time_passes(datetime.timedelta(days=2))
    process_signups()
    for model in (Signup, Subscriber, Subscription, TransactionalMail, Consent):
        assert not model._default_manager.exists()


def test_signups_are_limited_per_network(settings: Settings) -> None:
    settings.SIGNUP_NETWORK_LIMIT = 3
    for number in range(3):
        sign_up(f"reader-{number}@example.org", network="192.0.2.7")
    with pytest.raises(TooManySignups):
        sign_up(network="192.0.2.7")
    sign_up(network="192.0.2.8")
    sign_up(network="")
    assert Signup.objects.count() == 5


def test_hundreds_of_signups_send_at_most_three_mails_to_an_address(
    mailoutbox: list[object], settings: Settings
) -> None:
    settings.SIGNUP_ADDRESS_LIMIT = settings.SIGNUP_NETWORK_LIMIT = settings.SIGNUP_DOMAIN_LIMIT = 1000
    for _round in range(6):
        for _ in range(50):
            sign_up()
        process_signups()
        send_due_transactional_mails()
    assert len(mailoutbox) == 3
    assert TransactionalMail.objects.exclude(state=TransactionalMailState.WITHDRAWN).count() == 3
