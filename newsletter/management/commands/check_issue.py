"""Run pre-flight on an issue and print what it finds."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.content.store import load_content
from newsletter.management.choose import add_newsletter_option, chosen_issue
from newsletter.models import Issue
from newsletter.preflight import Finding, PreflightResult, Severity, check_next_links, request_link_checks
from newsletter.sending.check import check_issue


class Command(BaseCommand):
    """`check_issue SLUG`: exit status 1 if anything must be fixed before the issue may go out."""

    help = "Check an issue as sending would: what must be fixed, and what deserves a look."

    def add_arguments(self, parser: CommandParser) -> None:
        """The issue, and for whom to print."""
        parser.add_argument("slug", help="the issue's slug")
        parser.add_argument("--json", action="store_true", help="print the findings as JSON, for programs")
        parser.add_argument("--links", action="store_true", help="look at all links now, and wait for what they answer")
        add_newsletter_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Check and print."""
        issue = chosen_issue(options["slug"], options["newsletter"])
        request_link_checks(load_content(issue), anew=options["links"])
        while options["links"] and check_next_links():
            pass
        result = check_issue(issue, by="check_issue")
        self.stdout.write(_as_json(issue, result) if options["json"] else _as_lines(result))
        if result.must_fix:
            raise CommandError(f"“{issue.title}” cannot be sent: {len(result.must_fix)} to fix.", returncode=1)


def _as_json(issue: Issue, result: PreflightResult) -> str:
    """For programs: these keys stay."""
    told = {
        "newsletter": issue.newsletter.slug,
        "issue": issue.slug,
        "revision": issue.revision,
        "edition": result.sha256,
        "must_fix": len(result.must_fix),
        "look_at": len(result.look_at),
        "findings": [
            {**said, "suggestion": finding.fix.label if finding.fix else None}
            for said, finding in zip(result.as_json, result.findings, strict=True)
        ],
        "passed": list(result.passed),
    }
    return json.dumps(told, ensure_ascii=False, indent=2)


def _as_lines(result: PreflightResult) -> str:
    passed = (f"passed    {sentence}." for sentence in result.passed)
    findings = [_as_line(finding) for finding in result.findings] or ["Nothing to fix and nothing to look at."]
    return "\n".join((*findings, *passed))


def _as_line(finding: Finding) -> str:
    mark = "must fix" if finding.severity is Severity.ERROR else "look at "
    place = f"{finding.place}: " if finding.place else ""
    return f"{mark}  {finding.family}: {place}{finding.sentence}"
