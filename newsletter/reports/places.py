"""Places: where each recipient of a send is, in exactly one row, with the reasons. Read from counters."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import OuterRef, QuerySet, Subquery
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from newsletter.events.statistics import PLACES
from newsletter.models import CountScope, Delivery, DeliveryState, Event, EventState, Reason, Send, SendCount
from newsletter.models.reasons import reason_sentence
from newsletter.models.send_count import PLACE, Place

#: Deliveries of which the words about a reason are compared, and the most reasons that are listed of one place.
EXAMPLES, MAX_REASONS = 1_000, 20

#: Those of `skipped` whose send was cancelled: a row of their own.
CANCELLED = "cancelled"


class Group(enum.StrEnum):
    """What a place means for the recipient."""

    DELIVERED = "delivered"
    UNDER_WAY = "under_way"
    NOT_DELIVERED = "not_delivered"


@dataclass(frozen=True, slots=True)
class PlaceWords:
    label: str | Promise
    group: Group
    explanation: str | Promise


_DELIVERED, _UNDER_WAY, _NOT_DELIVERED = Group

#: All places, in the order of the page.
PLACE_WORDS: Mapping[str, PlaceWords] = {
    Place.REACHED: PlaceWords(gettext_lazy("Delivered"), _DELIVERED, gettext_lazy("The mail server took the mail.")),
    Place.COMPLAINED: PlaceWords(
        gettext_lazy("Complained"),
        _DELIVERED,
        gettext_lazy("Delivered, and reported as spam. The address gets no more mail."),
    ),
    DeliveryState.PENDING: PlaceWords(
        gettext_lazy("Pending"), _UNDER_WAY, gettext_lazy("Waits for its turn; nothing was sent yet.")
    ),
    DeliveryState.BATCHED: PlaceWords(gettext_lazy("In progress"), _UNDER_WAY, gettext_lazy("Is being sent.")),
    Place.ACCEPTED: PlaceWords(
        gettext_lazy("Accepted"), _UNDER_WAY, gettext_lazy("The provider has the mail and has not said more yet.")
    ),
    Place.DELAYED: PlaceWords(
        gettext_lazy("Delayed"), _UNDER_WAY, gettext_lazy("The mail server does not take it yet; the provider retries.")
    ),
    DeliveryState.UNKNOWN: PlaceWords(
        gettext_lazy("Unknown"), _UNDER_WAY, gettext_lazy("No answer came, so it may have been sent or not.")
    ),
    Place.BOUNCED: PlaceWords(
        gettext_lazy("Bounced"),
        _NOT_DELIVERED,
        gettext_lazy("The mail server returned it. The kinds are below."),
    ),
    Place.SUPPRESSED: PlaceWords(
        gettext_lazy("Suppressed by the provider"),
        _NOT_DELIVERED,
        gettext_lazy("Accepted, and not sent: the address is on the provider's suppression list."),
    ),
    Place.NOT_SENT: PlaceWords(
        gettext_lazy("Failed after acceptance"), _NOT_DELIVERED, gettext_lazy("The provider could not send it.")
    ),
    DeliveryState.FAILED: PlaceWords(
        gettext_lazy("Failed"), _NOT_DELIVERED, gettext_lazy("The provider refused it, so it was not sent.")
    ),
    CANCELLED: PlaceWords(
        gettext_lazy("Cancelled before it went out"), _NOT_DELIVERED, gettext_lazy("The send was cancelled first.")
    ),
    DeliveryState.SKIPPED: PlaceWords(
        gettext_lazy("Skipped"), _NOT_DELIVERED, gettext_lazy("Not sent: the recipient may no longer be mailed.")
    ),
}

#: States of deliveries whose reasons are counted and shown.
STATES_WITH_REASONS = (DeliveryState.UNKNOWN, DeliveryState.FAILED, DeliveryState.SKIPPED)


#: Places whose deliveries are found without reading all of the send, with the event that a partial index has.
INDEXED_PLACES = {
    Place.BOUNCED: "bounced",
    Place.COMPLAINED: "complained",
    Place.SUPPRESSED: "suppressed",
    Place.NOT_SENT: "failed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonRow:
    """Why recipients are in a place. `count` is None where only examples are known."""

    code: str
    sentence: str
    words: str = ""
    """The provider's own; may name an address."""
    count: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceRow:
    """One place with its recipients. `place` is the code, `label` and `explanation` are words."""

    place: str
    label: str
    explanation: str
    group: Group
    count: int
    reasons: tuple[ReasonRow, ...] = ()


def place_counts(totals: Mapping[str, int], reasons: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """Recipients by place, without empty ones; their sum is the audience. `reasons` are by code and state."""
    counts = {name.removeprefix(PLACE): count for name, count in totals.items() if name.startswith(PLACE) and count}
    if cancelled := reasons.get((Reason.SEND_CANCELLED, DeliveryState.SKIPPED), 0):
        counts[CANCELLED] = cancelled
        counts[DeliveryState.SKIPPED] = counts.get(DeliveryState.SKIPPED, 0) - cancelled
    order = {place: number for number, place in enumerate(PLACE_WORDS)}
    ordered = sorted(counts.items(), key=lambda item: order.get(item[0], len(order)))
    return {str(place): count for place, count in ordered if count}


def reason_counts(send: Send) -> dict[tuple[str, str], int]:
    """Recipients by reason and state of the delivery."""
    return SendCount.objects.by_key(send, CountScope.REASON)


def places_of(send: Send, totals: Mapping[str, int]) -> list[PlaceRow]:
    """All places that are not empty, with their reasons; a bounded query for each reason."""
    reasons = reason_counts(send)
    return [_row(send, place, count, reasons) for place, count in place_counts(totals, reasons).items()]


def _row(send: Send, place: str, count: int, reasons: Mapping[tuple[str, str], int]) -> PlaceRow:
    words = PLACE_WORDS.get(place) or PlaceWords(place, Group.NOT_DELIVERED, "")
    if place in STATES_WITH_REASONS:
        found = _reasons_of_state(send, place, count, reasons)
    elif place in (Place.SUPPRESSED, Place.NOT_SENT):
        found = _reasons_of_events(send, Place(place), count)
    else:
        found = []
    return PlaceRow(
        place=place,
        label=str(words.label),
        explanation=str(words.explanation),
        group=words.group,
        count=count,
        reasons=tuple(found),
    )


def _reasons_of_state(send: Send, state: str, count: int, reasons: Mapping[tuple[str, str], int]) -> list[ReasonRow]:
    """One row per code, the most frequent first: the words of a mail server differ for each recipient."""
    found = [
        ReasonRow(
            code=code, sentence=reason_sentence(code), words=_words_of(send, state, code), count=reasons[code, of]
        )
        for code, of in reasons
        if of == state and code != Reason.SEND_CANCELLED
    ]
    found.sort(key=lambda row: -(row.count or 0))
    if rest := count - sum(row.count or 0 for row in found):
        found.append(ReasonRow(code="", sentence=_("No reason is recorded."), count=rest))
    return found


def _words_of(send: Send, state: str, reason: str) -> str:
    """The provider's words about a reason; an example where the deliveries that the index finds first have several."""
    found = Delivery.objects.filter(send=send, state=state, reason=reason).exclude(reason="").order_by()
    words = list(found.values_list("detail", flat=True)[:EXAMPLES])
    low, high = min(words, default=""), max(words, default="")
    return low if low == high else _("For example: %(text)s") % {"text": high}


def _reasons_of_events(send: Send, place: Place, count: int) -> list[ReasonRow]:
    """Why mails failed after they were accepted, as the provider's events say; without numbers if there are many."""
    # Only events that say why: the words of a late delay are not the reason of a failure.
    kinds = ("email.failed", "email.suppressed")
    events = Event.objects.filter(
        delivery_id=OuterRef("pk"), state=EventState.APPLIED, superseded_mail="", kind__in=kinds
    )
    texts = events.exclude(detail="").order_by("-pk").values("detail")[:1]
    rows = in_place(send, place).order_by().annotate(text=Subquery(texts))
    return _grouped([text or "" for text in rows.values_list("text", flat=True)[:EXAMPLES]], count)


def _grouped(texts: Sequence[str], count: int) -> list[ReasonRow]:
    groups = sorted(Counter(texts).items(), key=lambda group: (-group[1], group[0]))
    is_all, unsaid = len(texts) == count, _("The provider gave no reason.")
    shown = [
        ReasonRow(code="", sentence="" if text else unsaid, words=text, count=number if is_all else None)
        for text, number in groups[:MAX_REASONS]
    ]
    if len(groups) > MAX_REASONS or not is_all:
        rest = sum(number for _text, number in groups[MAX_REASONS:]) if is_all else None
        sentence = _("Other reasons.") if is_all else _("These are examples: there are too many to count.")
        shown.append(ReasonRow(code="", sentence=sentence, count=rest))
    return shown


def in_place(send: Send, place: Place) -> QuerySet[Delivery]:
    """The deliveries in one of the places that an index knows: INDEXED_PLACES."""
    known = {f"{INDEXED_PLACES[place]}_at__isnull": False}
    return Delivery.objects.filter(send=send, **known).alias(place=PLACES).filter(place=place.value)
