"""`manage.py sandbox`: the process, its defaults, and stopping it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from newsletter.management.commands.sandbox import read_options, webhook_url
from tests.sandbox.peers import SECRET, Caller, Receiver, mail

MANAGE = Path(__file__).resolve().parents[2] / "manage.py"


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and the address that it printed."""
    process = subprocess.Popen(
        [sys.executable, str(MANAGE), "sandbox", "--port", "0", *arguments],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        cwd=MANAGE.parent,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            match = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
            assert match, "it printed no address"
            yield process, match[0]
        finally:
            process.kill()


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop(number: signal.Signals, tmp_path: Path, receiver: Receiver) -> None:
    ledger = tmp_path / "ledger.sqlite3"
    arguments = ("--ledger", str(ledger), "--webhook-url", receiver.url, "--webhook-secret", SECRET)
    with running(*arguments, "--api-key", "re_own", "--webhook-time-scale", "0.001") as (process, url):
        with closing(Caller(url, key="re_own")) as caller:
            assert caller.send(mail()).status == 200
        assert receiver.wait_for(2)[0].verified()
        process.send_signal(number)
        assert process.wait(20) == 0
    assert ledger.exists()


def arguments(**changes: object) -> dict[str, object]:
    known = {"port": 0, "api_key": "re_x", "rate_limit": 10, "webhook_secret": None, "webhook_time_scale": 1.0}
    shares = {f"{share}_share": 0.0 for share in ("open", "click", "bounce", "complaint")}
    return {**known, **shares, "ledger": None, "webhook_url": "http://127.0.0.1:8000/webhooks/resend/", **changes}


def test_events_are_signed_with_the_secrets_of_the_site_by_default() -> None:
    assert read_options(arguments()).webhook_secrets == tuple(settings.WEBHOOK_SECRETS)
    assert read_options(arguments(webhook_secret=[SECRET])).webhook_secrets == (SECRET,)
    assert read_options(arguments(webhook_url="")).webhook_url is None


def test_a_share_greater_than_one_is_refused() -> None:
    with pytest.raises(CommandError, match="click_share must be between 0 and 1"):
        call_command("sandbox", "--port", "0", "--click-share", "5")


def test_events_are_not_posted_to_another_machine_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert webhook_url(None) == f"{settings.SITE_URL}/webhooks/resend/"
    monkeypatch.setattr(settings, "SITE_URL", "https://digest.example.org")
    assert webhook_url(None) == ""
    assert webhook_url("http://127.0.0.1:9/") == "http://127.0.0.1:9/"


def test_behind_a_public_address_it_starts_and_says_why_there_are_no_webhooks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(settings, "SITE_URL", "https://digest.example.org")
    stopped = threading.Event()
    stopped.set()
    monkeypatch.setattr("newsletter.management.commands.sandbox.threading", SimpleNamespace(Event=lambda: stopped))
    call_command("sandbox", "--port", "0")
    output = capsys.readouterr().out
    assert "Webhooks: none, because SITE_URL is https://digest.example.org." in output


def test_it_does_not_start_if_the_real_provider_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "PROVIDER", "resend")
    with pytest.raises(CommandError, match="PROVIDER is resend"):
        call_command("sandbox", "--port", "0")
