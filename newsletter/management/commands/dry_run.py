"""Print what sending an issue would do, as JSON, and send nothing."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.management.choose import add_newsletter_option, chosen_issue
from newsletter.sending.schedule import IssueRefused, dry_run


class Command(BaseCommand):
    """`dry_run SLUG`: the manifest on standard output; exit status 1 with the reasons if it cannot be sent as it is."""

    help = (
        "Print the manifest of an issue: what would go out, to how many, in how many batches. "
        "Sends, stores and changes nothing; two runs of an unchanged issue print the same."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The issue."""
        parser.add_argument("slug", help="the issue's slug")
        add_newsletter_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Rehearse and print."""
        issue = chosen_issue(options["slug"], options["newsletter"])
        try:
            manifest = dry_run(issue)
        except IssueRefused as refusal:
            raise CommandError("\n".join((f"“{issue.title}” cannot be sent:", *refusal.sentences))) from refusal
        self.stdout.write(manifest.as_text(), ending="")
        batches = "1 batch" if manifest.batches == 1 else f"{manifest.batches:,} batches"
        readers = "1 reader" if manifest.readers == 1 else f"{manifest.readers:,} readers"
        self.stderr.write(f"Nothing was sent. It would go to {readers} in {batches}. To send exactly this:")
        slug, newsletter = options["slug"], options["newsletter"]
        named = f" --newsletter {newsletter}" if newsletter else ""
        self.stderr.write(f"  manage.py send_issue {slug}{named} --manifest {manifest.sha256}")
