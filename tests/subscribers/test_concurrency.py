"""Two at once: what happens in the same moment happens once. On PostgreSQL only, where two can write at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest
from django.db import connection
from pytest_django import Settings

from subscribers.addresses import parse_address
from subscribers.consent import double_opt_in
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
from subscribers.signup.queue import answer_signups, store_signup
from subscribers.suppression import suppress_addresses
from subscribers.transactional.outbox import send_due_transactional_mails
from tests.people import make_mailing_list, make_subscriptions
from tests.subscribers.post_office import BACKEND, counter

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql]

GUS = "gus@example.org"
HERE = Evidence(form="signup", text="You ask for Harbour Notes.")
Result = TypeVar("Result")


def at_once(act: Callable[[], Result], times: int = 8) -> list[Result]:
    """Do the same in `times` threads that start together, each with a connection of its own."""
    start = threading.Barrier(times)

    def acting() -> Result:
        try:
            start.wait(timeout=10)
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as threads:
        return [future.result() for future in [threads.submit(acting) for _ in range(times)]]


def request() -> RequestResult:
    return double_opt_in.request_subscription(make_mailing_list(), parse_address(GUS), HERE)


def test_requests_in_the_same_moment_make_one_membership_and_keep_the_caps() -> None:
    make_mailing_list()
    outcomes = at_once(request)
    assert outcomes.count(RequestResult.CONFIRMATION) == 3
    assert (Subscriber.objects.count(), Subscription.objects.count(), TransactionalMail.objects.count()) == (1, 1, 3)


def test_two_clicks_on_the_confirm_button_confirm_once() -> None:
    request()
    link = ConfirmationToken(key=Subscription.objects.get().key, request_number=1)
    outcomes = [answer.status for answer in at_once(lambda: double_opt_in.confirm(link, HERE))]
    assert outcomes.count(ConfirmationStatus.OPEN) == 1
    assert outcomes.count(ConfirmationStatus.DONE) == 7
    assert Subscription.objects.get().consents.filter(kind=ConsentKind.CONFIRMED).count() == 1


def test_many_workers_send_each_notice_once(settings: Settings) -> None:
    settings.EMAIL_BACKEND = BACKEND
    counter.handed_in.clear()
    counter.planned.clear()
    for number in range(40):
        store_signup(make_mailing_list(), parse_address(f"reader-{number}@example.org"), HERE)
    at_once(answer_signups, times=4)
    assert TransactionalMail.objects.count() == 40
    assert not Signup.objects.filter(due_at__isnull=False).exists()
    at_once(send_due_transactional_mails, times=4)
    while send_due_transactional_mails():
        pass
    assert len(counter.keys) == len(set(counter.keys)) == 40
    assert set(TransactionalMail.objects.values_list("state", flat=True)) == {TransactionalMailState.SENT}


def test_the_same_complaints_in_many_workers_end_each_membership_once() -> None:
    readers = make_subscriptions(200)
    causes = {reader.subscriber.canonical: (SuppressionReason.COMPLAINT, "") for reader in readers}
    backwards = dict(reversed(causes.items()))
    turns = iter([causes, backwards] * 4)
    ended = at_once(lambda: suppress_addresses(next(turns)))
    assert sum(ended) == 200
