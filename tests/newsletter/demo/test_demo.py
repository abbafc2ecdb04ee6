"""The demo: on its own database, honest about its numbers, and gone when it ends."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command

from newsletter.config.configuration import PROJECT_ROOT, Configuration
from newsletter.demo import sample
from newsletter.demo.home import DemoHome, free_port
from newsletter.demo.run import DemoFailed, judge
from newsletter.management.commands.demo import ENDING, end_at_the_first_signal
from newsletter.models import IssueStatus
from newsletter.preflight import Severity
from newsletter.reports.statistics import IssueReport
from newsletter.sending.check import findings_of

REPORT = IssueReport(
    audience=500, waiting=0, under_way=0, accepted=500, refused=0, unknown=0, skipped=0, delivered=493, delayed=0,
    opened=250, clicked=90, failed=0, suppressed=0, bounced=7, complained=2, held_batches=0,
)  # fmt: skip
LEDGER: dict[str, Any] = {"messages": 500, "recipients": 500}
WEBHOOKS: dict[str, Any] = {
    "by_type": {
        "email.delivered": {"delivered": 493},
        "email.clicked": {"delivered": 90},
        "email.bounced": {"delivered": 7},
    }
}


def test_numbers_that_agree_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    judge(REPORT, LEDGER, WEBHOOKS, print)
    assert "Every one of 500 readers got the issue once." in capsys.readouterr().out


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
def test_numbers_that_do_not_agree_fail_the_demo(report: dict[str, int], ledger: dict[str, int]) -> None:
    with pytest.raises(DemoFailed, match="do not add up"):
        judge(dataclasses.replace(REPORT, **report), LEDGER | ledger, WEBHOOKS, print)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DemoHome:
    monkeypatch.setattr("newsletter.demo.home.PROJECT_ROOT", tmp_path)
    return DemoHome()


def test_every_setting_is_the_demos_own(home: DemoHome) -> None:
    environment = home.prepare()
    assert {name.upper() for name in Configuration.model_fields} <= set(environment)
    assert environment["DATABASE_URL"].startswith(f"sqlite:///{home.folder}")
    assert environment["PROVIDER"] == "sandbox"


def test_secrets_are_random_kept_and_readable_by_their_owner_only(home: DemoHome, tmp_path: Path) -> None:
    first, second = home.prepare(), home.prepare()
    assert first["SECRET_KEY"] == second["SECRET_KEY"]
    assert first["SECRET_KEY"] != DemoHome(once=True).prepare()["SECRET_KEY"]
    assert (home.folder / "secret_key").stat().st_mode & 0o077 == 0


def test_reset_forgets_the_database(home: DemoHome) -> None:
    home.prepare()
    (home.folder / "newsletter.sqlite3").touch()
    home.prepare()
    assert (home.folder / "newsletter.sqlite3").exists()
    home.prepare(reset=True)
    assert not (home.folder / "newsletter.sqlite3").exists()


def test_a_port_that_is_taken_is_left_to_its_owner() -> None:
    with socket.socket() as owner:
        owner.bind(("127.0.0.1", 0))
        owner.listen()
        taken = owner.getsockname()[1]
        assert free_port(taken) != taken


def test_the_demo_refuses_any_database_but_its_own() -> None:
    with pytest.raises(CommandError, match="own database"):
        call_command("demo", "--once")


@pytest.mark.django_db
def test_the_draft_fails_two_checks_and_the_others_none() -> None:
    newsletter = sample.make_newsletter()
    sample.make_readers(newsletter)

    def must_fix(name: str) -> int:
        findings = findings_of(sample.import_sample(newsletter, name))
        return sum(finding.severity is Severity.ERROR for finding in findings)

    assert [must_fix(name) for name in ("issue-41.md", "issue-42.md", "issue-43-draft.md")] == [0, 0, 2]


@pytest.mark.django_db
def test_the_sample_is_scheduled_for_a_tuesday_at_seven_on_the_newsletters_clock() -> None:
    newsletter = sample.make_newsletter()
    sample.make_readers(newsletter)
    issue = sample.import_sample(newsletter, "issue-42.md")
    sample.schedule_for_next_tuesday(issue)
    assert issue.status == IssueStatus.SCHEDULED
    assert issue.scheduled_at is not None
    wall = issue.scheduled_at.astimezone(ZoneInfo(newsletter.time_zone))
    assert (wall.weekday(), wall.hour, wall.minute) == (1, 7, 0)


def test_all_addresses_are_different_and_nobodys() -> None:
    addresses = sample.reader_addresses()
    assert len(set(addresses)) == sample.READERS
    assert all(address.endswith((".example", "@resend.dev")) for address in addresses)


def test_a_second_ctrl_c_does_not_cut_the_stopping_short() -> None:
    before = {number: signal.getsignal(number) for number in ENDING}
    try:
        end_at_the_first_signal()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.processes
@pytest.mark.own_database
def test_the_whole_job_runs_once_and_says_so() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in {"DJANGO_SETTINGS_MODULE"}}
    done = subprocess.run(
        [sys.executable, "manage.py", "demo", "--once"],
        cwd=PROJECT_ROOT,
        # A setting of the caller's that would be somebody's real database must not get in.
        env={**environment, "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/real", "PROVIDER": "resend"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "accepted 500" in done.stdout
    assert "Every one of 500 readers got the issue once." in done.stdout
