"""Stamps of forms: genuine, in time, and used once."""

from __future__ import annotations

import datetime
import time
import uuid

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from subscribers.models import Signup, Subscription, UsedStamp
from subscribers.signup.limits import delete_old_limits
from subscribers.signup.queue import process_signups
from subscribers.signup.stamps import StampError, StampUsed, read_stamp, sign_timestamp, stamp_key, use_stamp
from tests.people import make_mailing_list

pytestmark = pytest.mark.django_db

SIGNUP = "/subscribe/harbour-notes/"


def posted(client: Client, address: str, stamp: str) -> int:
    return client.post(SIGNUP, {"email": address, "website": "", "timestamp": stamp}).status_code


def test_a_stamp_counts_for_one_sign_up(client: Client) -> None:
    stamp = sign_timestamp(make_mailing_list(), time.time() - 10)
    answers = [posted(client, f"gus-{number}@example.org", stamp) for number in range(5)]
    assert answers == [303, 400, 400, 400, 400]
    assert Signup.objects.count() == 1


def test_a_second_click_with_the_same_address_gets_the_answer_of_the_first(client: Client) -> None:
    data = {"email": "gus@example.org", "timestamp": sign_timestamp(make_mailing_list(), time.time() - 10)}
    first, second = client.post(SIGNUP, data), client.post(SIGNUP, data)
    assert (second.status_code, second["Location"]) == (303, first["Location"])
    assert Signup.objects.count() == 1


def test_a_used_stamp_is_answered_with_a_form_that_has_a_new_one(client: Client) -> None:
    stamp = sign_timestamp(make_mailing_list(), time.time() - 10)
    posted(client, "gus@example.org", stamp)
    shown = client.post(SIGNUP, {"email": "hana@example.org", "timestamp": stamp}).content.decode()
    assert "Press the button again" in shown
    assert 'value="hana@example.org"' in shown
    assert stamp not in shown


def test_the_stamp_of_a_cached_page_counts_once_for_each_network(client: Client, settings: Settings) -> None:
    settings.TRUSTED_PROXIES = 1
    stamp = sign_timestamp(make_mailing_list(), time.time() - 10, is_shared=True)
    statuses = [
        client.post(
            SIGNUP, {"email": f"gus-{number}@example.org", "timestamp": stamp}, headers={"x-forwarded-for": network}
        ).status_code
        for number, network in enumerate(["192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"])
    ]
    assert statuses == [303, 400, 303, 303, 400]


def test_a_form_that_is_refused_does_not_use_its_stamp(client: Client) -> None:
    stamp = sign_timestamp(make_mailing_list(), time.time() - 10)
    assert posted(client, "no address", stamp) == 400
    assert posted(client, "gus@example.org", stamp) == 303


@pytest.mark.parametrize("ahead", [301.0, 10 * 86_400.0])
def test_a_stamp_of_the_future_is_refused(client: Client, ahead: float) -> None:
    assert posted(client, "gus@example.org", sign_timestamp(make_mailing_list(), time.time() + ahead)) == 400
    assert not Signup.objects.exists()


def test_a_stamp_of_another_list_or_without_a_nonce_is_no_stamp() -> None:
    harbour, tides = make_mailing_list(), make_mailing_list("tide-tables")
    signed = sign_timestamp(harbour)
    assert read_stamp(harbour, signed).nonce
    for forged in (signed[:-1], signed.replace("/", ""), "", "x" * 10_000, "1.0/a:b"):
        with pytest.raises(StampError):
            read_stamp(harbour, forged)
    with pytest.raises(StampError):
        read_stamp(tides, signed)


def test_used_stamps_are_kept_until_they_expire() -> None:
    key = stamp_key(make_mailing_list(), read_stamp(make_mailing_list(), sign_timestamp(make_mailing_list())), "")
    use_stamp(key, uuid.uuid4(), expires_at=timezone.now())
    with pytest.raises(StampUsed):
        use_stamp(key, uuid.uuid4())
    delete_old_limits(timezone.now())
    assert not UsedStamp.objects.exists()


def test_a_request_of_the_future_cannot_be_confirmed(client: Client) -> None:
    stamp = sign_timestamp(make_mailing_list(), time.time() - 10)
    posted(client, "gus@example.org", stamp)
    process_signups()
    subscription = Subscription.objects.get()
    now = timezone.now()
    for days, expired in ((10, True), (1, True), (0, False), (-6, False), (-8, True)):
        subscription.requested_at = now + datetime.timedelta(days=days)
        assert subscription.request_has_expired(now) is expired
