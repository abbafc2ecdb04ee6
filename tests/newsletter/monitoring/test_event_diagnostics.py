"""What the doctor says of the webhook endpoint, of the log of events, and of events that were not used."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.utils import timezone

from newsletter.events.endpoint import check_endpoint
from newsletter.models import Event, EventLogReading, EventState, EventTally
from newsletter.monitoring.diagnostic import Diagnostic, Severity
from newsletter.monitoring.doctor import run_diagnostics
from newsletter.monitoring.event_diagnostics import MOST_COUNTED, endpoint_diagnostics, unused_diagnostics
from newsletter.providers.event_log import WebhookEndpoint
from newsletter.sandbox import SandboxServer
from tests.newsletter.events.logs import WrittenLog, endpoint
from tests.newsletter.sending.conftest import sandbox
from tests.sandboxes import provider_of

pytestmark = pytest.mark.django_db

__all__ = ["sandbox"]


@pytest.fixture(autouse=True)
def _resend(settings: Any) -> None:
    settings.PROVIDER = "resend"
    settings.PROVIDER_READ_KEY = "re_read"
    settings.SITE_URL = "https://notes.example"


def after_asking(*endpoints: WebhookEndpoint) -> list[Diagnostic]:
    check_endpoint("resend", WrittenLog(endpoints=list(endpoints)))
    return list(endpoint_diagnostics(timezone.now()))


def test_an_endpoint_as_it_should_be_is_not_mentioned() -> None:
    assert after_asking(endpoint()) == []


def test_a_disabled_endpoint_is_an_error_and_the_advice_says_how_to_mend_it() -> None:
    (found,) = after_asking(endpoint(is_enabled=False))
    assert found.severity is Severity.ERROR
    assert (
        found.sentence
        == "resend has disabled the webhook endpoint https://notes.example/webhooks/resend/: no events arrive."
    )
    assert "enable the endpoint on the provider's webhook page" in found.advice


def test_an_endpoint_of_another_site_is_an_error() -> None:
    (found,) = after_asking(endpoint(url="https://old.example/webhooks/resend/"))
    assert found.severity is Severity.ERROR
    assert "leads to https://notes.example/webhooks/resend/: no events arrive" in found.sentence
    assert "change the URL of its endpoint" in found.advice


def test_an_endpoint_that_would_redirect_is_a_warning() -> None:
    (found,) = after_asking(endpoint(url="https://notes.example/webhooks/resend"))
    assert (found.severity, "It should be https://notes.example/webhooks/resend/." in found.sentence) == (
        Severity.WARNING,
        True,
    )


def test_kinds_that_the_endpoint_lacks_are_an_error() -> None:
    (found,) = after_asking(endpoint(kinds=frozenset({"email.delivered", "email.bounced", "email.failed"})))
    assert found.severity is Severity.ERROR
    assert "email.complained, email.delivery_delayed, email.suppressed" in found.sentence


def test_events_that_were_missed_within_a_day_are_a_warning() -> None:
    now = timezone.now()
    known = {"endpoint_id": "w1", "endpoint_url": endpoint().url}
    EventLogReading.objects.create(provider="resend", found=3, found_at=now, **known)
    (found,) = endpoint_diagnostics(now)
    assert found.sentence.startswith("3 events did not arrive by webhook. They were taken from the log of resend at ")
    assert list(endpoint_diagnostics(now + datetime.timedelta(hours=25))) == []


def test_a_log_that_has_not_been_read_for_hours_is_a_warning_with_the_reason() -> None:
    now = timezone.now()
    row = EventLogReading.objects.create(provider="resend", code="event_log_refused", failed_at=now)
    (found,) = endpoint_diagnostics(now)
    assert "full access" in found.sentence
    EventLogReading.objects.filter(pk=row.pk).update(finished_at=now - datetime.timedelta(hours=1))
    assert list(endpoint_diagnostics(now)) == []


def test_a_reading_under_way_says_how_far_it_is() -> None:
    now = timezone.now()
    EventLogReading.objects.create(
        provider="resend",
        endpoint_id="w1",
        endpoint_url=endpoint().url,
        started_at=now - datetime.timedelta(minutes=3),
        events_stored=12,
    )
    (found,) = endpoint_diagnostics(now)
    assert found.severity is Severity.OK
    assert "Missing events so far: 12." in found.sentence


def make_events(reason: str, count: int, **fields: Any) -> None:
    made = {"provider": "resend", "kind": "?", "body": "{}", "state": EventState.IGNORED, "reason": reason, **fields}
    Event.objects.bulk_create(Event(event_id=f"{reason}-{number}", **made) for number in range(count))
    EventTally.objects.add({(EventState.IGNORED, reason): count})


def test_events_that_could_not_be_used_are_counted_by_reason() -> None:
    make_events("event_unreadable", 2)
    make_events("event_refused", 1)
    make_events("other_installation", 5)
    faulty = [each for each in unused_diagnostics(timezone.now()) if each.severity is Severity.WARNING]
    assert [each.sentence.split(" was")[0].split(" were")[0] for each in faulty] == [
        "2 events of the last 3 days",
        "1 event of the last 3 days",
    ]
    (total,) = [each for each in unused_diagnostics(timezone.now()) if each.name == "unused_events"]
    assert total.severity is Severity.OK
    assert "5: It belongs to another installation" in total.sentence


def test_old_faults_are_no_warning_and_many_are_not_read() -> None:
    make_events("event_unreadable", 3, received_at=timezone.now() - datetime.timedelta(days=30))
    make_events("event_refused", MOST_COUNTED + 5)
    faulty = [each for each in unused_diagnostics(timezone.now()) if each.severity is Severity.WARNING]
    assert [each.sentence.split()[0] for each in faulty] == ["1,000"]


def test_the_doctor_asks_the_provider_itself(
    sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.PROVIDER_READ_KEY = "re_sandbox"
    provider_of(sandbox, monkeypatch)
    sandbox.configure(webhook_url="https://notes.example/webhooks/resend/")
    sandbox.team.endpoint.switch(is_enabled=False, now=0.0)
    (found,) = [each for each in run_diagnostics() if each.name == "webhook_endpoint"]
    assert "disabled" in found.sentence
    settings.PROVIDER_READ_KEY = "re_sandbox_sending"
    provider_of(sandbox, monkeypatch)
    refused = [each for each in run_diagnostics() if each.name == "webhook_endpoint"]
    assert any("full access" in each.sentence for each in refused)
    settings.PROVIDER_READ_KEY = ""
    provider_of(sandbox, monkeypatch)
    (hint,) = [each for each in run_diagnostics() if each.name == "event_log"]
    assert "RESEND_READ_KEY" in hint.advice
