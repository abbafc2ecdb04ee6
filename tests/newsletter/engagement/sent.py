"""An issue that was sent by a newsletter with a source of opens and clicks, and its mails as they leave."""

from __future__ import annotations

import datetime
import re
from html import unescape
from typing import Any

import orjson
from django.utils import timezone

from newsletter.models import (
    Batch,
    ConsentMode,
    Delivery,
    DeliveryState,
    Edition,
    EngagementSource,
    Newsletter,
    Send,
)
from newsletter.providers import get_provider
from newsletter.sending.build import build_messages
from newsletter.sending.recipients import recipients_of
from subscribers.models import Subscription
from tests import people
from tests.publications import expand_audiences, make_issue, make_newsletter, start_sending

BO = "bo@example.org"

#: Before every hit of a test.
AGREED = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def own_links(mode: ConsentMode = ConsentMode.CONSENT, **fields: Any) -> Newsletter:
    """A newsletter whose links lead through this site."""
    return make_newsletter(consent_mode=mode, engagement_source=EngagementSource.OWN, **fields)


def agrees(address: str, newsletter: Newsletter, at: datetime.datetime | None = AGREED) -> Subscription:
    """An active subscription that agreed to tracking; None: that did not."""
    return people.make_subscription(address, newsletter, tracking_agreed_at=at)


def send_to(*addresses: str, newsletter: Newsletter, slug: str = "issue-1", **content: Any) -> Send:
    """The issue, started and expanded. Addresses that are no subscribers yet agree to tracking."""
    for address in addresses:
        if not Subscription.objects.filter(subscriber__canonical=address).exists():
            agrees(address, newsletter)
    send = start_sending(make_issue(slug, newsletter, **content))
    expand_audiences()
    return send


def mails_of(send: Send) -> dict[str, dict[str, Any]]:
    """Each mail of the send, by its recipient, as the provider gets it."""
    found = {}
    for batch in Batch.objects.filter(send=send).select_related("edition__issue"):
        recipients = recipients_of(batch, (DeliveryState.PENDING,), timezone.now())
        for pieces in build_messages(batch, recipients, get_provider()).values():
            mail = orjson.loads(b"".join(pieces))
            (to,) = mail["to"]
            found[to] = mail
    return found


def urls_in(html: str) -> list[str]:
    """The address of every link, in order."""
    return [unescape(url) for url in re.findall(r'<a\b[^>]*?\shref="([^"]*)"', html)]


def tracked_urls(html: str) -> list[str]:
    """Those that lead through this site, canaries among them."""
    return [url for url in urls_in(html) if "/l/" in url]


def token_of(url: str) -> str:
    """The token of a link."""
    return url.rpartition("/")[2]


def delivery_of(address: str, send: Send) -> Delivery:
    """The delivery to this address."""
    return Delivery.objects.get(send=send, subscriber__canonical=address)


def edition_of(send: Send) -> Edition:
    """The edition with all its columns."""
    return Edition.objects.get(pk=send.edition_id)
