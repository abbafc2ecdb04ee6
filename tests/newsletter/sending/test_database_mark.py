"""The database mark: it goes on whatever the clock does, and a restore that is noticed is secured in the end."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from django.utils import timezone

from newsletter.models import (
    Batch,
    BatchState,
    DatabaseMark,
    InvalidTransition,
    Issue,
    Restore,
    RestoreSource,
    SwitchTransition,
    sending_stopped,
)
from newsletter.providers.base import Provider
from newsletter.sending import after_restore, database_mark
from newsletter.sending.after_restore import begin_restore
from newsletter.sending.database_mark import FRESH, check_and_mark
from newsletter.sending.switch import resume_sending
from tests import people
from tests.publications import expand_audiences, just_now, start_sending

pytestmark = pytest.mark.django_db

DAY = datetime.timedelta(days=1)


@pytest.fixture(autouse=True)
def marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(database_mark, "mark_folder", lambda: tmp_path)
    return tmp_path


@pytest.fixture
def ready(issue: Issue, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """A send with one batch that is ready, in a database that a worker has marked."""
    monkeypatch.setattr(after_restore, "get_route", lambda: (provider,))
    people.make_subscriptions(2, issue.newsletter)
    start_sending(issue)
    expand_audiences()
    check_and_mark()


def marked_at() -> datetime.datetime:
    return DatabaseMark.objects.get().marked_at


def restore_by_hand(*, to: datetime.datetime) -> None:
    """What it does with the mark: it is as it was at the time of the backup."""
    DatabaseMark.objects.update(marked_at=to)


def fail(*_: object) -> int:
    raise ValueError("odd")


# A restore that cannot be secured at once


def test_a_noticed_restore_whose_securing_fails_is_finished_later_and_is_one_restore(ready: None) -> None:
    restore_by_hand(to=marked_at() - DAY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(after_restore, "_hold_batches", fail)
        for _ in range(3):
            with pytest.raises(ValueError, match="odd"):
                check_and_mark()
        assert sending_stopped()
        with pytest.raises(InvalidTransition, match="still being held"):
            resume_sending(by="Edda")
    assert check_and_mark()
    assert Batch.objects.get().state == BatchState.HELD
    restore = Restore.objects.get()
    assert (restore.source, restore.secured_at is not None) == (RestoreSource.NOTICED, True)
    assert SwitchTransition.objects.count() == 1
    assert not check_and_mark()
    resume_sending(by="Edda")


def test_what_another_worker_left_unfinished_is_finished_while_this_one_runs(ready: None) -> None:
    begin_restore(backup_at=just_now(), source=RestoreSource.COMMAND, by="tests")
    assert check_and_mark()
    assert Batch.objects.get().state == BatchState.HELD
    resume_sending(by="Edda")


@pytest.mark.parametrize("source", RestoreSource)
def test_a_database_that_goes_back_while_a_restore_is_unfinished_is_covered_by_it(
    ready: None, source: RestoreSource
) -> None:
    """A command that was killed before it marked the database, or a machine that has seen a later mark."""
    begun = begin_restore(backup_at=just_now(), source=source, by="tests")
    restore_by_hand(to=marked_at() - DAY)
    assert check_and_mark()
    restore = Restore.objects.get()
    assert restore.restored_at > begun.restored_at, "what may have been sent until now is searched for"
    assert not check_and_mark()


# Clocks that jump


def test_a_restore_is_noticed_though_the_clock_was_once_far_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now + 3650 * DAY)
    check_and_mark()
    monkeypatch.setattr(timezone, "now", lambda: now)
    check_and_mark()
    backup = marked_at()
    monkeypatch.setattr(timezone, "now", lambda: now + DAY)
    assert not check_and_mark()
    restore_by_hand(to=backup)
    assert check_and_mark()
    assert not check_and_mark()


def test_a_mark_that_is_fresh_is_not_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    check_and_mark()
    first = marked_at()
    now += FRESH - datetime.timedelta(seconds=1)
    check_and_mark()
    assert marked_at() == first
    now += datetime.timedelta(seconds=1)
    check_and_mark()
    assert marked_at() == now
