"""The report of an issue as CSV and JSON: the numbers of its page."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from newsletter.admin.pages import Page, RequiredPermission
from newsletter.models import STARTED, Issue, Send
from newsletter.reports.issue_report import issue_report
from newsletter.reports.report_files import report_as_csv, report_as_json


def _started_send(issue: Issue) -> Send:
    send = issue.current_send
    if send is None or send.state not in STARTED:
        raise Http404
    return send


@require_safe
def download_csv(request: HttpRequest, issue: Issue) -> HttpResponse:
    """One row per number. With a byte order mark, by which spreadsheets tell that it is UTF-8."""
    text = report_as_csv(issue_report(_started_send(issue), timezone.now()))
    return _as_file(HttpResponse(f"\ufeff{text}", content_type="text/csv; charset=utf-8"), issue, "csv")


@require_safe
def download_json(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The same for programs."""
    send = _started_send(issue)
    answer = JsonResponse(
        report_as_json(send, issue_report(send, timezone.now())),
        json_dumps_params={"indent": 2, "ensure_ascii": False},
    )
    return _as_file(answer, issue, "json")


def _as_file(answer: HttpResponse, issue: Issue, ending: str) -> HttpResponse:
    answer["Content-Disposition"] = f'attachment; filename="report-{issue.slug}.{ending}"'
    answer["Cache-Control"] = "private, no-store"
    return answer


PAGES = (
    Page("report/csv", download_csv, RequiredPermission.VIEW),
    Page("report/json", download_json, RequiredPermission.VIEW),
)
