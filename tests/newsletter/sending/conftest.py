"""Fixtures of the sending tests: a sandbox, the provider that uses it, a draft issue, and long waits."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest

from newsletter.models import Issue
from newsletter.providers.base import Provider
from newsletter.sandbox import SandboxServer
from newsletter.sending import outcome
from tests.publications import make_issue
from tests.sandboxes import provider_of, running_sandbox


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with running_sandbox() as server:
        yield server


@pytest.fixture
def provider(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Provider:
    return provider_of(sandbox, monkeypatch)


@pytest.fixture
def issue(db: None) -> Issue:
    return make_issue()


@pytest.fixture
def long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are tried again after five minutes, so that even on a slow machine none is due again by accident."""
    monkeypatch.setattr(outcome, "_wait", lambda outcome, attempts: datetime.timedelta(minutes=5))
