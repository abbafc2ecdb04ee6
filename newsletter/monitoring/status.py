"""Status: how far issues are, for a terminal and for programs."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

from newsletter.models import Issue, IssueStatus
from newsletter.monitoring.blockers import blockers_of
from newsletter.monitoring.heartbeat import WorkerState, workers
from newsletter.monitoring.progress import Progress, progress_of
from newsletter.monitoring.wording import counted, duration
from newsletter.sending.auto_pause import warning_of

#: Characters of a progress bar.
BAR = 40


def as_lines(issues: list[Issue]) -> list[str]:
    """A few lines an issue, then one a worker."""
    lines = [line for issue in issues for line in _issue_lines(issue)]
    return [*(lines or ["No issue is scheduled or under way."]), *_worker_lines(workers())]


def as_data(issues: list[Issue]) -> dict[str, Any]:
    """The same for `json.dumps`; times in ISO 8601."""
    return {
        "issues": [_issue_data(issue) for issue in issues],
        "workers": [
            {
                "name": state.name,
                "is_alive": state.is_alive,
                "seconds_since_seen": round(state.age, 1),
                "last_step": state.last_step,
                "queues": None if state.queues is None else sorted(state.queues),
            }
            for state in workers()
        ],
    }


def bar(percent: int | None) -> str:
    """A progress bar in text; empty dots while nobody knows how much it will be."""
    filled = BAR * (percent or 0) // 100
    return f"[{'#' * filled}{'.' * (BAR - filled)}]" + (" …  " if percent is None else f" {percent:>3} %")


def time_left(progress: Progress) -> str:
    """`about 9 min left`; empty if nobody can tell."""
    if progress.seconds_left is None:
        return ""
    return f"about {duration(progress.seconds_left)} left" if progress.seconds_left >= 1 else "done in a moment"


def _issue_lines(issue: Issue) -> Iterator[str]:
    yield f"{issue.newsletter.name}: “{issue.title}” – {issue.get_status_display().lower()}"
    if issue.scheduled_at and issue.status == IssueStatus.SCHEDULED:
        yield f"  goes out {issue.scheduled_at:%Y-%m-%d %H:%M} UTC ({issue.scheduled_zone})"
    if issue.edition_id is None or issue.started_at is None:
        yield ""
        return
    progress = progress_of(issue)
    report = progress.report
    speed = f"{progress.rate:.1f}/s" if issue.status == IssueStatus.SENDING else ""
    facts = (f"{report.accepted:,} of {report.audience:,} accepted", speed, time_left(progress))
    yield f"  {bar(progress.percent)}  {' · '.join(fact for fact in facts if fact)}"
    yield (
        f"  delivered {report.delivered:,} · bounced {report.bounced:,} · retrying {progress.retrying:,} · "
        f"failed {report.refused:,} · not known {report.unknown:,} · left out {report.skipped:,}"
    )
    if issue.hold_reason:
        yield f"  {issue.get_status_display().lower()}: {issue.hold_reason}"
    if warning := warning_of(issue):
        yield f"  warning: {warning}"
    if progress.retry_reason and progress.next_try_at and issue.status == IssueStatus.SENDING:
        yield f"  next try {progress.next_try_at:%H:%M:%S} UTC: {progress.retry_reason}"
    for diagnostic in blockers_of(issue):
        yield f"  does not move: {diagnostic.sentence}"
    if report.held_batches:
        yield f"  {report.held_batches} held: {counted(progress.held, 'reader')} waiting for a receipt or your decision"
    yield ""


def _worker_lines(states: list[WorkerState]) -> Iterator[str]:
    if not states:
        yield "No worker runs. Start one: manage.py worker"
    for state in states:
        seen = f"seen {duration(state.age)} ago" if state.is_alive else f"silent for {duration(state.age)}"
        last_step = f", last step {state.last_step}" if state.last_step else ""
        yield f"Worker {state.name}: {seen}{_queues(state)}{last_step}"


def _queues(state: WorkerState) -> str:
    if state.queues is None or not state.is_alive:
        return ""
    return f", serves {', '.join(sorted(state.queues))}" if state.queues else ", receives no ticks"


def _issue_data(issue: Issue) -> dict[str, Any]:
    data: dict[str, Any] = {
        "newsletter": issue.newsletter.slug,
        "slug": issue.slug,
        "status": issue.status,
        "scheduled_at": _iso(issue.scheduled_at),
        "started_at": _iso(issue.started_at),
        "finished_at": _iso(issue.finished_at),
        "reason": issue.hold_reason,
    }
    if issue.edition_id is None or issue.started_at is None:
        return data
    progress = progress_of(issue)
    names = ("audience", "waiting", "under_way", "accepted", "refused", "unknown", "skipped", "delivered", "bounced")
    return data | {
        **{name: getattr(progress.report, name) for name in names},
        "held_batches": progress.report.held_batches,
        "warning": warning_of(issue),
        "blockers": [diagnostic.sentence for diagnostic in blockers_of(issue)],
        "retrying": progress.retrying,
        "next_try_at": _iso(progress.next_try_at),
        "percent": progress.percent,
        "rate": round(progress.rate, 2),
        "seconds_left": None if progress.seconds_left is None else round(progress.seconds_left),
    }


def _iso(moment: datetime.datetime | None) -> str | None:
    return moment.isoformat() if moment else None
