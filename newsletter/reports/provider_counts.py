"""What the provider counted of a send, to be shown beside our own counts."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.utils import timezone

from newsletter.models import Batch, BatchState, Delivery, Send
from newsletter.providers import get_route
from newsletter.providers.base import Provider
from newsletter.providers.counts import CountsUnreadable, MailCounts, SupportsCounts
from subscribers.addresses import domain_of

#: Sends of up to this many mails are counted mail by mail: a few calls.
MOST_COUNTED_BY_MAIL = 500

#: Resend keeps data for 30 days: older sends cannot be counted completely.
KEPT = datetime.timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCounts:
    """Counts of a provider, up to 15 minutes old."""

    provider: str
    counts: MailCounts
    is_of_send: bool
    """Whether they are of the mails of this send alone. If not, they are of all mails from the domain since it began:
    other issues and transactional mails are counted, too."""
    is_complete: bool
    """Whether the provider still has everything since the send began."""


def provider_counts(send: Send) -> ProviderCounts | None:
    """What a provider counted of a send; None if none of the route can tell. Raises CountsUnreadable.

    It asks the provider, within seconds: not to be called while a page is made that must not wait.
    """
    found = _provider_of(send)
    if found is None or send.started_at is None:
        return None
    provider, counting = found
    now = timezone.now()
    mails = Delivery.objects.filter(send=send).exclude(provider_id="").values_list("provider_id", flat=True)
    ids = list(mails.order_by("pk")[: MOST_COUNTED_BY_MAIL + 1])
    is_of_send = len(ids) <= MOST_COUNTED_BY_MAIL
    if is_of_send:
        size = counting.mails_per_count
        chunks = (ids[start : start + size] for start in range(0, len(ids), size))
        parts = (counting.count_mails(since=send.started_at, until=now, mail_ids=chunk) for chunk in chunks)
        counts = sum(parts, MailCounts())
    else:
        domain = domain_of(send.issue.newsletter.sender_email)
        counts = counting.count_mails(since=send.started_at, until=now, domain=domain)
    return ProviderCounts(
        provider=provider.name,
        counts=counts,
        is_of_send=is_of_send,
        is_complete=now - send.started_at < KEPT,
    )


def _provider_of(send: Send) -> tuple[Provider, SupportsCounts] | None:
    """The first provider of the route that took mails of the send and counts them."""
    for provider in get_route():
        if isinstance(provider, SupportsCounts) and provider.can_count:
            accepted = Batch.objects.filter(send=send, state=BatchState.ACCEPTED)
            if accepted.filter(provider__startswith=f"{provider.name}:").exists():
                return provider, provider
    return None


__all__ = ["CountsUnreadable", "ProviderCounts", "provider_counts"]
