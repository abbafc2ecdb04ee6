"""manage.py worker: starts, addresses, posts and follows issues until it is stopped."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from newsletter.worker import work, work_until_idle


class Command(BaseCommand):
    """Run the worker. It may be stopped or killed at any moment; the next start goes on where it was."""

    help = "Sends what is due and applies receipts, until stopped with Ctrl-C or SIGTERM."

    def add_arguments(self, parser: CommandParser) -> None:
        """One switch."""
        parser.add_argument("--until-idle", action="store_true", help="end as soon as nothing is left to do")

    def handle(self, *args: Any, **options: Any) -> None:
        """Loop until told to stop; the step that runs is finished first."""
        if options["until_idle"]:
            work_until_idle()
            return
        stop = threading.Event()

        def stop_soon(signum: int, frame: FrameType | None) -> None:
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop_soon)
        self.stdout.write("Worker running. Stop it with Ctrl-C; it may also be killed.")
        work(stop)
