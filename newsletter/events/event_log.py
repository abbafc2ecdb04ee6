"""Fills gaps: reads the provider's log of events, and stores those whose webhooks have not arrived.

An event has the same id in the log as in its webhook, so what is stored is skipped, and what is missing is stored once,
whichever comes first. The log is read from its newest event back to where the last complete reading began. It may be
killed at any line: a page is passed only when its missing events are stored, and reading it again changes nothing.

The rate limit is that of the whole account: while mails are posted, reading takes what posting leaves.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterable, Sequence

from django.db import transaction
from django.db.models import F, Max, Q, QuerySet
from django.utils import timezone

from newsletter.config.failpoints import Point, failpoint
from newsletter.events.endpoint import WORKER, check_endpoint, default_since, reading_of
from newsletter.models import Event, EventLogReading, Restore
from newsletter.providers.base import Provider, SignedEvent
from newsletter.providers.event_log import EventLogPage, EventLogUnreadable, LoggedEvent, SupportsEventLog
from newsletter.providers.throttle import ISSUE_SHARE, throttle_status

log = logging.getLogger(__name__)

#: Seconds between two runs: each reads a page at most, and some of the events on it.
PACE_SECONDS = 1.0

#: Between two complete readings, and between two questions whether the endpoint is enabled.
READ_EVERY, CHECK_EVERY = datetime.timedelta(hours=1), datetime.timedelta(minutes=10)

#: When a worker starts, an older reading is repeated at once: the site may have been down.
RECENT = datetime.timedelta(minutes=5)

#: After a failure, and after one that asking again will not mend.
RETRY_AFTER, RETRY_REFUSED = datetime.timedelta(minutes=1), datetime.timedelta(hours=1)

#: Longest wait that a provider may ask for.
LONGEST_WAIT = datetime.timedelta(hours=1)

#: How long a worker may take for a page and its events.
CLAIM = datetime.timedelta(minutes=5)

#: Younger events are not missing yet: their webhooks are on the way.
SETTLING = datetime.timedelta(minutes=2)

#: Requests per run, at least and at most; and the share of the rate limit that posting leaves.
MIN_REQUESTS, MAX_REQUESTS, BUSY_SHARE = 2, 100, 1 - ISSUE_SHARE

#: Mails are being posted if the last permit for a post is younger than this.
BUSY = datetime.timedelta(seconds=10)


def read_event_logs(route: Iterable[Provider]) -> bool:
    """Read one page of each log that is due. A step of the worker; returns False."""
    for provider in route:
        try:
            read_next(provider)
        except EventLogUnreadable as error:
            log.info("Event log not read", extra={"provider": provider.name, "code": error.code})
    return False


def request_reading(provider: str, *, since: datetime.datetime | None, by: str) -> EventLogReading:
    """Ask for a reading back to `since` as soon as possible; None: back to where the last one began."""
    reading = reading_of(provider)
    _update(
        reading,
        requested_since=since or default_since(reading),
        requested_by=by[:150],
        checked_at=None,
        not_before=None,
        claimed_until=None,
    )
    reading.refresh_from_db()
    return reading


def request_readings_after_start() -> None:
    """Request readings when a worker starts, unless the last ones are minutes old: the site may have been down."""
    idle = EventLogReading.objects.filter(started_at__isnull=True, requested_since__isnull=True)
    for reading in idle.filter(finished_at__lte=timezone.now() - RECENT):
        _update(reading, requested_since=default_since(reading), requested_by=WORKER)


def next_run_in(provider: str) -> float | None:
    """Seconds until the reading under way, or the requested one, goes on; None if there is none."""
    reading = reading_of(provider)
    if reading.started_at is None and reading.requested_since is None:
        return None
    waits = [at for at in (reading.not_before, reading.claimed_until) if at]
    return max([0.0, *((at - timezone.now()).total_seconds() for at in waits)])


def read_next(provider: Provider) -> EventLogReading | None:
    """Read what is due of a provider's log; None if nothing is. Raises EventLogUnreadable."""
    if not isinstance(provider, SupportsEventLog) or not provider.can_read_event_log:
        return None
    reading = _claim(provider.name)
    if reading is None:
        return None
    requests = _requests_per_run(provider)
    try:
        if reading.started_at is None or _is_before(reading.checked_at, CHECK_EVERY):
            # The claim stays: it is in the same row.
            reading = check_endpoint(provider.name, provider)
        if reading.endpoint_id and _begin(reading):
            _read_page(reading, provider, requests - 1)
    except EventLogUnreadable as error:
        _record_failure(reading, error)
        raise
    _update(reading, claimed_until=None, not_before=timezone.now() + datetime.timedelta(seconds=PACE_SECONDS))
    reading.refresh_from_db()
    return reading


def _claim(provider: str) -> EventLogReading | None:
    """The provider's row, if something is due; no other worker goes on with it meanwhile."""
    due = _due(reading_of(provider))
    # A query costs nothing; an update takes SQLite's only write lock, in each round of an idle worker.
    if not due.exists() or not due.update(claimed_until=timezone.now() + CLAIM):
        return None
    return reading_of(provider)


def _due(reading: EventLogReading) -> QuerySet[EventLogReading]:
    now = timezone.now()
    has_work = Q(started_at__isnull=False) | Q(requested_since__isnull=False)
    has_work |= Q(finished_at__isnull=True) | Q(finished_at__lte=now - READ_EVERY)
    if restored_at := _restored_at():
        has_work |= Q(finished_at__lt=restored_at)
    must_check = Q(checked_at__isnull=True) | Q(checked_at__lte=now - CHECK_EVERY)
    # Times that are further ahead are another clock's, or a restored backup's.
    may_ask = Q(not_before__isnull=True) | Q(not_before__lte=now) | Q(not_before__gt=now + LONGEST_WAIT)
    is_free = Q(claimed_until__isnull=True) | Q(claimed_until__lte=now) | Q(claimed_until__gt=now + CLAIM)
    due = must_check | (has_work & ~Q(endpoint_id=""))
    return EventLogReading.objects.filter(due, may_ask, is_free, pk=reading.pk)


def _begin(reading: EventLogReading) -> bool:
    """Begin a reading if one is requested, or if none is under way and it is due; whether one is under way then."""
    if reading.requested_since is not None:
        since, by = reading.requested_since, reading.requested_by or WORKER
        if reading.started_at is not None and reading.since is not None:
            since = min(since, reading.since)
    elif reading.started_at is not None:
        return True
    elif _is_reading_due(reading):
        since, by = default_since(reading), WORKER
    else:
        return False
    begun = {"started_at": timezone.now(), "since": since, "by": by, "requested_since": None, "requested_by": ""}
    none_yet = {"events_read": 0, "events_stored": 0, "events_gone": 0}
    _update(reading, **begun, **none_yet, cursor="", skipped=[], newest_at=None)
    reading.refresh_from_db()
    return True


def _is_reading_due(reading: EventLogReading) -> bool:
    """While the endpoint is disabled, nothing else tells what happens: the log is read more often."""
    restored_at = _restored_at()
    is_restored = bool(restored_at and reading.finished_at and reading.finished_at < restored_at)
    return is_restored or _is_before(reading.finished_at, READ_EVERY if reading.is_enabled else CHECK_EVERY)


def _restored_at() -> datetime.datetime | None:
    """When the database was last restored from a backup, which does not know what arrived since."""
    restored_at: datetime.datetime | None = Restore.objects.aggregate(at=Max("restored_at"))["at"]
    return restored_at


def _is_before(at: datetime.datetime | None, age: datetime.timedelta) -> bool:
    """Whether a time is older than that, or is none."""
    return at is None or at <= timezone.now() - age


def _read_page(reading: EventLogReading, provider: SupportsEventLog, allowed: int) -> None:
    """Store up to `allowed` missing events of one page, and pass it when none is left. Raises EventLogUnreadable."""
    try:
        page = provider.read_event_log(reading.endpoint_id, after=reading.cursor)
    except EventLogUnreadable as error:
        if error.code == "cursor_lost":
            # From the newest again: what is stored by now is skipped.
            _update(reading, cursor="", skipped=[])
        raise
    entries = _due_entries(page.entries, reading)
    missing = _missing(reading, [entry for entry in entries if entry.kind in provider.event_kinds])
    if reading.newest_at is None and entries:
        _update(reading, newest_at=max(entry.created_at for entry in entries))
    _take_in(reading, provider, missing[:allowed])
    _update(reading, failed_at=None, code="", detail="")
    if len(missing) <= allowed:
        failpoint(Point.LOG_PAGE_STORED)
        _pass(reading, page, len(entries))


def _due_entries(entries: Sequence[LoggedEvent], reading: EventLogReading) -> list[LoggedEvent]:
    """The events of a page that should have arrived: all, if an operator asks or if the endpoint is disabled."""
    since, started_at = reading.since or timezone.now(), reading.started_at or timezone.now()
    is_patient = reading.by == WORKER and reading.is_enabled
    found = [entry for entry in entries if entry.created_at >= since]
    return [entry for entry in found if entry.created_at <= started_at - SETTLING] if is_patient else found


def _missing(reading: EventLogReading, entries: Sequence[LoggedEvent]) -> list[LoggedEvent]:
    """Those that are not stored, oldest first and each once."""
    by_id = {entry.id: entry for entry in reversed(entries) if entry.id not in reading.skipped}
    known = Event.objects.filter(provider=reading.provider, event_id__in=by_id)
    stored = set(known.values_list("event_id", flat=True)) if by_id else set()
    return [entry for event_id, entry in by_id.items() if event_id not in stored]


def _take_in(reading: EventLogReading, provider: SupportsEventLog, missing: Sequence[LoggedEvent]) -> None:
    """Read these events and store them. Raises EventLogUnreadable; what was read before that is stored."""
    rows: list[Event] = []
    gone: list[str] = []
    try:
        for entry in missing:
            signed = provider.read_logged_event(reading.endpoint_id, entry.id)
            if signed is None:
                gone.append(entry.id)
            else:
                rows.append(_row(reading.provider, signed, entry))
    finally:
        if rows or gone:
            _store(reading, rows, gone)


def _store(reading: EventLogReading, rows: Sequence[Event], gone: Sequence[str]) -> None:
    with transaction.atomic():
        Event.objects.bulk_create(rows, ignore_conflicts=True)
        _update(
            reading,
            events_stored=F("events_stored") + len(rows),
            events_gone=F("events_gone") + len(gone),
            skipped=[*reading.skipped, *gone],
        )
        failpoint(Point.LOG_EVENTS_UNCOMMITTED)
    failpoint(Point.LOG_EVENTS_COMMITTED)
    log.info("Missed events stored", extra={"provider": reading.provider, "events": len(rows), "gone": len(gone)})


def _row(provider: str, signed: SignedEvent, entry: LoggedEvent) -> Event:
    """A stored event, as its webhook would have made it."""
    kind = "".join(char for char in entry.kind if char.isprintable())[:64]
    return Event(provider=provider, event_id=signed.event_id, kind=kind, body=signed.body)


def _pass(reading: EventLogReading, page: EventLogPage, read: int) -> None:
    """Go on to the next page, or finish: at the end of the log, or where the last reading began."""
    since = reading.since or timezone.now()
    counted = {"events_read": F("events_read") + read, "skipped": []}
    if page.has_more and any(entry.created_at >= since for entry in page.entries):
        _update(reading, cursor=page.cursor, **counted)
        return
    reading.refresh_from_db()
    now = timezone.now()
    changes: dict[str, object] = {"started_at": None, "cursor": "", "finished_at": now}
    # A reading that an operator asked for may have left out what was not covered before it.
    if reading.newest_at is not None and since <= default_since(reading):
        changes["covered_until"] = max(reading.newest_at, reading.covered_until or reading.newest_at)
    if reading.events_stored:
        changes |= {"found_at": now, "found": reading.events_stored}
    _update(reading, **changes, **counted)


def _requests_per_run(provider: Provider) -> int:
    """How many requests a run may make: of the rate limit of one second, what posting leaves."""
    status = throttle_status(provider)
    last = status.row.last_permit_at if status.row else None
    is_busy = last is not None and status.clock is not None and status.clock - last < BUSY
    allowed = int((status.rate or 0.0) * (BUSY_SHARE if is_busy else ISSUE_SHARE))
    return min(max(MIN_REQUESTS, allowed), MAX_REQUESTS)


def _update(reading: EventLogReading, **changes: object) -> None:
    EventLogReading.objects.filter(pk=reading.pk).update(**changes)


def _record_failure(reading: EventLogReading, error: EventLogUnreadable) -> None:
    """Wait as long as the provider asks, or longer after a failure that stays."""
    wait = RETRY_REFUSED if error.permanent else RETRY_AFTER
    if error.retry_after is not None:
        wait = min(datetime.timedelta(seconds=max(error.retry_after, PACE_SECONDS)), LONGEST_WAIT)
    now = timezone.now()
    failure = {"failed_at": now, "code": error.code[:64], "detail": error.detail[:300]}
    _update(reading, claimed_until=None, not_before=now + wait, **failure)
