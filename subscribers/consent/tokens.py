"""Signed tokens in the links of mails: each is valid for one purpose and one subscription or request.

A token is an opaque payload and 16 bytes of HMAC-SHA256 under a key per purpose, in unpadded base64url. A genuine link
is recognised without the database, even after its subscription was deleted; it reveals nothing about the subscriber.
Links to unsubscribe and to the preferences may also name the mail that they are in, by a number of the sender that is
the same for all its recipients: it is signed with the rest.
Tokens carry no date and no expiry: stored times decide what has expired. Unsubscribe links never expire.
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
#: The number of a mail, between key and signature.
MAIL_REFERENCE = struct.Struct(">I")
#: A confirmation link names the subscription and the request that it answers.
REQUEST_NUMBER = struct.Struct(">I")


class Purpose(enum.StrEnum):
    """The purpose of a link; also the first segment of its path."""

    UNSUBSCRIBE = "unsubscribe"
    PREFERENCES = "preferences"
    CONFIRM = "confirm"
    DECLINE = "decline"
    ACCESS = "access"
    ERASE = "erase"
    CONFIRM_ADDRESS = "confirm-address"
    APPROVE_ADDRESS = "approve-address"
    REFUSE_ADDRESS = "refuse-address"
    STAY = "stay"


#: Purposes whose links may name the mail that they are in.
IN_ISSUES = (Purpose.UNSUBSCRIBE, Purpose.PREFERENCES)


class LinkSigner:
    """Signs links of one purpose, in about 2 µs each. Create one per batch.

    `mail_reference` is the number of the mail that its links are in, of the purposes IN_ISSUES; below 2**32.
    """

    def __init__(self, purpose: Purpose, mail_reference: int | None = None) -> None:
        if mail_reference is not None and purpose not in IN_ISSUES:
            raise ValueError(purpose)
        self._prefix = f"{settings.SITE_URL}/{purpose}/"
        self._mac = _mac(purpose, settings.SECRET_KEY)
        self._ending = b"" if mail_reference is None else MAIL_REFERENCE.pack(mail_reference)

    def url(self, key: uuid.UUID) -> str:
        """The absolute URL for the row with this key: ASCII, below 300 characters."""
        return self._prefix + self.token(key.bytes + self._ending)

    def token_of(self, key: uuid.UUID) -> str:
        """The token of `url`."""
        return self.token(key.bytes + self._ending)

    def token(self, payload: bytes) -> str:
        """The signed token of a payload of at least 16 bytes."""
        mac = self._mac.copy()
        mac.update(payload)
        signed = payload + mac.digest()[:SIGNATURE_BYTES]
        return base64.urlsafe_b64encode(signed).rstrip(b"=").decode("ascii")


def key_fingerprints() -> tuple[str, ...]:
    """What identifies SECRET_KEY, and then each of its fallbacks, without revealing them: 32 hexadecimal digits."""
    return tuple(_fingerprint(secret) for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


def _fingerprint(secret: str) -> str:
    # The label is part of stored fingerprints: it must never change.
    return hmac.digest(secret.encode(), b"subscribers.tokens.fingerprint", hashlib.sha256)[:16].hex()


def unsubscribe_url(key: uuid.UUID) -> str:
    """The unsubscribe page, which also takes the one-click POST of RFC 8058."""
    return LinkSigner(Purpose.UNSUBSCRIBE).url(key)


def preferences_url(key: uuid.UUID) -> str:
    """The preferences page."""
    return LinkSigner(Purpose.PREFERENCES).url(key)


def stay_url(key: uuid.UUID) -> str:
    """The page to keep a subscription: the answer to “Do you still want this newsletter?”."""
    return LinkSigner(Purpose.STAY).url(key)


def decline_url(key: uuid.UUID) -> str:
    """The page to decline a request: “This was not me”."""
    return LinkSigner(Purpose.DECLINE).url(key)


def access_url(request_key: uuid.UUID) -> str:
    """The page with a copy of the subscriber's data. The key is that of a DataRequest."""
    return LinkSigner(Purpose.ACCESS).url(request_key)


def erase_url(request_key: uuid.UUID) -> str:
    """The page to delete the subscriber's data. The key is that of a DataRequest."""
    return LinkSigner(Purpose.ERASE).url(request_key)


def confirm_address_url(change_key: uuid.UUID) -> str:
    """The page in the mail to the new address. The key is that of an AddressChange."""
    return LinkSigner(Purpose.CONFIRM_ADDRESS).url(change_key)


def approve_address_url(change_key: uuid.UUID) -> str:
    """The page in the mail to the old address. The key is that of an AddressChange."""
    return LinkSigner(Purpose.APPROVE_ADDRESS).url(change_key)


def refuse_address_url(change_key: uuid.UUID) -> str:
    """“It was not me”, in both mails about a change of address. The key is that of an AddressChange."""
    return LinkSigner(Purpose.REFUSE_ADDRESS).url(change_key)


def confirm_url(key: uuid.UUID, request_number: int) -> str:
    """The page to confirm the request with this number. A request after this has ended or expired invalidates it."""
    signer = LinkSigner(Purpose.CONFIRM)
    return f"{settings.SITE_URL}/{Purpose.CONFIRM}/{signer.token(key.bytes + REQUEST_NUMBER.pack(request_number))}"


@dataclass(frozen=True, slots=True)
class ConfirmationToken:
    """The content of a genuine confirmation link."""

    key: uuid.UUID
    request_number: int


@dataclass(frozen=True, slots=True)
class LinkToken:
    """The content of a genuine link: the key of its row, and the number of the mail that it is in, if it names one."""

    key: uuid.UUID
    mail_reference: int | None = None


def read_link(purpose: Purpose, token: str) -> LinkToken | None:
    """The content of a genuine token of this purpose. The subscription or request may no longer exist."""
    if payload := _read(purpose, token, KEY_BYTES):
        return LinkToken(uuid.UUID(bytes=payload))
    payload = _read(purpose, token, KEY_BYTES + MAIL_REFERENCE.size) if purpose in IN_ISSUES else None
    if payload is None:
        return None
    (reference,) = MAIL_REFERENCE.unpack(payload[KEY_BYTES:])
    return LinkToken(uuid.UUID(bytes=payload[:KEY_BYTES]), reference)


def read_key(purpose: Purpose, token: str) -> uuid.UUID | None:
    """The key in a genuine token of this purpose."""
    link = read_link(purpose, token)
    return link.key if link else None


def read_confirmation(token: str) -> ConfirmationToken | None:
    """The content of a genuine confirmation token, else None."""
    payload = _read(Purpose.CONFIRM, token, KEY_BYTES + REQUEST_NUMBER.size)
    if not payload:
        return None
    (number,) = REQUEST_NUMBER.unpack(payload[KEY_BYTES:])
    return ConfirmationToken(key=uuid.UUID(bytes=payload[:KEY_BYTES]), request_number=number)


def _read(purpose: Purpose, token: str, size: int) -> bytes | None:
    """The payload, if it is signed with the secret key or one of its fallbacks. Compares in constant time."""
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
    """The bytes of canonical unpadded base64url, else None."""
    if len(token) > 128 or not token.isascii():
        return None
    try:
        signed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    return signed if base64.urlsafe_b64encode(signed).rstrip(b"=").decode("ascii") == token else None


@functools.lru_cache(maxsize=32)
def _mac(purpose: Purpose, secret: str) -> hmac.HMAC:
    """The keyed HMAC of a purpose, to be copied: keying it costs more than the rest of a token."""
    # The label is part of all links in mails that were sent: it must never change.
    key = hmac.digest(secret.encode(), b"subscribers.tokens." + purpose.encode(), hashlib.sha256)
    return hmac.new(key, digestmod=hashlib.sha256)
