"""Manual controls: the decisions about an issue and its send, and about held batches.

Each is one page: GET explains it, POST does it. A second click is harmless: it reports the present state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext_lazy
from django.views.decorators.http import require_http_methods

from newsletter.admin.check import placed_findings
from newsletter.admin.pages import (
    Page,
    RequiredPermission,
    issue_page,
    main_page_url,
    page_url,
    redirect_with_message,
    username_of,
)
from newsletter.admin.time_format import in_zone
from newsletter.models import IN_PROGRESS, Batch, BatchState, InvalidTransition, Issue, IssueState, Send, SendState
from newsletter.models.reasons import reason_sentence
from newsletter.reports.statistics import report_of
from newsletter.sending.control import ReasonNeeded, cancel_send, pause_send, resume_send
from newsletter.sending.reconcile import NotHeld, mark_as_sent, send_again
from newsletter.sending.recurring import approve_issue, keep_as_draft, next_occurrence, occurrence_of
from newsletter.sending.retry import RETRIABLE, count_failed, retry_failed
from newsletter.sending.schedule import IssueRefused, unschedule_send
from newsletter.sending.undo import undo_send

#: What a decision is about: an issue, or its send.
Subject = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One decision about an issue in one of `statuses`, or about its send. `explanation` gives the page's sentences.

    `act` takes the send (the issue, if `is_about_issue`), `by` and `text`, and raises InvalidTransition, IssueRefused
    or ReasonNeeded.
    """

    path: str
    title: str | Promise
    button: str | Promise
    statuses: tuple[str, ...]
    act: Callable[..., None]
    explanation: Callable[[Any], tuple[str, ...]]
    done: str | Promise
    is_final: bool = False
    is_about_issue: bool = False
    names_revision: bool = False
    """Whether it is about the content that its page showed; `act` then takes the `revision`, too."""
    needs_reason: Callable[[Any], bool] = lambda subject: False

    def subject_of(self, issue: Issue) -> Subject:
        """What `act` and `explanation` take."""
        return issue if self.is_about_issue else issue.current_send


def _explain_unschedule(send: Send) -> tuple[str, ...]:
    return (_("The issue becomes a draft again and can be edited. Nothing was sent."),)


def _explain_pause(send: Send) -> tuple[str, ...]:
    return (
        _("Mails that are not sent yet are held back; a post in flight ends first."),
        _("Mails that the provider has accepted cannot be recalled. You can resume at any time."),
    )


def _explain_resume(send: Send) -> tuple[str, ...]:
    return (
        _("It was paused: %(reason)s") % {"reason": send.hold_sentence},
        _("Sending continues where it stopped. Each subscriber still gets the issue once."),
    )


def _explain_undo(send: Send) -> tuple[str, ...]:
    return (
        _("The issue becomes a draft again. This works while nothing of it was sent."),
        _("If the first mails were sent meanwhile, nothing changes and you are told so."),
    )


def _explain_retry(send: Send) -> tuple[str, ...]:
    failed = count_failed(send)
    return (
        ngettext(
            "%(count)s delivery failed: the provider refused it, or could not send it after accepting it.",
            "%(count)s deliveries failed: the provider refused them, or could not send them after accepting them.",
            failed,
        )
        % {"count": number_format(failed, force_grouping=True)},
        _("Failed deliveries are attempted once more, as far as their recipients may still be mailed."),
        _("Recipients who have the issue, or may have it, get nothing."),
    )


def _explain_approve(issue: Issue) -> tuple[str, ...]:
    occurrence, zone = occurrence_of(issue), issue.newsletter.time_zone
    if occurrence:
        when = _("Its occurrence is %(schedule)s: %(time)s (%(zone)s).") % {
            "schedule": occurrence.schedule,
            "time": in_zone(occurrence.starts_at, zone),
            "zone": zone,
        }
    elif next_occurrence(issue.newsletter):
        when = _("Other issues have the next occurrences of this newsletter. This one is sent after them.")
    else:
        when = _(
            "This newsletter has no recurring schedule yet. Add one on the newsletter's page, such as Tuesdays 07:00. "
            "Until then nothing is sent."
        )
    return (
        when,
        _("The issue is sent as it is now. An edit withdraws the approval."),
        _(
            "If several issues are approved, the one that was created for the occurrence is sent first, then the one "
            "with the oldest date."
        ),
    )


def _explain_keep_as_draft(issue: Issue) -> tuple[str, ...]:
    return (
        _("No recurring schedule sends it, and it is no longer listed as needing attention."),
        _("It stays a draft until you approve, schedule or send it."),
    )


def _explain_cancel(send: Send) -> tuple[str, ...]:
    report = report_of(send)
    sent = report.accepted + report.in_flight + report.unknown
    return (
        ngettext(
            "%(count)s mail was sent or is being sent and cannot be recalled; its events are still recorded.",
            "%(count)s mails were sent or are being sent and cannot be recalled; their events are still recorded.",
            sent,
        )
        % {"count": number_format(sent, force_grouping=True)},
        _(
            "No further recipient gets this issue, and it is removed from the archive. Its web page stays reachable by "
            "the link in mails that were sent, and can be corrected. This cannot be undone."
        ),
    )


DECISIONS = (
    Decision(
        path="unschedule",
        title=gettext_lazy("Unschedule"),
        button=gettext_lazy("Unschedule"),
        statuses=(SendState.SCHEDULED,),
        act=unschedule_send,
        explanation=_explain_unschedule,
        done=gettext_lazy("The issue is a draft again."),
    ),
    Decision(
        path="pause",
        title=pgettext_lazy("send", "Pause"),
        button=gettext_lazy("Pause sending"),
        statuses=(SendState.SENDING,),
        act=pause_send,
        explanation=_explain_pause,
        done=gettext_lazy("Sending is paused."),
    ),
    Decision(
        path="resume",
        title=gettext_lazy("Resume"),
        button=gettext_lazy("Resume sending"),
        statuses=(SendState.PAUSED,),
        act=resume_send,
        explanation=_explain_resume,
        done=gettext_lazy("Sending is resumed."),
        needs_reason=lambda send: send.was_auto_paused,
    ),
    Decision(
        path="approve",
        title=gettext_lazy("Approve for the recurring schedule"),
        button=gettext_lazy("Approve issue"),
        statuses=(IssueState.DRAFT,),
        act=approve_issue,
        explanation=_explain_approve,
        is_about_issue=True,
        names_revision=True,
        done=gettext_lazy("The issue is approved for its recurring schedule."),
    ),
    Decision(
        path="keep-as-draft",
        title=gettext_lazy("Keep as draft"),
        button=gettext_lazy("Keep as draft"),
        statuses=(IssueState.DRAFT, IssueState.APPROVED),
        act=keep_as_draft,
        explanation=_explain_keep_as_draft,
        is_about_issue=True,
        done=gettext_lazy("The issue stays a draft."),
    ),
    Decision(
        path="undo",
        title=gettext_lazy("Undo the start"),
        button=gettext_lazy("Undo the start"),
        statuses=IN_PROGRESS,
        act=undo_send,
        explanation=_explain_undo,
        done=gettext_lazy("The start is undone. Nothing was sent, and the issue is a draft again."),
    ),
    Decision(
        path="retry-failed",
        title=gettext_lazy("Retry failed deliveries"),
        button=gettext_lazy("Retry failed deliveries"),
        statuses=RETRIABLE,
        act=retry_failed,
        explanation=_explain_retry,
        done=gettext_lazy("Failed deliveries are retried."),
    ),
    Decision(
        path="cancel",
        title=gettext_lazy("Cancel the send"),
        button=gettext_lazy("Cancel the send"),
        statuses=IN_PROGRESS,
        act=cancel_send,
        explanation=_explain_cancel,
        done=gettext_lazy("The send is cancelled. Mails that were sent cannot be recalled."),
        is_final=True,
    ),
)


def _page_of(decision: Decision) -> Page:
    @require_http_methods(["GET", "HEAD", "POST"])
    def decide(request: HttpRequest, issue: Issue) -> HttpResponse:
        if issue.status not in decision.statuses:
            return redirect_with_message(
                request, _nothing_to_decide(issue), main_page_url(issue), level=messages.WARNING
            )
        return _do(request, issue, decision) if request.method == "POST" else _ask(request, issue, decision)

    return Page(decision.path, decide, RequiredPermission.SEND)


def _nothing_to_decide(issue: Issue) -> str:
    return _("Nothing was changed: the status of this issue is “%(status)s”.") % {"status": issue.get_status_display()}


def _ask(
    request: HttpRequest, issue: Issue, decision: Decision, *, problem: str = "", refusal: tuple[str, ...] = ()
) -> HttpResponse:
    """The page. `problem` is about the reason that was given, `refusal` about the issue."""
    tab = "report" if issue.status in SendState.values and issue.status != SendState.SCHEDULED else "schedule"
    title = _("%(page)s: %(issue)s") % {"page": decision.title, "issue": issue.title}
    subject = decision.subject_of(issue)
    return issue_page(
        request,
        issue,
        "decide",
        title=_("Error: %(title)s") % {"title": title} if problem or refusal else title,
        tab=tab,
        heading=decision.title,
        button=decision.button,
        is_final=decision.is_final,
        names_revision=decision.names_revision,
        blocking=placed_findings(issue).errors if decision.names_revision else (),
        refusal=refusal,
        explanation=decision.explanation(subject),
        asks_reason=True,
        needs_reason=decision.needs_reason(subject),
        problem=problem,
        back=page_url(issue, tab),
    )


def _do(request: HttpRequest, issue: Issue, decision: Decision) -> HttpResponse:
    text = " ".join(request.POST.get("reason", "").split())[:500]
    try:
        shown = {"revision": _revision_shown(request)} if decision.names_revision else {}
        decision.act(decision.subject_of(issue), by=username_of(request), text=text, **shown)
    except ReasonNeeded as needed:
        return _ask(request, issue, decision, problem=str(needed))
    except IssueRefused as refused:
        return _ask(request, issue, decision, refusal=refused.sentences)
    except InvalidTransition as error:
        return redirect_with_message(request, str(error), main_page_url(_fresh(issue)), level=messages.WARNING)
    return redirect_with_message(request, str(decision.done), main_page_url(_fresh(issue)))


def _fresh(issue: Issue) -> Issue:
    return Issue.objects.with_send().select_related("newsletter").get(pk=issue.pk)


def _revision_shown(request: HttpRequest) -> int:
    revision = request.POST.get("revision", "")
    if not (revision.isascii() and revision.isdecimal() and len(revision) < 10):
        raise IssueRefused(_("The form is incomplete. Reload the page and confirm again."))
    return int(revision)


@require_http_methods(["GET", "HEAD", "POST"])
def decide_batch(request: HttpRequest, issue: Issue, batch_pk: int, *, again: bool) -> HttpResponse:
    """An operator's decision on a held batch, whose outcome neither an event nor the provider's list could prove."""
    batch = get_object_or_404(Batch.objects.defer("payload"), pk=batch_pk, send__issue=issue)
    if request.method == "POST":
        return _do_batch(request, issue, batch, again=again)
    if batch.state != BatchState.HELD:
        sentence = _("This batch is not held any more; its outcome is known.")
        return redirect_with_message(request, sentence, page_url(issue, "report"), level=messages.WARNING)
    number = {"batch": batch.pk}
    return issue_page(
        request,
        issue,
        "decide",
        title=_("Batch %(batch)s: %(issue)s") % {**number, "issue": issue.title},
        tab="report",
        heading=(_("Send batch %(batch)s again") if again else _("Mark batch %(batch)s as sent")) % number,
        button=_("Send again, with possible duplicates") if again else _("Mark as sent"),
        is_final=True,
        explanation=(
            reason_sentence(batch.reason, batch.reason_values),
            *(_explain_again() if again else _explain_mark()),
        ),
        asks_reason=False,
        back=page_url(issue, "report"),
    )


def _explain_again() -> tuple[str, ...]:
    return (
        _("The batch is posted again to those of its recipients who may still be mailed."),
        _("If it was sent the first time, each of them gets this issue twice."),
    )


def _explain_mark() -> tuple[str, ...]:
    return (
        _("Its recipients count as reached. If the batch was not sent, they never get this issue."),
        _("Look at the provider's log before you decide: it may show whether the batch arrived there."),
    )


def _do_batch(request: HttpRequest, issue: Issue, batch: Batch, *, again: bool) -> HttpResponse:
    report = page_url(issue, "report")
    try:
        (send_again if again else mark_as_sent)(batch, by=username_of(request))
    except NotHeld as error:
        return redirect_with_message(request, str(error), report, level=messages.WARNING)
    done = _("Batch %(batch)s is sent again.") if again else _("Batch %(batch)s is marked as sent.")
    return redirect_with_message(request, done % {"batch": batch.pk}, report)


PAGES = (
    *map(_page_of, DECISIONS),
    Page("batches/<int:batch_pk>/mark-as-sent", partial(decide_batch, again=False), RequiredPermission.SEND),
    Page("batches/<int:batch_pk>/send-again", partial(decide_batch, again=True), RequiredPermission.SEND),
)
