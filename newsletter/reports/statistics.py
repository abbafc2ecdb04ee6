"""Statistics: what is known about the mails of a send, read from its counters."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from newsletter.models import (
    Batch,
    BatchState,
    DeliveryState,
    EventType,
    Send,
    SendCount,
)
from newsletter.models.rates import delivered_of
from newsletter.models.send_count import AUDIENCE, EVENT, FAILED_ANYWHERE, RETRIABLE, STATE, UNSUBSCRIBED


@dataclass(frozen=True, slots=True, kw_only=True)
class SendReport:
    """Counts of a send's deliveries; each recipient of the audience is in one of the six fields that follow it.

    The other fields are recipients, each counted once; a recipient can be in several of them.
    """

    audience: int
    waiting: int
    in_flight: int
    accepted: int
    failed_to_send: int
    """Refused by the provider."""
    unknown: int
    skipped: int
    failed: int
    """Refused by the provider, or accepted and not sent."""
    retriable: int
    """Those of `failed` that an operator may retry."""
    delivered: int
    opened: int
    clicked: int
    bounced: int
    complained: int
    unsubscribed: int
    """By a link of the mail."""
    held_batches: int

    def share(self, count: int) -> float:
        """`count` as a fraction of the delivered, 0 to 1; 0 while nothing is delivered."""
        return count / self.delivered if self.delivered else 0.0


@dataclass(frozen=True, slots=True)
class SendTotals:
    """A send in three numbers."""

    recipients: int = 0
    delivered: int = 0
    clicked: int = 0


def report_of(send: Send) -> SendReport:
    """The counts of a send, in two queries."""
    totals = SendCount.objects.totals([send.pk]).get(send.pk, {})
    held = Batch.objects.filter(send=send, state=BatchState.HELD).count()
    return report_from(totals, held_batches=held)


def report_from(totals: Mapping[str, int], *, held_batches: int) -> SendReport:
    """The report that the totals of a send make."""

    def in_state(state: DeliveryState) -> int:
        return totals.get(f"{STATE}{state.value}", 0)

    def with_event(event_type: EventType) -> int:
        return totals.get(f"{EVENT}{event_type.value}", 0)

    return SendReport(
        audience=totals.get(AUDIENCE, 0),
        waiting=in_state(DeliveryState.PENDING),
        in_flight=in_state(DeliveryState.BATCHED),
        accepted=in_state(DeliveryState.ACCEPTED),
        failed_to_send=in_state(DeliveryState.FAILED),
        unknown=in_state(DeliveryState.UNKNOWN),
        skipped=in_state(DeliveryState.SKIPPED),
        failed=totals.get(FAILED_ANYWHERE, 0),
        retriable=totals.get(RETRIABLE, 0),
        delivered=delivered_of(totals),
        opened=with_event(EventType.OPENED),
        clicked=with_event(EventType.CLICKED),
        bounced=with_event(EventType.BOUNCED),
        complained=with_event(EventType.COMPLAINED),
        unsubscribed=totals.get(UNSUBSCRIBED, 0),
        held_batches=held_batches,
    )


def send_totals(sends: Collection[int]) -> dict[int, SendTotals]:
    """The totals of each send that has deliveries, in one query."""
    clicked = f"{EVENT}{EventType.CLICKED.value}"
    return {
        send: SendTotals(totals[AUDIENCE], delivered_of(totals), totals.get(clicked, 0))
        for send, totals in SendCount.objects.totals(sends).items()
        if totals.get(AUDIENCE)
    }
