"""manage.py reconcile: settles batches with an unknown outcome, and fills gaps in the events.

Batches are settled from events and from the provider's list of mails; events that did not arrive by webhook come from
the provider's log of events.
"""

from __future__ import annotations

import argparse
import datetime
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from newsletter.events.endpoint import MISSING, endpoint_url
from newsletter.events.event_log import next_run_in, read_next, request_reading
from newsletter.events.replay import replay_all
from newsletter.models import Batch, BatchState, EventLogReading, EventReplay, EventState, EventTally, SearchResult
from newsletter.models.reasons import reason_sentence
from newsletter.providers import get_route
from newsletter.providers.base import Provider, ProviderSearchFailed, SupportsSearch
from newsletter.providers.event_log import EventLogUnreadable, SupportsEventLog
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


CANNOT_READ_EVENTS = (
    "The provider's log of events cannot be read. With Resend, set RESEND_READ_KEY to an API key with full access. "
    "SMTP has no such log."
)

#: Failures in a row after which the command ends, and the longest wait for another worker in seconds.
MAX_FAILURES, LONGEST_WAIT = 3, 30.0


class Command(BaseCommand):
    """Search for all batches with an unknown outcome at once. The worker does the same one page at a time."""

    help = (
        "Settles batches with an unknown outcome from webhook events and from the provider's list of mails. With "
        "--events, fetches events that did not arrive by webhook from the provider's log instead."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Which issue, and whether to search again."""
        parser.add_argument("slug", nargs="?", default="", help="slug of the issue; all issues if omitted")
        parser.add_argument("--again", action="store_true", help="repeat searches that ended without a result")

        parser.add_argument(
            "--events", action="store_true", help="fetch events that did not arrive, from the provider's log of events"
        )
        parser.add_argument(
            "--since",
            type=_time,
            help="with --events: how far back, as 2026-11-30 or 2026-11-30T08:00 in UTC (default: to the last reading)",
        )
        parser.add_argument(
            "--replay-orphans",
            action="store_true",
            help="with --events: apply events again that fitted no delivery; a worker does it",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Settle, search, and print what is left; or fetch events."""
        if options["events"]:
            self._fetch_events(options["since"], replay_orphans=options["replay_orphans"])
            return
        if options["since"] or options["replay_orphans"]:
            raise CommandError("--since and --replay-orphans need --events.")
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

    def _fetch_events(self, since: datetime.datetime | None, *, replay_orphans: bool) -> None:
        readable = [each for each in get_route() if isinstance(each, SupportsEventLog) and each.can_read_event_log]
        if not readable:
            raise CommandError(CANNOT_READ_EVENTS)
        for provider in readable:
            request_reading(provider.name, since=since, by=BY)
            self._read_log(provider)
        if replay_orphans:
            replay = replay_all(by=BY, state=EventState.ORPHAN)
            waiting = EventReplay.objects.filter(finished_at__isnull=True).exclude(pk=replay.pk).count()
            behind = f" Replays before it: {waiting}." if waiting else ""
            self.stdout.write(f"A worker applies the events again that fitted no delivery.{behind}")
        for reason, count in EventTally.objects.unused().items():
            self.stdout.write(f"Events that are not used: {count:,}. {reason_sentence(reason)}")

    def _read_log(self, provider: Provider) -> None:
        """Read until the reading that was asked for has ended, by this command or by a worker."""
        failures = 0
        while (wait := next_run_in(provider.name)) is not None:
            # A worker may be reading: its claim ends when it has read a page.
            threading.Event().wait(min(wait, LONGEST_WAIT))
            try:
                reading = read_next(provider)
            except EventLogUnreadable as failure:
                failures += 1
                if failure.permanent or failures >= MAX_FAILURES:
                    advice = "The events found so far are kept. Run the command again in a minute."
                    raise CommandError(f"{failure} {advice}") from failure
                self.stdout.write(f"{failure} It is tried again.")
                continue
            if reading is not None and reading.code == MISSING:
                raise CommandError(_endpoint_missing(provider, reading))
            if reading is not None and reading.started_at is not None:
                self.stdout.write(f"{_counts(reading)} Reading goes on.")
        reading = EventLogReading.objects.get(provider=provider.name)
        self.stdout.write(f"The log of {provider.name} was read. {_counts(reading)}")
        if not reading.is_enabled:
            self.stdout.write(
                f"{provider.name} has disabled the endpoint {reading.endpoint_url}, so it posts no events there. Once "
                "the site answers, enable the endpoint on the provider's webhook page."
            )

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


def _time(text: str) -> datetime.datetime:
    """An argument as a time in the past, in UTC if it has no offset. Raises ArgumentTypeError."""
    try:
        at = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError("must be a date or time such as 2026-11-30 or 2026-11-30T08:00") from error
    at = at if at.tzinfo else at.replace(tzinfo=datetime.UTC)
    if at > timezone.now():
        raise argparse.ArgumentTypeError("must be in the past")
    return at


def _counts(reading: EventLogReading) -> str:
    gone = f" Missing, and without a payload in the log: {reading.events_gone:,}." if reading.events_gone else ""
    return f"Events read: {reading.events_read:,}. Missing here, and stored now: {reading.events_stored:,}.{gone}"


def _endpoint_missing(provider: Provider, reading: EventLogReading) -> str:
    other = f" One of them leads to {reading.endpoint_url}." if reading.endpoint_url else ""
    return (
        f"None of the webhook endpoints at {provider.name} leads to {endpoint_url(provider.name)}, so there is no log "
        f"to read.{other} Add the endpoint on the provider's webhook page. If the site has moved, change the URL of "
        "its endpoint instead: the endpoint keeps its log."
    )
