"""The send: one run of an issue to an audience – its schedule, edition, manifest, state, counters and history."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from newsletter.models.edition import Edition
from newsletter.models.issue import Issue
from newsletter.models.reasons import Reason, reason_sentence
from newsletter.models.sending_switch import SendingSwitch, SwitchState
from subscribers.models import SuppressionSecret
from subscribers.state_machine import InvalidTransition, StateMachine, history_details


class SendState(models.TextChoices):
    """Where a send stands."""

    SCHEDULED = "scheduled", _("Scheduled")
    SENDING = "sending", _("Sending")
    PAUSED = "paused", pgettext_lazy("send", "Paused")
    SENT = "sent", _("Sent")
    CANCELLED = "cancelled", _("Cancelled")
    # Unscheduled or undone while provably nothing was sent; the issue can be edited and sent again.
    WITHDRAWN = "withdrawn", _("Withdrawn")


SEND_MACHINE = StateMachine(
    states=SendState,
    transitions={
        SendState.SCHEDULED: {SendState.SENDING, SendState.WITHDRAWN},
        SendState.SENDING: {SendState.PAUSED, SendState.SENT, SendState.CANCELLED, SendState.WITHDRAWN},
        # There is no transition from paused to sent: a send must be resumed first.
        SendState.PAUSED: {SendState.SENDING, SendState.CANCELLED, SendState.WITHDRAWN},
        # Failed deliveries are retried.
        SendState.SENT: {SendState.SENDING},
        SendState.CANCELLED: set(),
        SendState.WITHDRAWN: set(),
    },
    initial_states={SendState.SCHEDULED, SendState.SENDING},
    owner="send",
)

#: States in which a send was started: its issue is on the way to recipients, or was.
STARTED = (SendState.SENDING, SendState.PAUSED, SendState.SENT, SendState.CANCELLED)

#: States in which a send was started and is not over.
IN_PROGRESS = (SendState.SENDING, SendState.PAUSED)


#: The same as `SendQuerySet.may_post`, for statements that the ORM does not write. Its parameter is
#: `present_secret_fingerprint()`.
MAY_POST_SQL = f"""
    state = '{SendState.SENDING}'
    AND NOT EXISTS (SELECT 1 FROM newsletter_sendingswitch w WHERE w.state = '{SwitchState.STOPPED}')
    AND NOT EXISTS (SELECT 1 FROM subscribers_suppressionsecret s WHERE s.fingerprint <> %s)
"""  # noqa: S608 - names of states are ours


class SendQuerySet(models.QuerySet["Send"]):
    def create_with_history(
        self, state: str, *, by: str, reason: str = "", values: Mapping[str, Any] | None = None, **fields: Any
    ) -> Send:
        """A new send, with the first line of its history."""
        if state not in SEND_MACHINE.initial_states:
            raise ValueError(f"A send is not made as {state}.")
        with transaction.atomic():
            send = self.create(state=state, **fields)
            details = history_details(by=by, reason=reason, values=values)
            SendTransition.objects.create(send=send, source="", target=state, **details)
        return send

    def current(self) -> SendQuerySet:
        """All but the withdrawn: at most one per issue."""
        return self.exclude(state=SendState.WITHDRAWN)

    def due(self, at: datetime.datetime | Now) -> SendQuerySet:
        """Scheduled sends whose time has come, the longest due first; not those held for an operator."""
        may_start = Q(hold_reason="") | Q(retry_start_at__lte=at)
        return self.filter(may_start, state=SendState.SCHEDULED, scheduled_at__lte=at).order_by("scheduled_at", "pk")

    def may_post(self) -> SendQuerySet:
        """Those in the state sending; none while all sending is stopped."""
        running = self.filter(state=SendState.SENDING)
        if settings.SENDING_IS_OFF:
            return running.none()
        return running.filter(~SendingSwitch.is_stopped(), ~SuppressionSecret.differs())

    def awaiting_weekly_digest(self, newsletter_pk: int) -> SendQuerySet:
        """Sends of a newsletter whose issues its weekly subscribers have not got yet."""
        return self.current().filter(awaits_digest=True, issue__newsletter=newsletter_pk)

    def public(self) -> SendQuerySet:
        """Sends whose issues are on the web, newest first: not cancelled, no longer undoable, no weekly digest."""
        undoable = Q(state__in=IN_PROGRESS, undo_until__gt=timezone.now())
        states = (SendState.SENDING, SendState.PAUSED, SendState.SENT)
        shown = self.filter(~undoable, state__in=states, issue__digest_at__isnull=True)
        return shown.order_by("-started_at", "-issue")


class Send(models.Model):
    """One run of an issue. An issue has at most one that is not withdrawn."""

    issue = models.ForeignKey(Issue, on_delete=models.PROTECT, related_name="sends")
    edition = models.ForeignKey(
        Edition, on_delete=models.PROTECT, related_name="sends", help_text=_("The edition that is sent.")
    )
    state = models.CharField(_("state"), max_length=9, choices=SendState.choices)
    hold_reason = models.CharField(
        max_length=64, blank=True, default="", help_text=_("Code of why it is paused or held for an operator.")
    )
    hold_values = models.JSONField(default=dict)
    retry_start_at = models.DateTimeField(null=True, help_text=_("Its start failed, and is retried then."))

    scheduled_at = models.DateTimeField(_("scheduled for"), null=True)
    scheduled_zone = models.CharField(_("time zone"), max_length=64, blank=True, default="")
    scheduled_wall = models.CharField(
        max_length=16, blank=True, default="", help_text=_("The wall-clock time in that zone: 2027-03-30T07:00.")
    )
    is_local = models.BooleanField(
        _("in local time"), default=False, help_text=_("Each recipient gets it when their own clock shows that time.")
    )

    manifest = models.JSONField(null=True, help_text=_("What was to be sent, to how many, to whom, when it started."))
    approved_sha256 = models.CharField(
        _("approved manifest"),
        max_length=64,
        blank=True,
        default="",
        help_text=_("Digest of the approved manifest: the send starts only if it still holds. Empty: any audience."),
    )

    audience = models.JSONField(
        _("audience"),
        default=dict,
        help_text=_("Lists, segments with their rules and topic, as they were at the start. Empty: its own list."),
    )
    started_at = models.DateTimeField(_("started at"), null=True)
    undo_until = models.DateTimeField(
        _("undo until"), null=True, help_text=_("Nothing is posted before; until then “Send now” can be undone.")
    )
    acknowledged = models.JSONField(
        default=dict, help_text=_("The rates of bounces and complaints with which an operator resumed it.")
    )
    expanded_lists = models.PositiveSmallIntegerField(
        default=0, help_text=_("How many lists of the audience are expanded completely.")
    )
    expanded_through = models.BigIntegerField(
        default=0, help_text=_("The last subscription that has its delivery; the expansion goes on after it.")
    )
    expanded_at = models.DateTimeField(
        _("expanded at"), null=True, help_text=_("When the whole audience had its deliveries.")
    )
    excluded = models.JSONField(
        _("excluded"), default=dict, help_text=_("Subscriptions that were left out, counted by reason.")
    )
    awaits_digest = models.BooleanField(
        default=False,
        db_default=False,
        help_text=_("Weekly subscribers were left out and get the issue with the next weekly digest."),
    )
    weekly_digest = models.ForeignKey(
        Issue,
        on_delete=models.PROTECT,
        null=True,
        related_name="digested_sends",
        help_text=_("The weekly digest that has the issue."),
    )
    counts_unsubscribes = models.BooleanField(
        default=True,
        db_default=False,
        help_text=_(
            "Whether the links of its mails tell that they are of this send. Those of earlier versions do not."
        ),
    )
    finished_at = models.DateTimeField(_("finished at"), null=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects: ClassVar[SendQuerySet] = SendQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("send")
        verbose_name_plural = _("sends")
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=SendState.values), name="send_state_known"),
            # An issue never goes out in two sends.
            models.UniqueConstraint(
                fields=["issue"], condition=~Q(state=SendState.WITHDRAWN), name="send_one_current_per_issue"
            ),
            models.CheckConstraint(
                condition=~Q(state=SendState.SCHEDULED) | Q(scheduled_at__isnull=False),
                name="send_scheduled_has_a_time",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=STARTED) | Q(started_at__isnull=False), name="send_started_has_its_time"
            ),
            models.CheckConstraint(
                condition=~Q(state=SendState.SENT) | Q(finished_at__isnull=False, expanded_at__isnull=False),
                name="send_sent_is_finished",
            ),
            # An issue is in one digest at most.
            models.CheckConstraint(
                condition=Q(awaits_digest=False) | Q(weekly_digest__isnull=True), name="send_in_a_digest_awaits_none"
            ),
        ]
        indexes = [
            # Workers ask several times a second which schedules are due and which sends are running.
            models.Index(fields=["scheduled_at"], condition=Q(state=SendState.SCHEDULED), name="send_due"),
            models.Index(fields=["started_at"], condition=Q(state__in=IN_PROGRESS), name="send_running"),
            models.Index(fields=["issue"], condition=Q(awaits_digest=True), name="send_awaits_digest"),
        ]

    def __str__(self) -> str:
        return gettext("send %(number)s") % {"number": self.pk}

    @property
    def time_zone(self) -> str:
        """The zone in which its times are shown: that of its schedule, else the newsletter's."""
        return self.scheduled_zone or self.issue.newsletter.time_zone

    @property
    def was_auto_paused(self) -> bool:
        """Whether it is paused because too many mails bounced, were reported as spam, or have no known outcome."""
        return self.state == SendState.PAUSED and self.hold_reason == Reason.AUTO_PAUSED

    @property
    def waits_for_provider(self) -> bool:
        """Whether it is paused because no provider accepts mail, and resumes automatically."""
        return self.state == SendState.PAUSED and self.hold_reason == Reason.PROVIDER_OUTAGE

    def move(
        self,
        target: str,
        *,
        by: str,
        only_from: Iterable[str] = (),
        reason: str = "",
        values: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> None:
        """Move it along one transition with `changes`, and append it to its history. Raises InvalidTransition."""
        SEND_MACHINE.move_with_history(
            self, target, SendTransition, only_from=only_from, by=by, reason=reason, values=values, **changes
        )

    def pause(self, reason: str, *, by: str = "worker", values: Mapping[str, Any] | None = None) -> None:
        """Pause it while it is sending, and keep the reason on it. Raises InvalidTransition."""
        kept = dict(values or {})
        changes = {"hold_reason": reason, "hold_values": kept}
        self.move(SendState.PAUSED, only_from=(SendState.SENDING,), by=by, reason=reason, values=kept, **changes)

    def pause_if_sending(self, reason: str, *, values: Mapping[str, Any] | None = None) -> bool:
        """The same for a step of the worker; False if an operator or another worker has moved it meanwhile."""
        try:
            self.pause(reason, values=values)
        except InvalidTransition:
            return False
        return True

    def resume(
        self, reason: str, *, by: str = "worker", values: Mapping[str, Any] | None = None, **changes: Any
    ) -> None:
        """Resume a paused send. Raises InvalidTransition."""
        changes = {"hold_reason": "", "hold_values": {}, **changes}
        self.move(SendState.SENDING, only_from=(SendState.PAUSED,), by=by, reason=reason, values=values, **changes)

    def note(self, reason: str, *, by: str, values: Mapping[str, Any] | None = None) -> None:
        """Append to its history what happened without a change of state."""
        details = history_details(by=by, reason=reason, values=values)
        SendTransition.objects.create(send=self, source=self.state, target=self.state, **details)

    @property
    def hold_sentence(self) -> str:
        return reason_sentence(self.hold_reason, self.hold_values)


class SendTransition(models.Model):
    """One line of a send's history; append-only. `source` equals `target` where only a note was made."""

    send = models.ForeignKey(Send, on_delete=models.CASCADE, related_name="transitions")
    source = models.CharField(max_length=9, blank=True, choices=SendState.choices)
    target = models.CharField(max_length=9, choices=SendState.choices)
    by = models.CharField(max_length=150, help_text=_("An editor's user name, or the step that did it."))
    reason = models.CharField(max_length=64, blank=True, default="")
    values = models.JSONField(default=dict)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.source} → {self.target}"

    @property
    def sentence(self) -> str:
        """Why it was moved, or what was noted."""
        return reason_sentence(self.reason, self.values)
