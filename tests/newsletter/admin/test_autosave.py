"""Autosave: valid text becomes content, other text an unfinished draft, and nothing typed is lost or replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.admin.rows import rows_of
from newsletter.content.revisions import AUTOSAVE_TIME, content_of
from newsletter.content.store import load_content, save_content
from newsletter.models import Issue, Newsletter, Revision, UnfinishedDraft
from newsletter.sending.freeze import freeze_edition
from tests.newsletter.admin.pages import envelope_data, form_data, page_of, rows_data, words_on
from tests.publications import content, make_issue, make_newsletter, start_sending

pytestmark = pytest.mark.any_database

NEW = reverse("admin:newsletter_issue_autosave_new")


def typed(client: Client, issue: Issue, **changes: str) -> dict[str, str]:
    """The form as compose.js posts it, with changes."""
    named = {name.replace("__", "-"): value for name, value in changes.items()}
    return form_data(client, page_of(issue)) | named


def autosave(client: Client, issue: Issue, data: dict[str, str]) -> Any:
    return client.post(page_of(issue, "autosave"), data).json()


def numbers(issue: Issue) -> list[int]:
    return list(issue.revisions.order_by("number").values_list("number", flat=True))


def test_valid_text_becomes_content_and_the_page_learns_its_revision(edda: Client, issue: Issue) -> None:
    answer = autosave(edda, issue, typed(edda, issue, preheader="Typed"))
    issue.refresh_from_db()
    assert answer["state"] == "saved"
    assert (answer["revision"], answer["errors"]) == (issue.revision, {})
    assert issue.preheader == "Typed"
    assert issue.revisions.get(number=issue.revision).note_text == "Autosaved"
    assert not UnfinishedDraft.objects.exists()


def test_autosaves_of_one_editor_make_one_revision(edda: Client, issue: Issue) -> None:
    for words in ("A", "As", "As typed"):
        autosave(edda, issue, typed(edda, issue, preheader=words))
    issue.refresh_from_db()
    assert (issue.preheader, issue.revision, numbers(issue)) == ("As typed", 4, [1, 4])
    assert LogEntry.objects.count() == 1


def test_an_autosave_after_its_time_makes_another_revision(edda: Client, issue: Issue) -> None:
    autosave(edda, issue, typed(edda, issue, preheader="First"))
    first = issue.revisions.get(number=2)
    first.delete()
    Revision.objects.create(
        issue=issue, number=2, content=first.content, by="edda", autosaved_since=first.saved_at - AUTOSAVE_TIME
    )
    autosave(edda, issue, typed(edda, issue, preheader="Second"))
    assert numbers(issue) == [1, 2, 3]


def test_autosaves_of_two_editors_are_two_revisions(
    edda: Client, signed_in: Callable[[str], Client], issue: Issue
) -> None:
    autosave(edda, issue, typed(edda, issue, preheader="Edda’s"))
    will = signed_in("will")
    autosave(will, issue, typed(will, issue, preheader="Will’s"))
    assert list(issue.revisions.values_list("number", "by")) == [(3, "will"), (2, "edda"), (1, "tests")]


def test_a_manual_save_makes_a_revision_that_no_autosave_replaces(edda: Client, issue: Issue) -> None:
    autosave(edda, issue, typed(edda, issue, preheader="Typed"))
    # Nothing has changed since the autosave: its revision becomes one of the editor.
    autosave(edda, issue, typed(edda, issue, manual="1"))
    kept = issue.revisions.get(number=2)
    assert (kept.autosaved_since, kept.note, kept.by) == (None, "", "edda")
    autosave(edda, issue, typed(edda, issue, preheader="Typed on"))
    assert numbers(issue) == [1, 2, 3]
    autosave(edda, issue, typed(edda, issue, preheader="Typed on and on", manual="1"))
    assert numbers(issue) == [1, 2, 3, 4]


def test_a_revision_that_was_frozen_or_approved_is_not_replaced(edda: Client, issue: Issue) -> None:
    autosave(edda, issue, typed(edda, issue, preheader="Frozen"))
    issue.refresh_from_db()
    freeze_edition(issue)
    autosave(edda, issue, typed(edda, issue, preheader="Approved"))
    issue.refresh_from_db()
    issue.move("approved", by="sue", approved_revision=issue.revision)
    # The page shows that the approval has ended.
    assert autosave(edda, issue, typed(edda, issue, preheader="Changed"))["status"] == "draft"
    issue.refresh_from_db()
    assert numbers(issue) == [1, 2, 3, 4]
    assert issue.state == "draft"


def test_text_with_an_error_is_kept_whole_as_an_unfinished_draft(edda: Client, issue: Issue) -> None:
    before = load_content(issue)
    data = typed(edda, issue, rows__2__url="nowhere", rows__3__body="Words that must survive.")
    answer = autosave(edda, issue, data)
    assert answer["state"] == "unfinished"
    assert list(answer["errors"]) == ["", "rows-2-url"]
    assert load_content(issue) == before

    page = edda.get(page_of(issue))
    assert "This is your unfinished text" in words_on(page)
    shown = form_data(edda, page_of(issue))
    assert (shown["rows-2-url"], shown["rows-3-body"]) == ("nowhere", "Words that must survive.")


def test_characters_that_no_field_accepts_are_no_error_of_the_server(edda: Client, issue: Issue) -> None:
    data = typed(edda, issue, rows__2__title="A\0B")
    assert autosave(edda, issue, data)["state"] == "unfinished"
    assert UnfinishedDraft.objects.get().fields["rows-2-title"] == ["A\ufffdB"]


@pytest.mark.parametrize(
    "posted", [{}, {"rows-TOTAL_FORMS": "x"}, {"rows-TOTAL_FORMS": "3"}, {"rows-TOTAL_FORMS": "2", "rows-1-kind": "x"}]
)
@pytest.mark.parametrize("page", ["autosave", "unfinished_compare"])
def test_a_form_with_missing_parts_is_no_error_of_the_server(
    edda: Client, issue: Issue, page: str, posted: dict[str, str]
) -> None:
    before = load_content(issue)
    assert edda.post(page_of(issue, page), posted).status_code == (200 if posted else 400)
    assert edda.get(page_of(issue)).status_code == 200
    assert load_content(issue) == before


def test_an_unfinished_draft_ends_when_its_text_is_saved(edda: Client, issue: Issue) -> None:
    autosave(edda, issue, typed(edda, issue, rows__2__url="nowhere", preheader="Kept"))
    # The page that continues it saves it, by hand or by autosave.
    edda.post(page_of(issue), typed(edda, issue, rows__2__url="https://quay.example/1"))
    issue.refresh_from_db()
    assert issue.preheader == "Kept"
    assert not UnfinishedDraft.objects.exists()


def test_an_unfinished_draft_is_shown_to_its_editor_only(
    edda: Client, signed_in: Callable[[str], Client], issue: Issue
) -> None:
    autosave(edda, issue, typed(edda, issue, rows__2__url="nowhere"))
    assert "nowhere" not in signed_in("will").get(page_of(issue)).content.decode()


def test_an_unfinished_draft_can_be_discarded(edda: Client, issue: Issue) -> None:
    autosave(edda, issue, typed(edda, issue, rows__2__url="nowhere"))
    answer = edda.post(page_of(issue, "unfinished_discard"), typed(edda, issue), follow=True)
    assert "The unfinished text is discarded." in words_on(answer)
    assert not UnfinishedDraft.objects.exists()
    assert "nowhere" not in edda.get(page_of(issue)).content.decode()


def test_two_tabs_never_replace_or_end_each_others_unfinished_draft(edda: Client, issue: Issue) -> None:
    one, other = typed(edda, issue, rows__2__url="nowhere"), typed(edda, issue, rows__2__url="elsewhere")
    autosave(edda, issue, one)
    autosave(edda, issue, other)
    # The second tab corrects its error: the text of the first stays.
    autosave(edda, issue, other | {"rows-2-url": "https://quay.example/1"})
    (draft,) = UnfinishedDraft.objects.all()
    assert draft.fields["rows-2-url"] == ["nowhere"]


def test_a_tab_that_goes_on_typing_keeps_the_draft_that_another_tab_has_opened(edda: Client, issue: Issue) -> None:
    first = typed(edda, issue, rows__2__url="nowhere")
    autosave(edda, issue, first)
    second = typed(edda, issue, rows__2__url="https://quay.example/1")
    autosave(edda, issue, first | {"rows-3-body": "Typed since."})
    assert autosave(edda, issue, second)["state"] == "saved"
    (draft,) = UnfinishedDraft.objects.all()
    assert draft.fields["rows-3-body"] == ["Typed since."]


def test_a_newer_revision_is_named_and_the_text_is_kept_beside_it(edda: Client, issue: Issue) -> None:
    data = typed(edda, issue, rows__2__body="Mine.")
    theirs = content(title="Theirs")
    save_content(issue, theirs, by="will")
    answer = autosave(edda, issue, data)
    assert (answer["state"], answer["by"], answer["compare"]) == ("newer", "will", page_of(issue))
    assert load_content(issue) == theirs

    compared = edda.get(page_of(issue))
    assert "was saved just now by will" in words_on(compared)
    assert "Mine." in compared.content.decode()
    replaced = typed(edda, issue, replace_revision=str(issue.revision))
    assert autosave(edda, issue, replaced)["state"] == "saved"
    assert next(load_content(issue).stories()).body == "Mine."


def test_text_typed_after_sending_started_is_kept_and_not_saved(edda: Client, issue: Issue) -> None:
    data, before = typed(edda, issue, rows__2__body="Too late."), load_content(issue)
    start_sending(issue)
    assert autosave(edda, issue, data)["state"] == "closed"
    assert load_content(issue) == before
    assert UnfinishedDraft.objects.get().fields["rows-2-body"] == ["Too late."]


def test_autosave_needs_the_right_to_change_and_a_csrf_token(signed_in: Callable[[str], Client], issue: Issue) -> None:
    lou = signed_in("lou")
    for page in ("autosave", "unfinished_discard", "unfinished_compare"):
        assert lou.post(page_of(issue, page), {}).status_code == 403
        assert Client().post(page_of(issue, page), {}).status_code == 302
    assert lou.post(NEW, {}).status_code == 403
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = lou.cookies
    assert strict.post(page_of(issue, "autosave"), {}).status_code == 403
    assert not UnfinishedDraft.objects.exists()


def new_issue(newsletter: Newsletter, **changes: str) -> dict[str, Any]:
    written = content()
    data = envelope_data(written) | rows_data(rows_of(written))
    return data | {"newsletter": newsletter.pk, "based_on": "0"} | changes


def test_a_new_issue_is_created_by_the_first_autosave_that_is_valid(edda: Client) -> None:
    newsletter = make_newsletter()
    assert edda.post(NEW, new_issue(newsletter, title="")).json()["state"] == "kept"
    assert not Issue.objects.exists()
    answer = edda.post(NEW, new_issue(newsletter)).json()
    issue = Issue.objects.get()
    assert (answer["state"], answer["issue"], answer["revision"]) == ("saved", issue.pk, 1)
    assert (answer["url"], answer["autosave"]) == (page_of(issue), page_of(issue, "autosave"))
    assert load_content(issue) == content()
    # The same again, as after a cut connection, makes no second issue.
    assert edda.post(NEW, new_issue(newsletter)).json()["issue"] == issue.pk


def test_a_new_issue_never_replaces_another_with_its_slug(edda: Client) -> None:
    issue = make_issue()
    answer = edda.post(NEW, new_issue(issue.newsletter, title="Another")).json()
    assert answer["state"] == "kept"
    assert Issue.objects.get().title == "Taller cranes"


def test_typed_text_is_compared_with_the_saved_issue_without_being_stored(edda: Client, issue: Issue) -> None:
    data = typed(edda, issue, rows__2__title="Quay 1 gets a smaller crane", rows__3__url="nowhere")
    shown = edda.post(page_of(issue, "unfinished_compare"), data).content.decode()
    assert "<ins>smaller </ins>" in shown
    assert "nowhere" in shown
    assert issue.revisions.count() == 1
    assert not UnfinishedDraft.objects.exists()


def test_the_history_names_who_saved_and_each_revision_can_be_read(edda: Client, issue: Issue) -> None:
    autosave(edda, issue, typed(edda, issue, preheader="Typed"))
    latest = issue.revisions.first()
    assert latest is not None
    assert content_of(latest).preheader == "Typed"
    assert "Autosaved" in words_on(edda.get(page_of(issue, "revisions")))


def test_pasted_links_become_rows_without_being_fetched(edda: Client) -> None:
    url = reverse("admin:newsletter_issue_pasted")
    pasted = "- [A ferry that waits](https://ferry.example/waits) · Ferry Post\n- https://quay.example/1"
    first, second = edda.post(url, {"text": pasted}).json()["rows"]
    assert (first["kind"], first["title"], first["source"]) == ("story", "A ferry that waits", "Ferry Post")
    assert (second["title"], second["url"]) == ("", "https://quay.example/1")
    assert edda.post(url, {"text": "Only words.\nAnd more."}).json() == {"rows": []}
    assert edda.post(url, {"text": "https://quay.example/1\n" * 20_000}).json() == {"rows": []}


def test_the_page_without_javascript_has_a_position_and_a_removal_for_each_row(edda: Client, issue: Issue) -> None:
    tree = lxml_html.fromstring(edda.get(page_of(issue)).content.decode())
    assert len(tree.xpath("//noscript[not(ancestor::template)]//input[contains(@name, '-ORDER')]")) == 6 + 3
    assert len(tree.xpath("//noscript[not(ancestor::template)]//input[contains(@name, '-DELETE')]")) == 6 + 3
