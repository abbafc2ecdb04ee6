"""`manage.py sandbox`: runs the local provider until Ctrl-C."""

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

#: What is printed if no events are posted.
NO_WEBHOOKS = (
    "none, because SITE_URL is {url}. Mails are shown here, and count as accepted, but never as delivered. For "
    "webhooks, use a SITE_URL on this machine, such as http://127.0.0.1:8000, or --webhook-url."
)

_SHARES = ("open", "click", "bounce", "complaint")


class Command(BaseCommand):
    """A server on this machine that accepts mail as Resend does, shows it, and posts signed events."""

    help = (
        "Runs a local server that implements Resend's API. It accepts every mail, shows it in an inbox and posts "
        "signed events to this site. Mails do not leave this machine."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add arguments; their defaults come from the settings."""
        parser.add_argument(
            "--port",
            type=int,
            default=urlsplit(settings.SANDBOX_URL).port or 8026,
            help="port (default: that of SANDBOX_URL); 0 chooses a free port",
        )
        parser.add_argument(
            "--webhook-url",
            help="where events are posted (default: this site, if it is on this machine; empty: nowhere)",
        )
        parser.add_argument(
            "--webhook-secret", action="append", help="secret that signs events (whsec_…); repeat it during a rotation"
        )
        parser.add_argument("--api-key", default=settings.PROVIDER_API_KEY, help="API key that calls need")
        parser.add_argument("--rate-limit", type=int, default=10, help="calls per second (default: 10)")
        for share in _SHARES:
            parser.add_argument(
                f"--{share}-share",
                type=float,
                default=0.0,
                metavar="SHARE",
                help=f"share of addresses with this event, 0 to 1: {share}",
            )
        parser.add_argument(
            "--webhook-time-scale",
            type=float,
            default=1.0,
            metavar="FACTOR",
            help="factor for the time between events; 0.01 is 100 times faster",
        )
        parser.add_argument("--ledger", type=Path, help="SQLite file for accepted mails (default: in memory)")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Serve until SIGTERM or SIGINT."""
        if "sandbox" not in settings.PROVIDER.split(","):
            raise CommandError(
                f"PROVIDER is {settings.PROVIDER}, so mail is not sent to the sandbox, and the sandbox's events would "
                "be signed like the real provider's. The sandbox was not started. To use it, set PROVIDER=sandbox."
            )
        no_webhooks = "none" if options["webhook_url"] == "" else NO_WEBHOOKS.format(url=settings.SITE_URL)
        options["webhook_url"] = webhook_url(options["webhook_url"])
        stop = threading.Event()
        try:
            server = SandboxServer(read_options(options))
        except (ValueError, OSError) as error:
            raise CommandError(f"The sandbox was not started: {error}") from error
        handlers = {number: signal.signal(number, _stop_handler(stop)) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            with server:
                self.stdout.write(f"Sandbox: {server.url} (inbox and API)")
                self.stdout.write(f"Webhooks: {options['webhook_url'] or no_webhooks}")
                self.stdout.write("Stop with Ctrl-C.")
                self.stdout.flush()
                stop.wait()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        self.stdout.write("The sandbox has stopped.")


def webhook_url(option: str | None) -> str:
    """The URL for events: `option`, else this site if it is on this machine, else none. Events contain addresses."""
    if option is not None:
        return option
    return f"{settings.SITE_URL}/webhooks/resend/" if is_loopback(urlsplit(settings.SITE_URL).hostname) else ""


def read_options(options: dict[str, Any]) -> SandboxOptions:
    """The sandbox's options from the command line. Raises ValueError for an invalid value."""
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


def _stop_handler(stop: threading.Event) -> Any:
    def handler(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    return handler
