"""Two addresses of one subscriber are merged: deliveries follow, unless one of them is on its way."""

from __future__ import annotations

from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _

from newsletter.models import Delivery, DeliveryState, Send
from newsletter.models.send import IN_PROGRESS
from subscribers.directory.merge import MergeRefused, register_merge
from subscribers.models import Subscriber

#: Deliveries whose mail may still go out, or whose bytes are kept for a repeat.
UNFINISHED = (DeliveryState.PENDING, DeliveryState.BATCHED, DeliveryState.UNKNOWN)


def move_deliveries(kept: Subscriber, merged: Subscriber) -> None:
    """Give the deliveries of `merged` to `kept`, except of issues that both got. Raises MergeRefused while one waits.

    Otherwise a mail could go to an address that has just ended, or the subscriber miss an issue or get it twice.
    """
    of_both = Delivery.objects.filter(subscriber__in=(kept.pk, merged.pk))
    running = list(Send.objects.filter(state__in=IN_PROGRESS).values_list("issue_id", flat=True))
    sent = list(Send.objects.current().values_list("issue_id", flat=True))
    # By issue: there is no index by the subscriber alone.
    if running or of_both.filter(issue__in=sent, state__in=UNFINISHED).exists():
        raise MergeRefused(_("An issue is being sent, or waits for a decision. Merge the addresses when it is over."))
    same = Delivery.objects.filter(issue=OuterRef("issue"), subscriber=kept.pk)
    Delivery.objects.filter(~Exists(same), issue__in=sent, subscriber=merged.pk).update(subscriber=kept.pk)


def register() -> None:
    """Have deliveries follow merged addresses."""
    register_merge(move_deliveries)
