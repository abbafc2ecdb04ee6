"""One mail of an edition as a provider's bytes, with slots for what differs, and what fills them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from django.conf import settings

from newsletter.models import Edition, Newsletter
from newsletter.providers.base import Message, Provider
from newsletter.rendering import PlaceholderContext, PlaceholderTemplate, as_json_string, placeholder_token
from newsletter.sending.recipients import Recipient
from subscribers.consent.tokens import LinkSigner, Purpose


def batch_key(edition: Edition, first: int, last: int, *, epoch: int) -> str:
    """The idempotency key of a batch's bytes, at most 256 characters.

    It follows from what is sent and to whom: a database that was restored from a backup posts the same batch under the
    same key, and the provider recognises it. The epoch rises only where it is known that nothing was sent, or where an
    operator chose to send again.
    """
    return f"{settings.ENVIRONMENT}:{edition.sha256[:32]}:{first}-{last}:{epoch}"


@lru_cache(maxsize=8)
def message_template(edition_pk: int, sha256: str, provider: Provider) -> PlaceholderTemplate:
    """The edition's message, encoded and split at its slots once per process. `sha256` makes the cache honest."""
    edition = Edition.objects.get(pk=edition_pk, sha256=sha256)
    return PlaceholderTemplate.split(provider.encode(message_of(edition)), edition.nonce, outer=as_json_string)


#: What stands in the slots of a merge field, for one reader; empty where they have no such value. Names of
#: `content.merge_fields.MERGE_FIELDS`.
FIELD_VALUES: dict[str, Callable[[Recipient], str]] = {
    # On one line, whatever an import has brought: a name must not make paragraphs of its own.
    "first_name": lambda reader: " ".join(reader.first_name.split()),
    "email": lambda reader: reader.address,
}


class RecipientValues:
    """Fills the slots for one reader after the other; made once per batch, because keying the signatures costs.

    `merges` is the edition's: for each slot of a merge field its field and fallback.
    """

    def __init__(self, merges: Mapping[str, Mapping[str, str]]) -> None:
        self._unsubscribe = LinkSigner(Purpose.UNSUBSCRIBE)
        self._preferences = LinkSigner(Purpose.PREFERENCES)
        self._merges = merges

    def of(self, reader: Recipient) -> dict[str, str]:
        """The value of every slot of an issue's message."""
        return {
            "to": reader.address,
            "delivery": str(reader.delivery_pk),
            "unsubscribe_url": self._unsubscribe.url(reader.subscription_key),
            "preferences_url": self._preferences.url(reader.subscription_key),
            **merge_values(self._merges, reader),
        }


def merge_values(merges: Mapping[str, Mapping[str, str]], reader: Recipient | None) -> dict[str, str]:
    """What stands in the slots of merge fields: the reader's own value, or the fallback; always that for nobody."""
    return {slot: (reader and _value_of(merge["field"], reader)) or merge["fallback"] for slot, merge in merges.items()}


def _value_of(field: str, reader: Recipient) -> str:
    # An edition may be older than the list of fields: one that is gone leaves its fallback.
    value = FIELD_VALUES.get(field)
    return value(reader) if value else ""


def sample_values(
    newsletter: Newsletter, merges: Mapping[str, Mapping[str, str]], reader: Recipient | None = None
) -> dict[str, str]:
    """What fills the slots of a look or a test: addresses that lead to the public page and change nothing.

    Merge fields show the values of `reader`, or their fallbacks.
    """
    sample = f"{newsletter.web_url}#only-a-sample"
    return {
        "to": reader.address if reader else "reader@example.org",
        "delivery": "0",
        "unsubscribe_url": sample,
        "preferences_url": sample,
        **merge_values(merges, reader),
    }


def message_of(edition: Edition) -> Message:
    """The one message of the edition, with tokens where readers differ. Raises InvalidMessage."""

    def plain(slot: str) -> str:
        return placeholder_token(edition.nonce, slot, PlaceholderContext.PLAIN)

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
