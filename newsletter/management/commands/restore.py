"""manage.py restore: restores a backup; nothing is sent until an operator resumes sending."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.backup import DamagedBackup, Manifest, Refused, RestoreFailed, read_manifest, restore_backup
from newsletter.backup.restore import Permissions, check_archive, notes_on, problems_of
from newsletter.management.operator import add_by_option, operator_name
from newsletter.models import Restore
from newsletter.sending.after_restore import acknowledge_restores


class Command(BaseCommand):
    """Restore, check, or acknowledge."""

    help = (
        "Restores a backup that manage.py backup has made. All sending is stopped until an operator resumes it, and "
        "what may have been sent since the backup is held. Stop all workers and web servers first."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Which file, and what is allowed."""
        parser.add_argument("path", nargs="?", type=Path, help="the backup")
        parser.add_argument("--check", action="store_true", help="check the file, and restore nothing")
        parser.add_argument("--replace", action="store_true", help="delete the present content of the database")
        parser.add_argument(
            "--lost-suppression-secret",
            action="store_true",
            help="restore although suppressed addresses will not be recognised",
        )
        parser.add_argument(
            "--acknowledge",
            action="store_true",
            help="the gap in the events is dealt with: doctor and the start page no longer show it",
        )
        add_by_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Do one of the three."""
        if options["acknowledge"]:
            count = acknowledge_restores(by=operator_name(options))
            self.stdout.write("Acknowledged." if count else "There is nothing to acknowledge.")
            return
        path: Path | None = options["path"]
        if path is None:
            raise CommandError("Name the backup, or use --acknowledge.")
        allowed = Permissions(replace=options["replace"], other_suppressions=options["lost_suppression_secret"])
        try:
            if options["check"]:
                self._check(path, allowed)
                return
            self._show_notes(read_manifest(path))
            manifest, restore = restore_backup(path, allowed)
        except (DamagedBackup, Refused, RestoreFailed, OSError) as error:
            raise CommandError(f"Nothing was restored.\n{error}") from error
        self._show(manifest, restore)

    def _check(self, path: Path, allowed: Permissions) -> None:
        manifest = check_archive(path)
        self.stdout.write(f"{path} is complete: made at {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC, {manifest.vendor}.")
        for name, count in manifest.counts.items():
            self.stdout.write(f"  {name}: {count:,}")
        self._show_notes(manifest)
        if problems := problems_of(manifest, allowed):
            raise CommandError("It cannot be restored here now.\n" + "\n".join(problems))
        self.stdout.write("It can be restored here.")

    def _show_notes(self, manifest: Manifest) -> None:
        for note in notes_on(manifest):
            self.stdout.write(f"Note: {note}")

    def _show(self, manifest: Manifest, restore: Restore) -> None:
        held = restore.held
        self.stdout.write(
            f"Restored the state of {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC. All sending is stopped.\n"
            f"Held, because they may have been sent since: {held['batches']} batches of {held['sends']} sends, "
            f"{held['scheduled']} schedules, {held['occurrences']} occurrences.\n"
            f"Transactional mails that may have been sent since: {held['mails']}. They are sent at most once.\n"
            "Next: start the web server and the worker, and follow “After restoring a backup” in docs/run-it.md."
        )
