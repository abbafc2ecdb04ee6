"""Subscriptions: the subscription of one list, its states and the transitions between them."""

from __future__ import annotations

import datetime
import uuid
from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from subscribers.models.mailing_list import MailingList, supported_language
from subscribers.models.subscriber import Subscriber
from subscribers.state_machine import StateMachine

#: How long a confirmation link works after the request.
REQUEST_LIFETIME = datetime.timedelta(days=7)

#: How far ahead the clock of the machine that stored a time may be. What is dated later is refused.
MAX_CLOCK_SKEW = datetime.timedelta(minutes=5)

#: The source of subscriptions that an import made.
IMPORTED = "import"

#: The source of subscriptions that an editor has added.
ADDED = "admin"


class SubscriptionState(models.TextChoices):
    """The states of a subscription."""

    PENDING = "pending", _("Pending")
    ACTIVE = "active", _("Active")
    UNSUBSCRIBED = "unsubscribed", _("Unsubscribed")
    SUPPRESSED = "suppressed", _("Suppressed")


#: Written through `move_subscriptions` only, which stores a consent for each move.
SUBSCRIPTION_MACHINE = StateMachine(
    states=SubscriptionState,
    transitions={
        SubscriptionState.PENDING: (
            SubscriptionState.ACTIVE,
            SubscriptionState.UNSUBSCRIBED,
            SubscriptionState.SUPPRESSED,
        ),
        SubscriptionState.ACTIVE: (SubscriptionState.UNSUBSCRIBED, SubscriptionState.SUPPRESSED),
        # Only a new request leads back, and only its confirmation makes the subscription active: old links do nothing.
        SubscriptionState.UNSUBSCRIBED: (SubscriptionState.PENDING,),
        SubscriptionState.SUPPRESSED: (SubscriptionState.PENDING,),
    },
    # Active at once only by an import with proof of consent; ended at once only by one of those who left elsewhere.
    initial_states=tuple(SubscriptionState),
)


class Frequency(models.TextChoices):
    """How often a subscriber gets mail of a list."""

    EACH = "each", _("Each issue")
    WEEKLY = "weekly", _("Once a week, all issues in one mail")


class SubscriptionQuerySet(models.QuerySet["Subscription"]):
    """Queries about subscriptions."""

    def with_key(self, key: uuid.UUID) -> SubscriptionQuerySet:
        """The subscription with this key, if it exists."""
        return self.filter(key=key)

    def mailable(self, now: datetime.datetime) -> SubscriptionQuerySet:
        """Those that may be sent an issue: active and not paused."""
        return self.filter(Q(paused_until__isnull=True) | Q(paused_until__lte=now), state=SubscriptionState.ACTIVE)


class Subscription(models.Model):
    """The subscription of one subscriber in one list."""

    subscriber = models.ForeignKey(
        Subscriber, on_delete=models.CASCADE, related_name="subscriptions", verbose_name=_("subscriber")
    )
    mailing_list = models.ForeignKey(
        MailingList,
        on_delete=models.PROTECT,
        # The constraint and the indexes below begin with the list.
        db_index=False,
        related_name="subscriptions",
        verbose_name=_("mailing list"),
    )
    state = models.CharField(
        _("state"), max_length=12, choices=SubscriptionState.choices, default=SubscriptionState.PENDING
    )
    key = models.UUIDField(
        _("key"),
        default=uuid.uuid4,
        unique=True,
        editable=False,
        help_text=_("Identifies the subscription in links of mails."),
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    confirmed_at = models.DateTimeField(_("confirmed at"), null=True, blank=True, editable=False)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True, editable=False)
    paused_until = models.DateTimeField(_("paused until"), null=True, blank=True, editable=False)
    requested_at = models.DateTimeField(_("requested at"), null=True, blank=True, editable=False)
    request_number = models.PositiveIntegerField(
        _("request number"),
        default=0,
        editable=False,
        help_text=_(
            "Goes up when a request follows one that has ended or expired. A confirmation link is valid for one number."
        ),
    )

    source = models.CharField(
        _("source"),
        max_length=60,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text=_("Where the subscriber came from: the “source” of the sign-up form’s address, or an import."),
    )
    import_pk = models.BigIntegerField(
        null=True, editable=False, help_text=_("The import that made the subscription, if it was imported.")
    )
    frequency = models.CharField(
        _("frequency"), max_length=6, choices=Frequency.choices, default=Frequency.EACH, db_default=Frequency.EACH
    )
    next_frequency = models.CharField(
        _("next frequency"),
        max_length=6,
        choices=Frequency.choices,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text=_("What the subscriber chose; it replaces the frequency when the week of the list is over."),
    )
    frequency_since = models.DateTimeField(
        _("frequency since"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("The end of the week after which the frequency was changed. Empty: never changed that way."),
    )
    tracking_agreed_at = models.DateTimeField(
        _("agreed to tracking at"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("When the subscriber agreed that opens and clicks are stored. Empty: not agreed, or withdrawn."),
    )

    objects: ClassVar[SubscriptionQuerySet] = SubscriptionQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name, verbose_name_plural = _("subscription"), _("subscriptions")
        constraints = [
            models.UniqueConstraint(
                fields=["mailing_list", "subscriber"], name="subscription_once_per_person_and_list"
            ),
            models.CheckConstraint(condition=Q(state__in=SubscriptionState.values), name="subscription_state_known"),
            models.CheckConstraint(condition=Q(frequency__in=Frequency.values), name="subscription_frequency_known"),
            # A change is always one to the other frequency, so that the one before it is known.
            models.CheckConstraint(
                condition=Q(next_frequency="")
                | (Q(next_frequency__in=Frequency.values) & ~Q(next_frequency=F("frequency"))),
                name="subscription_next_frequency_differs",
            ),
            models.CheckConstraint(
                condition=~Q(state=SubscriptionState.ACTIVE) | Q(confirmed_at__isnull=False),
                name="subscription_active_only_when_confirmed",
            ),
        ]
        indexes = [
            # The audience of an issue is read in chunks along the key, active subscriptions of one list only.
            models.Index(
                fields=["mailing_list", "id"],
                condition=Q(state=SubscriptionState.ACTIVE),
                name="subscription_audience",
            ),
            # Editors look for the subscribers with one state on one list.
            models.Index(fields=["mailing_list", "state", "subscriber"], name="subscription_by_state"),
            # Sign-ups name their source; the rest would be a large index of few values, which every import writes to.
            models.Index(
                fields=["source", "subscriber"],
                condition=~Q(source__in=["", IMPORTED]),
                name="subscription_by_source",
            ),
            # Few rows wait for the end of a week.
            models.Index(
                fields=["mailing_list", "id"], condition=~Q(next_frequency=""), name="subscription_next_frequency"
            ),
            # Few are paused.
            models.Index(
                fields=["paused_until", "subscriber"],
                condition=Q(paused_until__isnull=False),
                name="subscription_paused",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subscriber} · {self.mailing_list}"

    def request_has_expired(self, now: datetime.datetime) -> bool:
        """Whether it is too late to confirm, or too early. The stored time decides: links carry no date."""
        if self.requested_at is None:
            return True
        return not -MAX_CLOCK_SKEW <= now - self.requested_at <= REQUEST_LIFETIME

    @property
    def chosen_frequency(self) -> Frequency:
        """What the subscriber chose last; it may take effect later."""
        return Frequency(self.next_frequency or self.frequency)

    @property
    def page_language(self) -> str:
        """The language of its pages and mails: the subscriber's choice, else that of the list."""
        chosen = self.subscriber.language
        return supported_language(chosen) if chosen else self.mailing_list.page_language

    def is_paused(self, now: datetime.datetime) -> bool:
        """Whether issues skip this subscription."""
        return self.paused_until is not None and self.paused_until > now
