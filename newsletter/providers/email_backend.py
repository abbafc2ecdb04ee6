"""Django's mail through the provider in force: confirmations, notices, password resets."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from html import escape

from django.conf import settings
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend

from newsletter.providers import get_route
from newsletter.providers.base import Message, MessageRefused, OutcomeKind
from newsletter.providers.throttle import post_message
from subscribers.transactional.outbox import MailBackendError

#: Outcomes after which the same mail may be tried again; the others need a person or a change of the mail.
RETRYABLE = {OutcomeKind.LATER, OutcomeKind.UNKNOWN, OutcomeKind.HALT}


class ProviderEmailBackend(BaseEmailBackend):
    """One mail per recipient through `post_message`; raises MailBackendError unless the provider took it.

    `message.idempotency_key` makes a repeat harmless, `message.tags` come back in receipts; `message.provider_id`
    is set to the provider's id of the mail.
    """

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Send each mail; how many of them the provider accepted for all their recipients."""
        return sum(self._send(message) for message in email_messages)

    def _send(self, email: EmailMessage) -> bool:
        key = getattr(email, "idempotency_key", None) or f"mail:{secrets.token_hex(16)}"
        recipients = email.recipients()
        if not recipients:
            return False
        keys = [key] if len(recipients) == 1 else [f"{key}:{position}" for position in range(len(recipients))]
        try:
            email.provider_id = [  # type: ignore[attr-defined]
                _post(_message(email, recipient), key) for recipient, key in zip(recipients, keys, strict=True)
            ][-1]
        except MailBackendError:
            if not self.fail_silently:
                raise
            return False
        return True


def _post(message: Message, key: str) -> str:
    outcome = post_message(get_route(), message, key=key)
    if outcome.kind is not OutcomeKind.ACCEPTED:
        raise MailBackendError(outcome.reason, permanent=outcome.kind not in RETRYABLE)
    return outcome.ids[0]


def _message(email: EmailMessage, recipient: str) -> Message:
    text = str(email.body)
    try:
        return _built(email, recipient, text)
    except MessageRefused as refusal:
        raise MailBackendError(str(refusal), permanent=True) from refusal


def _built(email: EmailMessage, recipient: str, text: str) -> Message:
    return Message(
        sender=email.from_email,
        to=recipient,
        subject=str(email.subject),
        html=_html(email) or f"<pre>{escape(text)}</pre>",
        text=text,
        reply_to=email.reply_to[0] if email.reply_to else "",
        headers={name: str(value) for name, value in email.extra_headers.items()},
        # Without the name of this installation its receipts would be taken for another's.
        tags={**getattr(email, "tags", {}), "env": settings.ENVIRONMENT},
    )


def _html(email: EmailMessage) -> str:
    alternatives = email.alternatives if isinstance(email, EmailMultiAlternatives) else []
    return next((str(content) for content, mimetype in alternatives if mimetype == "text/html"), "")
