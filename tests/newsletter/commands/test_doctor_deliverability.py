"""`doctor --deliverability`: asks the DNS now, prints what to do, and keeps the findings for the page."""

from __future__ import annotations

import json

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from newsletter.deliverability import hosts
from newsletter.deliverability.check import Asked
from newsletter.models import DomainCheck
from newsletter.monitoring import deliverability_diagnostics
from newsletter.monitoring.diagnostics import diagnostics
from newsletter.outbound import FetchPolicy
from tests.newsletter.deliverability.dns import DOMAIN, FakeDns, complete
from tests.publications import make_newsletter

pytestmark = pytest.mark.django_db


@pytest.fixture
def dns(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> FakeDns:
    make_newsletter()
    settings.PROVIDER, settings.SITE_HOST = "resend", "news.example.org"
    answers = complete()
    asked = Asked(lookup=answers, policy=FetchPolicy(user_agent="tests", resolver=lambda host, port: ["127.0.0.1"]))
    monkeypatch.setattr(deliverability_diagnostics, "on_the_internet", lambda: asked)
    monkeypatch.setattr(hosts, "problem_of", lambda host, policy: None)
    return answers


def test_a_complete_domain_is_fine_and_the_findings_are_kept(dns: FakeDns, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("doctor", "--deliverability")
    lines = capsys.readouterr().out
    assert f"OK       {DOMAIN}, SPF: send.{DOMAIN} has a valid SPF record. It uses 1 of 10 lookups." in lines
    assert "Error" not in lines
    assert len(DomainCheck.objects.get(domain=DOMAIN).findings) == 9


def test_an_error_comes_first_with_what_to_do_and_ends_with_1(dns: FakeDns, capsys: pytest.CaptureFixture[str]) -> None:
    dns.records[f"TXT resend._domainkey.{DOMAIN}"] = []
    with pytest.raises(CommandError) as caught:
        call_command("doctor", "--deliverability", "--json")
    assert caught.value.returncode == 1
    first = json.loads(capsys.readouterr().out)[0]
    assert (first["name"], first["severity"]) == ("dkim_missing", "error")
    assert first["advice"].startswith("Publish the DKIM record")


def test_errors_of_the_last_check_are_among_the_diagnostics_of_the_database(dns: FakeDns) -> None:
    dns.records["TXT _dmarc.example.org"] = []
    with pytest.raises(CommandError):
        call_command("doctor", "--deliverability")
    dns.asked.clear()
    found = {diagnostic.name: diagnostic for diagnostic in diagnostics()}
    assert f"{DOMAIN}, DMARC: There is no DMARC record" in found["dmarc_missing"].sentence
    assert "spf_ok" not in found
    assert dns.asked == []
