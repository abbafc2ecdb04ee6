"""Sender and headers of an issue's mails, the same for all recipients except for placeholders."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from newsletter.config.translatable import Translatable, translatable
from newsletter.content.audience import parts_of
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
    lists: dict[str, dict[str, str]] | None = None
    """If the issue is sent to several lists: by primary key, the values of LIST_VALUES for each but the newsletter's
    own, which is under the empty key."""

    def as_json(self) -> dict[str, Any]:
        """As it is stored in the edition."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def envelope_of(issue: Issue, nonce: str, *, names_list: bool = False) -> Envelope:
    """The envelope of an issue whose placeholders use `nonce`. Raises EnvelopeError.

    With `names_list`, List-Id and footer differ by the list through which a recipient gets it.
    """
    newsletter = issue.newsletter
    list_id = placeholder_token(nonce, "list_id", PlaceholderContext.PLAIN) if names_list else list_id_of(newsletter)
    return Envelope(
        sender=sender_of(newsletter),
        reply_to=reply_to_of(newsletter),
        headers=_headers(issue, placeholder_token(nonce, "unsubscribe_url", PlaceholderContext.PLAIN), list_id),
        lists=_values_by_list(issue) if names_list else None,
    )


def list_values(newsletter: Newsletter) -> dict[str, str]:
    """What a mail says about the list through which a recipient gets it."""
    return {"list_id": list_id_of(newsletter), "list_name": newsletter.name, "list_url": newsletter.web_url}


def list_id_of(newsletter: Newsletter) -> str:
    """The value of List-Id (RFC 2919), without the name, so that it stays when the newsletter is renamed."""
    host = urlsplit(settings.SITE_URL).hostname or "localhost"
    return f"{newsletter.list_id}.{host}"


def _values_by_list(issue: Issue) -> dict[str, dict[str, str]]:
    others = [part.mailing_list_id for part in parts_of(issue) if part.mailing_list_id]
    newsletters = Newsletter.objects.filter(pk__in=others).order_by("pk")
    return {"": list_values(issue.newsletter)} | {str(each.pk): list_values(each) for each in newsletters}


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


def _headers(issue: Issue, unsubscribe: str, list_id: str) -> dict[str, str]:
    return {
        # RFC 8058: one https address that a mail program may POST to without asking, and the value that says so.
        "List-Unsubscribe": f"<{unsubscribe}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "List-Id": f"<{list_id}>",
        # Gmail counts complaints per field; the last one names the sender.
        "Feedback-ID": f"issue-{issue.pk}:{issue.newsletter.list_id}:{settings.ENVIRONMENT}:newsletter",
        "Precedence": "bulk",
    }
