"""Subscribers who joined while an issue was being sent."""

from __future__ import annotations

from dataclasses import dataclass

from newsletter.models import Send
from newsletter.sending.audience import Audience
from subscribers.models import Consent, Subscription, SubscriptionState

#: The newest consents that are looked through. No index knows when a subscription was confirmed, and a list may have a
#: million of them.
NEWEST = 20_000


@dataclass(frozen=True, slots=True)
class Joined:
    """How many joined since the start and get the next issue."""

    count: int
    is_least: bool = False
    """Whether there may be more: more than NEWEST consents are younger than the start."""


def joined_since_start(send: Send) -> Joined:
    """Counted from the newest consents: each confirmation and each import leaves one, with ascending keys."""
    newest = Consent.objects.order_by("-pk").values_list("pk", flat=True).first()
    if newest is None or send.started_at is None:
        return Joined(0)
    read = Consent.objects.filter(pk__gt=newest - NEWEST)
    late = read.filter(created_at__gt=send.started_at).values("subscription")
    lists = [each.pk for each in Audience.of_send(send).lists]
    joined = Subscription.objects.filter(pk__in=late, mailing_list__in=lists, confirmed_at__gt=send.started_at)
    count = joined.filter(state=SubscriptionState.ACTIVE).count()
    return Joined(count, is_least=count > 0 and _are_all_later(read.order_by("pk").first(), send))


def _are_all_later(oldest: Consent | None, send: Send) -> bool:
    is_later = oldest is not None and send.started_at is not None and oldest.created_at > send.started_at
    return is_later and oldest is not None and Consent.objects.filter(pk__lt=oldest.pk).exists()
