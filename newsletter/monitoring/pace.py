"""Pace: what a running send does now and when it goes on – one answer, so that no page says two things at once."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable
from dataclasses import dataclass

from django.utils import timezone
from django.utils.translation import gettext as _

from newsletter.models import IN_PROGRESS, OPEN_BATCH_STATES, Batch, Send, SendState
from newsletter.monitoring.diagnostic import Diagnostic
from newsletter.monitoring.diagnostics import limit_sentence, problems_of
from newsletter.monitoring.formatting import duration, number
from newsletter.monitoring.progress import Progress
from newsletter.sending.limits import used_up_limit

#: Writes a time as the page does; the time zone is named elsewhere.
Clock = Callable[[datetime.datetime], str]


class PaceKind(enum.StrEnum):
    """What a running send does. The first that applies is shown."""

    PAUSED = "paused"
    UNDOABLE = "undoable"
    """Nothing is posted before the undo window ends."""
    BLOCKED = "blocked"
    """All sending is stopped, no worker runs, or no provider accepts mail."""
    PACED = "paced"
    """A sending limit of the newsletter is used up."""
    RETRYING = "retrying"
    PLANNED = "planned"
    """The next mails have a time of their own, as in each recipient's time zone."""
    EXPANDING = "expanding"
    SENDING = "sending"
    WAITING = "waiting"
    """Nothing holds it back, and no mail was accepted in the last minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """`sentences` are for pages; `goes_on_at` is set where it is known."""

    kind: PaceKind
    sentences: tuple[str, ...]
    goes_on_at: datetime.datetime | None = None


def pace_of(send: Send, progress: Progress, clock: Clock, *, now: datetime.datetime | None = None) -> Pace | None:
    """What the send does now; None if it does not run."""
    now = now or timezone.now()
    if send.state not in IN_PROGRESS:
        return None
    if send.state == SendState.PAUSED:
        return _paused(send)
    if send.undo_until and send.undo_until > now:
        sentence = _("Sending starts at %(time)s, when the start can no longer be undone.")
        return _waits(PaceKind.UNDOABLE, sentence, send.undo_until, clock)
    if problems := problems_of(send):
        return Pace(kind=PaceKind.BLOCKED, sentences=tuple(_in_words(each) for each in problems))
    return _paced(send, progress, clock, now) or _moving(send, progress, clock, now)


def _paused(send: Send) -> Pace:
    if send.waits_for_provider:
        advice = _("It resumes automatically when a provider accepts mail again.")
    else:
        advice = _("Nothing is sent until you resume it.")
    return Pace(kind=PaceKind.PAUSED, sentences=(advice,))


def _paced(send: Send, progress: Progress, clock: Clock, now: datetime.datetime) -> Pace | None:
    limit = used_up_limit(send, now) if progress.is_paced else None
    if limit is None:
        return None
    pace = _waits(PaceKind.PACED, _("Paced: sending goes on at %(time)s."), limit.continues_at, clock)
    return Pace(kind=pace.kind, sentences=(*pace.sentences, limit_sentence(send, limit)), goes_on_at=pace.goes_on_at)


def _moving(send: Send, progress: Progress, clock: Clock, now: datetime.datetime) -> Pace:
    """What it does where nothing stops it."""
    if progress.rate:
        return Pace(kind=PaceKind.SENDING, sentences=_speed(progress, clock, now))
    if progress.retry_reason:
        at = progress.next_attempt_at
        if at and at > now:
            pace = _waits(PaceKind.RETRYING, _("The next attempt is at %(time)s."), at, clock)
        else:
            sentence = _("The next attempt is made as soon as a worker is free.")
            pace = Pace(kind=PaceKind.RETRYING, sentences=(sentence,))
        return Pace(kind=pace.kind, sentences=(*pace.sentences, progress.retry_reason), goes_on_at=pace.goes_on_at)
    if at := next_batch_at(send, now):
        return _waits(PaceKind.PLANNED, _("The next mails are sent at %(time)s, as planned."), at, clock)
    if not progress.is_expanded:
        return Pace(kind=PaceKind.EXPANDING, sentences=(_("The audience is being expanded."),))
    return Pace(kind=PaceKind.WAITING, sentences=(_("No mail was accepted in the last minute."),))


def _speed(progress: Progress, clock: Clock, now: datetime.datetime) -> tuple[str, ...]:
    speed = _("%(rate)s mails per second.") % {"rate": number(round(progress.rate, 1))}
    if progress.is_paced:
        return (speed, _("Paced: the sending limit of the newsletter does not allow all mails at once."))
    if not progress.seconds_left:
        return (speed,)
    at = now + datetime.timedelta(seconds=progress.seconds_left)
    left = _("About %(time)s left, until %(at)s.") % {"time": duration(progress.seconds_left), "at": clock(at)}
    return (speed, left)


def _waits(kind: PaceKind, sentence: str, at: datetime.datetime, clock: Clock) -> Pace:
    return Pace(kind=kind, sentences=(sentence % {"time": clock(at)},), goes_on_at=at)


def _in_words(diagnostic: Diagnostic) -> str:
    return f"{diagnostic.sentence} {diagnostic.advice}".strip()


def next_batch_at(send: Send, now: datetime.datetime) -> datetime.datetime | None:
    """When its first batch may be posted, if that is in the future: the undo window, or the recipients' local time."""
    batches = Batch.objects.filter(send=send, state__in=OPEN_BATCH_STATES).order_by("not_before")
    first = batches.values_list("not_before", flat=True).first()
    return first if first and first > now else None
