"""The first page of the admin: what needs attention, what comes next, what went out last. Imports watch, models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from newsletter.admin.issue_list import Tally, tallies_of
from newsletter.admin.moments import from_now, in_zone
from newsletter.admin.pages import home_of, page_url, pill_of
from newsletter.models import PUBLISHED, Issue, IssueStatus
from newsletter.watch.progress import progress_of
from newsletter.watch.symptoms import Symptom, symptoms
from subscribers.models import Subscription, SubscriptionState

#: Who sees it: whoever may look at issues.
VIEW_PERMISSION = "newsletter.view_issue"

#: How many of the next and of the last issues are shown.
SOME = 5


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

    symptoms: list[tuple[Symptom, str]]
    """Each with the address of the page on which something can be done, empty if there is none."""
    next: list[Row]
    last: list[Row]
    active: int
    pending: int


def show_dashboard(request: HttpRequest) -> HttpResponse:
    """Stock Django's first page, with ours above it for those who may see issues."""
    index: Callable[..., HttpResponse] = admin.site.index
    may_see = request.user.is_active and request.user.has_perm(VIEW_PERMISSION)
    return index(request, {"dashboard": dashboard() if may_see else None})


def dashboard() -> Dashboard:
    """Read from the rows, in a dozen queries whatever the size of the lists."""
    readers = Subscription.objects.all()
    return Dashboard(
        symptoms=[(symptom, _link_of(symptom)) for symptom in symptoms()],
        next=_next(),
        last=_last(),
        active=readers.filter(state=SubscriptionState.ACTIVE).count(),
        pending=readers.filter(state=SubscriptionState.PENDING).count(),
    )


def _link_of(symptom: Symptom) -> str:
    issue = symptom.issue
    return home_of(issue) if issue is not None else ""


def _next() -> list[Row]:
    found = Issue.objects.filter(status=IssueStatus.SCHEDULED).order_by("scheduled_at", "pk")
    return [
        Row(
            issue=issue,
            url=page_url(issue, "preview"),
            pill=pill_of(issue.status),
            when=f"{in_zone(issue.scheduled_at, issue.scheduled_zone)} ({issue.scheduled_zone})",
            distance=from_now(issue.scheduled_at),
        )
        for issue in found.select_related("newsletter")[:SOME]
        if issue.scheduled_at
    ]


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
