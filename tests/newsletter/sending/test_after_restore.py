"""After a restore nothing is sent until an operator resumes, and nothing twice; a restore by hand is noticed, too."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import timezone

from newsletter.models import (
    Batch,
    BatchState,
    DatabaseMark,
    Delivery,
    DeliveryState,
    InvalidTransition,
    Issue,
    IssueState,
    Occurrence,
    Reason,
    RecurringSchedule,
    Restore,
    RestoreSource,
    SendState,
    WorkerHeartbeat,
    sending_stopped,
)
from newsletter.monitoring.diagnostics import diagnostics
from newsletter.providers.base import Provider
from newsletter.sandbox import SandboxServer
from newsletter.sending import after_restore, database_mark
from newsletter.sending.after_restore import (
    acknowledge_restores,
    begin_restore,
    secure_restored_copy,
    secure_unfinished,
)
from newsletter.sending.batch import claim_batch
from newsletter.sending.control import finish_sends, pause_send, resume_send
from newsletter.sending.database_mark import check_and_mark, write_mark
from newsletter.sending.expand import expand_audience
from newsletter.sending.post import post_batch
from newsletter.sending.provider_search import held_batches, next_search, read_page
from newsletter.sending.recurring import approve_issue, start_next_due_occurrence
from newsletter.sending.schedule import start_next_due_send
from newsletter.sending.switch import resume_sending
from tests import people
from tests.publications import (
    expand_audiences,
    just_now,
    make_issue,
    post_everything,
    schedule_send,
    send_of,
    start_sending,
)
from tests.sandboxes import sandbox_with_a_long_list

pytestmark = pytest.mark.django_db

HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxServer]:
    with sandbox_with_a_long_list(monkeypatch) as server:
        yield server


@pytest.fixture(autouse=True)
def _route(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(after_restore, "get_route", lambda: (provider,))


def restore() -> Restore:
    """Do with this database what is done with a copy that was restored from a backup of now."""
    begun = begin_restore(backup_at=just_now(), source=RestoreSource.COMMAND, by="tests")
    return secure_restored_copy(begun)


def settle_by_search(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newsletter.sending.provider_search.SETTLING", datetime.timedelta(0))
    monkeypatch.setattr("newsletter.sending.provider_search.PACE", datetime.timedelta(0))
    while search := next_search(held_batches(), by="tests"):
        read_page(search, provider)  # type: ignore[arg-type]


def states() -> list[str]:
    return list(Batch.objects.order_by("first_delivery").values_list("state", flat=True))


@pytest.mark.parametrize("was_paused", [False, True], ids=["sending", "paused"])
def test_every_batch_that_may_have_been_sent_is_held_and_the_audience_is_complete(
    issue: Issue, provider: Provider, was_paused: bool
) -> None:
    people.make_subscriptions(6, issue.newsletter)
    send = start_sending(issue)
    expand_audience(2, chunk=4)
    post_batch([provider])
    if was_paused:
        pause_send(send, by="Edda")
    done = restore()
    send.refresh_from_db()
    assert (send.state, send.hold_reason, send.expanded_at is not None) == (
        SendState.PAUSED,
        Reason.RESTORED_SEND,
        True,
    )
    assert states()[0] == BatchState.ACCEPTED
    assert set(states()[1:]) == {BatchState.HELD}
    assert Delivery.objects.filter(state=DeliveryState.UNKNOWN).count() == 4
    assert done.held["batches"] == len(states()) - 1


def test_nothing_is_sent_until_sending_and_the_send_are_resumed(
    issue: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    people.make_subscriptions(4, issue.newsletter)
    send = start_sending(issue)
    expand_audiences(batch_size=2)
    restore()
    assert post_everything(provider) == 0
    resume_sending(by="Edda")
    assert post_everything(provider) == 0
    resume_send(send, by="Edda")
    assert post_everything(provider) == 0, "its batches are held"
    assert sandbox.ledger.summary()["messages"] == 1, "the one of two days ago"


def test_the_providers_list_settles_what_was_sent_and_the_rest_is_sent_once(
    issue: Issue, provider: Provider, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.make_subscriptions(6, issue.newsletter)
    send = start_sending(issue)
    expand_audiences(batch_size=2)
    post_batch([provider])
    # One more batch is sent, and the restored database does not know it.
    second = Batch.objects.filter(state=BatchState.READY).order_by("pk").first()
    assert second is not None
    before = {name: getattr(second, name) for name in ("state", "attempts", "payload", "provider", "recipients")}
    post_batch([provider])
    Batch.objects.filter(pk=second.pk).update(**before, first_attempt_at=None, finished_at=None)
    owned = Delivery.objects.filter(pk__gte=second.first_delivery, pk__lte=second.last_delivery)
    owned.update(state=DeliveryState.PENDING, provider_id="")
    restore()
    settle_by_search(provider, monkeypatch)
    assert states() == [BatchState.ACCEPTED, BatchState.ACCEPTED, BatchState.READY]
    resume_sending(by="Edda")
    resume_send(send, by="Edda")
    assert post_everything(provider) == 1
    assert finish_sends()
    summary = sandbox.ledger.summary()
    assert (summary["messages"], summary["recipients"]) == (7, 7), "and the one of two days ago"


def test_a_claimed_batch_is_held_with_its_own_bytes(issue: Issue, provider: Provider) -> None:
    people.make_subscriptions(2, issue.newsletter)
    start_sending(issue)
    expand_audiences(batch_size=2)
    claimed = claim_batch(provider)
    assert claimed is not None
    payload = Batch.objects.get().payload
    restore()
    batch = Batch.objects.get()
    assert (batch.state, batch.reason, batch.payload) == (BatchState.HELD, Reason.RESTORED_BATCH, payload)


def test_a_batch_of_a_later_local_time_is_sent_after_the_resumption(issue: Issue, provider: Provider) -> None:
    people.make_subscriptions(2, issue.newsletter)
    start_sending(issue)
    expand_audiences(batch_size=2)
    Batch.objects.update(not_before=timezone.now() + HOUR)
    restore()
    assert states() == [BatchState.READY]


def test_a_schedule_that_came_due_since_the_backup_is_held_and_a_later_one_is_not(issue: Issue) -> None:
    people.make_subscriptions(1, issue.newsletter)
    due, later = schedule_send(issue, at=just_now()), schedule_send(make_issue("issue-2", issue.newsletter))
    restore()
    resume_sending(by="Edda")
    assert not start_next_due_send()
    assert send_of(issue).hold_reason == Reason.RESTORED_SEND
    later.refresh_from_db()
    assert (later.state, later.hold_reason) == (SendState.SCHEDULED, "")
    assert due.transitions.filter(reason=Reason.RESTORED_SEND).exists()


def test_an_occurrence_since_the_backup_sends_no_approved_issue(issue: Issue) -> None:
    people.make_subscriptions(1, issue.newsletter)
    schedule = RecurringSchedule.objects.create(newsletter=issue.newsletter, weekday=0)
    Occurrence.objects.create(schedule=schedule, date=just_now().date(), starts_at=just_now())
    approve_issue(issue, by="Edda", revision=issue.revision)
    restore()
    resume_sending(by="Edda")
    assert not start_next_due_occurrence()
    issue.refresh_from_db()
    assert (issue.state, issue.hold_reason) == (IssueState.DRAFT, Reason.RESTORED_SEND)


def test_a_restore_that_was_interrupted_is_finished_by_a_worker_before_sending_can_be_resumed(issue: Issue) -> None:
    people.make_subscriptions(2, issue.newsletter)
    start_sending(issue)
    expand_audiences(batch_size=2)
    begin_restore(backup_at=just_now(), source=RestoreSource.COMMAND, by="tests")
    with pytest.raises(InvalidTransition, match="still being held"):
        resume_sending(by="Edda")
    assert secure_unfinished()
    assert not secure_unfinished()
    assert states() == [BatchState.HELD]
    resume_sending(by="Edda")


def test_a_copy_is_stopped_before_its_batches_are_held(
    issue: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    people.make_subscriptions(2, issue.newsletter)
    start_sending(issue)
    expand_audiences(batch_size=2)
    begin_restore(backup_at=just_now(), source=RestoreSource.COMMAND, by="tests")
    assert post_everything(provider) == 0
    assert states() == [BatchState.READY]
    assert sandbox.ledger.summary()["messages"] == 1, "the one of two days ago"


def test_the_gap_in_the_events_is_named_until_it_is_acknowledged() -> None:
    restore()
    (found,) = [each for each in diagnostics() if each.name == "restored"]
    assert "Events between " in found.sentence
    assert "manage.py restore --acknowledge" in found.advice
    assert acknowledge_restores(by="Edda") == 1
    assert not [each for each in diagnostics() if each.name == "restored"]


def test_heartbeats_of_the_backup_do_not_count() -> None:
    WorkerHeartbeat.objects.create(name="before:1", started_at=timezone.now() - HOUR, seen_at=timezone.now() - HOUR)
    restore()
    assert not WorkerHeartbeat.objects.exists()


# --- Restored by hand


@pytest.fixture
def marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(database_mark, "mark_folder", lambda: tmp_path)
    return tmp_path


def go_back(*, seconds: float) -> None:
    """What a restore by hand does with the mark."""
    mark = DatabaseMark.objects.get()
    DatabaseMark.objects.update(marked_at=mark.marked_at - datetime.timedelta(seconds=seconds))


def test_a_database_that_went_back_by_a_second_is_noticed_once(marks: Path) -> None:
    assert not check_and_mark()
    assert not check_and_mark()
    go_back(seconds=1)
    assert check_and_mark()
    stop = sending_stopped()
    assert stop is not None
    assert stop.reason == Reason.RESTORED
    assert Restore.objects.get().source == RestoreSource.NOTICED
    resume_sending(by="Edda")
    assert not check_and_mark()
    assert sending_stopped() is None


def test_a_mark_that_another_worker_makes_meanwhile_is_no_restore(marks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_and_mark()
    read = database_mark._read_file

    def mark_and_read(file: Path) -> datetime.datetime | None:
        monkeypatch.setattr(database_mark, "_read_file", read)
        later = timezone.now() + datetime.timedelta(seconds=1)
        DatabaseMark.objects.update(marked_at=later)
        database_mark._write_file(file, later)
        return read(file)

    monkeypatch.setattr(database_mark, "_read_file", mark_and_read)
    assert not check_and_mark()
    assert sending_stopped() is None
    assert [file.suffix for file in marks.iterdir()] == [".mark"]


def test_a_clock_that_is_set_back_is_no_restore(marks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_and_mark()
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now - HOUR)
    assert not check_and_mark()
    assert not check_and_mark()


@pytest.mark.parametrize("content", ["", "yesterday"])
def test_a_file_that_was_cut_off_says_nothing(marks: Path, content: str) -> None:
    write_mark()
    (file,) = marks.glob("database-*.mark")
    file.write_text(content)
    assert not check_and_mark()
    assert "T" in file.read_text()


def test_a_folder_that_cannot_be_written_does_not_stop_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(database_mark, "mark_folder", lambda: tmp_path / "file")
    monkeypatch.setattr(database_mark, "_has_warned", False)
    assert not check_and_mark()
    assert not check_and_mark()
    assert [record.message for record in caplog.records] == [
        "Mark of the database not written: a restore by hand is not noticed here"
    ]


def test_the_mark_of_another_database_says_nothing(marks: Path) -> None:
    write_mark()
    DatabaseMark.objects.all().delete()
    assert not check_and_mark()
