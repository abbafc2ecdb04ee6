"""The report of an issue's send, also while it runs: counts, speed, reasons, held batches, log."""

from __future__ import annotations

import datetime
import hashlib
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import formats, timezone
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from newsletter.admin.pages import (
    SEND_PERMISSION,
    Page,
    RequiredPermission,
    issue_page,
    main_page_url,
    page_url,
    redirect_with_message,
)
from newsletter.admin.time_format import in_zone, zone_of
from newsletter.models import IN_PROGRESS, STARTED, Batch, BatchState, Issue, Send, SendState
from newsletter.models.reasons import actor_name, reason_sentence
from newsletter.monitoring.diagnostics import blockers_of
from newsletter.monitoring.formatting import duration
from newsletter.monitoring.progress import Progress, log_of, progress_of
from newsletter.reports.statistics import SendReport, reasons_of
from newsletter.sending.audience import Audience
from newsletter.sending.audience_words import audience_in_words, exclusions_in_words
from newsletter.sending.auto_pause import complaint_warning
from newsletter.sending.retry import RETRIABLE
from newsletter.sending.undo import can_undo
from subscribers.models import Subscription, SubscriptionState

#: Seconds between two refreshes of the page of a running send; from LARGE_SEND recipients on it refreshes less often,
#: because the numbers are counted from the rows each time.
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
        sentence = _("There is no report yet: this issue has not been sent.")
        return redirect_with_message(request, sentence, main_page_url(issue), level=messages.INFO)
    zone, progress = send.time_zone, progress_of(send)
    return issue_page(
        request,
        issue,
        "report",
        title=_("Report: %(issue)s") % {"issue": issue.title},
        tab="report",
        send=send,
        numbers=_numbers(request, send, progress),
        zone=zone,
        audience=audience_in_words(Audience.of_send(send)),
        started=in_zone(send.started_at, zone),
        started_by=_started_by(send),
        finished=in_zone(send.finished_at, zone) if send.finished_at else "",
        held=_held_batches(send),
        held_count=progress.report.held_batches,
        more_held=max(0, progress.report.held_batches - MAX_HELD),
        can_be_undone=can_undo(send),
        undo_until=_to_the_second(send.undo_until, zone) if _waits_for_undo(send) and send.undo_until else "",
        joined=_count_joined(send) if send.state in IN_PROGRESS else 0,
        is_running=send.state in IN_PROGRESS,
        is_public=Send.objects.public().filter(pk=send.pk).exists(),
        poll_url=page_url(issue, "report_numbers"),
        poll_seconds=_poll_seconds(send, progress.report.audience),
    )


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
    page = _numbers(request, send, progress_of(send)) if send else '<div data-version="" data-percent=""></div>'
    body = page.encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    unchanged = get_conditional_response(request, etag=etag)
    response = unchanged or HttpResponse(body, content_type="text/html; charset=utf-8")
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    return response


def _waits_for_undo(send: Send) -> bool:
    return send.state == SendState.SENDING and bool(send.undo_until and send.undo_until > timezone.now())


def _count_joined(send: Send) -> int:
    """Subscribers who confirmed since the start, and get the next issue."""
    lists = [each.pk for each in Audience.of_send(send).lists]
    joined = Subscription.objects.filter(mailing_list__in=lists, confirmed_at__gt=send.started_at)
    return joined.filter(state=SubscriptionState.ACTIVE).count()


def _poll_seconds(send: Send, audience: int) -> int:
    """0 in a state in which nothing changes any more by sending."""
    if send.state not in IN_PROGRESS:
        return 0
    return POLL_SECONDS if audience < LARGE_SEND else POLL_SECONDS_LARGE_SEND


def _numbers(request: HttpRequest, send: Send, progress: Progress) -> str:
    zone = send.time_zone
    context: dict[str, Any] = {
        "send": send,
        "may_send": request.user.has_perm(SEND_PERMISSION),
        "warning": complaint_warning(send),
        "can_be_retried": send.state in RETRIABLE,
        "reasons": reasons_of(send),
        "excluded": exclusions_in_words(send.excluded),
        "is_running": send.state in IN_PROGRESS,
        "can_be_undone": can_undo(send),
        "waits_for_undo": _waits_for_undo(send),
        "progress": progress,
        "report": progress.report,
        "shares": _shares(progress.report),
        "left": duration(progress.seconds_left) if progress.seconds_left else "",
        "ends_at": _end_of(progress, zone),
        "blockers": blockers_of(send),
        "next_attempt": _next_attempt_of(send, progress, zone),
        "log": [(entry, _to_the_second(entry.at, zone)) for entry in log_of(send)],
    }
    return render_to_string("admin/newsletter/issue/report_numbers.html", context)


def _next_attempt_of(send: Send, progress: Progress, zone: str) -> str:
    """When the first batch that waits for a retry is posted again; none while the send is paused."""
    if progress.next_attempt_at is None or send.state != SendState.SENDING:
        return ""
    return _clock(progress.next_attempt_at, zone)


def _to_the_second(at: datetime.datetime, zone: str) -> str:
    local = at.astimezone(zone_of(zone))
    return f"{formats.date_format(local, 'DATE_FORMAT')}, {local:%H:%M:%S}"


def _clock(at: datetime.datetime, zone: str) -> str:
    return f"{at.astimezone(zone_of(zone)):%H:%M}"


def _end_of(progress: Progress, zone: str) -> str:
    """When it will be over, to the minute: a page that says the same is not sent again."""
    if not progress.seconds_left:
        return ""
    return _clock(timezone.now() + datetime.timedelta(seconds=progress.seconds_left), zone)


def _shares(report: SendReport) -> dict[str, float]:
    """Percent of the accepted that were delivered or bounced, and of the delivered that opened, clicked, complained."""
    of_accepted = {name: 100 * getattr(report, name) / (report.accepted or 1) for name in ("delivered", "bounced")}
    of_delivered = {name: 100 * report.share(getattr(report, name)) for name in ("opened", "clicked", "complained")}
    return of_accepted | of_delivered


PAGES = (
    Page("report", show_report, RequiredPermission.VIEW),
    Page("report/numbers", show_numbers, RequiredPermission.VIEW),
)
