"""The report of an issue, also while it is being sent: counts, reasons, doubts, history. Imports receipts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

from newsletter.admin.moments import from_now, in_zone
from newsletter.admin.pages import Need, Page, home_of, issue_page, page_url, tell_and_go
from newsletter.admin.schedule import EXCLUSIONS
from newsletter.models import PUBLISHED, Batch, BatchState, Issue, IssueStatus
from newsletter.receipts.statistics import IssueReport, reasons_of, report_of

#: Seconds between two looks of a page that watches a send.
POLL_SECONDS = 2
#: States in which the numbers are still about to change by themselves, at the speed of sending.
WATCHED = (IssueStatus.SENDING, IssueStatus.PAUSED)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a send has come. `percent` is None until the whole audience is addressed."""

    done: int
    audience: int
    percent: int | None


def progress_of(issue: Issue, report: IssueReport) -> Progress:
    """Mails with a known outcome, of everybody who was addressed so far."""
    done = report.accepted + report.refused + report.skipped
    if issue.addressed_at is None:
        return Progress(done, report.audience, None)
    return Progress(done, report.audience, 100 * done // report.audience if report.audience else 100)


@require_safe
def show_report(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The whole page."""
    if issue.status not in PUBLISHED or issue.edition is None or issue.started_at is None:
        sentence = "There is no report yet: this issue has not been sent."
        return tell_and_go(request, sentence, home_of(issue), level=messages.INFO)
    zone = issue.scheduled_zone or issue.newsletter.time_zone
    finished = issue.finished_at
    return issue_page(
        request,
        issue,
        "report",
        title=f"Report: {issue.title}",
        step="report",
        numbers=_numbers(issue),
        zone=zone,
        started=in_zone(issue.started_at, zone),
        finished=in_zone(finished, zone) if finished else "",
        held=Batch.objects.filter(edition=issue.edition_id, state=BatchState.HELD).order_by("pk"),
        reasons=reasons_of(issue),
        excluded=[(EXCLUSIONS.get(reason, reason), count) for reason, count in issue.excluded.items()],
        history=[(step, in_zone(step.at, zone, short=True), from_now(step.at)) for step in issue.transitions.all()],
        poll_url=page_url(issue, "report_numbers"),
        poll_seconds=POLL_SECONDS if issue.status in WATCHED else 0,
    )


@require_safe
def show_numbers(request: HttpRequest, issue: Issue) -> HttpResponse:
    """Only the part of the report that changes while a send runs; 304 while it does not (by ETag)."""
    body = _numbers(issue).encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    unchanged = get_conditional_response(request, etag=etag)
    response = unchanged or HttpResponse(body, content_type="text/html; charset=utf-8")
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    return response


def _numbers(issue: Issue) -> str:
    report = report_of(issue)
    context = {"issue": issue, "report": report, "progress": progress_of(issue, report), "shares": _shares(report)}
    return render_to_string("admin/newsletter/issue/report_numbers.html", context)


def _shares(report: IssueReport) -> dict[str, float]:
    """Percent of the accepted that were delivered or bounced, and of the delivered that did something with it."""
    of_accepted = {name: 100 * getattr(report, name) / (report.accepted or 1) for name in ("delivered", "bounced")}
    of_delivered = {name: 100 * report.share(getattr(report, name)) for name in ("opened", "clicked", "complained")}
    return of_accepted | of_delivered


PAGES = (
    Page("report", show_report, Need.VIEW),
    Page("report/numbers", show_numbers, Need.VIEW),
)
