"""The bin: a deleted draft is out of everything, and back unchanged within 30 days."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from newsletter.content.bin import (
    ISSUES_PER_RUN,
    KEPT_FOR,
    IssueIsKept,
    NotInBin,
    delete_from_bin,
    empty_bin,
    move_to_bin,
    restore_from_bin,
)
from newsletter.content.drafts import draft_like_last, duplicate_issue
from newsletter.content.problems import ParsedIssue
from newsletter.content.store import ImportOutcome, import_issue, load_content
from newsletter.gathering.inbox import earlier_stories
from newsletter.gathering.pick import add_links
from newsletter.models import Issue, IssueState, Reason, Revision, SavedLinkState
from newsletter.sending.recurring import outlook, plan_occurrences
from newsletter.sending.schedule import lock
from tests.feeds import make_links
from tests.publications import content, make_issue, make_newsletter, schedule_send, today

pytestmark = pytest.mark.django_db


def binned(slug: str = "issue-1", *, ago: datetime.timedelta | None = None) -> Issue:
    issue = make_issue(slug)
    move_to_bin(issue, by="edda")
    if ago:
        Issue.with_bin.filter(pk=issue.pk).update(deleted_at=timezone.now() - ago)
    return issue


def test_an_issue_in_the_bin_is_in_no_list() -> None:
    issue = binned()
    assert not Issue.objects.exists()
    assert not make_newsletter().issues.exists()
    assert [row.deleted_by for row in Issue.with_bin.in_bin()] == ["edda"]
    with pytest.raises(Issue.DoesNotExist), transaction.atomic():
        lock(issue)  # as every start of a send does


def test_a_restored_issue_is_as_it_was() -> None:
    issue = make_issue()
    before = load_content(issue)
    move_to_bin(issue, by="edda")
    restored = restore_from_bin(issue.pk)
    assert load_content(restored) == before
    assert (restored.deleted_at, restored.deleted_by, restored.revision) == (None, "", issue.revision)
    assert restored.revisions.count() == 1


def test_an_approved_issue_loses_its_approval_and_its_occurrence() -> None:
    newsletter = make_newsletter()
    newsletter.recurring_schedules.create(weekday=today().weekday(), time=datetime.time(7), title="{date}")
    plan_occurrences()
    issue = Issue.objects.get()
    Issue.objects.filter(pk=issue.pk).update(state=IssueState.APPROVED, approved_revision=issue.revision)
    assert [other for _, other in outlook(newsletter)] == [issue]

    move_to_bin(issue, by="edda")

    assert [(occurrence.issue, other) for occurrence, other in outlook(newsletter)] == [(None, None)]
    assert issue.transitions.get().reason == Reason.BINNED
    assert restore_from_bin(issue.pk).state == IssueState.DRAFT


def test_an_issue_in_the_bin_cannot_be_approved() -> None:
    issue = binned()
    with pytest.raises(IntegrityError), transaction.atomic():
        Issue.with_bin.filter(pk=issue.pk).update(state=IssueState.APPROVED, approved_revision=issue.revision)


def test_an_issue_that_was_scheduled_is_kept() -> None:
    issue = make_issue()
    schedule_send(issue)
    with pytest.raises(IssueIsKept, match="“Taller cranes” cannot be deleted"):
        move_to_bin(issue, by="edda")
    assert Issue.objects.get().deleted_at is None


def test_a_weekly_digest_is_kept() -> None:
    issue = make_issue()
    Issue.objects.filter(pk=issue.pk).update(digest_at=timezone.now())
    with pytest.raises(IssueIsKept):
        move_to_bin(issue, by="edda")


def test_the_slug_of_an_issue_in_the_bin_is_free_and_a_restored_issue_gets_a_number() -> None:
    old = binned()
    Issue.with_bin.filter(pk=old.pk).update(number=3)
    done = import_issue(make_newsletter(), ParsedIssue(content()))
    Issue.objects.filter(pk=done.issue.pk).update(number=3)
    assert done.outcome == ImportOutcome.CREATED

    restored = restore_from_bin(old.pk)

    assert (restored.slug, restored.number) == ("issue-1-2", None)


def test_drafts_start_from_no_issue_in_the_bin() -> None:
    older = make_issue("older", date=datetime.date(2026, 11, 1), sections=())
    binned("newer")
    assert not load_content(draft_like_last(make_newsletter(), by="edda")).sections
    assert duplicate_issue(older, by="edda").slug == "copy-of-taller-cranes"


def test_the_bin_is_emptied_after_30_days() -> None:
    day = datetime.timedelta(days=1)
    kept, gone = binned("kept", ago=KEPT_FOR - day), binned("gone", ago=KEPT_FOR + day)
    alive = make_issue("alive")

    assert not empty_bin()

    assert set(Issue.with_bin.values_list("pk", flat=True)) == {kept.pk, alive.pk}
    assert not Revision.objects.filter(issue=gone.pk).exists()


def test_a_full_bin_is_emptied_in_several_runs() -> None:
    newsletter, old = make_newsletter(), timezone.now() - 2 * KEPT_FOR
    rows = (
        Issue(newsletter=newsletter, slug=f"old-{n}", title="Old", deleted_at=old) for n in range(ISSUES_PER_RUN + 1)
    )
    Issue.with_bin.bulk_create(rows)
    assert [empty_bin(), empty_bin()] == [True, False]
    assert not Issue.with_bin.exists()


@pytest.mark.parametrize("act", [restore_from_bin, delete_from_bin])
def test_what_is_not_in_the_bin_is_neither_restored_nor_deleted(act: Callable[[int], object]) -> None:
    issue = make_issue()
    with pytest.raises(NotInBin):
        act(issue.pk)
    assert Issue.objects.filter(pk=issue.pk).exists()


def test_links_of_an_issue_in_the_bin_are_kept_again_and_ran_nowhere() -> None:
    (link,) = make_links(1)
    issue = make_issue(sections=())
    add_links(issue, [link.pk], section="Links", by="edda")
    pages = [link.page_sha256]
    assert earlier_stories(issue.newsletter, [link.url], pages)
    move_to_bin(issue, by="edda")
    assert not earlier_stories(issue.newsletter, [link.url], pages)
    link.refresh_from_db()
    assert (link.state, link.issue_id) == (SavedLinkState.KEPT, None)
    restore_from_bin(issue.pk)
    link.refresh_from_db()
    assert (link.state, link.issue_id) == (SavedLinkState.USED, issue.pk)
