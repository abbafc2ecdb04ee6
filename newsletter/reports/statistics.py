"""Statistics: what is known about the mails of a send, read from its counters."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from django.db.models import Count, OuterRef, Subquery
from django.utils.translation import gettext as _

from newsletter.events.statistics import FAILED_AFTER_ACCEPTANCE
from newsletter.models import (
    Batch,
    BatchState,
    CountScope,
    Delivery,
    DeliveryState,
    Event,
    EventState,
    EventType,
    Send,
    SendCount,
)
from newsletter.models.reasons import reason_sentence
from newsletter.models.send_count import AUDIENCE, EVENT, FAILED_ANYWHERE, REACHED, RETRIABLE, STATE

#: The most reasons of one result that a report lists.
MAX_REASONS = 20

#: Deliveries of which the words about a reason are compared.
EXAMPLES = 1_000


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
        delivered=totals.get(REACHED, 0),
        opened=with_event(EventType.OPENED),
        clicked=with_event(EventType.CLICKED),
        bounced=with_event(EventType.BOUNCED),
        complained=with_event(EventType.COMPLAINED),
        held_batches=held_batches,
    )


def send_totals(sends: Collection[int]) -> dict[int, SendTotals]:
    """The totals of each send that has deliveries, in one query."""
    clicked = f"{EVENT}{EventType.CLICKED.value}"
    return {
        send: SendTotals(totals[AUDIENCE], totals.get(REACHED, 0), totals.get(clicked, 0))
        for send, totals in SendCount.objects.totals(sends).items()
        if totals.get(AUDIENCE)
    }


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """Why deliveries were skipped or failed, or have an unknown outcome. `state` is a label."""

    state: str
    sentence: str
    count: int


def reasons_of(send: Send) -> list[ReasonCount]:
    """Why deliveries were skipped or failed, or have an unknown outcome, the most frequent reason first."""
    return sorted([*_reasons_of_sending(send), *_reasons_of_events(send)], key=lambda row: -row.count)


def _reasons_of_sending(send: Send) -> Iterator[ReasonCount]:
    """One row per state and code: the words of a mail server differ for each recipient."""
    for (reason, state), count in SendCount.objects.by_key(send, CountScope.REASON).items():
        low, high = _words_of(send, state, reason)
        if low == high:
            sentence = reason_sentence(reason, {"text": low})
        else:
            example = _("For example: %(text)s") % {"text": high}
            sentence = f"{reason_sentence(reason)} {example}".strip()
        yield ReasonCount(str(DeliveryState(state).label), sentence, count)


def _words_of(send: Send, state: str, reason: str) -> tuple[str, str]:
    """The first and the last of the provider's words about a reason, of the deliveries that the index finds first."""
    found = Delivery.objects.filter(send=send, state=state, reason=reason).exclude(reason="").order_by()
    words = found.values_list("detail", flat=True)[:EXAMPLES]
    return min(words, default=""), max(words, default="")


def _reasons_of_events(send: Send) -> Iterator[ReasonCount]:
    """Why mails failed after they were accepted, as the provider's events say."""
    # Only events that say why: the words of a late delay are not the reason of a failure.
    failures = ("email.failed", "email.suppressed")
    events = Event.objects.filter(
        delivery_id=OuterRef("pk"), state=EventState.APPLIED, superseded_mail="", kind__in=failures
    )
    texts = events.exclude(detail="").order_by("-pk").values("detail")[:1]
    failed = Delivery.objects.filter(FAILED_AFTER_ACCEPTANCE, send=send).order_by().annotate(text=Subquery(texts))
    for is_suppressed, label in ((True, _("Suppressed")), (False, _("Failed"))):
        rows = failed.filter(suppressed_at__isnull=not is_suppressed)
        groups = list(rows.values_list("text").annotate(count=Count("pk")).order_by("-count", "text")[:MAX_REASONS])
        for text, count in groups:
            yield ReasonCount(label, text or _("The provider gave no reason."), count)
        if len(groups) == MAX_REASONS and (rest := rows.count() - sum(count for _text, count in groups)):
            yield ReasonCount(label, _("Other reasons."), rest)
