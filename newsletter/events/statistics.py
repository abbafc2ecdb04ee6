"""Rebuilding: all counters of a send from its deliveries, events and unsubscribes, as if nothing had been counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.db import connection, transaction
from django.db.models import Case, Count, F, Q, QuerySet, Sum, TextField, Value, When
from django.db.models.expressions import Func

from newsletter.events.bounce_counts import counted_classes
from newsletter.models import (
    IS_DELIVERED,
    CountScope,
    Delivery,
    DeliveryState,
    EventType,
    Reason,
    Send,
    SendCount,
)
from newsletter.models.send_count import (
    AUDIENCE,
    BOUNCED_DELIVERIES,
    EVENT,
    FAILED_ANYWHERE,
    KEPT,
    PLACE,
    REACHED,
    RETRIABLE,
    STATE,
    UNSUBSCRIBED,
    Change,
    Place,
)
from subscribers.models import Consent, ConsentForm, ConsentKind


def _is_known(event_type: EventType) -> Q:
    return Q(**{f"{event_type.value}_at__isnull": False})


def _any(event_types: set[EventType]) -> Q:
    found = Q()
    for event_type in event_types:
        found |= _is_known(event_type)
    return found


#: Accepted mails that the provider could not send, or did not send because of its own suppression list.
FAILED_AFTER_ACCEPTANCE = (
    Q(state=DeliveryState.ACCEPTED, bounced_at__isnull=True, complained_at__isnull=True)
    & (_is_known(EventType.FAILED) | _is_known(EventType.SUPPRESSED))
    & ~IS_DELIVERED
)

_NOT_TRIED_AGAIN = _any(set(EventType) - {EventType.SENT, EventType.DELAYED, EventType.FAILED})

#: Totals by name with what they count. The triggers on the delivery table count the same.
TOTALS = {
    AUDIENCE: Q(pk__isnull=False),
    REACHED: IS_DELIVERED,
    FAILED_ANYWHERE: Q(state=DeliveryState.FAILED) | FAILED_AFTER_ACCEPTANCE,
    RETRIABLE: (
        (Q(state=DeliveryState.FAILED) & ~_any(set(EventType)))
        | (Q(state=DeliveryState.ACCEPTED, failed_at__isnull=False) & ~_NOT_TRIED_AGAIN)
    )
    & ~Q(reason=Reason.OTHER_ADDRESS),
    **{f"{EVENT}{event_type.value}": _is_known(event_type) for event_type in EventType},
    **{f"{STATE}{state.value}": Q(state=state) for state in DeliveryState},
}

#: Where a delivery is shown: in the first place that fits.
PLACES = Case(
    When(~Q(state=DeliveryState.ACCEPTED), then=F("state")),
    When(_is_known(EventType.COMPLAINED), then=Value(Place.COMPLAINED.value)),
    When(IS_DELIVERED, then=Value(Place.REACHED.value)),
    When(_is_known(EventType.BOUNCED), then=Value(Place.BOUNCED.value)),
    When(_is_known(EventType.SUPPRESSED), then=Value(Place.SUPPRESSED.value)),
    When(_is_known(EventType.FAILED), then=Value(Place.NOT_SENT.value)),
    When(_is_known(EventType.DELAYED), then=Value(Place.DELAYED.value)),
    default=Value(Place.ACCEPTED.value),
    output_field=TextField(),
)


class _Hour(Func):
    """A time as the hour in UTC: `2026-11-20T07`."""

    output_field = TextField()
    template = """to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24')"""

    def as_sqlite(self, compiler, connection, **context):  # type: ignore[no-untyped-def]
        # Stored as text, in UTC.
        return self.as_sql(compiler, connection, template="replace(substr(%(expressions)s, 1, 13), ' ', 'T')")


class _Domain(Func):
    """What follows the @ of an address."""

    output_field = TextField()
    template = "split_part(%(expressions)s, '@', 2)"

    def as_sqlite(self, compiler, connection, **context):  # type: ignore[no-untyped-def]
        template = "substr(%(expressions)s, instr(%(expressions)s, '@') + 1)"
        return self.as_sql(compiler, connection, template=template)


Difference = tuple[str, str, str, int, int]
"""Scope, key and name of a counter, with its value before and after."""


def rebuild_statistics(send: Send) -> list[Difference]:
    """Replace all counters of a send; returns those that were wrong.

    Nothing is counted meanwhile: for about a second for a million deliveries.
    The domains of subscribers who were erased are not known any more: they are counted under an empty one.
    """
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                # The counters, too: rows that are being added up elsewhere would come back after they are deleted here.
                cursor.execute("LOCK TABLE newsletter_delivery IN SHARE MODE")
                cursor.execute("LOCK TABLE newsletter_sendcount IN SHARE ROW EXCLUSIVE MODE")
        before = _values(SendCount.objects.filter(send=send))
        # What deliveries no longer say cannot be counted again: it stays.
        kept = _values(SendCount.objects.filter(send=send, writer=KEPT))
        SendCount.objects.filter(send=send).exclude(writer=KEPT).delete()
        counts: Counter[Change] = Counter()
        for scope, key, name, value in _counted(send):
            counts[send.pk, scope.value, key, name] += value
        SendCount.objects.add(counts)
    after = Counter({(scope, key, name): value for (_send, scope, key, name), value in counts.items()})
    after.update(kept)
    values = ((what, before.get(what, 0), after.get(what, 0)) for what in sorted(before.keys() | after.keys()))
    return [(*what, old, new) for what, old, new in values if old != new]


def _values(counters: QuerySet[SendCount]) -> dict[tuple[str, str, str], int]:
    rows = counters.order_by().values_list("scope", "key", "name")
    return {(scope, key, name): value for scope, key, name, value in rows.annotate(total=Sum("value"))}


def _counted(send: Send) -> Iterator[tuple[CountScope, str, str, int]]:
    deliveries = Delivery.objects.filter(send=send).order_by()
    yield from counted_from(deliveries)
    yield from _bounces(deliveries)
    yield from _unsubscribes(send)


def counted_from(deliveries: QuerySet[Delivery]) -> Iterator[tuple[CountScope, str, str, int]]:
    """The counters that these deliveries of one send make, without the classes of bounces: scope, key, name, value."""
    totals = deliveries.aggregate(**{f"c{n}": Count("pk", filter=what) for n, what in enumerate(TOTALS.values())})
    for number, name in enumerate(TOTALS):
        yield CountScope.TOTAL, "", name, totals[f"c{number}"]
    for place, value in _grouped(deliveries.annotate(place=PLACES), "place"):
        yield CountScope.TOTAL, "", f"{PLACE}{place}", value
    for reason, state, value in _grouped(deliveries.exclude(reason=""), "reason", "state"):
        yield CountScope.REASON, reason, state, value
    for event_type in EventType:
        known = deliveries.filter(_is_known(event_type))
        for hour, value in _grouped(known.annotate(hour=_Hour(f"{event_type.value}_at")), "hour"):
            yield CountScope.HOUR, hour, event_type.value, value
        domains = known.annotate(domain=_Domain("subscriber__canonical"))
        by_domain: dict[str, int] = dict(_grouped(domains, "domain"))
        erased = totals[f"c{list(TOTALS).index(f'{EVENT}{event_type.value}')}"] - sum(by_domain.values())
        for domain, value in {**by_domain, "": erased}.items():
            yield CountScope.DOMAIN, domain, event_type.value, value


def _grouped(rows: QuerySet[Any], *names: str) -> Iterator[tuple[Any, ...]]:
    yield from rows.values_list(*names).annotate(count=Count("pk"))


def _unsubscribes(send: Send) -> Iterator[tuple[CountScope, str, str, int]]:
    """Recipients who unsubscribed by a link of the mail. The trigger on the consents counts the same."""
    consents = Consent.objects.filter(mail_reference=send.pk, kind=ConsentKind.UNSUBSCRIBED).order_by()
    answers = consents.filter(form=ConsentForm.UNSUBSCRIBE_REASON)
    for form, value in _grouped(consents.exclude(form=ConsentForm.UNSUBSCRIBE_REASON), "form"):
        yield CountScope.TOTAL, "", UNSUBSCRIBED, value
        yield CountScope.LEFT, form, UNSUBSCRIBED, value
    for reason, value in _grouped(answers.filter(leave_reason__isnull=False), "leave_reason"):
        yield CountScope.LEFT_WHY, reason, UNSUBSCRIBED, value


def _bounces(deliveries: QuerySet[Delivery]) -> Iterator[tuple[CountScope, str, str, int]]:
    """Each delivery under one class of its bounces, as where they are applied."""
    bounced = deliveries.filter(bounced_at__isnull=False).values("pk")
    for code, value in Counter(counted_classes(bounced).values()).items():
        yield CountScope.BOUNCE, code, BOUNCED_DELIVERIES, value
