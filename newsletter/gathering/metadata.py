"""Fetches title, source and summary of saved links: the background step, with bounded retries.

A worker claims a link by moving the time of its fetch ahead, so that only one of several workers fetches it. No
transaction is open during the fetch.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterable

from django.db.models import F, QuerySet
from django.utils import timezone

from newsletter.config.translatable import from_data, to_data
from newsletter.content.document import StoryContent
from newsletter.gathering.page import UnreadableLink, story_from_link
from newsletter.models import MetadataState, Newsletter, SavedLink
from newsletter.outbound import site_fetch_policy

log = logging.getLogger(__name__)

#: A page that may be readable later is tried so often, after these times.
RETRIES = (datetime.timedelta(minutes=1), datetime.timedelta(minutes=15), datetime.timedelta(hours=3))
#: Another worker may fetch a claimed link after this time. A fetch takes seconds.
CLAIM_EXPIRES_AFTER = datetime.timedelta(minutes=5)


def fetch_next_link() -> bool:
    """Fetch the metadata of one link that waits for it; whether there was one. A background step."""
    link = _claim()
    if link is None:
        return False
    try:
        story = story_from_link(link.url, site_fetch_policy())
    except UnreadableLink as error:
        _store_problem(link, error)
    else:
        _store(link, story)
    return True


def try_again(newsletter: Newsletter, link_pks: Iterable[int]) -> int:
    """Let the worker fetch these links anew; the number of links."""
    failed = SavedLink.objects.filter(newsletter=newsletter, pk__in=list(link_pks), metadata=MetadataState.FAILED)
    return failed.update(metadata=MetadataState.PENDING, fetch_at=timezone.now(), tries=0, metadata_problem=None)


def problem_of_link(link: SavedLink) -> str:
    """Why its page was not fetched, as a sentence; empty if there is no problem."""
    return str(from_data(link.metadata_problem)) if link.metadata_problem is not None else ""


def _claim() -> SavedLink | None:
    now = timezone.now()
    waiting = SavedLink.objects.filter(metadata=MetadataState.PENDING, fetch_at__lte=now)
    link = waiting.order_by("fetch_at").first()
    if link is None:
        return None
    claimed_until = now + CLAIM_EXPIRES_AFTER
    claimed = SavedLink.objects.filter(pk=link.pk, metadata=MetadataState.PENDING, fetch_at=link.fetch_at)
    if not claimed.update(fetch_at=claimed_until, tries=F("tries") + 1):
        return None
    link.fetch_at, link.tries = claimed_until, link.tries + 1
    return link


def _store(link: SavedLink, story: StoryContent) -> None:
    """What an editor wrote stays."""
    changes = {"source": link.source or story.source, "summary": link.summary or story.body}
    changes["title"] = link.title or story.title
    _claimed(link).update(metadata=MetadataState.FETCHED, fetch_at=None, metadata_problem=None, **changes)


def _store_problem(link: SavedLink, error: UnreadableLink) -> None:
    problem = to_data(error.args[0])
    if error.retryable and link.tries <= len(RETRIES):
        _claimed(link).update(fetch_at=timezone.now() + RETRIES[link.tries - 1], metadata_problem=problem)
    else:
        _claimed(link).update(metadata=MetadataState.FAILED, fetch_at=None, metadata_problem=problem)
    log.info("Link %s was not fetched at try %s: %s", link.url, link.tries, error.args[0])


def _claimed(link: SavedLink) -> QuerySet[SavedLink]:
    return SavedLink.objects.filter(pk=link.pk, metadata=MetadataState.PENDING, fetch_at=link.fetch_at)
