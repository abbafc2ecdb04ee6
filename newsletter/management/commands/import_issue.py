"""Import an issue from a file: Markdown with front matter, or a plain-text digest."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.content.formats import FORMATS, MAX_FILE_BYTES, read_issue, refuse_large, text_of
from newsletter.content.problems import IssueFileError, Problem, Severity
from newsletter.content.store import ContentError, IssueImport, import_issue, load_content
from newsletter.management.choose import add_newsletter_option, chosen_newsletter


class Command(BaseCommand):
    """`import_issue FILE`. On errors it lists each as `file:line: sentence`, exits with 1 and changes nothing."""

    help = (
        "Import an issue from a file. Importing a file with the same slug updates the draft. Issues past draft are "
        "never changed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The file, its format and the newsletter."""
        parser.add_argument("file", help="path of the file, or - for standard input")
        parser.add_argument("--format", choices=FORMATS, help="default: detected from the first heading of the file")
        add_newsletter_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        newsletter = chosen_newsletter(options["newsletter"])
        name = options["file"]
        try:
            reading = read_issue(text_of(_bytes_of(name)), newsletter.sources(), as_format=options["format"])
            result = import_issue(newsletter, reading)
        except IssueFileError as error:
            self._list(name, error.problems)
            raise CommandError(_refusal(error), returncode=1) from error
        except ContentError as error:
            raise CommandError(f"Nothing was imported from {name}. {error}", returncode=1) from error
        self.stdout.write(_report(result))
        self._list(name, reading.notes)

    def _list(self, name: str, problems: tuple[Problem, ...]) -> None:
        for problem in problems:
            mark = "error: " if problem.severity == Severity.ERROR else "warning: "
            self.stderr.write(f"{name}:{problem.line}: {mark}{problem.sentence}")


def _bytes_of(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    try:
        with Path(name).open("rb") as file:
            refuse_large(os.fstat(file.fileno()).st_size)
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}.") from error


def _refusal(error: IssueFileError) -> str:
    count = sum(1 for problem in error.problems if problem.severity == Severity.ERROR)
    return f"Nothing was imported: {_counted(count, 'error', 'errors')} to fix."


def _report(result: IssueImport) -> str:
    content = load_content(result.issue)
    counts = [
        _counted(len(content.sections), "section", "sections"),
        _counted(len(list(content.stories())), "story", "stories"),
        _counted(len(content.categories), "category", "categories"),
    ]
    return (
        f"{result.outcome.capitalize()}: “{content.title}” ({content.slug}) of {result.issue.newsletter.name}, "
        f"revision {result.issue.revision}, with {counts[0]}, {counts[1]} and {counts[2]}."
    )


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
