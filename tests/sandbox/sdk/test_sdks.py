"""Resend's official SDKs for Go and Node against the sandbox; tests/sandbox/test_sdk.py has the one for Python."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from newsletter.sandbox import SandboxServer
from tests.sandbox.conftest import StartSandbox
from tests.sandbox.peers import SECRET
from tests.sandbox.sdk.programs import HERE, environment, go, node

pytestmark = [pytest.mark.processes, pytest.mark.own_database]


@pytest.fixture
def sandbox(start_sandbox: StartSandbox) -> SandboxServer:
    # Nobody listens at the endpoint.
    return start_sandbox(
        verified_domains=frozenset({"letters.test"}),
        webhook_url="http://127.0.0.1:9/",
        webhook_secrets=(SECRET,),
        webhook_time_scale=1.0,
    )


def result_of(command: list[str], sandbox: SandboxServer, base_url: str) -> dict[str, Any]:
    """What the program printed."""
    settings = environment(RESEND_API_KEY="re_sandbox", RESEND_BASE_URL=base_url)
    # Go compiles its standard library at the first run.
    done = subprocess.run(command, cwd=HERE, env=settings, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


COMMON = {
    "to": ["ada@readers.test"],
    "text": "Read them – all of them.",
    "listed": 3,
    "batch": 2,
    "same": True,
    "domain": "letters.test",
    "records": 3,
}


def test_the_sdk_for_go_sends_chunked_bodies_and_reads_every_answer(sandbox: SandboxServer) -> None:
    result = result_of([go(), "run", "."], sandbox, f"{sandbox.url}/")
    assert result == {**COMMON, "refusal": "[ERROR]: Missing `to` field."}
    assert sandbox.ledger.summary()["messages"] == 3


def test_the_sdk_for_node_reads_every_answer(sandbox: SandboxServer) -> None:
    result = result_of([node(), "sdk.mjs"], sandbox, sandbox.url)
    tags = [{"name": "delivery", "value": "7"}]
    log = {
        "event": "email.sent",
        "about": True,
        "attempted": "list",
        "replayed": True,
        "webhook": "disabled",
        "unplayed": "validation_error",
        "counted": {"sent": 1},
    }
    assert result == {**COMMON, **log, "tags": tags, "sent_today": 3, "refusal": "Missing `to` field."}
    assert sandbox.ledger.summary()["messages"] == 3
