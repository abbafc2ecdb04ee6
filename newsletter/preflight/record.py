"""Running pre-flight and keeping what it found, with the hash of what it looked at."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import orjson
from django.utils import timezone

from newsletter.models import Issue, PreflightRun
from newsletter.preflight.families import FAMILIES, run_checks
from newsletter.preflight.findings import Audience, Finding, Inspection, Rendered, Severity
from newsletter.preflight.gather import gather_inspection


class Occasion(enum.StrEnum):
    """Why pre-flight runs."""

    CHECK = "check"
    """Somebody wants to know."""
    SCHEDULE = "schedule"
    SEND = "send"
    START = "start"
    """A scheduled issue's time has come."""


#: What still holds an approved issue back when its time has come. A page that went offline overnight does not, nor
#: anything else that was as it is when somebody approved it: they are asleep now, and readers wait.
HOLDS_BACK_AT_START = frozenset({"rendering", "compliance", "size", "audience"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightResult:
    """What pre-flight says about an issue: findings, and in words what passed."""

    occasion: Occasion
    findings: tuple[Finding, ...]
    passed: tuple[str, ...]
    sha256: str
    """Of the edition that was looked at, or would be frozen; empty where there can be none."""

    @property
    def must_fix(self) -> tuple[Finding, ...]:
        """What blocks sending."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)

    @property
    def look_at(self) -> tuple[Finding, ...]:
        """What deserves a look."""
        return tuple(finding for finding in self.findings if finding.severity is not Severity.ERROR)

    @property
    def as_json(self) -> list[dict[str, str]]:
        """The findings with stable keys, as they are kept and as programs get them."""
        return [
            {"severity": one.severity.value, "family": one.family, "place": one.place, "sentence": one.sentence}
            for one in self.findings
        ]

    @property
    def findings_sha256(self) -> str:
        """The same for the same findings."""
        return hashlib.sha256(orjson.dumps(self.as_json, option=orjson.OPT_SORT_KEYS)).hexdigest()

    @property
    def blocking(self) -> tuple[Finding, ...]:
        """What keeps the issue from going on, on this occasion."""
        if self.occasion is Occasion.START:
            return tuple(finding for finding in self.must_fix if finding.family in HOLDS_BACK_AT_START)
        return self.must_fix


def judge_issue(
    issue: Issue,
    rendered: Rendered | None,
    *,
    audience: Audience,
    occasion: Occasion = Occasion.CHECK,
    sha256: str = "",
    unrendered: str = "",
) -> PreflightResult:
    """Run all checks on the issue as it is stored. Nothing is kept.

    `rendered` is what would go out, fresh or frozen, and `sha256` that of its edition; where it cannot be rendered,
    `unrendered` says why.
    """
    inspection = gather_inspection(issue, audience=audience, rendered=rendered, unrendered=unrendered)
    findings = run_checks(inspection)
    passed = tuple(_passed(inspection, findings))
    return PreflightResult(occasion=occasion, findings=findings, passed=passed, sha256=sha256)


def keep_verdict(issue: Issue, result: PreflightResult, *, by: str) -> None:
    """Keep what was found, by whom and when; the same result for the same edition and occasion is kept once."""
    PreflightRun.objects.bulk_create(
        [
            PreflightRun(
                issue=issue,
                revision=issue.revision,
                sha256=result.sha256,
                findings=result.as_json,
                findings_sha256=result.findings_sha256,
                must_fix=len(result.must_fix),
                look_at=len(result.look_at),
                occasion=result.occasion.value,
                by=by,
                at=timezone.now(),
            )
        ],
        ignore_conflicts=True,
    )


def _passed(inspection: Inspection, findings: tuple[Finding, ...]) -> Iterator[str]:
    with_findings = {finding.family for finding in findings}
    said = (family.passed(inspection) for family in FAMILIES if family.name not in with_findings)
    return (sentence for sentence in said if sentence)
