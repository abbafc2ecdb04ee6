"""Programs of the flood, run inside a separate installation.

`python -m tests.journeys.flood.prepare sends 3000` makes two newsletters with their subscribers, and starts two sends
of so many recipients and one of three quarters of them. `… age` lets the sends be days old, and erases subscribers.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from newsletter.models import Newsletter
    from subscribers.models import Subscriber

#: Mail domains: a few large ones, and so many that the report adds up the smallest.
DOMAINS = ("grand-mail.example", "harbour-mail.example", *(f"port-{number}.example" for number in range(2, 30)))

#: Stories of the issues: their links. The first newsletter has two issues.
ISSUES = {"harbour-1": 8, "harbour-2": 8, "tide-1": 5}

#: Hours that the sends are old. All hits are then younger than the days after which they are no longer judged.
AGES = {"harbour-1": 100, "tide-1": 80, "harbour-2": 60}

ERASED = 6


def address_of(number: int) -> str:
    """One third is at the largest mail domain, one sixth at the next; one in seven was typed with a capital."""
    domain = DOMAINS[0] if number % 3 == 0 else DOMAINS[1] if number % 6 == 1 else DOMAINS[number % len(DOMAINS)]
    return f"{'Reader' if number % 7 == 0 else 'reader'}-{number}@{domain}"


def _make_sends(size: int) -> None:
    from newsletter.models import ConsentMode, EngagementSource
    from subscribers.models import Subscriber
    from tests.publications import make_issue, make_newsletter, start_sending

    tracked = make_newsletter(consent_mode=ConsentMode.CONSENT, engagement_source=EngagementSource.PROVIDER)
    silent = make_newsletter("tide-tables", name="Tide Tables")
    addresses = [address_of(number) for number in range(size + size // 4)]
    Subscriber.objects.bulk_create(Subscriber(address=each, canonical=each.lower()) for each in addresses)
    subscribers = list(Subscriber.objects.order_by("pk"))
    _subscribe(tracked, subscribers[:size])
    # Half of them have both.
    _subscribe(silent, subscribers[size // 2 :])
    for slug, stories in ISSUES.items():
        issue = make_issue(slug, tracked if slug.startswith("harbour") else silent, title=slug, stories=stories)
        start_sending(issue)


def _subscribe(newsletter: Newsletter, subscribers: Iterable[Subscriber]) -> None:
    """Four in five agreed to tracking, long ago; some only while events of the first issue arrive."""
    from django.utils import timezone

    from subscribers.models import Subscription, SubscriptionState

    now = timezone.now()
    agreed = {0: None, 1: now - datetime.timedelta(hours=AGES["harbour-1"] - 12)}
    Subscription.objects.bulk_create(
        (
            Subscription(
                mailing_list=newsletter,
                subscriber=subscriber,
                key=uuid.uuid4(),
                state=SubscriptionState.ACTIVE,
                confirmed_at=now - datetime.timedelta(days=90),
                tracking_agreed_at=agreed.get(number % 10 // 2, now - datetime.timedelta(days=90)),
            )
            for number, subscriber in enumerate(subscribers)
        ),
        batch_size=1_000,
    )


def _age() -> None:
    """Print the addresses that were erased."""
    from django.utils import timezone

    from newsletter.models import Send
    from subscribers.models import Subscriber
    from subscribers.privacy.erase import erase_data_subject
    from subscribers.privacy.registry import find_data_subject

    for slug, hours in AGES.items():
        began = timezone.now() - datetime.timedelta(hours=hours)
        send = Send.objects.filter(issue__slug=slug)
        assert send.update(started_at=began, finished_at=began + datetime.timedelta(minutes=5)) == 1
    erased = list(Subscriber.objects.order_by("-pk").values_list("canonical", flat=True)[::100][:ERASED])
    for address in erased:
        erase_data_subject(find_data_subject(address), by="tests")
    print(json.dumps(erased))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "newsletter.settings")
    import django

    django.setup()
    if sys.argv[1] == "sends":
        _make_sends(int(sys.argv[2]))
    else:
        _age()
