"""Recurring drafts: at its hours of the week a newsletter gets its next draft, with new links as stories.

RecurringDraft ─► planned for its next day ─► due ─► DraftMade and the draft, in one transaction ─► planned again
"""

from __future__ import annotations

import datetime
import logging
import zoneinfo
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from newsletter.config.failpoints import Point, failpoint
from newsletter.config.translatable import to_data
from newsletter.content.document import IssueContent
from newsletter.content.drafts import NothingToStartFrom, Start, draft_from_template, draft_like_last, make_draft
from newsletter.content.revisions import UnreadableRevision
from newsletter.content.store import ContentError
from newsletter.gathering.pick import add_links, kept_links
from newsletter.models import DraftMade, Issue, Reason, RecurringDraft
from newsletter.sending.schedule import DATABASE_IS_DOWN
from newsletter.sending.wall_clock import nearest_instant_of

log = logging.getLogger(__name__)

#: After a failure the draft is tried again.
RETRY_AFTER = datetime.timedelta(minutes=10)
BY = "recurring draft"


def make_recurring_drafts() -> bool:
    """Plan what is not planned, and make the draft that is due longest. Returns whether one was due.

    The database's clock decides. One that fails does not block the others.
    """
    unplanned = RecurringDraft.objects.filter(is_active=True, next_at__isnull=True).select_related("newsletter")
    for recurring in unplanned:
        _try_to_plan(recurring)
    pk = RecurringDraft.objects.due(Now()).values_list("pk", flat=True).first()
    if pk is None:
        return False
    try:
        _make_due_draft(pk)
    except DATABASE_IS_DOWN:
        raise
    except (ContentError, UnreadableRevision) as error:
        log.warning("Recurring draft refused", extra={"recurring_draft": pk, "error": str(error)})
        _postpone(pk, Reason.DRAFT_REFUSED, {"sentences": [to_data(argument) for argument in error.args]})
    except Exception as error:
        log.exception("Recurring draft not made", extra={"recurring_draft": pk})
        _postpone(pk, Reason.NO_DRAFT_MADE, {"error": type(error).__name__})
    return True


def plan(recurring: RecurringDraft, *, after: datetime.date | None = None) -> dict[str, Any]:
    """The columns of its next day, the first after `after`, and of the instant that the rules of the zone give it."""
    newsletter, now = recurring.newsletter, timezone.now()
    day = now.astimezone(zoneinfo.ZoneInfo(newsletter.time_zone)).date()
    if after is not None:
        day = max(day, after + datetime.timedelta(days=1))

    def instant(on: datetime.date) -> datetime.datetime:
        return nearest_instant_of(datetime.datetime.combine(on, recurring.time), newsletter.time_zone)

    while day.weekday() != recurring.weekday or instant(day) <= now:
        day += datetime.timedelta(days=1)
    return {"next_date": day, "next_at": instant(day)}


def _try_to_plan(recurring: RecurringDraft) -> None:
    try:
        last = recurring.made.values_list("date", flat=True).first()
        columns = plan(recurring, after=last)
    except zoneinfo.ZoneInfoNotFoundError:
        columns = {"problem": Reason.ZONE_UNKNOWN, "problem_values": {"zone": recurring.newsletter.time_zone}}
    RecurringDraft.objects.filter(pk=recurring.pk, next_at__isnull=True).update(**columns)


def _make_due_draft(pk: int) -> None:
    with transaction.atomic():
        due = RecurringDraft.objects.due(Now()).filter(pk=pk)
        recurring = due.select_for_update(of=("self",)).select_related("newsletter", "template__newsletter").first()
        if recurring is None or recurring.next_date is None:
            # Another worker was faster.
            return
        made, is_new = DraftMade.objects.get_or_create(
            recurring_draft=recurring, date=recurring.next_date, defaults={"made_at": timezone.now()}
        )
        if is_new:
            made.issue = _draft(recurring)
            made.links = _add_links(recurring, made.issue)
            made.save(update_fields=["issue", "links"])
        done: dict[str, Any] = {"last_at": made.made_at, "retry_at": None, "problem": "", "problem_values": {}}
        RecurringDraft.objects.filter(pk=pk).update(**plan(recurring, after=recurring.next_date), **done)
        failpoint(Point.DRAFT_UNCOMMITTED)
    failpoint(Point.DRAFT_COMMITTED)
    log.info("Recurring draft made", extra={"recurring_draft": pk, "issue": made.issue_id, "links": made.links})


def _draft(recurring: RecurringDraft) -> Issue:
    if recurring.template is not None:
        return draft_from_template(recurring.template, by=BY)
    try:
        return draft_like_last(recurring.newsletter, by=BY)
    except NothingToStartFrom:
        newsletter = recurring.newsletter
        empty = IssueContent(title=newsletter.name, slug="", date=timezone.localdate(), subject=newsletter.name)
        pattern = newsletter.title_pattern or "{newsletter}, {date}"
        return make_draft(newsletter, Start(content=empty, title_pattern=pattern, note="recurring"), by=BY)


def _add_links(recurring: RecurringDraft, issue: Issue) -> int:
    if not recurring.most_links:
        return 0
    links = kept_links(recurring.newsletter, limit=recurring.most_links)
    return add_links(issue, [link.pk for link in links], section=recurring.section, by=BY)


def _postpone(pk: int, reason: Reason, values: dict[str, Any]) -> None:
    failed = RecurringDraft.objects.filter(Q(next_at__isnull=False), pk=pk)
    failed.update(retry_at=Now() + RETRY_AFTER, problem=reason, problem_values=values)
