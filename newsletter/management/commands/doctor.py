"""Explain why mail is not sent, and what to do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from newsletter.management.choose import add_newsletter_option, chosen_issue
from newsletter.monitoring.deliverability_diagnostics import deliverability_report
from newsletter.monitoring.diagnostic import Diagnostic, Severity, worst_first
from newsletter.monitoring.doctor import run_diagnostics

#: Wide enough for the longest label, “Warning”.
COLUMN = 9


class Command(BaseCommand):
    """`doctor [SLUG]`: exit status 1 if there is an error."""

    help = (
        "Explain why mail is not sent, and what to do. Checks the database, workers, settings and disk, and asks the "
        "broker and the provider. With --deliverability, it asks the DNS about the senders' domains instead."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Which issue, and how to print."""
        parser.add_argument("slug", nargs="?", help="an issue whose send is checked, too")
        parser.add_argument(
            "--deliverability",
            action="store_true",
            help="check SPF, DKIM, DMARC and other records of the senders' domains now, and the hosts of mails",
        )
        parser.add_argument("--json", action="store_true", help="print JSON for programs")
        add_newsletter_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Print everything that is found."""
        issue = chosen_issue(options["slug"], options["newsletter"]) if options["slug"] else None
        if options["deliverability"]:
            found = worst_first(deliverability_report(timezone.now()))
        else:
            found = run_diagnostics(issue)
        self.stdout.write(_as_json(found) if options["json"] else _as_lines(found))
        errors = sum(diagnostic.severity is Severity.ERROR for diagnostic in found)
        if errors:
            raise CommandError(f"Errors: {errors}", returncode=1)


def _as_json(found: Sequence[Diagnostic]) -> str:
    rows = [
        {
            "name": diagnostic.name,
            "severity": diagnostic.severity.value,
            "sentence": diagnostic.sentence,
            "advice": diagnostic.advice,
            "link": diagnostic.link,
            "command": diagnostic.command,
            "issue": diagnostic.issue.slug if diagnostic.issue else None,
        }
        for diagnostic in found
    ]
    return json.dumps(rows, ensure_ascii=False, indent=2)


def _as_lines(found: Sequence[Diagnostic]) -> str:
    lines = []
    for diagnostic in found:
        lines.append(f"{diagnostic.severity.label:{COLUMN}}{diagnostic.sentence}")
        if diagnostic.severity is not Severity.OK:
            what_to_do = filter(None, (diagnostic.advice, diagnostic.link, diagnostic.command))
            lines += [f"{'':{COLUMN}}→ {words}" for words in what_to_do]
    return "\n".join(lines)
