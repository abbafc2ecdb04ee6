"""manage.py export_consents: evidence of consent as a file for an auditor, and its verification."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from subscribers.addresses import AddressError
from subscribers.models import MailingList
from subscribers.privacy.evidence import (
    EvidenceBroken,
    consents_of_list,
    consents_of_subject,
    evidence_lines,
    verify_evidence,
)
from subscribers.privacy.registry import find_data_subject


class Command(BaseCommand):
    """Write the consents of a list or of an address, or verify such a file."""

    help = "Writes the consents of a list or of an address as JSON Lines with a hash chain, or verifies such a file."

    def add_arguments(self, parser: CommandParser) -> None:
        """What to write, or which file to verify."""
        about = parser.add_mutually_exclusive_group(required=True)
        about.add_argument("--list", metavar="SLUG", help="the consents of this list")
        about.add_argument("--address", help="the consents of this address, on every list")
        about.add_argument("--verify", metavar="FILE", type=Path, help="check a file that was written before")
        parser.add_argument("--output", type=Path, help="the file to write (default: consents.jsonl here)")
        parser.add_argument(
            "--expect", default="", metavar="HASH", help="with --verify: the last hash that was printed"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the count and the last hash."""
        if options["verify"]:
            self._verify(options["verify"], options["expect"])
        else:
            self._write(options)

    def _verify(self, path: Path, expected: str) -> None:
        try:
            with path.open(encoding="utf-8") as file:
                found = verify_evidence(file, expected=expected)
        except (OSError, UnicodeDecodeError, EvidenceBroken) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"The file is whole. Consents: {found.count}. Last hash: {found.last_hash}")

    def _write(self, options: dict[str, Any]) -> None:
        if options["list"]:
            mailing_list = MailingList.objects.filter(slug=options["list"]).first()
            if mailing_list is None:
                slugs = ", ".join(MailingList.objects.order_by("slug").values_list("slug", flat=True))
                raise CommandError(f"There is no list “{options['list']}”. Choose one of: {slugs}.")
            consents, about = consents_of_list(mailing_list), f"list {mailing_list.slug}"
        else:
            try:
                subject = find_data_subject(options["address"])
            except AddressError as error:
                raise CommandError(str(error)) from error
            consents, about = consents_of_subject(subject), f"address {subject.canonical}"
        path = options["output"] or Path("consents.jsonl")
        line = ""
        try:
            with path.open("x", encoding="utf-8") as file:
                for line in evidence_lines(consents, about=about):
                    file.write(line)
        except FileExistsError as error:
            raise CommandError(f"{path} is there already. Choose another file with --output.") from error
        last = json.loads(line)
        self.stdout.write(
            f"Written to {path}. Consents: {last['record']['consents']}. Last hash: {last['hash']}\n"
            "Keep this hash in another place: it shows that the file is the same."
        )
