"""A sandbox, a caller and a receiver for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from newsletter.sandbox import SandboxOptions, SandboxServer
from tests.sandbox.peers import SECRET, Caller, Clock, Receiver

StartSandbox = Callable[..., SandboxServer]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def start_sandbox(clock: Clock) -> Iterator[StartSandbox]:
    """Starts sandboxes with these options; with `moving=True` they use the clock of the test."""
    with ExitStack() as running:

        def start(*, moving: bool = False, **options: Any) -> SandboxServer:
            known = {"port": 0, "rate_limit": 10_000, "webhook_time_scale": 0.001, **options}
            clocks = {"clock": clock} if moving else {}
            return running.enter_context(SandboxServer(SandboxOptions(**known), **clocks))

        yield start


@pytest.fixture
def sandbox(start_sandbox: StartSandbox) -> SandboxServer:
    """A sandbox without a webhook."""
    return start_sandbox()


@pytest.fixture
def caller_of() -> Iterator[Callable[[SandboxServer], Caller]]:
    with ExitStack() as open_callers:
        yield lambda sandbox: open_callers.enter_context(closing(Caller(sandbox.url)))


@pytest.fixture
def caller(sandbox: SandboxServer, caller_of: Callable[[SandboxServer], Caller]) -> Caller:
    return caller_of(sandbox)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with closing(Receiver()) as listening:
        yield listening


@pytest.fixture
def posting_sandbox(start_sandbox: StartSandbox, receiver: Receiver) -> SandboxServer:
    """A sandbox that posts its events to the receiver."""
    return start_sandbox(webhook_url=receiver.url, webhook_secrets=(SECRET,))


@pytest.fixture
def posting_caller(posting_sandbox: SandboxServer, caller_of: Callable[[SandboxServer], Caller]) -> Caller:
    return caller_of(posting_sandbox)
