"""The recipients behind a number: deliveries of a send in a place, with a reason or with a class of bounce.

Paged by key, and each page reads a bounded number of rows, however many deliveries there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import QuerySet
from django.utils.functional import Promise

from newsletter.events.bounce_counts import counted_classes
from newsletter.models import Delivery, DeliveryState, Event, EventState, Send
from newsletter.models.send_count import Place
from newsletter.reports.places import INDEXED_PLACES, PLACE_WORDS, STATES_WITH_REASONS, in_place
from subscribers.models import Subscriber

PER_PAGE = 50

#: Bounced deliveries that one page reads for a class: it may find fewer than PER_PAGE, and goes on with the next.
READ_FOR_A_CLASS = 2_000


class UnknownSelection(ValueError):
    """There is no list of these recipients: no index finds them."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which recipients. Exactly one of: a place, a state with a reason, or a class of bounces."""

    place: str = ""
    state: str = ""
    reason: str = ""
    bounce: str = ""

    def __post_init__(self) -> None:
        is_place = self.place in set(INDEXED_PLACES)
        is_reason = self.state in set(STATES_WITH_REASONS) and bool(self.reason)
        has_reason = bool(self.state or self.reason)
        if [is_place, is_reason, bool(self.bounce)].count(True) != 1 or (
            [bool(self.place), has_reason, bool(self.bounce)].count(True) != 1
        ):
            raise UnknownSelection

    @property
    def label(self) -> str | Promise:
        """The place or state in words; that of a bounce is its class."""
        if self.place:
            return PLACE_WORDS[self.place].label
        return DeliveryState(self.state).label if self.state else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRecipient:
    """`address` is empty for an erased subscriber; `words` are the provider's."""

    delivery: int
    subscriber: int
    address: str
    words: str


@dataclass(frozen=True, slots=True)
class RecipientPage:
    """`after` is the key with which the next page begins; None on the last page."""

    rows: tuple[ListedRecipient, ...]
    after: int | None


def page_of_recipients(send: Send, selection: Selection, after: int = 0) -> RecipientPage:
    """In the order of the deliveries, those behind `after`."""
    rows = _selected(send, selection).filter(pk__gt=after).order_by("pk")
    if selection.bounce:
        keys, following = _with_bounce(rows, selection.bounce)
    else:
        keys = list(rows.values_list("pk", flat=True)[: PER_PAGE + 1])
        following = keys[PER_PAGE - 1] if len(keys) > PER_PAGE else None
    return RecipientPage(_listed(keys[:PER_PAGE]), following)


def _selected(send: Send, selection: Selection) -> QuerySet[Delivery]:
    if selection.place:
        return in_place(send, Place(selection.place))
    if selection.bounce:
        return Delivery.objects.filter(send=send, bounced_at__isnull=False)
    # An index has deliveries with a reason.
    rows = Delivery.objects.filter(send=send, state=selection.state, reason=selection.reason)
    return rows.exclude(reason="")


def _with_bounce(rows: QuerySet[Delivery], code: str) -> tuple[list[int], int | None]:
    """Those of the next READ_FOR_A_CLASS whose class is `code`, by the same rule as the counters."""
    keys = list(rows.values_list("pk", flat=True)[:READ_FOR_A_CLASS])
    classes = counted_classes(keys)
    found = [key for key in keys if classes.get(key) == code]
    if len(found) > PER_PAGE:
        return found, found[PER_PAGE - 1]
    return found, keys[-1] if len(keys) == READ_FOR_A_CLASS else None


def _listed(keys: list[int]) -> tuple[ListedRecipient, ...]:
    deliveries = Delivery.objects.filter(pk__in=keys).order_by("pk").only("pk", "subscriber_id", "detail")
    rows = list(deliveries)
    addresses = dict(Subscriber.objects.filter(pk__in=[row.subscriber_id for row in rows]).values_list("pk", "address"))
    words = _words_of_events(keys)
    return tuple(
        ListedRecipient(
            delivery=row.pk,
            subscriber=row.subscriber_id,
            address=addresses.get(row.subscriber_id, ""),
            words=row.detail or words.get(row.pk, ""),
        )
        for row in rows
    )


def _words_of_events(keys: list[int]) -> Mapping[int, str]:
    """What the last event that is no click says of each."""
    kinds = ("email.bounced", "email.failed", "email.suppressed", "email.complained")
    events = Event.objects.filter(delivery_id__in=keys, state=EventState.APPLIED, superseded_mail="", kind__in=kinds)
    rows = events.exclude(detail="").order_by("pk").values_list("delivery_id", "detail")
    return {key: detail for key, detail in rows if key is not None}
