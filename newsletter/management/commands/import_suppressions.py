"""manage.py import_suppressions: suppresses the addresses or keyed hashes of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.management.operator import add_by_option, operator_name
from subscribers.models import SuppressionReason
from subscribers.privacy.suppression_file import FileRefused, bounded_lines, import_file
from subscribers.suppression import SuppressionSecretDiffers

#: What a file of addresses may be. “Erased” comes from an erasure only.
REASONS = [reason.value for reason in SuppressionReason if reason is not SuppressionReason.ERASED]


class Command(BaseCommand):
    """Suppress what the file names. A repeat changes nothing."""

    help = (
        "Suppresses the addresses of a file, one per line or in the first column of a CSV, or the keyed hashes that "
        "export_suppressions wrote in an installation with the same SUPPRESSION_SECRET."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The file, and why its addresses must not be mailed."""
        parser.add_argument("file", type=Path, help="the file")
        parser.add_argument("--reason", choices=REASONS, default="manual", help="for addresses (default: manual)")
        parser.add_argument("--detail", default="", help="a note that is kept with each address")
        add_by_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Print what was done."""
        try:
            with options["file"].open(encoding="utf-8-sig", newline="") as file:
                result = import_file(
                    bounded_lines(file),
                    reason=SuppressionReason(options["reason"]),
                    detail=options["detail"],
                    by=operator_name(options),
                )
        except OSError as error:
            raise CommandError(f"{options['file']} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise CommandError("The file is not UTF-8. Convert it, and import it again.") from error
        except (FileRefused, SuppressionSecretDiffers) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Suppressed: {result.read}. Subscriptions that ended: {result.ended}.")
        if result.skipped:
            lines = ", ".join(map(str, result.unreadable))
            self.stdout.write(f"Lines that could not be read: {result.skipped}, the first of them: {lines}.")
