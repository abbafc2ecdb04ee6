"""manage.py demo: the whole system at work with sample content; `manage.py` has prepared its environment before."""

from __future__ import annotations

import logging
import signal
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.demo.home import DemoHome
from newsletter.demo.processes import ProcessFailed
from newsletter.demo.run import DemoFailed, once, serve

ENDING = (signal.SIGINT, signal.SIGTERM)


class Command(BaseCommand):
    """Run the demo until Ctrl-C, or once."""

    help = "Shows the system at work on this machine, with a database, readers and a provider of its own."

    def add_arguments(self, parser: CommandParser) -> None:
        """Two switches; both are read by manage.py, too, before the settings are."""
        parser.add_argument("--once", action="store_true", help="send one issue to 500 readers, report, and end")
        parser.add_argument("--reset", action="store_true", help="start over with a fresh database")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run it; a failure ends with a sentence and status 1."""
        if settings.ENVIRONMENT != "demo":
            raise CommandError("The demo runs on its own database only. Start it with: make demo")
        end_at_the_first_signal()
        # The processes keep their own logs; here only the story is told.
        logging.getLogger().setLevel(logging.WARNING)
        home = DemoHome(once=options["once"])
        try:
            (once if options["once"] else serve)(home.folder, self._say)
        except (DemoFailed, ProcessFailed) as failure:
            raise CommandError(str(failure)) from failure
        except KeyboardInterrupt:
            self.stdout.write("\nStopped.")

    def _say(self, sentence: str) -> None:
        self.stdout.write(sentence)
        # Also where the output goes into a file or a pipe: a demo that says nothing for a minute looks broken.
        self.stdout.flush()


def end_at_the_first_signal() -> None:
    """Let Ctrl-C or SIGTERM end the demo in order."""
    for number in ENDING:
        signal.signal(number, _interrupt)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    # A second one would cut the stopping short, and leave processes behind that keep their ports.
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
