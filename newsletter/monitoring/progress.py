"""Progress: how far a send has come, how fast it goes, and what was decided on its way.

Everything is counted from the rows at each look, in a handful of queries whatever the size of the list.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Count, Max, Min, Q, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from newsletter.models import OPEN_BATCH_STATES, Batch, BatchState, Issue, IssueStatus
from newsletter.monitoring.wording import counted
from newsletter.reports.statistics import IssueReport, report_of

#: Seconds over which the rate is measured.
RATE_WINDOW = 60.0

#: Open batches that have been tried before: they wait for their next attempt, or are in it.
RETRYING = (
    Q(state=BatchState.UNKNOWN)
    | Q(state=BatchState.READY, attempts__gt=0)
    | Q(state=BatchState.CLAIMED, attempts__gt=1)
)

#: What a group of batches in each state has to tell; the others go their usual way and say nothing.
TELLING: dict[str, str] = {
    BatchState.HELD: "held for your decision",
    BatchState.UNKNOWN: "not answered; the same bytes are posted again",
    BatchState.READY: "to be tried again",
    BatchState.SPLIT: "split in two to find the message at fault",
    BatchState.REFUSED: "refused",
    BatchState.DROPPED: "dropped",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One look at a send. `rate` is in mails a second over the last minute."""

    report: IssueReport
    is_addressed: bool
    """Whether the whole audience is known by now; until then `report.audience` still grows."""
    retrying: int
    """Mails whose batch has been tried and is tried again. They are also among the waiting or the unknown."""
    next_try_at: datetime.datetime | None
    retry_reason: str
    held: int
    """Mails in batches that wait for a receipt or a person."""
    rate: float
    seconds_left: float | None
    """None if it does not move, or if nobody can tell."""

    @property
    def done(self) -> int:
        """Mails with a known outcome."""
        return self.report.accepted + self.report.refused + self.report.skipped

    @property
    def percent(self) -> int | None:
        """Of the audience, rounded down: 100 only when all is known. None while the audience grows."""
        if not self.is_addressed:
            return None
        return 100 * self.done // self.report.audience if self.report.audience else 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a send's log. `by` is a person or a step, empty where it is a batch that tells."""

    at: datetime.datetime
    sentence: str
    by: str = ""


def progress_of(issue: Issue, *, now: datetime.datetime | None = None) -> Progress:
    """How far it is: four queries. `now` is the moment of the look."""
    now = now or timezone.now()
    report, batches = report_of(issue), Batch.objects.filter(edition=issue.edition_id)
    window = _window(issue, now)
    accepted = Q(state=BatchState.ACCEPTED, finished_at__gt=now - datetime.timedelta(seconds=window))
    sums = batches.aggregate(
        retrying=Sum("recipients", filter=RETRYING),
        held=Sum("recipients", filter=Q(state=BatchState.HELD)),
        lately=Sum("recipients", filter=accepted),
    )
    retry = batches.filter(RETRYING).order_by("not_before").values_list("not_before", "reason").first()
    held, rate = sums["held"] or 0, (sums["lately"] or 0) / window
    return Progress(
        report=report,
        is_addressed=issue.expanded_at is not None,
        retrying=sums["retrying"] or 0,
        next_try_at=retry[0] if retry else None,
        retry_reason=retry[1] if retry else "",
        held=held,
        rate=rate,
        seconds_left=_seconds_left(issue, report, held, rate),
    )


def _window(issue: Issue, now: datetime.datetime) -> float:
    """The seconds that count: a send of ten seconds has no rate of a minute."""
    if issue.started_at is None:
        return RATE_WINDOW
    return min(RATE_WINDOW, max(1.0, (now - issue.started_at).total_seconds()))


def _seconds_left(issue: Issue, report: IssueReport, held: int, rate: float) -> float | None:
    if issue.status != IssueStatus.SENDING or issue.expanded_at is None or not rate:
        return None
    return max(0, report.waiting + report.under_way + report.unknown - held) / rate


def under_way() -> list[Issue]:
    """Issues that are sent or paused, then those that are scheduled, in the order of their time."""
    moving = Issue.objects.filter(status__in=(IssueStatus.SENDING, IssueStatus.PAUSED)).order_by("started_at", "pk")
    scheduled = Issue.objects.filter(status=IssueStatus.SCHEDULED).order_by("scheduled_at", "pk")
    return [issue for issues in (moving, scheduled) for issue in issues.select_related("newsletter")]


def log_of(issue: Issue, limit: int = 50) -> list[Entry]:
    """What was decided and what happened, the newest first, `limit` lines at most; two queries.

    Batches that went the same odd way for the same reason are one line: ten thousand refusals must not be as many.
    """
    entries = [*_transitions(issue), *_odd_batches(issue)]
    if issue.expanded_at:
        entries.append(Entry(at=issue.expanded_at, sentence="The whole audience is addressed."))
    return sorted(entries, key=lambda entry: entry.at, reverse=True)[:limit]


def _transitions(issue: Issue) -> Iterator[Entry]:
    for step in issue.transitions.all():
        reason = f": {step.reason}" if step.reason else ""
        yield Entry(at=step.at, sentence=f"{step.get_target_display()}{reason}", by=step.by)


def _odd_batches(issue: Issue) -> Iterator[Entry]:
    odd = Q(state__in=[state for state in TELLING if state not in OPEN_BATCH_STATES]) | RETRYING
    groups = (
        Batch.objects.filter(odd, edition=issue.edition_id)
        .order_by()
        .values("state", "reason")
        .annotate(
            count=Count("pk"),
            mails=Sum("recipients"),
            first=Min("pk"),
            at=Max(Coalesce("finished_at", "last_attempt_at", "first_attempt_at", "not_before")),
        )
        .order_by("-at")[:100]
    )
    for group in groups:
        # A repeat that is under way is in a worker's hands; what it was is told by the reason.
        what = TELLING.get(group["state"], "being tried again")
        who = f"Batch {group['first']}" if group["count"] == 1 else counted(group["count"], "batch", "batches")
        reason = f": {group['reason']}" if group["reason"] else "."
        yield Entry(at=group["at"], sentence=f"{who} ({counted(group['mails'], 'reader')}) {what}{reason}")
