"""Sign-ups: what the sign-up page stores for the worker to process."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from subscribers.models.mailing_list import MailingList
from subscribers.models.signup_rule import DecisionReason, SignupRule
from subscribers.models.subscription import Subscription
from subscribers.state_machine import StateMachine

#: The default in the database, for the processes of an earlier version during an upgrade.
NOTHING = Value({}, output_field=models.JSONField())


class SignupState(models.TextChoices):
    """The states of a sign-up."""

    WAITING = "waiting", pgettext_lazy("state of a sign-up", "Waiting")
    PROCESSED = "processed", pgettext_lazy("state of a sign-up", "Processed")
    HELD = "held", pgettext_lazy("state of a sign-up", "Held")
    REFUSED = "refused", pgettext_lazy("state of a sign-up", "Refused")


SIGNUP_MACHINE = StateMachine(
    states=SignupState,
    transitions={
        SignupState.WAITING: (SignupState.PROCESSED, SignupState.HELD, SignupState.REFUSED),
        # An editor releases or refuses it.
        SignupState.HELD: (SignupState.WAITING, SignupState.REFUSED),
        SignupState.PROCESSED: (),
        SignupState.REFUSED: (),
    },
    initial_states=(SignupState.WAITING,),
)


class SignupQuerySet(models.QuerySet["Signup"]):
    """Queries about sign-ups."""

    def waiting(self) -> SignupQuerySet:
        """Those that are not processed yet, and could be."""
        return self.filter(due_at__isnull=False).exclude(reason=DecisionReason.COMPLAINT, due_at__gt=timezone.now())

    def on_hold(self) -> SignupQuerySet:
        """Those that wait because the address complained about spam."""
        return self.filter(state=SignupState.WAITING, reason=DecisionReason.COMPLAINT)

    def held(self) -> SignupQuerySet:
        """Those that wait for an editor."""
        return self.filter(state=SignupState.HELD)


class Signup(models.Model):
    """One submission of a sign-up form, for any address: the page stores it, the worker processes it.

    Kept for a day, so that the next page can send the link again without the address in its URL. A held one is kept
    for eight days, and one that follows a spam complaint until 30 days after the complaint.
    """

    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    mailing_list = models.ForeignKey(
        MailingList, on_delete=models.CASCADE, related_name="signups", verbose_name=_("mailing list")
    )
    address = models.CharField(_("address"), max_length=320)
    evidence = models.JSONField(help_text="The fields of `Evidence`.")
    network = models.CharField(
        _("network"), max_length=43, blank=True, help_text=_("IPv4 address, or the /64 of an IPv6 address.")
    )
    source = models.CharField(_("source"), max_length=60, blank=True, default="", db_default="")
    answers = models.JSONField(
        default=dict, db_default=NOTHING, help_text="Text or chosen options, by the key of the custom field."
    )
    facts = models.JSONField(
        default=dict, db_default=NOTHING, help_text="The fields of `Facts`, which rules are compared with."
    )
    state = models.CharField(
        _("state"),
        max_length=9,
        choices=SignupState.choices,
        default=SignupState.WAITING,
        db_default=SignupState.WAITING,
    )
    reason = models.CharField(
        _("reason"), max_length=16, choices=DecisionReason.choices, blank=True, default="", db_default=""
    )
    rule = models.ForeignKey(
        SignupRule, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("rule"), db_index=False
    )
    released_by = models.CharField(
        _("released by"),
        max_length=150,
        blank=True,
        default="",
        db_default="",
        help_text=_("The editor who released it. No rule and no limit holds it again."),
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, db_index=True)
    due_at = models.DateTimeField(null=True, default=timezone.now, help_text="Empty unless it is waiting.")

    objects: ClassVar[SignupQuerySet] = SignupQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name, verbose_name_plural = _("sign-up"), _("sign-ups")
        constraints = [
            models.CheckConstraint(condition=Q(state__in=SignupState.values), name="signup_state_known"),
            models.CheckConstraint(
                condition=Q(due_at__isnull=True) | Q(state=SignupState.WAITING), name="signup_due_while_waiting"
            ),
            # Its mail is written once the hold is over.
            models.UniqueConstraint(
                Lower("address"),
                "mailing_list",
                condition=Q(state=SignupState.WAITING, reason=DecisionReason.COMPLAINT),
                name="signup_once_on_hold",
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="signup_to_answer"),
            models.Index(fields=["created_at"], condition=Q(state="held"), name="signup_held"),
        ]

    def __str__(self) -> str:
        return f"{self.mailing_list} · {date_format(self.created_at, 'SHORT_DATETIME_FORMAT')}"


class SignupAnswers(models.Model):
    """What a sign-up form was answered, until the owner of the address confirms.

    Anyone can type another’s address into the form: before the confirmation, nothing of it becomes a value.
    """

    subscription = models.OneToOneField(
        Subscription, on_delete=models.CASCADE, primary_key=True, related_name="signup_answers"
    )
    values = models.JSONField(default=dict, help_text="Text or chosen options, by the key of the custom field.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.subscription)
