"""The outbox: one delivery per reader and edition, and the batches in which they go out."""

from __future__ import annotations

import datetime
from typing import ClassVar

from django.db import models
from django.db.models import ExpressionWrapper, F, Q
from django.utils import timezone

from newsletter.models.edition import Edition
from newsletter.models.issue import Issue, IssueStatus
from subscribers.models import Subscriber


class DeliveryStatus(models.TextChoices):
    """How far the sending of one mail has come. What happened to it afterwards are its facts."""

    PENDING = "pending", "Waiting"
    BATCHED = "batched", "On its way out"
    ACCEPTED = "accepted", "Accepted"
    FAILED = "failed", "Refused"
    UNKNOWN = "unknown", "Not known"
    SKIPPED = "skipped", "Left out"


class Fact(models.TextChoices):
    """What a provider may tell about an accepted mail, in rising rank: the highest seen is what a person reads.

    The order makes late and repeated events harmless (R-88): a delivery keeps the first time of each fact.
    """

    SENT = "sent", "Sent"
    DELAYED = "delayed", "Delayed"
    DELIVERED = "delivered", "Delivered"
    OPENED = "opened", "Opened"
    CLICKED = "clicked", "Clicked"
    FAILED = "failed", "Failed"
    SUPPRESSED = "suppressed", "Suppressed"
    BOUNCED = "bounced", "Bounced"
    COMPLAINED = "complained", "Complained"


class Delivery(models.Model):
    """One edition for one subscriber. Made before anything is sent, so that a restart knows what is left."""

    # Neither key has a constraint or an index of its own in the database: both would cost the snapshot of a large
    # audience more than all else. The edition is held by the batch, which is made in the same transaction and has the
    # constraint; an erased reader must leave the counts as they are. The rule that each gets it once is the index.
    edition = models.ForeignKey(
        Edition, on_delete=models.PROTECT, db_constraint=False, db_index=False, related_name="deliveries"
    )
    subscriber = models.ForeignKey(
        Subscriber, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="deliveries"
    )
    # Defaults of the database, too: addressing names nothing but the two keys.
    status = models.CharField(
        max_length=8,
        choices=DeliveryStatus.choices,
        default=DeliveryStatus.PENDING,
        db_default=DeliveryStatus.PENDING,
    )
    reason = models.CharField(
        max_length=200, blank=True, default="", db_default="", help_text="Why it was left out or refused."
    )
    provider_id = models.CharField(max_length=64, blank=True, default="", db_default="")

    sent_at = models.DateTimeField(null=True)
    delayed_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    opened_at = models.DateTimeField(null=True)
    clicked_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    suppressed_at = models.DateTimeField(null=True)
    bounced_at = models.DateTimeField(null=True)
    complained_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            # The promise: each reader gets each issue once. An issue has one edition that goes out.
            models.UniqueConstraint(fields=["edition", "subscriber"], name="delivery_once_per_reader_and_edition"),
            models.CheckConstraint(condition=Q(status__in=DeliveryStatus.values), name="delivery_status_known"),
        ]
        indexes = [
            # What may stop a send is counted every few seconds while it runs.
            models.Index(
                fields=["edition"],
                condition=Q(bounced_at__isnull=False) | Q(complained_at__isnull=False),
                name="delivery_gone_wrong",
            ),
        ]

    def __str__(self) -> str:
        return f"delivery {self.pk}"

    @property
    def outcome(self) -> str:
        """What a person reads: the highest fact that is known, else the status of its sending."""
        for fact in reversed(Fact):
            if getattr(self, f"{fact.value}_at"):
                return str(fact.label)
        return str(DeliveryStatus(self.status).label)


class BatchState(models.TextChoices):
    """Where one provider call stands."""

    # Nothing of it is out; it may be frozen anew.
    READY = "ready", "Ready"
    # Bytes and key are stored; a crash leaves it here until the lease ends.
    CLAIMED = "claimed", "With a worker"
    ACCEPTED = "accepted", "Accepted"
    REFUSED = "refused", "Refused"
    # Known not to have gone out whole; two smaller batches replace it.
    SPLIT = "split", "Split"
    # Posted without an answer; the same bytes are posted again under the same key.
    UNKNOWN = "unknown", "Not known"
    # Still unknown, and must not be posted again; waits for a receipt or a person.
    HELD = "held", "Held"
    # Nobody in it may be mailed any more, or the send was cancelled.
    DROPPED = "dropped", "Dropped"


#: States that a worker may still have to act on.
OPEN_BATCH_STATES = (BatchState.READY, BatchState.CLAIMED, BatchState.UNKNOWN)

#: Batches that may have gone out, once or more, and are not settled.
HAS_BEEN_TRIED = Q(state__in=(*OPEN_BATCH_STATES, BatchState.HELD), attempts__gt=0)

#: The edition, to be compared without an index. PostgreSQL has no statistics of one that is being addressed and takes
#: it for empty: it would read all of it to find the deliveries of one batch, and sort all its batches to find the next.
UNINDEXED_EDITION = ExpressionWrapper(F("edition_id") + 0, output_field=models.BigIntegerField())


class BatchQuerySet(models.QuerySet["Batch"]):
    """Questions about batches."""

    def free(self, moment: datetime.datetime) -> BatchQuerySet:
        """Open batches that are in nobody's hands, or in those of a worker whose lease is over."""
        free = Q(lease_until__isnull=True) | Q(lease_until__lte=moment)
        return self.filter(free, state__in=OPEN_BATCH_STATES)

    def claimable(self, moment: datetime.datetime) -> BatchQuerySet:
        """Free batches of issues that are being sent, due now, the longest due first."""
        return self.free(moment).of_sends().filter(not_before__lte=moment).order_by("not_before", "pk")

    def in_doubt(self, moment: datetime.datetime) -> BatchQuerySet:
        """Free batches of issues that are being sent which may have gone out, due or not."""
        doubtful = self.free(moment).of_sends().exclude(state=BatchState.READY).filter(attempts__gt=0)
        return doubtful.order_by("first_attempt_at", "pk")

    def of_sends(self) -> BatchQuerySet:
        """Those of issues that are being sent."""
        sending = Issue.objects.filter(status=IssueStatus.SENDING, edition__isnull=False)
        editions = list(sending.values_list("edition", flat=True))
        return self.alias(of=UNINDEXED_EDITION).filter(of__in=editions)


class Batch(models.Model):
    """Up to 100 deliveries that go out in one provider call: all of an edition from `first` to `last` delivery.

    `key` and `payload` are stored before the first byte leaves, and every attempt posts exactly them (R-101,
    R-102). `payload` is compressed JSON; it is removed once the outcome is known.
    """

    # As with deliveries, addressing names only what differs: the defaults are the database's, too.
    edition = models.ForeignKey(Edition, on_delete=models.PROTECT, related_name="batches")
    first_delivery = models.BigIntegerField()
    last_delivery = models.BigIntegerField()
    state = models.CharField(
        max_length=8, choices=BatchState.choices, default=BatchState.READY, db_default=BatchState.READY
    )
    epoch = models.PositiveSmallIntegerField(
        default=1,
        db_default=1,
        help_text="Counts the freezings; a new one only where nothing went out, or a person said so.",
    )
    may_be_out = models.BooleanField(
        default=False,
        db_default=False,
        help_text="A person sent it again, although an earlier post may have reached its readers.",
    )
    provider = models.CharField(
        max_length=32,
        blank=True,
        default="",
        db_default="",
        help_text="Who has its bytes; nobody else gets them while it is in doubt.",
    )
    attempts = models.PositiveIntegerField(default=0, db_default=0)
    key = models.CharField(max_length=256, unique=True)
    payload = models.BinaryField(null=True, editable=False)
    payload_sha256 = models.CharField(max_length=64, blank=True, default="", db_default="")
    recipients = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="How many messages the payload holds."
    )
    not_before = models.DateTimeField(default=timezone.now)
    lease_until = models.DateTimeField(null=True)
    claimed_by = models.CharField(
        max_length=100, blank=True, default="", db_default="", help_text="The worker that has it: host and process."
    )
    first_attempt_at = models.DateTimeField(null=True)
    last_attempt_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=500, blank=True, default="", db_default="")

    objects: ClassVar[BatchQuerySet] = BatchQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name_plural = "batches"
        constraints = [
            models.CheckConstraint(condition=Q(state__in=BatchState.values), name="batch_state_known"),
            models.CheckConstraint(condition=Q(first_delivery__lte=F("last_delivery")), name="batch_range_in_order"),
            # Nothing is ever under way without the bytes that were sent.
            models.CheckConstraint(
                condition=~Q(state__in=(BatchState.CLAIMED, BatchState.UNKNOWN, BatchState.HELD))
                | Q(payload__isnull=False),
                name="batch_under_way_has_its_bytes",
            ),
        ]
        indexes = [
            # Workers look for the next open batch; finished ones are not in here.
            models.Index(fields=["not_before", "id"], condition=Q(state__in=OPEN_BATCH_STATES), name="batch_open"),
            # Steps look at each turn for what may have gone out; these are few, however many have not been tried.
            models.Index(fields=["id"], condition=HAS_BEEN_TRIED, name="batch_tried"),
        ]

    def __str__(self) -> str:
        return f"batch {self.pk}"
