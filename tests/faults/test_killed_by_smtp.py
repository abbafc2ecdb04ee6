"""A worker that sends by SMTP is killed or stopped at every point of a post: no mail is lost or repeated.

At most one group of mails has an unknown outcome, and is held. With idempotency keys none has.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from newsletter.config.failpoints import Point
from newsletter.sending.progress import GROUP_SIZE
from tests.faults import stage
from tests.faults.conftest import Record
from tests.faults.judge import Judgement, judge, rows_of
from tests.faults.play import Play, copy_of, shared_number
from tests.faults.stage import RECIPIENTS, SMTP_BATCH, Stage
from tests.faults.test_killed import Case
from tests.faults.test_stopped import is_stopped, resume
from tests.mail_server import MailServer, running_mail_server

#: Batches and groups of the issue. A group is recorded more often only if the server is slow.
BATCHES, GROUPS = RECIPIENTS // SMTP_BATCH, RECIPIENTS // GROUP_SIZE

OPEN = "SELECT count(*) FROM newsletter_batch WHERE state IN ('ready', 'claimed', 'unknown')"
EXPANDED = "SELECT count(*) FROM newsletter_send WHERE expanded_at IS NOT NULL"
MESSAGE_ID = re.compile(rb"^Message-ID: <((\d+)\.[^@]+)@", re.MULTILINE)

#: The first time, one in the middle of a group, and the last time that each point is reached.
HITS = {
    Point.CLAIM_UNCOMMITTED: (1, BATCHES),
    Point.CLAIM_COMMITTED: (1, BATCHES),
    Point.PROGRESS_UNCOMMITTED: (1, GROUPS // 2, GROUPS),
    Point.PROGRESS_COMMITTED: (1, GROUPS // 2, GROUPS),
    Point.MAIL_BEGUN: (1, RECIPIENTS // 2 + 5, RECIPIENTS),
    Point.MAIL_HALF_SENT: (1, RECIPIENTS // 2 + 5, RECIPIENTS),
    Point.MAIL_SENT: (1, RECIPIENTS // 2 + 5, RECIPIENTS),
    Point.MAIL_ANSWERED: (1, RECIPIENTS // 2 + 5, RECIPIENTS),
    Point.OUTCOME_UNCOMMITTED: (1, BATCHES),
    Point.OUTCOME_COMMITTED: (1, BATCHES),
}
#: By one worker at each of them, and by four at the second.
CASES = [Case(point=point, hit=hit, workers=1) for point, hits in HITS.items() for hit in hits]
CASES += [Case(point=point, hit=hits[1], workers=4) for point, hits in HITS.items()]

#: Points at which nothing is unknown when the worker dies.
CERTAIN = {Point.CLAIM_UNCOMMITTED, Point.CLAIM_COMMITTED, Point.OUTCOME_COMMITTED}

#: Points at which a worker that is stopped has a batch and no open transaction.
STOPPED_AT = (
    Point.CLAIM_COMMITTED, Point.PROGRESS_COMMITTED, Point.MAIL_BEGUN, Point.MAIL_HALF_SENT, Point.MAIL_SENT,
    Point.MAIL_ANSWERED,
)  # fmt: skip


class SmtpPlay(Play):
    """One issue that is sent to a mail server in this process."""

    def __init__(self, stage: Stage, server: MailServer) -> None:
        self.stage, self.server = stage, server
        self.running = []

    def is_over(self) -> bool:
        """Whether every batch has an outcome, or is held."""
        database = self.stage.database
        return rows_of(database, EXPANDED) == [(1,)] and rows_of(database, OPEN) == [(0,)]

    def judgement(self, recipients: int = RECIPIENTS) -> Judgement:
        mails: dict[int, list[str]] = {}
        for mail in self.server.mails:
            found = MESSAGE_ID.search(mail.content)
            assert found is not None
            mails.setdefault(int(found[2]), []).append(found[1].decode())
        reached = self.server.recipients()
        summary = {"repeated_recipients": [each for each in set(reached) if reached.count(each) > 1], "keys": {}}
        assert self.server.violations == []
        return judge(self.stage.database, summary, mails, {f"reader-{n}@readers.example" for n in range(recipients)})


@contextmanager
def smtp_play(prepared: str, folder: Path, *, has_keys: bool = False, **fields: object) -> Iterator[SmtpPlay]:
    """A run on a copy of a prepared database; its processes are killed at the end."""
    options: dict[str, object] = {"pipelining": True, "keys": {} if has_keys else None}
    with copy_of(prepared, folder) as database, running_mail_server(**options) as server:
        setting = Stage(database=database, provider_url="", logs=folder, mail_server=server.port, has_keys=has_keys)
        run = SmtpPlay(replace(setting, **fields), server)  # type: ignore[arg-type]
        try:
            yield run
        finally:
            run.kill_all()


def kill(run: SmtpPlay, case: Case) -> Judgement:
    """Send the issue; a worker is killed and replaced; wait until nothing is left to do."""
    run.publish()
    hits = shared_number()
    for _ in range(case.workers):
        run.start(stage.work, failpoint=case.failpoint, hits=hits)
    run.wait_for(lambda: run.replace_the_dead() > 0, f"a worker dies at {case.point.value}")
    run.wait_for(run.is_over, "every batch has an outcome or is held")
    return run.judgement()


def check_unknown(judgement: Judgement, point: Point) -> None:
    """No more than a group is unknown, and all others have the issue."""
    assert judgement.unknown <= (0 if point in CERTAIN else GROUP_SIZE)
    assert judgement.accepted == RECIPIENTS - judgement.unknown


@pytest.mark.own_database
@pytest.mark.parametrize("has_keys", [False, True], ids=["without keys", "with keys"])
def test_a_worker_killed_in_the_middle_of_a_group_leaves_no_more_than_the_group_unknown(
    sqlite_prepared: str, tmp_path: Path, has_keys: bool
) -> None:
    case = Case(point=Point.MAIL_SENT, hit=RECIPIENTS // 2 + 5, workers=1)
    with smtp_play(sqlite_prepared, tmp_path, has_keys=has_keys) as run:
        judgement = kill(run, case)
    unknown = 0 if has_keys else GROUP_SIZE
    assert judgement == Judgement(accepted=RECIPIENTS - unknown, duplicates=0, lost=0, unknown=unknown, faults=())


@pytest.mark.faults
@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_recipient_gets_the_issue_twice_when_a_worker_is_killed(
    prepared: str, tmp_path: Path, case: Case, record: Record
) -> None:
    with smtp_play(prepared, tmp_path) as run:
        judgement = kill(run, case)
    record(f"killed at {case.point.value} by SMTP", judgement)
    check_unknown(judgement, case.point)


@pytest.mark.faults
@pytest.mark.parametrize("point", [point for point in HITS if point not in CERTAIN], ids=lambda point: point.value)
def test_with_idempotency_keys_every_recipient_gets_the_issue_once(
    prepared: str, tmp_path: Path, point: Point, record: Record
) -> None:
    case = Case(point=point, hit=HITS[point][1], workers=1)
    with smtp_play(prepared, tmp_path, has_keys=True) as run:
        judgement = kill(run, case)
    record(f"killed at {point.value} by SMTP with keys", judgement)
    assert judgement.accepted == RECIPIENTS


@pytest.mark.faults
@pytest.mark.parametrize("point", STOPPED_AT, ids=lambda point: point.value)
def test_no_recipient_gets_the_issue_twice_when_a_stopped_worker_continues(
    prepared: str, tmp_path: Path, point: Point, record: Record
) -> None:
    hit = HITS[point][1]
    with smtp_play(prepared, tmp_path, lease=2.0) as run:
        run.publish()
        stopped = run.start(stage.work, failpoint=f"{point.value}:{hit}:stop")
        run.wait_for(lambda: is_stopped(stopped), f"a worker is stopped at {point.value}")
        run.start(stage.work)
        run.wait_for(run.is_over, "the other worker has finished")
        resume(stopped)
        run.wait_for_all_processes()
        judgement = run.judgement()
    record(f"stopped at {point.value} by SMTP", judgement)
    check_unknown(judgement, point)
    assert stopped.exitcode in (None, -signal.SIGKILL)
