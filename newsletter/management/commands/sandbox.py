"""`manage.py sandbox`: run the local provider until it is told to stop."""

from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from newsletter.config.validation import is_loopback
from newsletter.sandbox import SandboxOptions, SandboxServer

_SHARES = ("open", "click", "bounce", "complaint")


class Command(BaseCommand):
    """A server on this machine that takes mail as Resend does, shows it, and posts signed events."""

    help = (
        "Runs a local server that speaks Resend's API: it takes every mail, shows it in an inbox and posts signed "
        "events to this site. Nothing leaves this machine."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Defaults follow from the settings of the site."""
        parser.add_argument(
            "--port", type=int, default=urlsplit(settings.SANDBOX_URL).port or 8026, help="0: a free one"
        )
        parser.add_argument("--webhook-url", help="where events go (default: this site, if it is on this machine)")
        parser.add_argument(
            "--webhook-secret", action="append", help="signs the events; give two while the secret is rotated"
        )
        parser.add_argument("--api-key", default=settings.PROVIDER_API_KEY, help="key that calls must carry")
        parser.add_argument("--rate-limit", type=int, default=10, help="calls in one second (default: 10)")
        for share in _SHARES:
            parser.add_argument(
                f"--{share}-share", type=float, default=0.0, metavar="SHARE", help="of all addresses, 0 to 1"
            )
        parser.add_argument(
            "--webhook-time-scale", type=float, default=1.0, metavar="FACTOR", help="0.01: events come 100 times faster"
        )
        parser.add_argument("--ledger", type=Path, help="file that keeps what was accepted (default: in memory)")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Serve until SIGTERM or SIGINT."""
        if "sandbox" not in settings.PROVIDER.split(","):
            raise CommandError(
                "PROVIDER is not sandbox, so mail does not come here, and events from here would be signed as if they "
                "were the real provider's. Nothing was started. Set PROVIDER=sandbox to use it."
            )
        options["webhook_url"] = webhook_url(options["webhook_url"])
        stop = threading.Event()
        try:
            server = SandboxServer(read_options(options))
        except (ValueError, OSError) as error:
            raise CommandError(f"The sandbox was not started: {error}") from error
        handlers = {number: signal.signal(number, _setting(stop)) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            with server:
                self.stdout.write(f"Sandbox: {server.url} (inbox and API)")
                self.stdout.write(f"Events go to {options['webhook_url']}")
                self.stdout.write("Stop with Ctrl-C.")
                self.stdout.flush()
                stop.wait()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        self.stdout.write("The sandbox has stopped.")


def webhook_url(given: str | None) -> str:
    """Where events are posted: as given, else to this site. Events name readers, so they stay on this machine.

    Raises CommandError if the site is elsewhere and nobody said that events shall go there.
    """
    if given is not None:
        return given
    if not is_loopback(urlsplit(settings.SITE_URL).hostname):
        raise CommandError(
            "SITE_URL is not on this machine, and events of the sandbox would be posted there. Nothing was started. "
            'For a first try set SITE_URL=http://127.0.0.1:8000; or say where events shall go: --webhook-url "" is '
            "nowhere."
        )
    return f"{settings.SITE_URL}/webhooks/resend/"


def read_options(options: dict[str, Any]) -> SandboxOptions:
    """The sandbox's options from the command line. ValueError says what cannot be meant."""
    return SandboxOptions(
        port=options["port"],
        api_key=options["api_key"],
        rate_limit=options["rate_limit"],
        webhook_url=options["webhook_url"] or None,
        webhook_secrets=tuple(options["webhook_secret"] or settings.WEBHOOK_SECRETS),
        webhook_time_scale=options["webhook_time_scale"],
        ledger=options["ledger"],
        **{f"{share}_share": options[f"{share}_share"] for share in _SHARES},
    )


def _setting(stop: threading.Event) -> Any:
    def handler(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    return handler
