"""Many workers and many recipients, while one worker after the other is killed."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.faults import stage
from tests.faults.conftest import Record
from tests.faults.play import POSTGRESQL, play, prepared_database
from tests.sandboxes import running_sandbox

pytestmark = pytest.mark.faults

RECIPIENTS, WORKERS = 10_000, 8


def test_eight_workers_send_to_ten_thousand_while_they_are_killed_one_by_one(tmp_path: Path, record: Record) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    chance = random.Random(seed)
    folder = tmp_path / "prepared"
    folder.mkdir()
    with (
        prepared_database(POSTGRESQL, folder, RECIPIENTS) as prepared,
        running_sandbox() as sandbox,
        play(prepared, tmp_path, sandbox, sizes={"batch": 50, "chunk": 2_000}) as run,
    ):
        run.publish()
        for _ in range(WORKERS):
            run.start(stage.work)
        kills, deadline = 0, time.monotonic() + 120
        while not run.is_sent():
            assert time.monotonic() < deadline, run.log_tails()
            time.sleep(chance.uniform(0.2, 0.8))  # the lifetime of the next victim, not a wait for a result
            victim = chance.choice(run.running)
            victim.kill()
            victim.join()
            kills += run.replace_the_dead()
        judgement = run.judgement(RECIPIENTS)
    record(f"{WORKERS} workers and {RECIPIENTS:,} recipients, one worker killed repeatedly", judgement)
    assert judgement.accepted == RECIPIENTS
    assert kills > 3
