"""Checks of a stored issue: the same for the command, the admin, sending, and the start of a schedule."""

from __future__ import annotations

import datetime
import io
import json
import zoneinfo
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

import newsletter.demo
from newsletter.content.document import SectionContent
from newsletter.content.formats import read_issue
from newsletter.content.store import import_issue, load_content, save_content
from newsletter.models import Issue, IssueStatus, LinkCheck, LinkState, Newsletter, PreflightRun
from newsletter.preflight import Finding, Occasion, request_link_checks
from newsletter.sending.check import (
    SuggestionOutdated,
    check_edition,
    check_issue,
    findings_of,
    preflight_issue,
    use_suggestion,
)
from newsletter.sending.freeze import freeze_edition
from newsletter.sending.schedule import IssueRefused, schedule_issue, send_now, start_due_issues
from tests.newsletter.content.harbour_notes import CRANE, ISSUE_41, make_draft
from tests.people import ada, dina
from tests.publications import just_now, make_newsletter
from tests.publisher import publishing

pytestmark = pytest.mark.django_db
SAMPLES = Path(newsletter.demo.__file__).parent / "samples"
ZONE = "Europe/Berlin"


def today_in(target: Newsletter) -> datetime.date:
    return timezone.now().astimezone(zoneinfo.ZoneInfo(target.time_zone)).date()


def issue_for_today(**changes: Any) -> Issue:
    """A draft whose links all answer, with one reader."""
    target = make_newsletter()
    ada(target.mailing_list)
    issue = make_draft(newsletter=target, date=today_in(target), **changes)
    answer_links(issue)
    return issue


def answer_links(issue: Issue, status: int = 200) -> None:
    """Let every link of the issue have been looked at just now."""
    request_link_checks(load_content(issue))
    LinkCheck.objects.update(state=LinkState.CHECKED, status=status, checked_at=timezone.now())


def must_fix(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.message for finding in findings if finding.severity == "error"]


def command_says(*arguments: str) -> str:
    out = io.StringIO()
    call_command("check_issue", *arguments, stdout=out)
    return out.getvalue()


def test_a_whole_issue_passes_with_its_real_rendering() -> None:
    issue = issue_for_today()
    result = check_issue(issue, by="ada")
    assert result.findings == ()
    assert len(result.passed) == 9
    first, *passed = command_says("issue-41").splitlines()
    assert first == "Nothing to fix and nothing to look at."
    assert passed == [f"passed    {sentence}." for sentence in result.passed]


def test_the_demos_draft_fails_exactly_two_checks() -> None:
    target = make_newsletter()
    ada(target.mailing_list)
    text = (SAMPLES / "issue-43-draft.md").read_text(encoding="utf-8")
    issue = import_issue(target, read_issue(text)).issue

    assert must_fix(findings_of(issue)) == [
        "The story “Sluices that open for a song” has no link. Add the address of its source.",
        "The story “Ropes that retire themselves” has no text. Write some, or remove the story.",
    ]


def test_the_demos_complete_issue_has_nothing_to_fix() -> None:
    target = make_newsletter()
    ada(target.mailing_list)
    issue = import_issue(target, read_issue((SAMPLES / "issue-42.md").read_text(encoding="utf-8"))).issue

    assert must_fix(findings_of(issue)) == []


def test_the_command_lists_findings_and_fails_when_something_must_be_fixed() -> None:
    issue_for_today(preheader="", sections=())
    out = io.StringIO()

    with pytest.raises(CommandError, match="cannot be sent: 1 to fix") as caught:
        call_command("check_issue", "issue-41", stdout=out)

    assert caught.value.returncode == 1
    findings = [line for line in out.getvalue().splitlines() if not line.startswith("passed    ")]
    assert [line.split(": ")[0] for line in findings] == ["must fix  content", "look at   deliverability"]


def test_the_command_speaks_json_with_stable_keys_to_programs() -> None:
    issue = issue_for_today(preheader="")

    told = json.loads(command_says("issue-41", "--json"))
    assert list(told) == ["newsletter", "issue", "revision", "edition", "error", "warning", "findings", "passed"]
    assert told["edition"] == freeze_edition(issue).sha256
    assert (told["error"], told["warning"], len(told["passed"])) == (0, 1, 8)
    (finding,) = told["findings"]
    assert finding["sentence"].startswith("There is no preheader")
    assert finding | {"sentence": ""} == {
        "severity": "warning",
        "family": "deliverability",
        "place": "Preheader",
        "sentence": "",
        "suggestion": "Use “Ports are getting quieter.”",
    }


def test_the_command_link_statuses_the_links_itself_when_asked(settings: Any) -> None:
    settings.FETCH_ALLOWED_HOSTS = ("127.0.0.1",)
    with publishing() as site:
        gone = replace(CRANE, url=f"{site.url}/gone")
        issue_for_today(sections=(SectionContent(title="Deep dives", stories=(gone,)),))
        out = io.StringIO()
        with pytest.raises(CommandError, match="1 to fix"):
            call_command("check_issue", "issue-41", "--links", stdout=out)
    assert "must fix  links: Deep dives, story 1: The link" in out.getvalue()


def test_a_sender_that_no_mail_could_carry_is_a_finding() -> None:
    issue = issue_for_today()
    Newsletter.objects.update(sender_name="notes@elsewhere.example")
    issue = Issue.objects.get(pk=issue.pk)

    result = preflight_issue(issue)
    assert [(finding.severity.value, finding.family) for finding in result.findings] == [("error", "rendering")]
    assert result.sha256 == ""


def test_sending_refuses_what_must_be_fixed_and_changes_nothing() -> None:
    issue = issue_for_today(sections=())

    with pytest.raises(IssueRefused, match="The issue has no stories"):
        send_now(issue, by="ada")
    assert Issue.objects.get().status == IssueStatus.DRAFT


def test_the_day_of_sending_is_that_of_the_newsletters_clocks() -> None:
    issue = issue_for_today()
    late_evening_utc = datetime.datetime(2026, 6, 30, 22, 30, tzinfo=datetime.UTC)
    Issue.objects.update(date=datetime.date(2026, 7, 1), scheduled_at=late_evening_utc, scheduled_zone=ZONE)

    assert findings_of(Issue.objects.get(pk=issue.pk)) == ()
    Issue.objects.update(scheduled_zone="UTC")
    assert "would go out on 2026-06-30" in findings_of(Issue.objects.get(pk=issue.pk))[0].message


def test_checking_does_not_change_the_issue_and_judging_leaves_no_trace() -> None:
    issue = issue_for_today()
    before = Issue.objects.values().get()
    findings_of(issue)
    assert not PreflightRun.objects.exists()
    check_issue(issue, by="ada")

    assert Issue.objects.values().get() == before
    assert issue.title == ISSUE_41.title


def test_an_issue_remembers_what_the_last_one_said_and_when_it_went_out() -> None:
    first = issue_for_today()
    send_now(first, by="ada")
    second = make_draft(newsletter=first.newsletter, date=first.date, slug="issue-42", title="Harbour Notes 42")
    said = " ".join(finding.message for finding in findings_of(second))
    assert said.count("Readers had this link already") == 2
    assert "less than 12 hours before" in said


def test_the_same_result_is_kept_once_and_another_beside_it() -> None:
    issue = issue_for_today()
    check_issue(issue, by="ada")
    check_issue(issue, by="ben")
    run = PreflightRun.objects.get()
    assert (run.by, run.errors, run.warnings, run.sha256) == ("ada", 0, 0, freeze_edition(issue).sha256)

    answer_links(issue, status=404)
    check_issue(issue, by="ben")
    newest = PreflightRun.objects.order_by("-pk")[0]
    assert (newest.by, newest.errors, newest.sha256) == ("ben", 2, run.sha256)
    assert {said["family"] for said in newest.findings} == {"links"}


def test_scheduling_and_starting_are_kept_with_their_occasion() -> None:
    issue = issue_for_today()
    tomorrow = datetime.datetime.combine(issue.date + datetime.timedelta(days=1), datetime.time(7))
    schedule_issue(issue, wall=tomorrow, zone=ZONE, by="ada")
    Issue.objects.update(scheduled_at=just_now())
    start_due_issues()
    assert Issue.objects.get().status == IssueStatus.SENDING
    kept = PreflightRun.objects.order_by("pk").values_list("occasion", "by")
    assert list(kept) == [("schedule", "ada"), ("start", "schedule")]


def test_a_page_that_went_offline_overnight_does_not_hold_an_approved_issue_back() -> None:
    issue = issue_for_today()
    edition = freeze_edition(issue)
    answer_links(issue, status=404)

    asleep = check_edition(issue, edition, occasion=Occasion.START, by="schedule")
    assert (len(asleep.errors), asleep.blocking) == (2, ())
    awake = check_edition(issue, edition, occasion=Occasion.SEND, by="ada")
    assert len(awake.blocking) == 2


def test_a_postal_address_that_is_gone_when_a_schedule_starts_holds_the_issue_back() -> None:
    issue = issue_for_today()
    tomorrow = datetime.datetime.combine(issue.date + datetime.timedelta(days=1), datetime.time(7))
    schedule_issue(issue, wall=tomorrow, zone=ZONE, by="ada")
    Issue.objects.update(scheduled_at=just_now())
    Newsletter.objects.update(postal_address="")
    start_due_issues()
    held = Issue.objects.get()
    assert held.status == IssueStatus.DRAFT
    assert "no postal address" in held.hold_reason


def test_a_suggestion_is_saved_as_a_revision_that_says_so() -> None:
    issue = issue_for_today(preheader="")
    (finding,) = findings_of(issue)
    revision = issue.revision
    done = use_suggestion(issue, finding.key, revision=revision, by="edda")
    assert done == "Use “Ports are getting quieter.”"
    assert Issue.objects.get().preheader == "Ports are getting quieter."
    newest = issue.revisions.order_by("-number")[0]
    assert (newest.by, newest.note) == ("edda", f"Suggestion used: {done}")
    with pytest.raises(SuggestionOutdated, match="nothing to put right"):
        use_suggestion(issue, finding.key, revision=issue.revision, by="edda")


def test_a_suggestion_for_an_older_revision_changes_nothing() -> None:
    issue = issue_for_today(preheader="")
    (finding,) = findings_of(issue)
    seen = issue.revision
    save_content(issue, replace(load_content(issue), subject="Somebody else's words"), by="ben")
    with pytest.raises(SuggestionOutdated, match="saved meanwhile"):
        use_suggestion(issue, finding.key, revision=seen, by="edda")
    assert (Issue.objects.get().preheader, Issue.objects.get().subject) == ("", "Somebody else's words")


def test_who_must_not_be_mailed_is_counted_in_what_passed() -> None:
    issue = issue_for_today()
    dina(issue.newsletter.mailing_list)
    assert preflight_issue(issue).passed[-1] == "1 reader gets it, and 1 who must not be mailed get nothing"


def test_an_issue_takes_few_queries_however_many_stories_it_has(django_assert_max_num_queries: Any) -> None:
    issue = issue_for_today(
        sections=(SectionContent(title="Many", stories=tuple(replace(CRANE, title=f"No. {n}") for n in range(60))),)
    )
    issue = Issue.objects.select_related("newsletter").get(pk=issue.pk)
    with django_assert_max_num_queries(16):
        findings_of(issue)
