"""Slots: a newsletter comes out at its hours of the week, with a draft that is ready.

RecurringSchedule ─► Occurrence for its next day (and a draft for it) ─► its time comes ─► the ready draft starts,
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
from django.utils import timezone

from newsletter.content.document import IssueContent, SectionContent
from newsletter.content.store import ContentError, save_content
from newsletter.models import (
    InvalidTransition,
    Issue,
    IssueStatus,
    IssueTransition,
    Newsletter,
    Occurrence,
    RecurringSchedule,
)
from newsletter.preflight import Occasion
from newsletter.sending.schedule import DATABASE_IS_GONE, TRY_AGAIN, IssueRefused, dry_run, lock, start_issue
from newsletter.sending.wall_clock import nearest_instant_of

log = logging.getLogger(__name__)

NOBODY_READY = "No draft was marked ready, so nothing went out."


# --- The mark ------------------------------------------------------------------------------------------------------


def mark_ready(issue: Issue, *, by: str, reason: str = "", revision: int | None = None) -> None:
    """Let this draft, as it is now, go out at its newsletter's next schedule. What is saved later takes that back.

    Raises IssueRefused if it could not be sent as it is, or was saved since `revision`; InvalidTransition past draft.
    """
    if issue.status != IssueStatus.DRAFT:
        raise InvalidTransition(f"This issue is {issue.get_status_display().lower()}, so it waits for no schedule.")
    dry_run(issue)
    with transaction.atomic():
        lock(issue, revision=revision)
        _keep_ready(issue, issue.revision, by=by, reason=reason or "Marked ready for the next schedule.")


def unmark_ready(issue: Issue, *, by: str, reason: str = "") -> None:
    """Let no schedule take this draft, nor have it wait for a person. Raises InvalidTransition past draft."""
    with transaction.atomic():
        lock(issue)
        _keep_ready(issue, None, by=by, reason=reason or "Left as a draft.")


def _keep_ready(issue: Issue, revision: int | None, *, by: str, reason: str) -> None:
    if not Issue.objects.filter(pk=issue.pk, status=IssueStatus.DRAFT).update(ready_revision=revision, hold_reason=""):
        raise InvalidTransition(f"This issue is {issue.get_status_display().lower()} by now. Look at it again.")
    IssueTransition.objects.create(
        issue=issue, source=IssueStatus.DRAFT, target=IssueStatus.DRAFT, by=by, reason=reason
    )
    issue.refresh_from_db()


# --- Looking ahead -------------------------------------------------------------------------------------------------


def outlook(newsletter: Newsletter | None = None) -> list[tuple[Occurrence, Issue | None]]:
    """What would go out at each occurrence that is planned, the next one first; None where nothing is ready. Two queries."""
    ahead = Occurrence.objects.ahead().select_related("schedule__newsletter", "issue")
    occurrences = list(ahead.filter(schedule__newsletter=newsletter) if newsletter else ahead)
    ready = _ready_drafts({occurrence.schedule.newsletter_id for occurrence in occurrences})
    promised = {occurrence.issue_id for occurrence in occurrences}
    seen = []
    for occurrence in occurrences:
        issue = _choice(occurrence, ready, promised)
        ready = [one for one in ready if one != issue]
        seen.append((occurrence, issue))
    return seen


def next_occurrence(newsletter: Newsletter) -> Occurrence | None:
    """The next occurrence of any of its schedules."""
    return Occurrence.objects.ahead().filter(schedule__newsletter=newsletter).select_related("schedule").first()


def occurrence_of(issue: Issue) -> Occurrence | None:
    """The occurrence that would take this draft, or will if it is marked ready: its own, else the next that nobody has."""
    seen = outlook(issue.newsletter)
    taken = (occurrence for occurrence, other in seen if other == issue or occurrence.issue_id == issue.pk)
    return next(taken, None) or next((occurrence for occurrence, other in seen if other is None), None)


def _ready_drafts(newsletters: Collection[int]) -> list[Issue]:
    drafts = Issue.objects.filter(newsletter__in=newsletters, status=IssueStatus.DRAFT, ready_revision=F("revision"))
    return list(drafts.select_related("newsletter").order_by("date", "pk"))


def _choice(occurrence: Occurrence, ready: Iterable[Issue], promised: Collection[int | None]) -> Issue | None:
    """The draft that was made for the occurrence if it is ready, else the oldest that is and was made for no other."""
    drafts = [issue for issue in ready if issue.newsletter_id == occurrence.schedule.newsletter_id]
    own = next((issue for issue in drafts if issue.pk == occurrence.issue_id), None)
    return own or next((issue for issue in drafts if issue.pk not in promised), None)


# --- Planning ------------------------------------------------------------------------------------------------------


def plan_occurrences() -> bool:
    """Keep one occurrence planned for each active schedule, at the instant that its zone's rules of now give it.

    A schedule that cannot be planned says why, and keeps no other from it.
    """
    for occurrence in Occurrence.objects.filter(finished_at__isnull=True).select_related("schedule__newsletter"):
        _try_to(partial(_renew, occurrence), occurrence.schedule)
    ahead = Occurrence.objects.filter(schedule=OuterRef("pk"), finished_at__isnull=True)
    for schedule in RecurringSchedule.objects.filter(~Exists(ahead), is_active=True).select_related("newsletter"):
        _try_to(partial(plan_next, schedule), schedule)
    return False


def _try_to(plan: Callable[[], object], schedule: RecurringSchedule) -> None:
    problem = ""
    try:
        with transaction.atomic():
            plan()
    except DATABASE_IS_GONE:
        raise
    except Exception as error:
        problem = f"Its next day could not be planned ({type(error).__name__}); the worker's log says why."
        if isinstance(error, zoneinfo.ZoneInfoNotFoundError):
            zone = schedule.newsletter.time_zone
            problem = f"Its next day could not be planned: this machine knows no time zone “{zone}”. Choose another."
        if problem != schedule.problem:
            log.exception("schedule %s cannot be planned; it is tried again", schedule.pk)
    if problem != schedule.problem:
        RecurringSchedule.objects.filter(pk=schedule.pk).update(problem=problem)


def _renew(occurrence: Occurrence) -> None:
    """Follow a schedule that was moved or switched off. One that was moved to an hour that is over comes next week.

    A draft that was made for a occurrence that is given up stays.
    """
    planned, now = Occurrence.objects.filter(pk=occurrence.pk, finished_at__isnull=True), timezone.now()
    is_gone = not occurrence.schedule.is_active or occurrence.date.weekday() != occurrence.schedule.weekday
    if is_gone or instant_on(occurrence.schedule, occurrence.date) <= now < occurrence.starts_at:
        planned.delete()
    elif (instant := instant_on(occurrence.schedule, occurrence.date)) != occurrence.starts_at:
        planned.update(starts_at=instant)


def plan_next(schedule: RecurringSchedule) -> Occurrence:
    """The occurrence of the schedule's next day that has none yet, with a draft for it if the schedule has a title.

    Days are counted on the zone's calendar, so that the hour stays when clocks are set (R-127), and a day that has
    its occurrence never gets another, even if a clock is set back behind it (R-129).
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
    title = schedule.title.replace("{date}", f"{day.day} {day:%B %Y}")
    slug = _free_slug(schedule, day)
    sections = tuple(SectionContent(title=line.strip()) for line in schedule.sections.splitlines() if line.strip())
    content = IssueContent(title=title, slug=slug, date=day, subject=title, sections=sections)
    try:
        with transaction.atomic():
            occurrence.issue = Issue.objects.create(newsletter=schedule.newsletter, slug=slug, title=title, date=day)
            save_content(occurrence.issue, content, by=f"schedule {schedule}", note="recurring")
    except ContentError as error:
        log.warning("no draft was made for schedule %s: %s", schedule.pk, error)
        occurrence.issue = None
        occurrence.outcome = f"No draft could be made for it: {error} Mend the schedule's title or sections."[:500]
    occurrence.save(update_fields=["issue", "outcome"])


def _free_slug(schedule: RecurringSchedule, day: datetime.date) -> str:
    """The day, with the hour and a number as far as others have it already."""
    others = Issue.objects.filter(newsletter=schedule.newsletter, slug__startswith=day.isoformat())
    taken = set(others.values_list("slug", flat=True))
    at = f"{day}-{schedule.time:%H%M}"
    names = itertools.chain([day.isoformat(), at], (f"{at}-{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in taken)


# --- Starting ------------------------------------------------------------------------------------------------------


def start_due_occurrences() -> bool:
    """Start what is ready for the occurrence that is due longest, or write down why none does; whether there was one.

    The database's clock decides (R-131).
    A occurrence that fails keeps no other waiting: it says so, and is tried again until it is too late for it.
    """
    occurrence_pk = Occurrence.objects.due(Now()).values_list("pk", flat=True).first()
    if occurrence_pk is None:
        return False
    try:
        _start_due_occurrence(occurrence_pk)
    except DATABASE_IS_GONE:
        raise
    except Exception as error:
        log.exception("occurrence %s of a schedule could not be started; it is tried again", occurrence_pk)
        reason = f"It was due and could not be started ({type(error).__name__}); the worker's log says why. "
        failed = Occurrence.objects.filter(pk=occurrence_pk, finished_at__isnull=True)
        failed.update(next_try_at=Now() + TRY_AGAIN, outcome=f"{reason}It is tried again every minute.")
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
            occurrence.outcome, occurrence.finished_at = _run(occurrence, occurrence.clock)[:500], occurrence.clock
            log.info("schedule %s: %s", occurrence.schedule_id, occurrence.outcome)
            occurrence.save()
        else:
            occurrence.starts_at = instant_on(occurrence.schedule, occurrence.date)
            occurrence.save(update_fields=["starts_at"])


def _run(occurrence: Occurrence, now: datetime.datetime) -> str:
    """Start the issue of this occurrence; what became of it, as a sentence."""
    others = (
        Occurrence.objects.ahead().exclude(pk=occurrence.pk).filter(schedule__newsletter=occurrence.schedule.newsletter)
    )
    promised = set(others.values_list("issue", flat=True))
    issue = _choice(occurrence, _ready_drafts([occurrence.schedule.newsletter_id]), promised)
    if issue is None:
        _hold_draft(
            occurrence.issue_id,
            f"Its schedule ({occurrence}) came, and it was not marked ready. Send or schedule it by hand.",
        )
        return NOBODY_READY
    occurrence.issue = issue
    late = now - occurrence.starts_at
    if late > datetime.timedelta(minutes=settings.OVERDUE_MINUTES):
        reason = (
            f"Its schedule ({occurrence}) was found {late.total_seconds() / 60:,.0f} minutes late, so nothing was sent."
        )
        return _hold_draft(issue.pk, f"{reason} Send it now if that is still right, or mark it ready for the next.")
    try:
        with transaction.atomic():
            lock(issue, revision=issue.ready_revision)
            start_issue(issue, occasion=Occasion.START, by=f"schedule {occurrence.schedule}", approved=None)
    except IssueRefused as refusal:
        return _hold_draft(issue.pk, f"It could not go out at its schedule ({occurrence}): {refusal}")
    except InvalidTransition as wrong:
        return str(wrong)
    return f"“{issue.title}” went out."


def _hold_draft(issue_pk: int | None, reason: str) -> str:
    """Let the draft wait for a person, with the reason."""
    if issue_pk is not None:
        drafts = Issue.objects.filter(pk=issue_pk, status=IssueStatus.DRAFT)
        drafts.update(hold_reason=reason[:500], ready_revision=None)
    return reason
