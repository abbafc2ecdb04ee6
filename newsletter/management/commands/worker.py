"""manage.py worker: runs all steps – start, expand, post, apply events … – until it is stopped."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from newsletter.worker import work, work_until_idle


class Command(BaseCommand):
    """Run the worker. It may be killed at any time: the next start continues from the database."""

    help = "Sends scheduled issues and transactional mail, and applies webhook events, until stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--until-idle", action="store_true", help="exit as soon as nothing is left to do")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until SIGINT or SIGTERM; the current step is finished first."""
        if options["until_idle"]:
            work_until_idle()
            return
        stop = threading.Event()

        def request_stop(signum: int, frame: FrameType | None) -> None:
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, request_stop)
        self.stdout.write("Worker started. Press Ctrl-C to stop it.")
        work(stop)
