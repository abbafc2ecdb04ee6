"""The report of an issue, also while it is being sent: counts, speed, reasons, doubts, log."""

from __future__ import annotations

import datetime
import hashlib

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

from newsletter.admin.pages import Need, Page, home_of, issue_page, page_url, tell_and_go
from newsletter.admin.schedule import EXCLUSIONS
from newsletter.admin.time_format import in_zone, zone_of
from newsletter.models import PUBLISHED, Batch, BatchState, Issue, IssueStatus
from newsletter.monitoring.blockers import blockers_of
from newsletter.monitoring.progress import Progress, log_of, progress_of
from newsletter.monitoring.wording import duration
from newsletter.reports.statistics import IssueReport, reasons_of
from newsletter.sending.auto_pause import warning_of
from newsletter.sending.retry import RETRIABLE, count_failed
from newsletter.sending.schedule import STARTABLE
from newsletter.sending.undo import nothing_is_out
from subscribers.models import Subscription

#: Seconds between two looks of a page that watches a send, and from how many readers on it looks less often: the
#: numbers are counted from the rows each time.
POLL_SECONDS, POLL_SECONDS_OF_MANY, MANY = 2, 10, 100_000
#: States in which the numbers are still about to change by themselves, at the speed of sending.
WATCHED = (IssueStatus.SENDING, IssueStatus.PAUSED)
#: The steps of its history by which an issue was started, and not resumed.
STARTED = Q(target=IssueStatus.SENDING, source__in=STARTABLE)


@require_safe
def show_report(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The whole page."""
    if issue.status not in PUBLISHED or issue.edition is None or issue.started_at is None:
        sentence = "There is no report yet: this issue has not been sent."
        return tell_and_go(request, sentence, home_of(issue), level=messages.INFO)
    zone = issue.scheduled_zone or issue.newsletter.time_zone
    finished, progress = issue.finished_at, progress_of(issue)
    return issue_page(
        request,
        issue,
        "report",
        title=f"Report: {issue.title}",
        step="report",
        numbers=_numbers(issue, progress),
        zone=zone,
        started=in_zone(issue.started_at, zone),
        started_by=issue.transitions.filter(STARTED).values_list("by", flat=True).last(),
        finished=in_zone(finished, zone) if finished else "",
        held=Batch.objects.filter(edition=issue.edition_id, state=BatchState.HELD).order_by("pk"),
        reasons=reasons_of(issue),
        can_be_undone=nothing_is_out(issue),
        undo_until=_second_of(issue.posts_from, zone) if _waits_for_undo(issue) and issue.posts_from else "",
        joined=_count_joined(issue) if issue.status in WATCHED else 0,
        warning=warning_of(issue),
        failed=count_failed(issue) if issue.status in RETRIABLE else 0,
        excluded=[(EXCLUSIONS.get(reason, reason), count) for reason, count in issue.excluded.items()],
        poll_url=page_url(issue, "report_numbers"),
        poll_seconds=_poll_seconds(issue, progress.report.audience),
    )


@require_safe
def show_numbers(request: HttpRequest, issue: Issue) -> HttpResponse:
    """Only the part of the report that changes while a send runs; 304 while it does not (by ETag)."""
    body = _numbers(issue, progress_of(issue)).encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    unchanged = get_conditional_response(request, etag=etag)
    response = unchanged or HttpResponse(body, content_type="text/html; charset=utf-8")
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    return response


def _waits_for_undo(issue: Issue) -> bool:
    return issue.status == IssueStatus.SENDING and bool(issue.posts_from and issue.posts_from > timezone.now())


def _count_joined(issue: Issue) -> int:
    """Who confirmed since the start, and so gets the next issue."""
    return Subscription.objects.filter(mailing_list=issue.newsletter_id, confirmed_at__gt=issue.started_at).count()


def _poll_seconds(issue: Issue, audience: int) -> int:
    """0 in a state in which nothing changes any more by our own doing."""
    if issue.status not in WATCHED:
        return 0
    return POLL_SECONDS if audience < MANY else POLL_SECONDS_OF_MANY


def _numbers(issue: Issue, progress: Progress) -> str:
    zone = issue.scheduled_zone or issue.newsletter.time_zone
    context = {
        "issue": issue,
        "can_be_undone": nothing_is_out(issue),
        "waits_for_undo": _waits_for_undo(issue),
        "progress": progress,
        "report": progress.report,
        "shares": _shares(progress.report),
        "left": duration(progress.seconds_left) if progress.seconds_left else "",
        "ends_at": _end_of(progress, zone),
        "blockers": blockers_of(issue),
        "next_try": _next_try_of(issue, progress, zone),
        "log": [(entry, _second_of(entry.at, zone)) for entry in log_of(issue)],
    }
    return render_to_string("admin/newsletter/issue/report_numbers.html", context)


def _next_try_of(issue: Issue, progress: Progress, zone: str) -> str:
    """When the first refused batch is posted again; nothing is while it is paused."""
    if progress.next_try_at is None or issue.status != IssueStatus.SENDING:
        return ""
    return f"{progress.next_try_at.astimezone(zone_of(zone)):%H:%M}"


def _second_of(moment: datetime.datetime, zone: str) -> str:
    local = moment.astimezone(zone_of(zone))
    return f"{local:%a} {local.day} {local:%b, %H:%M:%S}"


def _end_of(progress: Progress, zone: str) -> str:
    """When it will be over, to the minute: a page that says the same is not sent again."""
    if not progress.seconds_left:
        return ""
    end = timezone.now() + datetime.timedelta(seconds=progress.seconds_left)
    return f"{end.astimezone(zone_of(zone)):%H:%M}"


def _shares(report: IssueReport) -> dict[str, float]:
    """Percent of the accepted that were delivered or bounced, and of the delivered that did something with it."""
    of_accepted = {name: 100 * getattr(report, name) / (report.accepted or 1) for name in ("delivered", "bounced")}
    of_delivered = {name: 100 * report.share(getattr(report, name)) for name in ("opened", "clicked", "complained")}
    return of_accepted | of_delivered


PAGES = (
    Page("report", show_report, Need.VIEW),
    Page("report/numbers", show_numbers, Need.VIEW),
)
