"""Add DMARC aggregate reports from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.deliverability.dmarc_errors import DmarcError
from newsletter.deliverability.dmarc_files import MAX_BYTES
from newsletter.deliverability.dmarc_reports import store_file

#: Who added them, in the records.
BY = "command"


class Command(BaseCommand):
    """`import_dmarc_reports FILE…`: exit status 1 if a file was refused; the others are added."""

    help = (
        "Add DMARC aggregate reports: XML, .xml.gz or .zip files, or saved mails (.eml) with one attached. A report "
        "that is there already is not added again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The files."""
        parser.add_argument("files", nargs="+", metavar="FILE", help="path of a file")

    def handle(self, *args: Any, **options: Any) -> None:
        """Add each file on its own."""
        refused = sum(not self._add(Path(name)) for name in options["files"])
        if refused:
            raise CommandError(f"Files that were not added: {refused}", returncode=1)

    def _add(self, path: Path) -> bool:
        try:
            with path.open("rb") as file:
                stored = store_file(file.read(MAX_BYTES + 1), by=BY)
        except (DmarcError, OSError) as error:
            self.stderr.write(f"{path}: {error}")
            return False
        self.stdout.write(f"{path}: reports added: {stored.added}; known before: {stored.known}; mails: {stored.mails}")
        return True
