"""The import of an archive in the admin: upload, review, run, undo; with permissions and without JavaScript."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from newsletter.admin.archive_import_forms import SOURCES
from newsletter.admin.archive_imports import import_url
from newsletter.archive_import.control import start_run
from newsletter.archive_import.engine import ArchiveImportWorker
from newsletter.archive_import.wiring import choose_reader
from newsletter.content.archives.choose import READERS
from newsletter.content.archives.item import UnreadItem
from newsletter.models import ArchiveEntry, ArchiveImport, ArchiveImportState, Issue, IssueState
from newsletter.models.web_pages import public_issues
from tests.newsletter.archive_import.shelf import Shelf, checked, draft, imported, item, work
from tests.publications import make_newsletter

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

GHOST = {
    "data": {
        "posts": [
            {
                "id": "64f0c1d2e3a4b5c6d7e8f901",
                "title": "Low water",
                "slug": "low-water",
                "html": '<p>The <a href="https://gauge.example/7?utm_source=letter">gauge</a> fell.</p>',
                "status": "published",
                "visibility": "public",
                "type": "post",
                "published_at": "2022-05-03T09:00:00.000Z",
                "created_at": "2022-05-01T09:00:00.000Z",
            }
        ]
    }
}
BOTH = ("add_archiveimport", "view_archiveimport")


@pytest.fixture
def editor(client: Client) -> Client:
    """A client that is logged in as a superuser."""
    client.force_login(User.objects.create_superuser("ida", "ida@example.org", "a long password"))
    return client


def editor_with(client: Client, *names: str) -> Client:
    user = User.objects.create_user("lu", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(user)
    return client


def upload(client: Client, data: bytes, name: str = "ghost.json", source: str = "") -> Any:
    fields = {
        "source": source,
        "newsletter": make_newsletter().pk,
        "file": SimpleUploadedFile(name, data),
        "site_url": "",
    }
    return client.post(reverse("admin:newsletter_archiveimport_add"), fields)


def text_of(client: Client, stored: ArchiveImport, page: str = "review") -> str:
    return client.get(import_url(stored, page)).content.decode()


def test_an_export_of_ghost_becomes_pages_on_the_web(editor: Client) -> None:
    answer = upload(editor, json.dumps(GHOST).encode())
    stored = ArchiveImport.objects.get()
    assert answer["Location"] == import_url(stored, "review")
    review = text_of(editor, stored)
    assert "Checking the archive" in review
    assert 'http-equiv="refresh"' in review
    work(stored, ArchiveImportWorker(choose_reader))
    review = text_of(editor, stored)
    assert "Dry run of 1 entry" in review
    assert "Import 1 issue" in review
    assert "Low water" in review
    assert not Issue.objects.exists()
    editor.post(import_url(stored, "run"), {"where": "publish"})
    stored = work(stored, ArchiveImportWorker(choose_reader))
    assert stored.state == ArchiveImportState.FINISHED
    assert public_issues().get().title == "Low water"
    done = text_of(editor, stored)
    assert "1 of 1 past issue became an issue here: 1 on the web" in done
    assert "Undo import…" in done


def test_a_file_that_is_no_archive_is_an_error_at_its_field_and_is_not_kept(editor: Client) -> None:
    answer = upload(editor, b"just words", "notes.json")
    assert "This is no archive that can be read." in answer.context["form"].errors["file"][0]
    assert answer.content.decode().count("<h1>") == 1
    assert not ArchiveImport.objects.exists()


def test_a_file_of_another_kind_than_chosen_is_an_error_at_its_field(editor: Client) -> None:
    answer = upload(editor, json.dumps(GHOST).encode(), source="kit")
    assert "no archive of the kind that you chose, “kit”" in answer.context["form"].errors["file"][0]


def test_every_kind_of_archive_can_be_chosen() -> None:
    assert set(SOURCES) - {""} == {one.code for one in READERS}


def test_the_choice_of_drafts_is_followed(editor: Client) -> None:
    shelf = Shelf([item(1)])
    stored = checked(shelf)
    editor.post(import_url(stored, "run"), {"where": "drafts"})
    work(stored, shelf.worker())
    assert Issue.objects.get().state == IssueState.DRAFT


def test_only_those_who_may_send_put_issues_on_the_web(client: Client) -> None:
    shelf, editor = Shelf([item(1)]), editor_with(client, *BOTH)
    stored = checked(shelf)
    assert "You need the permission to send issues" in text_of(editor, stored)
    editor.post(import_url(stored, "run"), {"where": "publish"})
    stored = work(stored, shelf.worker())
    assert stored.state == ArchiveImportState.CHECKED
    editor.post(import_url(stored, "run"), {"where": "drafts"})
    assert work(stored, shelf.worker()).state == ArchiveImportState.FINISHED


def test_the_review_names_failures_dates_and_reasons_for_drafts(editor: Client) -> None:
    stored = checked(Shelf([item(1, published_at=None), draft(2), UnreadItem("x.md", "It has no end.", True)]))
    review = text_of(editor, stored)
    assert "It has no end." in review
    assert "Its date is unknown, so it is imported as a draft." in review
    assert "It was a draft at its old place" in review
    assert "Date from: file name" in review


def test_the_progress_is_a_fragment_that_is_sent_once_while_it_does_not_change(editor: Client) -> None:
    stored = checked(Shelf([item(1)]))
    answer = editor.get(import_url(stored, "progress"))
    assert answer.content.decode().strip().startswith('<div data-version="checked"')
    again = editor.get(import_url(stored, "progress"), HTTP_IF_NONE_MATCH=answer["ETag"])
    assert again.status_code == 304


def test_an_import_is_paused_resumed_and_undone(editor: Client) -> None:
    shelf = Shelf([item(number) for number in range(7)])
    stored = checked(shelf)
    start_run(stored, by="ida", as_drafts=False, keeps_tracking=False)
    work(stored, shelf.worker(), chunks=1)
    editor.post(import_url(stored, "pause"))
    assert "Resume" in text_of(editor, stored)
    editor.post(import_url(stored, "resume"))
    stored = work(stored, shelf.worker())
    assert stored.counts["created"] == 7
    assert "Drafts that this import made are deleted." in text_of(editor, stored, "undo")
    editor.post(import_url(stored, "undo"))
    stored = work(stored, shelf.worker())
    assert "Pages taken down: 7." in text_of(editor, stored)
    assert not public_issues().exists()


def test_a_second_click_is_answered_with_a_sentence(editor: Client) -> None:
    stored = imported(Shelf([item(1)]))
    answer = editor.post(import_url(stored, "run"), {"where": "publish"}, follow=True)
    assert "is in the state “Finished” and cannot change to “Running”" in answer.content.decode()


def test_an_upload_that_is_not_imported_can_be_deleted(editor: Client) -> None:
    stored = checked(Shelf([item(1)]))
    editor.post(import_url(stored, "discard"))
    assert not ArchiveImport.objects.exists()
    assert not ArchiveEntry.objects.exists()


def test_what_was_imported_cannot_be_deleted_like_an_upload(editor: Client) -> None:
    stored = imported(Shelf([item(1)]))
    editor.post(import_url(stored, "discard"))
    assert ArchiveImport.objects.exists()


def test_the_report_has_a_line_per_entry(editor: Client) -> None:
    stored = imported(Shelf([item(1), UnreadItem("=x.md", "It has no end.", True)]))
    answer = editor.get(import_url(stored, "report"))
    header, one, two = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert header[:3] == ["File", "Title", "Date (UTC)"]
    assert one[:3] == ["issues/001.md", "Tide table 1", "2021-03-08 12:00"]
    assert one[3:6] == ["file name", "public", "New issue, on the web"]
    assert one[6].endswith("/issues/tide-table-1/")
    assert (two[0], two[5], two[-1]) == ("'=x.md", "Failed", "It has no end.")


@pytest.mark.parametrize("page", ["review", "progress", "report", "undo", "run", "pause", "resume", "discard"])
def test_pages_are_closed_without_permission(client: Client, page: str) -> None:
    stored = checked(Shelf([item(1)]))
    editor = editor_with(client, "view_issue")
    answer = (
        editor.get(import_url(stored, page))
        if page in ("review", "progress", "report")
        else editor.post(import_url(stored, page))
    )
    assert answer.status_code == 403
    assert ArchiveImport.objects.get().state == ArchiveImportState.CHECKED


def test_a_viewer_sees_the_import_without_its_buttons(client: Client) -> None:
    stored = checked(Shelf([item(1)]))
    review = text_of(editor_with(client, "view_archiveimport"), stored)
    assert "Dry run of 1 entry" in review
    assert "Import 1 issue" not in review


def test_the_review_costs_the_same_for_few_and_many_entries(editor: Client, django_assert_max_num_queries: Any) -> None:
    stored = imported(Shelf([item(number) for number in range(30)]))
    with django_assert_max_num_queries(14):
        text_of(editor, stored)
