"""Reads request bodies, and refuses what Resend refuses. Pure.

Rules and messages: Resend's API reference (send email, send batch emails, tags, errors). Unknown fields are ignored,
as by Resend.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import cast

from newsletter.sandbox.options import SandboxOptions
from newsletter.sandbox.refusals import Refusal, refusal
from newsletter.sandbox.time_format import parse_time

MAX_BATCH = 100
MAX_RECIPIENTS = 50
MAX_TAGS = 75
MAX_SCHEDULE_SECONDS = 30 * 24 * 3600
EXAMPLE_DOMAINS = frozenset({"example.com", "test.com"})

# No Unicode local parts, IDN domains in punycode only: Resend refuses both (Anymail's notes on Resend).
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@((?:{_LABEL}\.)+{_LABEL})")
_NAMED_ADDRESS = re.compile(r"[^<>\r\n]*<([^<>\r\n]+)>\s*")
_TAG_PART = re.compile(r"[A-Za-z0-9_-]{1,256}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Mail:
    """One valid mail. Addresses are as in the request, `Name <a@b.c>` or `a@b.c`."""

    sender: str
    to: tuple[str, ...]
    subject: str
    html: str
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    #: Seconds since 1970; None sends immediately.
    scheduled_at: float | None = None

    @property
    def recipients(self) -> list[tuple[str, str]]:
        """(bare address in lower case, field) of each recipient."""
        fields = (("to", self.to), ("cc", self.cc), ("bcc", self.bcc))
        return [(bare_address(address), field) for field, addresses in fields for address in addresses]

    def envelope(self) -> Json:
        """The mail without its contents, for the ledger and the webhooks; tags become an object."""
        return {
            "from": self.sender,
            "to": self.to,
            "cc": self.cc,
            "bcc": self.bcc,
            "reply_to": self.reply_to,
            "subject": self.subject,
            "tags": dict(self.tags),
            "headers": [{"name": name, "value": value} for name, value in self.headers],
        }


def bare_address(address: str) -> str:
    """`Name <Ada@Example.org>` to `ada@example.org`."""
    match = _NAMED_ADDRESS.fullmatch(address)
    return (match[1] if match else address).strip().lower()


def message_id(uid: str) -> str:
    """The Message-ID of the mail with this id."""
    return f"<{uid}@sandbox.invalid>"


def read_batch(body: object) -> list[object]:
    """The items of a batch: 1 to 100."""
    if not isinstance(body, list):
        raise refusal("validation_error", "The request body must be an array of emails.")
    if not body:
        raise refusal("validation_error", "The batch must contain at least one email.")
    if len(body) > MAX_BATCH:
        raise refusal("validation_error", f"The batch must contain at most {MAX_BATCH} emails.")
    return cast("list[object]", body)


def read_mails(
    items: list[object], options: SandboxOptions, now: float, *, permissive: bool
) -> tuple[dict[int, Mail], list[Json]]:
    """Mails by index, and `[{"index", "message"}]` of the invalid ones.

    In strict mode the first invalid item refuses the whole call, without its index, as Resend does.
    """
    mails: dict[int, Mail] = {}
    errors: list[Json] = []
    for index, item in enumerate(items):
        try:
            mails[index] = read_mail(item, options, now)
        except Refusal as error:
            if not permissive:
                raise
            errors.append({"index": index, "message": error.message})
    return mails, errors


def read_mail(item: object, options: SandboxOptions, now: float) -> Mail:
    """One mail. Raises Refusal for the first error."""
    if not isinstance(item, dict):
        raise refusal("validation_error", "Each email must be an object.")
    fields = cast(Json, item)
    for name in ("from", "to", "subject"):
        if fields.get(name) in (None, "", []):
            raise refusal("missing_required_field", f"Missing `{name}` field.")
    mail = Mail(
        sender=_sender(fields, options),
        to=_addresses(fields, "to", options),
        cc=_addresses(fields, "cc", options),
        bcc=_addresses(fields, "bcc", options),
        reply_to=_addresses(fields, "reply_to", options, receives=False),
        subject=_subject(fields),
        html=_contents(fields),
        headers=_headers(fields),
        tags=_tags(fields),
        scheduled_at=_scheduled_at(fields, now),
    )
    _check_attachments(fields)
    _check_topic(fields)
    return mail


def _text(fields: Json, name: str) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise refusal("validation_error", f"The `{name}` field must be a `string`.")
    return value


def _subject(fields: Json) -> str:
    subject = _text(fields, "subject")
    if "\n" in subject or "\r" in subject:
        raise refusal("validation_error", "The `\\n` is not allowed in the `subject` field.")
    return subject


def _contents(fields: Json) -> str:
    """The HTML part; "" if there is a text part only."""
    html, text = _text(fields, "html"), _text(fields, "text")
    if fields.get("template") is not None:
        if html or text:
            raise refusal("validation_error", "`template` cannot be used with `html` or `text`.")
        raise refusal("not_found", "Template not found")
    if not html and not text:
        raise refusal("missing_required_field", "Missing `html` or `text` field.")
    return html


def _domain_of(address: object, field: str) -> str:
    """The domain in lower case. Raises Refusal (422) for an invalid address."""
    if not isinstance(address, str):
        raise refusal("validation_error", f"The `{field}` field must be a `string` or an array of them.")
    match = _NAMED_ADDRESS.fullmatch(address)
    parts = _ADDRESS.fullmatch((match[1] if match else address).strip())
    if not parts or len(parts[1]) > 64 or len(parts[0]) > 254:
        raise refusal(
            "validation_error",
            f"Invalid `{field}` field. The email address needs to follow the `email@example.com` or "
            "`Name <email@example.com>` format.",
        )
    return parts[2].lower()


def _sender(fields: Json, options: SandboxOptions) -> str:
    sender = _text(fields, "from")
    domain = _domain_of(sender, "from")
    if options.verified_domains is not None and domain not in options.verified_domains:
        raise refusal(
            "validation_error",
            f"The `{domain}` domain is not verified. Please, add and verify your domain.",
            status=403,
        )
    return sender


def _addresses(fields: Json, name: str, options: SandboxOptions, *, receives: bool = True) -> tuple[str, ...]:
    """The addresses of a field that holds one or a list; `receives` is False for addresses that get no mail."""
    value = fields.get(name)
    if value is None:
        return ()
    addresses: list[object] = value if isinstance(value, list) else [value]
    if len(addresses) > MAX_RECIPIENTS:
        raise refusal("validation_error", f"The `{name}` field must have at most {MAX_RECIPIENTS} addresses.")
    for address in addresses:
        domain = _domain_of(address, name)
        if receives and options.block_example_domains and domain in EXAMPLE_DOMAINS:
            raise refusal(
                "validation_error",
                f"Invalid `{name}` field. Please use our testing email address instead of domains like `{domain}`.",
            )
    return tuple(cast("list[str]", addresses))


def _headers(fields: Json) -> tuple[tuple[str, str], ...]:
    headers = fields.get("headers")
    if headers is None:
        return ()
    if not isinstance(headers, dict):
        raise refusal("validation_error", "The `headers` field must be an object.")
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise refusal("validation_error", "The `headers` field has an invalid header name.")
        if not isinstance(value, str) or "\n" in value or "\r" in value:
            raise refusal("validation_error", f"The `headers.{name}` field must be a `string` without line breaks.")
    return tuple(headers.items())


def _tags(fields: Json) -> tuple[tuple[str, str], ...]:
    tags = fields.get("tags")
    if tags is None:
        return ()
    if not isinstance(tags, list) or len(tags) > MAX_TAGS:
        raise refusal("validation_error", f"The `tags` field must be an array of at most {MAX_TAGS} tags.")
    return tuple((_tag_part(tag, "name"), _tag_part(tag, "value")) for tag in tags)


def _tag_part(tag: object, part: str) -> str:
    value = tag.get(part) if isinstance(tag, dict) else None
    if not isinstance(value, str):
        raise refusal("validation_error", f"Each tag must have a `{part}` that is a `string`.")
    if not _TAG_PART.fullmatch(value):
        raise refusal(
            "validation_error",
            "Tags should only contain ASCII letters, numbers, underscores, or dashes, and have at most 256 characters.",
        )
    return value


def _scheduled_at(fields: Json, now: float) -> float | None:
    if fields.get("scheduled_at") is None:
        return None
    return read_schedule(_text(fields, "scheduled_at"), now)


def read_schedule(value: str, now: float) -> float:
    """The time of a scheduled mail: in the future, within 30 days."""
    at = parse_time(value, now)
    if at is None:
        raise refusal("validation_error", "The `scheduled_at` field must be a valid date.")
    if at <= now:
        raise refusal("validation_error", "The `scheduled_at` field must be a future date.")
    if at > now + MAX_SCHEDULE_SECONDS:
        raise refusal("validation_error", "The `scheduled_at` field must be within 30 days.")
    return at


def _check_attachments(fields: Json) -> None:
    attachments = fields.get("attachments")
    if attachments is None:
        return
    if not isinstance(attachments, list):
        raise refusal("validation_error", "The `attachments` field must be an array.")
    for attachment in attachments:
        if not isinstance(attachment, dict) or not (attachment.get("content") or attachment.get("path")):
            raise refusal("invalid_attachment")


def _check_topic(fields: Json) -> None:
    topic = fields.get("topic_id")
    if topic is not None and not is_uuid(topic):
        raise refusal("invalid_parameter", "The `topic_id` must be a valid UUID.")


def is_uuid(value: object) -> bool:
    """Whether Resend accepts this as an id."""
    try:
        uuid.UUID(str(value))
    except ValueError:
        return False
    return isinstance(value, str)
