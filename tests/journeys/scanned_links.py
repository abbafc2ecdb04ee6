"""Every kind of link that a mail of this project can have, in a separate installation.

Run inside it: `python -m tests.journeys.scanned_links make` prints the addresses in a mail of an issue and in mails to
subscribers. `… judge` judges the stored hits and prints how many there are, and how many are taken for a human's.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import sys


def make() -> list[str]:
    """The addresses, each as often as it stands in a mail."""
    from newsletter.engagement.link_tables import keep_table
    from newsletter.engagement.tokens import EditionSigner
    from newsletter.models import CANARY_EARLY, CANARY_LATE, OPEN, Edition
    from tests.newsletter.engagement.sent import BO, delivery_of, mails_of, own_links, send_to, urls_in
    from tests.people import ADA

    newsletter = own_links(measures_opens=True)
    send = send_to(ADA, BO, newsletter=newsletter, stories=5)
    keep_table(send.edition_id, Edition.objects.get(pk=send.edition_id).engagement)
    mail = mails_of(send)[ADA]
    signer, found = EditionSigner(send.edition_id), urls_in(mail["html"])
    ending = signer.ending(delivery_of(ADA, send).pk)
    found += [signer.url(number, ending=ending) for number in (OPEN, CANARY_EARLY, CANARY_LATE)]
    found += re.findall(r"https?://[^\s>]+", mail["text"])
    found += re.findall(r"<(https?://[^>]+)>", mail["headers"]["List-Unsubscribe"])
    return found + _of_subscribers()


def _of_subscribers() -> list[str]:
    """Of mails to confirm, to change the address, to stay, to see or erase the own data."""
    from django.utils import timezone

    from subscribers.addresses import parse_address
    from subscribers.consent import double_opt_in, sunset, tokens
    from subscribers.consent.address_change import request_change
    from subscribers.models import AddressChange, DataRequest, DataRequestKind, Evidence, Subscription
    from tests.people import ADA
    from tests.publications import make_newsletter

    newsletter = make_newsletter()
    double_opt_in.request_subscription(newsletter, parse_address("gus@example.org"), Evidence(form="signup"))
    waiting = Subscription.objects.get(subscriber__canonical="gus@example.org")
    row = Subscription.objects.get(subscriber__canonical=ADA)
    request_change(row.key, parse_address("ada@example.net"))
    change = AddressChange.objects.get()
    sunset.ask_to_stay([row.pk], silent_since=timezone.now(), answer_time=datetime.timedelta(days=14))
    access, erase = (DataRequest.objects.create(subscriber=row.subscriber, kind=kind) for kind in DataRequestKind)
    return [
        tokens.confirm_url(waiting.key, waiting.request_number),
        tokens.decline_url(waiting.key),
        tokens.unsubscribe_url(row.key),
        tokens.preferences_url(row.key),
        tokens.stay_url(row.key),
        tokens.access_url(access.key),
        tokens.erase_url(erase.key),
        tokens.confirm_address_url(change.key),
        tokens.approve_address_url(change.key),
        tokens.refuse_address_url(change.key),
    ]


def judge() -> dict[str, int]:
    """All hits, and those of humans."""
    from newsletter.engagement.judge import judge_hits
    from newsletter.models import Hit

    while judge_hits():
        pass
    return {"hits": Hit.objects.count(), "humans": Hit.objects.filter(verdict="human").count()}


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "newsletter.settings")
    django.setup()
    print(json.dumps({"make": make, "judge": judge}[sys.argv[1]]()))
