"""Backups: one consistent file with a manifest, and restoring it so that nothing is sent again on a guess."""

from newsletter.backup.archive import DamagedBackup, read_manifest
from newsletter.backup.make import BackupFailed, make_backup
from newsletter.backup.manifest import Manifest
from newsletter.backup.restore import Refused, RestoreFailed, problems_of, restore_backup

__all__ = [
    "BackupFailed",
    "DamagedBackup",
    "Manifest",
    "Refused",
    "RestoreFailed",
    "make_backup",
    "problems_of",
    "read_manifest",
    "restore_backup",
]
