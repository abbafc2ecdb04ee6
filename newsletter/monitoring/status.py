"""Status: how far sends are, for a terminal and for programs. In English, as all output of commands."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import Any

from django.utils import timezone

from newsletter.models import Send, SendState, sending_stopped
from newsletter.monitoring.diagnostic import Severity
from newsletter.monitoring.diagnostics import blockers_of
from newsletter.monitoring.formatting import duration, utc
from newsletter.monitoring.heartbeat import WorkerState, workers
from newsletter.monitoring.installation_diagnostics import stop_diagnostics
from newsletter.monitoring.progress import Progress, progress_of
from newsletter.sending.audience import Audience
from newsletter.sending.audience_words import audience_in_words
from newsletter.sending.auto_pause import complaint_warning

#: Characters of a progress bar.
BAR = 40

#: Counts of a report that programs get.
COUNTS = (
    "audience",
    "waiting",
    "in_flight",
    "accepted",
    "failed_to_send",
    "unknown",
    "skipped",
    "delivered",
    "bounced",
    "held_batches",
)


def as_lines(sends: Sequence[Send], *, without_sends: str = "No send is scheduled or running.") -> list[str]:
    """A few lines per send, or `without_sends`, then one per worker."""
    lines = [line for send in sends for line in _send_lines(send)]
    return [*_stop_lines(), *(lines or [without_sends]), *_worker_lines(workers())]


def as_data(sends: Sequence[Send]) -> dict[str, Any]:
    """The same for `json.dumps`. Times are in ISO 8601."""
    return {
        "sending_stopped": _stop_data(),
        "sends": [_send_data(send) for send in sends],
        "workers": [
            {
                "name": state.name,
                "is_alive": state.is_alive,
                "heartbeat_age_seconds": round(state.age, 1),
                "last_step": state.last_step,
                "queues": None if state.queues is None else sorted(state.queues),
            }
            for state in workers()
        ],
    }


def _stop_lines() -> Iterator[str]:
    for diagnostic in stop_diagnostics():
        yield f"{diagnostic.sentence} {diagnostic.advice}"


def _stop_data() -> dict[str, Any] | None:
    """Why all sending is stopped; None if it is not."""
    stop = sending_stopped()
    return {"reason": stop.reason, "sentence": stop.sentence, "by": stop.by, "at": _iso(stop.at)} if stop else None


def bar(percent: int | None) -> str:
    """A progress bar in text; empty while the size of the audience is unknown."""
    filled = BAR * (percent or 0) // 100
    return f"[{'#' * filled}{'.' * (BAR - filled)}]" + (" …  " if percent is None else f" {percent:>3} %")


def time_left(progress: Progress) -> str:
    """`about 9 min left`; empty if it is not known."""
    if progress.seconds_left is None:
        return ""
    return f"about {duration(progress.seconds_left)} left" if progress.seconds_left >= 1 else "less than 1 s left"


def _send_lines(send: Send) -> Iterator[str]:
    yield f"{send.issue.newsletter.name}: “{send.issue.title}” – {send.get_state_display()}"
    if send.scheduled_at and send.state == SendState.SCHEDULED:
        yield f"  starts {utc(send.scheduled_at)} ({send.scheduled_zone})"
    yield f"  audience: {' '.join(audience_in_words(Audience.of_send(send)))}"
    if send.hold_reason:
        yield f"  {'on hold' if send.state == SendState.SCHEDULED else send.state}: {send.hold_sentence}"
    if send.started_at is not None:
        yield from _progress_lines(send, progress_of(send))
    yield ""


def _progress_lines(send: Send, progress: Progress) -> Iterator[str]:
    report = progress.report
    speed = f"{progress.rate:.1f} per second" if send.state == SendState.SENDING else ""
    parts = (f"{report.accepted:,} of {report.audience:,} accepted", speed, time_left(progress))
    yield f"  {bar(progress.percent)}  {' · '.join(part for part in parts if part)}"
    yield (
        f"  delivered {report.delivered:,} · bounced {report.bounced:,} · retrying {progress.retrying:,} · "
        f"failed {report.failed:,} · unknown {report.unknown:,} · skipped {report.skipped:,}"
    )
    if send.undo_until and send.undo_until > timezone.now():
        yield f"  undo window: posting starts at {send.undo_until.astimezone(datetime.UTC):%H:%M:%S} UTC"
    if warning := complaint_warning(send):
        yield f"  warning: {warning}"
    if progress.retry_reason and progress.next_attempt_at and send.state == SendState.SENDING:
        at = progress.next_attempt_at.astimezone(datetime.UTC)
        yield f"  next attempt {at:%H:%M:%S} UTC: {progress.retry_reason}"
    for diagnostic in blockers_of(send):
        yield f"  {'paced' if diagnostic.severity is Severity.OK else 'blocked'}: {diagnostic.sentence}"
    if report.held_batches:
        yield f"  held batches {report.held_batches:,} · recipients {progress.held:,}: decide on the report page"


def _worker_lines(states: Sequence[WorkerState]) -> Iterator[str]:
    if not states:
        yield "No worker is running. Start one: manage.py worker"
    for state in states:
        dead = "" if state.is_alive else "dead, "
        last_step = f", last step {state.last_step}" if state.last_step else ""
        yield f"Worker {state.name}: {dead}last heartbeat {duration(state.age)} ago{_queues(state)}{last_step}"


def _queues(state: WorkerState) -> str:
    if state.queues is None or not state.is_alive:
        return ""
    return f", serves {', '.join(sorted(state.queues))}" if state.queues else ", receives no ticks"


def _send_data(send: Send) -> dict[str, Any]:
    data: dict[str, Any] = {
        "newsletter": send.issue.newsletter.slug,
        "issue": send.issue.slug,
        "state": send.state,
        "audience": list(audience_in_words(Audience.of_send(send))),
        "scheduled_at": _iso(send.scheduled_at),
        "started_at": _iso(send.started_at),
        "finished_at": _iso(send.finished_at),
        "hold_reason": send.hold_reason,
        "hold_sentence": send.hold_sentence,
    }
    return data | _progress_data(send, progress_of(send)) if send.started_at else data


def _progress_data(send: Send, progress: Progress) -> dict[str, Any]:
    return {
        **{name: getattr(progress.report, name) for name in COUNTS},
        "complaint_warning": complaint_warning(send),
        "blockers": [diagnostic.sentence for diagnostic in blockers_of(send)],
        "retrying": progress.retrying,
        "retry_reason": progress.retry_reason,
        "next_attempt_at": _iso(progress.next_attempt_at),
        "percent": progress.percent,
        "rate": round(progress.rate, 2),
        "seconds_left": None if progress.seconds_left is None else round(progress.seconds_left),
    }


def _iso(at: datetime.datetime | None) -> str | None:
    return at.isoformat() if at else None
