"""Django's mail backend: sends transactional mail, such as confirmations and password resets, through the provider."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Sequence
from html import escape

from django.conf import settings
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend

from newsletter.models import sending_stopped
from newsletter.providers import get_route
from newsletter.providers.base import InvalidMessage, Message, Outcome, OutcomeKind
from newsletter.providers.throttle import post_message
from subscribers.transactional.outbox import MailBackendError

#: Outcomes after which the same mail may be tried again. The others need an operator, or another mail.
RETRYABLE = {OutcomeKind.RETRY_LATER, OutcomeKind.UNKNOWN, OutcomeKind.BLOCKED}

#: Outcomes after which the mail may have been sent. All others say that it was not.
UNCERTAIN = {OutcomeKind.UNKNOWN, OutcomeKind.KEY_CONFLICT}


class ProviderEmailBackend(BaseEmailBackend):
    """Sends one mail per recipient through `post_message`. Raises MailBackendError unless the provider accepts it.

    It reads three attributes of a message: `idempotency_key`, under which a repeat sends no second mail, `tags`,
    which come back in events, and `written_at`, the time in the mail, which a repeat must not change. It sets
    `provider_id` to the provider's id of the mail, and `provider_account` to who accepted it.
    """

    @property
    def key_lifetime(self) -> datetime.timedelta:
        """How long a repeat under the same key sends no second mail. Zero if a provider of the route has no keys.

        A repeat goes to the provider that is available then, which may be another one than before.
        """
        return min(provider.key_lifetime for provider in get_route())

    @property
    def is_stopped(self) -> bool:
        """Whether all sending is stopped: mails wait, and none is claimed."""
        return sending_stopped() is not None

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Send the mails. Returns how many the provider accepted for all their recipients."""
        return sum(self._send(message) for message in email_messages)

    def _send(self, email: EmailMessage) -> bool:
        key = getattr(email, "idempotency_key", None) or f"mail:{secrets.token_hex(16)}"
        recipients = email.recipients()
        if not recipients:
            return False
        keys = [key] if len(recipients) == 1 else [f"{key}:{position}" for position in range(len(recipients))]
        try:
            outcome = [_post(_message(email, recipient), key) for recipient, key in zip(recipients, keys, strict=True)][
                -1
            ]
        except MailBackendError:
            if not self.fail_silently:
                raise
            return False
        email.provider_id = outcome.ids[0]  # type: ignore[attr-defined]
        email.provider_account = outcome.account  # type: ignore[attr-defined]
        return True


def _post(message: Message, key: str) -> Outcome:
    outcome = post_message(get_route(), message, key=key)
    if outcome.kind is not OutcomeKind.ACCEPTED:
        raise MailBackendError(
            outcome.code,
            outcome.detail,
            permanent=outcome.kind not in RETRYABLE,
            may_have_been_sent=outcome.kind in UNCERTAIN,
        )
    return outcome


def _message(email: EmailMessage, recipient: str) -> Message:
    text = str(email.body)
    try:
        return _build(email, recipient, text)
    except InvalidMessage as error:
        raise MailBackendError("invalid_message", str(error), permanent=True) from error


def _build(email: EmailMessage, recipient: str, text: str) -> Message:
    return Message(
        sender=email.from_email,
        to=recipient,
        subject=str(email.subject),
        html=_html(email) or f"<pre>{escape(text)}</pre>",
        text=text,
        reply_to=email.reply_to[0] if email.reply_to else "",
        headers={name: str(value) for name, value in email.extra_headers.items()},
        # Events without the name of this installation count as those of another installation's.
        tags={**getattr(email, "tags", {}), "env": settings.ENVIRONMENT},
        written_at=getattr(email, "written_at", None),
    )


def _html(email: EmailMessage) -> str:
    alternatives = email.alternatives if isinstance(email, EmailMultiAlternatives) else []
    return next((str(content) for content, mimetype in alternatives if mimetype == "text/html"), "")
