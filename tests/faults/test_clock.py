"""The clock of the workers jumps while batches have an unknown outcome."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from newsletter.sandbox import SandboxServer
from tests.faults import stage
from tests.faults.conftest import Record
from tests.faults.judge import STATUS, rows_of
from tests.faults.play import Play, play, shared_number
from tests.faults.proxy import proxy_to
from tests.faults.stage import BATCH, BATCHES, READERS

pytestmark = pytest.mark.faults

HOUR = 3600.0
UNSETTLED = "SELECT count(*) FROM newsletter_batch WHERE state IN ('ready', 'claimed', 'unknown')"
NOT_SEARCHED = """
    SELECT count(*) FROM newsletter_batch b WHERE b.state = 'held' AND NOT EXISTS (
        SELECT 1 FROM newsletter_lookup l WHERE l.batch_id = b.id AND l.attempts = b.attempts AND l.result <> 'open'
    )
"""


@contextmanager
def unanswered(prepared: str, folder: Path, sandbox: SandboxServer, workers: int, **fields: object) -> Iterator[Play]:
    """A run in which the provider accepts the posts from the middle on, but its answers are lost."""
    plan = dict.fromkeys(range(BATCHES // 2, BATCHES * 2), "reset-after")
    with (
        proxy_to(sandbox.url, plan) as proxy,
        play(prepared, folder, sandbox, provider_url=proxy.url, ahead=shared_number("d"), **fields) as on_it,
    ):
        on_it.publish()
        for _ in range(workers):
            on_it.start(stage.work)
        on_it.wait_for(lambda: proxy.posts >= BATCHES, "many posts have no answer")
        yield on_it


def nothing_is_left_to_do(on_it: Play) -> bool:
    """Whether every batch has an outcome or is held. The operator resumes a send that was paused automatically."""
    if rows_of(on_it.scene.database, STATUS) == [("paused",)]:
        assert on_it.run(stage.resume) == 0
    return rows_of(on_it.scene.database, UNSETTLED) == [(0,)]


def is_searched(on_it: Play) -> bool:
    """Whether every held batch was searched for in the provider's list."""
    return rows_of(on_it.scene.database, NOT_SEARCHED) == [(0,)]


@pytest.mark.parametrize("workers", [1, 4], ids="{}w".format)
def test_after_a_jump_of_a_day_the_providers_list_proves_what_was_sent(
    prepared: str, tmp_path: Path, sandbox: SandboxServer, workers: int, record: Record
) -> None:
    with unanswered(prepared, tmp_path, sandbox, workers) as on_it:
        on_it.scene.ahead.value = 24 * HOUR
        on_it.wait_for(lambda: nothing_is_left_to_do(on_it) and is_searched(on_it), "all batches are searched for")
        judgement = on_it.judgement()
    record("clock: +24 h", judgement)
    # Batches that were claimed and not yet posted when the clock jumped are not in the list, and a list with another
    # time than ours proves nothing.
    assert judgement.unknown <= workers * BATCH
    assert judgement.accepted + judgement.unknown == READERS


@pytest.mark.parametrize("workers", [1, 4], ids="{}w".format)
def test_after_a_jump_of_a_day_batches_are_held_if_the_providers_list_cannot_be_read(
    prepared: str, tmp_path: Path, sandbox: SandboxServer, workers: int, record: Record
) -> None:
    with unanswered(prepared, tmp_path, sandbox, workers, may_search=False) as on_it:
        on_it.scene.ahead.value = 24 * HOUR
        on_it.wait_for(lambda: nothing_is_left_to_do(on_it), "nothing is left to do")
        judgement = on_it.judgement()
    record("clock: +24 h, provider's list not readable", judgement)
    assert judgement.unknown > 0
    assert judgement.accepted + judgement.unknown == READERS


@pytest.mark.parametrize("workers", [1, 4], ids="{}w".format)
def test_a_clock_that_goes_back_an_hour_delays_the_issue_but_does_not_repeat_it(
    prepared: str, tmp_path: Path, sandbox: SandboxServer, workers: int, record: Record
) -> None:
    with unanswered(prepared, tmp_path, sandbox, workers) as on_it:
        on_it.scene.ahead.value = -HOUR
        on_it.let_all_have_turns()
        on_it.scene.ahead.value = 0.0
        on_it.wait_for(on_it.is_sent, "the issue is sent")
        judgement = on_it.judgement()
    record("clock: -1 h", judgement)
    assert judgement.accepted == READERS
