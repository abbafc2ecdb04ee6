"""manage.py reconcile: settles batches in doubt from receipts and from the provider's list of what it has taken."""

from __future__ import annotations

import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.models import Batch, BatchState, SearchResult
from newsletter.providers import get_route
from newsletter.providers.base import ProviderSearchFailed, SupportsSearch
from newsletter.sending.provider_search import (
    PACE,
    SETTLING,
    begin,
    doubtful,
    is_reading,
    looking_up,
    next_search,
    read_page,
)
from newsletter.sending.reconcile import settle_proven

CANNOT = (
    "The provider's list cannot be read: set RESEND_READ_KEY to a key with full access (PROVIDER=smtp keeps no list). "
    "What receipts prove is settled; the rest waits for a person, on the issue's page in the admin."
)


class Command(BaseCommand):
    """Look up every batch in doubt, to the end; the worker does the same a page at a time."""

    help = "Finds out which batches in doubt went out, from receipts and from the provider's list."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which issue, and whether to look again."""
        parser.add_argument("slug", nargs="?", default="", help="the issue; all of them if left out")
        parser.add_argument("--again", action="store_true", help="look up once more what was looked up in vain")

    def handle(self, *args: Any, **options: Any) -> None:
        """Settle, look up, and say what is still in doubt."""
        slug = options["slug"]
        while settle_proven():
            pass
        reader = looking_up(get_route())
        if reader is None:
            raise CommandError(CANNOT)
        if options["again"]:
            for batch in doubtful(slug).defer("payload"):
                begin(batch, by="manage.py reconcile", from_the_top=True)
        self._look_up(slug, reader)
        self._say_what_is_left(slug)

    def _look_up(self, slug: str, reader: SupportsSearch) -> None:
        while (look_up := next_search(doubtful(slug), by="manage.py reconcile")) or is_reading(doubtful(slug)):
            if look_up is None:
                # A worker has read the last page, and the next is not due yet.
                threading.Event().wait(PACE.total_seconds())
                continue
            try:
                read_page(look_up, reader)
            except ProviderSearchFailed as failure:
                raise CommandError(f"{failure} What was read is kept; start it again in a minute.") from failure
            read = f"{look_up.mails_read} mails read …" if look_up.result == SearchResult.OPEN else look_up.sentence
            self.stdout.write(f"Batch {look_up.batch_id}: {read}")

    def _say_what_is_left(self, slug: str) -> None:
        left = Batch.objects.filter(state__in=(BatchState.UNKNOWN, BatchState.HELD))
        left = left.filter(edition__sent_as__slug=slug) if slug else left
        tried = left.filter(state=BatchState.UNKNOWN).count()
        if tried:
            self.stdout.write(
                f"Batches that are still tried again under their key, which reaches nobody twice: {tried}."
            )
        minutes = SETTLING.total_seconds() / 60
        fresh = left.count() - tried - doubtful(slug).count()
        if fresh:
            self.stdout.write(f"Batches tried less than {minutes:.0f} minutes ago, too fresh to be looked up: {fresh}.")
        self.stdout.write(f"Batches still in doubt: {left.count()}.")
