"""Imports of archives: what becomes of past issues, when the same archive comes again, and when an import is undone."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

import pytest

from newsletter.archive_import.control import start_run, undo
from newsletter.archive_import.counts import source_lines, summary
from newsletter.archive_import.item_data import item_from_data, item_to_data
from newsletter.config.translatable import translatable
from newsletter.content.archives.item import ArchiveNote, ArchivePicture, UnreadItem, Visibility
from newsletter.content.document import SectionContent, SectionKind
from newsletter.content.store import load_content, save_content
from newsletter.content.web_versions import correct_web_version, shown_content
from newsletter.models import (
    ArchiveEntry,
    ArchiveImportPart,
    ArchiveImportState,
    Delivery,
    ImportedIssue,
    Issue,
    IssueState,
    Send,
)
from newsletter.models.web_pages import public_issues
from tests.newsletter.archive_import.shelf import Shelf, checked, draft, imported, item, uploaded, with_content, work
from tests.publications import make_issue, make_newsletter

pytestmark = pytest.mark.django_db


def outcomes() -> list[str]:
    """Of the newest import, in the order of its entries."""
    newest = ArchiveEntry.objects.order_by("-owner").values_list("owner", flat=True)[:1]
    return list(ArchiveEntry.objects.filter(owner__in=newest).order_by("position").values_list("outcome", flat=True))


def notes_of(entry: ArchiveEntry) -> str:
    return " ".join(
        note["sentence"] if isinstance(note["sentence"], str) else note["sentence"]["message"] for note in entry.notes
    )


def test_the_check_writes_no_issue_and_says_what_would_happen() -> None:
    stored = checked(Shelf([item(1), draft(2), item(3, published_at=None), UnreadItem("about.md", "A page.", False)]))
    assert stored.state == ArchiveImportState.CHECKED
    assert not Issue.objects.exists()
    assert {name: count for name, count in stored.expected.items() if ":" not in name} == {
        "created": 3, "drafts": 2, "links": 6, "no_issue": 1, "on_web": 1, "unknown_dates": 1,
    }  # fmt: skip
    assert source_lines(stored.expected) == [
        ("Date from: file name", 2),
        ("Date from: unknown", 1),
        ("At the old place: public", 2),
        ("At the old place: draft", 1),
    ]


def test_a_public_issue_is_on_the_web_with_its_old_date_and_was_mailed_to_nobody() -> None:
    stored = imported(Shelf([item(1)]))
    assert stored.state == ArchiveImportState.FINISHED
    issue = Issue.objects.get()
    assert (issue.title, issue.slug, issue.date) == ("Tide table 1", "tide-table-1", datetime.date(2021, 3, 8))
    assert issue.state == IssueState.PUBLISHED
    assert public_issues().get().shown_at == item(1).published_at
    assert list(issue.categories.values_list("name", flat=True)) == ["Tides"]
    assert not Send.objects.exists()
    assert not Delivery.objects.exists()


def test_its_old_path_leads_to_its_page() -> None:
    imported(Shelf([item(1)]))
    assert Issue.objects.get().web_redirects.get().path == "/issues/1"


def test_an_old_path_that_leads_elsewhere_stays_and_is_named() -> None:
    imported(Shelf([item(1), item(2, old_paths=("/issues/1", "/"))]))
    assert Issue.objects.get(slug="tide-table-1").web_redirects.count() == 1
    entry = ArchiveEntry.objects.get(position=2)
    assert [note["sentence"]["values"]["path"] for note in entry.notes] == ["/issues/1", "/"]


@pytest.mark.parametrize("visibility", [each for each in Visibility if each is not Visibility.PUBLIC])
def test_what_was_not_public_becomes_a_draft_with_a_note(visibility: Visibility) -> None:
    imported(Shelf([item(1, visibility=visibility)]))
    assert Issue.objects.get().state == IssueState.DRAFT
    assert not public_issues().exists()
    assert "so it is imported as a draft" in notes_of(ArchiveEntry.objects.get())


@pytest.mark.parametrize("published_at", [None, datetime.datetime(2999, 1, 1, tzinfo=datetime.UTC)])
def test_without_a_date_in_the_past_an_issue_becomes_a_draft(published_at: datetime.datetime | None) -> None:
    imported(Shelf([item(1, published_at=published_at)]))
    assert Issue.objects.get().state == IssueState.DRAFT
    assert "Its date is" in notes_of(ArchiveEntry.objects.get())


def test_all_are_drafts_if_the_editor_says_so_and_can_be_published_by_a_second_import() -> None:
    shelf = Shelf([item(1), item(2)])
    imported(shelf, as_drafts=True)
    assert set(Issue.objects.values_list("state", flat=True)) == {IssueState.DRAFT}
    imported(shelf)
    assert set(Issue.objects.values_list("state", flat=True)) == {IssueState.PUBLISHED}
    assert outcomes() == ["updated", "updated"]


def test_a_second_import_changes_nothing_if_the_archive_has_not_changed() -> None:
    shelf = Shelf([item(1), draft(2)])
    imported(shelf)
    before = list(Issue.objects.order_by("pk").values_list("pk", "revision", "updated_at"))
    imported(shelf)
    assert outcomes() == ["unchanged", "unchanged"]
    assert list(Issue.objects.order_by("pk").values_list("pk", "revision", "updated_at")) == before


def test_what_changed_in_the_archive_changes_here() -> None:
    imported(Shelf([item(1), draft(2)]))
    sections = (SectionContent(title="High water", body="A metre more."),)
    imported(Shelf([with_content(item(1), sections=sections), with_content(draft(2), sections=sections)]))
    assert outcomes() == ["updated", "updated"]
    assert shown_content(Issue.objects.get(slug="tide-table-1")).sections == sections
    assert load_content(Issue.objects.get(slug="tide-table-2")).sections == sections
    imported(Shelf([with_content(item(1), sections=sections), with_content(draft(2), sections=sections)]))
    assert outcomes() == ["unchanged", "unchanged"]


def test_what_an_editor_changed_here_stays() -> None:
    imported(Shelf([item(1), draft(2)]))
    one, two = Issue.objects.order_by("slug")
    corrected = replace(shown_content(one), preheader="Corrected by hand.")
    correct_web_version(one, corrected, by="ines", based_on=1, note="A preheader was added.")
    save_content(two, replace(load_content(two), preheader="Edited by hand."), by="ines")
    imported(Shelf([with_content(item(1), title="Other"), with_content(draft(2), title="Other")]))
    assert outcomes() == ["edited", "edited"]
    assert shown_content(Issue.objects.get(pk=one.pk)) == corrected
    assert load_content(two).title == "Tide table 2"


def test_what_was_deleted_here_is_not_made_again() -> None:
    imported(Shelf([draft(1)]))
    Issue.objects.all().delete()
    imported(Shelf([draft(1)]))
    assert outcomes() == ["removed"]
    assert not Issue.objects.exists()


def test_a_taken_slug_gets_a_number() -> None:
    make_issue("tide-table-1")
    imported(Shelf([item(1), item(2, content=item(1).content), item(3, content=item(1).content)]))
    slugs = set(Issue.objects.values_list("slug", flat=True))
    assert slugs == {"tide-table-1", "tide-table-1-2", "tide-table-1-3", "tide-table-1-4"}


def test_two_items_with_one_key_are_one_issue_and_one_failure() -> None:
    imported(Shelf([item(1), with_content(item(1), title="The other")]))
    assert outcomes() == ["created", "failed"]
    assert Issue.objects.get().title == "Tide table 1"


def test_links_lose_utm_parameters_unless_they_are_kept() -> None:
    imported(Shelf([item(1)]))
    assert "(https://gauge.example/1)" in load_content(Issue.objects.get()).sections[0].body
    imported(Shelf([item(1)]), keeps_tracking=True)
    assert outcomes() == ["updated"]
    assert "(https://gauge.example/1?utm_source=x)" in shown_content(Issue.objects.get()).sections[0].body


def test_a_failure_stops_nothing_and_is_in_the_report() -> None:
    shelf = Shelf([UnreadItem("broken.md", "It cannot be read.", True), item(1)])
    stored = imported(shelf)
    assert outcomes() == ["failed", "created"]
    assert summary(stored.counts) == (
        "1 of 2 past issues became issues here: 1 on the web, 0 drafts; 1 failed. 2 links, 0 lost."
    )


def test_an_item_without_any_content_is_imported() -> None:
    imported(Shelf([with_content(item(1), sections=(), title="")]))
    assert Issue.objects.get().title == "2021-03-08"


def test_pictures_of_the_archive_are_stored_and_their_addresses_replaced() -> None:
    picture = SectionContent(kind=SectionKind.IMAGE, image="img/a.png", alt="A buoy")
    text = SectionContent(title="Text", body="![A buoy](img/a.png) and ![a mast](img/b.png)")
    pictures = (ArchivePicture("img/a.png", "issues/img/a.png"), ArchivePicture("img/b.png", "issues/img/b.png"))
    one = with_content(item(1, pictures=pictures), sections=(picture, text))
    stored: list[tuple[str, bytes, str]] = []

    def store(newsletter: Any, name: str, data: bytes, by: str) -> str | None:
        stored.append((name, data, by))
        return "https://site.example/media/a.png"

    imported(Shelf([one], {"issues/img/a.png": b"png"}), store_picture=store)
    assert stored == [("a.png", b"png", "ines")]
    kept = load_content(Issue.objects.get())
    assert kept.sections[0].image == "https://site.example/media/a.png"
    assert kept.sections[1].body == "![A buoy](https://site.example/media/a.png) and ![a mast](img/b.png)"
    assert "was not stored here" in notes_of(ArchiveEntry.objects.get())


def test_unknown_keys_of_the_source_are_kept() -> None:
    imported(Shelf([item(1, unknown={"sponsor": {"name": "Anchor"}, "day": datetime.date(2021, 3, 1)})]))
    assert ImportedIssue.objects.get().unknown == {"sponsor": {"name": "Anchor"}, "day": "2021-03-01"}


def test_the_upload_is_deleted_when_the_import_ends() -> None:
    stored = checked(Shelf([item(1)]))
    assert ArchiveImportPart.objects.exists()
    start_run(stored, by="ines", as_drafts=False, keeps_tracking=False)
    work(stored, Shelf([item(1)]).worker())
    assert not ArchiveImportPart.objects.exists()
    assert ArchiveEntry.objects.get().data is None


def test_undoing_deletes_drafts_and_takes_pages_down() -> None:
    shelf = Shelf([item(1), draft(2)])
    stored = imported(shelf)
    undo(stored, by="ines")
    stored = work(stored, shelf.worker())
    assert stored.state == ArchiveImportState.UNDONE
    assert stored.undone == {"taken_down": 1, "removed": 1}
    assert not public_issues().exists()
    assert Issue.objects.get().slug == "tide-table-1"


def test_an_import_after_undoing_makes_all_of_it_again() -> None:
    shelf = Shelf([item(1), draft(2)])
    stored = imported(shelf)
    undo(stored, by="ines")
    work(stored, shelf.worker())
    again = imported(shelf)
    assert outcomes() == ["updated", "created"]
    assert public_issues().count() == 1
    undo(again, by="ines")
    assert work(again, shelf.worker()).undone == {"taken_down": 1, "removed": 1}


def test_undoing_keeps_what_was_changed_since() -> None:
    shelf = Shelf([item(1), draft(2)])
    stored = imported(shelf)
    one, two = Issue.objects.order_by("slug")
    corrected = replace(shown_content(one), preheader="Corrected by hand.")
    correct_web_version(one, corrected, by="ines", based_on=1, is_minor=True)
    save_content(two, replace(load_content(two), preheader="Edited by hand."), by="ines")
    undo(stored, by="ines")
    assert work(stored, shelf.worker()).undone == {"kept": 2}
    assert public_issues().get() == one


def test_an_import_of_another_newsletter_is_another_issue() -> None:
    shelf = Shelf([item(1)])
    imported(shelf)
    imported(shelf, newsletter=make_newsletter("weekend"))
    assert outcomes() == ["created"]
    assert Issue.objects.count() == 2


def test_an_archive_that_cannot_be_read_fails_with_the_sentence() -> None:
    class Nothing(Shelf):
        def items(self, files: Any) -> Any:
            from newsletter.content.archives.item import ArchiveError

            raise ArchiveError(translatable("Nothing is understood."))

    stored = work(uploaded(), Nothing([]).worker())
    assert stored.state == ArchiveImportState.FAILED
    assert stored.problem == "archive"


def test_items_survive_being_stored() -> None:
    note = ArchiveNote(translatable("“{name}” was left out.", name="Share"), 4)
    one = item(1, notes=(note,), language="de", pictures=(ArchivePicture("a.png", "x/a.png"),), unknown={"a": [1]})
    assert item_from_data(item_to_data(one)) == one
