"""The mail server of a domain, by a fake resolver: cached, in parallel, and open while the DNS fails."""

from __future__ import annotations

import threading
from typing import Any

import dns.exception
import dns.resolver
import pytest
from django.utils import timezone
from pytest_django import Settings

from subscribers.addresses import parse_address
from subscribers.models import Evidence, MailDomain, RuleAction, Signup, SignupRule, SignupState, Subscriber
from subscribers.models import MailDomainStatus as Status
from subscribers.signup import mail_domains
from subscribers.signup.mail_domains import (
    FRESH,
    RETENTION,
    RETRY_AFTER,
    check_mail_domains,
    delete_old_mail_domains,
    known_statuses,
    query_dns,
)
from subscribers.signup.queue import process_signups, store_signup
from tests.people import make_mailing_list

HERE = Evidence(form="signup")


class FakeResolver:
    """Answers by (name, type): a list of hosts, or an error."""

    answers: dict[tuple[str, str], Any] = {}
    lifetime = 0.0

    def resolve(self, name: str, kind: str) -> list[Any]:
        answer = self.answers.get((name, kind), dns.resolver.NoAnswer)
        if isinstance(answer, list):
            return [type("Record", (), {"exchange": host})() for host in answer]
        raise answer


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ({"MX": ["mx.example.org."]}, Status.ACCEPTS),
        ({"MX": ["."]}, Status.NULL_MX),
        ({"MX": [".", "mx.example.org."]}, Status.ACCEPTS),
        ({"A": ["192.0.2.1"]}, Status.ACCEPTS),
        ({"AAAA": ["2001:db8::1"]}, Status.ACCEPTS),
        ({}, Status.MISSING),
        ({"MX": dns.resolver.NXDOMAIN}, Status.MISSING),
        ({"MX": dns.exception.Timeout}, Status.UNKNOWN),
        ({"MX": dns.resolver.NoNameservers}, Status.UNKNOWN),
        ({"A": dns.exception.Timeout}, Status.UNKNOWN),
        ({"MX": OSError}, Status.UNKNOWN),
    ],
)
def test_the_answer_of_the_dns(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any], status: Status) -> None:
    named = {("example.org.", kind): answer for kind, answer in answers.items()}
    monkeypatch.setattr(FakeResolver, "answers", named)
    monkeypatch.setattr(dns.resolver, "Resolver", FakeResolver)
    assert query_dns("example.org") is status


@pytest.mark.django_db
def test_answers_are_kept_for_a_day_and_failures_for_ten_minutes() -> None:
    asked: list[str] = []

    def lookup(domain: str) -> Status:
        asked.append(domain)
        return Status.UNKNOWN if domain == "slow.example" else Status.ACCEPTS

    now = timezone.now()
    both = ["slow.example", "example.org"]
    check_mail_domains(both, now, lookup)
    check_mail_domains(both, now + RETRY_AFTER / 2, lookup)
    assert sorted(asked) == sorted(both)
    check_mail_domains(both, now + RETRY_AFTER, lookup)
    assert sorted(asked) == sorted([*both, "slow.example"])
    check_mail_domains(both, now + FRESH, lookup)
    assert asked.count("example.org") == 2
    assert known_statuses(both, now + FRESH + FRESH) == {}
    delete_old_mail_domains(now + FRESH + RETENTION)
    assert not MailDomain.objects.exists()


@pytest.mark.django_db
def test_a_name_server_that_is_slow_delays_nothing_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_domains, "ALL_SECONDS", 0.05)
    release = threading.Event()

    def lookup(domain: str) -> Status:
        if domain.startswith("slow"):
            release.wait(10)
        return Status.ACCEPTS

    now = timezone.now()
    try:
        check_mail_domains(["slow.example", "example.org"], now, lookup)
    finally:
        release.set()
    assert MailDomain.objects.get(pk="slow.example").status == Status.UNKNOWN


@pytest.fixture
def statuses(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> dict[str, Status]:
    """What the DNS says; rules about it are active."""
    found: dict[str, Status] = {}
    settings.SIGNUP_MX_CHECK = True
    original = check_mail_domains
    fake = lambda domains, now: original(domains, now, lambda domain: found.get(domain, Status.UNKNOWN))  # noqa: E731
    monkeypatch.setattr(mail_domains, "check_mail_domains", fake)
    SignupRule.objects.all().delete()
    SignupRule.objects.create(position=1, mail_domain=Status.NULL_MX, action=RuleAction.REFUSE)
    SignupRule.objects.create(position=2, mail_domain=Status.MISSING, action=RuleAction.HOLD)
    return found


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "state"),
    [
        (Status.ACCEPTS, SignupState.PROCESSED),
        (Status.NULL_MX, SignupState.REFUSED),
        (Status.MISSING, SignupState.HELD),
        (Status.UNKNOWN, SignupState.PROCESSED),
    ],
)
def test_rules_follow_the_dns_and_stay_open_without_it(
    statuses: dict[str, Status], status: Status, state: SignupState
) -> None:
    statuses["example.org"] = status
    store_signup(make_mailing_list(), parse_address("gus@example.org"), HERE)
    process_signups()
    assert Signup.objects.get().state == state
    assert Subscriber.objects.exists() is (state == SignupState.PROCESSED)


@pytest.mark.django_db
def test_the_dns_is_not_asked_unless_a_rule_needs_it(statuses: dict[str, Status]) -> None:
    SignupRule.objects.update(is_active=False)
    store_signup(make_mailing_list(), parse_address("gus@example.org"), HERE)
    process_signups()
    assert not MailDomain.objects.exists()
