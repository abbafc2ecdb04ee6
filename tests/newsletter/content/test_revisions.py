"""Every save that changes something is stored as a revision that can be read later."""

from __future__ import annotations

from dataclasses import replace

import pytest

from newsletter.content.problems import ParsedIssue
from newsletter.content.revisions import UnreadableRevision, content_of, latest_revision
from newsletter.content.store import StaleRevision, import_issue, load_content, save_content
from newsletter.models import Issue, Revision, RevisionIsImmutable
from tests.newsletter.content.harbour_notes import ISSUE_41, make_draft
from tests.newsletter.content.test_issue_file import BLOCKS
from tests.publications import make_newsletter

pytestmark = pytest.mark.django_db

SECOND = replace(ISSUE_41, preheader="Only one story, really")


def kept(issue: Issue) -> list[tuple[int, str, str]]:
    return list(issue.revisions.order_by("number").values_list("number", "by", "note"))


def test_each_save_stores_the_whole_content_with_author_and_note() -> None:
    issue = make_draft()
    save_content(issue, SECOND, by="ada", note="Restored revision 3")

    assert kept(issue) == [(1, "tests", ""), (2, "ada", "Restored revision 3")]
    assert [content_of(revision) for revision in issue.revisions.order_by("number")] == [ISSUE_41, SECOND]
    assert latest_revision(issue) == issue.revisions.get(number=2)


def test_a_save_without_changes_stores_no_revision() -> None:
    issue = make_draft()
    save_content(issue, ISSUE_41, by="ada")

    assert kept(issue) == [(1, "tests", "")]


def test_a_refused_save_stores_no_revision() -> None:
    issue = make_draft()
    with pytest.raises(StaleRevision):
        save_content(issue, SECOND, by="ada", based_on=7)

    assert kept(issue) == [(1, "tests", "")]


def test_every_kind_of_block_is_stored() -> None:
    issue = make_draft(sections=BLOCKS)

    assert load_content(issue).sections == BLOCKS
    assert content_of(issue.revisions.get()).sections == BLOCKS


def test_an_import_has_a_note() -> None:
    newsletter = make_newsletter()
    import_issue(newsletter, ParsedIssue(ISSUE_41), by="ada")
    issue = import_issue(newsletter, ParsedIssue(SECOND), by="ben").issue

    assert kept(issue) == [(1, "ada", "imported"), (2, "ben", "imported")]


def test_content_from_before_revisions_were_kept_is_stored_at_the_next_save() -> None:
    issue = make_draft()
    Revision.objects.all().delete()
    save_content(issue, SECOND, by="ada")

    assert kept(issue) == [(1, "", "before_revisions"), (2, "ada", "")]
    assert content_of(issue.revisions.get(number=1)) == ISSUE_41


def test_a_revision_from_before_blocks_can_be_read() -> None:
    issue = make_draft()
    old = issue.revisions.get()
    for section in old.content["sections"]:
        for key in ("kind", "url", "source", "image", "alt"):
            del section[key]

    assert content_of(old) == ISSUE_41


def test_an_unreadable_revision_is_an_error() -> None:
    with pytest.raises(UnreadableRevision, match="Revision 3 cannot be read"):
        content_of(Revision(number=3, content={"sections": [{"kind": "hologram"}]}))


def test_a_revision_cannot_be_changed() -> None:
    revision = make_draft().revisions.get()
    revision.note = "Something else"

    with pytest.raises(RevisionIsImmutable):
        revision.save()
    with pytest.raises(RevisionIsImmutable):
        Revision.objects.update(note="Something else")
