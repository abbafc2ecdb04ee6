"""Limits of sign-ups: per network, address, mail domain and whole site, counted in the database."""

from __future__ import annotations

import datetime
from collections import Counter

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from subscribers.addresses import parse_address
from subscribers.models import (
    DAY,
    DecisionReason,
    Evidence,
    RuleAction,
    Signup,
    SignupCounter,
    SignupRule,
    SignupState,
    TransactionalMail,
    add_to_counters,
    window_start,
)
from subscribers.signup.limits import (
    ADMITTED_DOMAIN,
    ADMITTED_SITE,
    LimitReached,
    TooManySignups,
    admit,
    count_signup,
    counter_key,
    delete_old_limits,
)
from subscribers.signup.queue import process_signups, store_signup
from tests.people import make_mailing_list
from tests.subscribers.test_concurrency import run_concurrently

HERE = Evidence(form="signup", text="You subscribe to Harbour Notes.")
NOON = datetime.datetime(2026, 11, 20, 12, 5, tzinfo=datetime.UTC)


def sign_up(address: str, network: str = "") -> Signup:
    return store_signup(make_mailing_list(), parse_address(address), HERE, network=network)


def counted(network: str, *, at: datetime.datetime = NOON, embedded: bool = False) -> dict[str, int]:
    return count_signup(network=network, canonical="gus@example.org", is_embedded=embedded, now=at)


@pytest.mark.django_db
@pytest.mark.parametrize("network", ["192.0.2.7", "2001:db8::/64", ""])
def test_each_network_and_the_unknown_one_has_a_limit_an_hour(settings: Settings, network: str) -> None:
    settings.SIGNUP_NETWORK_LIMIT = 3
    for _ in range(3):
        counted(network)
    with pytest.raises(TooManySignups) as refused:
        counted(network)
    assert refused.value.retry_seconds == 55 * 60 + 1
    counted("192.0.2.8")
    counted(network, at=NOON + datetime.timedelta(hours=1))


@pytest.mark.django_db
def test_forms_of_other_sites_have_a_lower_limit(settings: Settings) -> None:
    settings.SIGNUP_EMBEDDED_LIMIT = 1
    counted("192.0.2.7", embedded=True)
    with pytest.raises(TooManySignups):
        counted("192.0.2.7", embedded=True)
    counted("192.0.2.7")


@pytest.mark.django_db
def test_the_counts_of_a_sign_up_are_those_of_its_windows() -> None:
    counted("192.0.2.7")
    later = counted("192.0.2.8", at=NOON + datetime.timedelta(hours=1))
    assert later == {
        "network-1": 1,
        "network-24": 1,
        "address-1": 1,
        "address-24": 2,
        "domain-1": 1,
        "domain-24": 2,
        "site-1": 1,
        "site-24": 2,
    }


@pytest.mark.django_db
def test_counters_hold_neither_addresses_nor_networks() -> None:
    counted("192.0.2.7")
    stored = " ".join(SignupCounter.objects.values_list("key", flat=True))
    assert "192" not in stored.split()
    assert "example" not in stored
    assert all(len(key) == 32 for key in stored.split())


@pytest.mark.django_db
def test_128_sign_ups_at_one_domain_from_two_networks_cause_twenty_mails() -> None:
    for number in range(64):
        for network in ("192.0.2.7", "198.51.100.7"):
            if number < 60:
                sign_up(f"victim-{number}-{network[:3]}@company.example", network)
    while process_signups():
        pass
    assert TransactionalMail.objects.count() == 20
    held = Signup.objects.filter(state=SignupState.HELD)
    assert set(held.values_list("reason", flat=True)) == {DecisionReason.DOMAIN_LIMIT}
    assert held.count() == 100


@pytest.mark.django_db
def test_the_whole_site_has_a_limit_whatever_the_domains(settings: Settings) -> None:
    settings.SIGNUP_SITE_LIMIT = 5
    for number in range(8):
        sign_up(f"victim@company-{number}.example", f"192.0.2.{number}")
    process_signups()
    assert TransactionalMail.objects.count() == 5
    assert Counter(Signup.objects.values_list("reason", flat=True))[DecisionReason.SITE_LIMIT] == 3


@pytest.mark.django_db
def test_a_large_mailbox_provider_has_ten_times_the_limit(settings: Settings) -> None:
    settings.SIGNUP_DOMAIN_LIMIT = 2
    for _ in range(20):
        admit("gmail.com", now=NOON)
    with pytest.raises(LimitReached):
        admit("gmail.com", now=NOON)


@pytest.mark.django_db
def test_a_limit_grows_with_the_norm_of_the_last_28_days(settings: Settings) -> None:
    settings.SIGNUP_DOMAIN_LIMIT, settings.SIGNUP_LIMIT_MULTIPLE = 2, 10
    key = counter_key("company.example")
    today = window_start(NOON.timestamp(), DAY)
    # On average one an hour; today and what is older than 28 days do not count.
    SignupCounter.objects.bulk_create(
        SignupCounter(scope=ADMITTED_DOMAIN, key=key, hours=DAY, starts_at=today - days * 86_400, count=24)
        for days in range(1, 29)
    )
    SignupCounter.objects.create(
        scope=ADMITTED_DOMAIN, key=key, hours=DAY, starts_at=today - 29 * 86_400, count=100_000
    )
    for _ in range(10):
        admit("company.example", now=NOON)
    with pytest.raises(LimitReached) as reached:
        admit("company.example", now=NOON)
    assert reached.value.reason is DecisionReason.DOMAIN_LIMIT


@pytest.mark.django_db
def test_a_held_sign_up_does_not_use_up_the_limit(settings: Settings) -> None:
    settings.SIGNUP_DOMAIN_LIMIT = 1
    for number in range(4):
        sign_up(f"gus-{number}@example.org")
    process_signups()
    hour = SignupCounter.objects.get(scope=ADMITTED_DOMAIN, hours=1)
    assert hour.count == 1


@pytest.mark.django_db
def test_a_rule_that_allows_a_domain_lifts_its_limit_but_not_that_of_the_site(settings: Settings) -> None:
    settings.SIGNUP_DOMAIN_LIMIT, settings.SIGNUP_SITE_LIMIT = 1, 3
    SignupRule.objects.create(position=1, domains="example.org", action=RuleAction.ALLOW)
    for number in range(5):
        sign_up(f"gus-{number}@example.org")
    process_signups()
    assert TransactionalMail.objects.count() == 3


@pytest.mark.django_db
def test_sign_ups_of_one_address_are_ignored_after_the_limit_of_a_day(settings: Settings) -> None:
    settings.SIGNUP_ADDRESS_LIMIT = 2
    for number in range(4):
        sign_up("gus@example.org", f"192.0.2.{number}")
    process_signups()
    assert TransactionalMail.objects.count() == 2
    assert Counter(Signup.objects.values_list("state", "reason")) == {
        (SignupState.PROCESSED, DecisionReason.NO_RULE): 2,
        (SignupState.REFUSED, DecisionReason.ADDRESS_LIMIT): 2,
    }


@pytest.mark.django_db
def test_counters_are_deleted_when_no_limit_reads_them() -> None:
    now = timezone.now()
    for days in (0, 1, 27, 29, 40):
        counted("192.0.2.7", at=now - datetime.timedelta(days=days))
    delete_old_limits(now)
    assert SignupCounter.objects.filter(hours=1).values("starts_at").distinct().count() == 1
    assert SignupCounter.objects.filter(hours=24).values("starts_at").distinct().count() == 4


@pytest.mark.django_db
@given(events=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 200_000)), max_size=12))
def test_counters_agree_with_counting(events: list[tuple[str, int]]) -> None:
    with transaction.atomic():
        expected: Counter[tuple[str, int, int]] = Counter()
        for key, seconds in events:
            counts = add_to_counters([("test", key)], seconds)
            for hours in (1, 24):
                expected[key, hours, window_start(seconds, hours)] += 1
                assert counts["test", hours] == expected[key, hours, window_start(seconds, hours)]
        transaction.set_rollback(True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_concurrent_sign_ups_of_one_network_do_not_exceed_its_limit(settings: Settings) -> None:
    settings.SIGNUP_NETWORK_LIMIT = 5

    def attempt() -> bool:
        try:
            counted("192.0.2.7")
        except TooManySignups:
            return False
        return True

    assert sum(run_concurrently(attempt, times=12)) == 5


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_concurrent_workers_do_not_exceed_the_limit_of_a_domain(settings: Settings) -> None:
    settings.SIGNUP_DOMAIN_LIMIT = 7
    for number in range(30):
        sign_up(f"gus-{number}@example.org", f"192.0.2.{number}")
    run_concurrently(process_signups, times=4)
    assert TransactionalMail.objects.count() == 7
    assert Signup.objects.filter(state=SignupState.HELD).count() == 23
    assert SignupCounter.objects.get(scope=ADMITTED_SITE, hours=1).count == 7
