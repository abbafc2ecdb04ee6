"""The page about deliverability: who may see and change what, and what each part says."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from newsletter.admin.charts import HEIGHT, line_chart
from newsletter.admin.deliverability import percent
from newsletter.deliverability.check import Asked, refresh
from newsletter.deliverability.dmarc_reports import store_file
from newsletter.deliverability.rates import MIN_SAMPLE, complaints, domain_rates
from newsletter.models import (
    Batch,
    BatchState,
    Delivery,
    DmarcReport,
    DomainCheck,
    Issue,
    PostmasterDay,
    PostmasterReading,
    ReportMail,
    ReportMailState,
    SpamRateAcknowledgement,
)
from newsletter.outbound import FetchPolicy
from subscribers.models import Subscriber
from tests import people
from tests.newsletter.admin.pages import words_on
from tests.newsletter.deliverability.dns import DOMAIN, complete
from tests.newsletter.deliverability.reports import record, report
from tests.publications import expand_audiences, make_newsletter, start_sending

pytestmark = pytest.mark.django_db

PAGE = "/admin/deliverability/"


@pytest.fixture
def dora(signed_in: Callable[[str], Client]) -> Client:
    """She may see the page, and change nothing."""
    make_newsletter()
    client = signed_in("dora")
    User.objects.get(username="dora").user_permissions.add(Permission.objects.get(codename="view_deliverability"))
    return client


@pytest.fixture
def max_(signed_in: Callable[[str], Client]) -> Client:
    """He may also upload, check and acknowledge."""
    make_newsletter()
    client = signed_in("max")
    names = ("view_deliverability", "change_deliverability")
    User.objects.get(username="max").user_permissions.set(Permission.objects.filter(codename__in=names))
    return client


def report_spam(rate: float, days: int = 1) -> None:
    day = timezone.now().astimezone(datetime.UTC).date() - datetime.timedelta(days=days)
    PostmasterDay.objects.update_or_create(domain=DOMAIN, day=day, defaults={"spam_rate": rate})


def file_of(content: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile("report.xml", content)


# Who may


def test_the_page_is_closed_without_its_permission(signed_in: Callable[[str], Client], dora: Client) -> None:
    assert signed_in("norm").get(PAGE).status_code == 403
    assert "/login/" in Client().get(PAGE)["Location"]
    assert dora.get(PAGE).status_code == 200
    assert reverse("deliverability") == PAGE


@pytest.mark.parametrize("action", ["upload", "check", "acknowledge"])
def test_who_may_only_see_it_changes_nothing(dora: Client, action: str) -> None:
    report_spam(0.005)
    fields = {"action": action, "reason": "why", "report": file_of(report())}
    assert dora.post(PAGE, fields).status_code == 403
    words = words_on(dora.get(PAGE))
    assert "Check now" not in words
    assert "Add report" not in words
    assert "Acknowledge spam rate" not in words
    for model in (DmarcReport, DomainCheck, SpamRateAcknowledgement):
        assert not model._default_manager.exists()


def test_the_navigation_leads_to_it(dora: Client, edda: Client) -> None:
    assert PAGE in dora.get("/admin/").content.decode()
    assert PAGE in edda.get("/admin/growth/").content.decode()


# What it says


def test_with_nothing_known_it_says_what_to_do(dora: Client) -> None:
    words = words_on(dora.get(PAGE))
    assert "not checked yet" in words
    assert "Connect Google Postmaster Tools" in words
    assert "pip install 'newsletter[deliverability]'" in words
    assert "There are no DMARC reports." in words
    assert "Nothing was sent in this time." in words


def test_without_a_newsletter_the_page_opens(edda: Client) -> None:
    assert "Deliverability" in words_on(edda.get(PAGE))


def test_the_chart_has_its_result_in_words_and_as_a_table(dora: Client) -> None:
    report_spam(0.0008, days=5)
    report_spam(0.0003, days=2)
    page = dora.get(PAGE).content.decode()
    assert 'role="img"' in page
    assert "the highest was 0.08%" in page
    words = words_on(dora.get(PAGE))
    assert "Show as table" in words
    assert "0.03%" in words
    assert "style=" not in page


def test_a_failed_reading_says_why_and_when_it_is_tried_again(dora: Client, settings: Settings) -> None:
    settings.POSTMASTER_CREDENTIALS = "{}"
    PostmasterReading.objects.create(domain=DOMAIN, code="not_allowed", next_at=timezone.now())
    words = words_on(dora.get(PAGE))
    assert "Google does not allow this account to read the domain." in words
    assert "Next attempt:" in words


def test_low_volume_is_told_apart_from_no_connection(dora: Client, settings: Settings) -> None:
    settings.POSTMASTER_CREDENTIALS = "{}"
    words = words_on(dora.get(PAGE))
    assert "Gmail shows no rate below its minimum volume" in words
    assert "Connect Google Postmaster Tools" not in words


def test_findings_have_a_sentence_and_the_record_to_publish(dora: Client) -> None:
    dns = complete(**{"TXT _dmarc.example.org": ["v=DMARC1; p=none; pct=50; rua=mailto:d@example.org"]})
    policy = FetchPolicy(user_agent="tests", resolver=lambda host, port: ["127.0.0.1"])
    refresh(DomainCheck.objects.create(domain=DOMAIN), Asked(lookup=dns, policy=policy), timezone.now())
    answer = dora.get(PAGE)
    words, page = words_on(answer), answer.content.decode()
    assert "The policy is “none”" in words
    assert "TXT record of _dmarc.example.org" in words
    assert 'value="v=DMARC1; p=quarantine; pct=50; rua=mailto:d@example.org"' in page
    assert 'value="v=DMARC1; p=none; rua=mailto:d@example.org"' in page


def test_what_a_name_server_sends_is_shown_as_text(dora: Client) -> None:
    dns = complete(**{"TXT _dmarc.example.org": ["v=DMARC1; p=<script>alert(1)</script>"]})
    policy = FetchPolicy(user_agent="tests", resolver=lambda host, port: ["127.0.0.1"])
    refresh(DomainCheck.objects.create(domain=DOMAIN), Asked(lookup=dns, policy=policy), timezone.now())
    page = dora.get(PAGE).content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


def test_each_sender_has_its_own_tab_and_another_domain_is_not_asked_for(dora: Client) -> None:
    make_newsletter("tides", name="Tides", sender_email="tides@tides.example")
    words = words_on(dora.get(PAGE))
    assert "tides.example" in words
    assert "Who sends as tides.example" in words_on(dora.get(f"{PAGE}?domain=tides.example"))
    assert "evil" not in words_on(dora.get(f"{PAGE}?domain=evil.example"))


# Uploads


def test_an_uploaded_report_is_stored_once(max_: Client) -> None:
    first = max_.post(PAGE, {"action": "upload", "report": file_of(report(record(count=7)))}, follow=True)
    assert "1 report added." in words_on(first)
    assert DmarcReport.objects.get().by == "max"
    again = max_.post(PAGE, {"action": "upload", "report": file_of(report(record(count=7)))}, follow=True)
    assert "This report is known already." in words_on(again)
    assert DmarcReport.objects.count() == 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"hello", "This is neither XML nor"),
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><feedback/>", "declares a document type or entities"),
        (report(domain="other.example"), "no newsletter sends from it"),
    ],
)
def test_a_refused_file_says_why_at_the_field(max_: Client, content: bytes, sentence: str) -> None:
    answer = max_.post(PAGE, {"action": "upload", "report": file_of(content)})
    assert answer.status_code == 400
    page = answer.content.decode()
    assert sentence in words_on(answer)
    assert "<title>Error:" in page.replace("\n", "")
    assert 'aria-invalid="true"' in page


def test_an_upload_without_a_file_is_refused(max_: Client) -> None:
    assert "Choose a file." in words_on(max_.post(PAGE, {"action": "upload"}))
    assert max_.post(PAGE, {"action": "other"}).status_code == 400


def refuse_a_mail(code: str = "other_domain", **values: object) -> ReportMail:
    now = timezone.now()
    return ReportMail.objects.create(
        provider="resend",
        mail_id="a-mail",
        sender_domain="harbour.example",
        received_at=now,
        state=ReportMailState.REFUSED,
        code=code,
        values=values,
        finished_at=now,
    )


def test_refused_mails_are_listed_with_their_reason_while_the_address_is_set(max_: Client, settings: Settings) -> None:
    refuse_a_mail(domain="<b>other.example</b>")
    assert "DMARC reports by mail" not in words_on(max_.get(PAGE))
    settings.DMARC_REPORT_ADDRESS = "dmarc@reports.example.org"
    response = max_.get(PAGE)
    words = words_on(response)
    assert "dmarc@reports.example.org" in words
    assert "The report is about <b>other.example</b>, and no newsletter sends from it." in words
    assert "<b>other" not in response.content.decode()
    assert "Fetch again" in words


def test_a_refused_mail_is_fetched_again_once(max_: Client, settings: Settings) -> None:
    settings.DMARC_REPORT_ADDRESS = "dmarc@reports.example.org"
    mail = refuse_a_mail("inbound_gone", detail="404")
    assert max_.post(PAGE, {"action": "fetch", "mail": mail.pk}).status_code == 302
    mail.refresh_from_db()
    assert (mail.state, mail.attempts, mail.finished_at) == (ReportMailState.WAITING, 0, None)
    for wrong in (str(mail.pk), "9" * 30, "x", ""):
        assert max_.post(PAGE, {"action": "fetch", "mail": wrong}).status_code == 400


def test_the_page_says_that_mails_cannot_be_read_without_a_key(dora: Client, settings: Settings) -> None:
    settings.DMARC_REPORT_ADDRESS = "dmarc@reports.example.org"
    assert "No mail waits" in words_on(dora.get(PAGE))
    refuse_a_mail("inbound_gone")
    settings.PROVIDER_READ_KEY = ""
    words = words_on(dora.get(PAGE))
    assert "set RESEND_READ_KEY" in words
    assert "Fetch again" not in words


def test_unknown_senders_come_first_on_the_page(dora: Client) -> None:
    rows = (record("192.0.2.1", 500), record("203.0.113.9", 5, spf="fail", dkim="fail"))
    store_file(report(*rows), by="edda")
    words = words_on(dora.get(PAGE))
    assert words.index("203.0.113.9") < words.index("bounce.mail.example.org")
    assert "5 of 505 mails not aligned" in words
    assert "99.0%" in words


# Checks and acknowledgements


def test_a_check_is_requested_from_the_worker(max_: Client) -> None:
    words = words_on(max_.post(PAGE, {"action": "check"}, follow=True))
    assert "The worker checks the domains within a minute." in words
    assert "a check is requested" in words
    assert DomainCheck.objects.get(domain=DOMAIN).is_requested


def test_a_spam_rate_is_acknowledged_with_a_reason(max_: Client) -> None:
    report_spam(0.005)
    assert "No send of this domain starts" in words_on(max_.get(PAGE))
    refused = max_.post(PAGE, {"action": "acknowledge", "reason": " "})
    assert refused.status_code == 400
    assert "Say why mails may be sent" in words_on(refused)
    done = max_.post(PAGE, {"action": "acknowledge", "reason": "A mistake of\nlast week."}, follow=True)
    assert "The spam rate is acknowledged." in words_on(done)
    row = SpamRateAcknowledgement.objects.get()
    assert (row.domain, row.rate, row.by, row.text) == (DOMAIN, 0.005, "max", "A mistake of last week.")
    assert "No send of this domain starts" not in words_on(max_.get(PAGE))
    max_.post(PAGE, {"action": "acknowledge", "reason": "Again."})
    assert SpamRateAcknowledgement.objects.count() == 1


# Rates by mailbox provider


def test_rates_are_counted_by_domain_from_the_last_sends(issue: Issue, dora: Client) -> None:
    people.make_subscriptions(MIN_SAMPLE + 20, issue.newsletter)
    for pk in Subscriber.objects.order_by("pk").values_list("pk", flat=True)[:20]:
        Subscriber.objects.filter(pk=pk).update(canonical=f"reader-{pk}@gmail.example")
    start_sending(issue)
    expand_audiences()
    now = timezone.now()
    Delivery.objects.update(state="accepted", delivered_at=now)
    Batch.objects.update(state=BatchState.ACCEPTED, recipients=60)
    last = Delivery.objects.order_by("-pk")[0].pk
    Delivery.objects.filter(pk=last).update(complained_at=now)
    rates = domain_rates(now - datetime.timedelta(days=1))
    assert [(rate.domain, rate.accepted, rate.complained) for rate in rates] == [
        ("example.org", MIN_SAMPLE, 1),
        ("gmail.example", 20, 0),
    ]
    assert (rates[0].complaint_rate, rates[0].share(rates[0].delivered)) == (0.01, 1.0)
    assert complaints(now - datetime.timedelta(days=1)) == (1, 60 * Batch.objects.count())
    words = words_on(dora.get(PAGE))
    assert "Above 0.30%" in words
    assert "Too few mails" in words
    assert domain_rates(now + datetime.timedelta(days=1)) == []


@pytest.mark.parametrize(
    ("fraction", "words"), [(0, "0%"), (0.0003, "0.03%"), (0.118, "11.8%"), (0.992, "99.2%"), (1, "100%")]
)
def test_shares_have_one_decimal_and_two_below_1_percent(fraction: float, words: str) -> None:
    assert percent(fraction) == words


def test_a_chart_begins_at_0_interrupts_its_line_and_includes_the_limit() -> None:
    first = datetime.date(2026, 11, 1)
    days = [first + datetime.timedelta(days=number) for number in (0, 1, 5, 9, 10)]
    values = dict(zip(days, (0.0, 0.0003, 0.0009, 0.0001, 0.0002), strict=True))
    chart = line_chart(values, first, first + datetime.timedelta(days=10), limit=0.001)
    assert chart.ticks == (0.0012, 0.0009, 0.0006, 0.0003, 0.0)
    assert chart.segments[0].startswith(f"0.0,{HEIGHT}.0 100.0,")
    assert (len(chart.segments), len(chart.dots)) == (2, 1)
    assert float(chart.limit_y) == pytest.approx(HEIGHT / 6, abs=0.1)
    assert (chart.days[0], chart.days[-1]) == (first, first + datetime.timedelta(days=10))
