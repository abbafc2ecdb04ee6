"""A short soak: killed workers and failing calls while issue follows issue. `make soak` runs half an hour of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.memory import growth_mb, is_flat
from tests.soak.run import Plan, run_soak


@pytest.mark.faults
@pytest.mark.postgresql
def test_killed_workers_and_failing_calls_lose_and_repeat_no_mail(tmp_path: Path) -> None:
    plan = Plan(seconds=20, subscribers=400, rate=10, faults=0.2, kill_every=4)
    result = run_soak(plan, tmp_path)
    assert (result.missing, result.lost, result.twice, result.unknown) == (0, 0, 0, 0)
    assert result.kills >= 1
    assert result.deliveries == result.issues * plan.subscribers


def test_memory_that_grows_without_end_is_not_flat() -> None:
    leak = [100 + 0.5 * second for second in range(300)]
    assert not is_flat(leak)
    assert growth_mb(leak)[1] == pytest.approx(75, abs=1)


def test_memory_that_grows_while_caches_fill_is_flat() -> None:
    assert is_flat([*range(60, 120), *([121.0, 119.0] * 120)])
