"""Statistics: what is known about the mails of a send, counted from the rows each time and never added up twice."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Q

from newsletter.models import Batch, BatchState, Delivery, DeliveryState, Send
from newsletter.models.reasons import reason_sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class SendReport:
    """Counts of a send's deliveries; each recipient of the audience is in one of the six fields that follow it.

    `delivered`, `bounced`, `complained`, `opened` and `clicked` are recipients, each counted once; a recipient can be
    in several of them.
    """

    audience: int
    waiting: int
    in_flight: int
    accepted: int
    failed_to_send: int
    unknown: int
    skipped: int
    delivered: int
    delayed: int
    opened: int
    clicked: int
    failed: int
    suppressed: int
    bounced: int
    complained: int
    held_batches: int

    @property
    def adds_up(self) -> bool:
        """Whether each recipient is in exactly one place."""
        parts = self.waiting + self.in_flight + self.accepted + self.failed_to_send + self.unknown + self.skipped
        return parts == self.audience

    def share(self, count: int) -> float:
        """`count` as a fraction of the delivered, 0 to 1; 0 while nothing is delivered."""
        return count / self.delivered if self.delivered else 0.0


def report_of(send: Send) -> SendReport:
    """The counts of a send, in two queries."""

    def in_state(state: DeliveryState) -> Count:
        return Count("pk", filter=Q(state=state))

    def with_fact(name: str) -> Count:
        return Count("pk", filter=Q(**{f"{name}_at__isnull": False}))

    facts = ("delayed", "opened", "clicked", "failed", "suppressed", "bounced", "complained")
    counts = Delivery.objects.filter(send=send).aggregate(
        audience=Count("pk"),
        waiting=in_state(DeliveryState.PENDING),
        in_flight=in_state(DeliveryState.BATCHED),
        accepted=in_state(DeliveryState.ACCEPTED),
        failed_to_send=in_state(DeliveryState.FAILED),
        unknown=in_state(DeliveryState.UNKNOWN),
        skipped=in_state(DeliveryState.SKIPPED),
        # A mailbox that takes a mail and returns it later was not reached.
        delivered=Count("pk", filter=Q(delivered_at__isnull=False, bounced_at__isnull=True)),
        **{fact: with_fact(fact) for fact in facts},
    )
    held = Batch.objects.filter(send=send, state=BatchState.HELD).count()
    return SendReport(**counts, held_batches=held)


def reasons_of(send: Send) -> list[tuple[str, str, int]]:
    """Why deliveries were skipped or failed: (label of the state, sentence, how many), the most frequent first."""
    rows = (
        Delivery.objects.filter(send=send)
        .exclude(reason="")
        .values_list("state", "reason", "detail")
        .annotate(count=Count("pk"))
        .order_by("-count", "reason")
    )
    return [
        (str(DeliveryState(state).label), reason_sentence(reason, {"text": detail}), count)
        for state, reason, detail, count in rows
    ]
