"""Schedule: when an issue starts, by whom, and every reason why it does not."""

from __future__ import annotations

import datetime
import logging
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from newsletter.config.failpoints import Point, reached
from newsletter.models import Edition, InvalidTransition, Issue, IssueStatus, IssueTransition
from newsletter.preflight import Occasion, PreflightResult
from newsletter.rendering import RenderingError
from newsletter.sending.check import check_edition, preflight_edition
from newsletter.sending.envelope import EnvelopeError
from newsletter.sending.expand import audience_of
from newsletter.sending.freeze import prepare_edition, store_edition
from newsletter.sending.manifest import Approval, Manifest, manifest_of
from newsletter.sending.wall_clock import instant_of, nearest_instant_of
from newsletter.sending.waves import LocalTime, Wave, recipients_by_zone

log = logging.getLogger(__name__)

#: States from which an issue may be started.
STARTABLE = (IssueStatus.DRAFT, IssueStatus.SCHEDULED)

#: No reader's hour comes longer than this before anybody else's, with an hour for clocks that skip it.
LONGEST_WAY = datetime.timedelta(hours=27)

#: How long a start that failed waits until it is tried again.
TRY_AGAIN = datetime.timedelta(minutes=1)

#: What is wrong with everything, and nobody's fault: the step as a whole is tried again.
DATABASE_IS_GONE = (OperationalError, InterfaceError)

#: What a row says that is on no schedule.
NO_SCHEDULE: dict[str, Any] = {
    "scheduled_at": None,
    "scheduled_zone": "",
    "scheduled_wall": "",
    "is_local": False,
    "edition": None,
    "manifest": None,
    "manifest_sha256": "",
    "hold_reason": "",
    "next_try_at": None,
}


class IssueRefused(Exception):
    """The issue cannot be scheduled or sent as it is; each sentence says what to do."""

    permanent = True

    def __init__(self, *sentences: str) -> None:
        super().__init__(" ".join(sentences))
        self.sentences = sentences


def dry_run(issue: Issue, *, local: LocalTime | None = None) -> Manifest:
    """What a send of the issue would do if it started now. Nothing is sent, stored or moved.

    With `local`, each reader would get it at their own time. Raises IssueRefused with every reason for which it
    could not start.
    """
    if issue.status not in STARTABLE:
        raise IssueRefused(
            f"This issue is {issue.get_status_display().lower()}; there is nothing to rehearse any more."
        )
    edition = _prepared(issue)
    _refuse_faults(preflight_edition(issue, edition, occasion=Occasion.SEND))
    return manifest_of(issue, edition, moment=timezone.now(), local=local)


def schedule_issue(
    issue: Issue,
    *,
    wall: datetime.datetime,
    zone: str,
    by: str,
    revision: int | None = None,
    approved: Approval | None = None,
    same_readers: bool = False,
    is_local: bool = False,
) -> None:
    """Freeze the issue and let it start when clocks in `zone` show `wall` (no zone of its own).

    With `is_local` each reader gets it when their own clock shows that; `zone` is that of readers who named none.

    What is frozen now is what goes out; `revision` and `approved` are what the person looked at, and nothing else is
    frozen. Readers may join and leave until it starts; with `same_readers` it starts for those of now, or not at all.
    Raises NoSuchTime, IssueRefused or InvalidTransition; then nothing has changed.
    """
    instant, local = instant_of(wall, zone), LocalTime(wall=wall, zone=zone) if is_local else None
    if instant <= timezone.now():
        raise IssueRefused(f"{wall:%Y-%m-%d %H:%M} in {zone} is over. Choose a time to come, or send it now.")
    if local:
        instant = first_instant(issue, local)
    with transaction.atomic():
        lock(issue, revision=revision)
        edition = approve(issue, occasion=Occasion.SCHEDULE, by=by)
        manifest = manifest_of(issue, edition, moment=timezone.now(), local=local)
        if approved:
            _refuse(approved.differences(manifest) if same_readers else approved.content_differences(manifest))
        issue.move(
            IssueStatus.SCHEDULED,
            by=by,
            scheduled_at=instant,
            scheduled_zone=zone,
            scheduled_wall=wall.isoformat(timespec="minutes"),
            is_local=is_local,
            edition=edition,
            hold_reason="",
            next_try_at=None,
            # It goes out at this time and not at a slot, also if it is taken off the schedule again.
            ready_revision=None,
            manifest=manifest.as_json(),
            manifest_sha256=manifest.sha256 if same_readers else "",
        )
        reached(Point.FREEZE_UNCOMMITTED)
    reached(Point.FREEZE_COMMITTED)


def waves_of(issue: Issue, local: LocalTime) -> tuple[Wave, ...]:
    """The waves in which the readers of now would get it, the earliest first; at least one."""
    return local.waves(recipients_by_zone(audience_of(issue.newsletter_id, timezone.now())) or {"": 0})


def first_instant(issue: Issue, local: LocalTime) -> datetime.datetime:
    """When the first wave starts. Raises IssueRefused if it should have started already."""
    first = waves_of(issue, local)[0]
    if first.starts_at <= timezone.now():
        where = first.zones[0] or local.zone
        raise IssueRefused(
            f"{local.wall:%Y-%m-%d %H:%M} is over where {first.readers:,} of your readers are ({where}). Choose a "
            "later time, or send it to everybody at one moment."
        )
    return first.starts_at


def unschedule_issue(issue: Issue, *, by: str, reason: str = "") -> None:
    """Take the schedule off, so that the issue can be edited again. Nothing waits for it then. Raises InvalidTransition."""
    issue.move(IssueStatus.DRAFT, only_from=(IssueStatus.SCHEDULED,), by=by, reason=reason, **NO_SCHEDULE)


def send_now(
    issue: Issue,
    *,
    by: str,
    revision: int | None = None,
    approved: Approval | None = None,
    may_undo: bool = True,
) -> None:
    """Freeze the issue and start it; a worker does the rest. Raises IssueRefused or InvalidTransition.

    `issue`, `revision` and `approved` are as the person saw them: one that has been scheduled, taken off the schedule
    or saved since, or whose readers are others now, is not started, since they looked at something else. Nothing is
    posted before UNDO_SECONDS are over: until then it can be undone, unless nobody is there who could (`may_undo`).
    """
    seen = issue.status
    with transaction.atomic():
        lock(issue, revision=revision)
        if issue.status != seen:
            raise InvalidTransition(f"This issue is {issue.get_status_display().lower()} by now. Look at it again.")
        start_issue(issue, occasion=Occasion.SEND, by=by, approved=approved, may_undo=may_undo)
        reached(Point.START_UNCOMMITTED)
    reached(Point.START_COMMITTED)


def start_due_issues() -> bool:
    """Start the scheduled issue that is due longest; whether there was one. The database's clock decides (R-131).

    One that may no longer be sent (nobody is left to send it to, or not those for whom it was approved) goes back to
    draft with the reason. One that is found too late waits for a person (R-130): nobody wants it at three at night.
    One that fails keeps no other waiting: it says so, and is tried again until it is too late for it.
    """
    issue = Issue.objects.due(Now()).select_related("newsletter").first()
    if issue is None:
        return False
    try:
        _start_due_issue(issue)
    except DATABASE_IS_GONE:
        raise
    except Exception as error:
        log.exception("issue %s is due and could not be started; it is tried again", issue.pk)
        _try_again_later(issue.pk, error)
    return True


def _try_again_later(issue_pk: int, error: Exception) -> None:
    reason = (
        f"It was due and could not be started ({type(error).__name__}); the worker's log says why. It is tried again "
        "every minute. Nothing was sent."
    )
    with transaction.atomic():
        issue = Issue.objects.select_for_update().get(pk=issue_pk)
        if issue.status != IssueStatus.SCHEDULED:
            return
        if issue.hold_reason != reason:
            _note(issue, reason)
        Issue.objects.filter(pk=issue_pk).update(hold_reason=reason, next_try_at=Now() + TRY_AGAIN)


def _start_due_issue(issue: Issue) -> None:
    with transaction.atomic():
        lock(issue)
        if not Issue.objects.due(Now()).filter(pk=issue.pk).exists():
            # An editor or another worker was faster; the row says what holds now.
            return
        if _is_overdue(issue):
            _wait_for_a_person(issue)
            return
        try:
            start_issue(issue, occasion=Occasion.START, by="schedule", approved=Approval.stored_on(issue))
        except IssueRefused as refusal:
            log.warning("issue %s was due but not started: %s", issue.pk, refusal)
            reason = f"It was due, and did not start. {refusal}"[:500]
            unschedule_issue(issue, by="schedule", reason=reason)
            Issue.objects.filter(pk=issue.pk).update(hold_reason=reason)
        reached(Point.START_UNCOMMITTED)
    reached(Point.START_COMMITTED)


def _is_overdue(issue: Issue) -> bool:
    in_time = Now() - datetime.timedelta(minutes=settings.OVERDUE_MINUTES)
    return Issue.objects.filter(pk=issue.pk, scheduled_at__lt=in_time).exists()


def _wait_for_a_person(issue: Issue) -> None:
    found = "could not be started until" if issue.next_try_at else "was found only"
    reason = (
        f"It should have started on {issue.scheduled_at:%Y-%m-%d at %H:%M} UTC, and {found} "
        f"{timezone.now():%Y-%m-%d at %H:%M} UTC. Nothing was sent. Send it now if that is still right, or take it "
        "off the schedule and choose another time. If the database was restored from a backup, look first whether it "
        "went out already."
    )
    log.warning("issue %s is overdue and waits for a person", issue.pk)
    Issue.objects.filter(pk=issue.pk).update(hold_reason=reason, next_try_at=None, updated_at=timezone.now())
    _note(issue, f"Waits for a person. {reason}")


def _note(issue: Issue, reason: str) -> None:
    """Write into the history what happened to the schedule of an issue that stays where it is."""
    IssueTransition.objects.create(
        issue=issue, source=issue.status, target=issue.status, by="schedule", reason=reason[:500]
    )


def renew_instants() -> bool:
    """Compute the start of scheduled issues anew: the rules of a zone, or the readers' zones, may be others (R-128).

    Also a step of the worker: readers may have joined whose hour comes before everybody else's.
    """
    soon = timezone.now() + LONGEST_WAY
    scheduled = Issue.objects.filter(Q(is_local=False) | Q(scheduled_at__lte=soon), status=IssueStatus.SCHEDULED)
    for issue in scheduled.exclude(scheduled_wall="").select_related("newsletter"):
        instant, before = _instant_by_now(issue), issue.scheduled_at
        unmoved = Issue.objects.filter(pk=issue.pk, status=IssueStatus.SCHEDULED, scheduled_at=before)
        if before and instant != before and unmoved.update(scheduled_at=instant):
            clocks = f"Starts at {instant:%Y-%m-%d %H:%M} UTC, not at {before:%Y-%m-%d %H:%M} UTC"
            _note(issue, f"{clocks}: clocks or readers moved.")
    return False


def _instant_by_now(issue: Issue) -> datetime.datetime | None:
    """When the issue starts, as far as it is known now; a start whose time has come stays as it is.

    Readers whose hour is over get it with the first wave to come. They must not make the issue overdue for all.
    """
    wall, local, now = datetime.datetime.fromisoformat(issue.scheduled_wall), LocalTime.of(issue), timezone.now()
    if local is None:
        return nearest_instant_of(wall, issue.scheduled_zone)
    if issue.scheduled_at is None or issue.scheduled_at <= now:
        return issue.scheduled_at
    return next((wave.starts_at for wave in waves_of(issue, local) if wave.starts_at > now), issue.scheduled_at)


def start_issue(
    issue: Issue, *, occasion: Occasion, by: str, approved: Approval | None, may_undo: bool = False
) -> None:
    """Check the locked issue and move it on its way, with the manifest of that. Raises IssueRefused or InvalidTransition.

    The manifest is taken and compared in the transaction that starts the issue. After it, readers can only become
    fewer: who leaves before their batch is frozen is skipped, and their delivery says why. A confirmation that was on
    its way into the database at this very moment may still be addressed; the report counts everybody who was.
    """
    if issue.status not in STARTABLE:
        raise InvalidTransition(f"This issue is {issue.get_status_display().lower()}, so it cannot be started.")
    edition, moment = approve(issue, occasion=occasion, by=by), timezone.now()
    # Who presses Send now means everybody, at once; and may still think again.
    local = None if occasion is Occasion.SEND else LocalTime.of(issue)
    undo = settings.UNDO_SECONDS if may_undo else 0
    manifest = manifest_of(issue, edition, moment=moment, local=local)
    if approved:
        _refuse(approved.differences(manifest))
    issue.move(
        IssueStatus.SENDING,
        only_from=STARTABLE,
        by=by,
        edition=edition,
        started_at=moment,
        posts_from=moment + datetime.timedelta(seconds=undo) if undo else None,
        is_local=local is not None,
        ready_revision=None,
        hold_reason="",
        next_try_at=None,
        manifest=manifest.as_json(),
        manifest_sha256=approved.sha256 if approved else "",
    )


def _refuse(differences: tuple[str, ...]) -> None:
    if differences:
        raise IssueRefused(*differences, "Nothing was sent or scheduled. Look at it again, and confirm that.")


def lock(issue: Issue, *, revision: int | None = None) -> None:
    """Keep every save and every other move of this issue waiting until the transaction ends.

    Otherwise somebody could save between freezing and moving, and the issue would say more than what goes out.
    Raises IssueRefused if it is not at `revision` any more.
    """
    issue.refresh_from_db(from_queryset=Issue.objects.select_for_update())
    if revision not in (None, issue.revision):
        raise IssueRefused(
            f"The issue was saved while you looked at it: you saw revision {revision}, and it is at "
            f"{issue.revision} now. Nothing was sent or scheduled. Look at it again, and confirm that."
        )


def approve(issue: Issue, *, occasion: Occasion, by: str) -> Edition:
    """The edition of an issue that passes its checks, frozen. Raises IssueRefused; then no edition was stored."""
    edition = _prepared(issue)
    _refuse_faults(check_edition(issue, edition, occasion=occasion, by=by))
    return store_edition(edition)


def _prepared(issue: Issue) -> Edition:
    """What was frozen when the issue was scheduled, else what would be now."""
    try:
        return issue.edition or prepare_edition(issue)
    except (RenderingError, EnvelopeError) as error:
        raise IssueRefused(str(error)) from error


def _refuse_faults(result: PreflightResult) -> None:
    if result.blocking:
        raise IssueRefused(*(finding.message for finding in result.blocking))
