"""The mail of an edition, encoded for a provider, with placeholders, and the values that fill them per recipient."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from django.conf import settings

from newsletter.content.merge_fields import MergeField, replace_merge_fields
from newsletter.engagement.link_tables import keep_table
from newsletter.engagement.tokens import EditionSigner
from newsletter.engagement.wrap import VISITOR, wrapped_html
from newsletter.models import Edition, Newsletter
from newsletter.providers.base import EncodesInParts, Message, Provider
from newsletter.rendering import (
    PlaceholderContext,
    PlaceholderTemplate,
    as_json_string,
    placeholder_token,
    token_pattern,
)
from newsletter.rendering.placeholders import in_subject
from newsletter.sending.envelope import list_values
from newsletter.sending.recipients import Recipient, with_custom_values
from subscribers.consent.tokens import LinkSigner, Purpose


def batch_key(edition: Edition, first: int, last: int, *, epoch: int) -> str:
    """The idempotency key of a batch's bytes, at most 256 characters.

    It is derived from the edition and the recipients: a database that was restored from a backup posts the same batch
    under the same key, and the provider recognises it. The epoch rises only if it is proven that the batch was not
    sent, or if an operator chooses to send it again.
    """
    return f"{settings.ENVIRONMENT}:{edition.sha256[:32]}:{first}-{last}:{epoch}"


@lru_cache(maxsize=8)
def message_template(edition_pk: int, sha256: str, provider: Provider) -> PlaceholderTemplate:
    """The edition's message, encoded and split at its placeholders; cached per process by key and `sha256`."""
    edition = Edition.objects.get(pk=edition_pk, sha256=sha256)
    if edition.engagement:
        # Before the first mail leaves: its links work without the database, too.
        keep_table(edition.pk, edition.engagement)
    return encode_template(message_of(edition, html=wrapped_html(edition)), edition.nonce, provider)


def encode_template(message: Message, nonce: str, provider: Provider) -> PlaceholderTemplate:
    """A message with tokens of this nonce, encoded for a provider and split at them. Raises InvalidMessage."""
    if isinstance(provider, EncodesInParts):
        return PlaceholderTemplate.split_parts(provider.encode_parts(message, re.compile(token_pattern(nonce))), nonce)
    return PlaceholderTemplate.split(provider.encode(message), nonce, outer=as_json_string)


#: The value of each built-in merge field (the names of `content.merge_fields.MERGE_FIELDS`) for a recipient; empty if
#: the recipient has none.
FIELD_VALUES: dict[str, Callable[[Recipient], str]] = {
    # On one line: an imported name may contain line breaks, which would start new paragraphs.
    "first_name": lambda recipient: " ".join(recipient.first_name.split()),
    "email": lambda recipient: recipient.address,
}


class RecipientValues:
    """Computes the values of placeholders per recipient. Created once per batch, because keying signers is slow.

    `merges` are those of the edition: the field and the fallback of each placeholder of a merge field. `lists` are
    those of its envelope, if recipients get it through several. `signer` is given if its links tell recipients apart.
    `send_pk` is in the links by which recipients leave, so that the report tells how many did.
    """

    def __init__(
        self,
        merges: Mapping[str, Mapping[str, str]],
        lists: Mapping[str, Mapping[str, str]] | None = None,
        signer: EditionSigner | None = None,
        *,
        send_pk: int | None = None,
    ) -> None:
        self._unsubscribe = LinkSigner(Purpose.UNSUBSCRIBE, send_pk)
        self._preferences = LinkSigner(Purpose.PREFERENCES, send_pk)
        self._merges, self._lists, self._signer = merges, lists, signer

    def of(self, recipient: Recipient) -> dict[str, str]:
        """The value of every placeholder in an issue's message."""
        values = {
            "to": recipient.address,
            "delivery": str(recipient.delivery_pk),
            "unsubscribe_url": self._unsubscribe.url(recipient.subscription_key),
            "preferences_url": self._preferences.url(recipient.subscription_key),
            **merge_values(self._merges, recipient),
        }
        if self._lists:
            values |= self._lists[str(recipient.list_pk or "")]
        if self._signer:
            values[VISITOR] = self._signer.ending(recipient.delivery_pk if recipient.agrees_to_tracking else None)
        return values


def merge_values(merges: Mapping[str, Mapping[str, str]], recipient: Recipient | None) -> dict[str, str]:
    """The value of each placeholder of a merge field: the recipient's, or the fallback if there is none."""
    return {
        placeholder: (recipient and _value_of(merge["field"], recipient)) or merge["fallback"]
        for placeholder, merge in merges.items()
    }


def _value_of(field: str, recipient: Recipient) -> str:
    built_in = FIELD_VALUES.get(field)
    # An old edition may use a custom field that no longer exists: its fallback is shown.
    value = built_in(recipient) if built_in else recipient.values.get(field, "")
    # Nor may a value that cannot be seen leave a subject empty: no provider accepts that.
    return value if value.isprintable() or in_subject(value) else ""


def subject_with(subject: str, merges: Mapping[str, Mapping[str, str]], value_of: Callable[[str], str]) -> str:
    """A subject with what `value_of` gives for the placeholder of each merge field.

    Braces that are no merge field of the edition stay as typed: earlier versions had none in subjects.
    """
    names = {(merge["field"], merge["fallback"]): placeholder for placeholder, merge in merges.items()}

    def merged(field: MergeField) -> str:
        placeholder = names.get((field.name, field.fallback))
        return value_of(placeholder) if placeholder else f"{{{field.name}|{field.fallback}}}"

    return replace_merge_fields(subject, merged)


def filled_subject(subject: str, merges: Mapping[str, Mapping[str, str]], values: Mapping[str, str]) -> str:
    """The subject of one recipient, for previews and test mails. `values` are those of the placeholders."""
    return subject_with(subject, merges, lambda placeholder: in_subject(values[placeholder]))


def sample_values(
    newsletter: Newsletter, merges: Mapping[str, Mapping[str, str]], recipient: Recipient | None = None
) -> dict[str, str]:
    """The values of placeholders in a preview or a test mail: links that lead to the public page and change nothing.

    Merge fields show the values of `recipient`, or their fallbacks.
    """
    sample = f"{newsletter.web_url}#only-a-sample"
    if recipient:
        (recipient,) = with_custom_values([recipient], merges)
    return {
        "to": recipient.address if recipient else "recipient@example.org",
        "delivery": "0",
        "unsubscribe_url": sample,
        "preferences_url": sample,
        **list_values(newsletter),
        **merge_values(merges, recipient),
    }


def message_of(edition: Edition, *, html: str | None = None) -> Message:
    """The message of the edition, with a token at each value that differs by recipient. Raises InvalidMessage.

    `html` is sent instead of the stored HTML part, whose links are plain.
    """

    def plain(placeholder: str) -> str:
        return placeholder_token(edition.nonce, placeholder, PlaceholderContext.PLAIN)

    def in_header(placeholder: str) -> str:
        return placeholder_token(edition.nonce, placeholder, PlaceholderContext.SUBJECT)

    return Message(
        sender=edition.envelope["sender"],
        reply_to=edition.envelope["reply_to"],
        to=plain("to"),
        subject=subject_with(edition.subject, edition.merges, in_header),
        html=edition.html if html is None else html,
        text=edition.text,
        headers=edition.envelope["headers"],
        # Only ids: provider events repeat the tags, which identify the delivery even before the post is answered.
        tags={"delivery": plain("delivery"), "edition": str(edition.pk), "env": settings.ENVIRONMENT},
    )
