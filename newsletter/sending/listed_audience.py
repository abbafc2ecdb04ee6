"""The audience as the manifest of a send records it: lists, segments and topic, with counts."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from newsletter.sending.audience import Audience
from subscribers.models import MailingList


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedList:
    """One list of the audience."""

    slug: str
    name: str
    recipients: int
    """Who get the issue through it; subscribers of several lists count for the first that includes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSegment:
    """One included or excluded segment of the audience."""

    list: str
    """Slug of its list."""
    name: str
    rules_sha256: str
    """Of its rules, or of its subscribers if they were picked."""
    is_excluded: bool
    subscribers: int
    """Active subscribers of its list in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedAudience:
    """Lists, segments and topic of the audience."""

    lists: tuple[ListedList, ...]
    segments: tuple[ListedSegment, ...] = ()
    topic: str = ""
    """Slug."""
    topic_name: str = ""

    @property
    def is_default(self) -> bool:
        """Whether it is the newsletter's own list and nothing else."""
        return len(self.lists) == 1 and not (self.segments or self.topic)

    @property
    def decides(self) -> tuple[Any, ...]:
        """What decides who is in it: without names, which may change, and counts, which follow from all else."""
        segments = [[each.list, each.is_excluded, each.rules_sha256] for each in self.segments]
        return [each.slug for each in self.lists], segments, self.topic


def list_audience(audience: Audience, recipients: Sequence[int], at: datetime.datetime) -> ListedAudience:
    """The audience as of `at`, with the number of recipients through each of its lists."""
    segments = () if audience.problems else audience.segments
    lists = MailingList.objects.filter(pk__in=[segment.list_pk for segment in segments])
    slugs = dict(lists.values_list("pk", "slug")) if segments else {}
    return ListedAudience(
        lists=tuple(
            ListedList(slug=each.slug, name=each.name, recipients=count)
            for each, count in zip(audience.lists, recipients, strict=True)
        ),
        segments=tuple(
            ListedSegment(
                list=slugs[segment.list_pk],
                name=segment.name,
                rules_sha256=segment.fingerprint,
                is_excluded=segment.is_excluded,
                subscribers=segment.subscriptions(at).mailable(at).count(),
            )
            for segment in segments
        ),
        topic=audience.topic.slug if audience.topic else "",
        topic_name=audience.topic.name if audience.topic else "",
    )


def joined_sha256(hashes: Sequence[str]) -> str:
    """One hash over those of several lists; that of a single one as it is."""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
