"""A worker is killed while it fills the gaps of the inbox: no event is lost, and none is counted twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from newsletter.config.failpoints import Point
from tests.faults import stage
from tests.faults.conftest import Record
from tests.faults.judge import Judgement, events_lost, rows_of
from tests.faults.play import play, shared_number
from tests.faults.stage import RECIPIENTS
from tests.faults.test_killed import Case
from tests.sandboxes import running_sandbox

#: The endpoint of the workers' site, where nobody listens.
ENDPOINT = "http://127.0.0.1:8000/webhooks/resend/"
CASES = [
    Case(point=point, hit=hit, workers=workers)
    for point in Point
    if point.value.startswith("log-")
    for hit in (1, 2, 3)
    for workers in (1, 4)
]


def kill_while_reading(prepared: str, folder: Path, case: Case) -> Judgement:
    """Send the issue; its events are only in the provider's log, and a worker that reads it is killed and replaced."""
    kinds = frozenset({"email.delivered"})
    with running_sandbox(ENDPOINT, webhook_events=kinds) as sandbox, play(prepared, folder, sandbox) as run:
        hits = shared_number()
        run.publish()
        for _ in range(case.workers):
            run.start(stage.work, failpoint=case.failpoint, hits=hits)
        run.wait_for(lambda: run.replace_the_dead() > 0, f"a process dies at {case.point.value}")
        run.wait_for(run.is_sent, "the issue is sent")

        def all_applied() -> bool:
            run.replace_the_dead()
            return events_lost(run.stage.database, RECIPIENTS) == 0

        run.wait_for(all_applied, "all events are read and applied")
        assert rows_of(run.stage.database, "SELECT count(*) FROM newsletter_event") == [(RECIPIENTS,)]
        return run.judgement()


@pytest.mark.own_database
def test_a_worker_killed_while_it_reads_the_log_loses_no_event(sqlite_prepared: str, tmp_path: Path) -> None:
    case = Case(point=Point.LOG_EVENTS_UNCOMMITTED, hit=2, workers=1)
    kill_while_reading(sqlite_prepared, tmp_path, case)


@pytest.mark.faults
@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_missed_event_is_lost_when_a_process_is_killed(
    prepared: str, tmp_path: Path, case: Case, record: Record
) -> None:
    record(f"killed at {case.point.value}", kill_while_reading(prepared, tmp_path, case))
