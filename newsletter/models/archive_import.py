"""Imports of archives: one row per archive, an entry per past issue in it, and the lasting record of each issue."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from newsletter.config.translatable import from_data
from newsletter.models.issue import Issue
from newsletter.models.newsletter import Newsletter
from subscribers.state_machine import StateMachine


class ArchiveImportState(models.TextChoices):
    """The states of the import of an archive."""

    CHECKING = "checking", pgettext_lazy("import", "Checking")
    CHECKED = "checked", pgettext_lazy("import", "Checked")
    RUNNING = "running", pgettext_lazy("import", "Running")
    PAUSED = "paused", pgettext_lazy("import", "Paused")
    FINISHED = "finished", pgettext_lazy("import", "Finished")
    UNDOING = "undoing", pgettext_lazy("import", "Undoing")
    UNDONE = "undone", pgettext_lazy("import", "Undone")
    FAILED = "failed", pgettext_lazy("import", "Failed")


ARCHIVE_IMPORT_MACHINE = StateMachine(
    states=ArchiveImportState,
    transitions={
        ArchiveImportState.CHECKING: (ArchiveImportState.CHECKED, ArchiveImportState.FAILED),
        ArchiveImportState.CHECKED: (ArchiveImportState.RUNNING, ArchiveImportState.FAILED),
        ArchiveImportState.RUNNING: (
            ArchiveImportState.PAUSED,
            ArchiveImportState.FINISHED,
            ArchiveImportState.UNDOING,
            ArchiveImportState.FAILED,
        ),
        ArchiveImportState.PAUSED: (
            ArchiveImportState.RUNNING,
            ArchiveImportState.UNDOING,
            ArchiveImportState.FAILED,
        ),
        ArchiveImportState.FINISHED: (ArchiveImportState.UNDOING,),
        ArchiveImportState.UNDOING: (ArchiveImportState.UNDONE, ArchiveImportState.FAILED),
        # What a failed import has written can be undone.
        ArchiveImportState.FAILED: (ArchiveImportState.UNDOING,),
        ArchiveImportState.UNDONE: (),
    },
    initial_states=(ArchiveImportState.CHECKING,),
)

#: A worker has something to do for imports in these states.
ARCHIVE_WORKING = (ArchiveImportState.CHECKING, ArchiveImportState.RUNNING, ArchiveImportState.UNDOING)
#: Nothing moves any more, except by an editor.
ARCHIVE_ENDED = (ArchiveImportState.FINISHED, ArchiveImportState.UNDONE, ArchiveImportState.FAILED)


class ArchiveProblem(models.TextChoices):
    """Why the import of an archive failed."""

    ARCHIVE = "archive", _("The archive cannot be read.")
    FILE_DELETED = "file_deleted", _("The uploaded file was deleted. Upload it again.")
    INTERRUPTED = "interrupted", _("The command that ran it was interrupted. Run it again: it goes on.")
    ERROR = "error", _("An unexpected error occurred. The log of the worker has the details.")


class EntryOutcome(models.TextChoices):
    """What an import does, or did, with an entry of an archive."""

    CREATED = "created", _("New issue")
    UPDATED = "updated", _("Updated, because the archive changed")
    UNCHANGED = "unchanged", _("No change")
    EDITED = "edited", _("Left alone: changed here since its import")
    REMOVED = "removed", _("Left alone: deleted here since its import")
    FAILED = "failed", _("Failed")
    NO_ISSUE = "no_issue", _("Not an issue")


#: Outcomes of entries that are issues here.
WITH_ISSUE = (EntryOutcome.CREATED, EntryOutcome.UPDATED, EntryOutcome.UNCHANGED, EntryOutcome.EDITED)


class ArchiveImport(models.Model):
    """One archive that is imported into a newsletter.

    The check reads the archive into entries and finds out what would happen to each without writing anything else. The
    run then writes issue by issue, in the order of the entries.
    """

    newsletter = models.ForeignKey(
        Newsletter, on_delete=models.PROTECT, related_name="archive_imports", verbose_name=_("newsletter")
    )
    source_name = models.CharField(
        _("archive"), max_length=500, help_text=_("Name of the uploaded file, or path that a command has read.")
    )
    is_local = models.BooleanField(
        default=False, editable=False, help_text=_("A command reads it from its disk; workers leave it alone.")
    )
    size = models.BigIntegerField(_("size"), default=0, help_text=_("In bytes."))
    sha256 = models.CharField(max_length=64, blank=True, help_text=_("Of the upload. Empty: it is still arriving."))
    archive = models.CharField(_("kind of archive"), max_length=30, blank=True, help_text=_("Its code, such as ghost."))
    site_url = models.CharField(
        _("old site"),
        max_length=300,
        blank=True,
        help_text=_("Address of the old site, against which relative links are resolved."),
    )
    as_drafts = models.BooleanField(_("all as drafts"), default=False)
    keeps_tracking = models.BooleanField(
        _("keep utm parameters"), default=False, help_text=_("Whether utm_ parameters of links are kept.")
    )
    state = models.CharField(
        _("state"),
        max_length=10,
        choices=ArchiveImportState.choices,
        default=ArchiveImportState.CHECKING,
        editable=False,
    )
    problem = models.CharField(max_length=14, blank=True, choices=ArchiveProblem.choices, editable=False)
    detail = models.JSONField(null=True, editable=False, help_text=_("The sentence of the problem."))

    entry_count = models.PositiveIntegerField(
        _("entries"), default=0, editable=False, help_text=_("Entries that were read so far.")
    )
    done_count = models.PositiveIntegerField(default=0, editable=False)
    expected = models.JSONField(default=dict, editable=False, help_text=_("Counts of the check."))
    counts = models.JSONField(default=dict, editable=False, help_text=_("Counts of what was imported."))
    undone = models.JSONField(default=dict, editable=False, help_text=_("Issues that were removed, and kept."))
    last_pk = models.BigIntegerField(default=0, editable=False)
    resumed_at = models.PositiveIntegerField(
        null=True, editable=False, help_text=_("Entries that were done when another worker continued.")
    )

    worker = models.CharField(max_length=40, blank=True, editable=False)
    heartbeat_at = models.DateTimeField(null=True, editable=False)
    by = models.CharField(_("by"), max_length=150, blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    checked_at = models.DateTimeField(null=True, editable=False)
    started_at = models.DateTimeField(_("started at"), null=True, editable=False)
    ended_at = models.DateTimeField(_("ended at"), null=True, editable=False)

    class Meta:
        verbose_name, verbose_name_plural = _("import of an archive"), _("imports of archives")
        ordering: ClassVar = ["-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=ArchiveImportState.values), name="archive_import_state_known"),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(state__in=ARCHIVE_WORKING), name="archive_import_working"),
        ]

    def __str__(self) -> str:
        return self.source_name

    @property
    def detail_sentence(self) -> str:
        """The sentence of its problem; empty if its kind says it all."""
        return str(from_data(self.detail)) if self.detail else ""


class ArchiveImportPart(models.Model):
    """A part of an uploaded archive, compressed with zstd: every worker can read it, and backups contain it."""

    owner = models.ForeignKey(ArchiveImport, on_delete=models.CASCADE, related_name="parts")
    number = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["owner", "number"], name="archive_import_part_once")]

    def __str__(self) -> str:
        return f"{self.owner_id}/{self.number}"


class ArchiveEntry(models.Model):
    """What an archive has at one place: a past issue, or something that is none. A line of the report."""

    owner = models.ForeignKey(ArchiveImport, on_delete=models.CASCADE, related_name="entries")
    position = models.PositiveIntegerField()
    place = models.CharField(max_length=500, help_text=_("Path of the file, with the row if it holds several."))
    key = models.CharField(max_length=500, blank=True)
    title = models.CharField(max_length=200, blank=True)
    published_at = models.DateTimeField(null=True)
    date_source = models.CharField(max_length=10, blank=True)
    visibility = models.CharField(max_length=10, blank=True)
    data = models.JSONField(null=True, help_text=_("The issue as it was read. Emptied when the import ends."))
    source_sha256 = models.CharField(max_length=64, blank=True)
    expected = models.CharField(max_length=10, choices=EntryOutcome.choices)
    outcome = models.CharField(max_length=10, choices=EntryOutcome.choices, blank=True)
    is_on_web = models.BooleanField(default=False)
    issue = models.ForeignKey(Issue, on_delete=models.SET_NULL, null=True, related_name="+")
    notes = models.JSONField(default=list, help_text=_("Sentences with their lines in the file."))
    link_count = models.PositiveIntegerField(default=0)
    lost_link_count = models.PositiveIntegerField(default=0)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["owner", "position"], name="archive_entry_once"),
            models.CheckConstraint(
                condition=Q(expected__in=EntryOutcome.values) & Q(outcome__in=["", *EntryOutcome.values]),
                name="archive_entry_outcome_known",
            ),
        ]

    def __str__(self) -> str:
        return self.place


class ImportedIssue(models.Model):
    """The issue that an item of an archive became: importing the archive again updates it instead of doubling it."""

    newsletter = models.ForeignKey(Newsletter, on_delete=models.CASCADE, related_name="imported_issues")
    archive = models.CharField(max_length=30, help_text=_("Code of the kind of archive."))
    key = models.CharField(max_length=500, help_text=_("Stable within its archive."))
    place = models.CharField(max_length=500)
    issue = models.OneToOneField(
        Issue, on_delete=models.SET_NULL, null=True, related_name="imported_as", help_text=_("Empty: it was deleted.")
    )
    owner = models.ForeignKey(
        ArchiveImport, on_delete=models.SET_NULL, null=True, related_name="made", help_text=_("Which made it.")
    )
    source_sha256 = models.CharField(max_length=64)
    keeps_tracking = models.BooleanField(default=False, help_text=_("Whether utm_ parameters of links were kept."))
    revision = models.PositiveIntegerField(help_text=_("Of the issue, as the last import left it."))
    web_version = models.PositiveIntegerField(
        default=0, help_text=_("Of its page, as the last import left it; 0: it was not on the web.")
    )
    is_undone = models.BooleanField(default=False, help_text=_("Its import was undone: its page was taken down."))
    published_at = models.DateTimeField(null=True)
    date_source = models.CharField(max_length=10)
    visibility = models.CharField(max_length=10)
    language = models.CharField(max_length=35, blank=True)
    unknown = models.JSONField(default=dict, help_text=_("Keys of the source that have no meaning here."))
    notes = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["newsletter", "archive", "key"], name="imported_issue_once"),
        ]

    def __str__(self) -> str:
        return self.place
