"""manage.py reconcile --events: fetches what was missed, and says what it found or why it could not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from newsletter.events import event_log
from newsletter.models import Event, EventReplay, EventState, EventTally
from newsletter.providers.base import Provider
from newsletter.sandbox import Fault, SandboxServer
from tests.newsletter.providers.contract import message, new_key
from tests.sandbox.peers import wait_until
from tests.sandboxes import provider_of, running_sandbox

pytestmark = pytest.mark.django_db


@pytest.fixture
def sandbox(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxServer]:
    settings.SITE_URL = "http://127.0.0.1:9"
    monkeypatch.setattr(event_log, "PACE_SECONDS", 0.01)
    with running_sandbox("http://127.0.0.1:9/webhooks/resend/", clock=lambda: time.time() - 3600) as server:
        yield server


@pytest.fixture
def provider(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Provider:
    provider = provider_of(sandbox, monkeypatch)
    for number in range(3):
        provider.post_message(message(f"reader-{number}@example.org"), key=new_key())
    events = "SELECT count(*) FROM events WHERE happens_at > ?"
    wait_until(sandbox, lambda: not sandbox.team.database.number(events, sandbox.team.clock()))
    return provider


def reconcile(*arguments: str) -> str:
    output = StringIO()
    call_command("reconcile", "--events", *arguments, stdout=output)
    return output.getvalue()


def test_missing_events_are_stored_and_counted(provider: Provider) -> None:
    assert "Events read: 6. Missing here, and stored now: 6." in reconcile()
    assert "Missing here, and stored now: 0." in reconcile()
    assert Event.objects.count() == 6


def test_a_failure_that_passes_is_tried_again(
    provider: Provider, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "RETRY_AFTER", event_log.RETRY_AFTER * 0)
    sandbox.plan(Fault("internal_server_error", on="GET /webhooks", times=2))
    assert "stored now: 6." in reconcile()


def test_a_failure_that_stays_ends_it_with_the_reason(provider: Provider, sandbox: SandboxServer) -> None:
    sandbox.plan(Fault("restricted_api_key", on="GET /webhooks"))
    with pytest.raises(CommandError, match="full access"):
        reconcile()


def test_without_an_endpoint_of_this_site_it_says_where_one_should_be(provider: Provider, settings: Any) -> None:
    settings.SITE_URL = "https://notes.example"
    with pytest.raises(CommandError, match=r"leads to https://notes\.example/webhooks/resend/"):
        reconcile()


def test_a_disabled_endpoint_is_named(provider: Provider, sandbox: SandboxServer) -> None:
    sandbox.team.endpoint.switch(is_enabled=False, now=0.0)
    assert "has disabled the endpoint" in reconcile()


def test_without_a_key_it_says_which_is_needed(settings: Any) -> None:
    settings.PROVIDER_READ_KEY = ""
    with pytest.raises(CommandError, match="RESEND_READ_KEY"):
        reconcile()


@pytest.mark.parametrize("since", ["yesterday", "2999-01-01"])
def test_a_time_that_is_none_or_in_the_future_is_refused(since: str) -> None:
    with pytest.raises(CommandError, match="must be"):
        reconcile("--since", since)


def test_events_before_since_are_left_out(provider: Provider) -> None:
    assert "Events read: 0." in reconcile("--since", timezone.now().isoformat())


def test_orphans_are_handed_to_a_worker(provider: Provider) -> None:
    EventTally.objects.add({(EventState.ORPHAN, "no_such_delivery"): 2})
    said = reconcile("--replay-orphans")
    assert "A worker applies the events again that fitted no delivery." in said
    assert "Events that are not used: 2. There is no such delivery." in said
    replay = EventReplay.objects.get()
    assert (replay.by, replay.about_state, replay.until_event) == (
        "manage.py reconcile",
        EventState.ORPHAN,
        Event.objects.order_by("-pk").values_list("pk", flat=True)[0],
    )


def test_the_options_of_events_need_events() -> None:
    for option in (["--since", "2026-01-01"], ["--replay-orphans"]):
        with pytest.raises(CommandError, match="need --events"):
            call_command("reconcile", *option)
