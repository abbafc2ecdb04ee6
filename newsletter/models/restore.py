"""Restored backups, and the mark by which a database that went back in time is recognised."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class RestoreSource(models.TextChoices):
    """How it is known that the database is a restored backup."""

    COMMAND = "command", _("restored with manage.py restore")
    NOTICED = "noticed", _("found by a worker: the database was older than what this machine had seen")


class Restore(models.Model):
    """One time that the database went back to an earlier state. What happened between the two times is not in it."""

    backup_at = models.DateTimeField(help_text=_("The latest time that is in the backup."))
    restored_at = models.DateTimeField(default=timezone.now)
    source = models.CharField(max_length=7, choices=RestoreSource.choices)
    by = models.CharField(max_length=150)
    secured_at = models.DateTimeField(
        null=True, help_text=_("When everything that may have been sent since the backup was held.")
    )
    held = models.JSONField(default=dict, help_text=_("How many sends, batches and occurrences were held."))
    acknowledged_at = models.DateTimeField(null=True, help_text=_("When an operator acknowledged the restore."))
    acknowledged_by = models.CharField(max_length=150, blank=True, default="")

    class Meta:
        verbose_name = _("restored backup")
        verbose_name_plural = _("restored backups")
        default_permissions = ()
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(condition=Q(source__in=RestoreSource.values), name="restore_source_known"),
            models.CheckConstraint(condition=Q(backup_at__lte=F("restored_at")), name="restore_times_in_order"),
        ]

    def __str__(self) -> str:
        return f"{self.backup_at:%Y-%m-%d %H:%M} → {self.restored_at:%Y-%m-%d %H:%M}"


class DatabaseMark(models.Model):
    """The latest time at which a worker used this database: one row, written every few seconds.

    Each machine keeps a copy in a file. A file that is ahead of the row shows that the database went back in time.
    """

    PK: ClassVar[int] = 1

    database = models.UUIDField(default=uuid.uuid4, help_text=_("Identifies the database, and copies of it."))
    marked_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="database_mark_only_one")]

    def __str__(self) -> str:
        return f"{self.database} {self.marked_at}"
