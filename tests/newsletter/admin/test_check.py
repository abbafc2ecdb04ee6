"""The check page: findings by severity, links to their places, and suggestions."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace

import pytest
from django.test import Client
from django.utils import timezone
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.admin.check import TRIGGERS
from newsletter.content.document import SectionContent, StoryContent
from newsletter.content.store import load_content, save_content
from newsletter.models import Issue, LinkCheck, LinkState, PreflightRun
from newsletter.preflight import Trigger
from tests.newsletter.admin.pages import form_data, page_of, words_on
from tests.publications import content, start_sending, story, today

SUGGESTION = "//form[contains(@action, '/check/suggestion/')]"


@pytest.fixture
def faulty(issue: Issue) -> Issue:
    stories = (story(1), StoryContent(title="A story without a link", body="Words."))
    sections = (SectionContent(title="Signal", body="Words."), SectionContent(title="Dives", stories=stories))
    save_content(issue, content(sections=sections), by="tests")
    return issue


@pytest.fixture
def without_preheader(issue: Issue) -> Issue:
    save_content(issue, content(preheader="", date=today()), by="tests")
    return issue


def test_findings_link_to_their_field(edda: Client, faulty: Issue, read_by_ada: None) -> None:
    answer = edda.get(page_of(faulty, "check"))
    assert "1 problem blocks sending." in words_on(answer)
    assert "Errors: sending is blocked" in words_on(answer)
    assert "Dives, story 2" in words_on(answer)
    # Rows of the compose page, from 0: Signal, Dives, story 1, story 2.
    assert f'href="{page_of(faulty)}#id_rows-3-url"' in answer.content.decode()
    assert 'id="id_rows-3-url"' in edda.get(page_of(faulty)).content.decode()


def without_links(count: int) -> tuple[SectionContent, ...]:
    stories = tuple(StoryContent(title=f"Story {number}", body="Words.") for number in range(count))
    return (SectionContent(title="Dives", stories=stories),)


def test_one_repeated_flaw_is_one_finding_with_a_way_through_it(edda: Client, issue: Issue, read_by_ada: None) -> None:
    save_content(issue, content(sections=without_links(31)), by="tests")
    answer = edda.get(page_of(issue, "check"))
    assert "31 stories have no link" in words_on(answer)
    tree = lxml_html.fromstring(answer.content.decode())
    (kind,) = tree.xpath("//section[@id='errors-card']//li[@data-finding]")
    assert len(kind.xpath(".//ul[@class='places']/li")) == 12
    (everything,) = kind.xpath(".//details/p/a/@href")
    (tour,) = kind.xpath(".//a[contains(@href, 'check=')]/@href")
    assert tour.endswith("?check=content.story_without_link&at=1#id_rows-1-url")

    all_of_them = lxml_html.fromstring(edda.get(page_of(issue, "check") + everything.partition("/check/")[2]).content)
    assert len(all_of_them.xpath("//ul[@class='places']/li")) == 31

    stop = words_on(edda.get(tour.partition("#")[0]))
    assert "Problem 1 of 31: The story “Story 0” has no link." in stop
    last = words_on(edda.get(page_of(issue) + "?check=content.story_without_link&at=31"))
    assert "Problem 31 of 31" in last
    for outside in ("at=0", "at=32", "at=x", "at=999999999", "at=²"):
        assert "Problem" not in words_on(edda.get(f"{page_of(issue)}?check=content.story_without_link&{outside}"))


def test_fixes_are_shown_before_they_are_made_together(edda: Client, issue: Issue, read_by_ada: None) -> None:
    save_content(issue, content(preheader="", subject="Harbours!!", date=today()), by="tests")
    page = edda.get(page_of(issue, "check_fixes"))
    assert "Replace with a single “!”" in words_on(page)
    data = form_data(edda, page_of(issue, "check_fixes"), "//main//form[.//input[@name='finding']]")
    assert len(data["finding"]) == 2
    before = Issue.objects.get().revision
    answer = edda.post(page_of(issue, "check_fixes"), data, follow=True)
    assert "2 changes were made and saved as one revision." in words_on(answer)
    saved = Issue.objects.get()
    assert (saved.revision, saved.subject, saved.preheader) == (before + 1, "Harbours!", "The harbour grows upwards.")


def test_a_warning_is_accepted_with_a_reason_and_can_be_shown_again(
    edda: Client, without_preheader: Issue, read_by_ada: None
) -> None:
    page = edda.get(page_of(without_preheader, "check"))
    tree = lxml_html.fromstring(page.content.decode())
    link = next(a for a in tree.xpath("//a/@href") if "check/accept" in a and "finding=" in a)
    assert "Reason" in words_on(edda.get(link))
    assert "This field is required" in words_on(edda.post(link, {"reason": " "}))
    for _ in range(2):  # a second click accepts nothing else
        edda.post(link, {"reason": "It is a test."})
    accepted = without_preheader.accepted_findings.get()
    assert (accepted.reason, accepted.by) == ("It is a test.", "edda")
    words = words_on(edda.get(page_of(without_preheader, "check")))
    assert "1 accepted warning" in words
    assert "Accepted by edda: It is a test." in words
    edda.post(page_of(without_preheader, "check_withdraw"), {"finding": accepted.key})
    assert not without_preheader.accepted_findings.exists()


def test_an_error_cannot_be_accepted(edda: Client, faulty: Issue, read_by_ada: None) -> None:
    answer = edda.post(
        f"{page_of(faulty, 'check_accept')}?kind=content.story_without_link", {"reason": "x"}, follow=True
    )
    assert "There is no such warning any more." in words_on(answer)
    assert not faulty.accepted_findings.exists()


def test_the_page_can_ask_how_far_the_links_are(edda: Client, issue: Issue, read_by_ada: None) -> None:
    edda.get(page_of(issue, "check"))
    state = edda.get(page_of(issue, "check_progress")).json()
    assert (state["waiting"], state["total"], state["revision"]) == (3, 3, issue.revision)
    LinkCheck.objects.update(state=LinkState.CHECKED, status=200, checked_at=timezone.now())
    assert edda.get(page_of(issue, "check_progress")).json()["waiting"] == 0


def test_an_issue_without_errors_can_be_scheduled(edda: Client, issue: Issue, read_by_ada: None) -> None:
    answer = edda.get(page_of(issue, "check"))
    assert "Errors: sending is blocked" not in words_on(answer)
    assert page_of(issue, "schedule") in answer.content.decode()


def test_checks_without_findings_are_listed(edda: Client, issue: Issue, read_by_ada: None) -> None:
    save_content(issue, content(date=today()), by="tests")
    words = words_on(edda.get(page_of(issue, "check")))
    assert "All 3 stories are complete" in words
    assert "The issue has 1 recipient." in words


def test_an_issue_without_recipients_has_an_error(edda: Client, issue: Issue) -> None:
    assert "Errors: sending is blocked" in words_on(edda.get(page_of(issue, "check")))


def test_a_user_without_the_permission_to_change_sees_no_actions(
    faulty: Issue, without_preheader: Issue, signed_in: Callable[[str], Client]
) -> None:
    words = words_on(signed_in("lou").get(page_of(without_preheader, "check")))
    assert "The preheader is empty" in words
    for offer in ("Edit (", "Use suggestion", "Check links again", "Accept…", "Next problem"):
        assert offer not in words


def test_a_suggestion_is_saved_with_one_click(edda: Client, without_preheader: Issue, read_by_ada: None) -> None:
    page = page_of(without_preheader, "check")
    answer = edda.post(page_of(without_preheader, "check_suggestion"), form_data(edda, page, SUGGESTION), follow=True)
    assert "Suggestion used: Use “The harbour grows upwards.”. The issue was saved." in words_on(answer)
    assert "Use suggestion" not in words_on(answer)
    assert Issue.objects.get().preheader == "The harbour grows upwards."


def test_a_suggestion_on_an_outdated_page_changes_nothing(
    edda: Client, without_preheader: Issue, read_by_ada: None
) -> None:
    data = form_data(edda, page_of(without_preheader, "check"), SUGGESTION)
    save_content(without_preheader, replace(load_content(without_preheader), title="Newer words"), by="will")
    answer = edda.post(page_of(without_preheader, "check_suggestion"), data, follow=True)
    assert "The suggestion is for revision" in words_on(answer)
    assert Issue.objects.get().preheader == ""


@pytest.mark.parametrize("data", [{}, {"revision": "x", "finding": "y"}, {"revision": "9" * 40, "finding": "\0"}])
def test_an_invalid_request_for_a_suggestion_changes_nothing(data: dict[str, str], edda: Client, issue: Issue) -> None:
    before = issue.revision
    assert edda.post(page_of(issue, "check_suggestion"), data).status_code == 302
    assert Issue.objects.get().revision == before


def test_opening_the_page_requests_link_checks_and_a_button_repeats_them(
    edda: Client, issue: Issue, read_by_ada: None
) -> None:
    assert "3 links: waiting for an answer." in words_on(edda.get(page_of(issue, "check")))
    LinkCheck.objects.update(state=LinkState.CHECKED, status=200, checked_at=timezone.now())
    assert "All 3 links work." in words_on(edda.get(page_of(issue, "check")))
    again = edda.post(page_of(issue, "check_links"), follow=True)
    assert "3 links are being checked." in words_on(again)
    assert LinkCheck.objects.filter(state=LinkState.WAITING).count() == 3


def test_actions_need_a_post_request(edda: Client, issue: Issue) -> None:
    assert edda.get(page_of(issue, "check_suggestion")).status_code == 405
    assert edda.get(page_of(issue, "check_links")).status_code == 405


def test_earlier_runs_are_listed_with_user_and_result(edda: Client, issue: Issue, read_by_ada: None) -> None:
    assert "Earlier runs" not in words_on(edda.get(page_of(issue, "check")))
    PreflightRun.objects.update(by="will", at=timezone.now() - datetime.timedelta(hours=1))
    words = words_on(edda.get(page_of(issue, "check")))
    assert f"Checked by will, revision {issue.revision}: " in words
    assert "(same result as now)" in words


def test_an_earlier_run_with_another_result_shows_its_findings(
    edda: Client, without_preheader: Issue, read_by_ada: None
) -> None:
    edda.get(page_of(without_preheader, "check"))
    save_content(without_preheader, replace(load_content(without_preheader), preheader="Words."), by="edda")
    words = words_on(edda.get(page_of(without_preheader, "check")))
    assert "revision 2: 2 warnings 3 of 3 links have not been checked yet." in words
    assert "Preheader The preheader is empty" in words


def test_a_failed_rendering_is_an_error(edda: Client, issue: Issue, read_by_ada: None) -> None:
    long = replace(story(1), url=f"https://harbour.example/{'a' * 1_000}")
    save_content(issue, content(sections=(SectionContent(title="Long", stories=(long,)),)), by="tests")
    assert "the maximum in a mail is 998" in words_on(edda.get(page_of(issue, "check")))


def test_the_links_of_an_issue_that_is_sending_are_not_checked(edda: Client, issue: Issue, read_by_ada: None) -> None:
    start_sending(issue)
    assert edda.get(page_of(issue, "check")).status_code == 200
    assert not LinkCheck.objects.exists()


def test_every_trigger_has_a_label_and_every_form_a_token(edda: Client, without_preheader: Issue) -> None:
    assert set(TRIGGERS) == set(Trigger)
    tree = lxml_html.fromstring(edda.get(page_of(without_preheader, "check")).content.decode())
    forms = tree.xpath("//main//form[@method='post']")
    assert len(forms) >= 2
    assert all(form.xpath(".//input[@name='csrfmiddlewaretoken']") for form in forms)
