"""Print what sending an issue would do, as JSON."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.management.audience import (
    add_audience_options,
    audience_arguments,
    chosen_audience,
    with_audience,
)
from newsletter.management.choose import add_newsletter_option, chosen_issue
from newsletter.sending.schedule import IssueRefused, dry_run


class Command(BaseCommand):
    """`dry_run SLUG`: exit status 1 with the reasons if the issue cannot be sent as it is."""

    help = (
        "Print the manifest of an issue as JSON: what would be sent, to how many recipients, in how many batches. "
        "Nothing is sent or stored. The output is the same for as long as the issue and its audience are."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Which issue."""
        parser.add_argument("slug", help="the issue's slug")
        add_newsletter_option(parser)
        add_audience_options(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the manifest to standard output, and how to send exactly that to standard error."""
        issue = chosen_issue(options["slug"], options["newsletter"])
        audience = chosen_audience(options)
        try:
            with with_audience(issue, audience, by="manage.py dry_run", keep=False):
                manifest = dry_run(issue)
        except IssueRefused as refusal:
            raise CommandError(
                "\n".join((f"“{issue.title}” cannot be sent:", *map(str, refusal.sentences)))
            ) from refusal
        self.stdout.write(manifest.as_text(), ending="")
        slug, newsletter = options["slug"], options["newsletter"]
        option = f" --newsletter {newsletter}" if newsletter else ""
        option += audience_arguments(audience)
        self.stderr.write(f"Nothing was sent. Recipients: {manifest.recipients:,}. Batches: {manifest.batches:,}.")
        self.stderr.write("To send exactly this:")
        self.stderr.write(f"  manage.py send_issue {slug}{option} --manifest {manifest.sha256}")
