"""Recorded pre-flight runs, and the results of link checks."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from newsletter.models.issue import Issue
from newsletter.models.reasons import actor_name


class PreflightRun(models.Model):
    """One run of all checks on one edition. A run with the same result as an earlier one is not stored again."""

    issue = models.ForeignKey(Issue, on_delete=models.CASCADE, related_name="preflight_runs")
    revision = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64, blank=True, help_text="Of the edition. Empty if it cannot be rendered.")
    findings = models.JSONField(help_text="A list of objects: severity, family, code, place, message.")
    findings_sha256 = models.CharField(max_length=64)
    errors = models.PositiveIntegerField()
    warnings = models.PositiveIntegerField()
    occasion = models.CharField(max_length=20, help_text="Why it ran: check, schedule, send, start.")
    by = models.CharField(max_length=150)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["issue", "sha256", "findings_sha256", "occasion"], name="preflight_run_once_per_result"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.errors} errors, {self.warnings} warnings"

    @property
    def actor(self) -> str:
        """Who ran it, as shown."""
        return actor_name(self.by)


class AcceptedFinding(models.Model):
    """A warning that an editor accepts for one issue, with the reason; the same warning is accepted once."""

    issue = models.ForeignKey(Issue, on_delete=models.CASCADE, related_name="accepted_findings")
    key = models.CharField(max_length=16, help_text="Of the finding, which covers its place and its sentence.")
    code = models.CharField(max_length=80, help_text="Family and code of the finding.")
    reason = models.CharField(_("reason"), max_length=300)
    by = models.CharField(max_length=150)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["issue", "key"], name="accepted_finding_once")]

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}"


class LinkState(models.TextChoices):
    """Whether a link has been checked."""

    WAITING = "waiting", _("Waiting")
    CHECKED = "checked", _("Checked")


class LinkCheck(models.Model):
    """The last check of one address, shared by all issues that contain it."""

    url = models.TextField()
    url_sha256 = models.CharField(max_length=64, unique=True)
    state = models.CharField(max_length=8, choices=LinkState.choices, default=LinkState.WAITING)
    requested_at = models.DateTimeField(default=timezone.now)
    claimed_until = models.DateTimeField(null=True, help_text="The worker that checks it loses its claim then.")
    checked_at = models.DateTimeField(null=True)
    status = models.PositiveSmallIntegerField(
        null=True, help_text="HTTP status of the last response. Empty if there was none."
    )
    final_url = models.TextField(blank=True, help_text="The address after all redirects.")
    hops = models.JSONField(default=list, help_text="A list of redirects: url and status.")
    reason = models.CharField(max_length=300, blank=True, help_text="Why there was no response, as a code.")
    reason_detail = models.JSONField(default=dict, help_text="The values of the reason, such as host.")
    has_https = models.BooleanField(null=True, help_text="For http addresses: whether https returns the same page.")

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(state__in=LinkState.values), name="link_state_known")]
        indexes = [
            models.Index(fields=["requested_at"], condition=Q(state=LinkState.WAITING), name="link_to_check"),
        ]

    def __str__(self) -> str:
        return self.url
