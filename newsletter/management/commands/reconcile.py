"""manage.py reconcile: settles batches with an unknown outcome from events and from the provider's list of mails."""

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
    has_open_search,
    held_batches,
    next_search,
    read_page,
    searchable,
)
from newsletter.sending.reconcile import settle_proven

BY = "manage.py reconcile"

CANNOT_READ = (
    "The provider's list of mails cannot be read. With Resend, set RESEND_READ_KEY to an API key with full access; "
    "SMTP has no such list. Batches that webhook events prove to be sent are settled. Decide about the others on the "
    "report page."
)


class Command(BaseCommand):
    """Search for all batches with an unknown outcome at once. The worker does the same one page at a time."""

    help = "Settles batches with an unknown outcome from webhook events and from the provider's list of mails."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which issue, and whether to search again."""
        parser.add_argument("slug", nargs="?", default="", help="slug of the issue; all issues if omitted")
        parser.add_argument("--again", action="store_true", help="repeat searches that ended without a result")

    def handle(self, *args: Any, **options: Any) -> None:
        """Settle, search, and print what is left."""
        slug = options["slug"]
        while settle_proven():
            pass
        provider = searchable(get_route())
        if provider is None:
            raise CommandError(CANNOT_READ)
        if options["again"]:
            for batch in held_batches(slug).defer("payload"):
                begin(batch, by=BY, from_newest=True)
        self._search(slug, provider)
        self._print_rest(slug)

    def _search(self, slug: str, provider: SupportsSearch) -> None:
        while (search := next_search(held_batches(slug), by=BY)) or has_open_search(held_batches(slug)):
            if search is None:
                # A worker has just read a page, and the next one is not due yet.
                threading.Event().wait(PACE.total_seconds())
                continue
            try:
                read_page(search, provider)
            except ProviderSearchFailed as failure:
                advice = "The pages read so far are kept. Run the command again in a minute."
                raise CommandError(f"{failure} {advice}") from failure
            read = f"{search.mails_read:,} mails read" if search.result == SearchResult.OPEN else search.sentence
            self.stdout.write(f"Batch {search.batch_id}: {read}")

    def _print_rest(self, slug: str) -> None:
        left = Batch.objects.filter(state__in=(BatchState.UNKNOWN, BatchState.HELD))
        left = left.filter(send__issue__slug=slug) if slug else left
        tried = left.filter(state=BatchState.UNKNOWN).count()
        if tried:
            self.stdout.write(f"Batches that are still retried under the same idempotency key: {tried}.")
        minutes = SETTLING.total_seconds() / 60
        fresh = left.count() - tried - held_batches(slug).count()
        if fresh:
            self.stdout.write(
                f"Batches that were tried less than {minutes:.0f} minutes ago, too recently to search for: {fresh}."
            )
        self.stdout.write(f"Batches with an unknown outcome: {left.count()}.")
