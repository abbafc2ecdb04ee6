"""Export the subscribers of a list, or of a segment of it, as CSV or JSON Lines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from subscribers.directory.selection import Selection, SelectionGone
from subscribers.exports.export import export_subscribers
from subscribers.models import ExportFormat, MailingList, Segment

#: Who is recorded as having exported.
BY = "export_subscribers"


class Command(BaseCommand):
    """`export_subscribers --list SLUG`: to standard output, or to the file in --output."""

    help = "Export subscribers as CSV, which import_subscribers reads, or as JSON Lines with all consents."

    def add_arguments(self, parser: CommandParser) -> None:
        """The list, the segment, the format and the output file."""
        parser.add_argument("--list", metavar="SLUG", help="slug of the list; not needed if there is only one")
        parser.add_argument("--segment", metavar="NAME", help="only the subscribers in this segment")
        parser.add_argument(
            "--format", choices=ExportFormat.values, default=ExportFormat.CSV.value, help="default: csv"
        )
        parser.add_argument("--bom", action="store_true", help="begin a CSV with a mark that Excel takes for UTF-8")
        parser.add_argument("--output", type=Path, metavar="FILE", help="path of the file; default: standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        mailing_list = _chosen_list(options["list"])
        selection = Selection(mailing_list=mailing_list.pk, segment=_segment(mailing_list, options["segment"]))
        form = ExportFormat(options["format"])
        try:
            parts = export_subscribers(mailing_list, selection, form, with_bom=options["bom"], by=BY)
        except SelectionGone as error:
            raise CommandError(str(error)) from error
        if options["output"] is None:
            for part in parts:
                # As bytes: the text layer would change the ends of lines.
                sys.stdout.buffer.write(part)
            sys.stdout.buffer.flush()
            return
        try:
            with options["output"].open("wb") as file:
                file.writelines(parts)
        except OSError as error:
            raise CommandError(f"{options['output']} cannot be written: {error.strerror}.") from error
        self.stdout.write(f"Exported {mailing_list.name} to {options['output']}.")


def _chosen_list(slug: str | None) -> MailingList:
    lists = list(MailingList.objects.order_by("slug"))
    if not slug and len(lists) == 1:
        return lists[0]
    slugs = ", ".join(each.slug for each in lists) or "there is none"
    if not slug:
        raise CommandError(f"Choose a list with --list: {slugs}.")
    for each in lists:
        if each.slug == slug:
            return each
    raise CommandError(f"There is no list “{slug}”. Lists: {slugs}.")


def _segment(mailing_list: MailingList, name: str | None) -> int | None:
    if not name:
        return None
    segment = Segment.objects.filter(mailing_list=mailing_list, name=name).first()
    if segment is None:
        raise CommandError(f"{mailing_list.name} has no segment “{name}”.")
    return segment.pk
