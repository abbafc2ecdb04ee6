"""Diagnostics of sends and recurring schedules: what is late, on hold, paused, or needs a decision."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from django.db.models import Count, Exists, Max, OuterRef, Subquery, Sum
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from newsletter.models import (
    IN_PROGRESS,
    STARTED,
    Batch,
    BatchState,
    Issue,
    Occurrence,
    Reason,
    RecurringSchedule,
    Send,
    SendCount,
    SendState,
    SendTransition,
    WeeklyPlan,
    sending_stopped,
)
from newsletter.models.reasons import actor_name
from newsletter.models.send import SendQuerySet
from newsletter.monitoring.diagnostic import GRACE_PERIOD, RECENT, Diagnostic, Severity
from newsletter.monitoring.formatting import duration, number
from newsletter.monitoring.heartbeat import workers
from newsletter.sending.auto_pause import complaint_warning
from newsletter.sending.weekly import blocking_send, undecided_digests

#: The most diagnostics of one kind.
MAX_SHOWN = 10

#: Pauses that are no error: an operator's own, and one that a diagnostic of the provider explains.
EXPECTED_PAUSES = (Reason.OPERATOR, Reason.PROVIDER_OUTAGE)


def _sends() -> SendQuerySet:
    """Sends with what a sentence names, and without what is large."""
    return Send.objects.select_related("issue__newsletter").defer("manifest")


def overdue_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Scheduled sends whose time has come and that no worker has started."""
    overdue = list(_sends().due(now - GRACE_PERIOD)[:MAX_SHOWN])
    is_stopped = bool(overdue) and sending_stopped() is not None
    for send in overdue:
        late = duration((now - (send.scheduled_at or now)).total_seconds())
        yield Diagnostic(
            name="overdue",
            severity=Severity.ERROR,
            sentence=_("“%(title)s” should have started %(late)s ago.") % {"title": send.issue.title, "late": late},
            advice=_("It starts when sending resumes, or is held for confirmation if it is too late by then.")
            if is_stopped
            else _("It starts as soon as a worker runs. Unschedule it if it is too late to send it."),
            issue=send.issue,
        )


def on_hold_diagnostics() -> Iterator[Diagnostic]:
    """Scheduled sends and issues that were due and not sent: an operator must decide, or fix the cause."""
    scheduled = _sends().filter(state=SendState.SCHEDULED).exclude(hold_reason="")
    for send in scheduled.order_by("-scheduled_at", "pk")[:MAX_SHOWN]:
        if send.retry_start_at:
            sentence = _("“%(title)s” did not start. %(reason)s")
            advice = _("Check the worker's log, or send the issue manually.")
        else:
            sentence, advice = _("“%(title)s” is on hold. %(reason)s"), _("Decide on its schedule page.")
        sentence %= {"title": send.issue.title, "reason": send.hold_sentence}
        yield Diagnostic(name="on_hold", severity=Severity.ERROR, sentence=sentence, advice=advice, issue=send.issue)
    in_use = Send.objects.current().filter(issue=OuterRef("pk"))
    issues = Issue.objects.filter(~Exists(in_use)).exclude(hold_reason="").select_related("newsletter")
    for issue in issues.order_by("-updated_at", "pk")[:MAX_SHOWN]:
        # An issue that was not approved in time is no fault of the installation.
        is_expected = issue.hold_reason == Reason.OCCURRENCE_MISSED
        values = {"title": issue.title, "reason": issue.hold_sentence}
        yield Diagnostic(
            name="on_hold",
            severity=Severity.WARNING if is_expected else Severity.ERROR,
            sentence=_("“%(title)s” was not sent. %(reason)s") % values,
            advice=_("Decide on its schedule page."),
            issue=issue,
        )


def recurring_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Recurring schedules that cannot be planned or started, and occurrences without an issue to send."""
    schedules = RecurringSchedule.objects.filter(is_active=True).exclude(problem="").select_related("newsletter")
    for schedule in schedules[:MAX_SHOWN]:
        sentence = _("The recurring schedule “%(schedule)s” of %(newsletter)s is not planned. %(reason)s") % {
            "schedule": schedule,
            "newsletter": schedule.newsletter.name,
            "reason": schedule.problem_sentence,
        }
        advice = _("Check the newsletter's time zone and recurring schedules. The worker's log has the details.")
        yield Diagnostic(name="recurring_schedule", severity=Severity.ERROR, sentence=sentence, advice=advice)
    yield from _occurrence_diagnostics(now)


def weekly_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Weekly digests that cannot be composed, that wait for a send, or that were composed and not sent."""
    failed = WeeklyPlan.objects.exclude(problem="").select_related("newsletter")
    for plan in failed[:MAX_SHOWN]:
        yield Diagnostic(
            name="weekly_digest",
            severity=Severity.ERROR,
            sentence=_("The weekly digest of %(newsletter)s is late. %(reason)s")
            % {"newsletter": plan.newsletter.name, "reason": plan.problem_sentence},
            advice=_("Check the newsletter's time zone and the issues of the week. The worker's log has the details."),
        )
    late = WeeklyPlan.objects.due(now - GRACE_PERIOD).filter(problem="").select_related("newsletter")
    blocked = ((plan, blocking_send(plan.newsletter)) for plan in late)
    for plan, send in [(plan, send) for plan, send in blocked if send][:MAX_SHOWN]:
        yield Diagnostic(
            name="weekly_digest",
            severity=Severity.WARNING,
            sentence=_("The weekly digest of %(newsletter)s waits for “%(title)s”, which is being sent.")
            % {"newsletter": plan.newsletter.name, "title": send.issue.title},
            advice=_("It is composed when the first mails of that issue are sent. Resume or cancel the issue if not."),
            issue=send.issue,
        )
    # One that was refused has a reason, and is among the issues on hold.
    for issue in undecided_digests().filter(
        ~Exists(Send.objects.current().filter(issue=OuterRef("pk"))), hold_reason=""
    )[:MAX_SHOWN]:
        yield Diagnostic(
            name="weekly_digest",
            severity=Severity.ERROR,
            sentence=_("“%(title)s” was not sent: its recipients miss the issues in it.") % {"title": issue.title},
            advice=_("Send it on its schedule page."),
            issue=issue,
        )


def _occurrence_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    failed = Occurrence.objects.ahead().filter(retry_start_at__isnull=False)
    for occurrence in failed.select_related("schedule__newsletter", "issue")[:MAX_SHOWN]:
        yield Diagnostic(
            name="recurring_schedule",
            severity=Severity.ERROR,
            sentence=_("The occurrence “%(occurrence)s” of %(newsletter)s did not start. %(reason)s")
            % _occurrence_values(occurrence),
            advice=_("The worker's log has the cause. When it is too late to start, the issue is put on hold."),
            issue=occurrence.issue,
        )
    sent_since = Send.objects.current().filter(
        issue__newsletter=OuterRef("schedule__newsletter"),
        issue__digest_at__isnull=True,
        started_at__gte=OuterRef("starts_at"),
    )
    empty = Occurrence.objects.filter(~Exists(sent_since), issue__isnull=True, finished_at__gte=now - RECENT)
    for occurrence in empty.select_related("schedule__newsletter").order_by("-starts_at")[:MAX_SHOWN]:
        yield Diagnostic(
            name="recurring_schedule",
            severity=Severity.WARNING,
            sentence=_("The occurrence “%(occurrence)s” of %(newsletter)s has passed. %(reason)s")
            % _occurrence_values(occurrence),
            advice=_("Send or schedule an issue manually, or approve one for the next occurrence."),
        )


def _occurrence_values(occurrence: Occurrence) -> dict[str, str]:
    newsletter = occurrence.schedule.newsletter.name
    return {"occurrence": str(occurrence), "newsletter": newsletter, "reason": occurrence.outcome}


def paused_diagnostics() -> Iterator[Diagnostic]:
    """Paused sends, with who paused them and why."""
    pauses = SendTransition.objects.filter(send=OuterRef("pk"), target=SendState.PAUSED).order_by("-pk")
    paused = _sends().filter(state=SendState.PAUSED).annotate(paused_by=Subquery(pauses.values("by")[:1]))
    for send in paused.order_by("started_at")[:MAX_SHOWN]:
        by = actor_name(getattr(send, "paused_by") or "")  # noqa: B009 - an annotation
        sentence = _("“%(title)s” was paused by %(by)s. %(reason)s") if by else _("“%(title)s” is paused. %(reason)s")
        values = {"title": send.issue.title, "by": by, "reason": send.hold_sentence}
        yield Diagnostic(
            name="paused",
            severity=Severity.WARNING if send.hold_reason in EXPECTED_PAUSES else Severity.ERROR,
            sentence=(sentence % values).strip(),
            advice=_("It resumes automatically when a provider accepts mail again. No recipient gets it twice.")
            if send.waits_for_provider
            else _("Fix the cause, then resume it on its report page. No recipient gets it twice."),
            issue=send.issue,
        )


def held_batch_diagnostics() -> Iterator[Diagnostic]:
    """Batches of which it is unknown whether they were sent."""
    states = (*IN_PROGRESS, SendState.CANCELLED)
    held = Batch.objects.filter(state=BatchState.HELD, send__state__in=states).order_by()
    groups = held.values_list("send").annotate(count=Count("pk"), mails=Sum("recipients"))
    counts = {send_pk: (count, mails) for send_pk, count, mails in groups}
    for send in _sends().filter(pk__in=counts).order_by("pk")[:MAX_SHOWN]:
        count, mails = counts[send.pk]
        sentence = ngettext(
            "%(count)s batch of “%(title)s” is held, because its outcome is unknown. Recipients: %(recipients)s.",
            "%(count)s batches of “%(title)s” are held, because their outcome is unknown. Recipients: %(recipients)s.",
            count,
        )
        values = {"count": number(count), "title": send.issue.title, "recipients": number(mails or 0)}
        yield Diagnostic(
            name="held_batches",
            severity=Severity.WARNING,
            sentence=sentence % values,
            advice=_("Check the provider's log, then decide on the report page. A webhook event may decide it first."),
            issue=send.issue,
        )


def complaint_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Recent sends with more complaints than mailbox providers tolerate in the long run."""
    recent = list(_sends().filter(state__in=STARTED, started_at__gte=now - RECENT).order_by("-started_at")[:MAX_SHOWN])
    totals = SendCount.objects.totals(send.pk for send in recent)
    for send in recent:
        if warning := complaint_warning(send, totals.get(send.pk, {})):
            yield Diagnostic(
                name="complaints",
                severity=Severity.WARNING,
                sentence=_("“%(title)s”: %(warning)s") % {"title": send.issue.title, "warning": warning},
                advice=_("Gmail does not report single complaints: check Google Postmaster Tools, too."),
                issue=send.issue,
            )


def lease_diagnostics(send: Send, now: datetime.datetime) -> Iterator[Diagnostic]:
    """Batches that a dead worker had claimed: another worker takes them over when the lease ends."""
    alive = [state.name for state in workers() if state.is_alive]
    claimed = Batch.objects.filter(send=send, state=BatchState.CLAIMED, lease_until__gt=now)
    until = claimed.exclude(claimed_by__in=alive).aggregate(until=Max("lease_until"))["until"]
    if until and alive:
        wait = duration((until - now).total_seconds())
        yield Diagnostic(
            name="lease",
            severity=Severity.WARNING,
            sentence=_("A worker died while it had batches. Another worker takes them over in %(wait)s.")
            % {"wait": wait},
            advice=_("Nothing to do: the same bytes are posted again under the same key."),
            issue=send.issue,
        )
