"""The dry run's page, and the manifest that the pages of sending carry."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from newsletter.content.store import save_content
from newsletter.models import Edition, Issue, IssueStatus
from newsletter.sending.manifest import read_manifest
from newsletter.sending.schedule import dry_run, send_now, start_due_issues
from tests.newsletter.admin.pages import form_data, page_of, words_on
from tests.people import make_subscription
from tests.publications import content, just_now

pytestmark = pytest.mark.usefixtures("read_by_ada")

SUMMER = {"date": "2037-07-01", "time": "07:00", "zone": "Europe/Berlin"}
FORM = "//form[.//input[@name='revision']]"


def joined(issue: Issue) -> None:
    make_subscription("new@example.org", issue.newsletter)


def confirmation_of(edda: Client, issue: Issue, **chosen: str) -> dict[str, Any]:
    """What the page that says the moment back would send."""
    from lxml import html as lxml_html  # type: ignore[import-untyped]

    page = lxml_html.fromstring(edda.post(page_of(issue, "schedule"), SUMMER | chosen).content.decode())
    (form,) = page.xpath(FORM)
    return {name: value for name, value in form.form_values() if value is not None} | {"confirm": "1"}


def test_the_page_says_what_would_go_out_to_whom_and_changes_nothing(edda: Client, issue: Issue) -> None:
    shown = words_on(edda.get(page_of(issue, "dry_run")))
    manifest = dry_run(issue)
    for part in ("Taller cranes, quieter ferries", "1 unsubscribed", "https://harbour.example/cranes/2", "not known"):
        assert part in shown
    assert manifest.sha256 in shown
    assert not Edition.objects.exists()


def test_the_manifest_comes_as_a_file_that_the_command_takes(edda: Client, issue: Issue) -> None:
    answer = edda.get(page_of(issue, "dry_run_manifest"))
    assert answer["Content-Type"].startswith("application/json")
    assert 'filename="issue-1-manifest.json"' in answer["Content-Disposition"]
    assert answer.content.decode() == dry_run(issue).as_text()


def test_what_cannot_be_sent_has_reasons_instead(edda: Client, issue: Issue) -> None:
    save_content(issue, content(sections=()), by="tests")
    assert "no stories" in words_on(edda.get(page_of(issue, "dry_run")))
    answer = edda.get(page_of(issue, "dry_run_manifest"), follow=True)
    assert "no stories" in words_on(answer)


def test_after_the_start_the_page_shows_what_was_recorded(edda: Client, issue: Issue) -> None:
    send_now(issue, by="Edda")
    joined(issue)
    shown = words_on(edda.get(page_of(issue, "dry_run")))
    assert "the manifest under which the issue was started" in shown
    assert read_manifest(issue.manifest).sha256 in shown
    assert json.loads(edda.get(page_of(issue, "dry_run_manifest")).content)["readers"] == 1


def test_send_now_sends_what_its_page_showed(edda: Client, issue: Issue) -> None:
    seen = form_data(edda, page_of(issue, "send_now"), FORM)
    edda.post(page_of(issue, "send_now"), seen)
    issue.refresh_from_db()
    assert issue.status == IssueStatus.SENDING
    assert issue.manifest_sha256 == json.loads(seen["manifest"])["sha256"]


def test_send_now_does_not_send_to_somebody_whom_its_page_did_not_count(edda: Client, issue: Issue) -> None:
    seen = form_data(edda, page_of(issue, "send_now"), FORM)
    joined(issue)
    refused = edda.post(page_of(issue, "send_now"), seen)
    assert "There is 1 reader more than when it was approved: 2, not 1." in words_on(refused)
    issue.refresh_from_db()
    assert issue.status == IssueStatus.DRAFT
    edda.post(page_of(issue, "send_now"), form_data(edda, page_of(issue, "send_now"), FORM))
    issue.refresh_from_db()
    assert issue.status == IssueStatus.SENDING


@pytest.mark.parametrize("given", ["{}", "no manifest", '{"version": 1}', "[1"])
def test_a_page_that_brings_no_true_manifest_sends_nothing(edda: Client, issue: Issue, given: str) -> None:
    assert "look at this page again" in words_on(edda.post(page_of(issue, "send_now"), {"manifest": given}))
    issue.refresh_from_db()
    assert issue.status == IssueStatus.DRAFT


def test_readers_may_join_a_plain_schedule(edda: Client, issue: Issue) -> None:
    seen = confirmation_of(edda, issue)
    joined(issue)
    edda.post(page_of(issue, "schedule"), seen)
    issue.refresh_from_db()
    assert (issue.status, issue.manifest_sha256) == (IssueStatus.SCHEDULED, "")


def test_a_schedule_for_these_readers_is_said_back_and_kept(edda: Client, issue: Issue) -> None:
    assert "Only to these" in words_on(edda.post(page_of(issue, "schedule"), SUMMER | {"same_readers": "on"}))
    edda.post(page_of(issue, "schedule"), confirmation_of(edda, issue, same_readers="on"))
    assert "only if the readers are still the 1 of then" in words_on(edda.get(page_of(issue, "schedule")))
    joined(issue)
    Issue.objects.update(scheduled_at=just_now())
    start_due_issues()
    issue.refresh_from_db()
    assert issue.status == IssueStatus.DRAFT
    assert "1 reader more" in issue.hold_reason


def test_a_schedule_for_these_readers_is_refused_when_they_changed_on_the_way(edda: Client, issue: Issue) -> None:
    seen = confirmation_of(edda, issue, same_readers="on")
    joined(issue)
    assert "1 reader more" in words_on(edda.post(page_of(issue, "schedule"), seen))
    issue.refresh_from_db()
    assert issue.status == IssueStatus.DRAFT


def test_the_summary_says_how_long_it_takes_and_what_it_costs(edda: Client, issue: Issue, settings: Any) -> None:
    from decimal import Decimal

    settings.PRICE_PER_THOUSAND, settings.PRICE_CURRENCY = Decimal("1000"), "EUR"
    shown = words_on(edda.get(page_of(issue, "schedule")))
    assert "less than a minute" in shown
    assert "EUR 1.00" in shown
