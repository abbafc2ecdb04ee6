"""Suppression: keeping addresses from all mail, on any list.

The addresses are stored as hashes under SUPPRESSION_SECRET. While that is another secret than the recorded one, none of
them is recognised: nothing is sent, and none is added.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

from django.db import transaction
from django.db.models import Exists, Max, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from subscribers.models import (
    COMPLAINT_HOLD,
    Consent,
    ConsentForm,
    ConsentKind,
    Evidence,
    Import,
    ImportSuppression,
    LiftedSuppression,
    Subscriber,
    Subscription,
    Suppression,
    SuppressionReason,
    SuppressionSecret,
    fingerprint,
    move_subscriptions,
    present_secret_fingerprint,
)

log = logging.getLogger(__name__)

#: Addresses per statement: far below SQLite's limit of parameters.
CHUNK = 500

SuppressionCause = tuple[SuppressionReason, str]
"""Why an address is suppressed, and the provider's or editor's own words."""

#: Who records the secret that is in use.
WORKER = "worker"

#: Of several reasons the one with the highest rank is kept. All ranks differ, so the order of arrival does not matter.
#: Reasons that a new confirmation lifts rank below those that it does not. A provider's list and imports call every
#: bounce a hard one, and must not replace what is known more exactly.
RANKS = {
    SuppressionReason.HARD_BOUNCE: 1,
    SuppressionReason.SOFT_BOUNCE: 2,
    SuppressionReason.NO_DOMAIN: 3,
    SuppressionReason.INACTIVE: 4,
    SuppressionReason.ERASED: 5,
    SuppressionReason.PROVIDER: 6,
    SuppressionReason.MANUAL: 7,
    SuppressionReason.COMPLAINT: 8,
}

#: The reasons that an erased address may be suppressed for by now.
MAY_BE_ERASED = [reason for reason, rank in RANKS.items() if rank >= RANKS[SuppressionReason.ERASED]]

#: Called in the transaction that lifts suppressions, with their fingerprints, and in the one that writes a confirmation
#: mail to an address that bounced or whose hold after a complaint is over, which the provider would not deliver. Other
#: apps add themselves at the start.
LIFT_LISTENERS: list[Callable[[Collection[str]], None]] = []


def outranks(reason: str, other: str) -> bool:
    """Whether `reason` replaces `other` as the reason of a suppression."""
    return RANKS[SuppressionReason(reason)] > RANKS[SuppressionReason(other)]


class SuppressionSecretDiffers(Exception):
    """The suppressions are stored under another SUPPRESSION_SECRET than the one in the settings."""

    def __init__(self) -> None:
        super().__init__(_("SUPPRESSION_SECRET is not the one under which suppressed addresses are stored."))


def check_suppression_secret() -> None:
    """Record the secret in the settings, unless one is recorded. Raises SuppressionSecretDiffers if it is another one.

    Another one replaces it as long as no address is suppressed.
    """
    current = present_secret_fingerprint()
    records = SuppressionSecret.objects.filter(pk=SuppressionSecret.PK)
    recorded = records.values_list("fingerprint", flat=True).first()
    if recorded is None:
        SuppressionSecret.objects.bulk_create(
            [SuppressionSecret(pk=SuppressionSecret.PK, fingerprint=current, recorded_by=WORKER)],
            ignore_conflicts=True,
        )
        recorded = records.values_list("fingerprint", flat=True).first()
    if recorded == current:
        return
    replaced = records.filter(~Exists(Suppression.objects.all()), fingerprint=recorded)
    if not replaced.update(fingerprint=current, recorded_at=timezone.now(), recorded_by=WORKER):
        raise SuppressionSecretDiffers


def record_suppression_secret() -> bool:
    """Record the secret, and log an error if another one is recorded. A step of the worker; returns False."""
    try:
        check_suppression_secret()
    except SuppressionSecretDiffers:
        log.error("SUPPRESSION_SECRET differs from the one under which addresses are suppressed: nothing is sent")
    return False


def replace_lost_secret(*, by: str) -> bool:
    """Take the secret in the settings for the right one. Addresses that were suppressed before are not recognised.

    Returns whether it was another one.
    """
    current = present_secret_fingerprint()
    replaced = SuppressionSecret.objects.exclude(fingerprint=current)
    if not replaced.update(fingerprint=current, recorded_at=timezone.now(), recorded_by=by[:150]):
        return False
    log.warning("SUPPRESSION_SECRET replaced: earlier suppressions are not recognised", extra={"by": by})
    return True


def suppress_addresses(causes: Mapping[str, SuppressionCause], evidence: Evidence | None = None) -> int:
    """Suppress these canonical addresses, and end their pending and active subscriptions on every list.

    A repeat changes nothing. A reason replaces an earlier one that it outranks. Returns the number of subscriptions
    that ended. Takes a handful of statements per 500 addresses. `evidence` names the editor. Raises
    SuppressionSecretDiffers.
    """
    check_suppression_secret()
    evidence = evidence or Evidence(form=ConsentForm.SUPPRESSION)
    return sum(_suppress_chunk(chunk, evidence) for chunk in _chunks(causes))


def _suppress_chunk(causes: Mapping[str, SuppressionCause], evidence: Evidence) -> int:
    with transaction.atomic():
        # Sorted: two workers that insert the same addresses in different orders would deadlock.
        by_fingerprint = dict(sorted((fingerprint(canonical), cause) for canonical, cause in causes.items()))
        Suppression.objects.bulk_create(
            [
                Suppression(fingerprint=key, reason=reason, detail=detail[:300])
                for key, (reason, detail) in by_fingerprint.items()
            ],
            ignore_conflicts=True,
        )
        # After the insert: another worker may have stored a lower reason at the same time.
        _upgrade_outranked(by_fingerprint)
        _keep_from_undoing(by_fingerprint)
        return sum(
            _end_subscriptions(group, replace(evidence, reason=reason)) for reason, group in _by_reason(causes).items()
        )


def suppress_fingerprints(causes: Mapping[str, tuple[SuppressionReason, datetime.datetime]]) -> None:
    """Suppress addresses of which only the fingerprints are known, with their reasons and times.

    Does not end subscriptions. Raises SuppressionSecretDiffers.
    """
    check_suppression_secret()
    items = sorted(causes.items())
    for start in range(0, len(items), CHUNK):
        chunk = items[start : start + CHUNK]
        with transaction.atomic():
            Suppression.objects.bulk_create(
                [Suppression(fingerprint=key, reason=reason, created_at=at) for key, (reason, at) in chunk],
                ignore_conflicts=True,
            )
            _upgrade_outranked({key: (reason, "") for key, (reason, _at) in chunk})
            _keep_from_undoing(dict(chunk))


def _upgrade_outranked(causes: Mapping[str, SuppressionCause]) -> None:
    """Give stored suppressions the reason that outranks theirs."""
    stored = Suppression.objects.filter(fingerprint__in=causes).order_by("fingerprint").select_for_update()
    outranked = [row for row in stored if outranks(causes[row.fingerprint][0], row.reason)]
    for suppression in outranked:
        suppression.reason, suppression.detail = causes[suppression.fingerprint]
        suppression.detail = suppression.detail[:300]
        suppression.created_at = timezone.now()
    Suppression.objects.bulk_update(outranked, ["reason", "detail", "created_at"])


def _keep_from_undoing(fingerprints: Collection[str]) -> None:
    """Undoing an import must not lift what has another cause by now, also where that changes nothing."""
    # By the owner, too: the index begins with it.
    made = ImportSuppression.objects.filter(owner__in=Import.objects.values("pk"), fingerprint__in=fingerprints)
    made.delete()


def _end_subscriptions(canonicals: Collection[str], evidence: Evidence) -> int:
    return move_subscriptions(
        Subscription.objects.filter(subscriber__canonical__in=canonicals),
        ConsentKind.SUPPRESSED,
        evidence,
        ended_at=timezone.now(),
        paused_until=None,
    )


def _by_reason(causes: Mapping[str, SuppressionCause]) -> dict[SuppressionReason, list[str]]:
    groups: dict[SuppressionReason, list[str]] = {}
    for canonical, (reason, _detail) in causes.items():
        groups.setdefault(reason, []).append(canonical)
    return groups


def _chunks(causes: Mapping[str, SuppressionCause]) -> Iterator[dict[str, SuppressionCause]]:
    items = list(causes.items())
    for start in range(0, len(items), CHUNK):
        yield dict(items[start : start + CHUNK])


def get_suppression(canonical: str) -> Suppression | None:
    """The suppression of this address, if there is one."""
    return Suppression.objects.filter(fingerprint=fingerprint(canonical)).first()


def hold_end(canonical: str) -> datetime.datetime | None:
    """When the hold of the last complaint of this address ends; None unless a complaint suppresses it.

    The suppression keeps the time of the first complaint. A later one, about a mail after the hold, ended a request.
    """
    suppression = get_suppression(canonical)
    if suppression is None or suppression.reason != SuppressionReason.COMPLAINT:
        return None
    later = Consent.objects.filter(
        subscription__subscriber__canonical=canonical,
        kind=ConsentKind.SUPPRESSED,
        reason=SuppressionReason.COMPLAINT,
    ).aggregate(last=Max("created_at"))["last"]
    since: datetime.datetime = max(filter(None, (suppression.created_at, later)))
    return since + COMPLAINT_HOLD


def blocks_confirmation(canonical: str) -> bool:
    """Whether the address may get no confirmation mail now, and a confirmation may not lift its suppression.

    A complaint blocks it until its hold ends. Until the confirmation the address gets no other mail.
    """
    suppression = get_suppression(canonical)
    if suppression is None or not suppression.blocks_signup:
        return False
    end = hold_end(canonical)
    return end is None or end > timezone.now()


def notify_lifted(fingerprints: Collection[str]) -> None:
    """Tell everyone who keeps a list of suppressed addresses that these are to be mailed again."""
    for listener in LIFT_LISTENERS:
        listener(fingerprints)


def filter_suppressed(canonicals: Collection[str]) -> set[str]:
    """Those of these canonical addresses that must not be mailed. One query per 500 addresses."""
    addresses = {fingerprint(canonical): canonical for canonical in canonicals}
    keys = list(addresses)
    found: set[str] = set()
    for start in range(0, len(keys), CHUNK):
        chunk = keys[start : start + CHUNK]
        stored = Suppression.objects.filter(fingerprint__in=chunk).values_list("fingerprint", flat=True)
        found.update(addresses[key] for key in stored)
    return found


def find_erased(canonicals: Collection[str]) -> set[str]:
    """Those of these canonical addresses that were erased and have not come back. Two queries per 500 addresses.

    A heavier reason hides an erasure, so that a suppressed address without a subscriber counts as erased.
    """
    keys = {fingerprint(canonical): canonical for canonical in canonicals}
    found: set[str] = set()
    names = list(keys)
    for start in range(0, len(names), CHUNK):
        chunk = names[start : start + CHUNK]
        erased = Suppression.objects.filter(fingerprint__in=chunk, reason__in=MAY_BE_ERASED)
        found.update(keys[key] for key in erased.values_list("fingerprint", flat=True))
    return found - set(Subscriber.objects.filter(canonical__in=found).values_list("canonical", flat=True))


class ExplanationMissing(ValueError):
    """Lifting a complaint needs a reason."""

    permanent = True

    def __init__(self) -> None:
        super().__init__(_("Someone reported a mail as spam. Enter why the address may be mailed again."))


def lift_suppressions(suppressions: QuerySet[Suppression], *, by: str, explanation: str = "") -> int:
    """Lift suppressions, keep a record of each, and tell the providers; how many.

    `by` is the editor's user name; empty: the subscriber. Subscriptions stay ended until a new sign-up. Raises
    ExplanationMissing if one of them is a complaint and there is no explanation; then none is lifted.
    """
    with transaction.atomic():
        rows = list(suppressions.order_by("fingerprint").select_for_update())
        if not explanation.strip() and any(row.reason == SuppressionReason.COMPLAINT for row in rows):
            raise ExplanationMissing
        LiftedSuppression.objects.bulk_create(
            [
                LiftedSuppression(
                    fingerprint=row.fingerprint, reason=row.reason, by=by[:150], explanation=explanation.strip()[:300]
                )
                for row in rows
            ],
            batch_size=CHUNK,
        )
        for start in range(0, len(rows), CHUNK):
            keys = [row.fingerprint for row in rows[start : start + CHUNK]]
            Suppression.objects.filter(fingerprint__in=keys).delete()
            notify_lifted(keys)
    return len(rows)
