"""The batch: up to 100 deliveries that are sent in one provider call."""

from __future__ import annotations

import datetime
from typing import ClassVar

from django.db import models
from django.db.models import ExpressionWrapper, F, Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from newsletter.models.edition import Edition
from newsletter.models.send import Send
from subscribers.state_machine import StateMachine


class BatchState(models.TextChoices):
    """Where one provider call stands."""

    # Nothing of it was sent; its bytes may be built anew.
    READY = "ready", _("Ready")
    # Bytes and key are stored; after a crash it stays here until the lease ends.
    CLAIMED = "claimed", _("In progress")
    ACCEPTED = "accepted", _("Accepted")
    REFUSED = "refused", _("Refused")
    # Known not to have been sent as a whole; smaller batches replace it.
    SPLIT = "split", _("Split")
    # Posted without an answer; the same bytes are posted again under the same key.
    UNKNOWN = "unknown", _("Unknown")
    # Still unknown, and must not be posted again; waits for an event, the provider's list or an operator.
    HELD = "held", _("Held")
    # No recipient is left, or the send was cancelled.
    DROPPED = "dropped", _("Dropped")


BATCH_MACHINE = StateMachine(
    states=BatchState,
    transitions={
        BatchState.READY: {
            BatchState.CLAIMED,
            BatchState.SPLIT,
            BatchState.DROPPED,
            # An operator chose to send it again, and then an event proved that it had been sent.
            BatchState.ACCEPTED,
        },
        BatchState.CLAIMED: {
            # The lease of another worker ended.
            BatchState.CLAIMED,
            BatchState.ACCEPTED,
            BatchState.REFUSED,
            BatchState.SPLIT,
            BatchState.UNKNOWN,
            BatchState.HELD,
            # Known not to have been sent.
            BatchState.READY,
        },
        BatchState.UNKNOWN: {BatchState.CLAIMED, BatchState.ACCEPTED, BatchState.HELD},
        BatchState.HELD: {
            # Another reason.
            BatchState.HELD,
            BatchState.ACCEPTED,
            BatchState.READY,
            # The answer to its latest attempt came after the lease had ended.
            BatchState.REFUSED,
            BatchState.SPLIT,
            BatchState.UNKNOWN,
        },
        BatchState.ACCEPTED: set(),
        BatchState.REFUSED: set(),
        BatchState.SPLIT: set(),
        BatchState.DROPPED: set(),
    },
    # A part of a batch whose messages ended differently is made as claimed, and then moved to its own end.
    initial_states={BatchState.READY, BatchState.CLAIMED},
)

#: States that a worker may still have to act on.
OPEN_BATCH_STATES = (BatchState.READY, BatchState.CLAIMED, BatchState.UNKNOWN)

#: Batches without a final outcome that were posted, or may have been.
ATTEMPTED = Q(state__in=(*OPEN_BATCH_STATES, BatchState.HELD), attempts__gt=0)

#: Batches of which it is recorded how far their post has come. They are recovered before anything else is done.
RECORDS_PROGRESS = Q(state=BatchState.CLAIMED, begun__isnull=False)

#: The send, compared without an index. PostgreSQL has no statistics of a send that is being expanded and takes it for
#: empty: it would read all of it to find the deliveries of one batch, and sort all its batches to find the next.
UNINDEXED_SEND = ExpressionWrapper(F("send_id") + 0, output_field=models.BigIntegerField())


class BatchQuerySet(models.QuerySet["Batch"]):
    def unleased(self, at: datetime.datetime) -> BatchQuerySet:
        """Open batches that no worker has, or whose worker's lease is over."""
        unleased = Q(lease_until__isnull=True) | Q(lease_until__lte=at)
        return self.filter(unleased, state__in=OPEN_BATCH_STATES)

    def unknown_outcome(self, at: datetime.datetime) -> BatchQuerySet:
        """Unleased batches that may have been sent and whose send may post, due or not, the oldest first."""
        attempted = self.unleased(at).sending().exclude(state=BatchState.READY).filter(attempts__gt=0)
        return attempted.order_by("first_attempt_at", "pk")

    def sending(self) -> BatchQuerySet:
        """Those whose send is in the state sending; none while all sending is stopped."""
        sends = list(Send.objects.may_post().order_by().values_list("pk", flat=True))
        return self.alias(of=UNINDEXED_SEND).filter(of__in=sends)


class Batch(models.Model):
    """Up to 100 deliveries that are sent in one provider call: all of a send from `first` to `last` delivery.

    `key` and `payload` are stored before the first byte leaves. While the outcome may be unknown, every attempt posts
    exactly them; once it is known that nothing was sent, both are made anew. `payload` is the provider's body,
    compressed with zstandard; it is removed once the outcome is known.
    """

    # As with deliveries, expanding the audience names only what differs: the defaults are the database's, too.
    send = models.ForeignKey(Send, on_delete=models.PROTECT, related_name="batches")
    edition = models.ForeignKey(Edition, on_delete=models.PROTECT, db_index=False, related_name="batches")
    first_delivery = models.BigIntegerField()
    last_delivery = models.BigIntegerField()
    state = models.CharField(
        _("state"), max_length=8, choices=BatchState.choices, default=BatchState.READY, db_default=BatchState.READY
    )
    epoch = models.PositiveSmallIntegerField(
        _("build"),
        default=1,
        db_default=1,
        help_text=_(
            "Part of the idempotency key. Counts how often its bytes were built: again only where nothing was sent, or "
            "where an operator decided so."
        ),
    )
    may_be_duplicate = models.BooleanField(
        default=False,
        db_default=False,
        help_text=_("An operator sent it again, although an earlier attempt may have reached its recipients."),
    )
    # Set after a restore. What became of the batch between the backup and the restore is not known: it may have been
    # cut into parts, of which some were sent, and built anew for another provider.
    may_be_partly_sent = models.BooleanField(
        default=False,
        db_default=False,
        help_text=_(
            "Parts of it may have been sent before a backup was restored: one mail proves nothing of the others."
        ),
    )
    may_be_at_other_provider = models.BooleanField(
        default=False,
        db_default=False,
        help_text=_(
            "Another provider may have sent it before a backup was restored: the list of one provider does not prove "
            "that it was not sent."
        ),
    )
    provider = models.CharField(
        _("provider"),
        max_length=32,
        blank=True,
        default="",
        db_default="",
        help_text=_("The provider and account that have its bytes; no other gets them while the outcome is unknown."),
    )
    mailbox_provider = models.CharField(
        _("mailbox provider"),
        max_length=32,
        blank=True,
        default="",
        db_default="",
        help_text=_("The large mailbox provider of all its recipients; empty for others, and without a warm-up."),
    )
    attempts = models.PositiveIntegerField(_("attempts"), default=0, db_default=0)
    key = models.CharField(_("idempotency key"), max_length=256, unique=True)
    payload = models.BinaryField(null=True, editable=False)
    payload_sha256 = models.CharField(_("digest"), max_length=64, blank=True, default="", db_default="")
    recipients = models.PositiveSmallIntegerField(
        _("recipients"), default=0, db_default=0, help_text=_("How many messages the payload holds.")
    )
    # For providers that take messages one by one; of other posts, and of repeats, the progress is not recorded.
    begun = models.PositiveSmallIntegerField(
        _("begun"), null=True, help_text=_("How many messages the provider may have got by now.")
    )
    results = models.JSONField(
        null=True, editable=False, help_text=_("Results of the first messages while the post runs.")
    )
    not_before = models.DateTimeField(_("not before"), default=timezone.now)
    lease_until = models.DateTimeField(_("claimed until"), null=True)
    claimed_by = models.CharField(
        _("claimed by"),
        max_length=100,
        blank=True,
        default="",
        db_default="",
        help_text=_("The worker that has it: host and process."),
    )
    first_attempt_at = models.DateTimeField(_("first attempt at"), null=True)
    last_attempt_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)
    reason = models.CharField(
        max_length=64, blank=True, default="", db_default="", help_text=_("Code of why it is in this state.")
    )
    reason_values = models.JSONField(
        null=True, help_text=_("What the reason's sentence names; the provider's own words are the value “text”.")
    )

    objects: ClassVar[BatchQuerySet] = BatchQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("batch")
        verbose_name_plural = _("batches")
        constraints = [
            models.CheckConstraint(condition=Q(state__in=BatchState.values), name="batch_state_known"),
            models.CheckConstraint(condition=Q(first_delivery__lte=F("last_delivery")), name="batch_range_in_order"),
            # Nothing is ever in flight without the bytes that were sent.
            models.CheckConstraint(
                condition=~Q(state__in=(BatchState.CLAIMED, BatchState.UNKNOWN, BatchState.HELD))
                | Q(payload__isnull=False),
                name="batch_in_flight_has_its_bytes",
            ),
        ]
        indexes = [
            # Workers look for the next open batch; finished ones are not in here.
            models.Index(fields=["not_before", "id"], condition=Q(state__in=OPEN_BATCH_STATES), name="batch_open"),
            # Steps look in each round for what may have been sent: a few, however many have not been attempted.
            models.Index(fields=["id"], condition=ATTEMPTED, name="batch_attempted"),
        ]

    def __str__(self) -> str:
        return gettext("batch %(number)s") % {"number": self.pk}
