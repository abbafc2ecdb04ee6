"""Comparison of an issue's editions and its draft."""

from __future__ import annotations

import pytest
from django.test import Client

from newsletter.admin.editions import versions_of
from newsletter.content.store import save_content
from newsletter.models import Edition, Issue, Newsletter
from newsletter.sending.freeze import freeze_edition
from tests.newsletter.admin.pages import page_of, words_on
from tests.publications import content, make_issue, start_sending


def reloaded(issue: Issue) -> Issue:
    return Issue.objects.get(pk=issue.pk)


def test_a_draft_is_compared_with_its_last_edition(edda: Client, issue: Issue) -> None:
    freeze_edition(issue)
    save_content(issue, content(subject="Taller cranes, louder ferries", stories=4), by="Emma")
    shown = edda.get(page_of(issue, "difference"))
    for part in ("1 story added", "Saved draft", "https://harbour.example/cranes/4"):
        assert part in words_on(shown)
    page = shown.content.decode()
    assert "<ins>louder " in page
    assert "<del>quieter " in page


def test_the_query_string_selects_the_compared_editions(edda: Client, issue: Issue) -> None:
    first = freeze_edition(issue)
    save_content(issue, content(title="Second"), by="Emma")
    second = freeze_edition(issue)
    for old, new, change in ((first, second, "<ins>Second</ins>"), (second, first, "<del>Second</del>")):
        page = edda.get(page_of(issue, "difference"), {"from": str(old.pk), "to": str(new.pk)})
        assert change in page.content.decode()


def test_the_same_text_from_another_sender_is_not_reported_as_no_change(edda: Client, issue: Issue) -> None:
    freeze_edition(issue)
    Newsletter.objects.update(sender_name="Quay Notes")
    shown = words_on(edda.get(page_of(issue, "difference")))
    assert "The text is the same; the design or the sender differs." in shown
    assert "Quay Notes <notes@mail.example.org>" in shown


def test_a_draft_that_equals_an_edition_is_not_listed(issue: Issue) -> None:
    edition = freeze_edition(issue)
    versions, problem = versions_of(reloaded(issue))
    assert ([version.edition for version in versions], problem) == ([edition], "")


def test_an_issue_with_one_version_has_nothing_to_compare(edda: Client, issue: Issue) -> None:
    assert "This issue has only one version" in words_on(edda.get(page_of(issue, "difference")))
    assert not Edition.objects.exists()
    assert "This issue has only one version" in words_on(edda.get(page_of(start_sending(issue).issue, "difference")))


def test_a_draft_that_cannot_be_rendered_is_reported_and_editions_stay_comparable(edda: Client, issue: Issue) -> None:
    freeze_edition(issue)
    save_content(issue, content(title="Second"), by="Emma")
    freeze_edition(issue)
    Newsletter.objects.update(theme="velvet")
    shown = words_on(edda.get(page_of(issue, "difference")))
    assert "The draft cannot be rendered, so it cannot be compared." in shown
    assert "Second" in shown


@pytest.mark.parametrize("key", ["0", "draft2", "999999"])
def test_an_edition_of_another_issue_is_not_found(edda: Client, issue: Issue, key: str) -> None:
    foreign = freeze_edition(make_issue("issue-2"))
    for asked in (key, str(foreign.pk)):
        assert edda.get(page_of(issue, "difference"), {"from": asked}).status_code == 404


def test_unreadable_content_of_an_edition_leaves_the_other_facts(edda: Client, issue: Issue) -> None:
    first = freeze_edition(issue)
    fields = {
        name: getattr(first, name) for name in ("issue", "revision", "subject", "html", "text", "nonce", "envelope")
    }
    Edition.objects.create(**fields, content={"shape": "of the future"}, sha256="f" * 64)
    assert "cannot be read by this version" in words_on(edda.get(page_of(issue, "difference")))
