"""Applies unused events again: those that fit no delivery, or that were ignored, move back to new ones.

What they say may be of use meanwhile: their delivery exists, or the program can read them. Each decision is recorded
with who made it. Applying an event twice is harmless.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection

from django.db import transaction
from django.utils import timezone

from newsletter.models import EVENT_MACHINE, UNUSED, Event, EventReplay, EventState, EventTally

log = logging.getLogger(__name__)

#: Events per transaction.
CHUNK = 1_000

#: The reason of an event that waits to be applied again; `newsletter.providers.reasons` has the sentence.
APPLIED_AGAIN = "applied_again"


def replay_selected(pks: Collection[int], *, by: str) -> EventReplay:
    """Move these events back to new ones, if they are unused. Raises ValueError for more than CHUNK."""
    if len(pks) > CHUNK:
        raise ValueError(len(pks))
    with transaction.atomic():
        replay = EventReplay.objects.create(by=by[:150], until_event=max(pks, default=0), finished_at=timezone.now())
        unused = Event.objects.filter(pk__in=pks, state__in=UNUSED).exclude(body="")
        moved = _move(list(unused.order_by("pk").select_for_update().values_list("pk", "state", "reason")))
        EventReplay.objects.filter(pk=replay.pk).update(events=moved)
    replay.refresh_from_db()
    return replay


def replay_all(*, by: str, state: str = "", reason: str = "") -> EventReplay:
    """Apply all unused events of a state and of a reason again; empty: of any. A worker moves them."""
    newest = Event.objects.order_by("-pk").values_list("pk", flat=True).first()
    return EventReplay.objects.create(by=by[:150], about_state=state, about_reason=reason, until_event=newest or 0)


def replay_events() -> bool:
    """Move the next events of a replay; whether there was one. A step of the worker."""
    under_way = EventReplay.objects.filter(finished_at__isnull=True).order_by("pk")
    if not under_way.exists():
        return False
    with transaction.atomic():
        replay = under_way.select_for_update(skip_locked=True).first()
        if replay is None:
            return False
        found = list(replay.next_events(CHUNK).select_for_update().values_list("pk", "state", "reason"))
        moved = _move(found)
        is_over = len(found) < CHUNK
        EventReplay.objects.filter(pk=replay.pk).update(
            last_event=found[-1][0] if found else replay.until_event,
            events=replay.events + moved,
            finished_at=timezone.now() if is_over else None,
        )
    if is_over:
        log.info("Events to be applied again", extra={"events": replay.events + moved, "by": replay.by})
    return True


def _move(rows: list[tuple[int, str, str]]) -> int:
    """Move locked events (key, state, reason) back to new ones, and take them off the tally; how many."""
    found = Event.objects.filter(pk__in=[pk for pk, _state, _reason in rows])
    moved = EVENT_MACHINE.move(found, EventState.NEW, reason=APPLIED_AGAIN)
    counts = Counter((state, reason) for _pk, state, reason in rows)
    EventTally.objects.add({key: -count for key, count in counts.items()})
    return moved
