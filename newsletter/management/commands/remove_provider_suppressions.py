"""manage.py remove_provider_suppressions: has the provider try addresses again that are not suppressed here."""

from __future__ import annotations

import logging
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from newsletter.management.operator import add_by_option, operator_name
from newsletter.privacy.provider_list import listed_there_only, request_removal_there

log = logging.getLogger(__name__)


class Command(BaseCommand):
    """Requests the removals, which the worker makes."""

    help = (
        "Removes addresses from the provider's suppression list that are not suppressed here: their mails were refused "
        "because of the sender, the content or a full mailbox. Fix the cause first. Needs RESEND_READ_KEY."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Whether to count only, and who does it."""
        parser.add_argument("--dry-run", action="store_true", help="only print how many there are")
        add_by_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Request the removals, and print how many there are."""
        by = operator_name(options)
        if options["dry_run"]:
            self.stdout.write(f"{listed_there_only().count()} addresses would be removed from the provider's list.")
            return
        count = request_removal_there()
        log.info("Removal from the provider's suppression list requested", extra={"count": count, "by": by})
        self.stdout.write(f"{count} addresses will be removed from the provider's list. A worker does it in minutes.")
