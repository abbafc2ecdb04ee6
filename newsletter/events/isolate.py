"""Applies events so that one that cannot be applied does not block the others.

Events are applied in chunks, in one transaction each. If that fails, ever smaller chunks are tried, until a single
event is left that fails. It is set aside once another event was applied after it: if none can be applied, the cause is
not in the events, and all of them wait.
"""

from __future__ import annotations

import logging
from typing import Protocol

from django.db import InterfaceError, OperationalError, ProgrammingError, transaction
from django.db.models import QuerySet

from newsletter.events.apply import EVENTS_PER_TRANSACTION
from newsletter.models import EVENT_MACHINE, Event, EventState, EventTally
from newsletter.providers.base import Provider

log = logging.getLogger(__name__)

#: Failures that no event causes: the database is gone, busy or full, or its tables are of another version.
NOT_OF_AN_EVENT = (OperationalError, InterfaceError, ProgrammingError)

#: Events that are set aside in a row before one that is applied. More of them have another cause.
MAX_IN_A_ROW = 20

#: The reason of an event that was set aside; `newsletter.providers.reasons` has the sentence.
REFUSED = "event_refused"


class Apply(Protocol):
    """`apply_events`: applies up to `limit` new events of a provider, the oldest first, in one transaction."""

    def __call__(self, provider: Provider, limit: int = ..., /) -> bool:
        """Whether there may be more."""


def apply_isolated(provider: Provider, apply: Apply) -> bool:
    """Apply a chunk of events; whether there may be more. Raises what `apply` raises if no event can be applied."""
    try:
        return apply(provider)
    except NOT_OF_AN_EVENT:
        raise
    except Exception as error:
        log.warning("Events refused", extra={"provider": provider.name, "error": type(error).__name__})
    size = EVENTS_PER_TRANSACTION
    while size > 1:
        size //= 2
        _try(provider, apply, size)
    # What is left before the refused event are the remainders of the divisions.
    for _ in range(EVENTS_PER_TRANSACTION.bit_length()):
        if not _new(provider).exists():
            return False
        if _try(provider, apply, 1) is not None:
            _set_aside(provider, apply)
            break
    return True


def _try(provider: Provider, apply: Apply, size: int) -> Exception | None:
    """Apply a chunk of this size; the error that an event may have caused."""
    try:
        apply(provider, size)
    except NOT_OF_AN_EVENT:
        raise
    except Exception as error:
        return error
    return None


def _set_aside(provider: Provider, apply: Apply) -> None:
    """Ignore the first new events that cannot be applied, if one after them can be.

    In one transaction: raises the last error, and sets none aside, if there is no such event.
    """
    with transaction.atomic():
        error: Exception | None = None
        for _ in range(MAX_IN_A_ROW):
            pk = _new(provider).select_for_update(skip_locked=True).values_list("pk", flat=True).first()
            if pk is None:
                break
            error = _try(provider, apply, 1)
            if error is None:
                return
            _ignore(pk, error)
        if error is not None:
            raise error


def _ignore(pk: int, error: Exception) -> None:
    ignored = EVENT_MACHINE.move(
        Event.objects.filter(pk=pk), EventState.IGNORED, reason=REFUSED, detail=type(error).__name__
    )
    EventTally.objects.add({(EventState.IGNORED, REFUSED): ignored})
    log.error("Event set aside", extra={"webhook_event": pk, "error": type(error).__name__})


def _new(provider: Provider) -> QuerySet[Event]:
    return Event.objects.filter(provider=provider.name, state=EventState.NEW).order_by("pk")
