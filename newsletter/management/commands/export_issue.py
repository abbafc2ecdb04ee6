"""Write an issue as the canonical Markdown file, which imports as the same issue again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.content.issue_file import write_issue_file
from newsletter.content.problems import IssueFileError
from newsletter.content.store import load_content
from newsletter.management.choose import add_newsletter_option, chosen_issue


class Command(BaseCommand):
    """`export_issue SLUG`: to standard output, or to the file that --output names."""

    help = "Export an issue as Markdown with front matter."

    def add_arguments(self, parser: CommandParser) -> None:
        """The issue, and where to."""
        parser.add_argument("slug", help="the issue's slug")
        parser.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")
        add_newsletter_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Load and write."""
        issue = chosen_issue(options["slug"], options["newsletter"])
        try:
            text = write_issue_file(load_content(issue))
        except IssueFileError as error:
            raise CommandError(f"“{issue.title}” cannot be exported.\n{error}") from error
        if options["output"] is None:
            self.stdout.write(text, ending="")
            return
        try:
            options["output"].write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{options['output']} cannot be written: {error.strerror}.") from error
        self.stdout.write(f"Exported “{issue.title}” to {options['output']}.")
