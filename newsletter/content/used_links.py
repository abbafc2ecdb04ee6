"""Keeps saved links in step with the draft that holds their stories, whichever way the draft was changed."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from django.utils import timezone

from newsletter.content.links import saved_link_sha256
from newsletter.models import OPEN_LINKS, SAVED_LINK_MACHINE, Issue, SavedLink, SavedLinkState

#: How long a link stays that an editor kept.
KEPT_FOR = datetime.timedelta(days=365)


def follow_draft(issue: Issue, urls: Sequence[str]) -> None:
    """Move the links whose stories left the draft to kept, and open ones among `urls` to used.

    `urls` are the links of the stories that the draft has now. At most three statements for any number of links; called
    in the transaction that stores the content.
    """
    now_in = {saved_link_sha256(url) for url in urls}
    # A link that shares its address with another entry of its feed has an identity of its own, so addresses count.
    used = SavedLink.objects.filter(issue=issue).values_list("pk", "url")
    if left := [pk for pk, url in used if saved_link_sha256(url) not in now_in]:
        rows = SavedLink.objects.filter(pk__in=left)
        SAVED_LINK_MACHINE.move(rows, SavedLinkState.KEPT, issue=None, expires_at=timezone.now() + KEPT_FOR)
    if now_in:
        found = SavedLink.objects.filter(newsletter=issue.newsletter_id, link_sha256__in=now_in)
        SAVED_LINK_MACHINE.move(found, SavedLinkState.USED, only_from=OPEN_LINKS, issue=issue)
