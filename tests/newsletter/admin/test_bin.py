"""The bin in the admin: deleting asks in one sentence, and is undone with one click."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.content.bin import move_to_bin
from newsletter.models import Issue
from tests.newsletter.admin.pages import confirm, page_of, words_on
from tests.publications import make_issue, schedule_send

pytestmark = pytest.mark.any_database

BIN = reverse("admin:newsletter_issue_bin")


def test_deleting_a_draft_asks_in_one_sentence(edda: Client, issue: Issue) -> None:
    words = words_on(edda.get(page_of(issue, "delete")))
    assert "Delete “Taller cranes”?" in words
    assert "The draft goes to the bin with its revisions, and can be restored until" in words
    assert "revisions:" not in words
    assert Issue.objects.get() == issue


def test_a_deleted_draft_is_undone_on_the_next_page(edda: Client, issue: Issue) -> None:
    answer = confirm(edda, issue, "delete")
    assert "“Taller cranes” is in the bin." in words_on(answer)
    assert not Issue.objects.exists()
    action = lxml_html.fromstring(answer.content.decode()).xpath("//form[contains(@class, 'undo')]/@action")[0]
    restored = edda.post(action, follow=True)
    assert "“Taller cranes” is restored, as a draft." in words_on(restored)
    assert Issue.objects.get() == issue
    assert "can be restored until" not in words_on(edda.get(reverse("admin:newsletter_issue_changelist")))


def test_the_bin_lists_who_deleted_what(edda: Client, issue: Issue) -> None:
    assert "The bin is empty." in words_on(edda.get(BIN))
    move_to_bin(issue, by="will")
    words = words_on(edda.get(BIN))
    assert "Taller cranes Harbour Notes" in words
    assert "by will" in words
    assert edda.get(page_of(issue)).status_code == 302


def test_deleting_now_asks_and_deletes_for_good(edda: Client, issue: Issue) -> None:
    move_to_bin(issue, by="edda")
    url = reverse("admin:newsletter_issue_bin_delete", args=[issue.pk])
    assert "with its stories (3) and revisions (1)" in words_on(edda.get(url))
    assert "“Taller cranes” is deleted." in words_on(edda.post(url, follow=True))
    assert not Issue.with_bin.exists()
    assert edda.get(url).status_code == 404


def test_what_was_restored_meanwhile_is_not_restored_again(edda: Client, issue: Issue) -> None:
    url = reverse("admin:newsletter_issue_bin_restore", args=[issue.pk])
    assert "no longer in the bin" in words_on(edda.post(url, follow=True))


def test_a_draft_that_was_scheduled_cannot_be_deleted(edda: Client, issue: Issue) -> None:
    schedule_send(issue)
    assert edda.get(page_of(issue, "delete")).status_code == 403
    assert Issue.objects.get().deleted_at is None


@pytest.mark.parametrize(("name", "page"), [("lou", 200), ("will", 200), ("norm", 403)])
def test_the_bin_opens_for_those_who_see_issues_and_acts_for_those_who_may(
    name: str, page: int, issue: Issue, signed_in: Callable[[str], Client]
) -> None:
    move_to_bin(issue, by="edda")
    client = signed_in(name)
    assert client.get(BIN).status_code == page
    assert client.post(reverse("admin:newsletter_issue_bin_delete", args=[issue.pk])).status_code == 403
    restored = client.post(reverse("admin:newsletter_issue_bin_restore", args=[issue.pk])).status_code
    assert restored == (302 if name == "will" else 403)


def test_the_history_of_the_issue_tells_of_the_bin(edda: Client) -> None:
    issue = make_issue("issue-9")
    confirm(edda, issue, "delete")
    edda.post(reverse("admin:newsletter_issue_bin_restore", args=[issue.pk]))
    words = words_on(edda.get(page_of(issue, "history")))
    assert "Moved to the bin." in words
    assert "Restored from the bin." in words
