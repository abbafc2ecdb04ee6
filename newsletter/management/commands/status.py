"""Show how far sends are, and which workers run."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from newsletter.management.choose import add_newsletter_option, chosen_issue
from newsletter.models import IN_PROGRESS, Issue, Send, SendState
from newsletter.monitoring.progress import unfinished_sends
from newsletter.monitoring.status import as_data, as_lines

#: States of a send that --watch waits to end.
UNFINISHED = (SendState.SCHEDULED, *IN_PROGRESS)

#: Seconds between two refreshes of --watch.
REFRESH = 2.0

#: Moves a terminal's cursor to the top left and clears everything below.
CLEAR = "\x1b[H\x1b[J"


class Command(BaseCommand):
    """`status [SLUG]`."""

    help = "Show the progress of scheduled and running sends, what blocks them, and which workers run."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which sends, and how to show them."""
        parser.add_argument("slug", nargs="?", help="show only the send of this issue, in any state")
        parser.add_argument(
            "--watch", action="store_true", help="refresh every two seconds, until no send is scheduled or running"
        )
        parser.add_argument("--json", action="store_true", help="print JSON for programs, one line per refresh")
        add_newsletter_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the status, with --watch until Ctrl-C at the latest."""
        while True:
            try:
                sends = self._print(options)
            except DatabaseError as error:
                # The driver's own message may name the server and the account.
                raise CommandError(
                    f"The database cannot be read ({type(error).__name__}). Run manage.py doctor for details."
                ) from error
            if not options["watch"] or not any(send.state in UNFINISHED for send in sends):
                return
            try:
                time.sleep(REFRESH)
            except KeyboardInterrupt:
                return

    def _print(self, options: dict[str, Any]) -> Sequence[Send]:
        issue = chosen_issue(options["slug"], options["newsletter"]) if options["slug"] else None
        sends = unfinished_sends() if issue is None else _sends_of(issue)
        if options["json"]:
            self.stdout.write(json.dumps(as_data(sends), ensure_ascii=False))
            return sends
        lines = as_lines(sends) if issue is None else as_lines(sends, without_sends=_unsent(issue))
        clear = CLEAR if options["watch"] and self.stdout.isatty() else ""
        self.stdout.write(clear + "\n".join(lines))
        return sends


def _sends_of(issue: Issue) -> list[Send]:
    send = issue.current_send
    return [send] if send else []


def _unsent(issue: Issue) -> str:
    sentence = f"“{issue.title}” has no send. Its state is {issue.get_state_display()}."
    return f"{sentence} {issue.hold_sentence}".strip()
