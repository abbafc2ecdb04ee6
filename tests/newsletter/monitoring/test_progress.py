"""Progress: what is known of a send, how fast it goes, and what was decided."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from newsletter.models import Batch, BatchState, Delivery, DeliveryStatus, Issue
from newsletter.monitoring.progress import log_of, progress_of
from newsletter.monitoring.wording import duration
from newsletter.sending.control import cancel_issue, pause_issue
from tests.newsletter.monitoring.conftest import a_worker, ago, set_batch
from tests.publications import make_issue


def accept(batch: Batch, seconds_ago: float) -> None:
    set_batch(batch, state=BatchState.ACCEPTED, finished_at=ago(seconds=seconds_ago))
    owned = Delivery.objects.filter(pk__gte=batch.first_delivery, pk__lte=batch.last_delivery)
    owned.update(status=DeliveryStatus.ACCEPTED)


def printed(*arguments: str) -> str:
    out = io.StringIO()
    call_command("status", *arguments, stdout=out)
    return out.getvalue()


def test_the_rate_is_that_of_the_last_minute_and_tells_how_long_it_takes(issue: Issue, batches: list[Batch]) -> None:
    Issue.objects.update(started_at=ago(minutes=10))
    issue.refresh_from_db()
    accept(batches[0], seconds_ago=300)
    accept(batches[1], seconds_ago=20)
    progress = progress_of(issue)
    assert progress.rate == pytest.approx(2 / 60)
    assert progress.percent == 40
    assert progress.seconds_left == pytest.approx(6 * 30)


def test_a_young_send_is_measured_over_its_own_seconds(issue: Issue, batches: list[Batch]) -> None:
    Issue.objects.update(started_at=ago(seconds=10))
    issue.refresh_from_db()
    accept(batches[0], seconds_ago=1)
    assert progress_of(issue).rate == pytest.approx(0.2, rel=0.3)


def test_nobody_says_how_long_a_send_takes_that_stands_still(issue: Issue, batches: list[Batch]) -> None:
    accept(batches[0], seconds_ago=1)
    pause_issue(issue, by="Edda", reason="A look")
    assert progress_of(issue).seconds_left is None


def test_while_the_audience_grows_there_is_no_percentage(issue: Issue) -> None:
    issue.expanded_at = None
    progress = progress_of(issue)
    assert (progress.percent, progress.seconds_left) == (None, None)


def test_batches_that_are_tried_again_and_those_that_are_held_are_told_apart(
    issue: Issue, batches: list[Batch]
) -> None:
    set_batch(batches[0], state=BatchState.UNKNOWN, attempts=2, reason="No answer.", not_before=ago(seconds=-60))
    set_batch(batches[1], attempts=1, reason="Too many requests.", not_before=ago(seconds=-30))
    set_batch(batches[2], state=BatchState.HELD, attempts=9)
    set_batch(batches[3], state=BatchState.CLAIMED, attempts=1)
    progress = progress_of(issue)
    assert (progress.retrying, progress.held) == (4, 2)
    assert progress.retry_reason == "Too many requests."
    assert progress.next_try_at is not None


def test_the_same_questions_are_asked_whatever_the_number_of_batches(issue: Issue, batches: list[Batch]) -> None:
    with CaptureQueriesContext(connection) as queries:
        progress_of(issue)
        log_of(issue)
    assert len(queries) <= 6


def test_the_log_tells_every_decision_and_odd_batches_by_their_reason(issue: Issue, batches: list[Batch]) -> None:
    for batch in batches[:2]:
        set_batch(batch, state=BatchState.REFUSED, reason="The address is malformed.", finished_at=ago(seconds=2))
    set_batch(batches[2], state=BatchState.HELD, reason="No answer came.", first_attempt_at=ago(seconds=1))
    accept(batches[3], seconds_ago=1)
    pause_issue(issue, by="Edda", reason="A look")
    sentences = [entry.sentence for entry in log_of(issue)]
    assert sentences[0] == "Paused: A look"
    assert f"Batch {batches[2].pk} (2 readers) held for your decision: No answer came." in sentences
    assert "2 batches (4 readers) refused: The address is malformed." in sentences
    assert "The whole audience is addressed." in sentences
    assert not [sentence for sentence in sentences if f"Batch {batches[3].pk} " in sentence], (
        "what went well is in the bar"
    )


def test_the_status_shows_each_issue_under_way_and_the_workers(issue: Issue, batches: list[Batch]) -> None:
    accept(batches[0], seconds_ago=1)
    set_batch(batches[1], attempts=1, reason="Too many requests.", not_before=ago(seconds=-30))
    a_worker("host:7", seen=ago(seconds=3), doing="post_batch")
    shown = printed()
    assert "Harbour Notes: “Taller cranes” – sending" in shown
    assert "[########................................]  20 %  2 of 10 accepted" in shown
    assert "retrying 2" in shown
    assert "Too many requests." in shown
    assert "Worker host:7: seen 3 s ago, last step post_batch" in shown


@pytest.mark.django_db
def test_the_status_of_nothing_says_so() -> None:
    make_issue()
    assert printed().splitlines() == [
        "No issue is scheduled or under way.",
        "No worker runs. Start one: manage.py worker",
    ]


def test_the_status_of_one_issue_for_programs(issue: Issue, batches: list[Batch]) -> None:
    accept(batches[0], seconds_ago=1)
    (told,) = json.loads(printed("issue-1", "--json"))["issues"]
    assert (told["slug"], told["status"], told["audience"], told["accepted"]) == ("issue-1", "sending", 10, 2)
    assert told["percent"] == 20


def test_watching_ends_when_nothing_is_under_way(issue: Issue) -> None:
    cancel_issue(issue, by="Edda")
    assert "cancelled" in printed("issue-1", "--watch")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(4.2, "4 s"), (89, "89 s"), (540, "9 min"), (7_500, "2 h 5 min"), (7_200, "2 h"), (260_000, "3 days")],
)
def test_a_span_of_time_is_said_as_people_say_it(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_the_status_without_a_database_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> list[Issue]:
        raise OperationalError("marked")

    monkeypatch.setattr("newsletter.management.commands.status.under_way", refuse)
    with pytest.raises(CommandError, match=r"The database cannot be read \(OperationalError\); manage\.py doctor"):
        call_command("status")
