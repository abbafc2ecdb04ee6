"""The sending switch: one row that stops all mail of the installation, and its append-only history."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Exists, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from newsletter.models.reasons import Reason, reason_sentence
from subscribers.models import suppression_secret_differs
from subscribers.state_machine import StateMachine


class SwitchState(models.TextChoices):
    """Whether mail may leave the installation."""

    ON = "on", _("On")
    STOPPED = "stopped", _("Stopped")


SWITCH_MACHINE = StateMachine(
    states=SwitchState,
    transitions={
        SwitchState.ON: {SwitchState.STOPPED},
        # Stopped for another reason, which replaces the first one.
        SwitchState.STOPPED: {SwitchState.ON, SwitchState.STOPPED},
    },
    initial_states={SwitchState.ON},
    owner="switch",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SendingStop:
    """Why no mail leaves the installation, since when, and who decided it."""

    reason: str
    values: dict[str, Any] = field(default_factory=dict)
    by: str = ""
    at: datetime.datetime | None = None
    is_by_setting: bool = False
    """Whether a setting stops it, SENDING or SUPPRESSION_SECRET: then it cannot be resumed in the admin."""

    @property
    def sentence(self) -> str:
        """The reason in the active language, without the name."""
        return reason_sentence(self.reason, self.values)

    @property
    def advice(self) -> str:
        """How to resume, in the active language."""
        return str(ADVICE.get(self.reason, RESUME))


RESUME = _("When the cause is fixed, resume sending: manage.py resume_sending, or the admin's start page.")

#: For reasons that are not in the switch.
ADVICE = {
    Reason.STOPPED_BY_SETTING.value: _("To resume sending, set SENDING=on and restart every process."),
    Reason.SUPPRESSION_SECRET_DIFFERS.value: _(
        "Set SUPPRESSION_SECRET to its former value, from a backup of .env, and restart every process. Only if it is "
        "lost, run manage.py resume_sending --lost-suppression-secret: addresses that were suppressed until now may "
        "then get mail again."
    ),
}


class SendingSwitch(models.Model):
    """The only row of its table. Without it, the switch is on; the first stop makes it."""

    PK = 1

    state = models.CharField(_("state"), max_length=7, choices=SwitchState.choices, default=SwitchState.ON)
    stop_reason = models.CharField(
        max_length=64, blank=True, default="", help_text=_("Code of why it is stopped; empty while it is on.")
    )
    stop_values = models.JSONField(default=dict)
    stopped_by = models.CharField(max_length=150, blank=True, default="")
    stopped_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = verbose_name_plural = _("sending switch")
        default_permissions = ()
        permissions = [("stop_all_sending", "Can stop and resume all sending")]
        constraints = [
            models.CheckConstraint(condition=Q(pk=1), name="sending_switch_only_one"),
            models.CheckConstraint(condition=Q(state__in=SwitchState.values), name="sending_switch_state_known"),
            models.CheckConstraint(
                condition=Q(state=SwitchState.ON) | (~Q(stop_reason="") & Q(stopped_at__isnull=False)),
                name="sending_switch_stopped_has_a_reason",
            ),
        ]

    def __str__(self) -> str:
        return str(self.get_state_display())

    @staticmethod
    def is_stopped() -> Exists:
        """The condition that it is stopped, for other queries: these then need no query of their own."""
        return Exists(SendingSwitch.objects.filter(state=SwitchState.STOPPED))


class SwitchTransition(models.Model):
    """One line of the switch's history; append-only."""

    switch = models.ForeignKey(SendingSwitch, on_delete=models.PROTECT, related_name="transitions")
    source = models.CharField(max_length=7, choices=SwitchState.choices)
    target = models.CharField(max_length=7, choices=SwitchState.choices)
    by = models.CharField(
        max_length=150,
        help_text=_("An editor's user name, the account that ran the command, or the part of the system."),
    )
    reason = models.CharField(max_length=64, blank=True, default="")
    values = models.JSONField(default=dict)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.source} → {self.target}"

    @property
    def sentence(self) -> str:
        """Why it was moved."""
        return reason_sentence(self.reason, self.values)


def sending_stopped() -> SendingStop | None:
    """Why all sending is stopped, by a setting or by the switch; None if it is not. At most two small queries."""
    if settings.SENDING_IS_OFF:
        return SendingStop(reason=Reason.STOPPED_BY_SETTING, is_by_setting=True)
    if suppression_secret_differs():
        return SendingStop(reason=Reason.SUPPRESSION_SECRET_DIFFERS, is_by_setting=True)
    row = SendingSwitch.objects.filter(state=SwitchState.STOPPED).first()
    if row is None:
        return None
    return SendingStop(reason=row.stop_reason, values=row.stop_values, by=row.stopped_by, at=row.stopped_at)
