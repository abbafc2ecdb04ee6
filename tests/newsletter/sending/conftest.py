"""What tests of the sending steps share: a sandbox, the provider that talks to it, an issue."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from newsletter.models import Issue
from newsletter.providers.base import Provider
from newsletter.sandbox import SandboxServer
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
