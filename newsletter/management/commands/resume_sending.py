"""Resume sending after all mail was stopped."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.management.operator import add_by_option, operator_name
from newsletter.models import InvalidTransition, sending_stopped
from newsletter.sending.switch import resume_sending
from subscribers.suppression import replace_lost_secret


class Command(BaseCommand):
    """`resume_sending`: exit status 1 if sending is not stopped, or if a setting stops it."""

    help = "Resume sending after manage.py stop_sending, after “Stop all sending” in the admin, or after a restore."

    def add_arguments(self, parser: CommandParser) -> None:
        """Why, who, and whether a secret is lost."""
        parser.add_argument("--reason", default="", help="why; kept in the history")
        parser.add_argument(
            "--lost-suppression-secret",
            action="store_true",
            help="the former SUPPRESSION_SECRET is lost: send, although earlier suppressions are not recognised",
        )
        add_by_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Resume."""
        by = operator_name(options)
        has_new_secret = options["lost_suppression_secret"] and self._replace_secret(by)
        if has_new_secret and not sending_stopped():
            self.stdout.write("Workers continue within seconds.")
            return
        try:
            resume_sending(by=by, text=options["reason"])
        except InvalidTransition as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write("Sending is resumed. Workers continue within seconds.")

    def _replace_secret(self, by: str) -> bool:
        """Whether another SUPPRESSION_SECRET was recorded."""
        is_replaced = replace_lost_secret(by=by)
        if is_replaced:
            self.stdout.write("SUPPRESSION_SECRET is replaced. Addresses suppressed until now are not recognised.")
        return is_replaced
