"""Pre-flight for a stored issue: by the command, on sending, and when a scheduled issue starts."""

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
from django.utils import timezone, translation

import newsletter.demo
from newsletter.config import translatable
from newsletter.content.document import SectionContent
from newsletter.content.formats import read_issue
from newsletter.content.store import import_issue, load_content, save_content
from newsletter.models import Issue, IssueState, LinkCheck, LinkState, Newsletter, PreflightRun, Send, SendState
from newsletter.preflight import Finding, Trigger, recorded_findings, request_link_checks
from newsletter.sending.check import (
    SuggestionOutdated,
    audience_snapshot,
    check_edition,
    check_issue,
    findings_of,
    preflight_issue,
    use_suggestions,
)
from newsletter.sending.freeze import freeze_edition
from newsletter.sending.schedule import IssueRefused, schedule_issue, send_now, start_next_due_send
from subscribers.models import CustomField
from tests.newsletter.content.harbour_notes import CRANE, ISSUE_41, make_draft
from tests.people import ada, dina
from tests.publications import just_now, make_newsletter, schedule_send, story
from tests.publisher import publishing

pytestmark = pytest.mark.django_db
SAMPLES = Path(newsletter.demo.__file__).parent / "samples"
ZONE = "Europe/Berlin"


def today_in(target: Newsletter) -> datetime.date:
    return timezone.now().astimezone(zoneinfo.ZoneInfo(target.time_zone)).date()


def issue_for_today(**changes: Any) -> Issue:
    """A draft whose links all work, with one subscriber."""
    target = make_newsletter()
    ada(target.mailing_list)
    issue = make_draft(newsletter=target, date=today_in(target), **changes)
    set_link_status(issue)
    return issue


def set_link_status(issue: Issue, status: int = 200) -> None:
    """Store a result for every link of the issue."""
    request_link_checks(load_content(issue))
    LinkCheck.objects.update(state=LinkState.CHECKED, status=status, checked_at=timezone.now())


def errors_of(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.message for finding in findings if finding.severity == "error"]


def output_of_command(*arguments: str) -> str:
    out = io.StringIO()
    call_command("check_issue", *arguments, stdout=out)
    return out.getvalue()


def test_a_complete_issue_has_no_findings() -> None:
    issue = issue_for_today()
    result = check_issue(issue, by="ada")
    assert result.findings == ()
    assert len(result.passed) == 9
    first, *passed = output_of_command("issue-41").splitlines()
    assert first == "No errors or warnings."
    assert passed == [f"OK       {message}" for message in result.passed]


def test_the_draft_of_the_demo_has_two_errors() -> None:
    target = make_newsletter()
    ada(target.mailing_list)
    text = (SAMPLES / "issue-43-draft.md").read_text(encoding="utf-8")
    issue = import_issue(target, read_issue(text)).issue

    assert errors_of(findings_of(issue)) == [
        "The story “Sluices that open for a song” has no link. Add the address of its source.",
        "The story “Ropes that retire themselves” has no text. Write some, or remove the story.",
    ]


def test_the_complete_issue_of_the_demo_has_no_errors() -> None:
    target = make_newsletter()
    ada(target.mailing_list)
    issue = import_issue(target, read_issue((SAMPLES / "issue-42.md").read_text(encoding="utf-8"))).issue

    assert errors_of(findings_of(issue)) == []


def test_the_command_lists_findings_and_fails_on_errors() -> None:
    issue_for_today(preheader="", sections=())
    out = io.StringIO()

    with pytest.raises(CommandError, match=r"cannot be sent\. Errors: 1") as caught:
        call_command("check_issue", "issue-41", stdout=out)

    assert caught.value.returncode == 1
    findings = [line for line in out.getvalue().splitlines() if not line.startswith("OK ")]
    assert [line.split(": ")[0] for line in findings] == ["ERROR    content", "WARNING  deliverability"]


def test_the_command_prints_json_with_stable_keys() -> None:
    issue = issue_for_today(preheader="")

    document = json.loads(output_of_command("issue-41", "--json"))
    assert list(document) == [
        *("newsletter", "issue", "revision", "edition", "errors", "warnings", "findings", "passed")
    ]
    assert document["edition"] == freeze_edition(issue).sha256
    assert (document["errors"], document["warnings"], len(document["passed"])) == (0, 1, 8)
    (finding,) = document["findings"]
    assert finding["message"].startswith("The preheader is empty")
    assert finding | {"message": ""} == {
        "severity": "warning",
        "family": "deliverability",
        "code": "no_preheader",
        "place": "Preheader",
        "message": "",
        "suggestion": "Use “Ports are getting quieter.”",
    }


def test_the_command_checks_the_links_if_requested(settings: Any) -> None:
    settings.FETCH_ALLOWED_HOSTS = ("127.0.0.1",)
    with publishing() as site:
        gone = replace(CRANE, url=f"{site.url}/gone")
        issue_for_today(sections=(SectionContent(title="Deep dives", stories=(gone,)),))
        out = io.StringIO()
        with pytest.raises(CommandError, match="Errors: 1"):
            call_command("check_issue", "issue-41", "--links", stdout=out)
    assert "ERROR    links: Deep dives, story 1: The page at" in out.getvalue()


def test_an_invalid_sender_is_an_error() -> None:
    issue = issue_for_today()
    Newsletter.objects.update(sender_name="notes@elsewhere.example")
    issue = Issue.objects.get(pk=issue.pk)

    result = preflight_issue(issue)
    assert [(finding.severity.value, finding.family) for finding in result.findings] == [("error", "rendering")]
    assert result.sha256 == ""


def test_sending_refuses_an_issue_with_errors_and_changes_nothing() -> None:
    issue = issue_for_today(sections=())

    with pytest.raises(IssueRefused, match="The issue has no content"):
        send_now(issue, by="ada")
    assert Issue.objects.get().status == IssueState.DRAFT


def test_the_day_of_sending_is_in_the_time_zone_of_the_newsletter() -> None:
    issue = issue_for_today()
    late_evening_utc = datetime.datetime(2026, 6, 30, 22, 30, tzinfo=datetime.UTC)
    Issue.objects.update(date=datetime.date(2026, 7, 1))
    schedule_send(issue, at=late_evening_utc, scheduled_zone=ZONE)

    assert findings_of(Issue.objects.get(pk=issue.pk)) == ()
    Send.objects.update(scheduled_zone="UTC")
    assert "would be sent on 2026-06-30" in findings_of(Issue.objects.get(pk=issue.pk))[0].message


def test_checking_does_not_change_the_issue() -> None:
    issue = issue_for_today()
    before = Issue.objects.values().get()
    findings_of(issue)
    assert not PreflightRun.objects.exists()
    check_issue(issue, by="ada")

    assert Issue.objects.values().get() == before
    assert issue.title == ISSUE_41.title


def test_an_issue_is_compared_with_the_last_one() -> None:
    first = issue_for_today()
    send_now(first, by="ada")
    second = make_draft(newsletter=first.newsletter, date=first.date, slug="issue-42", title="Harbour Notes 42")
    codes = [finding.code for finding in findings_of(second)]
    assert codes.count("link_sent_before") == 2
    assert "sent_recently" in codes


def test_the_same_result_is_recorded_once() -> None:
    issue = issue_for_today()
    check_issue(issue, by="ada")
    check_issue(issue, by="ben")
    run = PreflightRun.objects.get()
    assert (run.by, run.errors, run.warnings, run.sha256) == ("ada", 0, 0, freeze_edition(issue).sha256)

    set_link_status(issue, status=404)
    check_issue(issue, by="ben")
    newest = PreflightRun.objects.order_by("-pk")[0]
    assert (newest.by, newest.errors, newest.sha256) == ("ben", 2, run.sha256)
    assert {finding.family for finding in recorded_findings(newest)} == {"links"}


def test_runs_are_recorded_with_their_occasion() -> None:
    issue = issue_for_today()
    tomorrow = datetime.datetime.combine(issue.date + datetime.timedelta(days=1), datetime.time(7))
    schedule_issue(issue, wall=tomorrow, zone=ZONE, by="ada")
    Send.objects.update(scheduled_at=just_now())
    start_next_due_send()
    assert Issue.objects.get().status == SendState.SENDING
    recorded = PreflightRun.objects.order_by("pk").values_list("occasion", "by")
    assert list(recorded) == [("schedule", "ada"), ("start", "schedule")]


def test_the_run_of_a_refused_issue_is_recorded() -> None:
    issue = issue_for_today()
    set_link_status(issue, status=404)
    with pytest.raises(IssueRefused):
        send_now(issue, by="ada")
    tomorrow = datetime.datetime.combine(issue.date + datetime.timedelta(days=1), datetime.time(7))
    with pytest.raises(IssueRefused):
        schedule_issue(issue, wall=tomorrow, zone=ZONE, by="ben")
    recorded = PreflightRun.objects.order_by("pk").values_list("occasion", "by", "errors")
    assert list(recorded) == [("send", "ada", 2), ("schedule", "ben", 2)]


def test_a_page_that_went_offline_does_not_stop_an_approved_issue() -> None:
    issue = issue_for_today()
    edition = freeze_edition(issue)
    set_link_status(issue, status=404)

    at_start = check_edition(
        issue, edition, trigger=Trigger.SCHEDULED_START, by="schedule", audience=audience_snapshot(issue)
    )
    assert (len(at_start.errors), at_start.blocking) == (2, ())
    on_send = check_edition(issue, edition, trigger=Trigger.SEND_NOW, by="ada", audience=audience_snapshot(issue))
    assert len(on_send.blocking) == 2


def test_a_postal_address_that_is_missing_at_the_start_stops_the_issue() -> None:
    issue = issue_for_today()
    tomorrow = datetime.datetime.combine(issue.date + datetime.timedelta(days=1), datetime.time(7))
    schedule_issue(issue, wall=tomorrow, zone=ZONE, by="ada")
    Send.objects.update(scheduled_at=just_now())
    Newsletter.objects.update(postal_address="")
    start_next_due_send()
    held = Issue.objects.get()
    assert held.status == IssueState.DRAFT
    assert "no postal address" in held.hold_sentence


def test_a_suggestion_is_saved_as_a_revision_with_a_note() -> None:
    issue = issue_for_today(preheader="")
    (finding,) = findings_of(issue)
    revision = issue.revision
    (fix,) = use_suggestions(issue, [finding.key], revision=revision, by="edda")
    assert fix.label == "Use “Ports are getting quieter.”"
    assert Issue.objects.get().preheader == "Ports are getting quieter."
    newest = issue.revisions.order_by("-number")[0]
    assert (newest.by, newest.note) == ("edda", f"suggestion:{fix.label}")
    with pytest.raises(SuggestionOutdated, match="already fixed"):
        use_suggestions(issue, [finding.key], revision=issue.revision, by="edda")


def test_several_suggestions_are_one_revision() -> None:
    links = [f"https://news.example/{number}?a=1&mc_eid=x" for number in (1, 2)]
    sections = (SectionContent(title="Dives", stories=tuple(replace(story(1), url=link) for link in links)),)
    issue = issue_for_today(preheader="", subject="Ports!!", sections=sections)
    before = issue.revision
    keys = [finding.key for finding in findings_of(issue) if finding.fix]
    assert len(use_suggestions(issue, keys, revision=before, by="edda")) == 4
    saved = Issue.objects.get()
    assert (saved.revision, saved.subject) == (before + 1, "Ports!")
    assert [one.url for one in load_content(saved).stories()] == [f"https://news.example/{n}?a=1" for n in (1, 2)]
    assert not [finding for finding in findings_of(saved) if finding.fix]


def test_a_suggestion_for_an_older_revision_is_refused() -> None:
    issue = issue_for_today(preheader="")
    (finding,) = findings_of(issue)
    checked = issue.revision
    save_content(issue, replace(load_content(issue), subject="Somebody else's words"), by="ben")
    with pytest.raises(SuggestionOutdated, match="the issue has revision 2 by now"):
        use_suggestions(issue, [finding.key], revision=checked, by="edda")
    assert (Issue.objects.get().preheader, Issue.objects.get().subject) == ("", "Somebody else's words")


def test_suppressed_addresses_are_counted() -> None:
    issue = issue_for_today()
    dina(issue.newsletter.mailing_list)
    assert preflight_issue(issue).passed[-1] == "The issue has 1 recipient. Suppressed addresses left out: 1."


def test_the_number_of_queries_does_not_grow_with_the_number_of_stories(django_assert_max_num_queries: Any) -> None:
    issue = issue_for_today(
        sections=(SectionContent(title="Many", stories=tuple(replace(CRANE, title=f"No. {n}") for n in range(60))),)
    )
    issue = Issue.objects.select_related("newsletter").get(pk=issue.pk)
    with django_assert_max_num_queries(19):
        findings_of(issue)


def test_recorded_findings_are_shown_in_the_language_of_the_viewer(monkeypatch: pytest.MonkeyPatch) -> None:
    issue = issue_for_today(preheader="", sections=())
    with translation.override("de"):
        check_issue(issue, by="ada")
    run = PreflightRun.objects.get()
    assert {finding["message"]["message"] for finding in run.findings} >= {
        "The issue has no content. Add a story or a text."
    }
    assert recorded_findings(run) == tuple(replace(finding, fix=None) for finding in findings_of(issue))
    monkeypatch.setattr(translatable, "_gettext", str.upper)
    assert str(recorded_findings(run)[0].message) == "THE ISSUE HAS NO CONTENT. ADD A STORY OR A TEXT."


def test_findings_of_older_versions_are_shown_as_they_are() -> None:
    old = {"severity": "must_fix", "family": "content", "place": "News", "sentence": "The story has no title."}
    run = PreflightRun(findings=[old, old | {"severity": "look_at"}])
    first, second = recorded_findings(run)
    assert (first.severity, second.severity) == ("error", "warning")
    assert (first.place, first.message, first.code) == ("News", "The story has no title.", "")


def test_the_check_knows_the_custom_fields_of_the_newsletter() -> None:
    issue = issue_for_today()
    signal = SectionContent(title="Signal of the day", body="For {city|your town}.")
    save_content(issue, replace(load_content(issue), sections=(signal, *load_content(issue).sections)), by="tests")
    assert "no merge field “city”" in " ".join(str(finding.message) for finding in findings_of(issue))
    CustomField.objects.create(mailing_list=issue.newsletter, key="city", label="City")
    assert "merge field" not in " ".join(str(finding.message) for finding in findings_of(issue))
