"""Outgoing webhooks: endpoints of other systems, the messages to them, and every attempt to deliver one."""

from __future__ import annotations

import datetime
import secrets
from typing import ClassVar

from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from newsletter.models.newsletter import Newsletter
from subscribers.state_machine import StateMachine


class WebhookType(models.TextChoices):
    """What a message says. The values are part of the interface: see docs/webhooks.md."""

    SUBSCRIBED = "subscriber.subscribed", _("A sign-up was requested")
    CONFIRMED = "subscriber.confirmed", _("A subscription was confirmed")
    UNSUBSCRIBED = "subscriber.unsubscribed", _("A subscription ended")
    BOUNCED = "subscriber.bounced", _("A subscription ended because the mailbox does not exist")
    COMPLAINED = "subscriber.complained", _("A subscription ended because a mail was reported as spam")
    ISSUE_SCHEDULED = "issue.scheduled", _("An issue was scheduled")
    ISSUE_SENT = "issue.sent", _("An issue was sent")
    TEST = "webhook.test", _("A test")


#: Messages that one transaction deletes, and keys in one statement: far below SQLite's limit of parameters.
DELETED_AT_ONCE, CHUNK = 2_000, 500

#: The types that an endpoint can choose.
CHOOSABLE_TYPES = tuple(each for each in WebhookType if each is not WebhookType.TEST)


class EndpointState(models.TextChoices):
    """Whether an endpoint gets messages."""

    ACTIVE = "active", pgettext_lazy("webhook endpoint", "Active")
    # Messages are made, and wait.
    PAUSED = "paused", pgettext_lazy("webhook endpoint", "Paused")
    # No messages are made. Those that wait stay.
    DISABLED = "disabled", pgettext_lazy("webhook endpoint", "Disabled")


ENDPOINT_MACHINE = StateMachine(
    states=EndpointState,
    transitions={
        EndpointState.ACTIVE: {EndpointState.PAUSED, EndpointState.DISABLED},
        EndpointState.PAUSED: {EndpointState.ACTIVE, EndpointState.DISABLED},
        EndpointState.DISABLED: {EndpointState.ACTIVE},
    },
    initial_states={EndpointState.ACTIVE},
    owner="endpoint",
)

#: The states in which messages are made for an endpoint.
FOLLOWING = (EndpointState.ACTIVE, EndpointState.PAUSED)


class EndpointReason(models.TextChoices):
    """Why an endpoint was moved. `%(…)s` is filled from the values beside the code."""

    PAUSED = "paused", _("Paused by an editor.")
    DISABLED = "disabled", _("Disabled by an editor.")
    ACTIVATED = "activated", _("Activated by an editor.")
    GONE = "gone", _("The endpoint answered 410: it wants no more messages.")
    FAILING = "failing", _("Every attempt since %(since_at)s has failed, for more than %(days)s days.")


class WebhookEndpoint(models.Model):
    """A URL of another system that is told of changes."""

    name = models.CharField(_("name"), max_length=100, help_text=_("For your team, such as the name of the system."))
    url = models.CharField(_("URL"), max_length=500, help_text=_("Starts with https://. Redirects are not followed."))
    types = models.JSONField(_("types"), default=list)
    newsletter = models.ForeignKey(
        Newsletter,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("newsletter"),
        help_text=_("Leave empty for all newsletters."),
    )
    includes_addresses = models.BooleanField(
        _("include email addresses"),
        default=False,
        help_text=_("Otherwise messages have the subscriber’s number and the list only."),
    )
    includes_imports = models.BooleanField(
        _("include imports"),
        default=False,
        help_text=_("One message for each subscription that an import of a file makes or ends: there may be many."),
    )
    state = models.CharField(
        _("state"), max_length=8, choices=EndpointState.choices, default=EndpointState.ACTIVE, editable=False
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    failing_since = models.DateTimeField(
        _("failing since"),
        null=True,
        editable=False,
        help_text=_("The first failed attempt after the last one that succeeded."),
    )
    failures = models.PositiveIntegerField(
        default=0, editable=False, help_text=_("Failed attempts in a row for which the endpoint is to blame.")
    )
    not_before = models.DateTimeField(
        null=True, editable=False, help_text=_("After a failure no message is sent before this time.")
    )
    mail_due = models.BooleanField(
        default=False, editable=False, help_text=_("It was disabled automatically, and no mail has said so yet.")
    )

    class Meta:
        verbose_name, verbose_name_plural = _("webhook endpoint"), _("webhook endpoints")
        ordering: ClassVar = ["name", "pk"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=EndpointState.values), name="endpoint_state_known"),
        ]

    def __str__(self) -> str:
        return self.name


class EndpointTransition(models.Model):
    """One line of an endpoint's history; append-only."""

    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="transitions")
    source = models.CharField(max_length=8, choices=EndpointState.choices)
    target = models.CharField(max_length=8, choices=EndpointState.choices)
    by = models.CharField(max_length=150, help_text=_("An editor's user name, or the step that did it."))
    reason = models.CharField(max_length=64, blank=True, default="")
    values = models.JSONField(default=dict)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()
        ordering: ClassVar = ["pk"]

    def __str__(self) -> str:
        return f"{self.source} → {self.target}"

    @property
    def sentence(self) -> str:
        """Why it was moved, in the active language."""
        if self.reason not in EndpointReason.values:
            return self.reason
        since = parse_datetime(str(self.values.get("since_at", "")))
        shown = f"{date_format(since.astimezone(datetime.UTC), 'DATETIME_FORMAT')} UTC" if since else "…"
        return str(EndpointReason(self.reason).label) % {"since_at": shown, "days": self.values.get("days", "…")}


def new_nonce() -> str:
    """What makes a secret unlike any other: 32 hexadecimal digits."""
    return secrets.token_hex(16)


class WebhookSecret(models.Model):
    """One secret of an endpoint. It is derived from SECRET_KEY and the nonce, so that the table does not hold it."""

    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="secrets")
    nonce = models.CharField(max_length=32, default=new_nonce, unique=True, editable=False)
    key_fingerprint = models.CharField(
        max_length=32, editable=False, help_text=_("Of the SECRET_KEY from which it is derived.")
    )
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, help_text=_("Set when another secret replaces it."))

    class Meta:
        default_permissions = ()
        ordering: ClassVar = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["endpoint"], condition=Q(expires_at__isnull=True), name="webhook_secret_one_current"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.endpoint_id}"


class WebhookCursor(models.Model):
    """How far the facts of one kind have become messages for one endpoint: the last key of the table of the facts."""

    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, db_index=False, related_name="cursors")
    source = models.CharField(max_length=16)
    last_pk = models.BigIntegerField(default=0)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["endpoint", "source"], name="webhook_cursor_once")]

    def __str__(self) -> str:
        return f"{self.source} {self.last_pk}"


class MessageState(models.TextChoices):
    """What became of a message."""

    PENDING = "pending", pgettext_lazy("webhook message", "Pending")
    DELIVERED = "delivered", pgettext_lazy("webhook message", "Delivered")
    FAILED = "failed", pgettext_lazy("webhook message", "Failed")


MESSAGE_MACHINE = StateMachine(
    states=MessageState,
    transitions={
        MessageState.PENDING: {MessageState.DELIVERED, MessageState.FAILED},
        # An editor sends it again.
        MessageState.DELIVERED: {MessageState.PENDING},
        MessageState.FAILED: {MessageState.PENDING},
    },
    initial_states={MessageState.PENDING},
)


class MessageQuerySet(models.QuerySet["WebhookMessage"]):
    """Queries about messages."""

    def due(self, now: datetime.datetime) -> MessageQuerySet:
        """Those that may be sent now to endpoints that may be sent to, the longest waiting first."""
        free = Q(lease_until__isnull=True) | Q(lease_until__lte=now)
        rested = Q(endpoint__not_before__isnull=True) | Q(endpoint__not_before__lte=now)
        due = self.filter(free, state=MessageState.PENDING, next_attempt_at__lte=now)
        return due.filter(rested, endpoint__state=EndpointState.ACTIVE).order_by("next_attempt_at", "pk")

    def delete_with_attempts(self) -> int:
        """Delete them and the log of their attempts; how many. A transaction for each few thousand.

        They are locked first: a worker may be recording an attempt.
        """
        count = 0
        while pks := self._delete_next():
            count += len(pks)
        return count

    def _delete_next(self) -> list[int]:
        with transaction.atomic():
            pks = list(self.order_by("pk").select_for_update().values_list("pk", flat=True)[:DELETED_AT_ONCE])
            for start in range(0, len(pks), CHUNK):
                chunk = pks[start : start + CHUNK]
                WebhookAttempt.objects.filter(message__in=chunk).delete()
                WebhookMessage.objects.filter(pk__in=chunk)._raw_delete(using=self.db)
        return pks


class WebhookMessage(models.Model):
    """One fact for one endpoint. Holds no address: that is read from the proof of the fact when it is sent."""

    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.CASCADE, db_index=False, related_name="messages", verbose_name=_("endpoint")
    )
    uid = models.CharField(
        _("ID"),
        max_length=40,
        unique=True,
        help_text=_("The header webhook-id. Derived from the fact, so that a fact never has two."),
    )
    type = models.CharField(_("type"), max_length=32, choices=WebhookType.choices)
    source = models.CharField(max_length=16, help_text=_("The kind of the fact."))
    source_pk = models.BigIntegerField(help_text=_("The key of the fact in its table."))
    subscriber_id = models.BigIntegerField(null=True, help_text=_("The subscriber that it is about."))
    data = models.JSONField(default=dict)
    at = models.DateTimeField(_("happened at"), help_text=_("When the fact happened."))
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    state = models.CharField(_("state"), max_length=9, choices=MessageState.choices, default=MessageState.PENDING)
    tries = models.PositiveIntegerField(
        _("attempts"), default=0, help_text=_("Since it was made, or last sent again by an editor.")
    )
    next_attempt_at = models.DateTimeField(_("next attempt at"), null=True, default=timezone.now)
    lease_until = models.DateTimeField(null=True)

    objects: ClassVar[MessageQuerySet] = MessageQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name, verbose_name_plural = _("webhook message"), _("webhook messages")
        constraints = [
            models.CheckConstraint(condition=Q(state__in=MessageState.values), name="webhook_message_state_known"),
            models.CheckConstraint(condition=Q(type__in=WebhookType.values), name="webhook_message_type_known"),
            models.CheckConstraint(
                condition=~Q(state=MessageState.PENDING) | Q(next_attempt_at__isnull=False),
                name="webhook_message_pending_has_its_time",
            ),
        ]
        indexes = [
            # What workers look for; all others are finished.
            models.Index(
                fields=["endpoint", "next_attempt_at"],
                condition=Q(state=MessageState.PENDING),
                name="webhook_message_to_send",
            ),
            # The log of one endpoint, and what failed there.
            models.Index(fields=["endpoint", "state", "id"], name="webhook_message_of_endpoint"),
            models.Index(
                fields=["subscriber_id"],
                condition=Q(subscriber_id__isnull=False),
                name="webhook_message_of_subscriber",
            ),
        ]

    def __str__(self) -> str:
        return self.type


class WebhookAttempt(models.Model):
    """One attempt to deliver a message. Append-only: a trigger refuses changes. Deleted with its message only."""

    #: Characters of an answer that are kept.
    ANSWER_LENGTH: ClassVar[int] = 500

    message = models.ForeignKey(WebhookMessage, on_delete=models.CASCADE, related_name="attempts")
    at = models.DateTimeField(_("at"), default=timezone.now)
    duration = models.PositiveIntegerField(_("duration"), help_text=_("In milliseconds."))
    status = models.PositiveIntegerField(
        _("status"), null=True, help_text=_("The HTTP status of the answer; empty without an answer.")
    )
    code = models.CharField(max_length=32, blank=True, default="", help_text=_("Why there is no answer."))
    detail = models.JSONField(default=dict, help_text=_("Values of the sentence for the code."))
    answer = models.CharField(
        _("answer"), max_length=ANSWER_LENGTH, blank=True, default="", help_text=_("The beginning of the answer.")
    )

    class Meta:
        verbose_name, verbose_name_plural = _("webhook attempt"), _("webhook attempts")
        default_permissions = ()
        ordering: ClassVar = ["pk"]

    def __str__(self) -> str:
        return f"{self.status or self.code}"

    @property
    def is_success(self) -> bool:
        """Whether the endpoint has taken the message."""
        return self.status is not None and 200 <= self.status < 300
