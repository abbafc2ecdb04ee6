"""Links of a mail in a separate installation, as a program inside its environment.

`python -m tests.journeys.wrapped_links make` freezes and starts an issue whose links lead through the site and prints
their paths; `… hits` prints how many hits are stored.
"""

from __future__ import annotations

import json
import os
import sys


def make() -> dict[str, str]:
    """The path of the first link that all recipients share, and of the one of a subscriber who agreed."""
    from newsletter.engagement.link_tables import keep_table
    from newsletter.engagement.tokens import EditionSigner
    from newsletter.models import FIRST_LINK, Edition
    from tests.newsletter.engagement.sent import delivery_of, own_links, send_to
    from tests.people import ADA

    send = send_to(ADA, newsletter=own_links())
    # As the worker does before the first mail leaves; here no worker runs.
    keep_table(send.edition_id, Edition.objects.get(pk=send.edition_id).engagement)
    signer = EditionSigner(send.edition_id)
    urls = {"shared": signer.url(FIRST_LINK)}
    urls["own"] = signer.url(FIRST_LINK, ending=signer.ending(delivery_of(ADA, send).pk))
    return {name: url[url.index("/l/") :] for name, url in urls.items()}


def hits() -> int:
    """How many hits are stored."""
    from newsletter.models import Hit

    return Hit.objects.count()


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "newsletter.settings")
    django.setup()
    print(json.dumps({"make": make, "hits": hits}[sys.argv[1]]()))
