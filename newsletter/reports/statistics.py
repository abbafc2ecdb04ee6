"""Statistics: what is known about an issue's mails, counted from the rows each time and never added up twice."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Q

from newsletter.models import Batch, BatchState, Delivery, DeliveryStatus, Issue


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueReport:
    """Counts of an issue's deliveries; everyone in the audience is in one of the six fields that follow it.

    `delivered`, `bounced`, `complained`, `opened` and `clicked` are readers, each counted once; a reader can be in
    several of them.
    """

    audience: int
    waiting: int
    under_way: int
    accepted: int
    refused: int
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
        """Whether everyone in the audience is in exactly one place (R-115)."""
        parts = self.waiting + self.under_way + self.accepted + self.refused + self.unknown + self.skipped
        return parts == self.audience

    def share(self, count: int) -> float:
        """`count` as a share of the delivered, 0 to 1; 0 while nothing is delivered."""
        return count / self.delivered if self.delivered else 0.0


def report_of(issue: Issue) -> IssueReport:
    """The counts of an issue, in two queries. An issue that has not started has none."""

    def in_status(status: DeliveryStatus) -> Count:
        return Count("pk", filter=Q(status=status))

    def with_fact(name: str) -> Count:
        return Count("pk", filter=Q(**{f"{name}_at__isnull": False}))

    facts = ("delayed", "opened", "clicked", "failed", "suppressed", "bounced", "complained")
    counts = Delivery.objects.filter(edition=issue.edition_id).aggregate(
        audience=Count("pk"),
        waiting=in_status(DeliveryStatus.PENDING),
        under_way=in_status(DeliveryStatus.BATCHED),
        accepted=in_status(DeliveryStatus.ACCEPTED),
        refused=in_status(DeliveryStatus.FAILED),
        unknown=in_status(DeliveryStatus.UNKNOWN),
        skipped=in_status(DeliveryStatus.SKIPPED),
        # A mailbox that takes a mail and returns it later was not reached.
        delivered=Count("pk", filter=Q(delivered_at__isnull=False, bounced_at__isnull=True)),
        **{fact: with_fact(fact) for fact in facts},
    )
    held = Batch.objects.filter(edition=issue.edition_id, state=BatchState.HELD).count()
    return IssueReport(**counts, held_batches=held)


def reasons_of(issue: Issue) -> list[tuple[str, str, int]]:
    """Why deliveries were left out or refused: (status label, reason, how many), the most frequent first."""
    rows = (
        Delivery.objects.filter(edition=issue.edition_id)
        .exclude(reason="")
        .values_list("status", "reason")
        .annotate(count=Count("pk"))
        .order_by("-count", "reason")
    )
    return [(str(DeliveryStatus(status).label), reason, count) for status, reason, count in rows]
