"""manage.py export_suppressions: the suppressions as keyed hashes, for another installation with the same secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from subscribers.privacy.suppression_file import export_lines


class Command(BaseCommand):
    """Write a CSV of hashes, reasons and times."""

    help = "Writes all suppressions as a CSV of keyed hashes, reasons and times. Addresses are not stored."

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to."""
        parser.add_argument("file", type=Path, help="the file to write")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the file, unless it is there."""
        count = -2
        try:
            with options["file"].open("x", encoding="utf-8", newline="") as file:
                for line in export_lines():
                    file.write(line)
                    count += 1
        except OSError as error:
            raise CommandError(f"{options['file']} cannot be written: {error.strerror}.") from error
        self.stdout.write(
            f"Suppressions written: {count}. They are keyed hashes and no addresses: only an installation with the "
            "same SUPPRESSION_SECRET can import them."
        )
