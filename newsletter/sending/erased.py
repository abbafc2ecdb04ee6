"""Erased recipients: their mails in frozen bytes, which must not be posted again."""

from __future__ import annotations

from collections.abc import Collection

import zstandard
from django.db import transaction
from django.db.models import Exists, OuterRef

from newsletter.models import IN_FLIGHT, Batch, BatchState
from newsletter.providers import erase_from_body
from newsletter.sending.recipients import deliveries_of
from subscribers.models import Subscriber

#: Batches that have bytes. In all other states these are removed.
HAS_BYTES = (BatchState.CLAIMED, BatchState.UNKNOWN, BatchState.HELD)

#: Of zstandard, as for new bodies.
COMPRESSION_LEVEL = -1


def erase_missing(batch: Batch) -> bool:
    """Erase recipients without a subscriber from the bytes of a batch; whether there were any.

    `payload_sha256` stays that of the bytes that were posted.
    """
    in_flight = deliveries_of(batch).filter(state__in=IN_FLIGHT)
    gone = in_flight.filter(~Exists(Subscriber.objects.filter(pk=OuterRef("subscriber_id"))))
    return erase_deliveries(batch.pk, list(gone.values_list("pk", flat=True)))


def erase_deliveries(batch_pk: int, deliveries: Collection[int]) -> bool:
    """Erase the recipients of these deliveries from the bytes of a batch; whether they were in them.

    A worker that is posting has the bytes in memory. After that attempt the same bytes are not posted again, because an
    erased recipient forbids it.
    """
    if not deliveries:
        return False
    with transaction.atomic():
        stored = Batch.objects.select_for_update(of=("self",)).filter(pk=batch_pk, state__in=HAS_BYTES)
        payload = stored.values_list("payload", flat=True).first()
        if payload is None:
            return False
        body = zstandard.decompress(bytes(payload))
        erased = erase_from_body(body, deliveries)
        if erased != body:
            stored.update(payload=zstandard.compress(erased, COMPRESSION_LEVEL))
    return erased != body
