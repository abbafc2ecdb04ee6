"""A worker that is killed in the middle of an import: the next one ends it, with every item exactly once."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest
from django.db import transaction
from django.utils import timezone

from newsletter.archive_import import engine
from newsletter.archive_import.control import pause, resume, start_run
from newsletter.archive_import.engine import LEASE
from newsletter.config import failpoints
from newsletter.config.failpoints import Action, Crash, Failpoint, Point
from newsletter.models import ArchiveEntry, ArchiveImport, ArchiveImportState, ImportedIssue, Issue, WebVersion
from newsletter.models.web_pages import public_issues
from tests.newsletter.archive_import.shelf import Shelf, checked, item, uploaded, work

#: With transactions of their own, so that a kill rolls back what was not committed.
pytestmark = pytest.mark.django_db(transaction=True)

POINTS = [point for point in Point if point.value.startswith("archive")]
ISSUES = 7


@pytest.fixture(autouse=True)
def _in_small_pieces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(engine, "WRITE_ITEMS", 2)
    monkeypatch.setattr(engine, "READ_ITEMS", 2)
    yield
    failpoints.arm(None)


@pytest.mark.parametrize("hit", [1, 2, 4])
@pytest.mark.parametrize("point", POINTS, ids=lambda point: str(point.value))
def test_every_item_is_imported_exactly_once(point: Point, hit: int) -> None:
    shelf = Shelf([item(number) for number in range(ISSUES)])
    stored = checked(shelf)
    start_run(stored, by="ines", as_drafts=False, keeps_tracking=False)
    failpoints.arm(Failpoint(point=point, hit=hit, action=Action.RAISE))
    with pytest.raises(Crash):
        work(stored, shelf.worker())
    failpoints.arm(None)
    assert not transaction.get_connection().in_atomic_block
    next_worker = shelf.worker()
    assert not next_worker.claim(stored.pk), "the dead worker still has its lease"
    ArchiveImport.objects.update(heartbeat_at=timezone.now() - LEASE - datetime.timedelta(seconds=1))
    stored = work(stored, next_worker)
    assert stored.state == ArchiveImportState.FINISHED
    assert stored.counts["created"] == stored.done_count == ISSUES
    assert Issue.objects.count() == ImportedIssue.objects.count() == public_issues().count() == ISSUES
    assert WebVersion.objects.count() == ISSUES
    assert set(ArchiveEntry.objects.values_list("outcome", flat=True)) == {"created"}


def test_the_check_goes_on_where_another_worker_died() -> None:
    shelf = Shelf([item(number) for number in range(ISSUES)])
    stored = uploaded()
    first = shelf.worker()
    assert first.claim(stored.pk)
    first.advance(stored.pk)
    ArchiveImport.objects.update(heartbeat_at=timezone.now() - LEASE - datetime.timedelta(seconds=1))
    stored = work(stored, shelf.worker())
    assert not first.advance(stored.pk)
    assert stored.state == ArchiveImportState.CHECKED
    assert stored.expected["created"] == stored.entry_count == ISSUES
    keys = list(ArchiveEntry.objects.order_by("position").values_list("key", flat=True))
    assert keys == [item(number).key for number in range(ISSUES)]


def test_a_paused_import_goes_on() -> None:
    shelf = Shelf([item(number) for number in range(ISSUES)])
    stored = checked(shelf)
    start_run(stored, by="ines", as_drafts=False, keeps_tracking=False)
    stored = work(stored, shelf.worker(), chunks=1)
    pause(stored)
    stored = work(stored, shelf.worker())
    assert (stored.state, stored.done_count, Issue.objects.count()) == (ArchiveImportState.PAUSED, 2, 2)
    resume(stored)
    stored = work(stored, shelf.worker())
    assert (stored.state, Issue.objects.count()) == (ArchiveImportState.FINISHED, ISSUES)
