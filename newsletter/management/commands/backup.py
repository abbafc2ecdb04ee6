"""manage.py backup: writes a consistent backup into one file, while everything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.backup import BackupFailed, make_backup
from newsletter.backup.archive import MEDIA


class Command(BaseCommand):
    """Make one file with the database, the pictures and a manifest."""

    help = (
        "Writes a backup of the database and of all pictures into one file, consistent and with a manifest. Workers "
        "and web servers may run. Back up .env, too: it holds the secrets, which are not in the backup."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to."""
        parser.add_argument("path", type=Path, help="a new file, or a directory in which one is named by the time")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write it and print what is in it."""
        try:
            path, manifest = make_backup(options["path"])
        except (BackupFailed, OSError) as error:
            raise CommandError(f"No backup was made. {error}") from error
        self.stdout.write(f"Wrote {path} ({path.stat().st_size / 1e6:,.1f} MB).")
        self.stdout.write("  ".join(f"{name.partition('_')[2]}: {count:,}" for name, count in manifest.counts.items()))
        pictures = sum(name.startswith(MEDIA) for name in manifest.parts)
        self.stdout.write(f"Files of pictures: {pictures:,}")
        self.stdout.write("It holds personal data: store it encrypted. Check it with manage.py restore --check.")
