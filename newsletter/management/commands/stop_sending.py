"""Stop all mail of the installation."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.management.operator import add_by_option, operator_name
from newsletter.sending.switch import StopReasonNeeded, stop_all_sending


class Command(BaseCommand):
    """`stop_sending --reason …`."""

    help = (
        "Stop all mail: issues, confirmation mails and test mails. Each worker finishes the batch that it is posting. "
        "What waits is sent after manage.py resume_sending."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Why, and who."""
        parser.add_argument("--reason", required=True, help="why; shown to every editor and kept in the history")
        add_by_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Stop."""
        try:
            stop_all_sending(by=operator_name(options), text=options["reason"])
        except StopReasonNeeded as missing:
            raise CommandError(str(missing)) from missing
        self.stdout.write("All sending is stopped. Each worker finishes the batch that it is posting.")
