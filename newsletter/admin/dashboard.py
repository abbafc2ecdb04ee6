"""The first page of the admin: what needs attention, what is sent next, what was sent last."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.contrib import admin
from django.db.models import Exists, OuterRef, Prefetch, prefetch_related_objects
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from newsletter.admin.figures import Figure, figures_of, percent
from newsletter.admin.growth import LABELS, VIEW_PERMISSION, Chart, chart_of, today
from newsletter.admin.pages import SEND_PERMISSION, main_page_url, page_url, pill_class
from newsletter.admin.time_format import from_now, in_zone, with_zone
from newsletter.models import IN_PROGRESS, STARTED, Issue, IssueState, Occurrence, Send, SendCount, SendState
from newsletter.monitoring.diagnostic import Diagnostic, Severity
from newsletter.monitoring.diagnostics import diagnostics
from newsletter.monitoring.progress import percent_done
from newsletter.monitoring.setup import SetupStep, open_steps, setup_steps
from newsletter.reports.growth import Step, active_and_pending, growth_of
from newsletter.reports.statistics import SendReport, report_from
from newsletter.sending.recurring import outlook
from subscribers.models import MailingList

#: How many of the next and of the last sends are shown, of drafts, and of what needs attention.
SHOWN, SHOWN_DRAFTS, SHOWN_PROBLEMS = 5, 2, 7

#: Days of the small lines, and of the chart: 30 days, 90 days, or 12 months.
DAYS, DEFAULT_RANGE = 90, "90"
RANGES = {"30": (Step.DAY, 30), DEFAULT_RANGE: (Step.DAY, DAYS), "12m": (Step.MONTH, 12)}
RANGE_LABELS = {"30": gettext_lazy("30 days"), "90": gettext_lazy("90 days"), "12m": gettext_lazy("12 months")}


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
    """One of the last issues: `when` in words with its zone, `percent` while it is being sent."""

    issue: Issue
    url: str
    pill: str
    label: str
    when: str
    distance: str
    recipients: str = "–"
    delivered: str = "–"
    clicked: str = "–"
    percent: int | None = None
    may_be_paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """What the page shows."""

    figures: list[Figure]
    problems: list[tuple[Diagnostic, str]]
    """The worst SHOWN_PROBLEMS, each with the URL of the page where something can be done, empty if there is none."""
    more_problems: int
    fine: list[Diagnostic]
    setup: list[SetupStep]
    """The steps of setting up, for a superuser, until all are done."""
    next: list[UpcomingSend]
    last: list[Row]
    chart: Chart | None
    """None until the first subscriber has joined."""
    ranges: list[tuple[str, str, bool]]
    """Label, URL, and whether it is the present one."""
    table_url: str
    """Where the chart is shown as a table, too; empty if it is."""
    zone: str
    now: str


def show_dashboard(request: HttpRequest) -> TemplateResponse:
    """The overview for users who may see issues; others see the navigation only."""
    may_see = request.user.is_active and request.user.has_perm(VIEW_PERMISSION)
    may_send = request.user.has_perm(SEND_PERMISSION)
    may_set_up = request.user.is_superuser
    chosen = request.GET.get("growth", "")
    kind = chosen if chosen in RANGES else DEFAULT_RANGE
    shown = (
        dashboard(
            may_send=may_send,
            may_set_up=may_set_up,
            may_see_subscribers=request.user.has_perm("subscribers.view_subscriber"),
            growth=kind,
            table="table" in request.GET,
        )
        if may_see
        else None
    )
    context = admin.site.each_context(request) | {
        "title": _("Overview"),
        "dashboard": shown,
        "growth_labels": [(label, False) for label in LABELS.values()],
    }
    return TemplateResponse(request, "admin/index.html", context)


def dashboard(
    *, may_send: bool, may_set_up: bool, may_see_subscribers: bool, growth: str = DEFAULT_RANGE, table: bool = False
) -> Dashboard:
    """Read from counters: the number of queries and their cost do not depend on the size of the lists."""
    now = timezone.now()
    lists = list(MailingList.objects.order_by("name", "pk").values_list("pk", flat=True))
    active, pending = active_and_pending(lists)
    days = growth_of(lists, today(), Step.DAY, DAYS, active=active)
    step, periods = RANGES[growth]
    course = days[-periods:] if step is Step.DAY else growth_of(lists, today(), step, periods, active=active)
    steps = setup_steps() if may_set_up else []
    problems, fine = _diagnostics(may_send)
    has_growth = any(period.active or period.counts for period in course)
    here = reverse("admin:index")
    return Dashboard(
        figures=figures_of(days, pending, now, may_see_subscribers=may_see_subscribers),
        setup=steps if open_steps(steps) else [],
        problems=problems[:SHOWN_PROBLEMS],
        more_problems=max(0, len(problems) - SHOWN_PROBLEMS),
        fine=fine,
        next=_next(),
        last=[*_drafts(), *_last(may_send)],
        chart=chart_of(course, step, with_table=table) if has_growth else None,
        ranges=[(str(label), f"{here}?growth={name}#growth", name == growth) for name, label in RANGE_LABELS.items()],
        table_url="" if table else f"{here}?growth={growth}&table=1#growth",
        zone="UTC",
        now=in_zone(now, "UTC"),
    )


def _diagnostics(may_send: bool) -> tuple[list[tuple[Diagnostic, str]], list[Diagnostic]]:
    """What needs attention, the worst first, and what is OK."""
    found = diagnostics()
    issues = [diagnostic.issue for diagnostic in found if diagnostic.issue]
    sends = Prefetch("sends", queryset=Send.objects.current().defer("manifest"), to_attr="prefetched_sends")
    prefetch_related_objects(issues, sends)
    is_ok = Severity.OK
    problems = [(each, _link_of(each, may_send)) for each in found if each.severity is not is_ok]
    return problems, [each for each in found if each.severity is is_ok]


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


def _drafts() -> list[Row]:
    """The issues that were edited last and have no send, without those that are only on the web."""
    in_use = Send.objects.current().filter(issue=OuterRef("pk"))
    drafts = Issue.objects.filter(~Exists(in_use)).exclude(state=IssueState.PUBLISHED)
    found = drafts.select_related("newsletter").order_by("-updated_at", "-pk")
    return [
        Row(
            issue=issue,
            url=page_url(issue, "change"),
            pill=pill_class(issue.state),
            label=str(issue.get_state_display()),
            when=with_zone(issue.updated_at, issue.newsletter.time_zone),
            distance=_("edited %(time)s") % {"time": from_now(issue.updated_at)},
        )
        for issue in found[:SHOWN_DRAFTS]
    ]


def _last(may_send: bool) -> list[Row]:
    found = Send.objects.filter(state__in=STARTED).order_by("-started_at", "-pk").defer("manifest")
    sends = list(found.select_related("issue__newsletter")[:SHOWN])
    totals = SendCount.objects.totals([send.pk for send in sends])
    return [_started(send, report_from(totals.get(send.pk, {}), held_batches=0), may_send) for send in sends]


def _started(send: Send, report: SendReport, may_send: bool) -> Row:
    at, is_running = send.finished_at or send.started_at or send.created_at, send.state in IN_PROGRESS
    return Row(
        issue=send.issue,
        url=page_url(send.issue, "report"),
        pill=pill_class(send.state),
        label=str(send.get_state_display()),
        when=with_zone(at, send.time_zone),
        distance=from_now(at),
        recipients=number_format(report.audience, force_grouping=True),
        delivered=percent(report.delivered / report.accepted) if report.accepted else "–",
        clicked=percent(report.share(report.clicked)) if report.delivered else "–",
        percent=percent_done(send, report) if is_running else None,
        may_be_paused=may_send and send.state == SendState.SENDING,
    )
