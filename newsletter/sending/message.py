"""One mail of an edition as a provider's bytes, with slots for what differs.

Imports models, providers, rendering and `subscribers.tokens`.
"""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings

from newsletter.models import Edition
from newsletter.providers.base import Message, Provider
from newsletter.rendering import SlotContext, SlotTemplate, as_json_string, slot_token
from newsletter.sending.readers import Reader
from subscribers.tokens import LinkSigner, Purpose


@lru_cache(maxsize=8)
def message_template(edition_pk: int, sha256: str, provider: Provider) -> SlotTemplate:
    """The edition's message, encoded and split at its slots once per process. `sha256` makes the cache honest."""
    edition = Edition.objects.get(pk=edition_pk, sha256=sha256)
    return SlotTemplate.split(provider.encode(message_of(edition)), edition.nonce, outer=as_json_string)


class ReaderValues:
    """Fills the slots for one reader after the other; made once per batch, because keying the signatures costs."""

    def __init__(self) -> None:
        self._unsubscribe = LinkSigner(Purpose.UNSUBSCRIBE)
        self._preferences = LinkSigner(Purpose.PREFERENCES)

    def of(self, reader: Reader) -> dict[str, str]:
        """The value of every slot of an issue's message."""
        return {
            "to": reader.address,
            "delivery": str(reader.delivery_pk),
            "unsubscribe_url": self._unsubscribe.url(reader.subscription_key),
            "preferences_url": self._preferences.url(reader.subscription_key),
        }


def message_of(edition: Edition) -> Message:
    """The one message of the edition, with tokens where readers differ. Raises MessageRefused."""

    def plain(slot: str) -> str:
        return slot_token(edition.nonce, slot, SlotContext.PLAIN)

    return Message(
        sender=edition.envelope["sender"],
        reply_to=edition.envelope["reply_to"],
        to=plain("to"),
        subject=edition.subject,
        html=edition.html,
        text=edition.text,
        headers=edition.envelope["headers"],
        # Ids only: tags come back in receipts, and lead them to their delivery even before the post is answered.
        tags={"delivery": plain("delivery"), "edition": str(edition.pk), "env": settings.ENVIRONMENT},
    )
