"""The first page of the admin: what needs attention, what comes next, what went out last."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from newsletter.admin.issue_list import Tally, tallies_of
from newsletter.admin.pages import SEND_PERMISSION, home_of, page_url, pill_of
from newsletter.admin.time_format import from_now, in_zone
from newsletter.models import PUBLISHED, Issue, IssueStatus, Occurrence
from newsletter.monitoring.diagnostics import Diagnostic, diagnostics
from newsletter.monitoring.progress import progress_of
from newsletter.sending.recurring import outlook
from newsletter.sending.schedule import STARTABLE
from subscribers.models import Subscription, SubscriptionState

#: Who sees it: whoever may look at issues.
VIEW_PERMISSION = "newsletter.view_issue"

#: How many of the next and of the last issues are shown.
SOME = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Coming:
    """What goes out next: a scheduled issue, or a slot with the draft that is ready for it, if one is."""

    at: datetime.datetime
    title: str
    url: str
    newsletter: str
    label: str
    pill: str
    when: str
    distance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One issue: `when` in words with its zone, `percent` while it is being sent."""

    issue: Issue
    url: str
    pill: str
    when: str
    distance: str
    tally: Tally | None = None
    percent: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """What the page shows."""

    diagnostics: list[tuple[Diagnostic, str]]
    """Each with the address of the page on which something can be done, empty if there is none."""
    next: list[Coming]
    last: list[Row]
    active: int
    pending: int


def show_dashboard(request: HttpRequest) -> HttpResponse:
    """Stock Django's first page, with ours above it for those who may see issues."""
    index: Callable[..., HttpResponse] = admin.site.index
    may_see = request.user.is_active and request.user.has_perm(VIEW_PERMISSION)
    may_send = request.user.has_perm(SEND_PERMISSION)
    return index(request, {"dashboard": dashboard(may_send=may_send) if may_see else None})


def dashboard(*, may_send: bool) -> Dashboard:
    """Read from the rows, in a dozen queries whatever the size of the lists."""
    readers = Subscription.objects.all()
    return Dashboard(
        diagnostics=[(diagnostic, _link_of(diagnostic, may_send)) for diagnostic in diagnostics()],
        next=_next(),
        last=_last(),
        active=readers.filter(state=SubscriptionState.ACTIVE).count(),
        pending=readers.filter(state=SubscriptionState.PENDING).count(),
    )


def _link_of(diagnostic: Diagnostic, may_send: bool) -> str:
    """Where it is decided, if this person may decide it; else where the issue is looked at."""
    issue = diagnostic.issue
    if issue is None:
        return ""
    return page_url(issue, "schedule") if may_send and issue.status in STARTABLE else home_of(issue)


def _next() -> list[Coming]:
    found = Issue.objects.filter(status=IssueStatus.SCHEDULED).order_by("scheduled_at", "pk")
    scheduled = [_scheduled(issue) for issue in found.select_related("newsletter")[:SOME]]
    return sorted([*scheduled, *(_slot(run, issue) for run, issue in outlook())], key=lambda coming: coming.at)[:SOME]


def _scheduled(issue: Issue) -> Coming:
    assert issue.scheduled_at is not None  # noqa: S101 - the database holds it for every scheduled issue
    return Coming(
        at=issue.scheduled_at,
        title=issue.title,
        url=page_url(issue, "preview"),
        newsletter=issue.newsletter.name,
        label=_label_of(issue),
        pill=pill_of(issue.status),
        when=f"{in_zone(issue.scheduled_at, issue.scheduled_zone)} ({issue.scheduled_zone})",
        distance=from_now(issue.scheduled_at),
    )


def _label_of(issue: Issue) -> str:
    if issue.next_try_at:
        return "Tried again"
    return "Waits for you" if issue.hold_reason else str(issue.get_status_display())


def _slot(run: Occurrence, issue: Issue | None) -> Coming:
    """With its draft, also where that is not ready yet; else with its name."""
    draft, zone = issue or run.issue, run.schedule.newsletter.time_zone
    return Coming(
        at=run.starts_at,
        title=draft.title if draft else "No draft is ready for it",
        url=page_url(draft, "change") if draft else "",
        newsletter=run.schedule.newsletter.name,
        label="Ready" if issue else "Not ready",
        pill="pill pill-good" if issue else "pill pill-warn",
        when=f"slot {run.schedule}: {in_zone(run.starts_at, zone)} ({zone})",
        distance=from_now(run.starts_at),
    )


def _last() -> list[Row]:
    found = Issue.objects.filter(status__in=PUBLISHED, started_at__isnull=False).order_by("-started_at", "-pk")
    issues = list(found.select_related("newsletter")[:SOME])
    tallies = tallies_of([issue.edition_id for issue in issues if issue.edition_id])
    return [_published(issue, tallies.get(issue.edition_id or 0)) for issue in issues]


def _published(issue: Issue, tally: Tally | None) -> Row:
    zone = issue.scheduled_zone or issue.newsletter.time_zone
    moment = issue.finished_at or issue.started_at or issue.updated_at
    is_moving = issue.status in (IssueStatus.SENDING, IssueStatus.PAUSED)
    return Row(
        issue=issue,
        url=page_url(issue, "report"),
        pill=pill_of(issue.status),
        when=f"{in_zone(moment, zone, short=True)} ({zone})",
        distance=from_now(moment),
        tally=tally,
        percent=progress_of(issue).percent if is_moving else None,
    )
