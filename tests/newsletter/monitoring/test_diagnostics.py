"""Diagnostics that the admin shows: of the installation, and what blocks a send."""

from __future__ import annotations

import datetime

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation
from pytest_django import Settings

from newsletter.admin.pages import page_url
from newsletter.models import (
    Batch,
    BatchState,
    Issue,
    Newsletter,
    Occurrence,
    ProviderThrottle,
    Reason,
    RecurringSchedule,
    Send,
    SendState,
)
from newsletter.models.reasons import iso
from newsletter.monitoring import installation_diagnostics
from newsletter.monitoring.diagnostic import Severity
from newsletter.monitoring.diagnostics import blockers_of, diagnostics
from newsletter.monitoring.doctor import issue_diagnostics
from newsletter.monitoring.installation_diagnostics import search_diagnostics
from newsletter.monitoring.send_diagnostics import on_hold_diagnostics, paused_diagnostics, recurring_diagnostics
from newsletter.monitoring.status import as_lines
from newsletter.providers import get_route
from newsletter.sending.control import pause_send
from newsletter.sending.switch import stop_all_sending
from subscribers.addresses import parse_address
from subscribers.consent.double_opt_in import request_subscription
from subscribers.models import Evidence, TransactionalMail
from tests.newsletter.monitoring.conftest import a_worker, ago, refresh, set_batch
from tests.publications import make_issue, make_newsletter, schedule_send


def names(send: Send) -> list[str]:
    return [diagnostic.name for diagnostic in blockers_of(send)]


def test_a_send_that_makes_progress_has_no_blockers(send: Send) -> None:
    a_worker()
    assert names(send) == []
    assert "blocked" not in "\n".join(as_lines([send]))


def test_without_a_worker_the_report_and_the_status_say_so(send: Send, admin_client: Client) -> None:
    assert names(send) == ["worker"]
    assert "blocked: No worker is running" in "\n".join(as_lines([send]))
    page = admin_client.get(page_url(send.issue, "report")).content.decode()
    assert "<strong>Blocked:</strong> No worker is running" in page
    assert "manage.py worker" in page


def test_a_suspended_provider_blocks_a_send_and_the_sentence_has_its_reason(send: Send) -> None:
    a_worker()
    (provider,) = get_route()
    ProviderThrottle.objects.create(
        provider=provider.name, account=provider.account, suspended_at=timezone.now(), code="invalid_api_key"
    )
    (diagnostic,) = blockers_of(send)
    assert (diagnostic.name, diagnostic.severity) == ("throttle", Severity.ERROR)
    assert diagnostic.sentence == (
        "The provider resend refuses all mail of this account. The provider does not accept the API key."
    )


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({"hourly_limit": 4}, "The sending limit of Harbour Notes is used up: 4 mails per hour."),
        ({"hourly_limit": 1}, "The sending limit of Harbour Notes is used up: 1 mail per hour."),
        (
            {"is_warm_up": True},
            "The warm-up limit of Harbour Notes is used up: 150 mails on day 1 of 42.",
        ),
        (
            {"is_warm_up": True, "hourly_limit": 400},
            "The warm-up limit of Harbour Notes is used up: 150 mails on day 1 of 42.",
        ),
    ],
    ids=str,
)
def test_a_sending_limit_that_is_used_up_is_named(
    send: Send, batches: list[Batch], limits: dict[str, object], sentence: str
) -> None:
    limits = dict(limits)
    a_worker()
    if limits.pop("is_warm_up", False):
        limits["warm_up_since"] = timezone.now().date()
    Newsletter.objects.update(**limits, time_zone="UTC")
    attempted = {"first_attempt_at": ago(seconds=9), "finished_at": ago(seconds=9)}
    set_batch(batches[0], state=BatchState.ACCEPTED, recipients=150, **attempted)
    send = refresh(send)
    (diagnostic,) = blockers_of(send)
    assert (diagnostic.name, diagnostic.severity) == ("sending_limit", Severity.OK)
    assert diagnostic.sentence.startswith(f"{sentence} Sending continues at ")
    assert diagnostic.sentence in {found.sentence for found in issue_diagnostics(send.issue)}, "the doctor says it, too"


def test_a_paused_send_has_no_blockers_and_no_next_attempt(send: Send, batches: list[Batch]) -> None:
    set_batch(batches[0], attempts=2, reason="rate_limit_exceeded", not_before=ago(minutes=-4))
    assert "next attempt" in "\n".join(as_lines([send]))
    pause_send(send, by="Edda")
    assert names(send) == []
    assert "next attempt" not in "\n".join(as_lines([send]))


def test_a_pause_because_of_a_provider_outage_asks_for_no_action(send: Send) -> None:
    send.pause(Reason.PROVIDER_OUTAGE, values={"reasons": [["daily_quota_exceeded", {}]]})
    (diagnostic,) = paused_diagnostics()
    assert diagnostic.severity is Severity.WARNING
    assert diagnostic.sentence.startswith(
        "“Taller cranes” was paused by worker. No provider accepts mail. The daily quota"
    )
    assert diagnostic.advice.startswith("It resumes automatically")


@pytest.mark.parametrize(
    ("reason", "by", "severity"),
    [(Reason.OPERATOR, "Edda", Severity.WARNING), (Reason.ISSUE_REFUSED, "worker", Severity.ERROR)],
)
def test_a_paused_send_names_who_paused_it_and_why(send: Send, reason: Reason, by: str, severity: Severity) -> None:
    send.pause(reason, by=by, values={"text": "The domain is not verified."})
    (diagnostic,) = paused_diagnostics()
    assert diagnostic.severity is severity
    assert diagnostic.sentence == f"“Taller cranes” was paused by {by}. {reason.label} The domain is not verified."
    assert "resume it" in diagnostic.advice
    assert diagnostic.issue == send.issue


def test_a_send_that_is_on_hold_needs_a_decision(send: Send) -> None:
    values = {"due_at": iso(ago(hours=5)), "found_at": iso(ago(hours=1))}
    refresh(send, state=SendState.SCHEDULED, scheduled_at=ago(hours=5), hold_reason=Reason.OVERDUE, hold_values=values)
    (diagnostic,) = on_hold_diagnostics()
    assert diagnostic.severity is Severity.ERROR
    assert diagnostic.sentence.startswith("“Taller cranes” is on hold. The send was due on ")
    assert diagnostic.advice == "Decide on its schedule page."


def test_a_send_whose_start_is_retried_points_to_the_log(send: Send) -> None:
    values = {"hold_reason": Reason.START_FAILED, "hold_values": {"error": "KeyError"}, "retry_start_at": ago(hours=-1)}
    refresh(send, state=SendState.SCHEDULED, scheduled_at=ago(hours=5), **values)
    (diagnostic,) = on_hold_diagnostics()
    assert diagnostic.sentence.startswith("“Taller cranes” did not start. The start failed (KeyError);")
    assert "log" in diagnostic.advice


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("reason", "severity"),
    [(Reason.OCCURRENCE_MISSED, Severity.WARNING), (Reason.NOT_STARTED, Severity.ERROR)],
)
def test_an_issue_that_was_not_sent_when_it_was_due(reason: Reason, severity: Severity) -> None:
    make_issue()
    Issue.objects.update(hold_reason=reason, hold_values={"occurrence_at": iso(ago(hours=1))})
    (diagnostic,) = on_hold_diagnostics()
    assert diagnostic.severity is severity
    assert diagnostic.sentence.startswith("“Taller cranes” was not sent. The ")


def test_an_issue_with_a_send_is_reported_once(send: Send) -> None:
    Issue.objects.update(hold_reason=Reason.NOT_STARTED)
    assert list(on_hold_diagnostics()) == []


@pytest.fixture
def schedule(db: None) -> RecurringSchedule:
    return RecurringSchedule.objects.create(newsletter=make_newsletter(), weekday=1, time=datetime.time(7))


def test_a_recurring_schedule_that_cannot_be_planned(schedule: RecurringSchedule) -> None:
    RecurringSchedule.objects.update(problem=Reason.ZONE_UNKNOWN, problem_values={"zone": "Mars/Base"})
    (diagnostic,) = recurring_diagnostics(timezone.now())
    assert (diagnostic.name, diagnostic.severity) == ("recurring_schedule", Severity.ERROR)
    assert "of Harbour Notes is not planned. " in diagnostic.sentence
    assert "“Mars/Base”" in diagnostic.sentence


def test_an_occurrence_whose_start_fails(schedule: RecurringSchedule) -> None:
    Occurrence.objects.create(
        schedule=schedule,
        date=timezone.now().date(),
        starts_at=ago(minutes=2),
        retry_start_at=ago(minutes=-1),
        reason=Reason.OCCURRENCE_FAILED,
        values={"error": "KeyError"},
    )
    (diagnostic,) = recurring_diagnostics(timezone.now())
    assert diagnostic.severity is Severity.ERROR
    assert "did not start. The start failed (KeyError);" in diagnostic.sentence


def test_an_occurrence_without_an_approved_issue_is_a_warning_until_a_send_starts(
    schedule: RecurringSchedule,
) -> None:
    Occurrence.objects.create(
        schedule=schedule,
        date=timezone.now().date(),
        starts_at=ago(hours=2),
        finished_at=ago(hours=2),
        reason=Reason.NO_APPROVED_ISSUE,
    )
    (diagnostic,) = recurring_diagnostics(timezone.now())
    assert diagnostic.severity is Severity.WARNING
    assert diagnostic.sentence.endswith("has passed. No issue was approved, so nothing was sent.")


def test_the_manifest_is_never_read_for_diagnostics(send: Send) -> None:
    pause_send(send, by="Edda")
    with CaptureQueriesContext(connection) as queries:
        assert "paused" in {diagnostic.name for diagnostic in diagnostics()}
    assert not [query for query in queries if '"newsletter_send"."manifest"' in query["sql"]]


def test_a_provider_that_another_one_replaces_blocks_no_send(send: Send, settings: Settings) -> None:
    a_worker()
    settings.PROVIDER = "resend,smtp"
    provider = get_route()[0]
    ProviderThrottle.objects.create(
        provider=provider.name, account=provider.account, suspended_at=timezone.now(), code="invalid_api_key"
    )
    assert names(send) == []
    assert "throttle" in {diagnostic.name for diagnostic in diagnostics()}


def test_a_queue_without_a_worker_blocks_a_send_only_if_it_sends(send: Send) -> None:
    worker = a_worker(doing="transactional,events,sending: post_batch", minutes=5)
    assert names(send) == []
    worker.doing = "transactional,events,background: apply_events"
    worker.save()
    assert names(send) == ["ticks"]


def test_diagnostics_are_made_in_the_active_language(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "newsletter.monitoring.installation_diagnostics._", lambda message: f"{translation.get_language()}: {message}"
    )
    with translation.override("de"):
        (diagnostic,) = blockers_of(send)
    assert diagnostic.sentence.startswith("de: No worker is running")


def test_a_stop_of_all_sending_blocks_a_send_and_is_an_error(send: Send) -> None:
    a_worker()
    stop_all_sending(by="Edda", text="The API key leaked.")
    (diagnostic,) = blockers_of(send)
    assert (diagnostic.name, diagnostic.severity) == ("sending_stopped", Severity.ERROR)
    assert "The API key leaked. Stopped by Edda" in diagnostic.sentence
    assert "manage.py resume_sending" in diagnostic.advice
    assert diagnostics()[0] == diagnostic


def test_a_stop_by_the_setting_is_resumed_in_the_settings(send: Send, settings: Settings) -> None:
    settings.SENDING_IS_OFF = True
    found = {diagnostic.name: diagnostic for diagnostic in diagnostics()}
    assert found["sending_stopped"].sentence == "All sending is stopped. SENDING=off is set in the settings."
    assert "set SENDING=on" in found["sending_stopped"].advice


@pytest.mark.django_db
def test_what_waits_for_a_stop_to_end_says_so() -> None:
    a_worker()
    schedule_send(make_issue(), at=ago(minutes=6))
    request_subscription(make_newsletter(), parse_address("gus@example.org"), Evidence(form="signup"))
    TransactionalMail.objects.update(not_before=ago(minutes=6))
    stop_all_sending(by="Edda", text="The API key leaked.")
    found = {diagnostic.name: diagnostic for diagnostic in diagnostics()}
    assert found["overdue"].advice.startswith("It starts when sending resumes")
    assert found["transactional_mail"].advice == "They are sent when sending resumes."


@pytest.mark.django_db
def test_a_search_for_subscribers_without_an_index_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(search_diagnostics()) == []
    monkeypatch.setattr(installation_diagnostics, "has_index", lambda: False)
    (found,) = search_diagnostics()
    assert (found.name, found.severity) == ("search_without_index", Severity.WARNING)
    assert found.command == "manage.py migrate"
    assert found in diagnostics()
