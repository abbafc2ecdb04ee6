"""The web version of an issue in the admin: corrected, hidden, taken down, restored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from newsletter.content.web_versions import change_visibility, publish_on_web
from newsletter.models import Edition, Issue, Visibility, WebPage, WebPageTransition, WebVersion
from tests.newsletter.admin.pages import confirm, form_on, page_of, words_on
from tests.newsletter.web.published import html_of, publish, words
from tests.publications import just_now, make_issue

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

ISSUE = "/harbour-notes/issues/issue-1/"
FORM = "//form[@id='correction']"


@pytest.fixture
def issue(db: None) -> Issue:
    return publish(title="Taller cranes")


def correction(client: Client, issue: Issue, old: str, new: str, **changes: str) -> dict[str, str]:
    """The form of the page with a change of its text."""
    sent = form_on(client.get(page_of(issue, "web_correct")), FORM)
    assert old in sent["text"]
    return {**sent, "text": sent["text"].replace(old, new), **changes}


def publish_correction(client: Client, issue: Issue, old: str, new: str, **changes: str) -> Any:
    """Look at the changes, then publish them."""
    sent = correction(client, issue, old, new, **{"note": "The cranes are lower.", **changes})
    shown = client.post(page_of(issue, "web_correct"), sent)
    return client.post(page_of(issue, "web_correct"), {**form_on(shown, FORM), "publish": "1"}, follow=True)


# --- Correcting ----------------------------------------------------------------------------------------------------


def test_the_changes_are_shown_before_anything_is_published(edda: Client, issue: Issue) -> None:
    sent = correction(edda, issue, "Taller cranes", "Lower cranes", note="The cranes are lower.")
    page = edda.post(page_of(issue, "web_correct"), sent)
    tree = html_of(page.content)
    assert words(tree, "//dd/del") == ["Taller"]
    assert words(tree, "//dd/ins") == ["Lower"]
    assert "Nothing is published yet." in words_on(page)
    assert not WebVersion.objects.exists()


def test_a_correction_is_published_with_its_note(edda: Client, issue: Issue) -> None:
    edition = Edition.objects.values().get()
    page = publish_correction(edda, issue, "Taller cranes", "Lower cranes")
    assert "The web version is corrected." in words_on(page)
    version = WebVersion.objects.get(number=2)
    assert (version.note, version.by, version.content["title"]) == ("The cranes are lower.", "edda", "Lower cranes")
    assert Edition.objects.values().get() == edition
    public = edda.get(ISSUE).content.decode()
    assert "Lower cranes" in public
    assert "The cranes are lower." in public


def test_text_that_was_edited_after_its_changes_were_shown_is_compared_again(edda: Client, issue: Issue) -> None:
    sent = correction(edda, issue, "Taller cranes", "Lower cranes", note="The cranes are lower.")
    shown = form_on(edda.post(page_of(issue, "web_correct"), sent), FORM)
    changed = shown["text"].replace("Lower cranes", "Lowest cranes")
    page = edda.post(page_of(issue, "web_correct"), {**shown, "text": changed, "publish": "1"})
    assert words(html_of(page.content), "//dd/ins") == ["Lowest"]
    assert not WebVersion.objects.exists()


@pytest.mark.parametrize(
    ("old", "new", "changes", "sentence"),
    [
        ("Taller cranes", "Lower cranes", {"note": ""}, "Tell visitors what was corrected"),
        ("Taller cranes", "Taller cranes", {"note": "None."}, "Nothing was changed"),
        ("issue-1", "issue-2", {"note": "None."}, "mails link to the page"),
        ("title: Taller cranes", "title: [", {"note": "None."}, "error to fix"),
        ("Taller cranes", "x" * 300, {"note": "None."}, "the maximum is 200"),
    ],
    ids=["no note", "no change", "other slug", "no front matter", "too long"],
)
def test_a_correction_that_cannot_be_published_says_why(
    edda: Client, issue: Issue, old: str, new: str, changes: dict[str, str], sentence: str
) -> None:
    sent = correction(edda, issue, old, new, **changes)
    page = edda.post(page_of(issue, "web_correct"), sent)
    assert sentence in words_on(page)
    assert words(html_of(page.content), "//title")[0].startswith("Error: ")
    assert not WebVersion.objects.exists()


def test_a_minor_correction_with_hidden_changes(edda: Client, issue: Issue) -> None:
    publish_correction(edda, issue, "Taller cranes", "Lower cranes", note="", is_minor="on", hides_changes="on")
    version = WebVersion.objects.get(number=2)
    assert (version.note, version.is_minor, version.shows_changes) == ("", True, False)


def test_the_second_of_two_corrections_at_once_is_refused(edda: Client, issue: Issue) -> None:
    sent = correction(edda, issue, "Taller cranes", "Lowest cranes", note="Mine.")
    shown = form_on(edda.post(page_of(issue, "web_correct"), sent), FORM)
    publish_correction(edda, issue, "Taller cranes", "Lower cranes")
    page = edda.post(page_of(issue, "web_correct"), {**shown, "publish": "1"})
    assert "Someone else has corrected the web version" in words_on(page)
    assert WebVersion.objects.count() == 2


def test_an_earlier_version_is_restored_as_a_new_one(edda: Client, issue: Issue) -> None:
    publish_correction(edda, issue, "Taller cranes", "Lower cranes")
    restored = form_on(edda.get(page_of(issue, "web_correct") + "?version=1"), FORM)
    assert "title: Taller cranes" in restored["text"]
    shown = edda.post(page_of(issue, "web_correct"), {**restored, "note": "They are taller after all."})
    edda.post(page_of(issue, "web_correct"), {**form_on(shown, FORM), "publish": "1"})
    assert [version.content["title"] for version in WebVersion.objects.order_by("number")] == [
        "Taller cranes",
        "Lower cranes",
        "Taller cranes",
    ]


def test_the_history_lists_versions_with_their_notes_and_changes(edda: Client, issue: Issue) -> None:
    publish_correction(edda, issue, "Taller cranes", "Lower cranes")
    page = html_of(edda.get(page_of(issue, "web")).content)
    rows = words(page, "//section[@aria-labelledby='versions']//tbody//th")
    assert rows == ["2 Current", "1"]
    one = html_of(edda.get(page_of(issue, "web_version", 2)).content)
    assert words(one, "//dd/ins") == ["Lower"]
    assert "As it was mailed." in words_on(edda.get(page_of(issue, "web_version", 1)))
    assert edda.get(page_of(issue, "web_version", 3)).status_code == 404


def test_the_preview_shows_the_typed_text_and_stores_nothing(edda: Client, issue: Issue) -> None:
    sent = correction(edda, issue, "Taller cranes", "Lower cranes")
    page = edda.post(f"{ISSUE}correction/", sent)
    assert words(html_of(page.content), "//h1") == ["Lower cranes"]
    assert page["X-Robots-Tag"] == "noindex, nofollow"
    assert "sandbox" in page["Content-Security-Policy"]
    assert "Line 2" in edda.post(f"{ISSUE}correction/", {"text": "---\ntitle: [\n---\n"}).content.decode()
    assert Client().post(f"{ISSUE}correction/", sent).status_code == 404
    assert edda.get(f"{ISSUE}correction/").status_code == 405
    assert not WebVersion.objects.exists()


# --- Visibility ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "visibility"),
    [
        ("web_unlist", Visibility.UNLISTED),
        ("web_hide", Visibility.NOT_INDEXED),
        ("web_take_down", Visibility.TAKEN_DOWN),
    ],
)
def test_a_page_is_hidden_and_published_again(edda: Client, issue: Issue, page: str, visibility: Visibility) -> None:
    confirm(edda, issue, page, reason="The author asked for it.")
    assert WebPage.objects.get().visibility == visibility
    assert "The author asked for it." in words_on(edda.get(page_of(issue, "web")))
    confirm(edda, issue, "web_publish_again")
    assert WebPage.objects.get().visibility == Visibility.LISTED
    assert [change.by for change in WebPageTransition.objects.all()][1:] == ["edda", "edda"]


def test_taking_down_asks_for_the_reason(edda: Client, issue: Issue) -> None:
    page = confirm(edda, issue, "web_take_down", reason=" ")
    assert "Give the reason" in words_on(page)
    assert not WebPage.objects.exists()


def test_a_second_click_reports_the_present_state(edda: Client, issue: Issue) -> None:
    change_visibility(issue, Visibility.UNLISTED, by="sue")
    page = edda.post(page_of(issue, "web_unlist"), {"reason": ""}, follow=True)
    assert "Nothing was changed: the web version is “Unlisted”." in words_on(page)


@pytest.mark.parametrize("page", ["web_correct", "web_unlist", "web_hide", "web_take_down", "web_publish_again"])
def test_only_those_who_may_send_change_the_page(signed_in: Callable[[str], Client], issue: Issue, page: str) -> None:
    change_visibility(issue, Visibility.NOT_INDEXED, by="edda")
    will = signed_in("will")
    assert will.get(page_of(issue, page)).status_code == 403
    assert will.post(page_of(issue, page), {"reason": "x"}).status_code == 403
    overview = will.get(page_of(issue, "web"))
    assert overview.status_code == 200
    assert "Correct the web version" not in words_on(overview)


def test_a_draft_has_no_web_version(edda: Client) -> None:
    draft = make_issue("draft")
    for page in ("web", "web_correct", "web_unlist"):
        answer = edda.get(page_of(draft, page), follow=True)
        assert "This issue has no web page" in words_on(answer)
    assert "Web version" not in words_on(edda.get(page_of(draft)))


# --- Published without a send --------------------------------------------------------------------------------------


@pytest.fixture
def imported(db: None) -> Issue:
    issue = make_issue("old", title="Cranes of 2019")
    publish_on_web(issue, published_at=just_now(), by="import")
    return issue


def test_the_list_says_that_it_was_never_mailed(edda: Client, imported: Issue) -> None:
    make_issue("draft", title="A draft")
    page = html_of(edda.get("/admin/newsletter/issue/").content)
    rows = words(page, "//table[@id='result_list']//tr[contains(., 'Cranes of 2019')]//td")
    assert "On the web, never mailed" in rows
    assert any(cell.startswith("Published ") for cell in rows)
    assert page_of(imported, "web") in page.xpath("//table[@id='result_list']//a/@href")
    only = words(html_of(edda.get("/admin/newsletter/issue/?status=published").content), "//tbody//th")
    assert [row.partition("Harbour")[0] for row in only] == ["Cranes of 2019"]


def test_it_cannot_be_edited_scheduled_or_deleted_and_says_so(edda: Client, imported: Issue) -> None:
    page = edda.get(page_of(imported))
    assert "This issue is on the web and was never mailed. It cannot be scheduled or sent" in words_on(page)
    assert html_of(page.content).xpath("//form[@id='issue_form']") == []
    for name in ("schedule", "send_now", "dry_run"):
        answer = edda.get(page_of(imported, name), follow=True)
        assert "was published on the web without being mailed" in words_on(answer)
    assert "Nothing was changed" in words_on(edda.get(page_of(imported, "approve"), follow=True))
    assert edda.get(page_of(imported, "delete")).status_code == 403


def test_its_web_version_has_no_facts_of_a_send(edda: Client, imported: Issue) -> None:
    page = words_on(edda.get(page_of(imported, "web")))
    assert "never mailed by this system" in page
    assert "As it was imported" in page
    assert "Report" not in words(html_of(edda.get(page_of(imported, "web")).content), "//nav//a")


def test_the_start_page_does_not_list_it_as_a_draft(edda: Client, imported: Issue) -> None:
    make_issue("draft", title="A draft")
    page = words_on(edda.get("/admin/"))
    assert "A draft" in page
    assert "Cranes of 2019" not in page
