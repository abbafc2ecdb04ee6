"""The doctor: every reason why mail is not sent has a sentence and advice, and what works is reported as OK."""

from __future__ import annotations

import datetime
import io
import json
import sys
from collections import namedtuple
from collections.abc import Iterator
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from newsletter.models import (
    Batch,
    BatchState,
    ConsentMode,
    Delivery,
    EngagementSource,
    Event,
    EventState,
    Issue,
    IssueState,
    Newsletter,
    Reason,
    Send,
    SendState,
)
from newsletter.models.reasons import iso
from newsletter.monitoring import doctor, health
from newsletter.monitoring.diagnostic import Diagnostic, Severity
from newsletter.monitoring.doctor import run_diagnostics
from newsletter.providers import get_route
from newsletter.providers.base import ConnectionCheck, Provider, SendingDomain, provider_account
from newsletter.providers.resend.provider import ResendProvider
from newsletter.providers.smtp.provider import SmtpProvider
from newsletter.sandbox import SandboxServer
from newsletter.sending.control import cancel_send, pause_send
from subscribers.addresses import parse_address
from subscribers.models import (
    SIGNUP_MACHINE,
    Evidence,
    Signup,
    SignupState,
    TransactionalMail,
    TransactionalMailKind,
    TransactionalMailState,
    add_to_counters,
)
from subscribers.signup.queue import store_signup
from subscribers.transactional.compose import enqueue_mail
from tests.brokers import redis_broker
from tests.newsletter.monitoring.conftest import a_worker, ago, refresh, set_batch
from tests.people import ben
from tests.publications import make_issue, make_newsletter
from tests.publisher import Answer, PageHandler, publishing
from tests.sandboxes import provider_of, running_sandbox

pytestmark = pytest.mark.django_db
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxServer]:
    """A provider that works."""
    with running_sandbox(verified_domains=("mail.example.org",)) as server:
        provider_of(server, monkeypatch)
        yield server


@pytest.fixture
def worker(db: None) -> None:
    a_worker()


def found(name: str, issue: Issue | None = None) -> list[Diagnostic]:
    return [diagnostic for diagnostic in run_diagnostics(issue) if diagnostic.name == name]


def only(name: str, issue: Issue | None = None) -> Diagnostic:
    (diagnostic,) = found(name, issue)
    return diagnostic


def errors(issue: Issue | None = None) -> set[str]:
    return {diagnostic.name for diagnostic in run_diagnostics(issue) if diagnostic.severity is Severity.ERROR}


@pytest.fixture
def set_up() -> None:
    """A superuser, a newsletter, an accepted mail and a webhook."""
    User.objects.create_superuser("edda")
    mail = enqueue_mail(
        TransactionalMailKind.CONFIRMATION, ben(make_newsletter()), {}, one_click_url="http://127.0.0.1:8000/decline/x"
    )
    TransactionalMail.objects.filter(pk=mail.pk).update(
        state=TransactionalMailState.SENT, provider=provider_account(get_route()[0]), first_attempt_at=timezone.now()
    )
    Event.objects.create(provider="resend", event_id="msg_1", body="{}", state=EventState.APPLIED)


def test_an_installation_that_works_has_only_ok_diagnostics(worker: None, set_up: None) -> None:
    assert {diagnostic.severity for diagnostic in run_diagnostics()} == {Severity.OK}
    assert only("worker").sentence.startswith("1 worker is running.")
    assert only("provider").sentence == "The provider answers and accepts the login."
    assert only("domain").sentence == "The provider has verified mail.example.org."


def test_several_workers_are_counted() -> None:
    a_worker("host:1")
    a_worker("host:2")
    assert only("worker").sentence.startswith("2 workers are running.")


def test_no_worker_is_running() -> None:
    assert errors() == {"worker"}
    assert only("worker").sentence == "No worker is running: no mail is sent, and no webhook event is applied."
    assert "manage.py worker" in only("worker").advice


def test_the_only_worker_is_dead() -> None:
    a_worker(seen=ago(minutes=10))
    assert only("worker").sentence.endswith("The last heartbeat was 10 min ago; that worker crashed or was killed.")


def test_celery_workers_without_a_scheduler() -> None:
    a_worker("host:1", doing=": post_batch", minutes=9)
    a_worker("host:2", doing=": ", minutes=9)
    assert errors() == {"ticks"}
    assert only("ticks").sentence.startswith("Celery workers are running, but the scheduler (celery beat) is not")
    assert "BROKER_URL" in only("ticks").advice


def test_celery_workers_of_which_none_serves_the_sending_queue() -> None:
    a_worker("host:1", doing="transactional,background,webhooks: send_transactional", minutes=9)
    a_worker("host:2", doing="events: ", minutes=9)
    expected = "No Celery worker serves the queue “sending”: issues do not start or continue."
    assert only("ticks").sentence == expected
    assert "--queues sending" in only("ticks").advice


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_does_not_answer(worker: None, settings: Any, scheme: str) -> None:
    settings.BROKER_URL = f"{scheme}://user:marked@127.0.0.1:9/0"
    assert errors() == {"broker"}
    assert "ConnectionRefusedError" in only("broker").sentence or "ConnectionError" in only("broker").sentence
    assert "marked" not in repr(only("broker"))


def test_a_broker_that_answers(worker: None, settings: Any) -> None:
    with redis_broker() as settings.BROKER_URL:
        assert only("broker").severity is Severity.OK


def test_without_celery_the_broker_cannot_be_checked(
    worker: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BROKER_URL = "amqp://127.0.0.1:9//"
    monkeypatch.setitem(sys.modules, "kombu", None)
    assert "requirements/celery.txt" in only("broker").advice


@pytest.mark.parametrize(
    ("doing", "minutes"),
    [
        ("transactional,sending,events,background,webhooks: post_batch", 9),
        ("transactional: ", 1),
        ("post_batch", 9),
        ("", 9),
    ],
)
def test_workers_that_receive_ticks_or_just_started_or_need_none(doing: str, minutes: int) -> None:
    a_worker("host:1", doing=doing, minutes=minutes)
    assert errors() == set()


def test_a_provider_that_does_not_answer(worker: None, settings: Any) -> None:
    settings.PROVIDER_URL = "http://127.0.0.1:9"
    assert errors() == {"provider"}
    assert "refused the connection" in only("provider").sentence
    assert found("domain") == []


@pytest.mark.parametrize(
    ("status", "name", "is_ok", "sentence"),
    [
        (401, "invalid_api_key", False, "does not accept the API key"),
        (403, "suspended_api_key", False, "has suspended the API key"),
        (401, "restricted_api_key", True, "may not read domains"),
        (429, "rate_limit_exceeded", True, "too many requests"),
        (503, "service_unavailable", False, "temporarily unavailable"),
    ],
)
def test_answers_of_the_provider(
    worker: None, settings: Any, status: int, name: str, is_ok: bool, sentence: str
) -> None:
    with publishing() as publisher:
        publisher.pages["/domains"] = Answer(json.dumps({"name": name, "message": "No."}).encode(), status=status)
        settings.PROVIDER_URL = publisher.url
        diagnostic = only("provider")
        assert publisher.requests[0].headers["authorization"].startswith("Bearer re_")
    assert sentence in diagnostic.sentence
    assert (diagnostic.severity is Severity.OK) is is_ok


def test_an_answer_that_is_not_json(worker: None, settings: Any) -> None:
    with publishing() as publisher:
        publisher.pages["/domains"] = Answer(b"<html>Bad gateway</html>", status=502)
        settings.PROVIDER_URL = publisher.url
        assert "HTTP status 502" in only("provider").sentence


def test_a_domain_that_is_not_verified(worker: None, settings: Any) -> None:
    listed = {"data": [{"name": "mail.example.org", "status": "temporary_failure"}]}
    with publishing() as publisher:
        publisher.pages["/domains"] = Answer(json.dumps(listed).encode())
        settings.PROVIDER_URL = publisher.url
        assert only("domain").sentence == (
            "The provider has not verified mail.example.org. Its status is “temporary failure”."
        )


def test_tracking_by_the_provider_is_an_error_until_subscribers_consent(worker: None, sandbox: SandboxServer) -> None:
    make_newsletter()
    assert found("tracking") == []
    sandbox.configure(open_tracking_domains=frozenset({"mail.example.org"}))
    assert (only("tracking").severity, only("tracking").sentence) == (
        Severity.ERROR,
        "The provider resend tracks opens of all mails from mail.example.org, and Harbour Notes has no consent to it. "
        "Its issues are not sent.",
    )
    Newsletter.objects.update(consent_mode=ConsentMode.CONSENT)
    assert only("tracking").severity is Severity.ERROR, "not the chosen source"
    Newsletter.objects.update(engagement_source=EngagementSource.PROVIDER)
    assert only("tracking").severity is Severity.WARNING
    sandbox.configure(open_tracking_domains=frozenset(), verified_domains=frozenset({"mail.example.org"}))
    assert only("tracking").sentence == (
        "Harbour Notes takes opens and clicks from the provider resend, which does not track mail.example.org. None "
        "are recorded."
    )
    Newsletter.objects.update(engagement_source=EngagementSource.NONE)
    assert found("tracking") == []


def test_tracking_that_cannot_be_read_is_a_warning(worker: None, settings: Any) -> None:
    make_newsletter()
    settings.PROVIDER_API_KEY, settings.PROVIDER_READ_KEY = "re_sandbox_sending", ""
    assert (only("tracking").severity, errors()) == (Severity.WARNING, set())
    assert "Set RESEND_READ_KEY" in only("tracking").sentence
    settings.PROVIDER_READ_KEY = "re_sandbox"
    assert found("tracking") == []


def test_tracking_of_a_domain_that_the_provider_does_not_list_is_a_warning(worker: None, settings: Any) -> None:
    make_newsletter()
    make_newsletter("mill-notes", sender_email="notes@Bücher.example.org")
    make_newsletter("no-sender", sender_email="")
    assert found("tracking") == [], "the sandbox takes any domain"
    settings.PROVIDER = "resend"
    diagnostic = only("tracking")
    assert diagnostic.severity is Severity.WARNING
    assert "tracks opens and clicks of mails from xn--bcher-kva.example.org" in diagnostic.sentence


@pytest.mark.parametrize("missing", ["open_tracking", "click_tracking"])
def test_tracking_that_the_provider_does_not_report_is_a_warning(
    worker: None, settings: Any, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    make_newsletter()
    settings.PROVIDER = "resend"
    assert found("tracking") == []
    known = {"name": "mail.example.org", "status": "verified", "open_tracking": False, "click_tracking": False}
    answer = (SendingDomain(**{**known, missing: None}),)  # type: ignore[arg-type]
    monkeypatch.setattr(ResendProvider, "read_domains", lambda self: answer)
    # The sandbox has no webhook endpoint here.
    assert (only("tracking").severity, errors()) == (Severity.WARNING, {"webhook_endpoint"})


def test_tracking_by_resends_mail_server_is_not_checked_which_is_a_warning(
    worker: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_newsletter()
    # Without a connection to the mail server, which is another step of the doctor.
    monkeypatch.setattr(
        SmtpProvider, "check_connection", lambda self: ConnectionCheck(is_ok=True, code="connection_ok")
    )
    settings.PROVIDER, settings.EMAIL_HOST = "smtp", "smtp.resend.com"
    assert only("tracking").severity is Severity.WARNING
    assert "with PROVIDER=smtp, its domains are not read" in only("tracking").sentence
    settings.PROVIDER = "smtp,resend"
    assert found("tracking") == []
    settings.PROVIDER, settings.EMAIL_HOST = "smtp", "mail.example.org"
    assert found("tracking") == []


class ProviderWithSkew:
    """A provider whose clock differs from ours."""

    name = "resend"

    def __init__(self, skew: float) -> None:
        self.skew = skew

    def check_connection(self) -> ConnectionCheck:
        return ConnectionCheck(is_ok=True, code="connection_ok", clock_skew=self.skew)


@pytest.mark.parametrize(("skew", "side"), [(90, "behind"), (-90, "ahead of"), (30, ""), (-59, "")])
def test_a_clock_that_is_wrong(worker: None, skew: float, side: str) -> None:
    diagnostics = run_diagnostics(provider=ProviderWithSkew(skew))  # type: ignore[arg-type]
    sentences = [diagnostic.sentence for diagnostic in diagnostics if diagnostic.name == "clock"]
    assert sentences == ([f"This machine's clock is 2 min {side} the provider's."] if side else [])


def test_the_clock_is_read_from_the_answer(worker: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    in_an_hour = format_datetime(timezone.now() + datetime.timedelta(hours=1, seconds=20))
    monkeypatch.setattr(PageHandler, "date_time_string", lambda self, timestamp=None: in_an_hour)
    with publishing() as publisher:
        publisher.pages["/domains"] = Answer(b'{"data": []}')
        settings.PROVIDER_URL = publisher.url
        assert only("clock").sentence == "This machine's clock is 60 min behind the provider's."


def test_held_batches_are_counted_with_their_recipients(worker: None, issue: Issue, batches: list[Batch]) -> None:
    for batch in batches[:2]:
        set_batch(batch, state=BatchState.HELD)
    diagnostic = only("held_batches")
    assert diagnostic.sentence == (
        "2 batches of “Taller cranes” are held, because their outcome is unknown. Recipients: 4."
    )
    assert diagnostic.severity is Severity.WARNING
    assert diagnostic.issue == issue


def test_a_pause_is_reported_for_its_issue(worker: None, send: Send) -> None:
    pause_send(send, by="Edda", text="The sender's domain is wrong.")
    diagnostic = only("paused", send.issue)
    assert diagnostic.severity is Severity.WARNING
    assert diagnostic.sentence.endswith("was paused by Edda. Decided by an operator. The sender's domain is wrong.")


def scheduled(send: Send, at: datetime.datetime, **fields: Any) -> Issue:
    return refresh(send, state=SendState.SCHEDULED, scheduled_at=at, scheduled_zone="UTC", **fields).issue


def test_a_schedule_in_the_future(worker: None, send: Send) -> None:
    issue = scheduled(send, timezone.now() + datetime.timedelta(hours=13, minutes=1))
    assert only("issue_scheduled", issue).sentence.startswith("The issue is scheduled. It starts in 13 h")
    assert only("issue_scheduled", issue).sentence.endswith(" UTC.")
    assert errors(issue) == set()


def test_a_scheduled_send_that_no_worker_started(send: Send) -> None:
    issue = scheduled(send, ago(minutes=20))
    assert errors(issue) == {"worker", "overdue"}
    assert only("overdue", issue).sentence == "“Taller cranes” should have started 20 min ago."


def test_a_draft_and_an_approved_issue_have_no_send(worker: None) -> None:
    issue = make_issue()
    assert only("issue_draft", issue).severity is Severity.OK
    assert only("issue_draft", issue).sentence == "The issue is a draft, and no send of it is scheduled."
    issue.state = IssueState.APPROVED
    assert only("issue_approved", issue).sentence.startswith("The issue is approved for the next occurrence")


def test_a_draft_that_was_not_sent_has_the_reason(worker: None) -> None:
    issue = make_issue()
    Issue.objects.update(hold_reason=Reason.NOT_STARTED, hold_values={"sentences": ["The audience is empty."]})
    assert only("on_hold", issue).sentence == (
        "“Taller cranes” was not sent. The issue was due and did not start. The audience is empty."
    )


def test_a_cancelled_send_says_when(worker: None, send: Send) -> None:
    cancel_send(send, by="Edda")
    assert only("issue_cancelled", send.issue).sentence.startswith("The send was cancelled at ")


def test_a_backoff_names_the_time_of_the_next_attempt(worker: None, issue: Issue, batches: list[Batch]) -> None:
    later = timezone.now() + datetime.timedelta(minutes=4)
    set_batch(batches[0], attempts=3, reason="rate_limit_exceeded", not_before=later)
    sentence = only("issue_retrying", issue).sentence
    assert sentence.startswith("2 mails wait for a retry. The next attempt is in 4 min, at ")
    assert sentence.endswith("The provider received too many requests. Sending is slowed down.")


def test_a_retry_that_is_due_waits_for_a_worker(worker: None, issue: Issue, batches: list[Batch]) -> None:
    set_batch(batches[0], attempts=3, reason="rate_limit_exceeded", not_before=ago(seconds=1))
    assert "as soon as a worker is free" in only("issue_retrying", issue).sentence


def test_a_send_that_makes_progress_says_how_fast(worker: None, issue: Issue, batches: list[Batch]) -> None:
    set_batch(batches[0], state=BatchState.ACCEPTED, finished_at=ago(seconds=0))
    assert "mails per second." in only("issue_sending", issue).sentence


def test_a_send_that_makes_no_progress_says_so(worker: None, issue: Issue) -> None:
    assert only("issue_stalled", issue).sentence == "10 mails are left, and none was accepted in the last minute."
    assert "workers' log" in only("issue_stalled", issue).advice


def test_an_audience_that_is_being_expanded(worker: None, send: Send) -> None:
    issue = refresh(send, expanded_at=None).issue
    assert only("issue_expanding", issue).sentence == "The audience is being expanded: 10 recipients so far."


def test_batches_of_a_dead_worker_are_taken_over_when_the_lease_ends(
    worker: None, issue: Issue, batches: list[Batch]
) -> None:
    lease = timezone.now() + datetime.timedelta(seconds=60)
    set_batch(batches[0], state=BatchState.CLAIMED, claimed_by="dead:1", lease_until=lease)
    assert "Another worker takes them over in 60 s." in only("lease", issue).sentence
    set_batch(batches[0], claimed_by="host:1")
    assert found("lease", issue) == []


def accept_without_webhook(send: Send, batches: list[Batch], minutes: int, provider: Provider | None = None) -> None:
    refresh(send, started_at=ago(minutes=minutes + 1))
    set_batch(
        batches[0],
        state=BatchState.ACCEPTED,
        finished_at=ago(minutes=minutes),
        provider=provider_account(provider or get_route()[0]),
    )


def test_mails_of_a_provider_without_webhooks_are_followed_by_none(
    worker: None, settings: Any, send: Send, batches: list[Batch]
) -> None:
    settings.PROVIDER = "resend,smtp"
    accept_without_webhook(send, batches, minutes=40, provider=get_route()[1])
    assert found("webhooks") == []


def test_webhooks_that_never_came(worker: None, send: Send, batches: list[Batch]) -> None:
    accept_without_webhook(send, batches, minutes=40)
    diagnostic = only("webhooks")
    assert diagnostic.sentence == (
        "No webhook has ever come, but mails were accepted 40 min ago. Bounces and complaints are not recorded."
    )
    assert "/webhooks/resend/" in diagnostic.advice


def test_webhooks_that_stopped(worker: None, send: Send, batches: list[Batch]) -> None:
    accept_without_webhook(send, batches, minutes=40)
    make_event(received_at=ago(hours=3))
    assert only("webhooks").sentence.startswith("The last webhook came 3 h ago, but mails were accepted 40 min ago.")


@pytest.mark.parametrize("minutes", [5, 29])
def test_webhooks_may_come_half_an_hour_late(worker: None, send: Send, batches: list[Batch], minutes: int) -> None:
    accept_without_webhook(send, batches, minutes=minutes)
    assert found("webhooks") == []


def test_a_webhook_that_came_before_the_batch_was_recorded_counts(
    worker: None, send: Send, batches: list[Batch]
) -> None:
    accept_without_webhook(send, batches, minutes=40)
    make_event(received_at=ago(minutes=41))
    Delivery.objects.filter(pk=batches[0].first_delivery).update(delivered_at=ago(minutes=41))
    assert only("webhooks").severity is Severity.OK


def test_no_secret_for_webhooks(worker: None, settings: Any) -> None:
    settings.WEBHOOK_SECRETS = []
    assert "No signing secret" in only("webhooks").sentence


def make_event(**fields: Any) -> None:
    defaults = {"provider": "resend", "event_id": "msg_1", "body": "{}", "state": EventState.APPLIED}
    Event.objects.create(**(defaults | fields))


def test_events_that_wait_to_be_applied(worker: None) -> None:
    make_event(state=EventState.NEW, received_at=ago(minutes=12))
    assert only("events").sentence == "1 webhook event has been waiting to be applied for 12 min."
    make_event(state=EventState.NEW, received_at=ago(minutes=1), event_id="msg_2")
    assert only("events").sentence == "2 webhook events are waiting to be applied, the oldest for 12 min."


def test_confirmations_that_fall_against_their_norm(worker: None) -> None:
    newsletter, now = make_newsletter(), timezone.now().timestamp()
    for scope, count, days in (("requested", 40, 10), ("confirmed", 30, 10), ("requested", 25, 1), ("confirmed", 5, 0)):
        for _ in range(count):
            add_to_counters([(scope, str(newsletter.pk))], now - days * 86_400)
    assert only("confirmations").sentence == (
        "20% of 25 sign-ups of “Harbour Notes” since yesterday were confirmed; usually it is 75%."
    )


def test_sign_ups_that_are_held_for_review(worker: None) -> None:
    signup = store_signup(make_newsletter(), parse_address("gus@example.org"), Evidence(form="signup"))
    SIGNUP_MACHINE.move(Signup.objects.filter(pk=signup.pk), SignupState.HELD, due_at=None)
    assert only("held_signups").sentence == "1 sign-up is held for review."


def test_signups_that_wait_to_be_processed(worker: None) -> None:
    waiting = {"mailing_list": make_newsletter(), "address": "b@example.org", "evidence": {}}
    Signup.objects.create(created_at=ago(minutes=12), **waiting)
    Signup.objects.create(created_at=ago(hours=9), due_at=None, **waiting)
    assert only("signups").sentence == "1 sign-up has been waiting to be processed for 12 min."
    Signup.objects.create(created_at=ago(minutes=6), **waiting)
    assert only("signups").sentence == "2 sign-ups are waiting to be processed, the oldest for 12 min."


def test_transactional_mails_that_wait_to_be_sent(worker: None) -> None:
    subscription = ben(make_newsletter())
    TransactionalMail.objects.create(
        kind=TransactionalMailKind.CONFIRMATION, subscription=subscription, recipient="b", not_before=ago(minutes=12)
    )
    sentence = "1 transactional mail has been waiting to be sent for 12 min."
    assert only("transactional_mail").sentence == sentence


@pytest.mark.parametrize(
    ("free", "severity"), [(50_000_000, Severity.ERROR), (500_000_000, Severity.WARNING), (5e9, None)]
)
def test_a_disk_that_is_nearly_full(
    worker: None, monkeypatch: pytest.MonkeyPatch, free: float, severity: Severity | None
) -> None:
    monkeypatch.setattr(doctor, "database_file", lambda: Path("var/newsletter.sqlite3"))
    monkeypatch.setattr("newsletter.monitoring.doctor.disk_usage", lambda folder: Usage(1e12, 1e12 - free, free))
    assert [diagnostic.severity for diagnostic in found("disk")] == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"DEBUG": True}, {"debug"}),
        ({"IS_ENCRYPTED": False}, {"https"}),
        ({"DEBUG": True, "SITE_HOST": "127.0.0.1"}, set()),
    ],
    ids=str,
)
def test_settings_that_are_wrong_on_a_public_site(
    worker: None, settings: Any, changed: dict[str, Any], names: set[str]
) -> None:
    for name, value in ({"SITE_HOST": "digest.example.org", "IS_ENCRYPTED": True} | changed).items():
        setattr(settings, name, value)
    assert errors() == names


def test_with_unapplied_migrations_nothing_else_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "count_unapplied_migrations", lambda: 2)
    (diagnostic,) = run_diagnostics()
    assert diagnostic.name == "migrations"
    assert diagnostic.sentence == "2 migrations have not been applied: run manage.py migrate."


def test_without_a_database_nothing_else_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise OperationalError("marked")

    monkeypatch.setattr(doctor, "count_unapplied_migrations", refuse)
    (diagnostic,) = run_diagnostics()
    assert diagnostic.name == "database"
    assert "marked" not in diagnostic.sentence


def test_the_command_exits_with_1_if_there_is_an_error() -> None:
    out = io.StringIO()
    with pytest.raises(CommandError, match="Errors: 1") as refusal:
        call_command("doctor", stdout=out)
    assert refusal.value.returncode == 1
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("Error    No worker is running")
    assert lines[1].startswith("         → Start one")


def test_the_command_prints_json_for_programs(worker: None, issue: Issue) -> None:
    out = io.StringIO()
    call_command("doctor", "issue-1", "--json", stdout=out)
    rows = json.loads(out.getvalue())
    assert [row["issue"] for row in rows if row["name"] == "issue_stalled"] == ["issue-1"]
    assert {row["severity"] for row in rows} <= {"error", "warning", "ok"}


def test_a_send_that_is_on_hold_is_not_reported_as_overdue(worker: None, send: Send) -> None:
    values = {"due_at": iso(ago(minutes=300)), "found_at": iso(ago(minutes=1))}
    issue = scheduled(send, ago(minutes=300), hold_reason=Reason.OVERDUE, hold_values=values)
    assert errors(issue) == {"on_hold"}


def test_a_send_in_its_undo_window_says_when_it_continues(worker: None, issue: Issue, batches: list[Batch]) -> None:
    Batch.objects.update(not_before=timezone.now() + datetime.timedelta(hours=3))
    assert only("issue_waiting", issue).sentence.startswith("The next mails are sent in 3 h, at ")


@pytest.mark.postgresql
def test_a_read_only_database_is_the_first_error(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
    first = run_diagnostics()[0]
    assert (first.name, first.severity) == ("database", Severity.ERROR)
    assert first.sentence == "The database is read-only."
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["reasons"]) == (503, [first.sentence])


def test_a_database_file_that_may_not_be_written_is_read_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "newsletter.sqlite3"
    with monkeypatch.context() as patched:
        patched.setattr(connection, "vendor", "sqlite")
        patched.setattr(health, "database_file", lambda: file)
        assert health.is_read_only(), "the file does not exist"
        file.touch()
        assert not health.is_read_only()
