"""Export an issue as a canonical Markdown file, which can be imported again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.content.issue_file import write_issue_file
from newsletter.content.problems import IssueFileError
from newsletter.content.store import load_content
from newsletter.management.choose import add_newsletter_option, chosen_issue


class Command(BaseCommand):
    """`export_issue SLUG`: to standard output, or to the file in --output."""

    help = "Export an issue as Markdown with front matter."

    def add_arguments(self, parser: CommandParser) -> None:
        """The issue, the output file and the newsletter."""
        parser.add_argument("slug", help="slug of the issue")
        parser.add_argument("--output", type=Path, metavar="FILE", help="path of the file; default: standard output")
        add_newsletter_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
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
