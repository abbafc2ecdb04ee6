"""Sender and headers of an issue's mails, the same for all recipients except for placeholders."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from newsletter.config.translatable import Translatable, translatable
from newsletter.models import Issue, Newsletter
from newsletter.rendering import PlaceholderContext, placeholder_token
from subscribers.addresses import AddressError, parse_address, sender_line


class EnvelopeError(Exception):
    """The newsletter's sender cannot be used in a mail's header; the message names the part and the cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Sender, reply-to and headers; header values may contain placeholder tokens."""

    sender: str
    reply_to: str
    headers: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """As it is stored in the edition."""
        return asdict(self)


def envelope_of(issue: Issue, nonce: str) -> Envelope:
    """The envelope of an issue whose placeholders use `nonce`. Raises EnvelopeError."""
    newsletter = issue.newsletter
    return Envelope(
        sender=sender_of(newsletter),
        reply_to=reply_to_of(newsletter),
        headers=_headers(issue, placeholder_token(nonce, "unsubscribe_url", PlaceholderContext.PLAIN)),
    )


def sender_of(newsletter: Newsletter) -> str:
    """`Name <address>`, refused if the name could forge a header or be taken for an address."""
    try:
        return sender_line(newsletter.sender_name, newsletter.sender_email)
    except AddressError as error:
        problem = Translatable(error.message, values=error.values)
        raise EnvelopeError(translatable("The newsletter has no valid sender. {problem}", problem=problem)) from error


def reply_to_of(newsletter: Newsletter) -> str:
    """Where replies go; empty if they go to the sender."""
    try:
        return parse_address(newsletter.reply_to).as_typed if newsletter.reply_to else ""
    except AddressError as error:
        problem = Translatable(error.message, values=error.values)
        raise EnvelopeError(
            translatable("The newsletter's reply-to address is invalid. {problem}", problem=problem)
        ) from error


def _headers(issue: Issue, unsubscribe: str) -> dict[str, str]:
    host = urlsplit(settings.SITE_URL).hostname or "localhost"
    return {
        # RFC 8058: one https address that a mail program may POST to without asking, and the value that says so.
        "List-Unsubscribe": f"<{unsubscribe}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        # RFC 2919; without the name, so that it stays when the newsletter is renamed.
        "List-Id": f"<{issue.newsletter.list_id}.{host}>",
        # Gmail counts complaints per field; the last one names the sender.
        "Feedback-ID": f"issue-{issue.pk}:{issue.newsletter.list_id}:{settings.ENVIRONMENT}:newsletter",
        "Precedence": "bulk",
    }
