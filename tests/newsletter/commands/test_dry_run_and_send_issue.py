"""By command: rehearse an issue, then send exactly that."""

from __future__ import annotations

import datetime
import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from newsletter.content.store import save_content
from newsletter.models import Edition, Issue, IssueStatus, Newsletter
from tests.people import ada, make_subscription
from tests.publications import content, make_issue, make_newsletter

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


def digest_of_a_dry_run() -> str:
    return str(json.loads(run("dry_run", "issue-1")[0])["sha256"])


def test_a_dry_run_prints_json_and_nothing_else_and_changes_nothing(issue: Issue) -> None:
    out, err = run("dry_run", "issue-1")
    manifest = json.loads(out)
    assert (manifest["readers"], manifest["batches"], manifest["subject"]) == (1, 1, "Taller cranes, quieter ferries")
    assert f"send_issue issue-1 --manifest {manifest['sha256']}" in err
    assert run("dry_run", "issue-1")[0] == out
    issue.refresh_from_db()
    assert issue.status == IssueStatus.DRAFT
    assert not Edition.objects.exists()


def test_a_dry_run_of_what_cannot_be_sent_names_every_reason_and_prints_no_json(issue: Issue) -> None:
    Newsletter.objects.update(postal_address="")
    save_content(issue, content(sections=()), by="tests")
    said = refusal_of("dry_run", "issue-1")
    assert "postal address" in said
    assert "no stories" in said


def test_what_was_rehearsed_is_sent(issue: Issue) -> None:
    digest = digest_of_a_dry_run()
    assert "is started for 1 reader." in run("send_issue", "issue-1", "--manifest", digest)[0]
    issue.refresh_from_db()
    assert (issue.status, issue.manifest_sha256) == (IssueStatus.SENDING, digest)
    assert issue.transitions.get().by == "manage.py send_issue"


def test_anything_else_is_not_sent(issue: Issue) -> None:
    digest = digest_of_a_dry_run()
    save_content(issue, content(subject="Other words"), by="Emma")
    assert "does not hold any more" in refusal_of("send_issue", "issue-1", "--manifest", digest)
    issue.refresh_from_db()
    assert issue.status == IssueStatus.DRAFT


def test_with_the_whole_manifest_a_refusal_says_what_differs(issue: Issue, tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    file.write_text(run("dry_run", "issue-1")[0], encoding="utf-8")
    make_subscription("new@example.org", issue.newsletter)
    assert "1 reader more than when it was approved" in refusal_of("send_issue", "issue-1", "--manifest", str(file))


@pytest.mark.parametrize("given", ["abc", "no/such/file", "x" * 5_000])
def test_what_is_no_manifest_sends_nothing(given: str, issue: Issue) -> None:
    assert "64 hex digits" in refusal_of("send_issue", "issue-1", "--manifest", given)
    issue.refresh_from_db()
    assert issue.status == IssueStatus.DRAFT


def test_an_issue_is_scheduled_on_the_clocks_of_its_newsletter(issue: Issue) -> None:
    digest = digest_of_a_dry_run()
    out, _ = run("send_issue", "issue-1", "--manifest", digest, "--at", NEXT_YEAR, "--same-readers")
    assert f"{NEXT_YEAR} in Europe/Berlin" in out
    issue.refresh_from_db()
    assert issue.scheduled_at is not None
    assert (issue.status, issue.scheduled_at.hour, issue.manifest_sha256) == (IssueStatus.SCHEDULED, 5, digest)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--at", "tomorrow"], "write it as 2026-11-24 07:00"),
        (["--at", "2020-01-01 07:00"], "is over"),
        (["--at", NEXT_YEAR, "--zone", "Mars/Base"], "is no time zone"),
        (["--same-readers"], "is for --at"),
    ],
)
def test_a_moment_that_cannot_be_is_refused(options: list[str], sentence: str, issue: Issue) -> None:
    assert sentence in refusal_of("send_issue", "issue-1", "--manifest", digest_of_a_dry_run(), *options)
    issue.refresh_from_db()
    assert issue.status == IssueStatus.DRAFT
