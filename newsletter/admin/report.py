"""The report of an issue's send, also while it runs: its numbers, its pace, held batches, log."""

from __future__ import annotations

import datetime
import hashlib
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.utils import formats, timezone
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from newsletter.admin.pages import (
    SEND_PERMISSION,
    SHARE_PERMISSION,
    Page,
    RequiredPermission,
    issue_page,
    main_page_url,
    may_see_recipients,
    page_url,
    redirect_with_message,
)
from newsletter.admin.report_links import engagement_of
from newsletter.admin.report_parts import comparison_rows, parts_of
from newsletter.admin.time_format import in_zone, zone_of
from newsletter.models import IN_PROGRESS, STARTED, Batch, BatchState, Issue, Send, SendState
from newsletter.models.reasons import actor_name, reason_sentence
from newsletter.models.web_pages import reachable_sends
from newsletter.monitoring.pace import Pace, PaceKind, pace_of
from newsletter.monitoring.progress import Progress, log_of, progress_of
from newsletter.reports.issue_report import IssueReport, issue_report
from newsletter.reports.joined import joined_since_start
from newsletter.reports.shared_story import can_be_shared
from newsletter.sending.audience import Audience
from newsletter.sending.audience_words import audience_in_words
from newsletter.sending.auto_pause import complaint_warning
from newsletter.sending.retry import RETRIABLE
from newsletter.sending.undo import can_undo

#: Seconds between two refreshes of the page of a running send; from LARGE_SEND recipients on it refreshes less often,
#: because its batches and mail domains are added up each time.
POLL_SECONDS, POLL_SECONDS_LARGE_SEND, LARGE_SEND = 2, 10, 100_000

#: The most held batches that the page lists.
MAX_HELD = 20


def started_send(issue: Issue) -> Send | None:
    send = issue.current_send
    return send if send is not None and send.state in STARTED else None


@require_safe
def show_report(request: HttpRequest, issue: Issue) -> HttpResponse:
    send = started_send(issue)
    if send is None or send.started_at is None:
        return _without_report(request, issue)
    zone, progress, may_undo = send.time_zone, progress_of(send), can_undo(send)
    report = issue_report(send, timezone.now())
    return issue_page(
        request,
        issue,
        "report",
        title=_("Report: %(issue)s") % {"issue": issue.title},
        tab="report",
        send=send,
        numbers=_numbers(request, send, progress, report, may_undo=may_undo),
        zone=zone,
        audience=audience_in_words(Audience.of_send(send)),
        started=in_zone(send.started_at, zone),
        started_by=_started_by(send),
        finished=in_zone(send.finished_at, zone) if send.finished_at else "",
        counted=in_zone(report.counted_at, zone),
        held=_held_batches(send),
        held_count=progress.report.held_batches,
        more_held=max(0, progress.report.held_batches - MAX_HELD),
        can_be_undone=may_undo,
        undo_until=_to_the_second(send.undo_until, zone) if _waits_for_undo(send) and send.undo_until else "",
        joined=joined_since_start(send) if send.state in IN_PROGRESS else None,
        is_running=send.state in IN_PROGRESS,
        has_web_page=reachable_sends().filter(pk=send.pk).exists(),
        comparison=comparison_rows(report.comparison) if report.comparison else (),
        compared=report.comparison.issues if report.comparison else 0,
        rate_of=report.base.words,
        engagement=engagement_of(send),
        may_share=can_be_shared(send) and request.user.has_perm(SHARE_PERMISSION),
        poll_url=page_url(issue, "report_numbers"),
        poll_seconds=_poll_seconds(send, progress.report.audience),
    )


def _without_report(request: HttpRequest, issue: Issue) -> HttpResponse:
    """To the issue's own page. A page that was open while the start was undone adds no second message to that."""
    url = main_page_url(issue)
    if len(messages.get_messages(request)):
        return HttpResponseRedirect(url)
    last = issue.sends.order_by("-pk").first()
    if last is not None and last.state == SendState.WITHDRAWN and last.started_at is not None:
        sentence = _("The start of this issue was undone. Nothing was sent, and the issue is a draft again.")
    else:
        sentence = _("There is no report yet: this issue has not been sent.")
    return redirect_with_message(request, sentence, url, level=messages.INFO)


def _started_by(send: Send) -> str:
    """The user or step that started it, not one that resumed it."""
    started = send.transitions.filter(target=SendState.SENDING, source__in=("", SendState.SCHEDULED))
    return actor_name(started.values_list("by", flat=True).last() or "")


def _held_batches(send: Send) -> list[tuple[Batch, str]]:
    """The first MAX_HELD, each with its reason as a sentence."""
    held = Batch.objects.filter(send=send, state=BatchState.HELD).defer("payload").order_by("pk")
    return [(batch, reason_sentence(batch.reason, batch.reason_values)) for batch in held[:MAX_HELD]]


@require_safe
def show_numbers(request: HttpRequest, issue: Issue) -> HttpResponse:
    """Only the part of the report that changes while a send runs; 304 while it does not (by ETag)."""
    send = started_send(issue)
    # A start that was undone: the page reloads, because this version differs from every other.
    page = '<div data-version="" data-percent=""></div>'
    if send:
        page = _numbers(request, send, progress_of(send), issue_report(send, timezone.now()), may_undo=can_undo(send))
    body = page.encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    unchanged = get_conditional_response(request, etag=etag)
    response = unchanged or HttpResponse(body, content_type="text/html; charset=utf-8")
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    return response


def _waits_for_undo(send: Send) -> bool:
    return send.state == SendState.SENDING and bool(send.undo_until and send.undo_until > timezone.now())


def _poll_seconds(send: Send, audience: int) -> int:
    """0 in a state in which nothing changes any more by sending."""
    if send.state not in IN_PROGRESS:
        return 0
    return POLL_SECONDS if audience < LARGE_SEND else POLL_SECONDS_LARGE_SEND


def _numbers(request: HttpRequest, send: Send, progress: Progress, report: IssueReport, *, may_undo: bool) -> str:
    zone = send.time_zone
    pace = pace_of(send, progress, lambda at: _clock(at, zone))
    context: dict[str, Any] = {
        "send": send,
        "may_send": request.user.has_perm(SEND_PERMISSION),
        "warning": complaint_warning(send),
        "can_be_retried": send.state in RETRIABLE,
        "is_running": send.state in IN_PROGRESS,
        "can_be_undone": may_undo,
        "waits_for_undo": _waits_for_undo(send),
        "progress": progress,
        "pace": pace,
        "report": report,
        "next_attempt": _next_attempt_of(progress, pace, zone),
        "log": [(entry, _to_the_second(entry.at, zone)) for entry in log_of(send)],
        **parts_of(send, report, may_list=may_see_recipients(request)),
    }
    return render_to_string("admin/newsletter/issue/report_numbers.html", context)


def _next_attempt_of(progress: Progress, pace: Pace | None, zone: str) -> str:
    """When the first batch that waits for a retry is posted again, unless something else holds back the whole send."""
    if progress.next_attempt_at is None or pace is None or pace.kind not in (PaceKind.SENDING, PaceKind.RETRYING):
        return ""
    return _clock(progress.next_attempt_at, zone)


def _to_the_second(at: datetime.datetime, zone: str) -> str:
    local = at.astimezone(zone_of(zone))
    return f"{formats.date_format(local, 'DATE_FORMAT')}, {local:%H:%M:%S}"


def _clock(at: datetime.datetime, zone: str) -> str:
    return f"{at.astimezone(zone_of(zone)):%H:%M}"


PAGES = (
    Page("report", show_report, RequiredPermission.VIEW),
    Page("report/numbers", show_numbers, RequiredPermission.VIEW),
)
