"""The clock of the workers jumps while it is not known what went out."""

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
NOT_LOOKED_UP = """
    SELECT count(*) FROM newsletter_batch b WHERE b.state = 'held' AND NOT EXISTS (
        SELECT 1 FROM newsletter_lookup l WHERE l.batch_id = b.id AND l.attempts = b.attempts AND l.result <> 'open'
    )
"""


@contextmanager
def unanswered(prepared: str, folder: Path, sandbox: SandboxServer, workers: int, **fields: object) -> Iterator[Play]:
    """A play in which the posts from the middle on are taken and not answered, for long enough to do something."""
    plan = dict.fromkeys(range(BATCHES // 2, BATCHES * 2), "reset-after")
    with (
        proxy_to(sandbox.url, plan) as proxy,
        play(prepared, folder, sandbox, provider_url=proxy.url, ahead=shared_number("d"), **fields) as on_it,
    ):
        on_it.publish()
        for _ in range(workers):
            on_it.start(stage.work)
        on_it.wait_for(lambda: proxy.posts >= BATCHES, "many posts are not answered")
        yield on_it


def nothing_is_left_to_do(on_it: Play) -> bool:
    """Whether every batch has its end, or is held. A send that was paused by itself is resumed by a person."""
    if rows_of(on_it.scene.database, STATUS) == [("paused",)]:
        assert on_it.run(stage.resume) == 0
    return rows_of(on_it.scene.database, UNSETTLED) == [(0,)]


def is_looked_up(on_it: Play) -> bool:
    """Whether nothing is held that could still be found in the provider's list."""
    return rows_of(on_it.scene.database, NOT_LOOKED_UP) == [(0,)]


@pytest.mark.parametrize("workers", [1, 4], ids="{}w".format)
def test_after_a_day_is_skipped_the_providers_list_tells_what_went_out(
    prepared: str, tmp_path: Path, sandbox: SandboxServer, workers: int, record: Record
) -> None:
    with unanswered(prepared, tmp_path, sandbox, workers) as on_it:
        on_it.scene.ahead.value = 24 * HOUR
        on_it.wait_for(lambda: nothing_is_left_to_do(on_it) and is_looked_up(on_it), "the list has told all it can")
        judgement = on_it.judgement()
    record("clock: +24 h", judgement)
    # In a worker's hands and not yet posted when the clock jumped: not in the list, and a list of another time than
    # ours proves nothing.
    assert judgement.unknown <= workers * BATCH
    assert judgement.accepted + judgement.unknown == READERS


@pytest.mark.parametrize("workers", [1, 4], ids="{}w".format)
def test_after_a_day_is_skipped_what_nobody_can_look_up_is_held_and_named(
    prepared: str, tmp_path: Path, sandbox: SandboxServer, workers: int, record: Record
) -> None:
    with unanswered(prepared, tmp_path, sandbox, workers, may_search=False) as on_it:
        on_it.scene.ahead.value = 24 * HOUR
        on_it.wait_for(lambda: nothing_is_left_to_do(on_it), "nothing is left to do")
        judgement = on_it.judgement()
    record("clock: +24 h, and the provider's list cannot be read", judgement)
    assert judgement.unknown > 0
    assert judgement.accepted + judgement.unknown == READERS


@pytest.mark.parametrize("workers", [1, 4], ids="{}w".format)
def test_an_hour_that_comes_twice_makes_the_issue_late_and_not_double(
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
