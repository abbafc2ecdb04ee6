"""The network between worker and provider breaks in every way: each recipient still gets the issue once."""

from __future__ import annotations

from pathlib import Path

import pytest

from newsletter.demo.environment import free_port
from newsletter.sandbox import SandboxServer
from tests.faults import stage
from tests.faults.conftest import Record
from tests.faults.judge import rows_of
from tests.faults.play import play
from tests.faults.proxy import FAULTS, proxy_to
from tests.faults.stage import BATCHES, RECIPIENTS
from tests.sandboxes import running_sandbox

pytestmark = pytest.mark.faults

ATTEMPTS = "SELECT coalesce(sum(attempts), 0) FROM newsletter_batch"
#: The first post, two in the middle one after the other, and the last one if nothing else goes wrong.
BROKEN = (1, BATCHES // 2, BATCHES // 2 + 1, BATCHES)


@pytest.mark.parametrize("workers", [1, 4], ids="{}w".format)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_recipient_gets_the_issue_once_when_answers_are_broken(
    prepared: str, tmp_path: Path, sandbox: SandboxServer, fault: str, workers: int, record: Record
) -> None:
    with (
        proxy_to(sandbox.url, dict.fromkeys(BROKEN, fault)) as proxy,
        play(prepared, tmp_path, sandbox, provider_url=proxy.url, timeout=1.0) as run,
    ):
        run.publish()
        for _ in range(workers):
            run.start(stage.work)
        run.wait_for(run.is_sent, "the issue is sent")
        judgement = run.judgement()
        assert proxy.broken == len(BROKEN)
    record(f"network: {fault}", judgement)
    assert judgement.accepted == RECIPIENTS


def test_workers_wait_for_a_provider_that_refuses_connections(prepared: str, tmp_path: Path, record: Record) -> None:
    port = free_port(0)
    with (
        running_sandbox() as sandbox,
        play(prepared, tmp_path, sandbox, provider_url=f"http://127.0.0.1:{port}") as run,
    ):
        run.publish()
        run.start(stage.work)
        run.wait_for(lambda: rows_of(run.stage.database, ATTEMPTS)[0][0] > 5, "many connections are refused")
        with proxy_to(sandbox.url, {}, port=port):
            run.wait_for(run.is_sent, "the issue is sent")
        judgement = run.judgement()
    record("network: refused", judgement)
    assert judgement.accepted == RECIPIENTS
