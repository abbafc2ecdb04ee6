"""A DNS for tests: records by name and type, and names whose servers do not answer."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from newsletter.outbound.dns_lookup import DnsFailed

DOMAIN = "mail.example.org"


def der(kind: int, content: bytes) -> bytes:
    """One DER element."""
    size = len(content).to_bytes(2)
    return bytes([kind, 0x82]) + size + content


def rsa_key(bits: int) -> str:
    """The public key with a modulus of so many bits, as p= has it."""
    modulus = (1 << (bits - 1)) | 1
    inner = der(0x30, der(0x02, modulus.to_bytes(bits // 8 + 1)) + der(0x02, b"\x01\x00\x01"))
    algorithm = der(0x30, der(0x06, bytes.fromhex("2a864886f70d010101")) + b"\x05\x00")
    return base64.b64encode(der(0x30, algorithm + der(0x03, b"\x00" + inner))).decode()


class FakeDns:
    """Answers from `records`: `{"TXT _dmarc.example.org": ["v=DMARC1; p=none"]}`. Remembers what was asked."""

    def __init__(self, records: Mapping[str, list[str]] | None = None) -> None:
        self.records = dict(records or {})
        self.asked: list[str] = []
        self.silent: set[str] = set()

    def __call__(self, name: str, kind: str) -> tuple[str, ...]:
        self.asked.append(f"{kind} {name}")
        if name in self.silent:
            raise DnsFailed(name, kind, "LifetimeTimeout")
        return tuple(self.records.get(f"{kind} {name}", ()))


def complete(**changes: list[str]) -> FakeDns:
    """Everything that Resend asks for, as MX and TXT, and DMARC at the organizational domain."""
    return FakeDns(
        {
            f"MX send.{DOMAIN}": ["10 feedback-smtp.eu-west-1.amazonses.com"],
            f"TXT send.{DOMAIN}": ["v=spf1 include:amazonses.com ~all"],
            "TXT amazonses.com": ["v=spf1 ip4:199.255.192.0/22 -all"],
            f"TXT resend._domainkey.{DOMAIN}": [f"p={rsa_key(2048)}"],
            "TXT _dmarc.example.org": ["v=DMARC1; p=reject; rua=mailto:dmarc@example.org"],
        }
        | changes
    )
