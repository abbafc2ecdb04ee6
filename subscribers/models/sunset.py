"""Sunset questions: “Do you still want this newsletter?”, asked of subscribers who have been silent for long."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from subscribers.models.subscription import Subscription
from subscribers.models.transactional_mail import TransactionalMail
from subscribers.state_machine import StateMachine


class SunsetState(models.TextChoices):
    """What became of a question."""

    ASKED = "asked", _("Asked")
    STAYED = "stayed", _("Wants to stay")
    ENDED = "ended", _("Unsubscribed without an answer")
    # Opened or clicked meanwhile, left, paused, or the mail was not sent.
    WITHDRAWN = "withdrawn", _("Withdrawn")


SUNSET_MACHINE = StateMachine(
    states=SunsetState,
    transitions={
        SunsetState.ASKED: (SunsetState.STAYED, SunsetState.ENDED, SunsetState.WITHDRAWN),
        SunsetState.STAYED: (),
        # The link in the mail works after the answer time, too.
        SunsetState.ENDED: (SunsetState.STAYED,),
        SunsetState.WITHDRAWN: (),
    },
    initial_states=(SunsetState.ASKED,),
)


class SunsetQuestion(models.Model):
    """One question to one subscriber about one list, with its answer."""

    subscription = models.ForeignKey(
        Subscription, on_delete=models.CASCADE, related_name="sunset_questions", verbose_name=_("subscription")
    )
    state = models.CharField(_("state"), max_length=9, choices=SunsetState.choices, default=SunsetState.ASKED)
    silent_since = models.DateTimeField(
        _("silent since"), help_text=_("The start of the first of the issues that were neither opened nor clicked.")
    )
    asked_at = models.DateTimeField(_("asked at"), default=timezone.now)
    answer_by = models.DateTimeField(_("answer by"))
    answered_at = models.DateTimeField(_("answered at"), null=True)
    mail = models.ForeignKey(
        TransactionalMail, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("mail")
    )

    class Meta:
        verbose_name, verbose_name_plural = _("sunset question"), _("sunset questions")
        default_permissions = ("view",)
        ordering: ClassVar = ["-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=SunsetState.values), name="sunset_question_state_known"),
            # Asked once per silence, and never while a question is open.
            models.UniqueConstraint(fields=["subscription", "silent_since"], name="sunset_question_once_per_silence"),
            models.UniqueConstraint(
                fields=["subscription"], condition=Q(state=SunsetState.ASKED), name="sunset_question_one_open"
            ),
        ]
        indexes = [
            models.Index(fields=["answer_by"], condition=Q(state=SunsetState.ASKED), name="sunset_question_due"),
        ]

    def __str__(self) -> str:
        return str(self.get_state_display())
