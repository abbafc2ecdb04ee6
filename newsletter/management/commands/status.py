"""Show what every issue under way does, and the workers that do it."""

from __future__ import annotations

import json
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from newsletter.management.choose import add_newsletter_option, chosen_issue
from newsletter.models import Issue, IssueStatus
from newsletter.monitoring.progress import under_way
from newsletter.monitoring.status import as_data, as_lines

#: States that --watch waits to see the end of.
UNDER_WAY = (IssueStatus.SCHEDULED, IssueStatus.SENDING, IssueStatus.PAUSED)
#: Seconds between two looks of --watch.
LOOK = 2.0
#: Puts a terminal's cursor home and clears what is below it.
CLEAR = "\x1b[H\x1b[J"


class Command(BaseCommand):
    """`status [SLUG]`: once, or again and again with --watch until nothing is under way or Ctrl-C."""

    help = "Show how far issues are, how fast they go, what is held, and which workers run."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which issue, and how to show it."""
        parser.add_argument("slug", nargs="?", help="one issue only, whatever its state")
        parser.add_argument("--watch", action="store_true", help="look again every two seconds")
        parser.add_argument("--json", action="store_true", help="print JSON, one line a look, for programs")
        add_newsletter_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Print."""
        while True:
            try:
                issues = self._issues(options)
                self._print(issues, is_json=options["json"], clears=options["watch"] and self.stdout.isatty())
            except DatabaseError as error:
                # What the driver says may name the server and the account.
                raise CommandError(
                    f"The database cannot be read ({type(error).__name__}); manage.py doctor says more."
                ) from error
            if not options["watch"] or not any(issue.status in UNDER_WAY for issue in issues):
                return
            try:
                time.sleep(LOOK)
            except KeyboardInterrupt:
                return

    def _issues(self, options: dict[str, Any]) -> list[Issue]:
        return [chosen_issue(options["slug"], options["newsletter"])] if options["slug"] else under_way()

    def _print(self, issues: list[Issue], *, is_json: bool, clears: bool) -> None:
        if is_json:
            self.stdout.write(json.dumps(as_data(issues), ensure_ascii=False))
        else:
            self.stdout.write((CLEAR if clears else "") + "\n".join(as_lines(issues)))
