"""Run pre-flight on an issue and print what it finds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.management.choose import add_newsletter_option, chosen_issue
from newsletter.preflight import Finding, Severity
from newsletter.sending.check import findings_of


class Command(BaseCommand):
    """`check_issue SLUG`: exit status 1 if anything must be fixed before the issue may go out."""

    help = "Check an issue as sending would: what must be fixed, and what deserves a look."

    def add_arguments(self, parser: CommandParser) -> None:
        """The issue, and for whom to print."""
        parser.add_argument("slug", help="the issue's slug")
        parser.add_argument("--json", action="store_true", help="print the findings as JSON, for programs")
        add_newsletter_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Check and print."""
        issue = chosen_issue(options["slug"], options["newsletter"])
        findings = findings_of(issue)
        self.stdout.write(_as_json(findings) if options["json"] else _as_lines(findings))
        blocking = sum(1 for finding in findings if finding.severity is Severity.MUST_FIX)
        if blocking:
            raise CommandError(f"“{issue.title}” cannot be sent: {blocking} to fix.", returncode=1)


def _as_json(findings: Sequence[Finding]) -> str:
    return json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=2)


def _as_lines(findings: Sequence[Finding]) -> str:
    if not findings:
        return "Nothing to fix and nothing to look at."
    return "\n".join(_as_line(finding) for finding in findings)


def _as_line(finding: Finding) -> str:
    mark = "must fix" if finding.severity is Severity.MUST_FIX else "look at "
    place = f"{finding.place}: " if finding.place else ""
    return f"{mark}  {finding.family}: {place}{finding.sentence}"
