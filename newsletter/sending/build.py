"""Build: the bytes of a batch for the recipients who may still be mailed, in the transaction that claims it."""

from __future__ import annotations

import datetime
import hashlib
import logging
import uuid
from collections.abc import Iterable
from typing import Any, NamedTuple

import zstandard
from django.utils import timezone

from newsletter.engagement.tokens import EditionSigner
from newsletter.engagement.wrap import VISITOR
from newsletter.models import BATCH_MACHINE, DELIVERY_MACHINE, Batch, BatchState, Delivery, DeliveryState, Reason
from newsletter.models.prepared import PreparedStatement
from newsletter.providers.base import Provider, provider_account
from newsletter.sending.limits import lock_remaining
from newsletter.sending.message import RecipientValues, batch_key, message_template
from newsletter.sending.next_batch import Selected
from newsletter.sending.recipients import AFTER_ATTEMPT, Recipient, recipients_of, with_custom_values
from subscribers.state_machine import InvalidTransition

log = logging.getLogger(__name__)

#: Of zstandard, for bodies whose messages differ in a few values: a third less CPU time than level 1, as small.
COMPRESSION_LEVEL = -1

#: A recipient for whom every edition's message can be built.
SAMPLE_RECIPIENT = Recipient(
    delivery_pk=0, address="recipient@example.org", subscription_key=uuid.UUID(int=0), skip_reason=None
)

SET_BATCHED = PreparedStatement(
    f"""
    UPDATE newsletter_delivery SET state = '{DeliveryState.BATCHED}'
    WHERE id = ANY(%s::bigint[]) AND state IN ({DELIVERY_MACHINE.sql_sources(DeliveryState.BATCHED)})
    """  # noqa: S608 - names of states are ours
)


class Built(NamedTuple):
    """The bytes of a batch and the deliveries of their messages, in the same order."""

    body: bytes
    delivery_pks: list[int]


def build(selected: Selected, provider: Provider, now: datetime.datetime) -> Built | None:
    """Give the batch its bytes for the recipients who may still be mailed; None if there is nothing to post now."""
    batch = selected.batch
    recipients = recipients_of(batch, (DeliveryState.PENDING,), now)
    skip_recipients(
        (recipient for recipient in recipients if recipient.skip_reason), after_attempt=batch.may_be_duplicate
    )
    included = [recipient for recipient in recipients if not recipient.skip_reason]
    if not included:
        _drop(batch, Reason.NO_RECIPIENT_LEFT, now)
        return None
    remaining = lock_remaining(batch, now) if selected.is_limited else None
    most = min(provider.batch_size, len(included) if remaining is None else remaining)
    if most < len(included):
        if most:
            _split(batch, [recipient.delivery_pk for recipient in included], most, provider)
        return None
    messages = build_messages(batch, included, provider)
    if not messages:
        _drop(batch, Reason.CANNOT_BE_BUILT, now)
        return None
    if batch.attempts:
        # Attempted before, and known not to have been sent. Its recipients may differ now, so its bytes may, and other
        # bytes need another key.
        batch.epoch += 1
        batch.key = batch_key(batch.edition, batch.first_delivery, batch.last_delivery, epoch=batch.epoch)
        batch.first_attempt_at = None
    body = provider.join(list(messages.values()))
    stored = payload_columns(body)
    batch.payload, batch.payload_sha256 = stored["payload"], stored["payload_sha256"]
    batch.recipients, batch.provider = len(messages), provider_account(provider)
    built = Built(body, list(messages))
    if SET_BATCHED.execute(built.delivery_pks) != batch.recipients:
        raise InvalidTransition(f"Deliveries of batch {batch.pk} changed after they were read.")
    return built


def payload_columns(body: bytes) -> dict[str, Any]:
    """A body as a batch stores it."""
    return {
        "payload": zstandard.compress(body, COMPRESSION_LEVEL),
        "payload_sha256": hashlib.sha256(body).hexdigest(),
    }


def _drop(batch: Batch, reason: Reason, now: datetime.datetime) -> None:
    BATCH_MACHINE.move_row(batch, BatchState.DROPPED, reason=reason, reason_values=None, finished_at=now)


def _split(batch: Batch, pks: list[int], most: int, provider: Provider) -> None:
    """Smaller batches in place of one that is too large for its provider, or for the newsletter's limit."""
    if most == provider.batch_size:
        runs = [pks[start : start + most] for start in range(0, len(pks), most)]
        reason = Reason.CUT_FOR_PROVIDER
    else:
        runs = [pks[:most], pks[most:]]
        reason = Reason.CUT_FOR_LIMIT
    BATCH_MACHINE.move_row(
        batch, BatchState.SPLIT, reason=reason, reason_values=None, payload=None, finished_at=timezone.now()
    )
    Batch.objects.bulk_create(
        new_part(batch, run, attempts=batch.attempts, not_before=batch.not_before) for run in runs
    )


def new_part(batch: Batch, pks: list[int], **fields: object) -> Batch:
    """A new batch for these neighbouring deliveries of another one, not stored yet."""
    return Batch(
        send_id=batch.send_id,
        edition=batch.edition,
        first_delivery=pks[0],
        last_delivery=pks[-1],
        key=batch_key(batch.edition, pks[0], pks[-1], epoch=1),
        may_be_duplicate=batch.may_be_duplicate,
        may_be_partly_sent=batch.may_be_partly_sent,
        may_be_at_other_provider=batch.may_be_at_other_provider,
        mailbox_provider=batch.mailbox_provider,
        **fields,
    )


def build_messages(batch: Batch, recipients: list[Recipient], provider: Provider) -> dict[int, list[bytes]]:
    """The message of each delivery, encoded and in pieces. A recipient whose message cannot be built fails alone.

    Raises what the template raises if no recipient is the cause.
    """
    template = message_template(batch.edition_id, batch.edition.sha256, provider)
    signer = EditionSigner(batch.edition_id) if VISITOR in template.placeholders else None
    values = RecipientValues(batch.edition.merges, batch.edition.envelope.get("lists"), signer, send_pk=batch.send_id)
    messages, failed = {}, []
    for recipient in with_custom_values(recipients, batch.edition.merges):
        try:
            messages[recipient.delivery_pk] = template.pieces(values.of(recipient))
        except Exception as error:
            if not messages:
                # If not even this recipient's message can be built, the template is the cause.
                template.fill(values.of(SAMPLE_RECIPIENT))
            log.exception("Message cannot be built", extra={"batch": batch.pk, "delivery": recipient.delivery_pk})
            failed.append((recipient.delivery_pk, type(error).__name__))
    for delivery_pk, name in failed:
        one = Delivery.objects.filter(pk=delivery_pk)
        DELIVERY_MACHINE.move(one, DeliveryState.FAILED, reason=Reason.CANNOT_BE_BUILT, detail=name)
    return messages


def skip_recipients(recipients: Iterable[Recipient], *, after_attempt: bool) -> None:
    """Skip the deliveries of recipients who must not be mailed, with their reasons."""
    by_reason: dict[Reason, list[int]] = {}
    for recipient in recipients:
        assert recipient.skip_reason is not None  # noqa: S101 - they were selected by that
        reason = AFTER_ATTEMPT[recipient.skip_reason] if after_attempt else recipient.skip_reason
        by_reason.setdefault(reason, []).append(recipient.delivery_pk)
    for reason, pks in by_reason.items():
        DELIVERY_MACHINE.move(Delivery.objects.filter(pk__in=pks), DeliveryState.SKIPPED, reason=reason)
