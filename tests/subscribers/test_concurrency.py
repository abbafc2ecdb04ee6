"""Concurrent steps take effect once. On PostgreSQL only: SQLite has one writer at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest
from django.db import connection
from pytest_django import Settings

from subscribers.addresses import parse_address
from subscribers.consent import actions, double_opt_in
from subscribers.consent.double_opt_in import ConfirmationStatus, RequestResult
from subscribers.consent.tokens import ConfirmationToken
from subscribers.models import (
    ConsentKind,
    Evidence,
    Signup,
    Subscriber,
    Subscription,
    SuppressionReason,
    TransactionalMail,
    TransactionalMailState,
)
from subscribers.signup.queue import process_signups, store_signup
from subscribers.suppression import suppress_addresses
from subscribers.transactional.outbox import send_due_transactional_mails
from tests.people import make_mailing_list, make_subscriptions
from tests.subscribers.recording_backend import BACKEND, RECORDER

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql]

GUS = "gus@example.org"
HERE = Evidence(form="signup", text="You subscribe to Harbour Notes.")
Result = TypeVar("Result")


def run_concurrently(act: Callable[[], Result], times: int = 8) -> list[Result]:
    """Call `act` in `times` threads that start together, each with its own connection."""
    start = threading.Barrier(times)

    def run() -> Result:
        try:
            start.wait(timeout=10)
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as threads:
        return [future.result() for future in [threads.submit(run) for _ in range(times)]]


def request() -> RequestResult:
    return double_opt_in.request_subscription(make_mailing_list(), parse_address(GUS), HERE)


def test_concurrent_requests_create_one_subscription_and_keep_the_limits() -> None:
    make_mailing_list()
    outcomes = run_concurrently(request)
    assert outcomes.count(RequestResult.CONFIRMATION) == 3
    assert (Subscriber.objects.count(), Subscription.objects.count(), TransactionalMail.objects.count()) == (1, 1, 3)


def test_concurrent_requests_for_many_lists_keep_the_limits() -> None:
    slugs = [f"list-{number}" for number in range(8)]
    lists = iter([make_mailing_list(slug) for slug in slugs])
    address = parse_address(GUS)
    outcomes = run_concurrently(lambda: double_opt_in.request_subscription(next(lists), address, HERE))
    assert outcomes.count(RequestResult.CONFIRMATION) == 3
    assert TransactionalMail.objects.count() == 3


def test_concurrent_declines_and_requests_do_not_deadlock() -> None:
    request()
    key = Subscription.objects.get().key
    turns = iter([True, False] * 4)
    run_concurrently(lambda: request() if next(turns) else actions.decline(key, HERE))
    assert Subscriber.objects.get().declined_at is not None


def test_concurrent_confirmations_confirm_once() -> None:
    request()
    link = ConfirmationToken(key=Subscription.objects.get().key, request_number=1)
    outcomes = [answer.status for answer in run_concurrently(lambda: double_opt_in.confirm(link, HERE))]
    assert outcomes.count(ConfirmationStatus.CONFIRMED) == 1
    assert outcomes.count(ConfirmationStatus.DONE) == 7
    assert Subscription.objects.get().consents.filter(kind=ConsentKind.CONFIRMED).count() == 1


def test_concurrent_workers_send_each_mail_once(settings: Settings) -> None:
    settings.EMAIL_BACKEND = BACKEND
    settings.SIGNUP_DOMAIN_LIMIT = 1000
    RECORDER.attempts.clear()
    RECORDER.errors.clear()
    for number in range(40):
        store_signup(make_mailing_list(), parse_address(f"reader-{number}@example.org"), HERE)
    run_concurrently(process_signups, times=4)
    assert TransactionalMail.objects.count() == 40
    assert not Signup.objects.filter(due_at__isnull=False).exists()
    run_concurrently(send_due_transactional_mails, times=4)
    while send_due_transactional_mails():
        pass
    assert len(RECORDER.keys) == len(set(RECORDER.keys)) == 40
    assert set(TransactionalMail.objects.values_list("state", flat=True)) == {TransactionalMailState.SENT}


def test_concurrent_complaints_end_each_subscription_once() -> None:
    subscriptions = make_subscriptions(200)
    causes = {subscription.subscriber.canonical: (SuppressionReason.COMPLAINT, "") for subscription in subscriptions}
    backwards = dict(reversed(causes.items()))
    turns = iter([causes, backwards] * 4)
    ended = run_concurrently(lambda: suppress_addresses(next(turns)))
    assert sum(ended) == 200
