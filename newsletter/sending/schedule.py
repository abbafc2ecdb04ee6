"""Schedule: when an issue starts, by whom, and every reason why it does not. Imports freeze, preflight and models."""

from __future__ import annotations

import datetime
import logging

from django.db import transaction
from django.utils import timezone

from newsletter.models import Edition, Issue, IssueStatus, WrongStatus
from newsletter.preflight import Finding, Severity, check_issue
from newsletter.rendering import RenderingError
from newsletter.sending.address import audience_of
from newsletter.sending.envelope import EnvelopeError, sender_of
from newsletter.sending.freeze import freeze_edition, render
from newsletter.sending.wall_clock import instant_of

log = logging.getLogger(__name__)


class IssueRefused(Exception):
    """The issue cannot be scheduled or sent as it is; each sentence says what to do."""

    permanent = True

    def __init__(self, *sentences: str) -> None:
        super().__init__(" ".join(sentences))
        self.sentences = sentences


def schedule_issue(issue: Issue, *, wall: datetime.datetime, zone: str, by: str, revision: int | None = None) -> None:
    """Freeze the issue and let it start when clocks in `zone` show `wall` (no zone of its own).

    What is frozen now is what goes out; `revision` is the one that the person looked at, and no other is frozen.
    Raises NoSuchTime, IssueRefused or WrongStatus; then nothing has changed.
    """
    instant = instant_of(wall, zone)
    if instant <= timezone.now():
        raise IssueRefused(f"{wall:%Y-%m-%d %H:%M} in {zone} is over. Choose a time to come, or send it now.")
    with transaction.atomic():
        lock(issue, revision=revision)
        edition = approve(issue)
        issue.move(
            IssueStatus.SCHEDULED, by=by, scheduled_at=instant, scheduled_zone=zone, edition=edition, hold_reason=""
        )


def unschedule_issue(issue: Issue, *, by: str, reason: str = "") -> None:
    """Take the schedule off, so that the issue can be edited again. Raises WrongStatus."""
    issue.move(
        IssueStatus.DRAFT, by=by, reason=reason, scheduled_at=None, scheduled_zone="", edition=None, hold_reason=reason
    )


def send_now(issue: Issue, *, by: str, revision: int | None = None) -> None:
    """Freeze the issue and start it; a worker does the rest. Raises IssueRefused or WrongStatus.

    `issue` and `revision` are as the person saw them: one that has been scheduled, taken off the schedule or saved
    since is not started, since something else would go out than they looked at.
    """
    seen = issue.status
    with transaction.atomic():
        lock(issue, revision=revision)
        if issue.status != seen:
            raise WrongStatus(f"This issue is {issue.get_status_display().lower()} by now. Look at it again.")
        edition = approve(issue) if issue.status == IssueStatus.DRAFT else issue.edition
        _start(issue, by=by, edition=edition)


def start_due_issues() -> bool:
    """Start the scheduled issue that is due longest; whether there was one.

    One that may no longer be sent (nobody is left to send it to) goes back to draft with the reason.
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
            refuse_without_audience(issue)
            _start(issue, by="schedule", edition=issue.edition)
        except IssueRefused as refusal:
            log.warning("issue %s was due but not started: %s", issue.pk, refusal)
            unschedule_issue(issue, by="schedule", reason=str(refusal)[:500])
    return True


def _start(issue: Issue, *, by: str, edition: Edition | None) -> None:
    issue.move(
        IssueStatus.SENDING,
        only_from=(IssueStatus.DRAFT, IssueStatus.SCHEDULED),
        by=by,
        edition=edition,
        started_at=timezone.now(),
        hold_reason="",
    )


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


def approve(issue: Issue) -> Edition:
    """The edition of an issue that passes its checks, as frozen. Raises IssueRefused; then no edition was stored."""
    with transaction.atomic():
        try:
            edition = freeze_edition(issue)
        except (RenderingError, EnvelopeError) as error:
            raise IssueRefused(str(error)) from error
        findings = check_issue(issue, audience=audience_size(issue), rendered=edition)
        must_fix = [finding for finding in findings if finding.severity is Severity.MUST_FIX]
        if must_fix:
            raise IssueRefused(*(finding.sentence for finding in must_fix))
    return edition


def findings_of(issue: Issue) -> tuple[Finding, ...]:
    """What pre-flight says about the issue as it stands; a rendering or sender that fails is a finding itself."""
    audience = audience_size(issue)
    try:
        sender_of(issue.newsletter)
        return check_issue(issue, audience=audience, rendered=render(issue))
    except (RenderingError, EnvelopeError) as error:
        fault = Finding(Severity.MUST_FIX, "rendering", "", str(error))
        return (fault, *check_issue(issue, audience=audience, rendered=None))


def audience_size(issue: Issue) -> int:
    """How many readers the issue would go to if it started now."""
    return int(audience_of(issue.newsletter_id, timezone.now()).count())


def refuse_without_audience(issue: Issue) -> None:
    """Raise IssueRefused if nobody would get it."""
    if not audience_size(issue):
        raise IssueRefused("Nobody on the list may be mailed now. Add readers, or wait until some have confirmed.")
