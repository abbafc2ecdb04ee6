"""The signed tokens of links in mails: each opens one door for one subscription.

A token is an opaque payload and 16 bytes of HMAC-SHA256 under a key of its purpose, in unpadded base64url. So a
genuine link is known without the database – also when the subscription is gone (R-9, R-11) –, tells nothing about
anybody (R-35), and fits no other purpose (R-32). Tokens carry no date: what expires is judged by stored times.
"""

from __future__ import annotations

import base64
import binascii
import enum
import functools
import hashlib
import hmac
import struct
import uuid
from dataclasses import dataclass

from django.conf import settings

KEY_BYTES, SIGNATURE_BYTES = 16, 16
#: A confirmation link names the subscription and the request that it answers.
REQUEST_NUMBER = struct.Struct(">I")


class Purpose(enum.StrEnum):
    """What a link is for; also the first part of its path."""

    UNSUBSCRIBE = "unsubscribe"
    PREFERENCES = "preferences"
    CONFIRM = "confirm"
    DECLINE = "decline"


class LinkSigner:
    """Makes links of one purpose. Make one per batch and call `url` for each reader: about 2 µs a link."""

    def __init__(self, purpose: Purpose) -> None:
        self._origin = f"{settings.SITE_URL}/{purpose}/"
        self._mac = _mac(purpose, settings.SECRET_KEY)

    def url(self, key: uuid.UUID) -> str:
        """Absolute link for the subscription with this key: pure ASCII, below 300 characters (R-3)."""
        return self._origin + self.token(key.bytes)

    def token(self, payload: bytes) -> str:
        """The signed token for a payload of 16 bytes or more."""
        mac = self._mac.copy()
        mac.update(payload)
        signed = payload + mac.digest()[:SIGNATURE_BYTES]
        return base64.urlsafe_b64encode(signed).rstrip(b"=").decode("ascii")


def unsubscribe_url(key: uuid.UUID) -> str:
    """Where the subscription with this key ends: the page for a person, and the one-click POST (RFC 8058)."""
    return LinkSigner(Purpose.UNSUBSCRIBE).url(key)


def preferences_url(key: uuid.UUID) -> str:
    """Where the reader pauses, resumes or leaves."""
    return LinkSigner(Purpose.PREFERENCES).url(key)


def decline_url(key: uuid.UUID) -> str:
    """Where somebody says that it was not them who asked."""
    return LinkSigner(Purpose.DECLINE).url(key)


def confirm_url(key: uuid.UUID, request_number: int) -> str:
    """Where the request with this number is confirmed; a later request makes it void."""
    signer = LinkSigner(Purpose.CONFIRM)
    return f"{settings.SITE_URL}/{Purpose.CONFIRM}/{signer.token(key.bytes + REQUEST_NUMBER.pack(request_number))}"


@dataclass(frozen=True, slots=True)
class ConfirmationToken:
    """What a genuine confirmation link names."""

    key: uuid.UUID
    request_number: int


def read_key(purpose: Purpose, token: str) -> uuid.UUID | None:
    """The subscription's key from a genuine token of this purpose, else None. The row may be gone."""
    payload = _read(purpose, token, KEY_BYTES)
    return uuid.UUID(bytes=payload) if payload else None


def read_confirmation(token: str) -> ConfirmationToken | None:
    """What a genuine confirmation token names, else None."""
    payload = _read(Purpose.CONFIRM, token, KEY_BYTES + REQUEST_NUMBER.size)
    if not payload:
        return None
    (number,) = REQUEST_NUMBER.unpack(payload[KEY_BYTES:])
    return ConfirmationToken(key=uuid.UUID(bytes=payload[:KEY_BYTES]), request_number=number)


def _read(purpose: Purpose, token: str, size: int) -> bytes | None:
    """The payload, if the signature under the secret key or one of its earlier values holds; in constant time."""
    signed = _decode(token)
    if signed is None or len(signed) != size + SIGNATURE_BYTES:
        return None
    payload, signature = signed[:size], signed[size:]
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        mac = _mac(purpose, secret).copy()
        mac.update(payload)
        if hmac.compare_digest(mac.digest()[:SIGNATURE_BYTES], signature):
            return payload
    return None


def _decode(token: str) -> bytes | None:
    """The bytes of unpadded base64url; None for anything else, also for a second spelling of the same bytes."""
    if len(token) > 128 or not token.isascii():
        return None
    try:
        signed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    return signed if base64.urlsafe_b64encode(signed).rstrip(b"=").decode("ascii") == token else None


@functools.lru_cache(maxsize=32)
def _mac(purpose: Purpose, secret: str) -> hmac.HMAC:
    """The keyed HMAC of a purpose, ready to be copied: keying it costs more than the rest of a token."""
    key = hmac.digest(secret.encode(), b"subscribers.tokens." + purpose.encode(), hashlib.sha256)
    return hmac.new(key, digestmod=hashlib.sha256)
