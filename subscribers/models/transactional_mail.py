"""Transactional mails: the outbox of mails to one subscriber about a subscription."""

from __future__ import annotations

import datetime
import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from subscribers.models.subscription import Subscription
from subscribers.state_machine import StateMachine


class TransactionalMailKind(models.TextChoices):
    """What a mail is about. Each kind has a folder of templates with its name."""

    CONFIRMATION = "confirmation", _("Confirmation mail")
    STAY = "stay", _("“Do you still want this newsletter?”")
    ALREADY_SUBSCRIBED = "already_subscribed", _("“You are already subscribed”")
    ADDRESS_CONFIRM = "address_confirm", _("Change of address: to the new address")
    ADDRESS_TAKEN = "address_taken", _("Change of address: the new address is in use")
    ADDRESS_APPROVE = "address_approve", _("Change of address: to the old address")
    ACCESS = "access", _("Link to the subscriber’s data")
    ERASE = "erase", _("Link to delete the subscriber’s data")
    PREFERENCES_LINK = "preferences_link", _("Link to the preferences page")


class TransactionalMailState(models.TextChoices):
    """The states of a transactional mail."""

    PENDING = "pending", _("Pending")
    SENT = "sent", _("Sent")
    FAILED = "failed", _("Failed")
    UNKNOWN = "unknown", _("Unknown")  # it may have arrived; a repeat could arrive twice
    WITHDRAWN = "withdrawn", _("Withdrawn")  # not sent, and no longer needed


class TransactionalMailReason(models.TextChoices):
    """Why a mail is not sent, or not yet."""

    SUPPRESSED = "suppressed", _("The address is suppressed.")
    DECLINED = "declined", _("The subscriber chose “This was not me”.")
    ADDRESS_CHANGED = "address_changed", _("The subscriber’s address has changed.")
    NOTHING_TO_CONFIRM = "nothing_to_confirm", _("There is nothing left to confirm.")
    SUPERSEDED = "superseded", _("A newer confirmation mail replaces this one.")
    LINK_EXPIRED = "link_expired", _("The link in the mail has expired.")
    NOT_SUBSCRIBED = "not_subscribed", _("The subscription has ended.")
    REFUSED = "refused", _("The mail was refused.")
    UNAVAILABLE = "unavailable", _("The provider has not accepted the mail.")
    CONNECTION_FAILED = "connection_failed", _("The connection to the mail server failed.")
    BACKEND_ERROR = "backend_error", _("The mail backend failed with an unexpected error.")
    NOT_FINISHED = "not_finished", _("A worker stopped during an attempt.")
    OTHER = "other", _("Another reason.")


TRANSACTIONAL_MAIL_MACHINE = StateMachine(
    states=TransactionalMailState,
    transitions={
        TransactionalMailState.PENDING: (
            TransactionalMailState.SENT,
            TransactionalMailState.FAILED,
            TransactionalMailState.UNKNOWN,
            TransactionalMailState.WITHDRAWN,
        ),
        TransactionalMailState.SENT: (),
        TransactionalMailState.FAILED: (),
        TransactionalMailState.UNKNOWN: (),
        TransactionalMailState.WITHDRAWN: (),
    },
    initial_states=(TransactionalMailState.PENDING,),
)


def new_idempotency_key() -> str:
    """An idempotency key that is unique in every installation of a provider team."""
    return f"transactional:{uuid.uuid4().hex}"


class TransactionalMailQuerySet(models.QuerySet["TransactionalMail"]):
    """Queries about transactional mails."""

    def due(self, now: datetime.datetime) -> TransactionalMailQuerySet:
        """Pending, due and not claimed by a worker; the longest waiting first."""
        return self.filter(
            Q(lease_until__isnull=True) | Q(lease_until__lte=now),
            state=TransactionalMailState.PENDING,
            not_before__lte=now,
        ).order_by("not_before", "pk")


class TransactionalMail(models.Model):
    """One mail to one subscriber about a subscription, from request to outcome.

    Complete when it is created, so that every attempt sends the same bytes under the same key. Its body contains
    working links and is removed after the last attempt.
    """

    kind = models.CharField(_("kind"), max_length=20, choices=TransactionalMailKind.choices)
    subscription = models.ForeignKey(
        Subscription,
        on_delete=models.CASCADE,
        related_name="transactional_mails",
        verbose_name=_("subscription"),
    )
    recipient = models.CharField(_("recipient"), max_length=320)
    sender = models.CharField(_("sender"), max_length=500)
    reply_to = models.CharField(_("reply-to address"), max_length=320, blank=True)
    subject = models.CharField(_("subject"), max_length=200)
    text = models.TextField(blank=True)
    html = models.TextField(blank=True)
    headers = models.JSONField(default=dict)
    idempotency_key = models.CharField(max_length=64, unique=True, default=new_idempotency_key, editable=False)

    state = models.CharField(
        _("state"), max_length=10, choices=TransactionalMailState.choices, default=TransactionalMailState.PENDING
    )
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    not_before = models.DateTimeField(_("not before"), default=timezone.now)
    lease_until = models.DateTimeField(null=True)
    first_attempt_at = models.DateTimeField(
        _("first attempt at"),
        null=True,
        help_text=_("The first attempt that may have sent the mail. Empty while no attempt may have."),
    )
    sent_at = models.DateTimeField(_("sent at"), null=True)
    provider = models.CharField(
        _("provider"),
        max_length=32,
        blank=True,
        default="",
        db_default="",
        help_text=_("The provider and account that accepted it."),
    )
    provider_id = models.CharField(_("provider’s ID"), max_length=100, blank=True)
    reason = models.CharField(_("reason"), max_length=20, blank=True, choices=TransactionalMailReason.choices)
    detail = models.CharField(
        _("detail"),
        max_length=500,
        blank=True,
        help_text=_("The provider’s reason code and its own words."),
    )

    objects: ClassVar[TransactionalMailQuerySet] = TransactionalMailQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name, verbose_name_plural = _("transactional mail"), _("transactional mails")
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=TransactionalMailKind.values), name="transactional_mail_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(state__in=TransactionalMailState.values), name="transactional_mail_state_known"
            ),
            models.CheckConstraint(
                condition=Q(reason__in=["", *TransactionalMailReason.values]), name="transactional_mail_reason_known"
            ),
        ]
        indexes = [
            # What `send_due_transactional_mails` looks for; finished mails are not in it.
            models.Index(
                fields=["not_before"],
                condition=Q(state=TransactionalMailState.PENDING),
                name="transactional_mail_to_send",
            ),
            # Each sign-up counts the mails to the same subscription here.
            models.Index(fields=["subscription", "kind", "created_at"], name="transactional_mail_caps"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} · {date_format(self.created_at, 'SHORT_DATETIME_FORMAT')}"

    @property
    def explanation(self) -> str:
        """Why it is not sent, as sentences in the active language. Empty if there is nothing to explain."""
        sentences = [str(self.get_reason_display()) if self.reason else "", self.detail]
        if self.state == TransactionalMailState.UNKNOWN:
            sentences.append(gettext("The mail may have arrived or not. It is not sent again."))
        return " ".join(filter(None, sentences))
