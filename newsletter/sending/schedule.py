"""Schedule: when an issue starts, by whom, and every reason why it does not. Imports freeze, manifest and preflight."""

from __future__ import annotations

import datetime
import logging

from django.db import transaction
from django.utils import timezone

from newsletter.drill import Point, reached
from newsletter.models import Edition, Issue, IssueStatus, WrongStatus
from newsletter.preflight import Occasion, Verdict
from newsletter.rendering import RenderingError
from newsletter.sending.check import check_edition, judge_edition
from newsletter.sending.envelope import EnvelopeError
from newsletter.sending.freeze import prepare_edition, store_edition
from newsletter.sending.manifest import Approval, Manifest, manifest_of
from newsletter.sending.wall_clock import instant_of

log = logging.getLogger(__name__)

#: States from which an issue may be started.
STARTABLE = (IssueStatus.DRAFT, IssueStatus.SCHEDULED)


class IssueRefused(Exception):
    """The issue cannot be scheduled or sent as it is; each sentence says what to do."""

    permanent = True

    def __init__(self, *sentences: str) -> None:
        super().__init__(" ".join(sentences))
        self.sentences = sentences


def dry_run(issue: Issue) -> Manifest:
    """What a send of the issue would do if it started now. Nothing is sent, stored or moved.

    Raises IssueRefused with every reason for which it could not start.
    """
    if issue.status not in STARTABLE:
        raise IssueRefused(
            f"This issue is {issue.get_status_display().lower()}; there is nothing to rehearse any more."
        )
    edition = _prepared(issue)
    _refuse_faults(judge_edition(issue, edition, occasion=Occasion.SEND))
    return manifest_of(issue, edition, moment=timezone.now())


def schedule_issue(
    issue: Issue,
    *,
    wall: datetime.datetime,
    zone: str,
    by: str,
    revision: int | None = None,
    approved: Approval | None = None,
    same_readers: bool = False,
) -> None:
    """Freeze the issue and let it start when clocks in `zone` show `wall` (no zone of its own).

    What is frozen now is what goes out; `revision` and `approved` are what the person looked at, and nothing else is
    frozen. Readers may join and leave until it starts; with `same_readers` it starts for those of now, or not at all.
    Raises NoSuchTime, IssueRefused or WrongStatus; then nothing has changed.
    """
    instant = instant_of(wall, zone)
    if instant <= timezone.now():
        raise IssueRefused(f"{wall:%Y-%m-%d %H:%M} in {zone} is over. Choose a time to come, or send it now.")
    with transaction.atomic():
        lock(issue, revision=revision)
        edition = approve(issue, occasion=Occasion.SCHEDULE, by=by)
        manifest = manifest_of(issue, edition, moment=timezone.now())
        if approved:
            _refuse(approved.differences(manifest) if same_readers else approved.content_differences(manifest))
        issue.move(
            IssueStatus.SCHEDULED,
            by=by,
            scheduled_at=instant,
            scheduled_zone=zone,
            edition=edition,
            hold_reason="",
            manifest=manifest.as_json(),
            manifest_sha256=manifest.sha256 if same_readers else "",
        )
        reached(Point.FREEZE_UNCOMMITTED)
    reached(Point.FREEZE_COMMITTED)


def unschedule_issue(issue: Issue, *, by: str, reason: str = "") -> None:
    """Take the schedule off, so that the issue can be edited again. Raises WrongStatus."""
    issue.move(
        IssueStatus.DRAFT,
        by=by,
        reason=reason,
        scheduled_at=None,
        scheduled_zone="",
        edition=None,
        hold_reason=reason,
        manifest=None,
        manifest_sha256="",
    )


def send_now(issue: Issue, *, by: str, revision: int | None = None, approved: Approval | None = None) -> None:
    """Freeze the issue and start it; a worker does the rest. Raises IssueRefused or WrongStatus.

    `issue`, `revision` and `approved` are as the person saw them: one that has been scheduled, taken off the schedule
    or saved since, or whose readers are others now, is not started, since they looked at something else.
    """
    seen = issue.status
    with transaction.atomic():
        lock(issue, revision=revision)
        if issue.status != seen:
            raise WrongStatus(f"This issue is {issue.get_status_display().lower()} by now. Look at it again.")
        _start(issue, occasion=Occasion.SEND, by=by, approved=approved)
        reached(Point.START_UNCOMMITTED)
    reached(Point.START_COMMITTED)


def start_due_issues() -> bool:
    """Start the scheduled issue that is due longest; whether there was one.

    One that may no longer be sent (nobody is left to send it to, or not those for whom it was approved) goes back to
    draft with the reason.
    """
    issue = Issue.objects.due(timezone.now()).select_related("newsletter").first()
    if issue is None:
        return False
    with transaction.atomic():
        lock(issue)
        if not Issue.objects.due(timezone.now()).filter(pk=issue.pk).exists():
            # An editor or another worker was faster; the row says what holds now.
            return True
        try:
            _start(issue, occasion=Occasion.START, by="schedule", approved=Approval.stored_on(issue))
        except IssueRefused as refusal:
            log.warning("issue %s was due but not started: %s", issue.pk, refusal)
            unschedule_issue(issue, by="schedule", reason=str(refusal)[:500])
        reached(Point.START_UNCOMMITTED)
    reached(Point.START_COMMITTED)
    return True


def _start(issue: Issue, *, occasion: Occasion, by: str, approved: Approval | None) -> None:
    """Check the locked issue and move it on its way, with the manifest of that. Raises IssueRefused or WrongStatus.

    The manifest is taken and compared in the transaction that starts the issue. After it, readers can only become
    fewer: who leaves before their batch is frozen is skipped, and their delivery says why. A confirmation that was on
    its way into the database at this very moment may still be addressed; the report counts everybody who was.
    """
    if issue.status not in STARTABLE:
        raise WrongStatus(f"This issue is {issue.get_status_display().lower()}, so it cannot be started.")
    edition, moment = approve(issue, occasion=occasion, by=by), timezone.now()
    manifest = manifest_of(issue, edition, moment=moment)
    if approved:
        _refuse(approved.differences(manifest))
    issue.move(
        IssueStatus.SENDING,
        only_from=STARTABLE,
        by=by,
        edition=edition,
        started_at=moment,
        hold_reason="",
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


def _refuse_faults(verdict: Verdict) -> None:
    if verdict.blocking:
        raise IssueRefused(*(finding.sentence for finding in verdict.blocking))
