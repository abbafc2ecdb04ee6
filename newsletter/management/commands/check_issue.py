"""Run pre-flight on an issue and print its findings."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.content.store import load_content
from newsletter.management.choose import add_newsletter_option, chosen_issue
from newsletter.models import Issue
from newsletter.preflight import Finding, PreflightResult, check_next_links, request_link_checks
from newsletter.sending.check import check_issue


class Command(BaseCommand):
    """`check_issue SLUG`: exit status 1 if there are errors, which block sending."""

    help = "Run all checks on an issue and print the errors, which block sending, and the warnings."

    def add_arguments(self, parser: CommandParser) -> None:
        """The issue and the format."""
        parser.add_argument("slug", help="slug of the issue")
        parser.add_argument("--json", action="store_true", help="print the findings as JSON")
        parser.add_argument("--links", action="store_true", help="check all links now and wait for the results")
        add_newsletter_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Check and print."""
        issue = chosen_issue(options["slug"], options["newsletter"])
        request_link_checks(load_content(issue), force=options["links"])
        while options["links"] and check_next_links():
            pass
        result = check_issue(issue, by="check_issue")
        self.stdout.write(_as_json(issue, result) if options["json"] else _as_lines(result))
        if result.errors:
            raise CommandError(f"“{issue.title}” cannot be sent. Errors: {len(result.errors)}.", returncode=1)


def _as_json(issue: Issue, result: PreflightResult) -> str:
    """For programs: these keys do not change."""
    document = {
        "newsletter": issue.newsletter.slug,
        "issue": issue.slug,
        "revision": issue.revision,
        "edition": result.sha256,
        "errors": len(result.errors),
        "warnings": len(result.warnings),
        "findings": [
            {**entry, "suggestion": finding.fix.label if finding.fix else None}
            for entry, finding in zip(result.as_json, result.findings, strict=True)
        ],
        "passed": list(result.passed),
    }
    return json.dumps(document, ensure_ascii=False, indent=2)


def _as_lines(result: PreflightResult) -> str:
    passed = (f"OK       {message}" for message in result.passed)
    findings = [_as_line(finding) for finding in result.findings] or ["No errors or warnings."]
    return "\n".join((*findings, *passed))


def _as_line(finding: Finding) -> str:
    place = f"{finding.place}: " if finding.place else ""
    return f"{finding.severity.upper():7}  {finding.family}: {place}{finding.message}"
