"""Slots: a newsletter comes out at its hours of the week, with a draft that is ready. Imports schedule, content.

Slot ─► SlotRun for its next day (and a draft for it) ─► its time comes ─► the ready draft starts,
                                                                           or the run says why not
"""

from __future__ import annotations

import datetime
import logging
import zoneinfo

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from newsletter.content.document import IssueContent, SectionContent
from newsletter.content.store import ContentError, save_content
from newsletter.models import Issue, IssueStatus, IssueTransition, Newsletter, Slot, SlotRun, WrongStatus
from newsletter.preflight import Occasion
from newsletter.sending.schedule import IssueRefused, dry_run, lock, start_issue
from newsletter.sending.wall_clock import nearest_instant_of

log = logging.getLogger(__name__)

NOBODY_READY = "No draft was marked ready, so nothing went out."


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
    """Let no slot take this draft. Raises WrongStatus past draft."""
    with transaction.atomic():
        lock(issue)
        _keep_ready(issue, None, by=by, reason=reason or "Not ready any more.")


def _keep_ready(issue: Issue, revision: int | None, *, by: str, reason: str) -> None:
    if not Issue.objects.filter(pk=issue.pk, status=IssueStatus.DRAFT).update(ready_revision=revision, hold_reason=""):
        raise WrongStatus(f"This issue is {issue.get_status_display().lower()} by now. Look at it again.")
    IssueTransition.objects.create(
        issue=issue, source=IssueStatus.DRAFT, target=IssueStatus.DRAFT, by=by, reason=reason
    )
    issue.refresh_from_db()


def next_run(newsletter: Newsletter) -> SlotRun | None:
    """The next occurrence of any of its slots."""
    ahead = SlotRun.objects.filter(slot__newsletter=newsletter, slot__is_active=True, finished_at__isnull=True)
    return ahead.select_related("slot").order_by("starts_at").first()


def plan_slots() -> bool:
    """Keep one run planned for each active slot, at the instant that its zone's rules of now give it."""
    for run in SlotRun.objects.filter(finished_at__isnull=True).select_related("slot__newsletter"):
        _renew(run)
    ahead = SlotRun.objects.filter(slot=OuterRef("pk"), finished_at__isnull=True)
    for slot in Slot.objects.filter(~Exists(ahead), is_active=True).select_related("newsletter"):
        plan_next(slot)
    return False


def _renew(run: SlotRun) -> None:
    if not run.slot.is_active or run.date.weekday() != run.slot.weekday:
        # Somebody switched the slot off or moved it. A draft that was made for the run stays.
        run.delete()
        return
    instant = instant_on(run.slot, run.date)
    if instant != run.starts_at:
        SlotRun.objects.filter(pk=run.pk, finished_at__isnull=True).update(starts_at=instant)


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
            run.issue = _draft_for(slot, day)
            run.save(update_fields=["issue"])
    return run


def instant_on(slot: Slot, day: datetime.date) -> datetime.datetime:
    """When clocks of the newsletter's zone show the slot's time on that day, also where they skip or repeat it."""
    return nearest_instant_of(datetime.datetime.combine(day, slot.time), slot.newsletter.time_zone)


def _draft_for(slot: Slot, day: datetime.date) -> Issue | None:
    title = slot.title.replace("{date}", f"{day.day} {day:%B %Y}")
    slug = day.isoformat()
    if Issue.objects.filter(newsletter=slot.newsletter, slug=slug).exists():
        slug = f"{slug}-{slot.time:%H%M}"
    sections = tuple(SectionContent(title=line.strip()) for line in slot.sections.splitlines() if line.strip())
    content = IssueContent(title=title, slug=slug, date=day, subject=title, sections=sections)
    try:
        with transaction.atomic():
            issue = Issue.objects.create(newsletter=slot.newsletter, slug=slug, title=title, date=day)
            save_content(issue, content, by=f"slot {slot}", note="Made for its slot")
    except ContentError as error:
        log.warning("no draft was made for slot %s: %s", slot.pk, error)
        return None
    return issue


def start_due_slots() -> bool:
    """Start what is ready for the run that is due longest, or write down why none does; whether there was one."""
    due = SlotRun.objects.filter(finished_at__isnull=True, starts_at__lte=timezone.now(), slot__is_active=True)
    run_pk = due.order_by("starts_at", "pk").values_list("pk", flat=True).first()
    if run_pk is None:
        return False
    with transaction.atomic():
        run = due.select_for_update(of=("self",)).select_related("slot__newsletter").filter(pk=run_pk).first()
        if run is None:
            return True
        # The rules of the zone may have changed since it was planned.
        if instant_on(run.slot, run.date) <= timezone.now():
            run.outcome, run.finished_at = _run(run)[:500], timezone.now()
            log.info("slot %s: %s", run.slot_id, run.outcome)
            run.save()
        else:
            _renew(run)
    return True


def _run(run: SlotRun) -> str:
    """Start the issue of this run; what became of it, as a sentence."""
    issue = _ready_for(run)
    if issue is None:
        _hold_draft(run.issue_id, f"Its slot ({run}) came, and it was not marked ready. Send or schedule it by hand.")
        return NOBODY_READY
    run.issue = issue
    late = timezone.now() - run.starts_at
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


def _ready_for(run: SlotRun) -> Issue | None:
    """The draft that was made for the run if it is ready, else the oldest that is."""
    drafts = Issue.objects.filter(newsletter=run.slot.newsletter_id, status=IssueStatus.DRAFT)
    ready = list(drafts.filter(ready_revision=F("revision")).select_related("newsletter").order_by("date", "pk"))
    return next((issue for issue in ready if issue.pk == run.issue_id), ready[0] if ready else None)


def _hold_draft(issue_pk: int | None, reason: str) -> str:
    """Let the draft wait for a person, with the reason."""
    if issue_pk is not None:
        drafts = Issue.objects.filter(pk=issue_pk, status=IssueStatus.DRAFT)
        drafts.update(hold_reason=reason[:500], ready_revision=None)
    return reason
