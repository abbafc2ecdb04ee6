"""Provider search: looks for batches with an unknown outcome in the provider's own list of mails, page by page.

A batch was sent if its mails are in the list: their tags prove it, independent of clocks. A batch was not sent, and may
be posted again under a new key, if the list has none of its mails and two conditions hold: the list was read from its
newest mail to before the batch's first post, and a mail of another batch that was accepted about then proves that the
list belongs to our account and that the clocks agree. The finished `ProviderSearch` is the record of the proof.

A batch that a restored copy holds may have been sent in parts, and by another provider: then only the mails in the list
were sent, and a list without them proves nothing.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import zstandard
from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone

from newsletter.models import (
    BATCH_MACHINE,
    DELIVERY_MACHINE,
    IN_FLIGHT,
    Batch,
    BatchState,
    DeliveryState,
    Event,
    ProviderSearch,
    Reason,
    SearchResult,
    reason_unless_delivered,
)
from newsletter.models.bulk_sql import execute_with_rows
from newsletter.providers.base import Provider, ProviderSearchFailed, SearchPage, SupportsSearch
from newsletter.sending.batch import LARGE_EDITION_COLUMNS, LEASE
from newsletter.sending.recipients import deliveries_of
from newsletter.sending.reconcile import hold, settle

log = logging.getLogger(__name__)

#: The largest difference between our clock and the provider's that is allowed for, both ways.
CLOCK_TOLERANCE = datetime.timedelta(minutes=15)

#: After an attempt its bytes may still be on their way, and the list may lag: most of all when a provider is in
#: trouble, which is when outcomes become unknown.
SETTLING = datetime.timedelta(hours=1)

#: Between two pages: reading shares the provider's rate limit with posting.
PACE = datetime.timedelta(seconds=1)

#: Accepted batches before and after the searched one that are tried as witnesses.
MAX_WITNESSES = 3


KEEP_IDS = """
    UPDATE newsletter_delivery SET provider_id = rows.provider_id FROM {rows} WHERE newsletter_delivery.id = rows.id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """How a search ended, with the reason that is kept."""

    result: SearchResult
    reason: Reason | str
    values: dict[str, Any] = field(default_factory=dict)


def searchable(route: Sequence[Provider]) -> SupportsSearch | None:
    """The first provider of the route whose list the settings let us read."""
    return next((each for each in route if isinstance(each, SupportsSearch) and each.can_search), None)


def search_provider(route: Sequence[Provider]) -> bool:
    """Read one page for one held batch, if one is due; False, because the next page is due only after PACE.

    Raises ProviderSearchFailed where trying again may help.
    """
    provider = searchable(route)
    if provider and (search := next_search(held_batches(), by="worker")):
        read_page(search, provider)
    return False


def held_batches(slug: str = "") -> QuerySet[Batch]:
    """Batches that may have been sent and must not be posted again, of one issue or of all.

    A batch that may be posted again under its key is not searched for: that creates no duplicate, while a list may lag.
    """
    settled_down = timezone.now() - SETTLING
    held = Batch.objects.filter(state=BatchState.HELD, last_attempt_at__lte=settled_down)
    return held.filter(send__issue__slug=slug) if slug else held


def next_search(batches: QuerySet[Batch], *, by: str) -> ProviderSearch | None:
    """The search for one of these batches whose next page is due, begun if need be.

    A batch is searched once for each attempt whose outcome became unknown; `begin` searches again.
    """
    _close_moot()
    rested = timezone.now() - PACE
    unfinished = ProviderSearch.objects.filter(result=SearchResult.OPEN, batch__in=batches)
    if unfinished.exists():
        due = unfinished.select_related("batch__edition").exclude(read_at__gt=rested)
        return due.order_by(F("read_at").asc(nulls_first=True), "pk").first()
    known = ProviderSearch.objects.filter(batch=OuterRef("pk"), attempts=OuterRef("attempts"))
    batch = batches.filter(~Exists(known)).defer("payload", *LARGE_EDITION_COLUMNS).order_by("pk").first()
    return begin(batch, by=by) if batch else None


def _close_moot() -> None:
    """End searches whose batch was settled by an event or an operator."""
    settled = ProviderSearch.objects.filter(result=SearchResult.OPEN).exclude(batch__state=BatchState.HELD)
    if settled.exists():
        # A query costs nothing; an update takes SQLite's only write lock, in each round of an idle worker.
        settled.update(result=SearchResult.MOOT, reason=Reason.SETTLED_MEANWHILE, finished_at=timezone.now())


def begin(batch: Batch, *, by: str, from_newest: bool = False) -> ProviderSearch:
    """A new search for this batch; the open one, if there is one. It starts just above the batch's time."""
    now, (since, until) = timezone.now(), _time_of(batch)
    # A clock that was set back between two attempts must not leave an empty span to search.
    since = min(since, (batch.send.started_at or since) - CLOCK_TOLERANCE)
    cursor = "" if from_newest else _newer_mail(batch, until)
    search, _created = ProviderSearch.objects.get_or_create(
        batch=batch,
        result=SearchResult.OPEN,
        defaults={
            "attempts": batch.attempts,
            "since": since,
            "until": until if cursor else max(until, now),
            "cursor": cursor,
            "by": by[:150],
            "started_at": now,
        },
    )
    return search


def _time_of(batch: Batch) -> tuple[datetime.datetime, datetime.datetime]:
    """The span in which the batch's mails were created, if it was sent and the clocks agree."""
    attempts = (batch.first_attempt_at or batch.not_before, batch.last_attempt_at or timezone.now())
    return min(attempts) - CLOCK_TOLERANCE, max(attempts) + LEASE + CLOCK_TOLERANCE


def _newer_mail(batch: Batch, until: datetime.datetime) -> str:
    """The id of a mail that we sent soon after the batch. The search starts there, to reach the batch's mails sooner.

    If they are not found, the list is read again from its newest mail.
    """
    accepted = Batch.objects.filter(state=BatchState.ACCEPTED, provider=batch.provider, first_attempt_at__gt=until)
    for later in accepted.order_by("first_attempt_at").defer("payload")[:1]:
        return _mail_of(later)
    return ""


def _mail_of(batch: Batch) -> str:
    """The provider's id of one of its mails; empty if none is known."""
    named = deliveries_of(batch).exclude(provider_id="")
    return named.values_list("provider_id", flat=True).first() or ""


def has_open_search(batches: QuerySet[Batch]) -> bool:
    """Whether a search for any of these batches has pages left, due or not."""
    return ProviderSearch.objects.filter(result=SearchResult.OPEN, batch__in=batches).exists()


def read_page(search: ProviderSearch, provider: SupportsSearch) -> ProviderSearch:
    """Read the next page and record what it proves; the search as it is then.

    Raises ProviderSearchFailed where trying again may help; what was read so far is kept.
    """
    batch = search.batch
    # The payload may be read later than the row, and be gone.
    if batch.state != BatchState.HELD or batch.attempts != search.attempts or not batch.payload:
        _conclude(search, Conclusion(result=SearchResult.MOOT, reason=Reason.SETTLED_MEANWHILE))
        return search
    body = zstandard.decompress(bytes(batch.payload))
    try:
        page = provider.search(body, after=search.cursor)
        conclusion = _judge(search, page, provider) if _keep(search, page) else None
    except ProviderSearchFailed as failure:
        if not failure.permanent:
            # Other searches have their turn before it.
            ProviderSearch.objects.filter(pk=search.pk).update(read_at=timezone.now())
            raise
        values = {"reasons": [[failure.code, {"text": failure.detail}]]}
        _conclude(search, Conclusion(result=SearchResult.UNPROVEN, reason=Reason.SEARCH_FAILED, values=values))
        return search
    if conclusion:
        _conclude(search, conclusion)
    return search


def _keep(search: ProviderSearch, page: SearchPage) -> bool:
    """Record how far it has come; False if another worker has read this page."""
    before = search.mails_read
    search.found = {**search.found, **{str(place): mail_id for place, mail_id in _current_mails(search.batch, page)}}
    search.mails_read, search.cursor, search.read_at = before + page.mails_read, page.cursor, timezone.now()
    unread = ProviderSearch.objects.filter(pk=search.pk, result=SearchResult.OPEN, mails_read=before)
    kept = {name: getattr(search, name) for name in ("found", "mails_read", "cursor", "read_at")}
    return bool(unread.update(**kept))


def _current_mails(batch: Batch, page: SearchPage) -> Iterator[tuple[int, str]]:
    """The mails found on the page, without failed mails that the batch's mails replaced."""
    superseded = Event.objects.superseded_mails(list(deliveries_of(batch).values_list("pk", flat=True)))
    return ((place, mail_id) for place, mail_id in page.found.items() if mail_id not in superseded)


def _judge(search: ProviderSearch, page: SearchPage, provider: SupportsSearch) -> Conclusion | None:
    """The conclusion so far; None if the next page must be read."""
    found, size = len(search.found), search.batch.recipients
    counts = {"found": found, "size": size, "read": search.mails_read}
    if found == size:
        return Conclusion(result=SearchResult.FOUND, reason=Reason.FOUND_BY_SEARCH, values=counts)
    if page.unverifiable and not found:
        return Conclusion(result=SearchResult.UNPROVEN, reason=Reason.SEARCH_WITHOUT_TAGS)
    if page.has_more and page.found:
        return None
    if page.oldest_at is not None and page.oldest_at < search.since:
        if found:
            return _partly_found(search, counts)
        return _conclude_without_mails(search, provider, counts)
    if page.has_more:
        return None
    if found and search.batch.may_be_partly_sent:
        return _partly_found(search, counts)
    if found:
        # The list drops its oldest mails. The others prove the batch, because a post is sent completely or not at all.
        return Conclusion(result=SearchResult.FOUND, reason=Reason.FOUND_AT_THE_END, values=counts)
    return Conclusion(result=SearchResult.UNPROVEN, reason=Reason.SEARCH_TOO_SHORT)


def _partly_found(search: ProviderSearch, counts: dict[str, Any]) -> Conclusion:
    reason = Reason.PARTS_FOUND if search.batch.may_be_partly_sent else Reason.PARTLY_FOUND
    return Conclusion(result=SearchResult.PARTLY, reason=reason, values=counts)


def _conclude_without_mails(
    search: ProviderSearch, provider: SupportsSearch, counts: dict[str, Any]
) -> Conclusion | None:
    """The conclusion if the list has no mail of the batch; None if it must be read again from its newest mail."""
    if search.until < search.started_at:
        search.cursor, search.until = "", timezone.now()
        search.save(update_fields=["cursor", "until"])
        return None
    if search.batch.may_be_at_other_provider:
        return Conclusion(result=SearchResult.UNPROVEN, reason=Reason.SEARCH_OTHER_PROVIDER)
    if missing := _missing_witness(search.batch, provider):
        return Conclusion(result=SearchResult.UNPROVEN, reason=missing)
    return Conclusion(result=SearchResult.ABSENT, reason=Reason.ABSENT_BY_SEARCH, values=counts)


def _missing_witness(batch: Batch, provider: SupportsSearch) -> Reason | None:
    """Why the list may not be that of the batch's account; None if a mail accepted at about that time proves it."""
    for witness, mail_id in _witnesses(batch):
        created_at, (since, until) = provider.mail_created_at(mail_id), _time_of(witness)
        if created_at is None:
            return Reason.SEARCH_WITNESS_MISSING
        return None if since <= created_at <= until else Reason.SEARCH_CLOCKS_DIFFER
    return Reason.SEARCH_NO_WITNESS


def _witnesses(batch: Batch) -> Iterator[tuple[Batch, str]]:
    """Accepted batches of the same account with a mail of each, the nearest in time first."""
    posted_at = batch.first_attempt_at or batch.not_before
    accepted = Batch.objects.filter(state=BatchState.ACCEPTED, provider=batch.provider).defer("payload")
    before = accepted.filter(first_attempt_at__lte=posted_at).order_by("-first_attempt_at")[:MAX_WITNESSES]
    after = accepted.filter(first_attempt_at__gt=posted_at).order_by("first_attempt_at")[:MAX_WITNESSES]
    for witness in sorted([*before, *after], key=lambda other: abs((other.first_attempt_at or posted_at) - posted_at)):
        if mail_id := _mail_of(witness):
            yield witness, mail_id


def _conclude(search: ProviderSearch, conclusion: Conclusion) -> None:
    """Record the result and what follows from it, both or neither."""
    batch, result = search.batch, conclusion.result
    details = {"search": search.pk, "batch": batch.pk, "reason": conclusion.reason}
    log.info("Search concluded", extra=details)
    with transaction.atomic():
        if (result is SearchResult.FOUND and not _accept(batch, search, conclusion)) or (
            result is SearchResult.ABSENT and not _post_again(batch, conclusion)
        ):
            result = SearchResult.MOOT
        if result is SearchResult.PARTLY:
            _hold_the_rest(batch, search, conclusion)
        elif result is SearchResult.UNPROVEN:
            # Why it is held stays the first reason; what the search has found is added to it.
            first = {**(batch.reason_values or {})}
            others = [reason for reason in first.pop("reasons", []) if reason[0] != conclusion.reason]
            hold(batch, batch.reason, {**first, "reasons": [*others, [conclusion.reason, conclusion.values]]})
        search.result, search.reason, search.values = result, conclusion.reason, conclusion.values
        search.finished_at = timezone.now()
        search.save(update_fields=["result", "reason", "values", "finished_at"])


def _accept(batch: Batch, search: ProviderSearch, conclusion: Conclusion) -> bool:
    pks = _deliveries_in_bytes(batch)
    with transaction.atomic():
        if not settle(batch, conclusion.reason, conclusion.values):
            return False
        _keep_ids(search, pks)
    return True


def _hold_the_rest(batch: Batch, search: ProviderSearch, conclusion: Conclusion) -> None:
    """Hold it for an operator. Of one that may have been sent in parts, the mails that were found are accepted."""
    if not hold(batch, conclusion.reason, conclusion.values) or not batch.may_be_partly_sent:
        return
    pks = _deliveries_in_bytes(batch)
    _keep_ids(search, pks)
    found = [pks[int(place)] for place in search.found if pks]
    in_flight = deliveries_of(batch).filter(state__in=IN_FLIGHT)
    DELIVERY_MACHINE.move(in_flight.filter(pk__in=found), DeliveryState.ACCEPTED, reason="", detail="")
    if not in_flight.exists():
        # Events have proven the others.
        settle(batch, conclusion.reason, conclusion.values)


def _deliveries_in_bytes(batch: Batch) -> list[int]:
    """The deliveries of a held batch's messages, in their order, locked; none if these are not known any more.

    Events may have settled some since it was held, and others before it was built.
    """
    owned = deliveries_of(batch).select_for_update()
    for states in (IN_FLIGHT, (*IN_FLIGHT, DeliveryState.ACCEPTED)):
        pks = list(owned.filter(state__in=states).values_list("pk", flat=True))
        if len(pks) == batch.recipients:
            return pks
    return []


def _keep_ids(search: ProviderSearch, pks: Sequence[int]) -> None:
    """Keep the ids of the mails that were found, if the deliveries of their places are known."""
    ids = [(pks[int(place)], mail_id) for place, mail_id in search.found.items() if pks]
    execute_with_rows(KEEP_IDS, {"id": "bigint", "provider_id": "text"}, ids)


def _post_again(batch: Batch, conclusion: Conclusion) -> bool:
    """Give it back to the workers, to be built anew under another key; only with the proof in the same transaction."""
    untouched = Batch.objects.filter(pk=batch.pk, state=batch.state, attempts=batch.attempts)
    changed = BATCH_MACHINE.move(
        untouched,
        BatchState.READY,
        payload=None,
        not_before=timezone.now(),
        reason=conclusion.reason,
        reason_values=conclusion.values,
    )
    if changed:
        in_flight = deliveries_of(batch).filter(state__in=IN_FLIGHT)
        DELIVERY_MACHINE.move(in_flight, DeliveryState.PENDING, reason=reason_unless_delivered(), detail="")
    return bool(changed)
