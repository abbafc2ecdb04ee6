"""manage.py export_person: everything that is stored about one address, as a ZIP of JSON and a page to read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from subscribers.addresses import AddressError
from subscribers.privacy.export import export_data, export_zip, file_name
from subscribers.privacy.registry import find_data_subject


class Command(BaseCommand):
    """Write the file that a subscriber gets through the link in a mail."""

    help = "Writes everything that is stored about an address into a ZIP: JSON and a page to read."

    def add_arguments(self, parser: CommandParser) -> None:
        """Whose data, and where to."""
        parser.add_argument("address", help="the email address")
        parser.add_argument("--output", type=Path, help="the file (default: my-data-DATE.zip here)")
        parser.add_argument("--language", default="en", help="language of the page (default: en)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the file, unless nothing is stored or the file is there."""
        try:
            subject = find_data_subject(options["address"])
        except AddressError as error:
            raise CommandError(str(error)) from error
        if not export_data(subject)["sections"]:
            raise CommandError("Nothing is stored about this address.")
        path = options["output"] or Path(file_name(timezone.now()))
        try:
            with path.open("xb") as file:
                file.write(export_zip(subject, language=options["language"]))
        except FileExistsError as error:
            raise CommandError(f"{path} is there already. Choose another file with --output.") from error
        self.stdout.write(f"Written to {path}. Send it to this address only, and delete the file.")
