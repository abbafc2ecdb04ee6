"""What the soak does inside its installation: `python -m tests.soak.inside subscribers 10000`, `… issue 3`."""

from __future__ import annotations

import os
import sys


def _make_subscribers(count: int) -> None:
    from tests import people
    from tests.publications import make_newsletter

    people.make_subscriptions(count, make_newsletter())


def _send_issue(number: int) -> None:
    from newsletter.sending.schedule import send_now
    from tests.publications import make_issue

    send_now(make_issue(f"issue-{number}", stories=10), by="soak")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "newsletter.settings")
    import django

    django.setup()
    {"subscribers": _make_subscribers, "issue": _send_issue}[sys.argv[1]](int(sys.argv[2]))
