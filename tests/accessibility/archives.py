"""The wizard that imports archives of past issues, in each of its states."""

from __future__ import annotations

from newsletter.admin.archive_imports import import_url
from newsletter.archive_import.control import start_run, undo
from newsletter.config.translatable import translatable
from newsletter.content.archives.item import ArchiveItem, ArchiveNote, UnreadItem
from newsletter.models import ArchiveImport
from tests.accessibility.site import admin_url
from tests.newsletter.archive_import.shelf import Shelf, checked, draft, imported, item, uploaded, work

NOTE = ArchiveNote(translatable("A form to subscribe was left out."), 12)


def a_shelf() -> Shelf:
    """Issues of all kinds, a failure, and a page."""
    items: list[ArchiveItem | UnreadItem] = [item(number, notes=(NOTE,)) for number in range(12)]
    broken = UnreadItem("issues/2021-02-30.md", translatable("The date 2021-02-30 does not exist. Correct it."), True)
    return Shelf([*items, draft(20), item(21, published_at=None), broken, UnreadItem("about.md", "A page.", False)])


def archive_import_pages() -> dict[str, str]:
    """Each step of the wizard, and each state of an import."""
    shelf = a_shelf()
    waiting, review, running, finished = uploaded(), checked(shelf), checked(shelf), imported(shelf)
    start_run(running, by="edda", as_drafts=False, keeps_tracking=False)
    work(running, shelf.worker(), chunks=2)
    undone = imported(Shelf([draft(30)]))
    undo(undone, by="edda")
    work(undone, shelf.worker())
    failed = uploaded()
    ArchiveImport.objects.filter(pk=failed.pk).update(state="failed", problem="archive", detail="This is no archive.")
    return {
        "archive-upload": admin_url("newsletter_archiveimport_add"),
        "archive-checking": import_url(waiting, "review"),
        "archive-review": import_url(review, "review"),
        "archive-running": import_url(running, "review"),
        "archive-finished": import_url(finished, "review"),
        "archive-undone": import_url(undone, "review"),
        "archive-failed": import_url(failed, "review"),
        "archive-undo": import_url(finished, "undo"),
        "archive-imports": admin_url("newsletter_archiveimport_changelist"),
    }
