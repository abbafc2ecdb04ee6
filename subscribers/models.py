"""The tables of readers and their consent; imports nothing of the project but `addresses` and `fingerprints`."""

from __future__ import annotations

import datetime
import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone


class MailingList(models.Model):
    """What a reader joins, and the name in which it writes to them."""

    name = models.CharField(max_length=100)
    slug = models.SlugField(max_length=60, unique=True, help_text="Part of the addresses of its pages.")
    description = models.CharField(
        max_length=300, blank=True, help_text="What readers get and how often; shown where they sign up."
    )
    sender_name = models.CharField(max_length=100)
    sender_email = models.EmailField(help_text="On a domain that is verified with your provider.")
    reply_to = models.EmailField(blank=True, help_text="Where answers go; empty: to the sender.")
    postal_address = models.TextField(
        blank=True, help_text="Yours, in the foot of every mail: the law asks for it, and no issue goes out without."
    )
    language = models.CharField(max_length=10, default="en", help_text="As in HTML: en, de, pt-BR …")

    def __str__(self) -> str:
        return self.name


class Subscriber(models.Model):
    """A person's address. `canonical` decides whether two addresses are the same person's (R-43)."""

    address = models.CharField(max_length=320, help_text="As the reader typed it; mail goes to this form.")
    canonical = models.CharField(max_length=320, unique=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.address


class SubscriptionState(models.TextChoices):
    """Where a membership of a list stands; `consent` holds the arrows between them."""

    PENDING = "pending", "Waiting for confirmation"
    ACTIVE = "active", "Active"
    UNSUBSCRIBED = "unsubscribed", "Unsubscribed"
    SUPPRESSED = "suppressed", "Suppressed"


class SubscriptionQuerySet(models.QuerySet["Subscription"]):
    """Questions about memberships."""

    def mailable(self, moment: datetime.datetime) -> SubscriptionQuerySet:
        """Those who may be sent an issue at `moment`: active, and not on a pause."""
        return self.filter(
            Q(paused_until__isnull=True) | Q(paused_until__lte=moment), state=SubscriptionState.ACTIVE
        )


class Subscription(models.Model):
    """One person's membership of one list."""

    subscriber = models.ForeignKey(Subscriber, on_delete=models.CASCADE, related_name="subscriptions")
    mailing_list = models.ForeignKey(MailingList, on_delete=models.PROTECT, related_name="subscriptions")
    state = models.CharField(
        max_length=12, choices=SubscriptionState.choices, default=SubscriptionState.PENDING
    )
    key = models.UUIDField(
        default=uuid.uuid4,
        unique=True,
        editable=False,
        help_text="What links in mails name instead of the person.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    confirmed_at = models.DateTimeField(null=True, blank=True, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True, editable=False)
    paused_until = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[SubscriptionQuerySet] = SubscriptionQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["mailing_list", "subscriber"], name="subscription_once_per_person_and_list"
            ),
            models.CheckConstraint(
                condition=Q(state__in=SubscriptionState.values), name="subscription_state_known"
            ),
            models.CheckConstraint(
                condition=~Q(state=SubscriptionState.ACTIVE) | Q(confirmed_at__isnull=False),
                name="subscription_active_only_when_confirmed",
            ),
        ]
        indexes = [
            # The audience of an issue is read in chunks along the key, active memberships of one list only.
            models.Index(
                fields=["mailing_list", "id"], condition=Q(state=SubscriptionState.ACTIVE), name="subscription_audience"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subscriber} · {self.mailing_list}"


class SuppressionReason(models.TextChoices):
    """Why an address must not be mailed."""

    HARD_BOUNCE = "hard_bounce", "The mailbox does not exist"
    COMPLAINT = "complaint", "Reported a mail as spam"
    PROVIDER = "provider", "On the provider's own list"
    DECLINED = "declined", "Said: this was not me"
    MANUAL = "manual", "Entered by an editor"


class Suppression(models.Model):
    """An address that must not be mailed, on any list, kept as a keyed hash and independent of subscriber rows."""

    fingerprint = models.CharField(max_length=64, unique=True, editable=False)
    reason = models.CharField(max_length=12, choices=SuppressionReason.choices)
    detail = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(reason__in=SuppressionReason.values), name="suppression_reason_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_reason_display()} · {self.created_at:%Y-%m-%d}"
