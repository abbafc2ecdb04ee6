"""Signed tokens of links that lead on: which edition and link, and with consent which delivery. Never where to.

    version · key id · edition · link · MAC                     the same for all recipients
    version · key id · edition · link · MAC ║ delivery · MAC    with consent; recipients without it share one ending

The first part is made once per edition; the ending is one placeholder, the same in all links of a mail. A first part of
the second version is not valid alone, so that no cut of a link leads anywhere. The delivery is encrypted: its number
does not tell how many there are. Sources: RFC 4648 §5; RFC 2104; Luby and Rackoff 1988 (four rounds).
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac
import struct
from dataclasses import dataclass

from django.conf import settings

#: The first segment of the path. A part of links in mails that were sent: it must never change.
PATH = "l"

#: Versions of a token: one that all recipients share, and one with an ending.
SHARED, PERSONAL = 1, 2

MAC_BYTES, ENDING_MAC_BYTES = 12, 10
ID = struct.Struct(">Q")
HALF = struct.Struct(">I")

#: Characters of the ending: 18 bytes, a multiple of three, so that it can stand behind any first part.
ENDING_LENGTH = (ID.size + ENDING_MAC_BYTES) * 4 // 3

#: Longer ones are not even decoded.
MAX_LENGTH = 100

ROUNDS = 4


@dataclass(frozen=True, slots=True)
class LinkToken:
    """A genuine token. `is_personal` if it has an ending; `delivery` only if that names one."""

    edition: int
    number: int
    is_personal: bool = False
    delivery: int | None = None


class EditionSigner:
    """Signs the links of one edition with the newest key. Create one per batch: keying is slow."""

    def __init__(self, edition: int) -> None:
        self._edition = edition
        self._keys = _keys(settings.SECRET_KEY)

    def url(self, number: int, *, ending: str = "") -> str:
        """The URL of a link. `ending` is that of a delivery, or the token of its placeholder."""
        return f"{settings.SITE_URL}/{PATH}/{self.first_part(number, is_personal=bool(ending))}{ending}"

    def first_part(self, number: int, *, is_personal: bool) -> str:
        """The part that all recipients share. Complete only if it is not personal."""
        version = PERSONAL if is_personal else SHARED
        payload = bytes([version, self._keys.number]) + _varint(self._edition) + _varint(number)
        return _encode(payload + self._keys.mac(b"first", payload)[:MAC_BYTES])

    def ending(self, delivery: int | None) -> str:
        """The ending for a delivery. None: the one for recipients who did not agree, the same for all of them."""
        hidden = self._keys.encrypt(delivery or 0)
        return _encode(hidden + self._keys.mac(b"ending", _varint(self._edition) + hidden)[:ENDING_MAC_BYTES])


def read_token(token: str) -> LinkToken | None:
    """The content of a token that was signed with the secret key or one of its fallbacks; None for all others."""
    if len(token) > MAX_LENGTH or not token.isascii():
        return None
    return _read_shared(token) or _read_personal(token)


def _read_shared(token: str) -> LinkToken | None:
    read = _read_first(token, SHARED)
    return LinkToken(read.edition, read.number) if read else None


def _read_personal(token: str) -> LinkToken | None:
    read = _read_first(token[:-ENDING_LENGTH], PERSONAL)
    ending = _decode(token[-ENDING_LENGTH:])
    if read is None or ending is None or len(ending) != ID.size + ENDING_MAC_BYTES:
        return None
    hidden, mac = ending[: ID.size], ending[ID.size :]
    expected = read.keys.mac(b"ending", _varint(read.edition) + hidden)[:ENDING_MAC_BYTES]
    if not hmac.compare_digest(expected, mac):
        return None
    return LinkToken(read.edition, read.number, is_personal=True, delivery=read.keys.decrypt(hidden) or None)


@dataclass(frozen=True, slots=True)
class _First:
    edition: int
    number: int
    keys: _Keys


def _read_first(text: str, version: int) -> _First | None:
    signed = _decode(text)
    if signed is None or len(signed) < 4 + MAC_BYTES or signed[0] != version:
        return None
    payload, mac = signed[:-MAC_BYTES], signed[-MAC_BYTES:]
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        keys = _keys(secret)
        if keys.number == payload[1] and hmac.compare_digest(keys.mac(b"first", payload)[:MAC_BYTES], mac):
            edition, rest = _read_varint(payload[2:])
            number, rest = _read_varint(rest)
            return _First(edition, number, keys) if not rest else None
    return None


class _Keys:
    """What is derived from one secret. The labels are part of links in mails that were sent: they never change."""

    def __init__(self, secret: str) -> None:
        def derived(label: bytes) -> bytes:
            return hmac.digest(secret.encode(), b"newsletter.engagement.links." + label, hashlib.sha256)

        self.number = derived(b"key id")[0]
        self._macs = {label: hmac.new(derived(label), digestmod=hashlib.sha256) for label in (b"first", b"ending")}
        self._rounds = [hmac.new(derived(b"round %d" % each), digestmod=hashlib.sha256) for each in range(ROUNDS)]

    def mac(self, label: bytes, payload: bytes) -> bytes:
        """The MAC of a payload, for one use."""
        return _mac_of(self._macs[label], payload)

    def encrypt(self, number: int) -> bytes:
        """A number of 64 bits as eight bytes that look random."""
        left, right = divmod(number, 2**32)
        for each in self._rounds:
            left, right = right, left ^ self._round(each, right)
        return ID.pack(left << 32 | right)

    def decrypt(self, hidden: bytes) -> int:
        """The number again."""
        left, right = divmod(int(ID.unpack(hidden)[0]), 2**32)
        for each in reversed(self._rounds):
            left, right = right ^ self._round(each, left), left
        return left << 32 | right

    @staticmethod
    def _round(keyed: hmac.HMAC, half: int) -> int:
        return int(HALF.unpack(_mac_of(keyed, HALF.pack(half))[: HALF.size])[0])


def _mac_of(keyed: hmac.HMAC, payload: bytes) -> bytes:
    mac = keyed.copy()
    mac.update(payload)
    return mac.digest()


@functools.lru_cache(maxsize=16)
def _keys(secret: str) -> _Keys:
    return _Keys(secret)


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes | None:
    """The bytes of canonical unpadded base64url, else None."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    return raw if _encode(raw) == text else None


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; all bytes but the last have the high bit."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _read_varint(raw: bytes) -> tuple[int, bytes]:
    """The number at the start of signed bytes, and what follows it."""
    number = 0
    for place, byte in enumerate(raw):
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, raw[place + 1 :]
    return number, b""
