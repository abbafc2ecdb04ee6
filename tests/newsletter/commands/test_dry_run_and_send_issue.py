"""manage.py dry_run and send_issue: print a manifest, then send exactly what it says."""

from __future__ import annotations

import datetime
import io
import json
import re
import shlex
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from newsletter.content.document import AudienceContent
from newsletter.content.store import load_content, save_content
from newsletter.models import Edition, Issue, IssueState, Newsletter, SendState
from tests.newsletter.sending.audiences import choose, picked
from tests.people import ada, make_subscription
from tests.publications import content, make_issue, make_newsletter, send_of

NEXT_YEAR = f"{datetime.date.today().year + 1}-07-01 07:00"


@pytest.fixture
def issue(db: None) -> Issue:
    ada(make_newsletter())
    return make_issue()


def run(*arguments: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command(*arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def refusal_of(*arguments: str) -> str:
    out = io.StringIO()
    with pytest.raises(CommandError) as caught:
        call_command(*arguments, stdout=out, stderr=io.StringIO())
    assert caught.value.returncode == 1
    assert out.getvalue() == ""
    return str(caught.value)


def sha256_of_a_dry_run() -> str:
    return str(json.loads(run("dry_run", "issue-1")[0])["sha256"])


def test_a_dry_run_prints_json_and_nothing_else_and_changes_nothing(issue: Issue) -> None:
    out, err = run("dry_run", "issue-1")
    manifest = json.loads(out)
    assert (manifest["version"], manifest["recipients"], manifest["batches"]) == (2, 1, 1)
    assert manifest["subject"] == "Taller cranes, quieter ferries"
    assert re.fullmatch("[0-9a-f]{64}", manifest["recipients_sha256"])
    assert "Nothing was sent. Recipients: 1. Batches: 1." in err
    assert f"send_issue issue-1 --manifest {manifest['sha256']}" in err
    assert run("dry_run", "issue-1")[0] == out
    issue.refresh_from_db()
    assert issue.status == IssueState.DRAFT
    assert not Edition.objects.exists()


def test_a_dry_run_of_an_issue_that_cannot_be_sent_lists_every_reason_and_prints_no_json(issue: Issue) -> None:
    Newsletter.objects.update(postal_address="")
    save_content(issue, content(sections=()), by="tests")
    refusal = refusal_of("dry_run", "issue-1")
    assert refusal.startswith("“Taller cranes” cannot be sent:\n")
    assert "postal address" in refusal
    assert "no content" in refusal


def test_an_issue_is_sent_with_the_sha256_of_its_dry_run(issue: Issue) -> None:
    sha256 = sha256_of_a_dry_run()
    assert "“Taller cranes” is being sent. Recipients: 1." in run("send_issue", "issue-1", "--manifest", sha256)[0]
    send = send_of(issue)
    assert send.manifest is not None
    assert (send.state, send.manifest["sha256"]) == (SendState.SENDING, sha256)
    assert send.transitions.get().by == "manage.py send_issue"


def test_an_issue_that_changed_since_its_dry_run_is_not_sent(issue: Issue) -> None:
    sha256 = sha256_of_a_dry_run()
    save_content(issue, content(subject="Other words"), by="Emma")
    assert "is out of date" in refusal_of("send_issue", "issue-1", "--manifest", sha256)
    issue.refresh_from_db()
    assert issue.status == IssueState.DRAFT


def test_with_the_whole_manifest_a_refusal_names_the_differences(issue: Issue, tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    file.write_text(run("dry_run", "issue-1")[0], encoding="utf-8")
    make_subscription("new@example.org", issue.newsletter)
    refusal = refusal_of("send_issue", "issue-1", "--manifest", str(file))
    assert "The audience changed from 1 to 2 recipients since the approval." in refusal


@pytest.mark.parametrize("manifest", ["abc", "no/such/file", "x" * 5_000])
def test_nothing_is_sent_without_a_manifest(manifest: str, issue: Issue) -> None:
    assert "64 hex digits" in refusal_of("send_issue", "issue-1", "--manifest", manifest)
    issue.refresh_from_db()
    assert issue.status == IssueState.DRAFT


def test_an_issue_is_scheduled_in_the_time_zone_of_its_newsletter(issue: Issue) -> None:
    sha256 = sha256_of_a_dry_run()
    out, _ = run("send_issue", "issue-1", "--manifest", sha256, "--at", NEXT_YEAR, "--same-audience")
    assert f"{NEXT_YEAR} in Europe/Berlin" in out
    send = send_of(issue)
    assert send.scheduled_at is not None
    assert (send.state, send.scheduled_at.hour, send.approved_sha256) == (SendState.SCHEDULED, 5, sha256)


def test_a_schedule_may_start_with_another_audience(issue: Issue) -> None:
    run("send_issue", "issue-1", "--manifest", sha256_of_a_dry_run(), "--at", NEXT_YEAR)
    assert send_of(issue).approved_sha256 == ""


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--at", "tomorrow"], "Write it as 2026-11-24 07:00"),
        (["--at", "2020-01-01 07:00"], "is in the past"),
        (["--at", NEXT_YEAR, "--zone", "Mars/Base"], "Mars/Base"),
        (["--same-audience"], "--same-audience needs --at"),
        (["--at", NEXT_YEAR, "--same-readers"], "--same-readers is now called --same-audience"),
    ],
)
def test_invalid_options_are_refused(options: list[str], sentence: str, issue: Issue) -> None:
    assert sentence in refusal_of("send_issue", "issue-1", "--manifest", sha256_of_a_dry_run(), *options)
    issue.refresh_from_db()
    assert issue.status == IssueState.DRAFT


def test_a_dry_run_for_another_audience_stores_nothing_and_its_line_sends_exactly_that(issue: Issue) -> None:
    bo = make_subscription("bo@example.org", issue.newsletter)
    picked(issue.newsletter, "Bo's", bo)
    out, err = run("dry_run", "issue-1", "--segment", "Bo's")
    assert json.loads(out)["recipients"] == 1
    assert load_content(issue).audience == AudienceContent()
    line = next(line for line in err.splitlines() if "send_issue" in line)
    run(*shlex.split(line)[1:])
    assert load_content(issue).audience.segments == ("Bo's",)
    assert send_of(issue).manifest["recipients"] == 1  # type: ignore[index]


def test_a_refused_send_leaves_the_audience_as_it_was(issue: Issue) -> None:
    picked(issue.newsletter, "Bo's", make_subscription("bo@example.org", issue.newsletter))
    manifest = sha256_of_a_dry_run()
    assert "out of date" in refusal_of("send_issue", "issue-1", "--manifest", manifest, "--exclude", "Bo's")
    assert load_content(issue).audience == AudienceContent()


def test_everybody_replaces_the_saved_audience(issue: Issue) -> None:
    picked(issue.newsletter, "Nobody")
    choose(issue, segments=("Nobody",))
    assert json.loads(run("dry_run", "issue-1", "--everybody")[0])["recipients"] == 1
    assert "cannot be combined" in refusal_of("dry_run", "issue-1", "--everybody", "--topic", "boats")
