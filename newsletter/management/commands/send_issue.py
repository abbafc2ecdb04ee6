"""Send or schedule an issue with the manifest of a dry run."""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.management.audience import add_audience_options, chosen_audience, with_audience
from newsletter.management.choose import add_newsletter_option, chosen_issue
from newsletter.models import InvalidTransition, Issue
from newsletter.sending.manifest import Approval, ManifestUnreadable
from newsletter.sending.schedule import IssueRefused, schedule_issue, send_now
from newsletter.sending.wall_clock import NoSuchTime

BY = "manage.py send_issue"


class Command(BaseCommand):
    """`send_issue SLUG --manifest …`: exit status 1 with the differences if the manifest is out of date."""

    help = "Send an issue, or schedule it with --at, if the manifest of a dry run still applies."

    def add_arguments(self, parser: CommandParser) -> None:
        """The issue, the approved manifest, and when to start."""
        parser.add_argument("slug", help="the issue's slug")
        parser.add_argument(
            "--manifest",
            required=True,
            metavar="SHA256|FILE",
            help="the approved manifest: its SHA-256, or a file with the JSON of the dry run. With a file, a refusal "
            "names the differences",
        )
        parser.add_argument(
            "--at",
            type=_wall_time,
            metavar="'YYYY-MM-DD HH:MM'",
            help="start at this time in the time zone of --zone; default: now",
        )
        parser.add_argument("--zone", help="a time zone such as Europe/Berlin; default: the newsletter's")
        parser.add_argument(
            "--same-audience",
            action="store_true",
            help="with --at: cancel the start if the audience changed by then",
        )
        parser.add_argument("--same-readers", action="store_true", help=argparse.SUPPRESS)
        add_newsletter_option(parser)
        add_audience_options(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Start or schedule the send."""
        issue = chosen_issue(options["slug"], options["newsletter"])
        if options["same_readers"]:
            raise CommandError("--same-readers is now called --same-audience.")
        if options["same_audience"] and options["at"] is None:
            raise CommandError(
                "--same-audience needs --at. Without it, the issue is sent now, to the audience of the manifest."
            )
        zone = options["zone"] or issue.newsletter.time_zone
        try:
            approved = Approval.parse(_manifest_text(options["manifest"]))
            with with_audience(issue, chosen_audience(options), by=BY, keep=True):
                sentence = _act(issue, approved, wall=options["at"], zone=zone, same_audience=options["same_audience"])
        except IssueRefused as refusal:
            raise CommandError("\n".join(map(str, refusal.sentences))) from refusal
        except (ManifestUnreadable, NoSuchTime, InvalidTransition) as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write(sentence)


def _act(issue: Issue, approved: Approval, *, wall: datetime.datetime | None, zone: str, same_audience: bool) -> str:
    if wall is None:
        send = send_now(issue, by=BY, approved=approved)
        recipients = (send.manifest or {}).get("recipients", 0)
        return f"“{issue.title}” is being sent. Recipients: {recipients:,}. A worker posts it: manage.py worker."
    schedule_issue(issue, wall=wall, zone=zone, by=BY, approved=approved, same_audience=same_audience)
    return f"“{issue.title}” is scheduled for {wall:%Y-%m-%d %H:%M} in {zone}. A worker starts it: manage.py worker."


def _manifest_text(argument: str) -> str:
    """The argument itself, or the content of the file with that name."""
    try:
        is_file = Path(argument).is_file()
    except (OSError, ValueError):
        return argument
    try:
        return Path(argument).read_text(encoding="utf-8") if is_file else argument
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestUnreadable(f"{argument} cannot be read as a manifest: {error}") from error


def _wall_time(argument: str) -> datetime.datetime:
    try:
        return datetime.datetime.strptime(argument, "%Y-%m-%d %H:%M")
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"“{argument}” is not a time. Write it as 2026-11-24 07:00.") from error
