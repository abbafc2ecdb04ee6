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

READERS, WORKERS = 10_000, 8


def test_eight_workers_send_to_ten_thousand_while_they_are_killed_one_by_one(tmp_path: Path, record: Record) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    chance = random.Random(seed)
    folder = tmp_path / "prepared"
    folder.mkdir()
    with (
        prepared_database(POSTGRESQL, folder, READERS) as prepared,
        running_sandbox() as sandbox,
        play(prepared, tmp_path, sandbox, rooms={"batch": 50, "chunk": 2_000}) as on_it,
    ):
        on_it.publish()
        for _ in range(WORKERS):
            on_it.start(stage.work)
        kills, deadline = 0, time.monotonic() + 120
        while not on_it.is_sent():
            assert time.monotonic() < deadline, on_it.last_words()
            time.sleep(chance.uniform(0.2, 0.8))  # the lifetime of the next victim, not a wait for a result
            victim = chance.choice(on_it.running)
            victim.kill()
            victim.join()
            kills += on_it.replace_the_dead()
        judgement = on_it.judgement(READERS)
    record(f"{WORKERS} workers and {READERS:,} recipients, one worker killed repeatedly", judgement)
    assert judgement.accepted == READERS
    assert kills > 3
