"""Resume sending after all mail was stopped."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.models import InvalidTransition
from newsletter.sending.switch import resume_sending

BY = "manage.py resume_sending"


class Command(BaseCommand):
    """`resume_sending`: exit status 1 if sending is not stopped, or if the setting SENDING stops it."""

    help = "Resume sending after manage.py stop_sending, after “Stop all sending” in the admin, or after a restore."

    def add_arguments(self, parser: CommandParser) -> None:
        """Why."""
        parser.add_argument("--reason", default="", help="why; kept in the history")

    def handle(self, *args: Any, **options: Any) -> None:
        """Resume."""
        try:
            resume_sending(by=BY, text=options["reason"])
        except InvalidTransition as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write("Sending is resumed. Workers continue within seconds.")
