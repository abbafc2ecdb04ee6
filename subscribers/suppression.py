"""Suppression: keeping addresses from all mail, on any list."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from django.db import transaction
from django.utils import timezone

from subscribers.models import (
    LIFTED_BY_CONFIRMATION,
    ConsentForm,
    ConsentKind,
    Evidence,
    Subscription,
    Suppression,
    SuppressionReason,
    fingerprint,
    move_subscriptions,
)

#: Addresses per statement: far below SQLite's limit of parameters.
CHUNK = 500

Cause = tuple[SuppressionReason, str]
"""Why an address is suppressed, and the provider's or editor's own words."""


def suppress_addresses(causes: Mapping[str, Cause], evidence: Evidence | None = None) -> int:
    """Suppress these canonical addresses, and end their pending and active subscriptions on every list.

    A repeat changes nothing. A complaint replaces an earlier bounce, never the other way round. Returns the number of
    subscriptions that ended. Takes a handful of statements per 500 addresses. `evidence` says which editor did it.
    """
    evidence = evidence or Evidence(form=ConsentForm.SUPPRESSION)
    return sum(_suppress_chunk(chunk, evidence) for chunk in _chunks(causes))


def _suppress_chunk(causes: Mapping[str, Cause], evidence: Evidence) -> int:
    with transaction.atomic():
        # Sorted: two workers that insert the same addresses in different orders would deadlock.
        by_fingerprint = dict(sorted((fingerprint(canonical), cause) for canonical, cause in causes.items()))
        _replace_lighter(by_fingerprint)
        Suppression.objects.bulk_create(
            [
                Suppression(fingerprint=key, reason=reason, detail=detail[:300])
                for key, (reason, detail) in by_fingerprint.items()
            ],
            ignore_conflicts=True,
        )
        return sum(
            _end_subscriptions(group, replace(evidence, reason=reason)) for reason, group in _by_reason(causes).items()
        )


def _replace_lighter(causes: Mapping[str, Cause]) -> None:
    """Replace suppressions that a new confirmation would remove, where there is a lasting cause now."""
    lasting = {key: cause for key, cause in causes.items() if cause[0] not in LIFTED_BY_CONFIRMATION}
    earlier = list(Suppression.objects.filter(fingerprint__in=lasting, reason__in=LIFTED_BY_CONFIRMATION))
    for suppression in earlier:
        suppression.reason, suppression.detail = lasting[suppression.fingerprint]
        suppression.detail = suppression.detail[:300]
        suppression.created_at = timezone.now()
    Suppression.objects.bulk_update(earlier, ["reason", "detail", "created_at"])


def _end_subscriptions(canonicals: Collection[str], evidence: Evidence) -> int:
    return move_subscriptions(
        Subscription.objects.filter(subscriber__canonical__in=canonicals),
        ConsentKind.SUPPRESSED,
        evidence,
        ended_at=timezone.now(),
        paused_until=None,
    )


def _by_reason(causes: Mapping[str, Cause]) -> dict[SuppressionReason, list[str]]:
    groups: dict[SuppressionReason, list[str]] = {}
    for canonical, (reason, _) in causes.items():
        groups.setdefault(reason, []).append(canonical)
    return groups


def _chunks(causes: Mapping[str, Cause]) -> Iterator[dict[str, Cause]]:
    items = list(causes.items())
    for start in range(0, len(items), CHUNK):
        yield dict(items[start : start + CHUNK])


def suppression_of(canonical: str) -> Suppression | None:
    """The suppression of this address, if there is one."""
    return Suppression.objects.filter(fingerprint=fingerprint(canonical)).first()


def suppressed_among(canonicals: Collection[str]) -> set[str]:
    """Those of these canonical addresses that must not be mailed. One query per 500 addresses."""
    addresses = {fingerprint(canonical): canonical for canonical in canonicals}
    keys = list(addresses)
    found: set[str] = set()
    for start in range(0, len(keys), CHUNK):
        chunk = keys[start : start + CHUNK]
        stored = Suppression.objects.filter(fingerprint__in=chunk).values_list("fingerprint", flat=True)
        found.update(addresses[key] for key in stored)
    return found
