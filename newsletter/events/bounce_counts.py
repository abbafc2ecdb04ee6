"""The class under which a bounced delivery counts: each under one, however many events name others."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from django.db.models import QuerySet

from newsletter.models import Event
from newsletter.providers.bounce_classes import BounceClass

#: Classes of what a provider calls a bounce and what is none: an automatic reply proves that the mail arrived.
NO_BOUNCES = (BounceClass.AUTO_REPLY.value, BounceClass.SUPPRESSED.value)


def counted_classes(deliveries: Collection[int] | QuerySet[Any, Any]) -> dict[int, str]:
    """The class of each delivery with a stored bounce, by its key: `counted_class` of those of its present mail."""
    events = Event.objects.filter(delivery_id__in=deliveries, superseded_mail="")
    bounces = events.exclude(bounce="").exclude(bounce__in=NO_BOUNCES)
    found: dict[int, str] = {}
    for key, code in bounces.values_list("delivery_id", "bounce").iterator(chunk_size=5_000):
        if key is not None:
            found[key] = counted_class([code, found.get(key, code)])
    return found


def counted_class(codes: Iterable[str]) -> str:
    """The first in the alphabet, so that the order of events does not matter."""
    return min(codes)
