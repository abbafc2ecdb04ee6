"""What subscribers and sends do in these tests, through the functions that the product uses."""

from __future__ import annotations

from typing import Any

from newsletter.models import Send, SendState
from newsletter.notifications.follow import make_messages
from subscribers.models import (
    ConsentForm,
    ConsentKind,
    Evidence,
    MailingList,
    Subscription,
    SubscriptionState,
    SuppressionReason,
    move_subscriptions,
    record_consents,
)
from subscribers.suppression import suppress_addresses
from tests import people
from tests.publications import make_issue, make_newsletter, send_of, start_sending


def subscribe(address: str, mailing_list: MailingList | None = None) -> Subscription:
    """Requested and confirmed."""
    subscription = people.make_subscription(address, mailing_list or make_newsletter(), state=SubscriptionState.PENDING)
    record_consents(ConsentKind.REQUESTED, [subscription], Evidence(form=ConsentForm.SIGNUP))
    take(subscription, ConsentKind.CONFIRMED, ConsentForm.CONFIRM, confirmed_at=subscription.created_at)
    return subscription


def take(subscription: Subscription, kind: ConsentKind, form: str, **changes: Any) -> None:
    rows = Subscription.objects.filter(pk=subscription.pk)
    assert move_subscriptions(rows, kind, Evidence(form=form), **changes) == 1


def unsubscribe(subscription: Subscription) -> None:
    take(subscription, ConsentKind.UNSUBSCRIBED, ConsentForm.ONE_CLICK)


def suppress(address: str, reason: SuppressionReason) -> None:
    suppress_addresses({address: (reason, "")})


def import_consents(count: int) -> None:
    """Consents as an import of a file records them."""
    rows = [people.make_subscription(f"imported{number}@example.org", make_newsletter()) for number in range(count)]
    record_consents(ConsentKind.IMPORTED, rows, Evidence(form=ConsentForm.IMPORT))


def send_an_issue(slug: str = "issue-1") -> Send:
    """It has no recipients, and ends at once."""
    send = start_sending(make_issue(slug))
    finish(send)
    return send_of(send.issue)


def finish(send: Send) -> None:
    Send.objects.filter(pk=send.pk).update(expanded_at=send.started_at, finished_at=send.started_at)
    send.refresh_from_db()
    send.move(SendState.SENT, by="worker")


def make_all() -> None:
    """Run the step until it has nothing more to do."""
    while make_messages():
        pass
