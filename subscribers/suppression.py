"""Addresses that must not be mailed, on any list."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from django.db import transaction
from django.utils import timezone

from subscribers.fingerprints import fingerprint
from subscribers.models import (
    LIFTED_BY_CONFIRMATION,
    ConsentKind,
    Subscription,
    Suppression,
    SuppressionReason,
)
from subscribers.transitions import Evidence, move

#: Addresses per statement: far below what SQLite takes as parameters.
CHUNK = 500

Cause = tuple[SuppressionReason, str]
"""Why an address must not be mailed, and in which words the other side said so."""


def suppress_addresses(causes: Mapping[str, Cause]) -> int:
    """Keep these canonical addresses from all mail, and end their waiting and active memberships on every list.

    Repeating it changes nothing. A complaint outweighs an earlier bounce, never the other way round. Returns how
    many memberships ended. A handful of statements per 500 addresses.
    """
    return sum(_suppress_chunk(chunk) for chunk in _chunks(causes))


def _suppress_chunk(causes: Mapping[str, Cause]) -> int:
    with transaction.atomic():
        # In one order for everybody: two workers that insert the same addresses would else wait for each other.
        marks = dict(sorted((fingerprint(canonical), cause) for canonical, cause in causes.items()))
        _outweigh(marks)
        Suppression.objects.bulk_create(
            [
                Suppression(fingerprint=mark, reason=reason, detail=detail[:300])
                for mark, (reason, detail) in marks.items()
            ],
            ignore_conflicts=True,
        )
        return sum(_end_memberships(group, reason) for reason, group in _by_reason(causes).items())


def _outweigh(marks: Mapping[str, Cause]) -> None:
    """Turn suppressions that a fresh confirmation would lift into lasting ones, where there is a lasting cause now."""
    lasting = {mark: cause for mark, cause in marks.items() if cause[0] not in LIFTED_BY_CONFIRMATION}
    earlier = list(Suppression.objects.filter(fingerprint__in=lasting, reason__in=LIFTED_BY_CONFIRMATION))
    for suppression in earlier:
        suppression.reason, suppression.detail = lasting[suppression.fingerprint]
        suppression.detail = suppression.detail[:300]
        suppression.created_at = timezone.now()
    Suppression.objects.bulk_update(earlier, ["reason", "detail", "created_at"])


def _end_memberships(canonicals: Collection[str], reason: SuppressionReason) -> int:
    ended = move(
        Subscription.objects.filter(subscriber__canonical__in=canonicals),
        ConsentKind.SUPPRESSED,
        Evidence(form="suppression", detail=str(reason.label)),
        ended_at=timezone.now(),
        paused_until=None,
    )
    return len(ended)


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


def is_suppressed(canonical: str) -> bool:
    """Whether nothing may be mailed to this address."""
    return suppression_of(canonical) is not None


def suppressed_among(canonicals: Collection[str]) -> set[str]:
    """Those of these canonical addresses that must not be mailed. One query per 500 addresses."""
    marks = {fingerprint(canonical): canonical for canonical in canonicals}
    asked = list(marks)
    found: set[str] = set()
    for start in range(0, len(asked), CHUNK):
        chunk = asked[start : start + CHUNK]
        stored = Suppression.objects.filter(fingerprint__in=chunk).values_list("fingerprint", flat=True)
        found.update(marks[mark] for mark in stored)
    return found
