"""DKIM keys in the DNS (RFC 6376 §3.6.1): a TXT record, or a CNAME to the provider's."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence

from newsletter.config.translatable import translatable
from newsletter.deliverability.findings import WORDS, DnsFinding, Record, Result, Words, finding
from newsletter.deliverability.tag_lists import parse_tags
from newsletter.outbound.dns_lookup import Lookup

#: Verifiers need not accept shorter keys (RFC 8301 §3.2).
MIN_BITS = 1024

WORDS.update(
    dkim_missing=Words(
        Result.ERROR,
        translatable("{name} has no DKIM key, so mails of this domain are not signed for it."),
        translatable("Publish the DKIM record that your provider shows. DKIM_SELECTORS has the selectors."),
    ),
    dkim_revoked=Words(
        Result.ERROR,
        translatable("The DKIM key at {name} is revoked: p= is empty."),
        translatable("Publish the key that your provider shows."),
    ),
    dkim_invalid=Words(
        Result.ERROR,
        translatable("The DKIM key at {name} cannot be read."),
        translatable("Copy the record from your provider again; p= has one long text without spaces."),
    ),
    dkim_short=Words(
        Result.ERROR,
        translatable("The DKIM key at {name} has {bits} bits. Receivers refuse less than 1024."),
        translatable("Create a new key at your provider."),
    ),
    dkim_test=Words(
        Result.WARNING,
        translatable("The DKIM key at {name} has t=y: receivers may treat signed mails as unsigned."),
        translatable("Remove t=y."),
    ),
    dkim_ok=Words(Result.OK, translatable("{name} has a key of {bits} bits, and is aligned.")),
    dkim_ok_ed25519=Words(Result.OK, translatable("{name} has an Ed25519 key, and is aligned.")),
)


def check_dkim(domain: str, selectors: Sequence[str], lookup: Lookup) -> Iterator[DnsFinding]:
    """The finding about each selector. Raises DnsFailed."""
    for selector in selectors:
        name = f"{selector}._domainkey.{domain}"
        records = [text for text in lookup(name, "TXT") if "p" in parse_tags(text)]
        yield _finding_of(name, records[0]) if records else finding(Record.DKIM, "dkim_missing", name=name)


def _finding_of(name: str, text: str) -> DnsFinding:
    tags = parse_tags(text)
    value = "".join(tags["p"].split())
    if not value:
        return finding(Record.DKIM, "dkim_revoked", text, name=name)
    try:
        key = base64.b64decode(value, validate=True)
    except binascii.Error:
        return finding(Record.DKIM, "dkim_invalid", text, name=name)
    is_rsa = tags.get("k", "rsa").lower() == "rsa"
    bits = rsa_bits(key) if is_rsa else 0
    if tags.get("v", "DKIM1") != "DKIM1" or (not bits if is_rsa else len(key) != 32):
        return finding(Record.DKIM, "dkim_invalid", text, name=name)
    if is_rsa and bits < MIN_BITS:
        return finding(Record.DKIM, "dkim_short", text, name=name, bits=bits)
    if "y" in tags.get("t", "").lower().split(":"):
        return finding(Record.DKIM, "dkim_test", text, name=name)
    return finding(Record.DKIM, "dkim_ok", text, name=name, bits=bits) if is_rsa else _ed25519(name, text)


def _ed25519(name: str, text: str) -> DnsFinding:
    return finding(Record.DKIM, "dkim_ok_ed25519", text, name=name)


def rsa_bits(key: bytes) -> int:
    """The length of an RSA key's modulus in bits; 0 if these bytes are no such key.

    The bytes are DER: SEQUENCE { SEQUENCE { … }, BIT STRING { SEQUENCE { INTEGER modulus, INTEGER exponent } } }, or
    only the inner SEQUENCE, as RFC 6376 describes it.
    """
    try:
        kind, outer, _rest = _element(key)
        first_kind, first, rest = _element(outer)
        if first_kind == 0x30:
            _kind, bit_string, _rest = _element(rest)
            kind, inner, _rest = _element(bit_string[1:])
            first_kind, first, _rest = _element(inner)
    except (IndexError, ValueError):
        return 0
    return int.from_bytes(first).bit_length() if (kind, first_kind) == (0x30, 0x02) else 0


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag, content and rest of the first DER element."""
    size, start = data[1], 2
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(data[2:start])
    if len(data) < start + size:
        raise ValueError
    return data[0], data[start : start + size], data[start + size :]
