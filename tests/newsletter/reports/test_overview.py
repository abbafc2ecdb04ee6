"""The rates of the first page: of the last five issues beside the five before, and of complaints in thirty days."""

from __future__ import annotations

import datetime

import pytest
from django.utils import timezone

from newsletter.models import Newsletter, Send, SendCount, SendState
from newsletter.models.rates import rate_base
from newsletter.reports.overview import recent_rates
from tests.publications import make_issue, make_newsletter, start_sending

pytestmark = pytest.mark.django_db


def sent(number: int, days_ago: int, **counts: int) -> Send:
    """A finished send with these counters: accepted, reached, clicked, complained, and complained_only."""
    at = timezone.now() - datetime.timedelta(days=days_ago)
    send = start_sending(make_issue(f"issue-{number}"))
    Send.objects.filter(pk=send.pk).update(started_at=at, expanded_at=at)
    send.refresh_from_db()
    send.move(SendState.SENT, by="tests", finished_at=at)
    count(send, **counts)
    return send


def count(send: Send, **counts: int) -> None:
    names = {
        "accepted": ["state.accepted"],
        "reached": ["place.reached", "event.delivered"],
        "clicked": ["event.clicked"],
        "complained": ["event.complained"],
        "complained_only": ["event.complained", "place.complained"],
    }
    for name, value in counts.items():
        for each in names[name]:
            SendCount.objects.create(send=send, name=each, value=value)


def test_before_anything_is_sent_there_are_no_rates() -> None:
    rates = recent_rates(timezone.now())
    assert rates.engagement.value is rates.complaints.value is None
    assert not rates.engagement.course


def test_the_last_five_issues_are_compared_with_the_five_before() -> None:
    for number in range(5):
        sent(number, 100 - number, accepted=100, reached=100, clicked=10)
    for number in range(5, 10):
        sent(number, 100 - number, accepted=100, reached=100, clicked=20)
    rates = recent_rates(timezone.now())
    assert rates.are_clicks_measured
    assert rates.engagement.value == pytest.approx(0.2)
    assert rates.engagement.change == pytest.approx(0.1)
    assert rates.engagement.course == pytest.approx([0.1] * 5 + [0.2] * 5)


def test_a_large_issue_counts_more_than_a_small_one() -> None:
    sent(1, 2, accepted=900, reached=900, clicked=90)
    sent(2, 1, accepted=100, reached=100, clicked=60)
    assert recent_rates(timezone.now()).engagement.value == pytest.approx(0.15)


def test_where_clicks_are_not_measured_the_rate_is_that_of_delivered_mails() -> None:
    sent(1, 1, accepted=200, reached=190)
    rates = recent_rates(timezone.now())
    assert not rates.are_clicks_measured
    assert rates.engagement.value == pytest.approx(0.95)
    assert rates.engagement.change is None


def test_with_consent_to_tracking_no_click_is_a_rate_of_zero() -> None:
    make_newsletter()
    Newsletter.objects.update(consent_mode="consent")
    sent(1, 1, accepted=200, reached=190)
    rates = recent_rates(timezone.now())
    assert rates.are_clicks_measured
    assert rates.engagement.value == 0


def test_complaints_of_thirty_days_count_also_of_a_send_that_is_running() -> None:
    sent(1, 31, accepted=100, reached=100, complained=50)
    sent(2, 29, accepted=1_000, reached=900, complained=1)
    running = start_sending(make_issue("issue-3"))
    count(running, reached=100, complained=1)
    assert recent_rates(timezone.now()).complaints.value == pytest.approx(0.002)


def test_the_rates_are_shares_of_the_mails_that_the_report_calls_delivered() -> None:
    """A complaint proves that the mail arrived, also without another event."""
    sent(1, 1, accepted=1_000, reached=780, complained_only=20)
    send = Send.objects.get()
    totals = SendCount.objects.totals([send.pk])[send.pk]
    rates = recent_rates(timezone.now())
    assert rates.complaints.value == pytest.approx(20 / 800) == pytest.approx(20 / rate_base(totals).count)
    assert rates.engagement.value == pytest.approx(800 / 1_000)


def test_a_provider_that_reports_no_deliveries_has_rates_of_accepted_mails() -> None:
    make_newsletter()
    Newsletter.objects.update(consent_mode="consent")
    sent(1, 1, accepted=200, clicked=30)
    assert recent_rates(timezone.now()).engagement.value == pytest.approx(0.15)
