"""Explain why mail does not move, and what to do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.management.choose import add_newsletter_option, chosen_issue
from newsletter.watch.doctor import examine
from newsletter.watch.symptoms import Grade, Symptom

MARKS = {Grade.BROKEN: "broken ", Grade.LOOK: "look at", Grade.FINE: "fine   "}


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
        broken = sum(symptom.grade is Grade.BROKEN for symptom in found)
        if broken:
            raise CommandError(f"{broken} broken." if broken > 1 else "One thing is broken.", returncode=1)


def _as_json(found: Sequence[Symptom]) -> str:
    rows = [
        {
            "name": symptom.name,
            "grade": symptom.grade.value,
            "sentence": symptom.sentence,
            "advice": symptom.advice,
            "issue": symptom.issue.slug if symptom.issue else None,
        }
        for symptom in found
    ]
    return json.dumps(rows, ensure_ascii=False, indent=2)


def _as_lines(found: Sequence[Symptom]) -> str:
    lines = []
    for symptom in found:
        lines.append(f"{MARKS[symptom.grade]}  {symptom.sentence}")
        if symptom.advice and symptom.grade is not Grade.FINE:
            lines.append(f"         → {symptom.advice}")
    return "\n".join(lines)
