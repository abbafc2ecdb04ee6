"""The domains that newsletters send from."""

from __future__ import annotations

from newsletter.models import Newsletter
from subscribers.addresses import domain_of


def sender_domains() -> list[str]:
    """The domain of each newsletter's sender, once each, in the order of the newsletters' names."""
    senders = Newsletter.objects.exclude(sender_email="").order_by("name").values_list("sender_email", flat=True)
    return list(dict.fromkeys(filter(None, (domain_of(address) for address in senders))))
