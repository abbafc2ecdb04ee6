"""Pages of revisions: list, view, compare, and restore without losing the current content."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from django.test import Client
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.content.store import load_content, save_content
from newsletter.models import Issue, Revision, SendState
from tests.newsletter.admin.pages import form_data, page_of, words_on
from tests.newsletter.content.test_issue_file import BLOCKS
from tests.publications import content, make_issue, start_sending

pytestmark = pytest.mark.any_database

FIRST = content()
SECOND = replace(FIRST, title="Even taller cranes")


@pytest.fixture
def saved_twice(issue: Issue) -> Issue:
    """Revision 1 as the tests made it, revision 2 with another title by Will."""
    save_content(issue, SECOND, by="will", note="suggestion:Use https")
    return issue


def test_the_list_shows_who_saved_each_revision_its_note_and_its_changes(edda: Client, saved_twice: Issue) -> None:
    shown = words_on(edda.get(page_of(saved_twice, "revisions")))

    assert "will Details changed Current Suggestion used: Use https" in shown
    assert "tests The oldest revision." in shown


def test_a_long_list_is_paginated_and_each_row_is_compared_with_the_one_before_it(edda: Client, issue: Issue) -> None:
    for number in range(2, 33):
        save_content(issue, replace(FIRST, preheader=f"Number {number}"), by="will")
    first, second = (words_on(edda.get(f"{page_of(issue, 'revisions')}?page={page}")) for page in (1, 2))

    assert first.count("Details changed") == 30
    assert "The oldest revision" not in first
    assert "Details changed" in second
    assert "The oldest revision" in second


def test_an_issue_without_revisions_says_so(edda: Client, issue: Issue) -> None:
    Revision.objects.all().delete()

    assert "This issue has no revisions yet" in words_on(edda.get(page_of(issue, "revisions")))
    assert "This issue has no revisions yet" in words_on(edda.get(page_of(issue, "compare"), follow=True))


def test_an_old_revision_can_be_viewed_with_its_blocks(edda: Client, issue: Issue) -> None:
    save_content(issue, replace(FIRST, sections=BLOCKS), by="will")
    save_content(issue, SECOND, by="will")
    shown = words_on(edda.get(page_of(issue, "revision", 2)))

    assert "Ports are quiet." in shown
    assert "https://pictures.example/gauge_(old).png" in shown
    assert edda.get(page_of(issue, "revision", 9)).status_code == 404


def test_two_revisions_are_compared_word_by_word_in_either_direction(edda: Client, saved_twice: Issue) -> None:
    there = edda.get(f"{page_of(saved_twice, 'compare')}?from=1&to=2")
    back = edda.get(f"{page_of(saved_twice, 'compare')}?from=2&to=1")

    assert "Details changed" in words_on(there)
    assert marks_in(there) == {("ins", "Even taller "), ("del", "Taller ")}
    assert marks_in(back) == {("del", "Even taller "), ("ins", "Taller ")}


def test_by_default_the_last_save_is_compared_with_the_one_before(edda: Client, saved_twice: Issue) -> None:
    assert "From revision 1 to 2" in words_on(edda.get(f"{page_of(saved_twice, 'compare')}?from=x&to="))


def test_restoring_a_revision_makes_a_new_one_and_keeps_the_others(edda: Client, saved_twice: Issue) -> None:
    asked = page_of(saved_twice, "restore", 1)
    data = form_data(edda, asked, "//form[input[@name='based_on']]")
    answer = edda.post(asked, data, follow=True)
    saved_twice.refresh_from_db()

    assert "Revision 1 of “Taller cranes” is restored." in words_on(answer)
    assert (load_content(saved_twice), saved_twice.revision) == (FIRST, 3)
    kept = saved_twice.revisions.order_by("number").values_list("number", "by", "note")
    assert list(kept)[-1] == (3, "edda", "restored:1")


def test_the_confirmation_page_restores_nothing(edda: Client, saved_twice: Issue) -> None:
    shown = edda.get(page_of(saved_twice, "restore", 1))

    assert marks_in(shown) == {("del", "Even taller "), ("ins", "Taller ")}
    assert load_content(saved_twice) == SECOND


@pytest.mark.parametrize("based_on", ["1", "", "x"])
def test_a_revision_is_not_restored_over_a_revision_that_was_not_shown(
    edda: Client, saved_twice: Issue, based_on: str
) -> None:
    answer = edda.post(page_of(saved_twice, "restore", 1), {"based_on": based_on})

    assert "has been saved by someone else" in words_on(answer)
    assert load_content(saved_twice) == SECOND


def test_no_revision_of_a_sent_issue_can_be_restored(edda: Client, saved_twice: Issue) -> None:
    start_sending(saved_twice)
    answer = edda.post(page_of(saved_twice, "restore", 1), {"based_on": "2"})
    saved_twice.refresh_from_db()

    assert "its content can no longer change" in words_on(answer)
    assert (load_content(saved_twice), saved_twice.status) == (SECOND, SendState.SENDING)
    assert "Restore…" not in words_on(edda.get(page_of(saved_twice, "revision", 1)))


def test_an_editor_with_view_permission_only_cannot_restore(
    signed_in: Callable[[str], Client], saved_twice: Issue
) -> None:
    lou = signed_in("lou")

    assert "Restore…" not in words_on(lou.get(page_of(saved_twice, "revision", 1)))
    assert lou.post(page_of(saved_twice, "restore", 1), {"based_on": "2"}).status_code == 403


def test_an_unreadable_revision_breaks_no_page(edda: Client, saved_twice: Issue) -> None:
    kept = Revision.objects.get(number=1)
    kept.delete()
    Revision.objects.create(issue=saved_twice, number=1, content={"from": "the future"}, by="will")

    assert "This revision cannot be read" in words_on(edda.get(page_of(saved_twice, "revisions")))
    for page, *named in (("revision", 1), ("restore", 1), ("compare",)):
        answer = edda.get(page_of(saved_twice, str(page), *named), follow=True)
        assert "Revision 1 cannot be read" in words_on(answer)


def test_revisions_of_another_issue_are_not_found(edda: Client, saved_twice: Issue) -> None:
    other = make_issue("issue-2")

    assert edda.get(page_of(other, "revision", 2)).status_code == 404
    assert edda.post(page_of(other, "restore", 2), {"based_on": "1"}).status_code == 404


def marks_in(response: object) -> set[tuple[str, str]]:
    """The texts marked as added or removed in the list of changes."""
    tree = lxml_html.fromstring(response.content.decode())  # type: ignore[attr-defined]
    return {(mark.tag, mark.text) for mark in tree.xpath("//dl[@class='changed-fields']//*[self::ins or self::del]")}
