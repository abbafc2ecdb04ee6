"""The demo: it uses its own database, compares its numbers, and stops its processes."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.urls import resolve

from newsletter.config.configuration import PROJECT_ROOT, Configuration
from newsletter.demo import sample
from newsletter.demo.environment import DemoEnvironment, free_port
from newsletter.demo.run import DemoFailed, compare, welcome_text
from newsletter.management.commands.demo import STOP_SIGNALS, stop_at_first_signal
from newsletter.models import SendState
from newsletter.preflight import Severity
from newsletter.reports.statistics import SendReport
from newsletter.sending.check import findings_of
from tests.publications import send_of

REPORT = SendReport(
    audience=500, waiting=0, in_flight=0, accepted=500, failed_to_send=0, unknown=0, skipped=0,
    delivered=493, opened=250, clicked=90, failed=0, retriable=0, bounced=7, complained=2,
    unsubscribed=0, held_batches=0,
)  # fmt: skip
LEDGER: dict[str, Any] = {"messages": 500, "recipients": 500}
WEBHOOKS: dict[str, Any] = {
    "by_type": {
        "email.delivered": {"delivered": 493},
        "email.clicked": {"delivered": 90},
        "email.bounced": {"delivered": 7},
    }
}


def test_numbers_that_agree_end_with_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    compare(REPORT, LEDGER, WEBHOOKS, print)
    assert "each of the 500 subscribers got the issue exactly once." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("report", "ledger"),
    [
        ({"accepted": 499, "unknown": 1}, {}),
        ({"clicked": 89}, {}),
        ({"bounced": 8}, {}),
        ({"audience": 501, "waiting": 1}, {}),
        ({}, {"messages": 501}),
        ({}, {"messages": 499, "recipients": 499}),
    ],
    ids=str,
)
def test_numbers_that_differ_fail_the_demo(report: dict[str, int], ledger: dict[str, int]) -> None:
    with pytest.raises(DemoFailed, match="must agree with the provider's ledger"):
        compare(dataclasses.replace(REPORT, **report), LEDGER | ledger, WEBHOOKS, print)


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DemoEnvironment:
    monkeypatch.setattr("newsletter.demo.environment.PROJECT_ROOT", tmp_path)
    return DemoEnvironment()


def test_every_setting_has_a_value_of_the_demo(demo: DemoEnvironment) -> None:
    environment = demo.prepare()
    assert {name.upper() for name in Configuration.model_fields} <= set(environment)
    assert environment["DATABASE_URL"].startswith(f"sqlite:///{demo.folder}")
    assert environment["PROVIDER"] == "sandbox"


def test_secrets_are_random_kept_and_private(demo: DemoEnvironment, tmp_path: Path) -> None:
    first, second = demo.prepare(), demo.prepare()
    assert first["SECRET_KEY"] == second["SECRET_KEY"]
    assert first["SECRET_KEY"] != DemoEnvironment(once=True).prepare()["SECRET_KEY"]
    assert (demo.folder / "secret_key").stat().st_mode & 0o077 == 0


def test_reset_deletes_the_database(demo: DemoEnvironment) -> None:
    demo.prepare()
    (demo.folder / "newsletter.sqlite3").touch()
    demo.prepare()
    assert (demo.folder / "newsletter.sqlite3").exists()
    demo.prepare(reset=True)
    assert not (demo.folder / "newsletter.sqlite3").exists()


def test_the_demo_prints_whole_addresses_with_their_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "SITE_URL", "http://127.0.0.1:39401")
    monkeypatch.setattr(settings, "SANDBOX_URL", "http://127.0.0.1:39402")
    lines = welcome_text(Path("var"), "a password", "harbour-log").splitlines()
    shown = [word for line in lines for word in line.split() if word.startswith("http")]
    assert shown == [
        "http://127.0.0.1:39401/harbour-log/",
        "http://127.0.0.1:39401/harbour-log/issues/",
        "http://127.0.0.1:39401/harbour-log/feed.atom",
        "http://127.0.0.1:39401/admin/",
        "http://127.0.0.1:39402/",
    ]
    for address in shown[:4]:
        resolve(urlsplit(address).path)


def test_a_port_in_use_is_not_chosen() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert free_port(port) != port


def test_the_demo_refuses_another_database() -> None:
    with pytest.raises(CommandError, match="own database"):
        call_command("demo", "--once")


@pytest.mark.django_db
def test_the_draft_has_two_errors_and_the_other_issues_none() -> None:
    newsletter = sample.create_newsletter()
    sample.create_subscribers(newsletter)

    def must_fix(name: str) -> int:
        findings = findings_of(sample.import_sample(newsletter, name))
        return sum(finding.severity is Severity.ERROR for finding in findings)

    assert [must_fix(name) for name in ("issue-41.md", "issue-42.md", "issue-43-draft.md")] == [0, 0, 2]


@pytest.mark.django_db
def test_the_sample_is_scheduled_for_a_tuesday_at_seven_in_the_newsletters_time_zone() -> None:
    newsletter = sample.create_newsletter()
    sample.create_subscribers(newsletter)
    issue = sample.import_sample(newsletter, "issue-42.md")
    sample.schedule_for_next_tuesday(issue)
    assert issue.status == SendState.SCHEDULED
    scheduled_at = send_of(issue).scheduled_at
    assert scheduled_at is not None
    wall = scheduled_at.astimezone(ZoneInfo(newsletter.time_zone))
    assert (wall.weekday(), wall.hour, wall.minute) == (1, 7, 0)


def test_all_addresses_are_distinct_and_reserved() -> None:
    addresses = sample.sample_addresses()
    assert len(set(addresses)) == sample.SUBSCRIBERS
    assert all(address.endswith((".example", "@resend.dev")) for address in addresses)


def test_a_second_ctrl_c_does_not_interrupt_the_stopping() -> None:
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        stop_at_first_signal()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.processes
@pytest.mark.own_database
def test_one_send_runs_from_file_to_report() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in {"DJANGO_SETTINGS_MODULE"}}
    done = subprocess.run(
        [sys.executable, "manage.py", "demo", "--once"],
        cwd=PROJECT_ROOT,
        # The demo must not use the caller's settings, which may name a real database.
        env={**environment, "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/real", "PROVIDER": "resend"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "accepted         500       500" in done.stdout
    assert "each of the 500 subscribers got the issue exactly once." in done.stdout
