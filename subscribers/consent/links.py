"""Mails with a link to the preferences page, which editors send to subscribers who ask for it."""

from __future__ import annotations

import datetime

from django.utils import timezone

from subscribers.consent.tokens import preferences_url, unsubscribe_url
from subscribers.models import Subscription, SubscriptionState, TransactionalMail, TransactionalMailKind
from subscribers.transactional.compose import enqueue_mail

#: The most such mails to one subscription in a day.
MAX_PER_DAY = 3


class LinkRefused(Exception):
    """No mail is sent: the subscription is not active, or got enough of them today."""


def send_preferences_link(subscription: Subscription) -> TransactionalMail:
    """Write the mail; the worker sends it. Raises LinkRefused."""
    earlier = TransactionalMail.objects.filter(
        subscription=subscription,
        kind=TransactionalMailKind.PREFERENCES_LINK,
        created_at__gt=timezone.now() - datetime.timedelta(days=1),
    )
    if subscription.state != SubscriptionState.ACTIVE or earlier.count() >= MAX_PER_DAY:
        raise LinkRefused
    unsubscribe = unsubscribe_url(subscription.key)
    links = {"unsubscribe_url": unsubscribe, "preferences_url": preferences_url(subscription.key)}
    return enqueue_mail(TransactionalMailKind.PREFERENCES_LINK, subscription, links, one_click_url=unsubscribe)
