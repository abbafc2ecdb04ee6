"""Secrets of endpoints, and the headers that sign a message. Source: Standard Webhooks 1.0.0.

A secret is derived from SECRET_KEY and a random nonce, so that neither the database nor a backup of it holds one.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
from collections.abc import Iterable, Sequence

from django.conf import settings
from django.db.models import Q, QuerySet

from newsletter.models import WebhookSecret
from subscribers.consent.tokens import key_fingerprints

PREFIX = "whsec_"

#: Part of every secret, and so of what receivers have stored: it must never change.
LABEL = b"newsletter.notifications.secret:"


def current_fingerprint() -> str:
    """The fingerprint of the SECRET_KEY from which new secrets are derived."""
    return key_fingerprints()[0]


def usable_secrets(now: datetime.datetime) -> QuerySet[WebhookSecret]:
    """Secrets that have not expired and whose SECRET_KEY is in the settings, the newest first."""
    in_time = Q(expires_at__isnull=True) | Q(expires_at__gt=now)
    return WebhookSecret.objects.filter(in_time, key_fingerprint__in=key_fingerprints()).order_by("-pk")


def lost_secrets(now: datetime.datetime) -> QuerySet[WebhookSecret]:
    """Current secrets that can no longer be derived: their SECRET_KEY is not in the settings."""
    return WebhookSecret.objects.filter(expires_at__isnull=True).exclude(key_fingerprint__in=key_fingerprints())


def key_of(secret: WebhookSecret) -> bytes:
    """The 32 bytes that sign. Raises KeyError if its SECRET_KEY is neither the present one nor a fallback."""
    keys = dict(zip(key_fingerprints(), (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS), strict=True))
    return hmac.digest(keys[secret.key_fingerprint].encode(), LABEL + secret.nonce.encode(), hashlib.sha256)


def secret_text(secret: WebhookSecret) -> str:
    """The secret as the receiver stores it: `whsec_` and base64. Raises KeyError as `key_of` does."""
    return PREFIX + base64.b64encode(key_of(secret)).decode("ascii")


def signature(keys: Iterable[bytes], uid: str, timestamp: int, body: bytes) -> str:
    """The header webhook-signature: a `v1` signature under each key, separated by spaces."""
    signed = f"{uid}.{timestamp}.".encode() + body
    signatures = (hmac.digest(key, signed, hashlib.sha256) for key in keys)
    return " ".join("v1," + base64.b64encode(each).decode("ascii") for each in signatures)


def signed_headers(keys: Sequence[bytes], uid: str, timestamp: int, body: bytes) -> dict[str, str]:
    """All headers of a message. `timestamp` is the time of the attempt in seconds since 1970."""
    return {
        "Content-Type": "application/json",
        "webhook-id": uid,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(keys, uid, timestamp, body),
    }
