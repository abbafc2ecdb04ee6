"""Resend's webhooks: verifying their signature (Svix) and reading their events.

Sources: Resend's webhook pages, docs.svix.com.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from newsletter.models import EventType
from newsletter.providers.base import MAX_ID_LENGTH, EventRejected, ParsedEvent, SignedEvent, sanitize
from newsletter.providers.bounce_classes import BounceClass
from newsletter.providers.bounces import classify
from newsletter.providers.clicks import ClickFacts

EVENT_TYPES = {
    "email.sent": EventType.SENT,
    "email.delivery_delayed": EventType.DELAYED,
    "email.delivered": EventType.DELIVERED,
    "email.opened": EventType.OPENED,
    "email.clicked": EventType.CLICKED,
    "email.failed": EventType.FAILED,
    "email.suppressed": EventType.SUPPRESSED,
    "email.bounced": EventType.BOUNCED,
    "email.complained": EventType.COMPLAINED,
}

#: Seconds that a webhook's timestamp may differ from our clock, both ways (Svix).
TIMESTAMP_TOLERANCE = 300
SVIX_ID = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
SVIX_TIMESTAMP = re.compile(r"[0-9]{1,12}\Z")
#: What Resend calls bounces that it does not try again, and others. All other types claim nothing.
PERMANENCE = {"Permanent": True, "Transient": False, "Temporary": False}
#: Keys of a bounce that may hold the reply of the mail server.
REPLY_KEYS = ("message", "reason")
#: More signatures in one header are not compared. Svix sends one for each active secret.
MAX_SIGNATURES = 10
#: Events with words of their own: the object in `data` that holds them, and its keys. The first that is set counts.
DETAIL_KEYS = {
    "email.clicked": ("click", ("link",)),
    "email.delivery_delayed": ("delivery_delayed", ("reason", "message")),
    "email.failed": ("failed", ("reason", "message")),
    "email.suppressed": ("suppressed", ("reason", "message")),
}
#: Years that an event can be from. Any other year comes from a wrong clock.
PLAUSIBLE_YEARS = range(2000, 2100)


def verify_signature(secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes) -> SignedEvent:
    """Verify the headers svix-id, svix-timestamp and svix-signature. Raises EventRejected.

    The SDK's check accepts one secret only and ignores the signature's version; this accepts any of `secrets`. An
    invalid entry in the signature list does not hide a valid one.
    """
    event_id, timestamp = headers.get("svix-id", ""), headers.get("svix-timestamp", "")
    if not SVIX_ID.match(event_id) or not SVIX_TIMESTAMP.match(timestamp):
        raise EventRejected("event_headers_invalid")
    now = datetime.datetime.now(datetime.UTC).timestamp()
    if abs(now - int(timestamp)) > TIMESTAMP_TOLERANCE:
        raise EventRejected("event_timestamp_out_of_range")
    signed = f"{event_id}.{timestamp}.".encode() + body
    entries = headers.get("svix-signature", "").split(" ")[:MAX_SIGNATURES]
    signatures = [entry.removeprefix("v1,").encode() for entry in entries if entry.startswith("v1,")]
    expected_signatures = [base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)) for secret in secrets]
    if not any(
        hmac.compare_digest(expected_signature, signature)
        for expected_signature in expected_signatures
        for signature in signatures
    ):
        raise EventRejected("event_signature_mismatch")
    try:
        return SignedEvent(event_id=event_id, body=body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise EventRejected("event_not_utf8") from error


def parse_event(body: str) -> ParsedEvent:
    """Read one event leniently: Resend adds fields and kinds, and its own examples break its own schema.

    Raises EventRejected.
    """
    try:
        event = orjson.loads(body)
        kind, data = str(event["type"]), event.get("data") or {}
        at = datetime.datetime.fromisoformat(str(event["created_at"]))
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise EventRejected("event_unreadable", sanitize(error)) from error
    if not isinstance(data, dict):
        raise EventRejected("event_unreadable", "data is not an object")
    if at.year not in PLAUSIBLE_YEARS:
        raise EventRejected("event_unreadable", f"created_at is in the year {at.year}")
    bounce = read_bounce(data.get("bounce")) if kind == "email.bounced" else None
    # Such bounces do not count as bounces, as at Resend (docs, “Email suppressions”).
    is_suppressed = bounce is not None and bounce.kind is BounceClass.SUPPRESSED
    return ParsedEvent(
        kind=kind[:64],
        event_type=_type_of(kind, bounce.kind if bounce else None),
        at=at if at.tzinfo else at.replace(tzinfo=datetime.UTC),
        provider_id=sanitize(data.get("email_id") or "")[:MAX_ID_LENGTH],
        recipient=_first_recipient(data.get("to")),
        tags=_tags(data.get("tags")),
        bounce=bounce.kind if bounce and not is_suppressed else None,
        is_permanent=bounce.is_permanent if bounce and not is_suppressed else None,
        detail=sanitize(bounce.words if bounce else _detail(kind, data)),
    )


def _type_of(kind: str, bounce: BounceClass | None) -> EventType | None:
    """Bounces that the provider made itself are none, and an automatic reply proves that the mail arrived."""
    if bounce is BounceClass.SUPPRESSED:
        return EventType.SUPPRESSED
    return EventType.DELIVERED if bounce is BounceClass.AUTO_REPLY else EVENT_TYPES.get(kind)


def _first_recipient(to: object) -> str:
    value = to[0] if isinstance(to, list) and to else to
    return value[:320] if isinstance(value, str) else ""


def _tags(tags: object) -> dict[str, str]:
    """Tags come back as an object. Resend's own webhook ingester types them as a list, so both are read."""
    if isinstance(tags, list):
        tags = {str(item.get("name")): item.get("value") for item in tags if isinstance(item, dict)}
    return {str(name): sanitize(value) for name, value in tags.items()} if isinstance(tags, dict) else {}


class Bounce(NamedTuple):
    """A bounce as Resend tells it."""

    kind: BounceClass
    is_permanent: bool | None
    words: str


def read_bounce(bounce: object) -> Bounce:
    """The class of a bounce, what Resend claims, and the words of it. Nothing of it is trusted."""
    if not isinstance(bounce, dict):
        return Bounce(BounceClass.UNKNOWN, None, "")
    codes = bounce.get("diagnosticCode")
    diagnostics = [str(code) for code in codes] if isinstance(codes, list) else [str(codes or "")]
    replies = [str(bounce.get(key) or "") for key in REPLY_KEYS]
    subtype = bounce.get("subType")
    is_permanent = PERMANENCE.get(str(bounce.get("type")))
    kind = classify(
        (*diagnostics, *replies), is_permanent=is_permanent, subtype="" if subtype is None else str(subtype)
    )
    words = dict.fromkeys(text.removeprefix("smtp; ") for text in (*replies, *diagnostics) if text)
    return Bounce(kind, is_permanent, " ".join(words))


def _detail(kind: str, data: Mapping[str, Any]) -> str:
    """What an event of this kind adds: why a mail failed, or which link was clicked."""
    name, keys = DETAIL_KEYS.get(kind, ("", ()))
    part = data.get(name)
    return next((str(part[key]) for key in keys if part.get(key)), "") if isinstance(part, dict) else ""


#: Names of what identifies the device of a recipient, in lower case without separators.
CLIENT_KEYS = {"ip", "ipaddress", "useragent"}


def erase_client(body: str) -> str:
    """A stored event without IP addresses and user agents, such as those of a click; all else stays.

    A body without them is returned as it is, as is an unreadable one.
    """
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    kept = _without_client(event)
    return body if kept == event else orjson.dumps(kept).decode()


def _without_client(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_client(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {name: each for name, each in value.items() if name.lower().replace("_", "") not in CLIENT_KEYS}
    return {name: _without_client(each) for name, each in kept.items()}


def read_click(body: str) -> ClickFacts:
    """The visitor in an event about a click. Events about opens name none, and no event says that it was a machine."""
    try:
        click = orjson.loads(body)["data"]["click"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ClickFacts()
    if not isinstance(click, dict):
        return ClickFacts()
    agent = click.get("userAgent")
    return ClickFacts(
        link=str(click.get("link") or ""),
        ip=str(click.get("ipAddress") or ""),
        agent=agent if isinstance(agent, str) else None,
    )


def strip_click(body: str) -> str:
    """An event without the visitor in it. An unreadable body stays as it is: it says nothing."""
    try:
        event = orjson.loads(body)
        del event["data"]["click"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return body
    return orjson.dumps(event).decode()


def erase_event(body: str, *, is_applied: bool) -> str:
    """A stored event without what it says about a subscriber: kind, times, tags and the kind of a bounce stay.

    Until it is applied, so does the id of the mail. An unreadable body becomes empty.
    """
    try:
        event = orjson.loads(body)
        data = event.get("data") or {}
    except (orjson.JSONDecodeError, AttributeError):
        return ""
    if not isinstance(data, dict):
        return ""
    names = ("created_at",) if is_applied else ("created_at", "email_id")
    kept: dict[str, Any] = {name: data[name] for name in names if isinstance(data.get(name), str)}
    kept["tags"] = _tags(data.get("tags"))
    bounce = data.get("bounce")
    if isinstance(bounce, dict):
        kept["bounce"] = {name: bounce[name] for name in ("type", "subType") if isinstance(bounce.get(name), str)}
    head = {name: event[name] for name in ("type", "created_at") if isinstance(event.get(name), str)}
    return orjson.dumps({**head, "data": kept, "erased": True}).decode()
