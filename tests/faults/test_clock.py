"""The clock of the workers jumps while batches have an unknown outcome."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from newsletter.sandbox import SandboxServer
from tests.faults import stage
from tests.faults.conftest import Record
from tests.faults.judge import SEND_STATES, rows_of
from tests.faults.play import Play, play, shared_number
from tests.faults.proxy import proxy_to
from tests.faults.stage import BATCH, BATCHES, RECIPIENTS

pytestmark = pytest.mark.faults

HOUR = 3600.0
UNSETTLED = "SELECT count(*) FROM newsletter_batch WHERE state IN ('ready', 'claimed', 'unknown')"
NOT_SEARCHED = """
    SELECT count(*) FROM newsletter_batch b WHERE b.state = 'held' AND NOT EXISTS (
        SELECT 1 FROM newsletter_providersearch s
        WHERE s.batch_id = b.id AND s.attempts = b.attempts AND s.result <> 'open'
    )
"""


@contextmanager
def unanswered(prepared: str, folder: Path, sandbox: SandboxServer, workers: int, **fields: object) -> Iterator[Play]:
    """A run in which the provider accepts the posts from the middle on, but its answers are lost."""
    plan = dict.fromkeys(range(BATCHES // 2, BATCHES * 2), "reset-after")
    with (
        proxy_to(sandbox.url, plan) as proxy,
        play(prepared, folder, sandbox, provider_url=proxy.url, ahead=shared_number("d"), **fields) as run,
    ):
        run.publish()
        for _ in range(workers):
            run.start(stage.work)
        run.wait_for(lambda: proxy.posts >= BATCHES, "many posts have no answer")
        yield run


def nothing_is_left_to_do(run: Play) -> bool:
    """Whether every batch has an outcome or is held. The operator resumes a send that was paused automatically."""
    if rows_of(run.stage.database, SEND_STATES) == [("paused",)]:
        assert run.run_to_end(stage.resume) == 0
    return rows_of(run.stage.database, UNSETTLED) == [(0,)]


def is_searched(run: Play) -> bool:
    """Whether every held batch was searched for in the provider's list."""
    return rows_of(run.stage.database, NOT_SEARCHED) == [(0,)]


@pytest.mark.parametrize("workers", [1, 4], ids="{}w".format)
def test_after_a_jump_of_a_day_the_providers_list_proves_what_was_sent(
    prepared: str, tmp_path: Path, sandbox: SandboxServer, workers: int, record: Record
) -> None:
    with unanswered(prepared, tmp_path, sandbox, workers) as run:
        run.stage.ahead.value = 24 * HOUR
        run.wait_for(lambda: nothing_is_left_to_do(run) and is_searched(run), "all batches are searched for")
        judgement = run.judgement()
    record("clock: +24 h", judgement)
    # Batches that were claimed and not yet posted when the clock jumped are not in the list, and a list with another
    # time than ours proves nothing.
    assert judgement.unknown <= workers * BATCH
    assert judgement.accepted + judgement.unknown == RECIPIENTS


@pytest.mark.parametrize("workers", [1, 4], ids="{}w".format)
def test_after_a_jump_of_a_day_batches_are_held_if_the_providers_list_cannot_be_read(
    prepared: str, tmp_path: Path, sandbox: SandboxServer, workers: int, record: Record
) -> None:
    with unanswered(prepared, tmp_path, sandbox, workers, may_search=False) as run:
        run.stage.ahead.value = 24 * HOUR
        run.wait_for(lambda: nothing_is_left_to_do(run), "nothing is left to do")
        judgement = run.judgement()
    record("clock: +24 h, provider's list not readable", judgement)
    assert judgement.unknown > 0
    assert judgement.accepted + judgement.unknown == RECIPIENTS


@pytest.mark.parametrize("workers", [1, 4], ids="{}w".format)
def test_a_clock_that_goes_back_an_hour_delays_the_issue_but_does_not_repeat_it(
    prepared: str, tmp_path: Path, sandbox: SandboxServer, workers: int, record: Record
) -> None:
    with unanswered(prepared, tmp_path, sandbox, workers) as run:
        run.stage.ahead.value = -HOUR
        run.wait_for_all_processes()
        run.stage.ahead.value = 0.0
        run.wait_for(run.is_sent, "the issue is sent")
        judgement = run.judgement()
    record("clock: -1 h", judgement)
    assert judgement.accepted == RECIPIENTS
