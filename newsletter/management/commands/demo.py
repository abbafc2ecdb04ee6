"""`manage.py demo`: runs the whole system with sample content. `manage.py` prepares its environment before."""

from __future__ import annotations

import logging
import signal
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.demo.environment import DemoEnvironment
from newsletter.demo.processes import ProcessFailed
from newsletter.demo.run import DemoFailed, run_once, serve

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Command(BaseCommand):
    """Runs the demo until Ctrl-C, or sends one issue and ends."""

    help = "Runs the whole system on this machine with sample content, and with its own database and provider."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add two options, which manage.py also reads, before the settings are loaded."""
        parser.add_argument(
            "--once",
            action="store_true",
            help="send one issue to 500 subscribers, check the numbers, and end",
        )
        parser.add_argument("--reset", action="store_true", help="delete the demo's database and start over")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the demo. A failure prints a message and ends with status 1."""
        if settings.ENVIRONMENT != "demo":
            raise CommandError("The demo needs its own database and settings. Start it with: make demo")
        stop_at_first_signal()
        # The processes write their own logs; here only the demo's messages are shown.
        logging.getLogger().setLevel(logging.WARNING)
        folder = DemoEnvironment(once=options["once"]).folder
        try:
            (run_once if options["once"] else serve)(folder, self._print)
        except (DemoFailed, ProcessFailed) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self.stdout.write("\nThe demo has stopped.")

    def _print(self, text: str) -> None:
        self.stdout.write(text)
        # Output to a file or a pipe is buffered otherwise, and the demo looks as if it were stuck.
        self.stdout.flush()


def stop_at_first_signal() -> None:
    """Let the first Ctrl-C or SIGTERM stop the demo in order, and ignore further ones."""
    for number in STOP_SIGNALS:
        signal.signal(number, _interrupt)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    # A second signal would interrupt the stopping, and leave processes that still use their ports.
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
