"""The decisions about an issue that is scheduled or on its way, and about batches in doubt.

Each is one page: GET says what it means, POST does it. Pressing twice is harmless: the second press is told what
holds now.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_http_methods

from newsletter.admin.check import placed_findings
from newsletter.admin.pages import Need, Page, editor_of, home_of, issue_page, page_url, tell_and_go
from newsletter.admin.time_format import in_zone
from newsletter.models import Batch, BatchState, InvalidTransition, Issue, IssueStatus
from newsletter.reports.statistics import report_of
from newsletter.sending.control import ReasonNeeded, cancel_issue, pause_issue, resume_issue
from newsletter.sending.reconcile import NotInDoubt, count_as_sent, send_again
from newsletter.sending.recurring import mark_ready, next_occurrence, occurrence_of, unmark_ready
from newsletter.sending.retry import RETRIABLE, count_failed, retry_failed
from newsletter.sending.schedule import IssueRefused, unschedule_issue
from newsletter.sending.undo import UNDOABLE, undo_send


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One way on for an issue in one of the states `sources`. `meaning` are the sentences that stand on its page.

    `verb` takes the issue, `by` and `reason`, and raises InvalidTransition, IssueRefused or ReasonNeeded.
    """

    path: str
    title: str
    button: str
    sources: tuple[IssueStatus, ...]
    verb: Callable[..., None]
    meaning: Callable[[Issue], tuple[str, ...]]
    done: str
    is_final: bool = False
    is_about_words: bool = False
    """Whether it is about the words as they were when its page was shown; `verb` takes their `revision`, too."""
    needs_reason: Callable[[Issue], bool] = lambda issue: False


def _meaning_of_unschedule(issue: Issue) -> tuple[str, ...]:
    return ("It becomes a draft again and can be edited. Nothing has gone out.",)


def _meaning_of_pause(issue: Issue) -> tuple[str, ...]:
    return (
        "What is not out yet is held back from now on; a post that is under way ends first.",
        "Messages that were handed over cannot be recalled. You can resume at any time.",
    )


def _meaning_of_resume(issue: Issue) -> tuple[str, ...]:
    why = f"It was paused because: {issue.hold_reason}" if issue.hold_reason else "It was paused by hand."
    return (why, "Sending goes on where it stopped. Nobody gets it twice.")


def _meaning_of_undo(issue: Issue) -> tuple[str, ...]:
    return (
        "It becomes a draft again, as if it had not been started. That works while nothing of it is out.",
        "If the first mails are on their way by now, nothing is changed, and you are told so.",
    )


def _meaning_of_retry(issue: Issue) -> tuple[str, ...]:
    failed = count_failed(issue)
    return (
        f"{failed:,} {'reader was' if failed == 1 else 'readers were'} refused by the provider, at once or after "
        "it had taken their mail, so they have nothing of this issue. They are tried once more, as far as they may "
        "still be mailed.",
        "Nobody else gets anything: not who has it, and not who may have it.",
    )


def _meaning_of_ready(issue: Issue) -> tuple[str, ...]:
    run, zone = occurrence_of(issue), issue.newsletter.time_zone
    if run:
        when = f"Its slot is {run.schedule}: {in_zone(run.starts_at, zone)} ({zone})."
    elif next_occurrence(issue.newsletter):
        when = "Other drafts have the next slots of this newsletter. It goes out after them."
    else:
        when = (
            "This newsletter has no slot yet: add one on its page, such as Tuesdays 07:00. Until then nothing happens."
        )
    return (
        when,
        "It goes out then as it is now. If somebody saves it again, it has to be marked again.",
        "If several drafts are ready, the one that was made for the slot goes first, then the one of the oldest date.",
    )


def _meaning_of_not_ready(issue: Issue) -> tuple[str, ...]:
    return (
        "No slot takes it, and it is not named any more among what needs attention.",
        "It stays a draft until you mark it ready again, schedule it or send it.",
    )


def _meaning_of_cancel(issue: Issue) -> tuple[str, ...]:
    report = report_of(issue)
    out = report.accepted + report.under_way + report.unknown
    return (
        f"{out:,} mails are out or on their way and stay so; what becomes of them is still followed.",
        "Nobody else gets this issue, and it leaves the archive. There is no way back: a correction is a new issue.",
    )


DECISIONS = (
    Decision(
        path="unschedule",
        title="Take off the schedule",
        button="Take it off the schedule",
        sources=(IssueStatus.SCHEDULED,),
        verb=unschedule_issue,
        meaning=_meaning_of_unschedule,
        done="The issue is a draft again.",
    ),
    Decision(
        path="pause",
        title="Pause",
        button="Pause sending",
        sources=(IssueStatus.SENDING,),
        verb=pause_issue,
        meaning=_meaning_of_pause,
        done="Sending is paused.",
    ),
    Decision(
        path="resume",
        title="Resume",
        button="Resume sending",
        sources=(IssueStatus.PAUSED,),
        verb=resume_issue,
        meaning=_meaning_of_resume,
        done="Sending goes on.",
        needs_reason=lambda issue: issue.is_braked,
    ),
    Decision(
        path="ready",
        title="Ready for the next slot",
        button="Mark it ready",
        sources=(IssueStatus.DRAFT,),
        verb=mark_ready,
        meaning=_meaning_of_ready,
        is_about_words=True,
        done="It is ready for its slot.",
    ),
    Decision(
        path="not-ready",
        title="Leave it a draft",
        button="Leave it a draft",
        sources=(IssueStatus.DRAFT,),
        verb=unmark_ready,
        meaning=_meaning_of_not_ready,
        done="It stays a draft, and waits for nothing.",
    ),
    Decision(
        path="undo",
        title="Undo the start",
        button="Undo: make it a draft again",
        sources=UNDOABLE,
        verb=undo_send,
        meaning=_meaning_of_undo,
        done="Undone. Nothing was sent, and it is a draft again.",
    ),
    Decision(
        path="retry-failed",
        title="Try the refused again",
        button="Try them again",
        sources=RETRIABLE,
        verb=retry_failed,
        meaning=_meaning_of_retry,
        done="Who was refused is tried again.",
    ),
    Decision(
        path="cancel",
        title="Cancel the rest",
        button="Cancel the rest for good",
        sources=(IssueStatus.SENDING, IssueStatus.PAUSED),
        verb=cancel_issue,
        meaning=_meaning_of_cancel,
        done="The rest is cancelled. What is out is out.",
        is_final=True,
    ),
)


def _page_of(decision: Decision) -> Page:
    @require_http_methods(["GET", "HEAD", "POST"])
    def decide(request: HttpRequest, issue: Issue) -> HttpResponse:
        if request.method == "POST":
            return _do(request, issue, decision)
        if issue.status not in decision.sources:
            sentence = f"This issue is {issue.get_status_display().lower()}; there is nothing to decide here."
            return tell_and_go(request, sentence, home_of(issue), level=messages.WARNING)
        return _ask(request, issue, decision)

    return Page(decision.path, decide, Need.SEND)


def _ask(
    request: HttpRequest, issue: Issue, decision: Decision, *, problem: str = "", refusal: tuple[str, ...] = ()
) -> HttpResponse:
    """The page. `problem` is with the reason that was given, `refusal` with the issue."""
    step = "schedule" if issue.status in (IssueStatus.DRAFT, IssueStatus.SCHEDULED) else "report"
    return issue_page(
        request,
        issue,
        "decide",
        title=f"{'Error: ' if problem or refusal else ''}{decision.title}: {issue.title}",
        step=step,
        heading=decision.title,
        button=decision.button,
        is_final=decision.is_final,
        is_about_words=decision.is_about_words,
        blocking=placed_findings(issue).errors if decision.is_about_words else (),
        refusal=refusal,
        meaning=decision.meaning(issue),
        asks_reason=True,
        needs_reason=decision.needs_reason(issue),
        problem=problem,
        back=page_url(issue, step),
    )


def _do(request: HttpRequest, issue: Issue, decision: Decision) -> HttpResponse:
    reason = " ".join(request.POST.get("reason", "").split())[:500]
    try:
        if issue.status not in decision.sources:
            raise InvalidTransition(f"This issue is {issue.get_status_display().lower()} already; nothing was changed.")
        said = reason if decision.needs_reason(issue) else reason or f"{decision.title}, by {editor_of(request)}."
        seen = {"revision": _revision_seen(request)} if decision.is_about_words else {}
        decision.verb(issue, by=editor_of(request), reason=said, **seen)
    except ReasonNeeded as needed:
        return _ask(request, issue, decision, problem=str(needed))
    except IssueRefused as refused:
        return _ask(request, issue, decision, refusal=refused.sentences)
    except InvalidTransition as wrong:
        issue.refresh_from_db()
        return tell_and_go(request, str(wrong), home_of(issue), level=messages.WARNING)
    return tell_and_go(request, decision.done, home_of(issue))


def _revision_seen(request: HttpRequest) -> int:
    given = request.POST.get("revision", "")
    if not (given.isascii() and given.isdecimal() and len(given) < 10):
        raise IssueRefused(
            "The page did not say which revision of the issue it showed. Look at it again, and confirm that."
        )
    return int(given)


@require_http_methods(["GET", "HEAD", "POST"])
def decide_batch(request: HttpRequest, issue: Issue, batch_pk: int, *, goes_again: bool) -> HttpResponse:
    """A person's word on a batch of which nobody else knows whether it went out (R-112)."""
    batch = get_object_or_404(Batch.objects.select_related("edition"), pk=batch_pk, edition__issue=issue)
    if request.method == "POST":
        return _do_batch(request, issue, batch, goes_again=goes_again)
    if batch.state != BatchState.HELD:
        return tell_and_go(request, NOT_HELD, page_url(issue, "report"), level=messages.WARNING)
    return issue_page(
        request,
        issue,
        "decide",
        title=f"Batch {batch.pk}: {issue.title}",
        step="report",
        heading=f"Send batch {batch.pk} again" if goes_again else f"Count batch {batch.pk} as sent",
        button="Send again; readers may get it twice" if goes_again else "Count as sent",
        is_final=True,
        meaning=(batch.reason, *(_AGAIN if goes_again else _AS_SENT)),
        asks_reason=False,
        back=page_url(issue, "report"),
    )


NOT_HELD = "This batch is not held any more; its outcome is known."
_AGAIN = (
    "It is posted anew to those of its readers who may still be mailed.",
    "If it did go out the first time, each of them gets this issue twice.",
)
_AS_SENT = (
    "Its readers count as reached. If it did not go out, they never get this issue.",
    "Look into your provider's log before you decide: it may tell whether it arrived there.",
)


def _do_batch(request: HttpRequest, issue: Issue, batch: Batch, *, goes_again: bool) -> HttpResponse:
    report = page_url(issue, "report")
    try:
        (send_again if goes_again else count_as_sent)(batch, by=editor_of(request))
    except NotInDoubt as refusal:
        return tell_and_go(request, str(refusal), report, level=messages.WARNING)
    done = "goes out again." if goes_again else "counts as sent."
    return tell_and_go(request, f"Batch {batch.pk} {done}", report)


PAGES = (
    *map(_page_of, DECISIONS),
    Page("batches/<int:batch_pk>/count-as-sent", partial(decide_batch, goes_again=False), Need.SEND),
    Page("batches/<int:batch_pk>/send-again", partial(decide_batch, goes_again=True), Need.SEND),
)
