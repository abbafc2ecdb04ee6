"""Gmail's Postmaster Tools: what is asked, what is kept, and every answer that is not one."""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from newsletter.deliverability import postmaster
from newsletter.deliverability.postmaster import (
    last_compliance,
    parse_compliance,
    parse_stat,
    read_next_domain,
    store_days,
)
from newsletter.models import PostmasterDay, PostmasterReading
from newsletter.monitoring.deliverability_diagnostics import postmaster_diagnostics
from newsletter.outbound.google import SCOPE, GoogleError, GoogleReason, PostmasterTools, google_message
from subscribers.privacy.retention import purge_expired
from tests.newsletter.deliverability.google_server import TOKEN, Answer, GoogleServer, claims_of, google_running
from tests.publications import make_newsletter

pytestmark = pytest.mark.django_db

DOMAIN = "mail.example.org"
SECRET = "a-secret-that-is-shown-nowhere"
REFRESH = json.dumps({"client_id": "id", "client_secret": SECRET, "refresh_token": f"1//{SECRET}"})


@pytest.fixture
def google(settings: Settings) -> Iterator[GoogleServer]:
    make_newsletter()
    settings.POSTMASTER_CREDENTIALS = REFRESH
    with google_running() as server:
        yield server


def today() -> datetime.date:
    return timezone.now().astimezone(datetime.UTC).date()


def ago(days: int) -> datetime.date:
    return today() - datetime.timedelta(days=days)


def stat(day: datetime.date, metric: str, rate: Any, kind: str = "doubleValue") -> dict[str, Any]:
    date = {"year": day.year, "month": day.month, "day": day.day}
    return {"metric": metric, "date": date, "value": {kind: rate}}


def rate_on(day: datetime.date) -> float | None:
    return PostmasterDay.objects.get(domain=DOMAIN, day=day).spam_rate


def reading() -> PostmasterReading:
    return PostmasterReading.objects.get(domain=DOMAIN)


COMPLIANCE = {
    "complianceData": {
        "rowData": [
            {"requirement": "DMARC_ALIGNMENT", "status": {"status": "COMPLIANT"}},
            {"requirement": "USER_REPORTED_SPAM_RATE", "status": {"status": "NEEDS_WORK"}},
            {"requirement": "ENCRYPTION", "status": {"status": "STATE_UNSPECIFIED"}},
        ],
        "oneClickUnsubscribeVerdict": {"status": {"status": "COMPLIANT"}},
        "honorUnsubscribeVerdict": {"status": {"status": "NEEDS_WORK"}, "reason": "NOT_HONORING"},
    }
}


def test_rates_and_compliance_are_kept_by_domain_and_day(google: GoogleServer) -> None:
    first = Answer(content={"domainStats": [stat(ago(3), "spam_rate", 0.0012)], "nextPageToken": "more"})
    second = [stat(ago(2), "spam_rate", 0.0004, "floatValue"), stat(ago(2), "dkim_rate", 1)]
    google.stats = [first, Answer(content={"domainStats": second})]
    google.compliance = Answer(content=COMPLIANCE)
    assert read_next_domain(google.hosts)
    assert (rate_on(ago(3)), rate_on(ago(2))) == (0.0012, 0.0004)
    assert PostmasterDay.objects.get(day=ago(2)).dkim_rate == 1.0
    assert last_compliance([DOMAIN]) == PostmasterDay.objects.get(day=today())
    assert PostmasterDay.objects.get(day=today()).compliance == {
        "DMARC_ALIGNMENT": "COMPLIANT",
        "USER_REPORTED_SPAM_RATE": "NEEDS_WORK",
        "ONE_CLICK_UNSUBSCRIBE": "COMPLIANT",
        "HONOR_UNSUBSCRIBE": "NEEDS_WORK",
    }
    assert not read_next_domain(google.hosts)
    assert reading().code == ""


def test_the_request_is_the_one_that_the_api_describes(google: GoogleServer) -> None:
    read_next_domain(google.hosts)
    query = google.queries[0]
    assert google.paths[1] == f"POST /v2/domains/{DOMAIN}/domainStats:query"
    assert google.paths[2] == f"GET /v2/domains/{DOMAIN}/complianceStatus"
    assert query["parent"] == f"domains/{DOMAIN}"
    assert query["metricDefinitions"][0] == {"name": "spam_rate", "baseMetric": {"standardMetric": "SPAM_RATE"}}
    assert query["metricDefinitions"][1]["filter"] == 'auth_type = "spf"'
    span = query["timeQuery"]["dateRanges"]["dateRanges"][0]
    assert datetime.date(**span["start"]) == ago(postmaster.FIRST_DAYS)
    assert datetime.date(**span["end"]) == today()
    assert set(google.tokens) == {f"Bearer {TOKEN}"}
    assert google.forms[0]["grant_type"] == ["refresh_token"]


def test_a_service_account_signs_its_assertion(google: GoogleServer, settings: Settings) -> None:
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa", reason="cryptography is not installed")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    account = {"client_email": "post@p.iam.example", "private_key": pem, "token_uri": "http://169.254.169.254/"}
    settings.POSTMASTER_CREDENTIALS = json.dumps(account)
    assert read_next_domain(google.hosts)
    assertion = google.forms[0]["assertion"][0]
    claims = claims_of(assertion)
    assert (claims["iss"], claims["scope"], claims["aud"]) == ("post@p.iam.example", SCOPE, google.hosts.token_url)
    assert 0 < claims["exp"] - claims["iat"] <= 3600
    signed, _dot, signature = assertion.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    key.public_key().verify(raw, signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    assert reading().code == ""


def test_without_the_package_it_says_how_to_install_it(
    google: GoogleServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("newsletter.outbound.google.importlib.import_module", missing)
    settings.POSTMASTER_CREDENTIALS = json.dumps({"client_email": "post@p.iam.example", "private_key": "x"})
    assert read_next_domain(google.hosts)
    assert reading().code == GoogleReason.NO_PACKAGE
    (diagnostic,) = postmaster_diagnostics()
    assert "newsletter[deliverability]" in diagnostic.sentence


def test_a_key_that_cannot_be_read_is_an_error_that_does_not_show_it(google: GoogleServer, settings: Settings) -> None:
    pytest.importorskip("cryptography", reason="cryptography is not installed")
    settings.POSTMASTER_CREDENTIALS = json.dumps({"client_email": "a@b.example", "private_key": f"-----{SECRET}"})
    read_next_domain(google.hosts)
    assert reading().code == GoogleReason.INVALID_KEY
    assert SECRET not in reading().detail


@pytest.mark.parametrize(
    ("status", "reason", "is_permanent"),
    [
        (400, "request_refused", True),
        (401, "credentials_refused", True),
        (403, "not_allowed", True),
        (404, "not_registered", True),
        (429, "rate_limited", False),
        (500, "unavailable", False),
        (503, "unavailable", False),
        (302, "invalid_answer", False),
    ],
)
def test_each_refusal_has_a_code_a_sentence_and_a_next_attempt(
    google: GoogleServer, status: int, reason: str, is_permanent: bool
) -> None:
    google.stats = [Answer(status=status, content={"error": {"message": SECRET}}, headers={"Location": "/elsewhere"})]
    before = timezone.now()
    assert read_next_domain(google.hosts)
    row = reading()
    assert (row.code, row.failures, row.detail) == (reason, 1, str(status))
    assert (row.next_at - before > datetime.timedelta(hours=23)) is is_permanent
    assert not PostmasterDay.objects.exists()
    (diagnostic,) = postmaster_diagnostics()
    assert google_message(reason) in diagnostic.sentence
    assert "/elsewhere" not in google.paths


def test_failures_wait_longer_each_time_and_a_success_ends_them(google: GoogleServer) -> None:
    google.stats = [Answer(status=503)]
    waits = []
    for _attempt in range(9):
        PostmasterReading.objects.update(next_at=timezone.now())
        before = timezone.now()
        read_next_domain(google.hosts)
        waits.append(round((reading().next_at - before).total_seconds() / 60))
    assert waits == [15, 30, 60, 120, 240, 480, 960, 1440, 1440]
    google.stats = [Answer(content={})]
    PostmasterReading.objects.update(next_at=timezone.now())
    read_next_domain(google.hosts)
    assert (reading().failures, reading().code) == (0, "")
    assert list(postmaster_diagnostics()) == []


def test_google_may_ask_for_a_longer_wait(google: GoogleServer) -> None:
    google.stats = [Answer(status=429, headers={"Retry-After": "7200"})]
    before = timezone.now()
    read_next_domain(google.hosts)
    assert reading().next_at - before >= datetime.timedelta(hours=2)


@pytest.mark.parametrize("status", [400, 401])
def test_refused_credentials_are_told_apart_and_shown_nowhere(
    google: GoogleServer, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    google.token = Answer(status=status, content={"error": "invalid_grant", "error_description": SECRET})
    with caplog.at_level(logging.DEBUG):
        read_next_domain(google.hosts)
    assert reading().code == GoogleReason.CREDENTIALS_REFUSED
    assert SECRET not in caplog.text + reading().detail


@pytest.mark.parametrize(
    "content",
    [
        b"<html>",
        b"[]",
        b"\xff",
        {"domainStats": {}},
        {"domainStats": [7]},
        {"domainStats": [{"metric": "spam_rate"}]},
        {"domainStats": [{"metric": "spam_rate", "date": {"year": 2026, "month": 13, "day": 1}, "value": {}}]},
        {"domainStats": [], "nextPageToken": 7},
        {"domainStats": [], "nextPageToken": "again"},
    ],
)
def test_nonsense_is_an_error_and_nothing_is_kept(google: GoogleServer, content: object) -> None:
    google.stats = [Answer(content=content)]
    read_next_domain(google.hosts)
    assert reading().code == GoogleReason.INVALID_ANSWER
    assert not PostmasterDay.objects.exists()
    assert len(google.queries) <= postmaster.MAX_PAGES


@pytest.mark.parametrize("rate", [-0.1, 1.5, float("nan"), "x", [1]])
def test_a_rate_that_is_none_is_an_error(rate: object) -> None:
    with pytest.raises(GoogleError):
        parse_stat(stat(ago(1), "spam_rate", rate), ago(10), today())


def test_rows_of_other_days_and_metrics_and_without_a_value_are_left_out() -> None:
    span = (ago(10), today())
    assert parse_stat(stat(ago(11), "spam_rate", 0.1), *span) is None
    assert parse_stat(stat(ago(1), "other", 0.1), *span) is None
    assert parse_stat(stat(ago(1), "spam_rate", 1, "unknown"), *span) is None
    assert parse_stat(stat(ago(1), "spam_rate", 0), *span) == (ago(1), "spam_rate", 0.0)


@pytest.mark.parametrize("answer", [{"complianceData": 7}, {"complianceData": {"rowData": "x"}}])
def test_a_strange_compliance_status_is_an_error(answer: dict[str, Any]) -> None:
    with pytest.raises(GoogleError):
        parse_compliance(answer)


def test_the_status_of_the_subdomain_counts_before_that_of_the_domain_above() -> None:
    rows = [{"requirement": "SPF", "status": {"status": "NEEDS_WORK"}}]
    assert parse_compliance(COMPLIANCE | {"subdomainComplianceData": {"rowData": rows}}) == {"SPF": "NEEDS_WORK"}


NAMES = st.sampled_from(["metric", "date", "value", "rowData", "status"])
ANY_JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
)


@given(ANY_JSON)
def test_no_answer_causes_another_error(content: Any) -> None:
    for parse in (lambda: parse_stat(content, ago(10), today()), lambda: parse_compliance({"complianceData": content})):
        with contextlib.suppress(GoogleError):
            parse()


def test_corrected_days_replace_the_former_ones_and_keep_the_compliance_of_the_day(google: GoogleServer) -> None:
    now = timezone.now()
    store_days(DOMAIN, {today(): {"spam_rate": 0.001}}, {"SPF": "COMPLIANT"}, now)
    store_days(DOMAIN, {today(): {"spam_rate": 0.002}}, {}, now)
    row = PostmasterDay.objects.get()
    assert (row.spam_rate, row.compliance) == (0.002, {"SPF": "COMPLIANT"})


def test_the_domain_above_is_read_if_the_senders_is_not_registered(google: GoogleServer) -> None:
    google.stats = [Answer(status=404)]
    read_next_domain(google.hosts)
    google.stats = [Answer(content={"domainStats": [stat(ago(2), "spam_rate", 0.001)]})]
    assert read_next_domain(google.hosts)
    assert [row.domain for row in PostmasterDay.objects.all()] == ["example.org"]


def test_without_credentials_nothing_is_asked(google: GoogleServer, settings: Settings) -> None:
    settings.POSTMASTER_CREDENTIALS = ""
    assert not read_next_domain(google.hosts)
    assert google.paths == []


def test_a_server_that_does_not_answer_is_an_error(google: GoogleServer) -> None:
    google.stop()
    with pytest.raises(GoogleError) as caught:
        PostmasterTools(REFRESH, now=0, hosts=google.hosts).compliance(DOMAIN)
    assert (caught.value.reason, caught.value.retryable) == (GoogleReason.NO_ANSWER, True)


def test_days_are_removed_after_their_time(google: GoogleServer) -> None:
    for days in (10, 500):
        PostmasterDay.objects.create(domain=DOMAIN, day=ago(days), spam_rate=0.001)
    purge_expired()
    assert [row.day for row in PostmasterDay.objects.all()] == [ago(10)]
