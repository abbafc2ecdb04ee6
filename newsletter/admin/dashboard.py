"""The first page of the admin: what needs attention, what is sent next, what was sent last."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass

from django.contrib import admin
from django.db.models import Prefetch, prefetch_related_objects
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from newsletter.admin.pages import SEND_PERMISSION, main_page_url, page_url, pill_class
from newsletter.admin.time_format import from_now, in_zone
from newsletter.models import IN_PROGRESS, STARTED, Issue, IssueState, Occurrence, Send, SendState
from newsletter.monitoring.diagnostic import Diagnostic
from newsletter.monitoring.diagnostics import diagnostics
from newsletter.monitoring.progress import progress_of
from newsletter.monitoring.setup import SetupStep, open_steps, setup_steps
from newsletter.reports.statistics import SendTotals, send_totals
from newsletter.sending.recurring import outlook
from subscribers.models import SubscriptionCount, SubscriptionState

#: The permission to see it.
VIEW_PERMISSION = "newsletter.view_issue"

#: How many of the next and of the last sends are shown.
SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class UpcomingSend:
    """What is sent next: a scheduled send, or an occurrence of a recurring schedule with its approved issue, if any."""

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
    """One sent issue: `when` in words with its zone, `percent` while it is being sent."""

    issue: Issue
    url: str
    pill: str
    label: str
    when: str
    distance: str
    totals: SendTotals | None = None
    percent: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """What the page shows."""

    diagnostics: list[tuple[Diagnostic, str]]
    """Each with the address of the page where something can be done, empty if there is none."""
    setup: list[SetupStep]
    """The steps of setting up, for a superuser, until all are done."""
    next: list[UpcomingSend]
    last: list[Row]
    active: int
    pending: int


def show_dashboard(request: HttpRequest) -> HttpResponse:
    """Django's index page, with ours above it for users who may see issues."""
    index: Callable[..., HttpResponse] = admin.site.index
    may_see = request.user.is_active and request.user.has_perm(VIEW_PERMISSION)
    may_send = request.user.has_perm(SEND_PERMISSION)
    may_set_up = request.user.is_superuser
    shown = dashboard(may_send=may_send, may_set_up=may_set_up) if may_see else None
    return index(request, {"dashboard": shown})


def dashboard(*, may_send: bool, may_set_up: bool) -> Dashboard:
    """Computed in less than twenty queries, independent of the size of the lists."""
    by_state = SubscriptionCount.objects.by_state().values()
    steps = setup_steps() if may_set_up else []
    return Dashboard(
        setup=steps if open_steps(steps) else [],
        diagnostics=_diagnostics(may_send),
        next=_next(),
        last=_last(),
        active=sum(counts.get(SubscriptionState.ACTIVE, 0) for counts in by_state),
        pending=sum(counts.get(SubscriptionState.PENDING, 0) for counts in by_state),
    )


def _diagnostics(may_send: bool) -> list[tuple[Diagnostic, str]]:
    found = diagnostics()
    issues = [diagnostic.issue for diagnostic in found if diagnostic.issue]
    sends = Prefetch("sends", queryset=Send.objects.current().defer("manifest"), to_attr="prefetched_sends")
    prefetch_related_objects(issues, sends)
    return [(diagnostic, _link_of(diagnostic, may_send)) for diagnostic in found]


def _link_of(diagnostic: Diagnostic, may_send: bool) -> str:
    """The page where it is decided, if this user may decide it; else that of the issue."""
    issue = diagnostic.issue
    if issue is None:
        return ""
    send = issue.current_send
    may_start = send is None or send.state == SendState.SCHEDULED
    return page_url(issue, "schedule") if may_send and may_start else main_page_url(issue)


def _next() -> list[UpcomingSend]:
    found = Send.objects.filter(state=SendState.SCHEDULED).order_by("scheduled_at", "pk").defer("manifest")
    scheduled = [_scheduled(send) for send in found.select_related("issue__newsletter")[:SHOWN]]
    recurring = (_occurrence(occurrence, issue) for occurrence, issue in outlook())
    return sorted([*scheduled, *recurring], key=lambda upcoming: upcoming.at)[:SHOWN]


def _scheduled(send: Send) -> UpcomingSend:
    assert send.scheduled_at is not None  # noqa: S101 - the database holds it for every scheduled send
    return UpcomingSend(
        at=send.scheduled_at,
        title=send.issue.title,
        url=page_url(send.issue, "preview"),
        newsletter=send.issue.newsletter.name,
        label=_label_of(send),
        pill=pill_class(send.state),
        when=f"{in_zone(send.scheduled_at, send.scheduled_zone)} ({send.scheduled_zone})",
        distance=from_now(send.scheduled_at),
    )


def _label_of(send: Send) -> str:
    if send.retry_start_at:
        return _("Start retried")
    return _("Needs attention") if send.hold_reason else str(send.get_state_display())


def _occurrence(occurrence: Occurrence, issue: Issue | None) -> UpcomingSend:
    """With its issue, also where that is not approved yet; else with its name."""
    shown, zone = issue or occurrence.issue, occurrence.schedule.newsletter.time_zone
    return UpcomingSend(
        at=occurrence.starts_at,
        title=shown.title if shown else _("No issue is approved for it"),
        url=page_url(shown, "change") if shown else "",
        newsletter=occurrence.schedule.newsletter.name,
        label=_("Approved") if issue else _("Not approved"),
        pill=pill_class(IssueState.APPROVED if issue else "warning"),
        when=f"{occurrence.schedule}: {in_zone(occurrence.starts_at, zone)} ({zone})",
        distance=from_now(occurrence.starts_at),
    )


def _last() -> list[Row]:
    found = Send.objects.filter(state__in=STARTED).order_by("-started_at", "-pk").defer("manifest")
    sends = list(found.select_related("issue__newsletter")[:SHOWN])
    totals = send_totals([send.pk for send in sends])
    return [_started(send, totals.get(send.pk)) for send in sends]


def _started(send: Send, totals: SendTotals | None) -> Row:
    at, zone = send.finished_at or send.started_at or send.created_at, send.time_zone
    return Row(
        issue=send.issue,
        url=page_url(send.issue, "report"),
        pill=pill_class(send.state),
        label=str(send.get_state_display()),
        when=f"{in_zone(at, zone, short=True)} ({zone})",
        distance=from_now(at),
        totals=totals,
        percent=progress_of(send).percent if send.state in IN_PROGRESS else None,
    )
