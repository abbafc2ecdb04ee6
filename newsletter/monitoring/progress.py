"""Progress: how far a send has come, how fast it is, and what happened in it.

Recipients are read from the counters of the send; the batches are summed up, in a few queries.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Count, Max, Min, Q, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from newsletter.models import IN_PROGRESS, OPEN_BATCH_STATES, Batch, BatchState, Send, SendState
from newsletter.models.reasons import actor_name, reason_sentence
from newsletter.monitoring.formatting import number
from newsletter.reports.statistics import SendReport, report_of
from newsletter.sending.limits import remaining_of, used_up_limit

#: Seconds over which the rate is measured.
RATE_WINDOW = 60.0

#: Open batches that were attempted and are retried: they wait for the next attempt, or it is being made.
RETRYING = (
    Q(state=BatchState.UNKNOWN)
    | Q(state=BatchState.READY, attempts__gt=0)
    | Q(state=BatchState.CLAIMED, attempts__gt=1)
)

#: What the log says about batches that did not go the usual way, by their state.
BATCH_LOG_SENTENCES = {
    BatchState.HELD: gettext_lazy("Held for review: %(batches)s, %(recipients)s."),
    BatchState.UNKNOWN: gettext_lazy("Without an answer, retried with the same bytes: %(batches)s, %(recipients)s."),
    BatchState.READY: gettext_lazy("Waiting for a retry: %(batches)s, %(recipients)s."),
    BatchState.CLAIMED: gettext_lazy("Being retried: %(batches)s, %(recipients)s."),
    # What is split has no recipients left: its parts have them.
    BatchState.SPLIT: gettext_lazy("Split into smaller batches: %(batches)s."),
    BatchState.REFUSED: gettext_lazy("Refused: %(batches)s, %(recipients)s."),
    BatchState.DROPPED: gettext_lazy("Dropped: %(batches)s, %(recipients)s."),
}

#: The most groups of batches in a log.
MAX_GROUPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A send at one time."""

    report: SendReport
    is_expanded: bool
    """Whether all deliveries exist; until then `report.audience` still grows."""
    retrying: int
    """Mails in batches that are retried. `report` counts them as waiting, in flight or unknown."""
    next_attempt_at: datetime.datetime | None
    """When the first of these batches is posted again; may be in the past."""
    retry_reason: str
    """Why that batch is retried, as a sentence."""
    held: int
    """Mails in held batches, which wait for an event or an operator."""
    rate: float
    """Mails per second that were accepted in the last RATE_WINDOW seconds."""
    seconds_left: float | None
    """None if the send makes no progress, if a sending limit stretches it, or while its audience still grows."""
    is_paced: bool
    """Whether a sending limit of the newsletter does not allow all the rest at once."""

    @property
    def done(self) -> int:
        """Mails with a known outcome."""
        return _done(self.report)

    @property
    def percent(self) -> int | None:
        """The share of `done` in the audience, rounded down: 100 only when all is known. None while it grows."""
        return _percent(self.report) if self.is_expanded else None


def _done(report: SendReport) -> int:
    return report.accepted + report.failed_to_send + report.skipped


def _percent(report: SendReport) -> int:
    return 100 * _done(report) // report.audience if report.audience else 100


def percent_done(send: Send, report: SendReport) -> int | None:
    """As `Progress.percent`, where nothing else of the progress is needed."""
    return _percent(report) if send.expanded_at else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One line of a send's log."""

    at: datetime.datetime
    sentence: str
    by: str = ""
    """The user or step that did it; empty for batches."""


def progress_of(send: Send, *, now: datetime.datetime | None = None) -> Progress:
    """How far the send is, in four queries."""
    now = now or timezone.now()
    report, batches = report_of(send), Batch.objects.filter(send=send)
    window = _rate_window(send, now)
    accepted = Q(state=BatchState.ACCEPTED, finished_at__gt=now - datetime.timedelta(seconds=window))
    sums = batches.aggregate(
        retrying=Sum("recipients", filter=RETRYING),
        held=Sum("recipients", filter=Q(state=BatchState.HELD)),
        recent=Sum("recipients", filter=accepted),
    )
    held, rate = sums["held"] or 0, (sums["recent"] or 0) / window
    left = max(0, report.waiting + report.in_flight + report.unknown - held)
    is_paced = _is_paced(send, report.waiting, now)
    retried = batches.filter(RETRYING).order_by("not_before")
    next_attempt_at, reason, values = retried.values_list("not_before", "reason", "reason_values").first() or (
        None,
        "",
        None,
    )
    return Progress(
        report=report,
        is_expanded=send.expanded_at is not None,
        retrying=sums["retrying"] or 0,
        next_attempt_at=next_attempt_at,
        retry_reason=reason_sentence(reason, values) if reason else "",
        held=held,
        rate=rate,
        seconds_left=None if is_paced else _seconds_left(send, left, rate),
        is_paced=is_paced,
    )


def _rate_window(send: Send, now: datetime.datetime) -> float:
    """RATE_WINDOW, or the seconds since the start where those are fewer."""
    if send.started_at is None:
        return RATE_WINDOW
    return min(RATE_WINDOW, max(1.0, (now - send.started_at).total_seconds()))


def _is_paced(send: Send, waiting: int, now: datetime.datetime) -> bool:
    """Asks the database only if the newsletter has a limit."""
    if send.state != SendState.SENDING or not waiting:
        return False
    remaining = remaining_of(send.issue.newsletter, now)
    return (remaining is not None and remaining < waiting) or used_up_limit(send, now) is not None


def _seconds_left(send: Send, left: int, rate: float) -> float | None:
    if send.state != SendState.SENDING or send.expanded_at is None or not rate:
        return None
    return left / rate


def unfinished_sends() -> list[Send]:
    """Sends that are sending or paused, then those that are scheduled, each in the order of their time."""
    sends = Send.objects.select_related("issue__newsletter").defer("manifest")
    running = sends.filter(state__in=IN_PROGRESS).order_by("started_at", "pk")
    scheduled = sends.filter(state=SendState.SCHEDULED).order_by("scheduled_at", "pk")
    return [*running, *scheduled]


def log_of(send: Send, limit: int = 50) -> list[LogEntry]:
    """What happened, the newest first, `limit` entries at most; two queries."""
    entries = [*_transition_entries(send), *_batch_entries(send)]
    if send.expanded_at:
        entries.append(LogEntry(at=send.expanded_at, sentence=_("The audience has been expanded.")))
    return sorted(entries, key=lambda entry: entry.at, reverse=True)[:limit]


def _transition_entries(send: Send) -> Iterator[LogEntry]:
    for transition in send.transitions.all():
        is_note = transition.source == transition.target
        state = "" if is_note else f"{transition.get_target_display()}."
        sentence = " ".join(part for part in (state, transition.sentence) if part)
        yield LogEntry(at=transition.at, sentence=sentence, by=actor_name(transition.by))


def _batch_entries(send: Send) -> Iterator[LogEntry]:
    """One entry for all batches with the same state and reason: ten thousand refusals must not be as many entries."""
    closed = [state for state in BATCH_LOG_SENTENCES if state not in OPEN_BATCH_STATES]
    groups = (
        Batch.objects.filter(Q(state__in=closed) | RETRYING, send=send)
        .order_by()
        .values("state", "reason", "reason_values")
        .annotate(
            count=Count("pk"),
            mails=Sum("recipients"),
            first=Min("pk"),
            at=Max(Coalesce("finished_at", "last_attempt_at", "first_attempt_at", "not_before")),
        )
        .order_by("-at")[:MAX_GROUPS]
    )
    for group in groups:
        what = BATCH_LOG_SENTENCES[BatchState(group["state"])] % {
            "batches": _batches_in_words(group["count"], group["first"]),
            "recipients": _recipients_in_words(group["mails"]),
        }
        reason = reason_sentence(group["reason"], group["reason_values"]) if group["reason"] else ""
        yield LogEntry(at=group["at"], sentence=f"{what} {reason}".strip())


def _batches_in_words(count: int, first: int) -> str:
    """`batch 28` for one, `3 batches` for more."""
    if count == 1:
        return _("batch %(number)s") % {"number": first}
    return ngettext("%(count)s batch", "%(count)s batches", count) % {"count": number(count)}


def _recipients_in_words(count: int) -> str:
    return ngettext("%(count)s recipient", "%(count)s recipients", count) % {"count": number(count)}
