"""Programs of the test that kills workers with outgoing webhooks, run inside a separate installation.

`python -m tests.journeys.webhook_process prepare URL 100` makes an endpoint there, and subscribers who confirm and
leave. `lapse` lets the leases of dead workers end. `report` prints the number of facts, and the ids and states of all
messages.
"""

from __future__ import annotations

import json
import os
import sys


def _prepare(url: str, subscribers: int) -> None:
    from newsletter.models import CHOOSABLE_TYPES, WebhookEndpoint
    from newsletter.notifications.endpoints import open_endpoint
    from tests.newsletter.notifications.story import subscribe, unsubscribe

    open_endpoint(WebhookEndpoint(name="Shop", url=url, types=[str(each) for each in CHOOSABLE_TYPES]))
    for number in range(subscribers):
        unsubscribe(subscribe(f"subscriber-{number}@readers.example"))


def _lapse() -> None:
    from newsletter.models import WebhookEndpoint, WebhookMessage

    WebhookMessage.objects.filter(lease_until__isnull=False).update(lease_until=None)
    WebhookEndpoint.objects.update(not_before=None)


def _report() -> None:
    from newsletter.models import WebhookMessage
    from subscribers.models import Consent

    rows = WebhookMessage.objects.values_list("uid", "state", "source_pk")
    print(json.dumps({"facts": Consent.objects.count(), "messages": list(rows)}))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "newsletter.settings")
    import django

    django.setup()
    if sys.argv[1] == "prepare":
        _prepare(sys.argv[2], int(sys.argv[3]))
    elif sys.argv[1] == "lapse":
        _lapse()
    else:
        _report()
