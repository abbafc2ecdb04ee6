"""The check of a domain as a whole: once a day, kept, and the former result where no name server answers."""

from __future__ import annotations

import pytest
from django.utils import timezone
from pytest_django import Settings

from newsletter.deliverability import check, hosts, transport
from newsletter.deliverability.check import Asked, check_domain, check_next_domain, findings_of, request_check
from newsletter.deliverability.findings import Record, Result
from newsletter.deliverability.hosts import MailHosts, check_hosts, check_unsubscribe_host, hosts_in
from newsletter.deliverability.transport import check_mta_sts
from newsletter.models import DomainCheck, Issue
from newsletter.outbound import Fetched, FetchPolicy, FetchReason
from newsletter.outbound.dns_lookup import DnsFailed
from tests.newsletter.deliverability.dns import DOMAIN, FakeDns, complete
from tests.newsletter.sending.conftest import issue
from tests.publications import make_newsletter, start_sending

pytestmark = pytest.mark.django_db

__all__ = ["issue"]

NOWHERE = FetchPolicy(user_agent="tests", resolver=lambda host, port: ["127.0.0.1"])


@pytest.fixture(autouse=True)
def _a_public_site_that_sends_through_resend(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    make_newsletter()
    settings.PROVIDER, settings.SITE_HOST = "resend", "news.example.org"
    monkeypatch.setattr(hosts, "problem_of", lambda host, policy: None)


def asked(dns: FakeDns) -> Asked:
    return Asked(lookup=dns, policy=NOWHERE)


def results(dns: FakeDns) -> dict[str, str]:
    return {each.record.value: each.code for each in check_domain(DOMAIN, asked(dns))}


def test_a_complete_domain_is_fine() -> None:
    assert results(complete()) == {
        "spf": "spf_ok",
        "dkim": "dkim_ok",
        "dmarc": "dmarc_ok",
        "return_path": "return_path_mx",
        "tls_rpt": "tls_rpt_not_set",
        "mta_sts": "mta_sts_not_set",
        "bimi": "bimi_not_set",
        "hosts": "hosts_none",
        "unsubscribe": "unsubscribe_ok",
    }


def test_a_domain_with_two_cnames_is_fine_too() -> None:
    alias = {f"MX send.{DOMAIN}": [], f"CNAME send.{DOMAIN}": ["x.provider.example"]}
    dns = complete(**alias, **{f"TXT send.{DOMAIN}": ["v=spf1 include:spf.provider.example ~all"]})
    found = results(dns)
    assert (found["spf"], found["return_path"]) == ("spf_ok", "return_path_cname")


def test_with_a_mail_server_the_domain_itself_has_spf_and_no_return_path_is_expected(settings: Settings) -> None:
    settings.PROVIDER = "smtp"
    found = results(complete(**{f"TXT {DOMAIN}": ["v=spf1 mx ~all"]}))
    assert found["spf"] == "spf_ok"
    assert "return_path" not in found


def test_a_domain_is_checked_once_a_day() -> None:
    dns = complete()
    assert check_next_domain(asked(dns))
    assert not check_next_domain(asked(dns))
    row = DomainCheck.objects.get(domain=DOMAIN)
    assert [each.record for each in findings_of(row)] == list(Record)
    DomainCheck.objects.update(checked_at=timezone.now() - check.CHECK_EVERY)
    assert check_next_domain(asked(dns))


def test_an_editor_may_ask_for_a_check_at_once() -> None:
    assert check_next_domain(asked(complete()))
    assert request_check(timezone.now()) == 1
    assert check_next_domain(asked(complete()))
    assert not check_next_domain(asked(complete()))


def test_the_sandbox_asks_no_name_server_unless_an_editor_wants_it(settings: Settings) -> None:
    settings.PROVIDER = "sandbox"
    dns = complete()
    assert not check_next_domain(asked(dns))
    assert dns.asked == []
    request_check(timezone.now())
    assert check_next_domain(asked(dns))


def test_where_no_name_server_answers_the_former_result_stays_and_it_is_tried_again() -> None:
    dns = complete()
    check_next_domain(asked(dns))
    dns.silent = {f"resend._domainkey.{DOMAIN}", f"_dmarc.{DOMAIN}"}
    dns.records[f"TXT send.{DOMAIN}"] = ["v=spf1 +all"]
    request_check(timezone.now())
    check_next_domain(asked(dns))
    row = DomainCheck.objects.get(domain=DOMAIN)
    found = {each.record.value: each.code for each in findings_of(row)}
    assert (found["dkim"], found["dmarc"], found["spf"]) == ("dkim_ok", "dmarc_ok", "spf_open")
    assert row.failed_at is not None
    DomainCheck.objects.update(failed_at=timezone.now() - check.RETRY_AFTER)
    dns.silent = set()
    assert check_next_domain(asked(dns))
    row.refresh_from_db()
    assert row.failed_at is None


def test_where_nothing_is_known_yet_it_says_that_no_name_server_answered() -> None:
    dns = complete()
    dns.silent = {f"_dmarc.{DOMAIN}"}
    found = {each.record: each for each in check_domain(DOMAIN, asked(dns))}
    assert found[Record.DMARC].code == "dns_failed"
    assert found[Record.DMARC].result is Result.WARNING
    assert "LifetimeTimeout" in found[Record.DMARC].sentence


def test_a_record_of_a_later_version_is_left_out() -> None:
    row = DomainCheck(domain=DOMAIN, findings=[{"record": "arc", "code": "x"}, {"record": "spf", "code": "new_code"}])
    assert [(each.result, each.sentence) for each in findings_of(row)] == [(Result.WARNING, "new code")]


# Hosts


def test_hosts_are_read_from_links_and_pictures() -> None:
    page = (
        '<a href="https://Harbour.example/x">x</a><a href="mailto:a@example.org">m</a><a href="https://[bad">b</a>'
        '<img src="https://img.example.org/a.png"><img src="data:image/png;base64,AA"><a href="https://münchen.example">'
    )
    found = hosts_in(page)
    assert found.links == {"harbour.example", "xn--mnchen-3ya.example"}
    assert found.pictures == {"img.example.org"}
    assert hosts_in("").links == frozenset()


def test_the_hosts_of_sent_editions_are_checked(issue: Issue) -> None:
    start_sending(issue)
    found = hosts.hosts_of_last_editions(DOMAIN)
    assert "harbour.example" in found.links
    assert hosts.hosts_of_last_editions("other.example").links == frozenset()


@pytest.mark.parametrize(
    ("problems", "pictures", "expected"),
    [
        ({}, ["img.example.org"], ["hosts_ok"]),
        ({"a.example": FetchReason.UNREACHABLE}, [], ["hosts_ok"]),
        ({"a.example": FetchReason.HOST_NOT_FOUND}, [], ["hosts_missing"]),
        ({"a.example": FetchReason.CERTIFICATE}, ["cdn.example"], ["hosts_certificate", "hosts_pictures_elsewhere"]),
    ],
)
def test_hosts_are_judged(
    problems: dict[str, FetchReason], pictures: list[str], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "problem_of", lambda host, policy: problems.get(host))
    found = MailHosts(links=frozenset({"a.example", "www.example.org"}), pictures=frozenset(pictures))
    assert [each.code for each in check_hosts(found, "example.org", NOWHERE)] == expected


@pytest.mark.parametrize(
    ("host", "problem", "code"),
    [
        ("127.0.0.1", None, "unsubscribe_local"),
        ("news.example.org", FetchReason.HOST_NOT_FOUND, "unsubscribe_missing"),
        ("news.example.org", FetchReason.CERTIFICATE, "unsubscribe_certificate"),
        ("news.example.org", FetchReason.TIMEOUT, "unsubscribe_unreachable"),
        ("news.example.com", None, "unsubscribe_elsewhere"),
        ("news.example.org", None, "unsubscribe_ok"),
    ],
)
def test_the_host_of_unsubscribe_links_is_judged(
    host: str, problem: FetchReason | None, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "problem_of", lambda host, policy: problem)
    assert [each.code for each in check_unsubscribe_host(host, "example.org", NOWHERE)] == [code]


# The MTA-STS policy over https


@pytest.mark.parametrize(
    ("status", "content_type", "body", "code"),
    [
        (200, "text/plain", b"version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 86400\n", "mta_sts_ok"),
        (200, "text/plain", b"version: STSv2\n", "mta_sts_policy"),
        (200, "text/html", b"<html>", "mta_sts_status"),
        (404, "text/plain", b"", "mta_sts_status"),
    ],
)
def test_the_fetched_policy_is_judged(
    status: int, content_type: str, body: bytes, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []

    def fetch(url: str, *args: object, **more: object) -> Fetched:
        fetched.append(url)
        return Fetched(status=status, url=url, hops=(), headers={"content-type": content_type}, body=body)

    monkeypatch.setattr(transport, "fetch", fetch)
    dns = FakeDns({f"TXT _mta-sts.{DOMAIN}": ["v=STSv1; id=1"]})
    assert [each.code for each in check_mta_sts(DOMAIN, dns, NOWHERE)] == [code]
    assert fetched == [f"https://mta-sts.{DOMAIN}/.well-known/mta-sts.txt"]


def test_an_error_of_the_dns_names_the_question() -> None:
    error = DnsFailed("a.example", "TXT", "Timeout")
    assert (error.permanent, error.retryable, str(error)) == (False, True, "TXT a.example: Timeout")
