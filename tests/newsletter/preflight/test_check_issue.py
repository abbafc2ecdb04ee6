"""Checks of a stored issue: the same for the command, the admin and sending."""

from __future__ import annotations

import datetime
import io
import json
import zoneinfo
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

import newsletter.demo
from newsletter.content.formats import read_issue
from newsletter.content.store import import_issue
from newsletter.models import Issue, IssueStatus, Newsletter
from newsletter.preflight import check_issue
from newsletter.sending.check import findings_of
from newsletter.sending.schedule import IssueRefused, send_now
from tests.newsletter.content.harbour_notes import ISSUE_41, make_draft
from tests.people import ada
from tests.publications import make_newsletter

pytestmark = pytest.mark.django_db
SAMPLES = Path(newsletter.demo.__file__).parent / "samples"


def today_in(target: Newsletter) -> datetime.date:
    return timezone.now().astimezone(zoneinfo.ZoneInfo(target.time_zone)).date()


def issue_for_today(**changes: Any) -> Issue:
    target = make_newsletter()
    ada(target.mailing_list)
    return make_draft(newsletter=target, date=today_in(target), **changes)


def command_says(*arguments: str) -> str:
    out = io.StringIO()
    call_command("check_issue", *arguments, stdout=out)
    return out.getvalue()


def test_a_whole_issue_passes_with_its_real_rendering() -> None:
    issue = issue_for_today()

    assert findings_of(issue) == ()
    assert command_says("issue-41") == "Nothing to fix and nothing to look at.\n"


def test_the_demos_draft_fails_exactly_two_checks() -> None:
    target = make_newsletter()
    ada(target.mailing_list)
    text = (SAMPLES / "issue-43-draft.md").read_text(encoding="utf-8")
    issue = import_issue(target, read_issue(text)).issue

    assert [finding.sentence for finding in findings_of(issue) if finding.severity == "must_fix"] == [
        "The story “Sluices that open for a song” has no link. Add the address of its source.",
        "The story “Ropes that retire themselves” has no text. Write some, or remove the story.",
    ]


def test_the_demos_complete_issue_has_nothing_to_fix() -> None:
    target = make_newsletter()
    ada(target.mailing_list)
    issue = import_issue(target, read_issue((SAMPLES / "issue-42.md").read_text(encoding="utf-8"))).issue

    assert [finding for finding in findings_of(issue) if finding.severity == "must_fix"] == []


def test_the_command_lists_findings_and_fails_when_something_must_be_fixed() -> None:
    issue_for_today(preheader="", sections=())
    out = io.StringIO()

    with pytest.raises(CommandError, match="cannot be sent: 1 to fix") as caught:
        call_command("check_issue", "issue-41", stdout=out)

    assert caught.value.returncode == 1
    assert [line.split(": ")[0] for line in out.getvalue().splitlines()] == ["must fix  content", "look at   envelope"]


def test_the_command_speaks_json_to_programs() -> None:
    issue_for_today(preheader="")

    (finding,) = json.loads(command_says("issue-41", "--json"))
    assert (finding["severity"], finding["family"], finding["place"]) == ("look_at", "envelope", "Preheader")


def test_a_sender_that_no_mail_could_carry_is_a_finding() -> None:
    issue = issue_for_today()
    Newsletter.objects.update(sender_name="notes@elsewhere.example")
    issue = Issue.objects.get(pk=issue.pk)

    assert [(finding.severity.value, finding.family) for finding in findings_of(issue)] == [("must_fix", "rendering")]


def test_sending_refuses_what_must_be_fixed_and_changes_nothing() -> None:
    issue = issue_for_today(sections=())

    with pytest.raises(IssueRefused, match="The issue has no stories"):
        send_now(issue, by="ada")
    assert Issue.objects.get().status == IssueStatus.DRAFT


def test_the_day_of_sending_is_that_of_the_newsletters_clocks() -> None:
    issue = make_draft(date=datetime.date(2026, 7, 1))
    late_evening_utc = datetime.datetime(2026, 6, 30, 22, 30, tzinfo=datetime.UTC)
    Issue.objects.update(status=IssueStatus.SCHEDULED, scheduled_at=late_evening_utc, scheduled_zone="Europe/Berlin")
    issue = Issue.objects.get(pk=issue.pk)

    assert check_issue(issue, audience=1, rendered=None) == ()
    Issue.objects.update(scheduled_zone="UTC")
    assert len(check_issue(Issue.objects.get(pk=issue.pk), audience=1, rendered=None)) == 1


def test_checking_does_not_change_the_issue() -> None:
    issue = issue_for_today()
    before = Issue.objects.values().get()
    findings_of(issue)

    assert Issue.objects.values().get() == before
    assert issue.title == ISSUE_41.title
