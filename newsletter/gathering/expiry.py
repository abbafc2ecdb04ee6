"""Links leave the inbox when their time is over, and come back when the issue that used them is deleted."""

from __future__ import annotations

from django.utils import timezone

from newsletter.content.used_links import KEPT_FOR
from newsletter.models import OPEN_LINKS, SAVED_LINK_MACHINE, SavedLink, SavedLinkState

#: Links that one run moves at most.
ROWS = 1_000


def follow_links() -> bool:
    """Expire open links whose time is over, and keep used ones without an issue; whether there may be more.

    A background step.
    """
    now = timezone.now()
    over = SavedLink.objects.filter(state__in=OPEN_LINKS, expires_at__lte=now).order_by("expires_at")
    left = SavedLink.objects.filter(state=SavedLinkState.USED, issue=None)
    expired, kept = list(over.values_list("pk", flat=True)[:ROWS]), list(left.values_list("pk", flat=True)[:ROWS])
    if expired:
        # Again with the time: an editor may have kept one meanwhile.
        rows = SavedLink.objects.filter(pk__in=expired, expires_at__lte=now)
        SAVED_LINK_MACHINE.move(rows, SavedLinkState.EXPIRED, only_from=OPEN_LINKS)
    if kept:
        rows = SavedLink.objects.filter(pk__in=kept, issue=None)
        SAVED_LINK_MACHINE.move(rows, SavedLinkState.KEPT, only_from=(SavedLinkState.USED,), expires_at=now + KEPT_FOR)
    return ROWS in (len(expired), len(kept))
