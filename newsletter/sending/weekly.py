"""The weekly digest: at the end of the week, those who chose it get the issues of the week as one mail.

    issue starts ─► weekly subscribers are left out, its send awaits a digest
    end of week  ─► digest of all sends that await one ─► starts as any issue, for weekly subscribers
                └─► chosen changes of the frequency take effect

One transaction at the end of the week does all of it, so that a subscriber gets each issue once: an issue is in a
digest if, and only if, its send left out those who get the digest. The digest leaves out those who got one of its
issues by itself, through another list: they get all of them so (`issues_of_week.has_delivery_of_any`). Frequencies are
read when a send is expanded; so they change only while every send that left out weekly subscribers is expanded and in a
digest. The digest itself is expanded afterwards: it goes to those who got the digest until the end of its week
(`issues_of_week.weekly_until`).

The end of a week, the start of a send and a change of a frequency lock the week of the newsletter first.
"""

from __future__ import annotations

import datetime
import itertools
import logging
import zoneinfo
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils import formats, timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from newsletter.config.failpoints import Point, failpoint
from newsletter.config.translatable import to_data
from newsletter.content.document import IssueContent
from newsletter.content.store import ContentError, load_content, save_content
from newsletter.content.web_versions import corrected_contents, taken_down
from newsletter.content.weekly import WeeklyPart, WeeklyWords, compose_weekly
from newsletter.models import (
    IN_PROGRESS,
    Batch,
    Issue,
    Newsletter,
    Reason,
    Restore,
    Send,
    SendState,
    WeeklyPlan,
    sending_stopped,
)
from newsletter.models.reasons import iso
from newsletter.models.web_pages import public_issues
from newsletter.preflight import Trigger
from newsletter.sending.audience import audience_queryset
from newsletter.sending.issues_of_week import has_delivery_of_any, weekly_until
from newsletter.sending.schedule import (
    DATABASE_IS_DOWN,
    IssueRefused,
    flag_issue,
    lock,
    run_of_refusal_recorded,
    start,
)
from newsletter.sending.start_holds import RETRY_AFTER
from newsletter.sending.undo import NOT_SENT
from newsletter.sending.wall_clock import nearest_instant_of
from subscribers.models import Subscription

log = logging.getLogger(__name__)

BY = "weekly digest"

#: Subscriptions in one statement: far below SQLite's limit of parameters.
ROWS_PER_UPDATE = 500


# --- The end of the week -------------------------------------------------------------------------------------------


def end_of_week(newsletter: Newsletter, *, after: datetime.datetime) -> tuple[datetime.date, datetime.datetime]:
    """The first end of a week of the newsletter after a time: the day in its zone, and the instant."""
    day = after.astimezone(zoneinfo.ZoneInfo(newsletter.time_zone)).date()
    while day.weekday() != newsletter.weekly_weekday or end_on(newsletter, day) <= after:
        day += datetime.timedelta(days=1)
    return day, end_on(newsletter, day)


def end_on(newsletter: Newsletter, day: datetime.date) -> datetime.datetime:
    """When clocks of the newsletter's zone show the digest's time on that day, also where they skip or repeat it."""
    return nearest_instant_of(datetime.datetime.combine(day, newsletter.weekly_time), newsletter.time_zone)


def _is_current(plan: WeeklyPlan, newsletter: Newsletter, now: datetime.datetime) -> bool:
    """Whether the plan is what the settings of the newsletter say; one that is due stays."""
    if plan.ends_at is None or plan.date is None:
        return False
    if plan.ends_at <= now:
        return True
    return plan.date.weekday() == newsletter.weekly_weekday and plan.ends_at == end_on(newsletter, plan.date)


def _plan(newsletter: Newsletter, plan: WeeklyPlan | None, now: datetime.datetime) -> None:
    """Keep the end of the current week planned. One that was moved to an hour that is over comes next week."""
    if plan is not None and _is_current(plan, newsletter, now):
        return
    day, ends_at = end_of_week(newsletter, after=now)
    with transaction.atomic():
        locked = WeeklyPlan.objects.lock(newsletter.pk)
        if not _is_current(locked, newsletter, now):
            WeeklyPlan.objects.filter(pk=locked.pk).update(date=day, ends_at=ends_at)


# --- Changes of the frequency --------------------------------------------------------------------------------------


class WeeksOfNewsletters:
    """When a changed frequency takes effect, for `subscribers.consent.frequency`. Only newsletters send issues."""

    def lock(self, mailing_list_pk: int) -> bool:
        """Let no send of the list start, and no week end, until the transaction ends; whether changes must wait."""
        newsletter = Newsletter.objects.filter(pk=mailing_list_pk).first()
        if newsletter is None:
            return False
        WeeklyPlan.objects.lock(newsletter.pk)
        return bool(sends_of_week(newsletter)) or undecided_digests().filter(newsletter=newsletter.pk).exists()

    def ends_on(self, mailing_list_pk: int) -> datetime.date | None:
        """The day in the newsletter's zone on which changes that wait take effect; today while that is late."""
        newsletter = Newsletter.objects.filter(pk=mailing_list_pk).first()
        if newsletter is None:
            return None
        now, plan = timezone.now(), WeeklyPlan.objects.filter(pk=newsletter.pk).first()
        planned = plan.ends_at if plan and _is_current(plan, newsletter, now) else None
        ends_at = max(planned, now) if planned else end_of_week(newsletter, after=now)[1]
        return ends_at.astimezone(zoneinfo.ZoneInfo(newsletter.time_zone)).date()


# --- The step ------------------------------------------------------------------------------------------------------


def compose_weekly_digests() -> bool:
    """Plan the weeks, and end those that are over; whether a digest was composed. A step of the worker.

    A newsletter that fails does not block the others: it is retried. While all sending is stopped, no week ends.
    """
    now, composed = timezone.now(), 0
    plans = {plan.pk: plan for plan in WeeklyPlan.objects.all()}
    for newsletter in Newsletter.objects.order_by("pk"):
        try:
            _plan(newsletter, plans.get(newsletter.pk), now)
        except DATABASE_IS_DOWN:
            raise
        except Exception as error:
            _record_problem(newsletter.pk, error)
    for plan_pk in list(WeeklyPlan.objects.due(Now()).values_list("pk", flat=True)):
        if sending_stopped():
            break
        try:
            composed += _end_week(plan_pk)
        except DATABASE_IS_DOWN:
            raise
        except Exception as error:
            _record_problem(plan_pk, error)
    return composed > 0


def _record_problem(newsletter_pk: int, error: Exception) -> None:
    values: dict[str, Any] = {"error": type(error).__name__}
    if isinstance(error, ContentError):
        values["sentences"] = [to_data(argument) for argument in error.args]
    with transaction.atomic():
        plan = WeeklyPlan.objects.lock(newsletter_pk)
        if (plan.problem, plan.problem_values) != (Reason.DIGEST_FAILED, values):
            log.error("Weekly digest not composed", exc_info=error, extra={"newsletter": newsletter_pk})
        WeeklyPlan.objects.filter(pk=plan.pk).update(
            retry_at=Now() + RETRY_AFTER, problem=Reason.DIGEST_FAILED, problem_values=values
        )


def blocking_send(newsletter: Newsletter) -> Send | None:
    """The send for which the end of the week waits: its recipients are not decided yet, or it can be undone."""
    sends = sends_of_week(newsletter)
    return next((send for send in sends if not _is_settled(send) and _is_moving(send)), None)


def sends_of_week(newsletter: Newsletter) -> list[Send]:
    """The sends whose issues weekly subscribers have not got yet, the oldest first."""
    sends = Send.objects.awaiting_weekly_digest(newsletter.pk)
    return list(sends.select_related("issue__newsletter").defer("manifest").order_by("started_at", "pk"))


def _is_settled(send: Send) -> bool:
    """Whether no recipient is added any more, and it cannot be undone."""
    if send.state not in IN_PROGRESS:
        return True
    return send.expanded_at is not None and _has_sent(send)


def _has_sent(send: Send) -> bool:
    return Batch.objects.filter(~NOT_SENT, send=send).exists()


def _is_moving(send: Send) -> bool:
    """Whether it settles by itself. One that an operator must resume first is left for the next digest."""
    return send.state == SendState.SENDING or send.waits_for_provider


def undecided_digests() -> QuerySet[Issue]:
    """Digests that are not expanded yet: with a further change of frequencies, their recipients would not be known."""
    decided = Send.objects.current().filter(
        Q(expanded_at__isnull=False) | Q(state=SendState.CANCELLED), issue=OuterRef("pk")
    )
    return Issue.objects.filter(~Exists(decided), digest_at__isnull=False).select_related("newsletter")


def _end_week(newsletter_pk: int) -> bool:
    """End the week if it is over and no send blocks it; whether that made a digest."""
    with transaction.atomic():
        due = WeeklyPlan.objects.due(Now()).filter(pk=newsletter_pk)
        plan = due.select_for_update(of=("self",)).select_related("newsletter").first()
        if plan is None or plan.ends_at is None:
            # Another worker was faster.
            return False
        newsletter, ended_at = plan.newsletter, plan.ends_at
        sends = sends_of_week(newsletter)
        settled = [send for send in sends if _is_settled(send)]
        if any(_is_moving(send) for send in sends if send not in settled):
            return False
        may_change = len(settled) == len(sends) and not undecided_digests().filter(newsletter=newsletter.pk).exists()
        weekly_digest = _digest_of(newsletter, settled, ended_at)
        if may_change:
            _change_frequencies(newsletter, ended_at)
        if weekly_digest is not None:
            _start(weekly_digest, ended_at)
        day, ends_at = end_of_week(newsletter, after=max(timezone.now(), ended_at))
        next_week: dict[str, Any] = {
            "date": day,
            "ends_at": ends_at,
            "retry_at": None,
            "problem": "",
            "problem_values": {},
        }
        WeeklyPlan.objects.filter(pk=plan.pk).update(**next_week)
        failpoint(Point.DIGEST_UNCOMMITTED)
    failpoint(Point.DIGEST_COMMITTED)
    if weekly_digest is not None:
        log.info("Weekly digest composed", extra={"issue": weekly_digest.pk, "issues": len(settled)})
    return weekly_digest is not None


def _change_frequencies(newsletter: Newsletter, ended_at: datetime.datetime) -> None:
    """Let the chosen changes take effect, for sends that start from now on."""
    changing = Subscription.objects.filter(mailing_list=newsletter.pk).exclude(next_frequency="")
    # In the order of their keys, so that no two transactions wait for each other.
    pks = list(changing.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True))
    for start_at in range(0, len(pks), ROWS_PER_UPDATE):
        Subscription.objects.filter(pk__in=pks[start_at : start_at + ROWS_PER_UPDATE]).update(
            frequency=F("next_frequency"), next_frequency="", frequency_since=ended_at
        )


# --- The digest ----------------------------------------------------------------------------------------------------


def _digest_of(newsletter: Newsletter, sends: Sequence[Send], ended_at: datetime.datetime) -> Issue | None:
    """The digest of these sends, which await none any more, as a draft; None without an issue or a recipient."""
    withdrawn = taken_down(send.issue_id for send in sends)
    going_out = [send for send in sends if send.issue_id not in withdrawn]
    sent = [send for send in going_out if send.state != SendState.CANCELLED or _has_sent(send)]
    got_one = has_delivery_of_any([send.issue_id for send in sent])
    weekly = audience_queryset(newsletter.pk, timezone.now()).filter(weekly_until(ended_at), ~got_one)
    weekly_digest = _make_draft(newsletter, sent, ended_at) if sent and weekly.exists() else None
    Send.objects.filter(pk__in=[send.pk for send in sends]).update(awaits_digest=False)
    if weekly_digest is not None:
        Send.objects.filter(pk__in=[send.pk for send in sent]).update(weekly_digest=weekly_digest)
    return weekly_digest


def _make_draft(newsletter: Newsletter, sends: Sequence[Send], ended_at: datetime.datetime) -> Issue:
    content = _content_of(newsletter, sends)
    weekly_digest = Issue.objects.create(
        newsletter=newsletter, slug=content.slug, title=content.title, date=content.date, digest_at=ended_at
    )
    save_content(weekly_digest, content, by=BY, note="weekly")
    return weekly_digest


def _content_of(newsletter: Newsletter, sends: Sequence[Send]) -> IssueContent:
    zone = zoneinfo.ZoneInfo(newsletter.time_zone)
    today = timezone.localdate(timezone=zone)
    issues = [send.issue_id for send in sends]
    public = set(public_issues().filter(pk__in=issues).values_list("pk", flat=True))
    corrected = corrected_contents(issues)
    with translation.override(newsletter.page_language):
        parts = [
            # No send uses two contents: an issue cannot be edited while it has one.
            WeeklyPart(
                issue=corrected.get(send.issue_id) or load_content(send.issue),
                note=_note(send, zone, is_public=send.issue_id in public),
            )
            for send in sends
        ]
        subject = ngettext(
            "%(newsletter)s: %(count)s issue of this week", "%(newsletter)s: %(count)s issues of this week", len(sends)
        )
        words = WeeklyWords(
            title=_("Weekly digest, %(date)s") % {"date": formats.date_format(today, "DATE_FORMAT")},
            subject=subject % {"newsletter": newsletter.name, "count": formats.number_format(len(sends))},
        )
    return compose_weekly(parts, words, slug=_free_slug(newsletter, today), date=today)


def _note(send: Send, zone: datetime.tzinfo, *, is_public: bool) -> str:
    """When the issue was sent, and a link to its page, as Markdown."""
    started_at = send.started_at or send.created_at
    date = formats.date_format(started_at.astimezone(zone), "DATE_FORMAT")
    note = _("Sent on %(date)s.") % {"date": date}
    return f"{note} [{_('Read this issue on the web')}](<{send.issue.web_url}>)" if is_public else note


def _free_slug(newsletter: Newsletter, day: datetime.date) -> str:
    """The day, with a number as far as other issues have it already."""
    name = f"weekly-{day}"
    taken = set(Issue.objects.filter(newsletter=newsletter, slug__startswith=name).values_list("slug", flat=True))
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(slug for slug in names if slug not in taken)


def _start(weekly_digest: Issue, ended_at: datetime.datetime) -> None:
    """Start it as any issue. One that is refused, or may have been sent, waits for an operator."""
    if Restore.objects.filter(restored_at__gte=ended_at).exists():
        flag_issue(weekly_digest, Reason.DIGEST_RESTORED, {"due_at": iso(ended_at)})
        return
    try:
        with run_of_refusal_recorded(weekly_digest, by=BY), transaction.atomic():
            lock(weekly_digest)
            start(weekly_digest, None, trigger=Trigger.SCHEDULED_START, by=BY, approved=None)
    except IssueRefused as refusal:
        log.warning("Weekly digest refused", extra={"issue": weekly_digest.pk, "refusal": str(refusal)})
        flag_issue(weekly_digest, Reason.DIGEST_REFUSED, refusal.values)
