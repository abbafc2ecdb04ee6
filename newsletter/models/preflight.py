"""What pre-flight found, kept with the hash of what it looked at; and what is known of the links it meets."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from newsletter.models.issue import Issue


class PreflightRun(models.Model):
    """One run of all checks on one rendering. A run that finds the same again is not stored again."""

    issue = models.ForeignKey(Issue, on_delete=models.CASCADE, related_name="preflight_runs")
    revision = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64, blank=True, help_text="Of the edition; empty where none can be rendered.")
    findings = models.JSONField(help_text="Each with severity, family, place, sentence.")
    findings_sha256 = models.CharField(max_length=64)
    must_fix = models.PositiveIntegerField()
    look_at = models.PositiveIntegerField()
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
        return f"{self.must_fix} to fix, {self.look_at} to look at"


class LinkState(models.TextChoices):
    """Whether a link has been looked at."""

    WAITING = "waiting", "Waiting"
    CHECKED = "checked", "Checked"


class LinkCheck(models.Model):
    """What a look at one address found. Shared by all issues that link there."""

    url = models.TextField()
    url_sha256 = models.CharField(max_length=64, unique=True)
    state = models.CharField(max_length=8, choices=LinkState.choices, default=LinkState.WAITING)
    requested_at = models.DateTimeField(default=timezone.now)
    claimed_until = models.DateTimeField(null=True, help_text="A worker is looking; after this another may.")
    checked_at = models.DateTimeField(null=True)
    status = models.PositiveSmallIntegerField(null=True, help_text="HTTP status of the last answer; none without one.")
    final_url = models.TextField(blank=True, help_text="Where redirects end.")
    hops = models.JSONField(default=list, help_text="Each redirect on the way: url and status.")
    reason = models.CharField(max_length=300, blank=True, help_text="Why there was no answer, as a sentence.")
    has_https = models.BooleanField(null=True, help_text="For http addresses: whether https answers the same.")

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(state__in=LinkState.values), name="link_state_known")]
        indexes = [
            models.Index(fields=["requested_at"], condition=Q(state=LinkState.WAITING), name="link_to_check"),
        ]

    def __str__(self) -> str:
        return self.url
