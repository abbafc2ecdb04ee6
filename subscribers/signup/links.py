"""New links to the preferences page: asked for with any address, and mailed to subscribers only.

The page does the same work for every address, so neither its answer nor its time shows who is subscribed.
"""

from __future__ import annotations

import datetime
import logging

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from subscribers.addresses import Address, parse_address
from subscribers.consent.links import LinkRefused, send_preferences_link
from subscribers.models import DAY, HOUR, LinkRequest, Subscription, SubscriptionState, add_to_counters
from subscribers.signup.limits import TooManySignups, counter_key

log = logging.getLogger(__name__)

#: Scopes of counters, and the most requests for one address in a day.
NETWORK, ADDRESS = "link_network", "link_address"
MAX_PER_ADDRESS = 3

#: A request that no worker has answered in this time is dropped: its sender has given up.
LIFETIME = datetime.timedelta(days=1)


def request_links(address: Address, *, network: str) -> None:
    """Store the request. Raises TooManySignups for a network with SIGNUP_NETWORK_LIMIT requests in an hour.

    Too many for one address are dropped without a word.
    """
    now = timezone.now()
    keys = [(NETWORK, counter_key(network)), (ADDRESS, counter_key(address.canonical))]
    counts = add_to_counters(keys, now.timestamp())
    limit = settings.SIGNUP_NETWORK_LIMIT
    if counts[NETWORK, HOUR] > limit:
        message = f"A network has asked for {limit} links in an hour."
        raise TooManySignups(message, retry_seconds=3600 - int(now.timestamp()) % 3600)
    if counts[ADDRESS, DAY] <= MAX_PER_ADDRESS:
        LinkRequest.objects.create(address=address.as_typed)


def send_requested_links(limit: int = 50) -> bool:
    """Answer up to `limit` requests; whether there may be more. A step of the worker.

    Each is answered in one transaction, so a worker may be killed anywhere.
    """
    return LinkRequest.objects.exists() and all(_answer_next() for _ in range(limit))


def _answer_next() -> bool:
    with transaction.atomic():
        rows = LinkRequest.objects.select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)
        request = rows.order_by("pk").first()
        if request is None:
            return False
        sent = _send_links(request) if timezone.now() - request.created_at <= LIFETIME else 0
        # The number explains why a subscriber got no mail; the address stays out of the log.
        log.info("Request for a link answered", extra={"mails": sent})
        LinkRequest.objects.filter(pk=request.pk).delete()
    return True


def _send_links(request: LinkRequest) -> int:
    """Write a mail for each active subscription of the address, in its own language; how many."""
    active = Subscription.objects.filter(
        subscriber__canonical=parse_address(request.address).canonical, state=SubscriptionState.ACTIVE
    )
    sent = 0
    for subscription in active.select_related("subscriber", "mailing_list").order_by("pk"):
        try:
            send_preferences_link(subscription)
        except LinkRefused:
            continue
        sent += 1
    return sent
