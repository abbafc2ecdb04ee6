"""Runs pre-flight and records what it found, with the hash of the edition that it checked."""

from __future__ import annotations

import datetime
import enum
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from django.utils import timezone

from newsletter.config.translatable import from_data, to_data
from newsletter.models import Issue, PreflightRun
from newsletter.preflight.families import FAMILIES, run_checks
from newsletter.preflight.findings import AudienceSnapshot, Finding, Inspection, Rendered, Severity
from newsletter.preflight.gather import gather_inspection


class Trigger(enum.StrEnum):
    MANUAL = "check"
    """On request."""
    SCHEDULE = "schedule"
    SEND_NOW = "send"
    SCHEDULED_START = "start"
    """The scheduled time has come."""


#: The families whose errors stop an approved issue at its scheduled time. Errors of the other families, such as a
#: linked page that went offline overnight, do not: the issue was approved, and no editor may be there to fix it.
FAMILIES_THAT_STOP_A_START = frozenset({"rendering", "compliance", "size", "audience"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightResult:
    """The result of pre-flight: findings, and a sentence for each family without findings."""

    trigger: Trigger
    findings: tuple[Finding, ...]
    passed: tuple[str, ...]
    sha256: str
    """Of the edition that was checked, or that would be frozen. Empty if the issue cannot be rendered."""

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that block sending."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that do not block sending."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.WARNING)

    @property
    def as_json(self) -> list[dict[str, str]]:
        """The findings for programs, with stable keys, in English."""
        return [
            {
                "severity": finding.severity.value,
                "family": finding.family,
                "code": finding.code,
                "place": finding.place,
                "message": finding.message,
            }
            for finding in self.findings
        ]

    @property
    def findings_sha256(self) -> str:
        """Equal for equal findings, in every language."""
        return hashlib.sha256(orjson.dumps(self.as_json, option=orjson.OPT_SORT_KEYS)).hexdigest()

    @property
    def blocking(self) -> tuple[Finding, ...]:
        """The errors that stop the issue when it has this trigger."""
        if self.trigger is Trigger.SCHEDULED_START:
            return tuple(finding for finding in self.errors if finding.family in FAMILIES_THAT_STOP_A_START)
        return self.errors


def run_preflight(
    issue: Issue,
    rendered: Rendered | None,
    *,
    audience: AudienceSnapshot,
    trigger: Trigger = Trigger.MANUAL,
    sha256: str = "",
    render_error: str = "",
    sends_at: datetime.datetime | None = None,
) -> PreflightResult:
    """Run all checks on the issue as it is saved. Records nothing.

    `rendered` would be sent, and `sha256` is that of its edition. If the issue cannot be rendered, `render_error` is
    the sentence that says why. `sends_at` is as for `gather_inspection`.
    """
    inspection = gather_inspection(
        issue, audience=audience, rendered=rendered, render_error=render_error, sends_at=sends_at
    )
    findings = run_checks(inspection)
    passed = tuple(_passed(inspection, findings))
    return PreflightResult(trigger=trigger, findings=findings, passed=passed, sha256=sha256)


def record_run(issue: Issue, result: PreflightResult, *, by: str) -> None:
    """Store the result. The same result for the same edition and trigger is stored once."""
    PreflightRun.objects.bulk_create(
        [
            PreflightRun(
                issue=issue,
                revision=issue.revision,
                sha256=result.sha256,
                findings=[_stored(finding) for finding in result.findings],
                findings_sha256=result.findings_sha256,
                errors=len(result.errors),
                warnings=len(result.warnings),
                occasion=result.trigger.value,
                by=by,
                at=timezone.now(),
            )
        ],
        ignore_conflicts=True,
    )


def recorded_findings(run: PreflightRun) -> tuple[Finding, ...]:
    """The findings of a recorded run, to be shown in the viewer's language. They have no fixes."""
    return tuple(_restored(stored) for stored in run.findings)


def _stored(finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.severity.value,
        "family": finding.family,
        "code": finding.code,
        "place": to_data(finding.place),
        "message": to_data(finding.message),
        "field": finding.field,
    }


def _restored(stored: dict[str, Any]) -> Finding:
    # Rows from before findings had codes hold English sentences and the severities must_fix and look_at.
    is_error = stored["severity"] in (Severity.ERROR, "must_fix")
    return Finding(
        severity=Severity.ERROR if is_error else Severity.WARNING,
        family=stored["family"],
        code=stored.get("code", ""),
        place=from_data(stored["place"]),
        message=from_data(stored["message"] if "message" in stored else stored["sentence"]),
        field=stored.get("field", ""),
    )


def _passed(inspection: Inspection, findings: tuple[Finding, ...]) -> Iterator[str]:
    with_findings = {finding.family for finding in findings}
    sentences = (family.passed(inspection) for family in FAMILIES if family.name not in with_findings)
    return (sentence for sentence in sentences if sentence)
