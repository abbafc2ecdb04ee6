"""Links to a copy of the subscriber's data and to its deletion: sent to the confirmed address, for a day, for one use.

The pages behind them are in `subscribers.privacy`.
"""

from __future__ import annotations

import datetime
import uuid

from django.db import transaction
from django.utils import timezone

from subscribers.consent.tokens import Purpose, access_url, erase_url, read_key, unsubscribe_url
from subscribers.models import (
    DATA_REQUEST_LIFETIME,
    DATA_REQUEST_RETENTION,
    DataRequest,
    DataRequestKind,
    Subscriber,
    Subscription,
    TransactionalMailKind,
)
from subscribers.suppression import get_suppression
from subscribers.transactional.compose import enqueue_mail

#: The most mails of each kind to one subscriber: any holder of a forwarded mail can ask for them.
MAX_LINKS_PER_DAY = 3

PURPOSES = {DataRequestKind.ACCESS: Purpose.ACCESS, DataRequestKind.ERASE: Purpose.ERASE}


def may_get_links(subscriber: Subscriber) -> bool:
    """Whether the address was confirmed once and may be mailed. Everyone else has to write to the editors."""
    suppression = get_suppression(subscriber.canonical)
    return not (suppression and suppression.blocks_signup) and (
        subscriber.subscriptions.filter(confirmed_at__isnull=False).exists()
    )


def send_link(key: uuid.UUID, kind: DataRequestKind) -> bool:
    """Send the link to the subscriber of this subscription. False if the address may not get it, or had too many.

    Nothing is shown or deleted by this: only the owner of the mailbox can open the link.
    """
    with transaction.atomic():
        subscription = Subscription.objects.with_key(key).select_related("subscriber", "mailing_list").first()
        if subscription is None or not may_get_links(subscription.subscriber):
            return False
        # Requests of one subscriber are counted one at a time.
        Subscriber.objects.select_for_update(no_key=True).get(pk=subscription.subscriber_id)
        requests = DataRequest.objects.filter(subscriber=subscription.subscriber_id, kind=kind)
        since = timezone.now() - datetime.timedelta(days=1)
        if requests.filter(requested_at__gt=since).count() >= MAX_LINKS_PER_DAY:
            return False
        request = DataRequest.objects.create(subscriber=subscription.subscriber, kind=kind)
        url = (access_url if kind == DataRequestKind.ACCESS else erase_url)(request.key)
        enqueue_mail(
            TransactionalMailKind(kind), subscription, {"url": url}, one_click_url=unsubscribe_url(subscription.key)
        )
    return True


def read_data_request(kind: DataRequestKind, token: str) -> DataRequest | None:
    """The request that this link belongs to, with its subscriber, if it was not used and is not too old.

    Changes nothing, so that a page can show it.
    """
    key = read_key(PURPOSES[kind], token)
    if key is None:
        return None
    request = DataRequest.objects.filter(key=key, kind=kind).select_related("subscriber").first()
    return request if request and request.is_open(timezone.now()) else None


def use_data_request(request: DataRequest) -> bool:
    """Use the link. Of several callers at once, one gets True."""
    now = timezone.now()
    still_open = DataRequest.objects.filter(
        pk=request.pk, used_at__isnull=True, requested_at__gte=now - DATA_REQUEST_LIFETIME
    )
    return bool(still_open.update(used_at=now))


def delete_old_data_requests() -> None:
    """Delete requests after DATA_REQUEST_RETENTION."""
    old = DataRequest.objects.filter(requested_at__lt=timezone.now() - DATA_REQUEST_RETENTION)
    # The read keeps an idle worker from taking SQLite's one write lock.
    if old.exists():
        old.delete()
