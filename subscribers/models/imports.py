"""Imports: one row per file, with its plan, progress and outcome, and what belongs to it until it is deleted."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from subscribers.models.mailing_list import MailingList
from subscribers.models.suppression import SuppressionReason
from subscribers.state_machine import StateMachine


class ImportState(models.TextChoices):
    """The states of an import."""

    UPLOADED = "uploaded", pgettext_lazy("import", "Uploaded")
    CHECKING = "checking", pgettext_lazy("import", "Checking")
    CHECKED = "checked", pgettext_lazy("import", "Checked")
    RUNNING = "running", pgettext_lazy("import", "Running")
    PAUSED = "paused", pgettext_lazy("import", "Paused")
    FINISHED = "finished", pgettext_lazy("import", "Finished")
    UNDOING = "undoing", pgettext_lazy("import", "Undoing")
    UNDONE = "undone", pgettext_lazy("import", "Undone")
    FAILED = "failed", pgettext_lazy("import", "Failed")


IMPORT_MACHINE = StateMachine(
    states=ImportState,
    transitions={
        ImportState.UPLOADED: (ImportState.CHECKING, ImportState.FAILED),
        # A changed plan starts the check again.
        ImportState.CHECKING: (ImportState.CHECKING, ImportState.CHECKED, ImportState.FAILED),
        ImportState.CHECKED: (ImportState.CHECKING, ImportState.RUNNING, ImportState.FAILED),
        ImportState.RUNNING: (ImportState.PAUSED, ImportState.FINISHED, ImportState.UNDOING, ImportState.FAILED),
        ImportState.PAUSED: (ImportState.RUNNING, ImportState.UNDOING, ImportState.FAILED),
        ImportState.FINISHED: (ImportState.UNDOING,),
        ImportState.UNDOING: (ImportState.UNDONE, ImportState.FAILED),
        # What a failed import has written can be undone.
        ImportState.FAILED: (ImportState.UNDOING,),
        ImportState.UNDONE: (),
    },
    initial_states=(ImportState.UPLOADED,),
)

#: A worker has something to do for imports in these states.
WORKING = (ImportState.CHECKING, ImportState.RUNNING, ImportState.UNDOING)
#: Nothing moves any more, except by an editor.
ENDED = (ImportState.FINISHED, ImportState.UNDONE, ImportState.FAILED)


class ImportProblem(models.TextChoices):
    """Why an import failed or was paused."""

    FILE = "file", _("The file cannot be read.")
    FILE_DELETED = "file_deleted", _("The file was deleted.")
    TOO_MANY_TAGS = "too_many_tags", _("The file has too many different tags. Check the column of the tags.")
    SECRET = "secret", _("SUPPRESSION_SECRET is not the one under which suppressed addresses are stored.")
    ERROR = "error", _("An unexpected error occurred. The log of the worker has the details.")


class UpdateMode(models.TextChoices):
    """What an import changes about subscribers that are known."""

    FILL_EMPTY = "fill_empty", _("Fill in what is empty, and add tags")
    REPLACE = "replace", _("Replace names and fields by those of the file, and add tags")


class Import(models.Model):
    """One file that is imported into a mailing list.

    The check reads the file into StagedRow and finds the outcome of each row without writing anything else. The run
    then writes subscriber by subscriber, in the order of their addresses.
    """

    mailing_list = models.ForeignKey(
        MailingList, on_delete=models.PROTECT, related_name="imports", verbose_name=_("mailing list")
    )
    file_name = models.CharField(_("file name"), max_length=255)
    size = models.BigIntegerField(_("size"), help_text=_("In bytes."))
    sha256 = models.CharField(max_length=64)
    header_fingerprint = models.CharField(
        max_length=64, blank=True, help_text=_("SHA-256 of the columns. A plan is remembered for files with the same.")
    )
    plan = models.JSONField(_("plan"), default=dict, blank=True, help_text=_("The plan of each table of the file."))
    update_mode = models.CharField(
        _("known subscribers"), max_length=10, choices=UpdateMode.choices, default=UpdateMode.FILL_EMPTY
    )
    state = models.CharField(
        _("state"), max_length=10, choices=ImportState.choices, default=ImportState.UPLOADED, editable=False
    )
    problem = models.CharField(max_length=14, blank=True, choices=ImportProblem.choices, editable=False)
    detail = models.CharField(max_length=500, blank=True, editable=False)

    # The check: reading the rows, then counting the outcomes.
    next_table = models.PositiveIntegerField(default=0, editable=False)
    next_line = models.PositiveBigIntegerField(default=1, editable=False)
    is_read = models.BooleanField(default=False, editable=False)
    row_count = models.PositiveBigIntegerField(
        _("rows"), default=0, editable=False, help_text=_("Rows that were read so far.")
    )
    staged_count = models.PositiveBigIntegerField(default=0, editable=False)
    tag_names = models.JSONField(default=list, editable=False)
    dropped_values = models.JSONField(default=dict, editable=False)
    expected = models.JSONField(default=dict, editable=False, help_text=_("Outcomes of the check."))
    preview = models.JSONField(default=list, editable=False)

    # The run, and undoing it.
    last_address = models.CharField(max_length=320, blank=True, editable=False)
    last_pk = models.BigIntegerField(default=0, editable=False)
    done_count = models.PositiveBigIntegerField(default=0, editable=False)
    outcomes = models.JSONField(_("outcomes"), default=dict, editable=False)
    undone = models.JSONField(default=dict, editable=False, help_text=_("Subscriptions that were removed, and kept."))
    resumed_at = models.PositiveBigIntegerField(
        null=True, editable=False, help_text=_("Rows that were done when another worker continued.")
    )

    worker = models.CharField(max_length=40, blank=True, editable=False)
    heartbeat_at = models.DateTimeField(null=True, editable=False)
    by = models.CharField(_("by"), max_length=150, blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    checked_at = models.DateTimeField(null=True, editable=False)
    started_at = models.DateTimeField(_("started at"), null=True, editable=False)
    phase_started_at = models.DateTimeField(null=True, editable=False)
    ended_at = models.DateTimeField(_("ended at"), null=True, editable=False)

    class Meta:
        verbose_name, verbose_name_plural = _("import"), _("imports")
        ordering: ClassVar = ["-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=ImportState.values), name="import_state_known"),
            models.CheckConstraint(condition=Q(update_mode__in=UpdateMode.values), name="import_update_mode_known"),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(state__in=WORKING), name="import_working"),
        ]

    def __str__(self) -> str:
        return self.file_name


class ImportPart(models.Model):
    """A part of the file, compressed with zstd: every worker can read it, and backups contain it."""

    owner = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="parts")
    number = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["owner", "number"], name="import_part_once")]

    def __str__(self) -> str:
        return f"{self.owner_id}/{self.number}"


class ImportRefusal(models.Model):
    """A row that is not imported, as the file has it."""

    owner = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="refusals")
    table = models.CharField(max_length=255, blank=True)
    position = models.PositiveBigIntegerField(help_text=_("The number of the row over all tables of the file."))
    line = models.PositiveBigIntegerField()
    reason = models.CharField(max_length=40)
    detail = models.CharField(max_length=300, blank=True)
    cells = models.JSONField(default=list)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.table}:{self.line}: {self.reason}"


class StagedRow(models.Model):
    """A row that can be imported, as it was understood. Deleted when the import ends.

    On PostgreSQL the table is unlogged: after a crash it is empty, and the file is read again.
    """

    owner = models.ForeignKey(
        Import, on_delete=models.CASCADE, related_name="staged_rows", db_constraint=False, db_index=False
    )
    position = models.PositiveBigIntegerField(help_text=_("The number of the row over all tables of the file."))
    canonical = models.CharField(max_length=320)
    fingerprint = models.CharField(max_length=64)
    address = models.CharField(max_length=320)
    rank = models.PositiveSmallIntegerField(help_text=_("Of two rows of a subscriber, the one with the higher wins."))
    first_name = models.CharField(max_length=60)
    time_zone = models.CharField(max_length=64)
    language = models.CharField(max_length=10)
    tags = models.TextField(help_text=_("Numbers into the import’s tag names, separated by commas."))
    field_values = models.TextField(help_text=_("JSON: pairs of a field’s number in the plan and a text."))
    note = models.TextField()
    joined_at = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    source = models.CharField(max_length=300)
    evidence = models.CharField(max_length=300)

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["owner", "canonical"], name="staged_row_address")]

    def __str__(self) -> str:
        return self.source


class ImportSuppression(models.Model):
    """A suppression that an import made, so that it can be undone."""

    owner = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="suppressions")
    fingerprint = models.CharField(max_length=64)
    reason = models.CharField(max_length=12, choices=SuppressionReason.choices)
    created_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["owner", "fingerprint"], name="import_suppression_once")]

    def __str__(self) -> str:
        return f"{self.owner_id} · {self.reason}"
