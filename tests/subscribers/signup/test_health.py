"""Whether confirmations fall against their norm."""

from __future__ import annotations

import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from subscribers.addresses import parse_address
from subscribers.consent.double_opt_in import confirm, request_subscription
from subscribers.consent.tokens import ConfirmationToken
from subscribers.models import CONFIRMED, REQUESTED, Evidence, MailingList, SignupCounter, Subscription, add_to_counters
from subscribers.signup.health import confirmation_falls
from tests.people import make_mailing_list

pytestmark = pytest.mark.django_db

NOON = datetime.datetime(2026, 11, 20, 12, tzinfo=datetime.UTC)


def count(mailing_list: MailingList, scope: str, number: int, *, days_ago: int) -> None:
    at = (NOON - datetime.timedelta(days=days_ago)).timestamp()
    for _ in range(number):
        add_to_counters([(scope, str(mailing_list.pk))], at)


@pytest.mark.parametrize(
    ("earlier", "earlier_confirmed", "late", "late_confirmed", "falls"),
    [
        (40, 32, 20, 7, True),  # 35 % of 80 %
        (40, 32, 20, 8, False),  # half of the norm is no fall
        (40, 32, 19, 0, False),  # too few requests
        (19, 19, 40, 0, False),  # no norm yet
        (40, 0, 40, 0, False),  # confirmations never came
    ],
)
def test_a_fall_is_a_share_below_half_of_the_norm(
    earlier: int, earlier_confirmed: int, late: int, late_confirmed: int, falls: bool
) -> None:
    harbour = make_mailing_list()
    count(harbour, REQUESTED, earlier, days_ago=10)
    count(harbour, CONFIRMED, earlier_confirmed, days_ago=9)
    count(harbour, REQUESTED, late, days_ago=1)
    count(harbour, CONFIRMED, late_confirmed, days_ago=0)
    count(harbour, REQUESTED, 500, days_ago=30)
    with CaptureQueriesContext(connection) as captured:
        found = confirmation_falls(NOON)
    assert len(captured) <= 2
    if falls:
        (fall,) = found
        assert (fall.list_name, fall.requests, fall.share, fall.norm) == ("Harbour Notes", 20, 0.35, 0.8)
    else:
        assert found == []


def test_requests_and_confirmations_are_counted_once_each() -> None:
    harbour, gus = make_mailing_list(), parse_address("gus@example.org")
    for _ in range(2):
        request_subscription(harbour, gus, Evidence(form="signup"))
    subscription = Subscription.objects.get()
    for _ in range(2):
        confirm(ConfirmationToken(subscription.key, 1), Evidence(form="confirm"))
    counts = SignupCounter.objects.filter(hours=24, key=str(harbour.pk)).values_list("scope", "count")
    assert dict(counts) == {REQUESTED: 1, CONFIRMED: 1}
