"""A sandbox for one test, and the provider that uses it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.conf import settings

from newsletter.providers import get_provider
from newsletter.providers.base import Provider
from newsletter.sandbox import SandboxOptions, SandboxServer
from tests.newsletter.providers.contract import message, new_key


@contextmanager
def running_sandbox(
    webhook_url: str | None = None, *, clock: Callable[[], float] = time.time, **options: object
) -> Iterator[SandboxServer]:
    """A sandbox with the project's key, high limits and fast webhooks; every option may be given."""
    defaults: dict[str, object] = {
        "port": 0,
        "api_key": "re_sandbox",
        "rate_limit": 1000,
        "webhook_url": webhook_url,
        "webhook_secrets": tuple(settings.WEBHOOK_SECRETS),
        "webhook_time_scale": 0.001,
    }
    chosen = SandboxOptions(**{**defaults, **options})  # type: ignore[arg-type]
    with SandboxServer(chosen, clock=clock) as sandbox:
        yield sandbox


@contextmanager
def sandbox_with_a_long_list(monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxServer]:
    """A sandbox whose list of mails begins two days ago, so that it can prove what was not sent."""
    ahead = [-2 * 86_400.0]
    with running_sandbox(clock=lambda: time.time() + ahead[0]) as server:
        provider_of(server, monkeypatch).post_message(message("zoe@example.org"), key=new_key())
        ahead[0] = 0.0
        yield server


def provider_of(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Provider:
    """The project's provider, configured for this sandbox."""
    monkeypatch.setattr(settings, "PROVIDER_URL", sandbox.url)
    monkeypatch.setattr(settings, "PROVIDER_API_KEY", "re_sandbox")
    return get_provider()
