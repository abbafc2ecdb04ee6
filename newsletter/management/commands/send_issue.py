"""Start or schedule an issue under the manifest of a dry run."""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.management.choose import add_newsletter_option, chosen_issue
from newsletter.models import InvalidTransition, Issue
from newsletter.sending.manifest import Approval, ManifestUnreadable
from newsletter.sending.schedule import IssueRefused, schedule_issue, send_now
from newsletter.sending.wall_clock import NoSuchTime

BY = "manage.py send_issue"


class Command(BaseCommand):
    """`send_issue SLUG --manifest …`: exit status 1 with what differs if the manifest holds no more."""

    help = "Send an issue, or schedule it with --at, if it is still what the manifest of a dry run says."

    def add_arguments(self, parser: CommandParser) -> None:
        """The issue, what was approved, and when."""
        parser.add_argument("slug", help="the issue's slug")
        parser.add_argument(
            "--manifest",
            required=True,
            metavar="SHA256|FILE",
            help="what was approved: the digest of a dry run's manifest, or a file with all that it printed, "
            "which lets a refusal say what differs",
        )
        parser.add_argument(
            "--at",
            type=_wall_time,
            metavar="'YYYY-MM-DD HH:MM'",
            help="start it then, on the clocks of --zone; default: now",
        )
        parser.add_argument("--zone", help="a time zone such as Europe/Berlin; default: the newsletter's")
        parser.add_argument(
            "--same-readers",
            action="store_true",
            help="with --at: start it only if the readers are then still the same",
        )
        add_newsletter_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Start or schedule, and say what happens next."""
        issue = chosen_issue(options["slug"], options["newsletter"])
        if options["same_readers"] and options["at"] is None:
            raise CommandError("--same-readers is for --at: an issue that starts now starts for those of the manifest.")
        zone = options["zone"] or issue.newsletter.time_zone
        try:
            approved = Approval.read(_text_of(options["manifest"]))
            sentence = _act(issue, approved, wall=options["at"], zone=zone, same_readers=options["same_readers"])
        except IssueRefused as refusal:
            raise CommandError("\n".join(refusal.sentences)) from refusal
        except (ManifestUnreadable, NoSuchTime, InvalidTransition) as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write(sentence)


def _act(issue: Issue, approved: Approval, *, wall: datetime.datetime | None, zone: str, same_readers: bool) -> str:
    if wall is None:
        send_now(issue, by=BY, approved=approved)
        readers = (issue.manifest or {}).get("readers", 0)
        readers_now = "1 reader" if readers == 1 else f"{readers:,} readers"
        return f"“{issue.title}” is started for {readers_now}. A worker posts it: manage.py worker."
    schedule_issue(issue, wall=wall, zone=zone, by=BY, approved=approved, same_readers=same_readers)
    return f"“{issue.title}” is scheduled for {wall:%Y-%m-%d %H:%M} in {zone}. A worker starts it: manage.py worker."


def _text_of(given: str) -> str:
    """The digest as it was given, or what the file of that name holds."""
    try:
        is_file = Path(given).is_file()
    except (OSError, ValueError):
        return given
    try:
        return Path(given).read_text(encoding="utf-8") if is_file else given
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestUnreadable(f"{given} cannot be read as a manifest: {error}") from error


def _wall_time(given: str) -> datetime.datetime:
    try:
        return datetime.datetime.strptime(given, "%Y-%m-%d %H:%M")
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"“{given}” is no time: write it as 2026-11-24 07:00") from error
