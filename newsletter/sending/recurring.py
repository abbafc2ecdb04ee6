"""Recurring schedules: at its hours of the week a newsletter sends the issue that is approved.

RecurringSchedule ─► Occurrence on its next day (and a draft for it) ─► it is due ─► the approved issue starts,
                                                                        or the occurrence says why not
"""

from __future__ import annotations

import datetime
import itertools
import logging
import zoneinfo
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.db.models.functions import Now
from django.utils import formats, timezone, translation
from django.utils.translation import gettext as _

from newsletter.config.translatable import to_data
from newsletter.content.document import IssueContent, SectionContent
from newsletter.content.store import ContentError, save_content
from newsletter.models import (
    InvalidTransition,
    Issue,
    IssueState,
    Newsletter,
    Occurrence,
    Reason,
    RecurringSchedule,
    Send,
    sending_stopped,
)
from newsletter.models.reasons import iso
from newsletter.preflight import Trigger
from newsletter.sending.control import operator_values
from newsletter.sending.schedule import (
    DATABASE_IS_DOWN,
    IssueRefused,
    dry_run,
    flag_issue,
    lock,
    run_of_refusal_recorded,
    start,
)
from newsletter.sending.start_holds import RETRY_AFTER
from newsletter.sending.wall_clock import nearest_instant_of

log = logging.getLogger(__name__)


# --- Approval ------------------------------------------------------------------------------------------------------


def approve_issue(issue: Issue, *, by: str, text: str = "", revision: int | None = None) -> None:
    """Let this issue, as it is now, be sent at the next occurrence. A later edit makes it a draft again.

    Raises IssueRefused if it could not be sent as it is, or was saved since `revision`; InvalidTransition if it is
    approved already or a send uses it.
    """
    _refuse_if_a_send_uses(issue)
    dry_run(issue)
    with transaction.atomic():
        lock(issue, revision=revision)
        _refuse_if_a_send_uses(issue)
        issue.move(
            IssueState.APPROVED,
            by=by,
            reason=Reason.APPROVED,
            values=operator_values(text),
            approved_revision=issue.revision,
            hold_reason="",
            hold_values={},
        )


def _refuse_if_a_send_uses(issue: Issue) -> None:
    if issue.current_send is not None:
        raise InvalidTransition(_("This issue is scheduled or sent already, so it needs no approval."))


def keep_as_draft(issue: Issue, *, by: str, text: str = "") -> None:
    """Withdraw the approval, and no longer list the issue as waiting for an operator. A draft stays a draft.

    Raises InvalidTransition if a send uses it.
    """
    with transaction.atomic():
        lock(issue)
        if issue.current_send is not None:
            raise InvalidTransition(_("This issue is scheduled or sent already. Reload the page and try again."))
        if issue.state == IssueState.APPROVED:
            issue.move(
                IssueState.DRAFT,
                by=by,
                reason=Reason.APPROVAL_WITHDRAWN,
                values=operator_values(text),
                approved_revision=None,
            )
        Issue.objects.filter(pk=issue.pk).update(hold_reason="", hold_values={})
        issue.hold_reason, issue.hold_values = "", {}


# --- Looking ahead -------------------------------------------------------------------------------------------------


def outlook(newsletter: Newsletter | None = None) -> list[tuple[Occurrence, Issue | None]]:
    """What would be sent at each planned occurrence, the next first; None where no issue is approved. Two queries."""
    ahead = Occurrence.objects.ahead().select_related("schedule__newsletter", "issue")
    occurrences = list(ahead.filter(schedule__newsletter=newsletter) if newsletter else ahead)
    approved = _approved_issues({occurrence.schedule.newsletter_id for occurrence in occurrences})
    reserved = {occurrence.issue_id for occurrence in occurrences}
    planned = []
    for occurrence in occurrences:
        issue = _choice(occurrence, approved, reserved)
        approved = [other for other in approved if other != issue]
        planned.append((occurrence, issue))
    return planned


def next_occurrence(newsletter: Newsletter) -> Occurrence | None:
    """The next occurrence of any of its recurring schedules."""
    return Occurrence.objects.ahead().filter(schedule__newsletter=newsletter).select_related("schedule").first()


def occurrence_of(issue: Issue) -> Occurrence | None:
    """The occurrence at which this issue will be sent if it is approved: its own, else the next free one."""
    planned = outlook(issue.newsletter)
    own = (occurrence for occurrence, other in planned if other == issue or occurrence.issue_id == issue.pk)
    return next(own, None) or next((occurrence for occurrence, other in planned if other is None), None)


def _approved_issues(newsletters: Collection[int]) -> list[Issue]:
    in_use = Send.objects.current().filter(issue=OuterRef("pk"))
    approved = Issue.objects.filter(
        ~Exists(in_use), newsletter__in=newsletters, state=IssueState.APPROVED, approved_revision=F("revision")
    )
    return list(approved.select_related("newsletter").order_by("date", "pk"))


def _choice(occurrence: Occurrence, approved: Iterable[Issue], reserved: Collection[int | None]) -> Issue | None:
    """The issue that was made for the occurrence if it is approved, else the oldest approved one made for no other."""
    issues = [issue for issue in approved if issue.newsletter_id == occurrence.schedule.newsletter_id]
    own = next((issue for issue in issues if issue.pk == occurrence.issue_id), None)
    return own or next((issue for issue in issues if issue.pk not in reserved), None)


# --- Planning ------------------------------------------------------------------------------------------------------


def plan_occurrences() -> bool:
    """Keep one occurrence planned for each active schedule, at the instant that the time-zone rules of now give it.

    A schedule that cannot be planned says why, and does not block the others. Returns whether a plan changed.
    """
    changed = 0
    planned = Occurrence.objects.filter(finished_at__isnull=True)
    for occurrence in planned.select_related("schedule__newsletter"):
        changed += _try_to(partial(_update, occurrence), occurrence.schedule)
    ahead = Occurrence.objects.filter(schedule=OuterRef("pk"), finished_at__isnull=True)
    for schedule in RecurringSchedule.objects.filter(~Exists(ahead), is_active=True).select_related("newsletter"):
        changed += _try_to(partial(plan_next, schedule), schedule)
    return changed > 0


def _try_to(plan: Callable[[], object], schedule: RecurringSchedule) -> bool:
    """Whether the plan changed."""
    problem, values, has_changed = "", {}, False
    try:
        with transaction.atomic():
            has_changed = bool(plan())
    except DATABASE_IS_DOWN:
        raise
    except zoneinfo.ZoneInfoNotFoundError:
        problem, values = Reason.ZONE_UNKNOWN.value, {"zone": schedule.newsletter.time_zone}
    except Exception as error:
        problem, values = Reason.NOT_PLANNED.value, {"error": type(error).__name__}
        if (problem, values) != (schedule.problem, schedule.problem_values):
            log.exception("Recurring schedule cannot be planned", extra={"schedule": schedule.pk})
    if (problem, values) != (schedule.problem, schedule.problem_values):
        RecurringSchedule.objects.filter(pk=schedule.pk).update(problem=problem, problem_values=values)
    return has_changed


def _update(occurrence: Occurrence) -> bool:
    """Follow a schedule that was moved or deactivated. One that was moved to an hour that is over comes next week.

    The draft of an occurrence that is dropped stays. Returns whether it changed.
    """
    planned, now = Occurrence.objects.filter(pk=occurrence.pk, finished_at__isnull=True), timezone.now()
    is_dropped = not occurrence.schedule.is_active or occurrence.date.weekday() != occurrence.schedule.weekday
    if is_dropped or instant_on(occurrence.schedule, occurrence.date) <= now < occurrence.starts_at:
        return planned.delete()[0] > 0
    instant = instant_on(occurrence.schedule, occurrence.date)
    return instant != occurrence.starts_at and planned.update(starts_at=instant) > 0


def plan_next(schedule: RecurringSchedule) -> Occurrence:
    """The occurrence on the schedule's next day that has none yet, with a draft for it if the schedule has a title.

    Days are counted on the zone's calendar, so that the hour stays when clocks change, and a day that has its
    occurrence never gets another, even if a clock is set back behind it.
    """
    now = timezone.now()
    day = now.astimezone(zoneinfo.ZoneInfo(schedule.newsletter.time_zone)).date()
    if last := schedule.occurrences.order_by("-date").first():
        day = max(day, last.date + datetime.timedelta(days=1))
    while day.weekday() != schedule.weekday or instant_on(schedule, day) <= now:
        day += datetime.timedelta(days=1)
    with transaction.atomic():
        occurrence, is_new = Occurrence.objects.get_or_create(
            schedule=schedule, date=day, defaults={"starts_at": instant_on(schedule, day)}
        )
        if is_new and schedule.title:
            _make_draft(occurrence)
    return occurrence


def instant_on(schedule: RecurringSchedule, day: datetime.date) -> datetime.datetime:
    """When clocks of the newsletter's zone show the schedule's time on that day, also where they skip or repeat it."""
    return nearest_instant_of(datetime.datetime.combine(day, schedule.time), schedule.newsletter.time_zone)


def _make_draft(occurrence: Occurrence) -> None:
    schedule, day = occurrence.schedule, occurrence.date
    with translation.override(schedule.newsletter.language):
        title = schedule.title.replace("{date}", formats.date_format(day, "DATE_FORMAT"))
    slug = _free_slug(schedule, day)
    sections = tuple(SectionContent(title=line.strip()) for line in schedule.sections.splitlines() if line.strip())
    content = IssueContent(title=title, slug=slug, date=day, subject=title, sections=sections)
    try:
        with transaction.atomic():
            occurrence.issue = Issue.objects.create(newsletter=schedule.newsletter, slug=slug, title=title, date=day)
            save_content(occurrence.issue, content, by="recurring schedule", note="recurring")
    except ContentError as error:
        log.warning("Draft not made", extra={"schedule": schedule.pk, "error": str(error)})
        occurrence.issue = None
        occurrence.reason = Reason.DRAFT_NOT_MADE
        occurrence.values = {"sentences": [to_data(argument) for argument in error.args]}
    occurrence.save(update_fields=["issue", "reason", "values"])


def _free_slug(schedule: RecurringSchedule, day: datetime.date) -> str:
    """The day, with the hour and a number as far as other issues have it already."""
    others = Issue.objects.filter(newsletter=schedule.newsletter, slug__startswith=day.isoformat())
    taken = set(others.values_list("slug", flat=True))
    at = f"{day}-{schedule.time:%H%M}"
    names = itertools.chain([day.isoformat(), at], (f"{at}-{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in taken)


# --- Starting ------------------------------------------------------------------------------------------------------


def start_next_due_occurrence() -> bool:
    """Start the approved issue of the occurrence that is due longest, or record why none starts; whether one was due.

    The database's clock decides. An occurrence that fails does not block the others: it is retried until it is too
    late for it. While all sending is stopped, none starts.
    """
    occurrence_pk = Occurrence.objects.due(Now()).values_list("pk", flat=True).first()
    if occurrence_pk is None or sending_stopped():
        return False
    try:
        _start_due_occurrence(occurrence_pk)
    except DATABASE_IS_DOWN:
        raise
    except Exception as error:
        log.exception("Occurrence not started", extra={"occurrence": occurrence_pk})
        failed = Occurrence.objects.filter(pk=occurrence_pk, finished_at__isnull=True)
        failed.update(
            retry_start_at=Now() + RETRY_AFTER,
            reason=Reason.OCCURRENCE_FAILED,
            values={"error": type(error).__name__},
        )
    return True


def _start_due_occurrence(occurrence_pk: int) -> None:
    with transaction.atomic():
        # A queryset with an annotation has no type that can be written.
        due: Any = Occurrence.objects.due(Now()).annotate(clock=Now()).filter(pk=occurrence_pk)
        occurrence = due.select_for_update(of=("self",)).select_related("schedule__newsletter").first()
        if occurrence is None:
            # Another worker was faster.
            return
        # The rules of the zone may have changed since it was planned.
        if instant_on(occurrence.schedule, occurrence.date) <= occurrence.clock:
            occurrence.reason, occurrence.values = _run(occurrence, occurrence.clock)
            occurrence.finished_at = occurrence.clock
            details = {"schedule": occurrence.schedule_id, "occurrence": occurrence.pk, "reason": occurrence.reason}
            log.info("Occurrence finished", extra=details)
            occurrence.save()
        else:
            occurrence.starts_at = instant_on(occurrence.schedule, occurrence.date)
            occurrence.save(update_fields=["starts_at"])


def _run(occurrence: Occurrence, now: datetime.datetime) -> tuple[Reason, dict[str, Any]]:
    """Start the issue of this occurrence; what became of it, as a reason with its values."""
    others = Occurrence.objects.ahead().exclude(pk=occurrence.pk)
    reserved = set(others.filter(schedule__newsletter=occurrence.schedule.newsletter).values_list("issue", flat=True))
    issue = _choice(occurrence, _approved_issues([occurrence.schedule.newsletter_id]), reserved)
    name = {"occurrence_at": iso(occurrence.starts_at)}
    if issue is None:
        if occurrence.issue and occurrence.issue.is_editable:
            flag_issue(occurrence.issue, Reason.OCCURRENCE_MISSED, name)
        return Reason.NO_APPROVED_ISSUE, {}
    occurrence.issue = issue
    late = now - occurrence.starts_at
    if late > datetime.timedelta(minutes=settings.OVERDUE_MINUTES):
        values = {**name, "minutes": round(late.total_seconds() / 60)}
        return _hold(issue, Reason.OCCURRENCE_LATE, values)
    try:
        by = f"recurring schedule {occurrence.schedule}"[:150]
        with run_of_refusal_recorded(issue, by=by), transaction.atomic():
            lock(issue, revision=issue.approved_revision)
            start(issue, issue.current_send, trigger=Trigger.SCHEDULED_START, by="recurring schedule", approved=None)
    except IssueRefused as refusal:
        return _hold(issue, Reason.OCCURRENCE_REFUSED, {**name, **refusal.values})
    except InvalidTransition as error:
        return Reason.OTHER, {"text": str(error)}
    return Reason.OCCURRENCE_SENT, {"title": issue.title}


def _hold(issue: Issue, reason: Reason, values: dict[str, Any]) -> tuple[Reason, dict[str, Any]]:
    """Let the issue wait for an operator, no longer approved; the reason and its values."""
    issue.revoke_approval(by="recurring schedule", reason=reason)
    flag_issue(issue, reason, values)
    return reason, values
