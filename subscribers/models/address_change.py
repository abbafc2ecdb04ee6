"""Changes of address: asked by a subscriber, in force once both mailboxes have agreed."""

from __future__ import annotations

import datetime
import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from subscribers.models.subscriber import Subscriber
from subscribers.models.subscription import Subscription
from subscribers.state_machine import StateMachine

#: How long the links in the two mails work, and how long the row is kept: it holds an address that may be a stranger's.
CHANGE_LIFETIME, CHANGE_RETENTION = datetime.timedelta(days=7), datetime.timedelta(days=30)


class AddressChangeState(models.TextChoices):
    """The states of a change of address."""

    OPEN = "open", _("Waiting for both addresses")
    DONE = "done", _("Done")
    DECLINED = "declined", _("Declined: “This was not me”")
    REPLACED = "replaced", _("Replaced by a newer request")
    REFUSED = "refused", _("Not possible: the new address is taken or suppressed")


ADDRESS_CHANGE_MACHINE = StateMachine(
    states=AddressChangeState,
    transitions={
        AddressChangeState.OPEN: (
            AddressChangeState.DONE,
            AddressChangeState.DECLINED,
            AddressChangeState.REPLACED,
            AddressChangeState.REFUSED,
        ),
        AddressChangeState.DONE: (),
        AddressChangeState.DECLINED: (),
        AddressChangeState.REPLACED: (),
        AddressChangeState.REFUSED: (),
    },
    initial_states=(AddressChangeState.OPEN,),
)


class AddressChange(models.Model):
    """One request to change the address of a subscriber. The old address stays in force until it is done."""

    subscriber = models.ForeignKey(Subscriber, on_delete=models.CASCADE, related_name="address_changes")
    subscription = models.ForeignKey(
        Subscription, on_delete=models.CASCADE, related_name="+", help_text="On whose page it was asked for."
    )
    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    address = models.CharField(max_length=320, help_text="The new address, as it was typed.")
    canonical = models.CharField(max_length=320)
    state = models.CharField(max_length=8, choices=AddressChangeState.choices, default=AddressChangeState.OPEN)
    requested_at = models.DateTimeField(default=timezone.now, db_index=True)
    new_confirmed_at = models.DateTimeField(null=True, help_text="By the link in the mail to the new address.")
    old_approved_at = models.DateTimeField(null=True, help_text="By the link in the mail to the old address.")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=AddressChangeState.values), name="address_change_state_known"),
            models.UniqueConstraint(
                fields=["subscriber"], condition=Q(state=AddressChangeState.OPEN), name="address_change_one_open"
            ),
            models.CheckConstraint(
                condition=~Q(state=AddressChangeState.DONE)
                | Q(new_confirmed_at__isnull=False, old_approved_at__isnull=False),
                name="address_change_done_by_both",
            ),
        ]
        indexes: ClassVar = [
            # How many mails a new address got lately.
            models.Index(fields=["canonical", "requested_at"], name="address_change_caps"),
        ]

    def __str__(self) -> str:
        return f"{self.subscription_id} · {self.get_state_display()}"

    def has_expired(self, now: datetime.datetime) -> bool:
        """Whether the links in its mails no longer work."""
        return now - self.requested_at > CHANGE_LIFETIME
