"""Signing keys over time: which keys signed the links in mails, and which of them can no longer be verified."""

from __future__ import annotations

import datetime

from django.db import transaction
from django.utils import timezone

from subscribers.consent.tokens import key_fingerprints
from subscribers.models import SigningKey, Subscription

#: Seconds after which a record is renewed, and between two looks at it.
RECORD_SECONDS = 600.0

#: A key may have signed links for that long after its last record.
TOLERANCE = datetime.timedelta(seconds=2 * RECORD_SECONDS)


def record_signing_keys() -> bool:
    """Record that SECRET_KEY signs links now, unless that is recorded. A step of the worker; returns False.

    The first record covers the time before it, too, and the keys in SECRET_KEY_FALLBACKS: each may have signed any mail
    since the first subscription.
    """
    now = timezone.now()
    current, *former = key_fingerprints()
    records = SigningKey.objects.filter(fingerprint=current)
    if records.filter(last_used_at__gt=now - TOLERANCE / 2).exists() or records.update(last_used_at=now):
        return False
    with transaction.atomic():
        is_first = not SigningKey.objects.exists()
        since = (_first_subscription_at() or now) if is_first else now
        keys = [current, *former] if is_first else [current]
        SigningKey.objects.bulk_create(
            [SigningKey(fingerprint=key, first_used_at=min(since, now), last_used_at=now) for key in keys],
            ignore_conflicts=True,
        )
    return False


def lost_signing_keys(since: datetime.datetime) -> list[SigningKey]:
    """Keys that signed links after this time and are now neither SECRET_KEY nor in SECRET_KEY_FALLBACKS; one query."""
    used = SigningKey.objects.filter(last_used_at__gte=since).exclude(fingerprint__in=key_fingerprints())
    return list(used.order_by("first_used_at"))


def _first_subscription_at() -> datetime.datetime | None:
    return Subscription.objects.order_by("pk").values_list("created_at", flat=True).first()
