"""Explain why mail does not move, and what to do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.management.choose import add_newsletter_option, chosen_issue
from newsletter.monitoring.diagnostics import Diagnostic, Severity
from newsletter.monitoring.doctor import examine

MARKS = {Severity.BROKEN: "broken ", Severity.LOOK: "look at", Severity.FINE: "fine   "}


class Command(BaseCommand):
    """`doctor [SLUG]`: exit status 1 if something is broken."""

    help = "Explain in sentences why an issue, or anything, does not move, and what to do. Asks the provider, too."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which issue, and for whom to print."""
        parser.add_argument("slug", nargs="?", help="the issue that does not move; without it, the installation")
        parser.add_argument("--json", action="store_true", help="print JSON, for programs")
        add_newsletter_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Examine and print."""
        issue = chosen_issue(options["slug"], options["newsletter"]) if options["slug"] else None
        found = examine(issue)
        self.stdout.write(_as_json(found) if options["json"] else _as_lines(found))
        broken = sum(diagnostic.severity is Severity.BROKEN for diagnostic in found)
        if broken:
            raise CommandError(f"{broken} broken." if broken > 1 else "One thing is broken.", returncode=1)


def _as_json(found: Sequence[Diagnostic]) -> str:
    rows = [
        {
            "name": diagnostic.name,
            "severity": diagnostic.severity.value,
            "sentence": diagnostic.sentence,
            "advice": diagnostic.advice,
            "issue": diagnostic.issue.slug if diagnostic.issue else None,
        }
        for diagnostic in found
    ]
    return json.dumps(rows, ensure_ascii=False, indent=2)


def _as_lines(found: Sequence[Diagnostic]) -> str:
    lines = []
    for diagnostic in found:
        lines.append(f"{MARKS[diagnostic.severity]}  {diagnostic.sentence}")
        if diagnostic.advice and diagnostic.severity is not Severity.FINE:
            lines.append(f"         → {diagnostic.advice}")
    return "\n".join(lines)
