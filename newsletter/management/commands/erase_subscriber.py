"""manage.py erase_subscriber: erases everything that is stored about one address."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.management.operator import add_by_option, operator_name
from subscribers.addresses import AddressError
from subscribers.privacy.erase import erase_data_subject
from subscribers.privacy.registry import find_data_subject
from subscribers.suppression import SuppressionSecretDiffers

QUESTION = "This cannot be undone. Type the address again to erase everything about it: "


class Command(BaseCommand):
    """Erase after the address was typed twice."""

    help = (
        "Erases everything that is stored about an address: subscriptions, consents, mails, events. A keyed hash "
        "stays, so that no import adds the address again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Which address, who erases it, and whether to ask."""
        parser.add_argument("address", help="the email address")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        add_by_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask, erase, and print how many rows of each kind are gone."""
        try:
            subject = find_data_subject(options["address"])
            if not options["yes"] and find_data_subject(input(QUESTION)).canonical != subject.canonical:
                raise CommandError("That is another address. Nothing was erased.")
            erasure = erase_data_subject(subject, by=operator_name(options))
        except (AddressError, SuppressionSecretDiffers) as error:
            raise CommandError(str(error)) from error
        if not erasure.total:
            self.stdout.write("Nothing was stored about this address.")
            return
        for name, count in sorted(erasure.rows.items()):
            self.stdout.write(f"{name:24}{count:>8}")
        self.stdout.write("Erased. Backups still contain the data until they are deleted.")
