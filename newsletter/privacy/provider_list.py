"""The provider's suppression list: read page by page, taken over here, and told what was lifted here.

Our own bounces and complaints need not be pushed: the provider makes its entries from the same facts. What was removed
there stays suppressed here, because only the subscriber or an editor lifts it; the doctor shows such differences.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Collection, Iterable

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from newsletter.models import Event, ProviderSuppression, SuppressionSync
from newsletter.privacy.rules import deliveries_to
from newsletter.providers.base import Provider
from newsletter.providers.bounce_classes import RecipientEffect, codes_for
from newsletter.providers.suppression_list import (
    ListedSuppression,
    SupportsSuppressions,
    SuppressionPage,
    SuppressionsUnreadable,
)
from subscribers.addresses import AddressError, parse_address
from subscribers.models import Subscriber, Suppression, SuppressionReason, fingerprint, suppression_secret_differs
from subscribers.privacy.registry import DataSubject
from subscribers.suppression import LIFT_LISTENERS, SuppressionCause, filter_suppressed, suppress_addresses

log = logging.getLogger(__name__)

#: Seconds between two runs of the step: reading shares the provider's rate limit with posting.
PACE_SECONDS = 2.0

#: Between two complete readings, and after a failure.
READ_EVERY, RETRY_AFTER = datetime.timedelta(hours=6), datetime.timedelta(minutes=10)

#: How long a worker may take for a page.
CLAIM = datetime.timedelta(minutes=2)

#: Entries that are removed in one run.
REMOVALS_PER_RUN = 5

REASONS = {"bounce": SuppressionReason.HARD_BOUNCE, "complaint": SuppressionReason.COMPLAINT}


def listen() -> None:
    """Note each lifted suppression. Called when the app starts."""
    if request_removal not in LIFT_LISTENERS:
        LIFT_LISTENERS.append(request_removal)


def request_removal(fingerprints: Collection[str]) -> None:
    """Note that these addresses are to be removed from the provider's list, in the transaction that lifts them.

    An address that was not seen there yet may be listed by the time the list is read.
    """
    now = timezone.now()
    ProviderSuppression.objects.bulk_create(
        [
            ProviderSuppression(provider=provider, fingerprint=each, removal_requested_at=now)
            for provider in SuppressionSync.objects.values_list("provider", flat=True)
            for each in fingerprints
        ],
        update_conflicts=True,
        unique_fields=["provider", "fingerprint"],
        update_fields=["removal_requested_at"],
        batch_size=500,
    )


def sync_suppressions(route: Iterable[Provider]) -> bool:
    """Remove what was lifted, and read one page if one is due. A step of the worker; returns False.

    Does nothing under another SUPPRESSION_SECRET, under which no hash would fit.
    """
    if suppression_secret_differs():
        return False
    for provider in route:
        if not isinstance(provider, SupportsSuppressions) or not provider.can_read_suppressions:
            continue
        try:
            _remove_lifted(provider.name, provider)
            _read_next_page(provider.name, provider)
        except SuppressionsUnreadable as error:
            _record_failure(provider.name, error)
    return False


def _remove_lifted(name: str, provider: SupportsSuppressions) -> None:
    now = timezone.now()
    due = ProviderSuppression.objects.filter(provider=name, removal_requested_at__isnull=False).exclude(
        suppression_id=""
    )
    due = due.filter(Q(removal_failed_at__isnull=True) | Q(removal_failed_at__lte=now - RETRY_AFTER))
    for entry in due.order_by("removal_requested_at")[:REMOVALS_PER_RUN]:
        try:
            provider.remove_suppression(entry.suppression_id)
        except SuppressionsUnreadable as error:
            # The others wait for the next run. The list is read all the same: one entry must not keep it from that.
            ProviderSuppression.objects.filter(pk=entry.pk).update(removal_failed_at=timezone.now())
            log.info("Suppression not removed at the provider", extra={"provider": name, "code": error.code})
            return
        ProviderSuppression.objects.filter(pk=entry.pk).delete()
        log.info("Suppression removed at the provider", extra={"provider": name})


def _read_next_page(name: str, provider: SupportsSuppressions) -> None:
    sync = _claim(name)
    if sync is None:
        return
    try:
        page = provider.read_suppressions(after=sync.cursor)
    except SuppressionsUnreadable as error:
        if error.code == "cursor_lost":
            # The entry was removed meanwhile: from the newest again.
            _update(sync, cursor="", started_at=None)
            return
        raise
    with transaction.atomic():
        _take_over(name, sync, page.entries)
        if page.has_more:
            _update(sync, cursor=page.cursor, listed=sync.listed + len(page.entries))
        else:
            _finish(name, sync, page)


def _claim(name: str) -> SuppressionSync | None:
    """The reading of this provider's list, if a page is due; no other worker reads it meanwhile."""
    now = timezone.now()
    found = SuppressionSync.objects.filter(provider=name)
    free = Q(claimed_until__isnull=True) | Q(claimed_until__lte=now)
    rested = Q(failed_at__isnull=True) | Q(failed_at__lte=now - RETRY_AFTER)
    due = Q(started_at__isnull=False) | Q(finished_at__isnull=True) | Q(finished_at__lte=now - READ_EVERY)
    if not found.exists():
        SuppressionSync.objects.bulk_create([SuppressionSync(provider=name)], ignore_conflicts=True)
    # A query costs nothing; an update takes SQLite's only write lock, in each round of an idle worker.
    if not found.filter(free, rested, due).exists():
        return None
    if not found.filter(free, rested, due).update(claimed_until=now + CLAIM):
        return None
    sync = found.get()
    if sync.started_at is None:
        sync.started_at, sync.cursor, sync.listed = now, "", 0
        found.update(started_at=now, cursor="", listed=0)
    return sync


def _update(sync: SuppressionSync, **changes: object) -> None:
    SuppressionSync.objects.filter(pk=sync.pk).update(claimed_until=None, failed_at=None, code="", detail="", **changes)


def _finish(name: str, sync: SuppressionSync, page: SuppressionPage) -> None:
    """What this reading has not seen is not listed. What was lifted while it ran waits for the next one."""
    unseen = Q(seen_at__isnull=True) | Q(seen_at__lt=sync.started_at)
    lifted_meanwhile = Q(removal_requested_at__gte=sync.started_at)
    ProviderSuppression.objects.filter(unseen, provider=name).exclude(lifted_meanwhile).delete()
    listed = sync.listed + len(page.entries)
    _update(sync, cursor="", started_at=None, finished_at=timezone.now(), listed=listed)


def _record_failure(name: str, error: SuppressionsUnreadable) -> None:
    log.info("Suppression list not read", extra={"provider": name, "code": error.code})
    found = SuppressionSync.objects.filter(provider=name)
    found.update(claimed_until=None, failed_at=timezone.now(), code=error.code[:64], detail=error.detail[:300])


def _take_over(name: str, sync: SuppressionSync, entries: Iterable[ListedSuppression]) -> None:
    """Keep the entries as hashes, and suppress their addresses here, except those that were lifted here since."""
    by_address = {canonical: entry for entry in entries if (canonical := _canonical(entry.address))}
    hashes = {canonical: fingerprint(canonical) for canonical in by_address}
    known = ProviderSuppression.objects.filter(provider=name, fingerprint__in=hashes.values())
    lifted = dict(known.filter(removal_requested_at__isnull=False).values_list("fingerprint", "removal_requested_at"))
    kept = {
        canonical: entry
        for canonical, entry in by_address.items()
        if (at := lifted.get(hashes[canonical])) is None or entry.listed_at > at
    }
    ProviderSuppression.objects.bulk_create(
        [
            ProviderSuppression(
                provider=name,
                fingerprint=hashes[canonical],
                suppression_id=entry.id,
                origin=entry.origin,
                listed_at=entry.listed_at,
                seen_at=sync.started_at,
                removal_requested_at=None if canonical in kept else lifted[hashes[canonical]],
            )
            for canonical, entry in by_address.items()
        ],
        update_conflicts=True,
        unique_fields=["provider", "fingerprint"],
        update_fields=["suppression_id", "origin", "listed_at", "seen_at", "removal_requested_at"],
    )
    bounced = [canonical for canonical, entry in kept.items() if entry.origin == "bounce"]
    refused = _bounced_for_policy(set(bounced) - filter_suppressed(bounced))
    causes: dict[str, SuppressionCause] = {
        canonical: (REASONS.get(entry.origin, SuppressionReason.PROVIDER), "")
        for canonical, entry in kept.items()
        if canonical not in refused
    }
    if causes:
        suppress_addresses(causes)


def _bounced_for_policy(canonicals: Collection[str]) -> set[str]:
    """Those whose bounces said nothing about the mailbox: such a bounce lists an address there, and not here."""
    found = set()
    for subscriber in Subscriber.objects.filter(canonical__in=canonicals):
        bounces = Event.objects.filter(delivery_id__in=deliveries_to(DataSubject(subscriber.canonical, subscriber)))
        kinds = set(bounces.exclude(bounce="").values_list("bounce", flat=True))
        if kinds and not kinds & set(codes_for(recipient=RecipientEffect.SUPPRESS)):
            found.add(subscriber.canonical)
    return found


def _canonical(address: str) -> str:
    try:
        return parse_address(address).canonical
    except AddressError:
        return ""


def listed_there_only() -> QuerySet[ProviderSuppression]:
    """Entries of the provider's list that are not suppressed here, and not to be removed there."""
    here = Suppression.objects.filter(fingerprint=OuterRef("fingerprint"))
    return ProviderSuppression.objects.filter(~Exists(here), seen_at__isnull=False, removal_requested_at__isnull=True)


def request_removal_there(provider: str = "") -> int:
    """Have the provider try those addresses again that are on its list and not suppressed here; how many.

    The step removes them one after the other. An address that bounces for the same reason is listed again.
    """
    found = listed_there_only()
    return (found.filter(provider=provider) if provider else found).update(removal_requested_at=timezone.now())


def listed_here_only(sync: SuppressionSync) -> QuerySet[Suppression]:
    """Addresses that are suppressed because of the provider's list, and that its last reading did not find."""
    there = ProviderSuppression.objects.filter(provider=sync.provider, fingerprint=OuterRef("fingerprint"))
    read_at = sync.finished_at - datetime.timedelta(hours=1) if sync.finished_at else timezone.now()
    taken_over = Suppression.objects.filter(reason=SuppressionReason.PROVIDER, created_at__lt=read_at)
    return taken_over.filter(~Exists(there))


def removals_that_fail() -> QuerySet[ProviderSuppression]:
    """Entries that were lifted here and could not be removed there."""
    return ProviderSuppression.objects.filter(removal_requested_at__isnull=False, removal_failed_at__isnull=False)
