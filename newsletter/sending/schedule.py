"""Schedule: when a send starts, by whom, and every reason why it does not."""

from __future__ import annotations

import datetime
import logging
import zoneinfo
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from newsletter.config.failpoints import Point, failpoint
from newsletter.config.translatable import to_data, translatable
from newsletter.models import Edition, InvalidTransition, Issue, Reason, Send, SendState, lock_week, sending_stopped
from newsletter.models.reasons import iso
from newsletter.preflight import PreflightResult, Trigger, record_run
from newsletter.rendering import RenderingError
from newsletter.sending.audience import Audience
from newsletter.sending.check import check_edition, preflight_edition, snapshot_of
from newsletter.sending.control import operator_values
from newsletter.sending.envelope import EnvelopeError
from newsletter.sending.freeze import prepare_edition, store_edition
from newsletter.sending.manifest import Approval, Manifest, manifest_of
from newsletter.sending.spam_rate import refusal_of_start
from newsletter.sending.start_holds import hold_after_error, hold_for_spam_rate, hold_if_overdue
from newsletter.sending.wall_clock import as_typed, instant_of, nearest_instant_of
from newsletter.sending.waves import LocalTime, Wave, recipients_by_zone

log = logging.getLogger(__name__)

#: No recipient's local time comes longer than this before that of all others, with an hour for clocks that skip it.
MAX_ZONE_SPREAD = datetime.timedelta(hours=27)

#: Errors that are no fault of a single send: the step as a whole is retried.
DATABASE_IS_DOWN = (OperationalError, InterfaceError)


class IssueRefused(Exception):
    """The issue cannot be scheduled or sent as it is; each sentence says what to do."""

    def __init__(self, *sentences: str, result: PreflightResult | None = None) -> None:
        """`result`: of the pre-flight run that was made before the refusal, if one was made."""
        super().__init__(" ".join(str(sentence) for sentence in sentences))
        self.sentences, self.result = sentences, result

    @property
    def values(self) -> dict[str, Any]:
        """The sentences as reasons store them."""
        return {"sentences": [to_data(sentence) for sentence in self.sentences]}


@contextmanager
def run_of_refusal_recorded(issue: Issue, *, by: str) -> Iterator[None]:
    """Record the pre-flight run of a refusal after the rollback of the transaction that made it, which is inside."""
    try:
        yield
    except IssueRefused as refusal:
        if refusal.result:
            record_run(issue, refusal.result, by=by)
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What a send would do now, and what pre-flight finds; the audience is computed once for both."""

    edition: Edition
    audience: Audience
    manifest: Manifest
    result: PreflightResult


def prepare_dry_run(
    issue: Issue, *, local: LocalTime | None = None, sends_at: datetime.datetime | None = None
) -> DryRun:
    """Prepare the edition, compute the audience of now and run pre-flight; nothing is sent, stored or moved.

    With `local`, each recipient would get it at their own time. `sends_at` is as for `check_edition`. Raises
    IssueRefused if no edition can be made.
    """
    edition, audience = _edition_to_send(issue), Audience.of(issue)
    manifest = manifest_of(issue, edition, audience, at=timezone.now(), local=local)
    snapshot = snapshot_of(audience, manifest.recipients, manifest.excluded)
    result = preflight_edition(issue, edition, trigger=Trigger.SEND_NOW, audience=snapshot, sends_at=sends_at)
    return DryRun(edition=edition, audience=audience, manifest=manifest, result=result)


def dry_run(issue: Issue, *, local: LocalTime | None = None) -> Manifest:
    """What a send of the issue would do now; nothing is sent or stored. Raises IssueRefused with every reason."""
    if (send := issue.current_send) is not None and send.state != SendState.SCHEDULED:
        raise IssueRefused(_("A send of this issue was started already, so a dry run says nothing any more."))
    refuse_published(issue)
    run = prepare_dry_run(issue, local=local)
    _refuse_findings(run.result)
    return run.manifest


def schedule_issue(
    issue: Issue,
    *,
    wall: datetime.datetime,
    zone: str,
    by: str,
    revision: int | None = None,
    approved: Approval | None = None,
    same_audience: bool = False,
    is_local: bool = False,
) -> Send:
    """Freeze the issue and schedule its send for `wall` (a datetime without zone) in the time zone `zone`.

    With `is_local`, each recipient gets the issue at `wall` in their own time zone, or in `zone` if they have none.

    The edition that is frozen now is sent. Nothing is scheduled if the issue is no longer at `revision`, or if its
    content differs from the `approved` manifest that the editor saw. The audience is computed when sending starts;
    with `same_audience`, the send is scheduled and started only if the audience is still the approved one. Raises
    NoSuchTime, IssueRefused or InvalidTransition, and then changes nothing.
    """
    instant, local = instant_of(wall, zone), LocalTime(wall=wall, zone=zone) if is_local else None
    if instant <= timezone.now():
        raise IssueRefused(
            _("%(time)s in %(zone)s is in the past. Choose a later time, or send the issue now.")
            % {"time": as_typed(wall), "zone": zone}
        )
    if local:
        instant = first_instant(issue, local)
    with run_of_refusal_recorded(issue, by=by), transaction.atomic():
        lock(issue, revision=revision)
        if issue.current_send is not None:
            raise InvalidTransition(_("This issue is scheduled or sent already. Reload the page and try again."))
        run = check_and_store_edition(
            issue,
            _edition_to_send(issue),
            trigger=Trigger.SCHEDULE,
            by=by,
            local=local,
            at=timezone.now(),
            sends_at=instant.astimezone(zoneinfo.ZoneInfo(zone)),
        )
        manifest = run.manifest
        if approved:
            differences = approved.differences(manifest) if same_audience else approved.content_differences(manifest)
            _raise_if_different(differences, run.result)
        send = Send.objects.create_with_history(
            SendState.SCHEDULED,
            by=by,
            issue=issue,
            edition=run.edition,
            scheduled_at=instant,
            scheduled_zone=zone,
            scheduled_wall=wall.isoformat(timespec="minutes"),
            is_local=is_local,
            manifest=manifest.as_json(),
            approved_sha256=manifest.sha256 if same_audience else "",
        )
        _clear_hold(issue)
        failpoint(Point.FREEZE_UNCOMMITTED)
    failpoint(Point.FREEZE_COMMITTED)
    return send


def waves_of(issue: Issue, local: LocalTime) -> tuple[Wave, ...]:
    """The waves in which the subscribers of now would get it, the earliest first; at least one."""
    return local.waves(recipients_by_zone(Audience.of(issue), timezone.now()) or {"": 0})


def first_instant(issue: Issue, local: LocalTime) -> datetime.datetime:
    """When the first wave starts. Raises IssueRefused if that is in the past."""
    first = waves_of(issue, local)[0]
    if first.starts_at <= timezone.now():
        raise IssueRefused(
            _(
                "%(time)s is in the past for %(count)s of the recipients (%(zone)s). Choose a later time, or send it "
                "to all recipients at the same moment."
            )
            % {
                "time": as_typed(local.wall),
                "count": number_format(first.recipients, force_grouping=True),
                "zone": first.zones[0] or local.zone,
            }
        )
    return first.starts_at


def unschedule_send(send: Send, *, by: str, text: str = "") -> None:
    """Withdraw a scheduled send, so that its issue can be edited again. Raises InvalidTransition."""
    _withdraw(send, by=by, reason=Reason.UNSCHEDULED, values=operator_values(text))


def _withdraw(send: Send, *, by: str, reason: Reason, values: dict[str, Any]) -> None:
    with transaction.atomic():
        send.move(SendState.WITHDRAWN, only_from=(SendState.SCHEDULED,), by=by, reason=reason, values=values)
        send.issue.revoke_approval(by=by, reason=reason)


def send_now(
    issue: Issue,
    *,
    by: str,
    revision: int | None = None,
    approved: Approval | None = None,
    may_undo: bool = True,
) -> Send:
    """Freeze the issue and start its send; a worker does the rest. Raises IssueRefused or InvalidTransition.

    `revision` and `approved` are what the editor looked at: an issue that was saved since, or whose manifest changed,
    is not started. Nothing is posted before UNDO_SECONDS are over: until then it can be undone, unless no operator is
    there who could (`may_undo`). Refused while all sending is stopped.
    """
    if sending_stopped():
        raise IssueRefused(_("All sending is stopped. Resume sending first, or schedule the issue."))
    before = issue.current_send
    with run_of_refusal_recorded(issue, by=by), transaction.atomic():
        lock(issue, revision=revision)
        current = issue.current_send
        if (before and (before.pk, before.state)) != (current and (current.pk, current.state)):
            raise InvalidTransition(_("The schedule of this issue changed meanwhile. Reload the page and try again."))
        send = start(issue, current, trigger=Trigger.SEND_NOW, by=by, approved=approved, may_undo=may_undo)
        failpoint(Point.START_UNCOMMITTED)
    failpoint(Point.START_COMMITTED)
    return send


def start_next_due_send() -> bool:
    """Start the scheduled send that is due longest; whether there was one. The database's clock decides.

    One that must not be sent any more (no recipient is left, or not the approved audience) is withdrawn with the
    reason. One that is found too late is held for an operator. One that fails does not block the others: it is retried
    until it is too late for it. While all sending is stopped, none starts.
    """
    send = Send.objects.due(Now()).select_related("issue__newsletter").defer("manifest").first()
    if send is None or sending_stopped():
        return False
    try:
        _start_due_send(send)
    except DATABASE_IS_DOWN:
        raise
    except Exception as error:
        log.exception("Due send not started; it is retried", extra={"send": send.pk})
        hold_after_error(send.pk, error)
    return True


def _start_due_send(send: Send) -> None:
    with transaction.atomic():
        issue = send.issue
        lock(issue)
        due = Send.objects.due(Now()).filter(pk=send.pk).select_related("edition").first()
        if due is None:
            # An editor or another worker was faster; the row says what holds now.
            return
        due.issue = issue
        if hold_if_overdue(due) or hold_for_spam_rate(due):
            return
        try:
            start(issue, due, trigger=Trigger.SCHEDULED_START, by="schedule", approved=Approval.stored_on(due))
        except IssueRefused as refusal:
            log.warning("Due send refused and withdrawn", extra={"send": due.pk, "refusal": str(refusal)})
            _withdraw(due, by="schedule", reason=Reason.NOT_STARTED, values=refusal.values)
            flag_issue(issue, Reason.NOT_STARTED, refusal.values)
        failpoint(Point.START_UNCOMMITTED)
    failpoint(Point.START_COMMITTED)


def flag_issue(issue: Issue, reason: Reason, values: dict[str, Any]) -> None:
    """Let an issue that was not sent wait for an operator, with the reason."""
    Issue.objects.filter(pk=issue.pk).update(hold_reason=reason, hold_values=values, updated_at=timezone.now())


def _clear_hold(issue: Issue) -> None:
    Issue.objects.filter(pk=issue.pk).exclude(hold_reason="").update(hold_reason="", hold_values={})


def update_start_times() -> bool:
    """Compute the start of scheduled sends again: time-zone rules, or the recipients' zones, may have changed.

    A step of the worker: a new subscriber's local time may come before that of all others. Returns whether one changed.
    """
    changed = 0
    soon = timezone.now() + MAX_ZONE_SPREAD
    scheduled = Send.objects.filter(Q(is_local=False) | Q(scheduled_at__lte=soon), state=SendState.SCHEDULED)
    readable = scheduled.exclude(scheduled_wall="").select_related("issue__newsletter").defer("manifest")
    for send in readable:
        instant, before = _start_time(send), send.scheduled_at
        unchanged = Send.objects.filter(pk=send.pk, state=SendState.SCHEDULED, scheduled_at=before)
        if before and instant and instant != before and unchanged.update(scheduled_at=instant):
            values = {"now_at": iso(instant), "before_at": iso(before)}
            send.note(Reason.RESCHEDULED, by="schedule", values=values)
            changed += 1
    return changed > 0


def _start_time(send: Send) -> datetime.datetime | None:
    """When the send starts, as far as it is known now; a start that is due stays as it is.

    Recipients whose local time is over get it with the next wave. They must not make the send overdue for all.
    """
    wall, local, now = datetime.datetime.fromisoformat(send.scheduled_wall), LocalTime.of(send), timezone.now()
    if local is None:
        return nearest_instant_of(wall, send.scheduled_zone)
    if send.scheduled_at is None or send.scheduled_at <= now:
        return send.scheduled_at
    return next((wave.starts_at for wave in waves_of(send.issue, local) if wave.starts_at > now), send.scheduled_at)


def start(
    issue: Issue,
    send: Send | None,
    *,
    trigger: Trigger,
    by: str,
    approved: Approval | None,
    may_undo: bool = False,
) -> Send:
    """Check the locked issue and start its send, a new one if it has none. Raises IssueRefused or InvalidTransition.

    The manifest is computed and compared in the transaction that starts the send. After it, recipients can only become
    fewer: who leaves before their batch is built is skipped, and their delivery says why. A confirmation that is being
    committed at this very moment may still be expanded; the report counts every delivery.
    """
    if send is not None and send.state != SendState.SCHEDULED:
        raise InvalidTransition(_("A send of this issue was started already."))
    lock_week(issue)
    now = timezone.now()
    if refusal := refusal_of_start(issue.newsletter.sender_email, now):
        raise IssueRefused(*refusal)
    # "Send now" means all recipients at the same moment, and can be undone.
    local = LocalTime.of(send) if send and trigger is not Trigger.SEND_NOW else None
    undo_seconds = settings.UNDO_SECONDS if may_undo else 0
    run = check_and_store_edition(
        issue,
        send.edition if send else _edition_to_send(issue),
        trigger=trigger,
        by=by,
        local=local,
        at=now,
        sends_at=now.astimezone(zoneinfo.ZoneInfo(send.time_zone if send else issue.newsletter.time_zone)),
    )
    if approved:
        _raise_if_different(approved.differences(run.manifest), run.result)
    fields: dict[str, Any] = {
        "edition": run.edition,
        "started_at": now,
        "undo_until": now + datetime.timedelta(seconds=undo_seconds) if undo_seconds else None,
        "is_local": local is not None,
        "audience": run.audience.as_json(),
        "awaits_digest": run.audience.leaves_out_weekly,
        "manifest": run.manifest.as_json(),
        "approved_sha256": approved.sha256 if approved else "",
    }
    if send is None:
        send = Send.objects.create_with_history(SendState.SENDING, by=by, issue=issue, **fields)
    else:
        fields |= {"hold_reason": "", "hold_values": {}, "retry_start_at": None}
        send.move(SendState.SENDING, only_from=(SendState.SCHEDULED,), by=by, **fields)
    _clear_hold(issue)
    return send


def _raise_if_different(differences: tuple[str, ...], result: PreflightResult) -> None:
    if differences:
        advice = translatable("Nothing was sent or scheduled. Review the page and confirm again.")
        raise IssueRefused(*differences, advice, result=result)


def lock(issue: Issue, *, revision: int | None = None) -> None:
    """Lock the issue: saves and starts of it wait until the transaction ends.

    Without the lock, an editor could save between freezing and starting, and the issue would differ from the mails.
    Raises IssueRefused if the issue is no longer at `revision`, or was published on the web without a send.
    """
    issue.refresh_from_db(from_queryset=Issue.objects.select_for_update())
    # Sends that were read before the lock may have changed.
    issue.__dict__.pop("prefetched_sends", None)
    refuse_published(issue)
    if revision not in (None, issue.revision):
        raise IssueRefused(
            translatable(
                "The issue was saved since this page was loaded: the page showed revision {seen}, and it is at "
                "revision {now} now. Nothing was sent or scheduled. Review the page and confirm again.",
                seen=revision,
                now=issue.revision,
            )
        )


def refuse_published(issue: Issue) -> None:
    """Raise IssueRefused for an issue that was published on the web without a send: it was mailed elsewhere."""
    if issue.is_published_without_send:
        raise IssueRefused(
            translatable(
                "“{title}” was published on the web without being mailed, so it cannot be approved, scheduled or sent. "
                "To mail its content, create a new issue.",
                title=issue.title,
            )
        )


def check_and_store_edition(
    issue: Issue,
    edition: Edition,
    *,
    trigger: Trigger,
    by: str,
    local: LocalTime | None,
    at: datetime.datetime,
    sends_at: datetime.datetime,
) -> DryRun:
    """Check the issue with the audience of `at`, and store its edition. Raises IssueRefused, and then stores none."""
    audience = Audience.of(issue)
    manifest = manifest_of(issue, edition, audience, at=at, local=local)
    snapshot = snapshot_of(audience, manifest.recipients, manifest.excluded)
    result = check_edition(issue, edition, trigger=trigger, by=by, audience=snapshot, sends_at=sends_at)
    _refuse_findings(result)
    return DryRun(edition=store_edition(edition), audience=audience, manifest=manifest, result=result)


def _edition_to_send(issue: Issue) -> Edition:
    """What was frozen when the issue was scheduled, else what would be frozen now."""
    if send := issue.current_send:
        return send.edition
    try:
        return prepare_edition(issue)
    except (RenderingError, EnvelopeError) as error:
        raise IssueRefused(*error.args) from error


def _refuse_findings(result: PreflightResult) -> None:
    if result.blocking:
        raise IssueRefused(*(finding.message for finding in result.blocking), result=result)
