"""Slots: a newsletter comes out at its hours of the week, with a draft that is ready. Imports schedule, content.

Slot ─► SlotRun for its next day (and a draft for it) ─► its time comes ─► the ready draft starts,
                                                                           or the run says why not
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
from newsletter.models import Issue, IssueStatus, IssueTransition, Newsletter, Slot, SlotRun, WrongStatus
from newsletter.preflight import Occasion
from newsletter.sending.schedule import DATABASE_IS_GONE, TRY_AGAIN, IssueRefused, dry_run, lock, start_issue
from newsletter.sending.wall_clock import nearest_instant_of

log = logging.getLogger(__name__)

NOBODY_READY = "No draft was marked ready, so nothing went out."


# --- The mark ------------------------------------------------------------------------------------------------------


def mark_ready(issue: Issue, *, by: str, reason: str = "", revision: int | None = None) -> None:
    """Let this draft, as it is now, go out at its newsletter's next slot. What is saved later takes that back.

    Raises IssueRefused if it could not be sent as it is, or was saved since `revision`; WrongStatus past draft.
    """
    if issue.status != IssueStatus.DRAFT:
        raise WrongStatus(f"This issue is {issue.get_status_display().lower()}, so it waits for no slot.")
    dry_run(issue)
    with transaction.atomic():
        lock(issue, revision=revision)
        _keep_ready(issue, issue.revision, by=by, reason=reason or "Marked ready for the next slot.")


def unmark_ready(issue: Issue, *, by: str, reason: str = "") -> None:
    """Let no slot take this draft, nor have it wait for a person. Raises WrongStatus past draft."""
    with transaction.atomic():
        lock(issue)
        _keep_ready(issue, None, by=by, reason=reason or "Left as a draft.")


def _keep_ready(issue: Issue, revision: int | None, *, by: str, reason: str) -> None:
    if not Issue.objects.filter(pk=issue.pk, status=IssueStatus.DRAFT).update(ready_revision=revision, hold_reason=""):
        raise WrongStatus(f"This issue is {issue.get_status_display().lower()} by now. Look at it again.")
    IssueTransition.objects.create(
        issue=issue, source=IssueStatus.DRAFT, target=IssueStatus.DRAFT, by=by, reason=reason
    )
    issue.refresh_from_db()


# --- Looking ahead -------------------------------------------------------------------------------------------------


def outlook(newsletter: Newsletter | None = None) -> list[tuple[SlotRun, Issue | None]]:
    """What would go out at each run that is planned, the next one first; None where nothing is ready. Two queries."""
    ahead = SlotRun.objects.ahead().select_related("slot__newsletter", "issue")
    runs = list(ahead.filter(slot__newsletter=newsletter) if newsletter else ahead)
    ready = _ready_drafts({run.slot.newsletter_id for run in runs})
    promised = {run.issue_id for run in runs}
    seen = []
    for run in runs:
        issue = _choice(run, ready, promised)
        ready = [one for one in ready if one != issue]
        seen.append((run, issue))
    return seen


def next_run(newsletter: Newsletter) -> SlotRun | None:
    """The next occurrence of any of its slots."""
    return SlotRun.objects.ahead().filter(slot__newsletter=newsletter).select_related("slot").first()


def run_of(issue: Issue) -> SlotRun | None:
    """The run that would take this draft, or will if it is marked ready: its own, else the next that nobody has."""
    seen = outlook(issue.newsletter)
    taken = (run for run, other in seen if other == issue or run.issue_id == issue.pk)
    return next(taken, None) or next((run for run, other in seen if other is None), None)


def _ready_drafts(newsletters: Collection[int]) -> list[Issue]:
    drafts = Issue.objects.filter(newsletter__in=newsletters, status=IssueStatus.DRAFT, ready_revision=F("revision"))
    return list(drafts.select_related("newsletter").order_by("date", "pk"))


def _choice(run: SlotRun, ready: Iterable[Issue], promised: Collection[int | None]) -> Issue | None:
    """The draft that was made for the run if it is ready, else the oldest that is and was made for no other."""
    drafts = [issue for issue in ready if issue.newsletter_id == run.slot.newsletter_id]
    own = next((issue for issue in drafts if issue.pk == run.issue_id), None)
    return own or next((issue for issue in drafts if issue.pk not in promised), None)


# --- Planning ------------------------------------------------------------------------------------------------------


def plan_slots() -> bool:
    """Keep one run planned for each active slot, at the instant that its zone's rules of now give it.

    A slot that cannot be planned says why, and keeps no other from it.
    """
    for run in SlotRun.objects.filter(finished_at__isnull=True).select_related("slot__newsletter"):
        _try_to(partial(_renew, run), run.slot)
    ahead = SlotRun.objects.filter(slot=OuterRef("pk"), finished_at__isnull=True)
    for slot in Slot.objects.filter(~Exists(ahead), is_active=True).select_related("newsletter"):
        _try_to(partial(plan_next, slot), slot)
    return False


def _try_to(plan: Callable[[], object], slot: Slot) -> None:
    problem = ""
    try:
        with transaction.atomic():
            plan()
    except DATABASE_IS_GONE:
        raise
    except Exception as error:
        problem = f"Its next day could not be planned ({type(error).__name__}); the worker's log says why."
        if isinstance(error, zoneinfo.ZoneInfoNotFoundError):
            zone = slot.newsletter.time_zone
            problem = f"Its next day could not be planned: this machine knows no time zone “{zone}”. Choose another."
        if problem != slot.problem:
            log.exception("slot %s cannot be planned; it is tried again", slot.pk)
    if problem != slot.problem:
        Slot.objects.filter(pk=slot.pk).update(problem=problem)


def _renew(run: SlotRun) -> None:
    """Follow a slot that was moved or switched off. One that was moved to an hour that is over comes next week.

    A draft that was made for a run that is given up stays.
    """
    planned, now = SlotRun.objects.filter(pk=run.pk, finished_at__isnull=True), timezone.now()
    is_gone = not run.slot.is_active or run.date.weekday() != run.slot.weekday
    if is_gone or instant_on(run.slot, run.date) <= now < run.starts_at:
        planned.delete()
    elif (instant := instant_on(run.slot, run.date)) != run.starts_at:
        planned.update(starts_at=instant)


def plan_next(slot: Slot) -> SlotRun:
    """The run of the slot's next day that has none yet, with a draft for it if the slot has a title.

    Days are counted on the zone's calendar, so that the hour stays when clocks are set (R-127), and a day that has
    its run never gets another, even if a clock is set back behind it (R-129).
    """
    now = timezone.now()
    day = now.astimezone(zoneinfo.ZoneInfo(slot.newsletter.time_zone)).date()
    if last := slot.runs.order_by("-date").first():
        day = max(day, last.date + datetime.timedelta(days=1))
    while day.weekday() != slot.weekday or instant_on(slot, day) <= now:
        day += datetime.timedelta(days=1)
    with transaction.atomic():
        run, is_new = SlotRun.objects.get_or_create(slot=slot, date=day, defaults={"starts_at": instant_on(slot, day)})
        if is_new and slot.title:
            _make_draft(run)
    return run


def instant_on(slot: Slot, day: datetime.date) -> datetime.datetime:
    """When clocks of the newsletter's zone show the slot's time on that day, also where they skip or repeat it."""
    return nearest_instant_of(datetime.datetime.combine(day, slot.time), slot.newsletter.time_zone)


def _make_draft(run: SlotRun) -> None:
    slot, day = run.slot, run.date
    title = slot.title.replace("{date}", f"{day.day} {day:%B %Y}")
    slug = _free_slug(slot, day)
    sections = tuple(SectionContent(title=line.strip()) for line in slot.sections.splitlines() if line.strip())
    content = IssueContent(title=title, slug=slug, date=day, subject=title, sections=sections)
    try:
        with transaction.atomic():
            run.issue = Issue.objects.create(newsletter=slot.newsletter, slug=slug, title=title, date=day)
            save_content(run.issue, content, by=f"slot {slot}", note="Made for its slot")
    except ContentError as error:
        log.warning("no draft was made for slot %s: %s", slot.pk, error)
        run.issue = None
        run.outcome = f"No draft could be made for it: {error} Mend the slot's title or sections."[:500]
    run.save(update_fields=["issue", "outcome"])


def _free_slug(slot: Slot, day: datetime.date) -> str:
    """The day, with the hour and a number as far as others have it already."""
    others = Issue.objects.filter(newsletter=slot.newsletter, slug__startswith=day.isoformat())
    taken = set(others.values_list("slug", flat=True))
    at = f"{day}-{slot.time:%H%M}"
    names = itertools.chain([day.isoformat(), at], (f"{at}-{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in taken)


# --- Starting ------------------------------------------------------------------------------------------------------


def start_due_slots() -> bool:
    """Start what is ready for the run that is due longest, or write down why none does; whether there was one.

    The database's clock decides (R-131).
    A run that fails keeps no other waiting: it says so, and is tried again until it is too late for it.
    """
    run_pk = SlotRun.objects.due(Now()).values_list("pk", flat=True).first()
    if run_pk is None:
        return False
    try:
        _start_due_slot(run_pk)
    except DATABASE_IS_GONE:
        raise
    except Exception as error:
        log.exception("run %s of a slot could not be started; it is tried again", run_pk)
        reason = f"It was due and could not be started ({type(error).__name__}); the worker's log says why. "
        failed = SlotRun.objects.filter(pk=run_pk, finished_at__isnull=True)
        failed.update(next_try_at=Now() + TRY_AGAIN, outcome=f"{reason}It is tried again every minute.")
    return True


def _start_due_slot(run_pk: int) -> None:
    with transaction.atomic():
        # A queryset with an annotation has no type that can be written.
        due: Any = SlotRun.objects.due(Now()).annotate(clock=Now()).filter(pk=run_pk)
        run = due.select_for_update(of=("self",)).select_related("slot__newsletter").first()
        if run is None:
            # Another worker was faster.
            return
        # The rules of the zone may have changed since it was planned.
        if instant_on(run.slot, run.date) <= run.clock:
            run.outcome, run.finished_at = _run(run, run.clock)[:500], run.clock
            log.info("slot %s: %s", run.slot_id, run.outcome)
            run.save()
        else:
            run.starts_at = instant_on(run.slot, run.date)
            run.save(update_fields=["starts_at"])


def _run(run: SlotRun, now: datetime.datetime) -> str:
    """Start the issue of this run; what became of it, as a sentence."""
    others = SlotRun.objects.ahead().exclude(pk=run.pk).filter(slot__newsletter=run.slot.newsletter)
    promised = set(others.values_list("issue", flat=True))
    issue = _choice(run, _ready_drafts([run.slot.newsletter_id]), promised)
    if issue is None:
        _hold_draft(run.issue_id, f"Its slot ({run}) came, and it was not marked ready. Send or schedule it by hand.")
        return NOBODY_READY
    run.issue = issue
    late = now - run.starts_at
    if late > datetime.timedelta(minutes=settings.OVERDUE_MINUTES):
        reason = f"Its slot ({run}) was found {late.total_seconds() / 60:,.0f} minutes late, so nothing was sent."
        return _hold_draft(issue.pk, f"{reason} Send it now if that is still right, or mark it ready for the next.")
    try:
        with transaction.atomic():
            lock(issue, revision=issue.ready_revision)
            start_issue(issue, occasion=Occasion.START, by=f"slot {run.slot}", approved=None)
    except IssueRefused as refusal:
        return _hold_draft(issue.pk, f"It could not go out at its slot ({run}): {refusal}")
    except WrongStatus as wrong:
        return str(wrong)
    return f"“{issue.title}” went out."


def _hold_draft(issue_pk: int | None, reason: str) -> str:
    """Let the draft wait for a person, with the reason."""
    if issue_pk is not None:
        drafts = Issue.objects.filter(pk=issue_pk, status=IssueStatus.DRAFT)
        drafts.update(hold_reason=reason[:500], ready_revision=None)
    return reason
