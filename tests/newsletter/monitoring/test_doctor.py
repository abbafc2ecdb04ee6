"""The doctor: each reason why mail does not move has its sentence, and what is well is called well."""

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
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from newsletter.models import Batch, BatchState, Delivery, Event, EventState, Issue, IssueStatus
from newsletter.monitoring import doctor, health
from newsletter.monitoring.diagnostics import Diagnostic, Severity
from newsletter.monitoring.doctor import examine
from newsletter.providers.base import ConnectionCheck
from newsletter.sandbox import SandboxServer
from newsletter.sending.control import pause_issue
from subscribers.models import TransactionalMail, TransactionalMailKind
from tests.brokers import redis_broker
from tests.newsletter.monitoring.conftest import a_worker, ago, set_batch
from tests.people import ben
from tests.publications import make_issue, make_newsletter
from tests.publisher import Answer, PageHandler, publishing
from tests.sandboxes import provider_of, running_sandbox

pytestmark = pytest.mark.django_db
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxServer]:
    """A provider that is well."""
    with running_sandbox(verified_domains=("mail.example.org",)) as server:
        provider_of(server, monkeypatch)
        yield server


@pytest.fixture
def worker(db: None) -> None:
    a_worker()


def found(name: str, issue: Issue | None = None) -> list[Diagnostic]:
    return [diagnostic for diagnostic in examine(issue) if diagnostic.name == name]


def only(name: str, issue: Issue | None = None) -> Diagnostic:
    (diagnostic,) = found(name, issue)
    return diagnostic


def broken(issue: Issue | None = None) -> set[str]:
    return {diagnostic.name for diagnostic in examine(issue) if diagnostic.severity is Severity.BROKEN}


def test_a_healthy_installation_has_nothing_to_complain_of(worker: None) -> None:
    assert {diagnostic.severity for diagnostic in examine()} == {Severity.FINE}
    assert only("worker").sentence.startswith("1 worker runs")
    assert only("provider").sentence == "The provider answers and accepts the login."
    assert only("domain").sentence == "The provider has verified mail.example.org."


def test_no_worker() -> None:
    assert broken() == {"worker"}
    assert "manage.py worker" in only("worker").advice


def test_a_worker_that_fell_silent() -> None:
    a_worker(seen=ago(minutes=10))
    assert "The last one was seen 10 min ago" in only("worker").sentence


def test_celery_workers_without_a_scheduler() -> None:
    a_worker("host:1", doing=": post_batch", minutes=9)
    a_worker("host:2", doing=": ", minutes=9)
    assert broken() == {"ticks"}
    assert only("ticks").sentence.startswith("Celery workers run, but the scheduler (celery beat) does not")
    assert "BROKER_URL" in only("ticks").advice


def test_celery_workers_of_which_none_serves_the_sending_queue() -> None:
    a_worker("host:1", doing="transactional,background: send_transactional", minutes=9)
    a_worker("host:2", doing="events: ", minutes=9)
    expected = "No Celery worker serves the queue “sending”: issues do not start or continue."
    assert only("ticks").sentence == expected
    assert "--queues sending" in only("ticks").advice


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_does_not_answer(worker: None, settings: Any, scheme: str) -> None:
    settings.BROKER_URL = f"{scheme}://somebody:marked@127.0.0.1:9/0"
    assert broken() == {"broker"}
    assert "ConnectionRefusedError" in only("broker").sentence or "ConnectionError" in only("broker").sentence
    assert "marked" not in repr(only("broker"))


def test_a_broker_that_answers(worker: None, settings: Any) -> None:
    with redis_broker() as settings.BROKER_URL:
        assert only("broker").severity is Severity.FINE


def test_a_machine_without_celery_cannot_ask_the_broker(
    worker: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BROKER_URL = "amqp://127.0.0.1:9//"
    monkeypatch.setitem(sys.modules, "kombu", None)
    assert "requirements/celery.txt" in only("broker").advice


@pytest.mark.parametrize(
    ("doing", "minutes"),
    [("transactional,sending,events,background: post_batch", 9), ("transactional: ", 1), ("post_batch", 9), ("", 9)],
)
def test_workers_that_get_ticks_or_are_too_young_or_need_none(doing: str, minutes: int) -> None:
    a_worker("host:1", doing=doing, minutes=minutes)
    assert broken() == set()


def test_a_provider_that_does_not_answer(worker: None, settings: Any) -> None:
    settings.PROVIDER_URL = "http://127.0.0.1:9"
    assert broken() == {"provider"}
    assert "refused the connection" in only("provider").sentence
    assert "SPF, DKIM and DMARC" in only("domain").sentence


@pytest.mark.parametrize(
    ("status", "name", "is_ok", "said"),
    [
        (401, "invalid_api_key", False, "does not accept the API key"),
        (403, "suspended_api_key", False, "has suspended the API key"),
        (401, "restricted_api_key", True, "may not read domains"),
        (429, "rate_limit_exceeded", True, "too many requests"),
        (503, "service_unavailable", False, "temporarily unavailable"),
    ],
)
def test_what_the_provider_answers(worker: None, settings: Any, status: int, name: str, is_ok: bool, said: str) -> None:
    with publishing() as publisher:
        publisher.pages["/domains"] = Answer(json.dumps({"name": name, "message": "No."}).encode(), status=status)
        settings.PROVIDER_URL = publisher.url
        diagnostic = only("provider")
        assert publisher.requests[0].headers["authorization"].startswith("Bearer re_")
    assert said in diagnostic.sentence
    assert (diagnostic.severity is Severity.FINE) is is_ok


def test_an_answer_that_is_no_json(worker: None, settings: Any) -> None:
    with publishing() as publisher:
        publisher.pages["/domains"] = Answer(b"<html>Bad gateway</html>", status=502)
        settings.PROVIDER_URL = publisher.url
        assert "HTTP status 502" in only("provider").sentence


def test_a_domain_that_is_not_verified(worker: None, settings: Any) -> None:
    listed = {"data": [{"name": "mail.example.org", "status": "temporary_failure"}]}
    with publishing() as publisher:
        publisher.pages["/domains"] = Answer(json.dumps(listed).encode())
        settings.PROVIDER_URL = publisher.url
        assert only("domain").sentence == "The provider says of mail.example.org: temporary failure."


class Asked:
    """A provider whose clock differs."""

    name = "resend"

    def __init__(self, skew: float) -> None:
        self.skew = skew

    def check_connection(self) -> ConnectionCheck:
        return ConnectionCheck(is_ok=True, code="connection_ok", clock_skew=self.skew)


@pytest.mark.parametrize(("skew", "said"), [(90, "behind"), (-90, "ahead of"), (30, ""), (-59, "")])
def test_a_clock_that_is_wrong(worker: None, skew: float, said: str) -> None:
    diagnostics = examine(provider=Asked(skew))  # type: ignore[arg-type]
    sentences = [diagnostic.sentence for diagnostic in diagnostics if diagnostic.name == "clock"]
    assert sentences == ([f"Our clock is 2 min {said} the provider's."] if said else [])


def test_the_clock_is_read_from_the_answer(worker: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    in_an_hour = format_datetime(timezone.now() + datetime.timedelta(hours=1, seconds=20))
    monkeypatch.setattr(PageHandler, "date_time_string", lambda self, timestamp=None: in_an_hour)
    with publishing() as publisher:
        publisher.pages["/domains"] = Answer(b'{"data": []}')
        settings.PROVIDER_URL = publisher.url
        assert only("clock").sentence == "Our clock is 60 min behind the provider's."


def test_batches_that_are_held(worker: None, issue: Issue, batches: list[Batch]) -> None:
    for batch in batches[:2]:
        set_batch(batch, state=BatchState.HELD)
    diagnostic = only("held")
    assert diagnostic.sentence.startswith("2 batches of “Taller cranes” (4 readers)")
    assert diagnostic.severity is Severity.LOOK
    assert diagnostic.issue == issue


@pytest.mark.parametrize(("by", "severity"), [("Edda", Severity.LOOK), ("worker", Severity.BROKEN)])
def test_a_pause_says_who_and_why(worker: None, issue: Issue, by: str, severity: Severity) -> None:
    pause_issue(issue, by=by, reason="Resend answered 403: the domain is not verified.")
    diagnostic = only("paused", issue)
    assert diagnostic.severity is severity
    assert f"paused by {by}: Resend answered 403" in diagnostic.sentence
    assert "resume it" in diagnostic.advice


def test_a_schedule_to_come(worker: None) -> None:
    issue = scheduled(timezone.now() + datetime.timedelta(hours=13, minutes=1))
    assert "starts in 13 h" in only("issue", issue).sentence
    assert broken(issue) == set()


def test_a_schedule_that_nobody_started() -> None:
    issue = scheduled(ago(minutes=20))
    assert broken(issue) == {"worker", "overdue"}
    assert only("overdue", issue).sentence == "“Taller cranes” should have started 20 min ago."


def scheduled(at: datetime.datetime) -> Issue:
    issue = make_issue()
    Issue.objects.update(status=IssueStatus.SCHEDULED, scheduled_at=at, scheduled_zone="UTC")
    issue.refresh_from_db()
    return issue


def test_a_draft_that_fell_back_says_why(worker: None) -> None:
    issue = make_issue()
    assert only("issue", issue).severity is Severity.FINE
    issue.hold_reason = "Nobody on the list may be mailed now."
    assert "It went back to draft: Nobody on the list" in only("issue", issue).sentence


def test_a_backoff_says_until_when(worker: None, issue: Issue, batches: list[Batch]) -> None:
    later = timezone.now() + datetime.timedelta(minutes=4)
    set_batch(batches[0], attempts=3, reason="Too many requests.", not_before=later)
    sentence = only("issue", issue).sentence
    assert sentence.startswith("The provider did not take 2 mails: Too many requests. Next try in 4 min, at ")


def test_a_send_that_moves_says_how_fast(worker: None, issue: Issue, batches: list[Batch]) -> None:
    set_batch(batches[0], state=BatchState.ACCEPTED, finished_at=ago(seconds=0))
    assert "mails a second" in only("issue", issue).sentence


def test_a_send_that_stands_still_says_so(worker: None, issue: Issue) -> None:
    assert only("issue", issue).sentence == "10 mails to go, and none accepted in the last minute."


def test_an_audience_that_is_being_addressed(worker: None, issue: Issue) -> None:
    issue.expanded_at = None
    assert only("issue", issue).sentence == "Its audience is being addressed: 10 readers so far."


def test_a_worker_that_died_with_a_batch_in_its_hands(worker: None, issue: Issue, batches: list[Batch]) -> None:
    lease = timezone.now() + datetime.timedelta(seconds=60)
    set_batch(batches[0], state=BatchState.CLAIMED, claimed_by="gone:1", lease_until=lease)
    assert "another may take them in 60 s" in only("lease", issue).sentence
    set_batch(batches[0], claimed_by="host:1")
    assert found("lease", issue) == []


def accepted_without_a_word(issue: Issue, batches: list[Batch], minutes: int) -> None:
    Issue.objects.update(started_at=ago(minutes=minutes + 1))
    set_batch(batches[0], state=BatchState.ACCEPTED, finished_at=ago(minutes=minutes))


def test_webhooks_that_never_came(worker: None, issue: Issue, batches: list[Batch]) -> None:
    accepted_without_a_word(issue, batches, minutes=40)
    diagnostic = only("webhooks")
    assert diagnostic.sentence.startswith("No webhook ever came, but mails were accepted 40 min ago.")
    assert "/webhooks/resend/" in diagnostic.advice


def test_webhooks_that_stopped(worker: None, issue: Issue, batches: list[Batch]) -> None:
    accepted_without_a_word(issue, batches, minutes=40)
    receipt(received_at=ago(hours=3))
    assert only("webhooks").sentence.startswith("The last webhook came 3 h ago, but mails were accepted 40 min ago.")


@pytest.mark.parametrize("minutes", [5, 29])
def test_a_provider_may_take_a_while(worker: None, issue: Issue, batches: list[Batch], minutes: int) -> None:
    accepted_without_a_word(issue, batches, minutes=minutes)
    assert found("webhooks") == []


def test_a_webhook_that_was_faster_than_our_record_is_no_silence(
    worker: None, issue: Issue, batches: list[Batch]
) -> None:
    accepted_without_a_word(issue, batches, minutes=40)
    receipt(received_at=ago(minutes=41))
    Delivery.objects.filter(pk=batches[0].first_delivery).update(delivered_at=ago(minutes=41))
    assert only("webhooks").severity is Severity.FINE


def test_no_secret_for_webhooks(worker: None, settings: Any) -> None:
    settings.WEBHOOK_SECRETS = []
    assert "No signing secret" in only("webhooks").sentence


def receipt(**fields: Any) -> None:
    defaults = {"provider": "resend", "event_id": "msg_1", "body": "{}", "state": EventState.APPLIED}
    Event.objects.create(**(defaults | fields))


def test_receipts_that_pile_up(worker: None) -> None:
    receipt(state=EventState.NEW, received_at=ago(minutes=12))
    assert only("receipts").sentence == "1 webhook stored and not applied, the oldest for 12 min."


def test_confirmations_that_wait(worker: None) -> None:
    membership = ben(make_newsletter())
    TransactionalMail.objects.create(
        kind=TransactionalMailKind.CONFIRMATION, subscription=membership, recipient="b", not_before=ago(minutes=12)
    )
    assert "1 confirmation mail not sent yet, the oldest for 12 min" in only("confirmations").sentence


@pytest.mark.parametrize(
    ("free", "severity"), [(50_000_000, Severity.BROKEN), (500_000_000, Severity.LOOK), (5e9, None)]
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
def test_settings_that_a_public_site_must_not_have(
    worker: None, settings: Any, changed: dict[str, Any], names: set[str]
) -> None:
    for name, value in ({"SITE_HOST": "digest.example.org", "IS_ENCRYPTED": True} | changed).items():
        setattr(settings, name, value)
    assert broken() == names


def test_migrations_that_are_missing_come_before_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "migrations_to_apply", lambda: 2)
    (diagnostic,) = examine()
    assert (diagnostic.name, diagnostic.advice) == ("migrations", "Run manage.py migrate.")


def test_a_database_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise OperationalError("marked")

    monkeypatch.setattr(doctor, "migrations_to_apply", refuse)
    (diagnostic,) = examine()
    assert diagnostic.name == "database"
    assert "marked" not in diagnostic.sentence


def test_the_command_ends_with_one_if_anything_is_broken() -> None:
    out = io.StringIO()
    with pytest.raises(CommandError) as refusal:
        call_command("doctor", stdout=out)
    assert refusal.value.returncode == 1
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("broken   No worker runs")
    assert lines[1].startswith("         → Start one")


def test_the_command_speaks_to_programs(worker: None, issue: Issue) -> None:
    out = io.StringIO()
    call_command("doctor", "issue-1", "--json", stdout=out)
    rows = json.loads(out.getvalue())
    assert [row["issue"] for row in rows if row["name"] == "issue"] == ["issue-1"]
    assert {row["severity"] for row in rows} <= {"broken", "look", "fine"}


def test_a_schedule_that_waits_for_a_person(worker: None) -> None:
    issue = scheduled(ago(minutes=300))
    Issue.objects.update(hold_reason="It was found five hours late.")
    assert only("waiting", issue).sentence == "“Taller cranes” waits for you: It was found five hours late."
    assert broken(issue) == {"waiting"}


def test_a_send_whose_hour_is_still_to_come(worker: None, issue: Issue, batches: list[Batch]) -> None:
    Batch.objects.update(not_before=timezone.now() + datetime.timedelta(hours=3))
    assert "The next mails go out in" in " ".join(diagnostic.sentence for diagnostic in found("issue", issue))


@pytest.mark.postgresql
def test_a_database_that_is_read_only_comes_before_the_workers_that_cannot_write(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
    first = examine()[0]
    assert (first.name, first.severity) == ("database", Severity.BROKEN)
    assert "takes no writes" in first.sentence
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["reasons"]) == (503, [first.sentence])


def test_a_database_file_that_may_not_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "newsletter.sqlite3"
    with monkeypatch.context() as patched:
        patched.setattr(connection, "vendor", "sqlite")
        patched.setattr(health, "database_file", lambda: file)
        assert health.takes_no_writes(), "it is not there"
        file.touch()
        assert not health.takes_no_writes()
