"""Rebuilds soft bounces from stored events, as after a change of the classes or a restored backup."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from django.db import transaction
from django.utils import timezone

from newsletter.events.bounces import KEPT, BouncedMail, record_bounces
from newsletter.models import Delivery, Event, EventState, SoftBounce
from newsletter.providers import webhook_providers
from newsletter.providers.base import EventRejected, Provider
from newsletter.providers.bounce_classes import EARLIER_CODES, RecipientEffect, class_of, codes_for
from subscribers.addresses import AddressError, parse_address
from subscribers.models import Subscriber

EVENTS_PER_STATEMENT = 1_000


def rebuild_soft_bounces() -> int:
    """Replace all soft bounces by those of the events that are kept; how many there are then.

    Each of them is decided on again. Bounces that an earlier version called “soft” are of no known class, and left out.
    """
    with transaction.atomic():
        SoftBounce.objects.all().delete()
        for chunk in _chunks():
            record_bounces(_mails_of(chunk))
        return SoftBounce.objects.count()


def _chunks() -> Iterator[list[Event]]:
    kinds = (*codes_for(recipient=RecipientEffect.POINT), *codes_for(recipient=RecipientEffect.SECOND_TIME))
    codes = [code for code in kinds if code not in EARLIER_CODES]
    since = timezone.now() - KEPT
    events = Event.objects.filter(
        bounce__in=codes, state=EventState.APPLIED, delivery_id__isnull=False, received_at__gte=since
    )
    last = 0
    while chunk := list(events.filter(pk__gt=last).order_by("pk")[:EVENTS_PER_STATEMENT]):
        last = chunk[-1].pk
        yield chunk


def _mails_of(events: list[Event]) -> Iterator[BouncedMail]:
    """Their mails. An event that has lost its recipient was about the present address of its subscriber."""
    providers = {provider.name: provider for provider in webhook_providers()}
    keys = [event.delivery_id for event in events if event.delivery_id]
    owners = dict(Delivery.objects.filter(pk__in=keys).values_list("pk", "subscriber_id"))
    addresses = dict(Subscriber.objects.filter(pk__in=set(owners.values())).values_list("pk", "canonical"))
    for event in events:
        kind, present = class_of(event.bounce), addresses.get(owners.get(event.delivery_id or 0, 0), "")
        if kind is None or not present:
            continue
        at, recipient = _facts(providers.get(event.provider), event)
        yield BouncedMail(kind=kind, at=at, canonical=recipient or present, delivery_pk=event.delivery_id)


def _facts(provider: Provider | None, event: Event) -> tuple[datetime.datetime, str]:
    """When it happened, and the canonical address; from the columns if the body cannot be read."""
    try:
        parsed = provider.parse_webhook(event.body) if provider else None
    except EventRejected:
        parsed = None
    if parsed is None:
        return event.received_at, ""
    try:
        return parsed.at, parse_address(parsed.recipient).canonical
    except AddressError:
        return parsed.at, ""
