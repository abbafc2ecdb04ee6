"""Resend's webhooks: who signed them (Svix's scheme), what they say in our words.

Sources: Resend's webhook pages, docs.svix.com.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from newsletter.models import Fact
from newsletter.providers.base import BounceKind, EventRejected, ParsedEvent, SignedEvent, cleaned

FACTS = {
    "email.sent": Fact.SENT,
    "email.delivery_delayed": Fact.DELAYED,
    "email.delivered": Fact.DELIVERED,
    "email.opened": Fact.OPENED,
    "email.clicked": Fact.CLICKED,
    "email.failed": Fact.FAILED,
    "email.suppressed": Fact.SUPPRESSED,
    "email.bounced": Fact.BOUNCED,
    "email.complained": Fact.COMPLAINED,
}

#: Seconds that a webhook's own time may differ from ours, both ways (Svix).
TOLERANCE = 300
SVIX_ID = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
SVIX_TIMESTAMP = re.compile(r"[0-9]{1,12}\Z")
#: Enhanced status codes about the sender or the message rather than the mailbox (RFC 3463: X.7 policy, X.4 routing).
POLICY_CODE = re.compile(r"(?<![\d.])[45]\.(?:7|4)\.\d{1,3}(?![\d.])")
#: Kinds of permanent bounces that are about the mailbox; others are about the mail, such as its size or content.
MAILBOX_BOUNCES = {"", "General", "NoEmail", "Suppressed", "Undetermined"}
#: Our columns keep this much of a provider's id.
LONGEST_ID = 64
#: Years that an event can be from; a clock that says anything else is wrong.
YEARS = range(2000, 2100)


def verified(secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes) -> SignedEvent:
    """Svix's scheme by hand: the SDK's check takes one secret only and ignores the signature's version.

    Headers svix-id, svix-timestamp, svix-signature. A wrong entry in the list does not hide a right one (R-79).
    Raises EventRejected.
    """
    event_id, timestamp = headers.get("svix-id", ""), headers.get("svix-timestamp", "")
    if not SVIX_ID.match(event_id) or not SVIX_TIMESTAMP.match(timestamp):
        raise EventRejected("The webhook's id or time is missing or malformed.")
    now = datetime.datetime.now(datetime.UTC).timestamp()
    if abs(now - int(timestamp)) > TOLERANCE:
        raise EventRejected("The webhook was signed too long ago, or in the future.")
    signed = f"{event_id}.{timestamp}.".encode() + body
    expected = [base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)) for secret in secrets]
    given = [part[3:] for part in headers.get("svix-signature", "").split(" ")[:10] if part.startswith("v1,")]
    if not any(hmac.compare_digest(good, entry.encode()) for good in expected for entry in given):
        raise EventRejected("The webhook's signature does not match.")
    try:
        return SignedEvent(event_id=event_id, body=body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise EventRejected("The webhook's body is no UTF-8.") from error


def read_event(body: str) -> ParsedEvent:
    """Read one event leniently: Resend adds fields and kinds, and its own examples break its own schema.

    Raises EventRejected.
    """
    try:
        event = orjson.loads(body)
        kind, data = str(event["type"]), event.get("data") or {}
        at = datetime.datetime.fromisoformat(str(event["created_at"]))
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise EventRejected(f"The event cannot be read: {error}") from error
    if not isinstance(data, dict) or at.year not in YEARS:
        raise EventRejected("The event cannot be read: its data is no object, or its time is absurd.")
    bounce, detail = _bounce(data.get("bounce")) if kind == "email.bounced" else (None, _detail(kind, data))
    return ParsedEvent(
        kind=kind[:64],
        fact=FACTS.get(kind),
        at=at if at.tzinfo else at.replace(tzinfo=datetime.UTC),
        provider_id=cleaned(data.get("email_id") or "")[:LONGEST_ID],
        recipient=_first(data.get("to")),
        tags=_tags(data.get("tags")),
        bounce=bounce,
        detail=cleaned(detail),
    )


def _first(to: object) -> str:
    value = to[0] if isinstance(to, list) and to else to
    return value[:320] if isinstance(value, str) else ""


def _tags(tags: object) -> dict[str, str]:
    """Tags come back as an object; Resend's own ingester types them as a list, so both are read."""
    if isinstance(tags, list):
        tags = {str(item.get("name")): item.get("value") for item in tags if isinstance(item, dict)}
    return {str(name): cleaned(value) for name, value in tags.items()} if isinstance(tags, dict) else {}


def _bounce(bounce: object) -> tuple[BounceKind, str]:
    """The kind of a bounce and what was said. Only a permanent one about the mailbox is hard (R-92)."""
    if not isinstance(bounce, dict):
        return BounceKind.SOFT, ""
    codes = bounce.get("diagnosticCode")
    diagnostics = " ".join(str(code) for code in codes) if isinstance(codes, list) else str(codes or "")
    said = f"{bounce.get('message') or ''} {diagnostics}".strip()
    if POLICY_CODE.search(said):
        return BounceKind.POLICY, said
    permanent = bounce.get("type") == "Permanent" and str(bounce.get("subType") or "") in MAILBOX_BOUNCES
    return (BounceKind.HARD if permanent else BounceKind.SOFT), said


def _detail(kind: str, data: Mapping[str, Any]) -> str:
    """The one thing that an event of this kind adds: why it failed, which link was clicked."""
    part = data.get(kind.removeprefix("email."))
    inner = data.get("click") if kind == "email.clicked" else part
    if not isinstance(inner, dict):
        return ""
    return str(inner.get("link") or inner.get("reason") or inner.get("message") or "")
