"""The page of an issue is corrected, hidden and published without a send; what was mailed stays as it was."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from newsletter.content.store import ContentError, IssueIsClosed, load_content, save_content
from newsletter.content.web_versions import (
    CorrectionRefused,
    NotOnTheWeb,
    PageChanged,
    change_visibility,
    correct_web_version,
    corrected_contents,
    publish_on_web,
    shown_content,
    version_number,
)
from newsletter.models import (
    Edition,
    InvalidTransition,
    Issue,
    IssueState,
    Visibility,
    WebPageTransition,
    WebRedirect,
    WebVersion,
    WebVersionIsImmutable,
)
from newsletter.models.web_pages import public_issues, reachable_issues
from newsletter.sending.recurring import approve_issue
from newsletter.sending.schedule import IssueRefused, dry_run, schedule_issue, send_now
from tests.newsletter.web.published import publish
from tests.publications import make_issue

pytestmark = pytest.mark.django_db

AT = datetime.datetime(2021, 5, 3, 6, tzinfo=datetime.UTC)


def page_row(issue: Issue) -> Any:
    return reachable_issues().get(pk=issue.pk)


def correct(issue: Issue, **changes: Any) -> WebVersion:
    options: dict[str, Any] = {
        name: changes.pop(name) for name in ("note", "is_minor", "shows_changes") if name in changes
    }
    row = page_row(issue)
    after = replace(shown_content(row), **changes)
    note: dict[str, Any] = {} if options.get("is_minor") else {"note": "Mended."}
    return correct_web_version(issue, after, by="edda", based_on=version_number(row), **{**note, **options})


def assert_refused(change: Callable[[], Any]) -> None:
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        change()


# --- Corrections ---------------------------------------------------------------------------------------------------


def test_a_correction_leaves_the_edition_and_the_rows_of_the_issue_as_they_were() -> None:
    issue = publish()
    edition, before = Edition.objects.values().get(), load_content(issue)
    correct(issue, title="Lower cranes")
    assert Edition.objects.values().get() == edition
    assert load_content(Issue.objects.get()) == before
    assert shown_content(page_row(issue)).title == "Lower cranes"


def test_the_first_correction_keeps_what_was_mailed_as_version_1() -> None:
    issue = publish()
    correct(issue, title="Lower cranes", note="The cranes are lower.")
    correct(issue, preheader="Much lower", is_minor=True)
    rows = WebVersion.objects.order_by("number").values_list("number", "source", "note", "is_minor", "by")
    assert list(rows) == [
        (1, "edition", "", False, "tests"),
        (2, "correction", "The cranes are lower.", False, "edda"),
        (3, "correction", "", True, "edda"),
    ]
    first = WebVersion.objects.get(number=1)
    assert first.at == public_issues().get().shown_at
    assert WebVersion.objects.values("sha256").distinct().count() == 3


def test_a_correction_needs_a_note_a_change_and_the_present_version() -> None:
    issue = publish()
    content = shown_content(page_row(issue))
    other = replace(content, title="Lower cranes")
    with pytest.raises(CorrectionRefused, match="note"):
        correct_web_version(issue, other, by="edda", based_on=1, note=" \n ")
    with pytest.raises(CorrectionRefused, match="Nothing was changed"):
        correct_web_version(issue, content, by="edda", based_on=1, note="Mended.")
    with pytest.raises(PageChanged):
        correct_web_version(issue, other, by="edda", based_on=2, note="Mended.")
    with pytest.raises(CorrectionRefused, match="longer"):
        correct_web_version(issue, other, by="edda", based_on=1, note="x" * 501)
    assert not WebVersion.objects.exists()


@pytest.mark.parametrize("changes", [{"slug": "another"}, {"date": datetime.date(2020, 1, 1)}], ids=["slug", "date"])
def test_the_place_of_a_page_cannot_be_corrected(changes: dict[str, Any]) -> None:
    with pytest.raises(CorrectionRefused, match="mails link to the page"):
        correct(publish(), **changes)


def test_the_subject_stays_as_mailed() -> None:
    issue = publish()
    correct(issue, title="Lower cranes", subject="Lower cranes")
    assert shown_content(page_row(issue)).subject == "Taller cranes, quieter ferries"


def test_content_that_breaks_the_rules_of_its_fields_is_refused() -> None:
    with pytest.raises(ContentError, match="300 characters"):
        correct(publish(), title="x" * 300)


def test_a_draft_has_no_page_to_correct_or_take_down() -> None:
    issue = make_issue()
    with pytest.raises(NotOnTheWeb):
        correct_web_version(issue, load_content(issue), by="edda", based_on=1, note="Mended.")
    with pytest.raises(NotOnTheWeb):
        change_visibility(issue, Visibility.UNLISTED, by="edda")


def test_what_repeats_issues_gets_the_corrected_content() -> None:
    first, second = publish("first"), publish("second")
    correct(first, title="Lower cranes")
    found = corrected_contents([first.pk, second.pk])
    assert {pk: content.title for pk, content in found.items()} == {first.pk: "Lower cranes"}


# --- Versions and history are append-only --------------------------------------------------------------------------


def test_versions_cannot_be_changed_or_deleted() -> None:
    correct(publish(), title="Lower cranes")
    version = WebVersion.objects.get(number=2)
    with pytest.raises(WebVersionIsImmutable):
        WebVersion.objects.update(note="Nothing.")
    with pytest.raises(WebVersionIsImmutable):
        version.save()
    assert_refused(lambda: WebVersion.objects.all()._raw_delete("default"))
    for change in ("note = 'Nothing.'", "content = '{}'", "number = 7"):
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE newsletter_webversion SET {change}")


def test_the_history_of_visibility_cannot_be_changed_or_deleted() -> None:
    change_visibility(publish(), Visibility.UNLISTED, by="edda", text="The author asked for it.")
    assert_refused(lambda: WebPageTransition.objects.update(by="norm"))
    assert_refused(lambda: WebPageTransition.objects.update(values={}))
    assert_refused(lambda: WebPageTransition.objects.all()._raw_delete("default"))


# --- Visibility ----------------------------------------------------------------------------------------------------


def listed() -> list[str]:
    return [issue.slug for issue in public_issues()]


@pytest.mark.parametrize(
    ("visibility", "expected"),
    [
        (Visibility.NOT_INDEXED, ["first", "second"]),
        (Visibility.UNLISTED, ["second"]),
        (Visibility.TAKEN_DOWN, ["second"]),
    ],
)
def test_lists_have_what_is_visible(visibility: Visibility, expected: list[str]) -> None:
    first, _second = publish("first"), publish("second")
    change_visibility(first, visibility, by="edda", text="The author asked for it.")
    assert sorted(listed()) == expected
    change_visibility(first, Visibility.LISTED, by="edda")
    assert sorted(listed()) == ["first", "second"]


def test_taking_down_needs_a_reason_which_is_kept() -> None:
    issue = publish()
    with pytest.raises(CorrectionRefused, match="reason"):
        change_visibility(issue, Visibility.TAKEN_DOWN, by="edda", text="  ")
    change_visibility(issue, Visibility.TAKEN_DOWN, by="edda", text="The author  asked for it.")
    last = WebPageTransition.objects.last()
    assert last is not None
    assert (last.source, last.target, last.by) == ("listed", "taken_down", "edda")
    assert last.text == "The author asked for it."


def test_a_second_click_changes_nothing() -> None:
    issue = publish()
    change_visibility(issue, Visibility.UNLISTED, by="edda")
    with pytest.raises(InvalidTransition):
        change_visibility(issue, Visibility.UNLISTED, by="edda")
    assert WebPageTransition.objects.count() == 2


# --- Published without a send --------------------------------------------------------------------------------------


def published(slug: str = "issue-1", **options: Any) -> Issue:
    issue = make_issue(slug)
    publish_on_web(issue, published_at=AT, by="import", **options)
    return issue


def test_an_issue_is_published_without_a_send() -> None:
    issue = published()
    row = public_issues().get()
    assert (row.pk, row.shown_at, row.status) == (issue.pk, AT, IssueState.PUBLISHED)
    assert shown_content(row).title == "Taller cranes"
    assert WebVersion.objects.get().source == "import"
    assert not row.sends.exists()
    assert issue.is_published_without_send
    assert not issue.is_editable


def test_its_content_changes_by_a_correction_only() -> None:
    issue = published()
    with pytest.raises(IssueIsClosed):
        save_content(issue, replace(load_content(issue), title="Lower cranes"), by="will")
    correct(issue, title="Lower cranes")
    assert WebVersion.objects.get(number=2).content["title"] == "Lower cranes"


@pytest.mark.parametrize(
    "use",
    [
        lambda issue: send_now(issue, by="sue"),
        lambda issue: schedule_issue(issue, wall=datetime.datetime(2099, 1, 1, 7), zone="UTC", by="sue"),
        lambda issue: approve_issue(issue, by="sue", revision=issue.revision),
        dry_run,
    ],
    ids=["send", "schedule", "approve", "dry run"],
)
def test_it_can_never_be_sent(use: Callable[[Issue], Any]) -> None:
    issue = published()
    with pytest.raises(IssueRefused, match="was published on the web without being mailed"):
        use(issue)
    assert not issue.sends.exists()


def test_only_a_draft_that_was_never_used_is_published_so() -> None:
    sent = publish("sent")
    with pytest.raises(IssueIsClosed):
        publish_on_web(sent, published_at=AT, by="import")
    issue = published()
    with pytest.raises(IssueIsClosed):
        publish_on_web(issue, published_at=AT, by="import")
    with pytest.raises(ValueError, match="future"):
        publish_on_web(make_issue("third"), published_at=timezone.now() + datetime.timedelta(days=1), by="import")


def test_it_may_be_published_unlisted_with_its_old_paths() -> None:
    issue = published(visibility=Visibility.UNLISTED, old_paths=["/p/cranes/", "/p/cranes.html"])
    assert listed() == []
    assert page_row(issue).web_page.visibility == Visibility.UNLISTED
    assert [row.path for row in WebRedirect.objects.all()] == ["/p/cranes"]


def test_sent_and_unsent_issues_are_listed_by_the_time_of_their_publication() -> None:
    publish("sent-2026")
    published("from-2021")
    assert listed() == ["sent-2026", "from-2021"]
