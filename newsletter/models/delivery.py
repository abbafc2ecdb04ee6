"""The outbox: one delivery per issue and subscriber, made before anything is sent."""

from __future__ import annotations

from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from newsletter.models.issue import Issue
from newsletter.models.reasons import Reason
from newsletter.models.send import Send
from subscribers.models import MailingList, Subscriber
from subscribers.state_machine import StateMachine


class DeliveryState(models.TextChoices):
    """How far the sending of one mail has come. Events tell what happened to it afterwards."""

    PENDING = "pending", _("Pending")
    BATCHED = "batched", _("In progress")
    ACCEPTED = "accepted", _("Accepted")
    FAILED = "failed", _("Failed")
    UNKNOWN = "unknown", _("Unknown")
    SKIPPED = "skipped", _("Skipped")


DELIVERY_MACHINE = StateMachine(
    states=DeliveryState,
    transitions={
        DeliveryState.PENDING: {
            DeliveryState.BATCHED,
            DeliveryState.SKIPPED,
            # Its message cannot be built.
            DeliveryState.FAILED,
            # An event may prove that a mail went out which an operator has chosen to send again.
            DeliveryState.ACCEPTED,
        },
        DeliveryState.BATCHED: {
            DeliveryState.ACCEPTED,
            DeliveryState.FAILED,
            DeliveryState.UNKNOWN,
            # The batch is known not to have been sent.
            DeliveryState.PENDING,
        },
        DeliveryState.UNKNOWN: {
            DeliveryState.ACCEPTED,
            DeliveryState.FAILED,
            DeliveryState.UNKNOWN,
            DeliveryState.PENDING,
        },
        # Retried by an operator: the provider accepted the mail and could not send it, or refused it.
        DeliveryState.ACCEPTED: {DeliveryState.PENDING},
        DeliveryState.FAILED: {DeliveryState.PENDING},
        DeliveryState.SKIPPED: set(),
    },
    initial_states={DeliveryState.PENDING},
)

#: Deliveries that are in the bytes of their batch.
IN_FLIGHT = (DeliveryState.BATCHED, DeliveryState.UNKNOWN)


class EventType(models.TextChoices):
    """What an event says about a mail, in ascending rank: the highest known is the one that is shown.

    A delivery keeps the first time of each type, so late and repeated events are harmless.
    """

    SENT = "sent", _("Sent")
    DELAYED = "delayed", _("Delayed")
    DELIVERED = "delivered", _("Delivered")
    OPENED = "opened", _("Opened")
    CLICKED = "clicked", _("Clicked")
    FAILED = "failed", _("Failed")
    SUPPRESSED = "suppressed", _("Suppressed")
    BOUNCED = "bounced", _("Bounced")
    COMPLAINED = "complained", _("Complained")


#: Types of events by which a recipient has the mail. Events that are lost or late must not make more opened than
#: delivered.
DELIVERED_TYPES = (EventType.DELIVERED, EventType.OPENED, EventType.CLICKED)

#: Deliveries whose mail reached the recipient. A mailbox that takes a mail and returns it later was not reached.
IS_DELIVERED = Q(delivered_at__isnull=False, bounced_at__isnull=True)
for _event_type in set(DELIVERED_TYPES) - {EventType.DELIVERED}:
    IS_DELIVERED |= Q(**{f"{_event_type.value}_at__isnull": False})


def reason_unless_delivered(code: str = "") -> Case:
    """The new reason of deliveries that leave a batch, except where it says that the recipient has the mail already."""
    return Case(When(reason=Reason.DELIVERED_AFTER_ALL, then=F("reason")), default=Value(code))


class Delivery(models.Model):
    """One issue for one subscriber, in one send."""

    # No key has a constraint or an index of its own in the database: they would cost the expansion of a large audience
    # more than all else. The batch, made in the same transaction, has the constraints; an erased subscriber must leave
    # the counts as they are. "Each subscriber gets each issue once" is the unique index.
    issue = models.ForeignKey(
        Issue, on_delete=models.PROTECT, db_constraint=False, db_index=False, related_name="deliveries"
    )
    send = models.ForeignKey(
        Send, on_delete=models.PROTECT, db_constraint=False, db_index=False, related_name="deliveries"
    )
    subscriber = models.ForeignKey(
        Subscriber, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="deliveries"
    )
    mailing_list = models.ForeignKey(
        MailingList,
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
        help_text=_("The list through which the subscriber gets it. Empty: the newsletter's own."),
    )
    # Defaults of the database, too: expanding the audience names nothing but the three keys.
    state = models.CharField(
        _("state"),
        max_length=8,
        choices=DeliveryState.choices,
        default=DeliveryState.PENDING,
        db_default=DeliveryState.PENDING,
    )
    reason = models.CharField(
        max_length=64, blank=True, default="", db_default="", help_text=_("Code of why it was skipped or failed.")
    )
    detail = models.CharField(
        max_length=200, blank=True, default="", db_default="", help_text=_("The provider's own words.")
    )
    provider_id = models.CharField(_("provider's id"), max_length=64, blank=True, default="", db_default="")

    sent_at = models.DateTimeField(_("sent at"), null=True)
    delayed_at = models.DateTimeField(_("delayed at"), null=True)
    delivered_at = models.DateTimeField(_("delivered at"), null=True)
    opened_at = models.DateTimeField(_("opened at"), null=True)
    clicked_at = models.DateTimeField(_("clicked at"), null=True)
    failed_at = models.DateTimeField(_("failed at"), null=True)
    suppressed_at = models.DateTimeField(_("suppressed at"), null=True)
    bounced_at = models.DateTimeField(_("bounced at"), null=True)
    complained_at = models.DateTimeField(_("complained at"), null=True)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        constraints = [
            # Each subscriber gets each issue at most once, across all of its sends, editions and variants.
            models.UniqueConstraint(fields=["issue", "subscriber"], name="delivery_once_per_issue_and_subscriber"),
            models.CheckConstraint(condition=Q(state__in=DeliveryState.values), name="delivery_state_known"),
        ]
        indexes = [
            # The rates that may stop a send are counted every second while it runs. As the next two, it ends with the
            # key: lists of recipients are paged by it.
            models.Index(
                fields=["send", "id"],
                condition=Q(bounced_at__isnull=False) | Q(complained_at__isnull=False),
                name="delivery_bounced_or_complained",
            ),
            # A list of the few who complained must not read all that bounced.
            models.Index(fields=["send", "id"], condition=Q(complained_at__isnull=False), name="delivery_complained"),
            # Reports show the words of some; the reasons themselves are counted. Without the state: PostgreSQL would
            # write to all indexes each time that it changes.
            models.Index(fields=["send", "reason", "id"], condition=~Q(reason=""), name="delivery_with_reason"),
            models.Index(
                fields=["send", "id"],
                condition=Q(failed_at__isnull=False) | Q(suppressed_at__isnull=False),
                name="delivery_failed_or_suppressed",
            ),
        ]

    def __str__(self) -> str:
        return gettext("delivery %(number)s") % {"number": self.pk}

    @property
    def outcome(self) -> str:
        """The highest event type that is known, else the state, as a label."""
        for event_type in reversed(EventType):
            if getattr(self, f"{event_type.value}_at"):
                return str(event_type.label)
        return str(DeliveryState(self.state).label)
