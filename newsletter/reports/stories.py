"""Stories and sources across issues, ranked by the humans who clicked them. Read from sums that are kept."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import Count, F, Max, QuerySet, Sum

from newsletter.models import STARTED, WHOLE_MAIL, EditionStory, SendCount
from newsletter.models.rates import RateBase, rate_base

#: Rows of each ranking.
LIMIT = 50

#: Larger than every key of a story.
_SHIFT = 2**32


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedStory:
    """A story or block of one issue. Its share of `base` counts a human once for each of its links."""

    title: str
    kind: str
    source: str
    url: str
    issue: int
    issue_title: str
    sent_at: datetime.datetime
    humans: int
    machine_hits: int
    base: RateBase


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedSource:
    """What stories of one source brought; `best` is the title of the most clicked one, of the issue `best_issue`."""

    source: str
    stories: int
    humans: int
    best: str
    best_humans: int
    best_issue: int

    @property
    def per_story(self) -> float:
        return self.humans / self.stories


def has_counted(newsletter: int) -> bool:
    """Whether clicks of any issue of the newsletter were counted."""
    whole = EditionStory.objects.filter(position=WHOLE_MAIL, edition__issue__newsletter=newsletter)
    return whole.exclude(source="").exists()


def top_stories(newsletter: int, since: datetime.datetime | None, limit: int = LIMIT) -> list[RankedStory]:
    """The most clicked stories of issues that were sent since then, each with what its issue's clicks are a share of.

    Of equal ones the earlier first. Two queries.
    """
    rows = _stories(newsletter, since).filter(humans__gt=0).order_by("-humans", "pk")
    columns = ("title", "kind", "source", "url", "humans", "machine_hits")
    sends = ("edition__sends", "edition__issue", "edition__issue__title", "edition__sends__started_at")
    found = list(rows.values_list(*columns, *sends)[:limit])
    bases = _bases({row[6] for row in found})
    return [
        RankedStory(
            title=title,
            kind=kind,
            source=source,
            url=url,
            humans=humans,
            machine_hits=machine_hits,
            issue=issue,
            issue_title=issue_title,
            sent_at=sent_at,
            base=bases.get(send, RateBase(0)),
        )
        for title, kind, source, url, humans, machine_hits, send, issue, issue_title, sent_at in found
    ]


def top_sources(newsletter: int, since: datetime.datetime | None, limit: int = LIMIT) -> list[RankedSource]:
    """The sources whose stories were clicked most, with the best of each. Two queries."""
    groups = (
        _stories(newsletter, since)
        .order_by()
        .values("source")
        .annotate(
            stories=Count("pk"),
            clicks=Sum("humans"),
            # Clicks and key in one number: the highest is that of the best story, and of equal ones of the earliest.
            best=Max(F("humans") * _SHIFT - F("pk")),
        )
        .order_by("-clicks", "source")
    )
    found = [row for row in groups.values_list("source", "stories", "clicks", "best")[:limit] if row[2]]
    keys = {source: -best % _SHIFT for source, _stories, _clicks, best in found}
    rows = EditionStory.objects.filter(pk__in=keys.values())
    stories = {row[0]: row[1:] for row in rows.values_list("pk", "title", "humans", "edition__issue")}
    return [
        RankedSource(source=source, stories=count, humans=clicks, best=best[0], best_humans=best[1], best_issue=best[2])
        for source, count, clicks, _best in found
        # Deleted meanwhile.
        if (best := stories.get(keys[source]))
    ]


def _stories(newsletter: int, since: datetime.datetime | None) -> QuerySet[EditionStory]:
    """Those of the editions that went out."""
    sent = {"edition__sends__state__in": STARTED, "edition__sends__issue__newsletter": newsletter}
    return EditionStory.objects.filter(
        position__gt=WHOLE_MAIL, **sent, **({"edition__sends__started_at__gte": since} if since else {})
    )


def _bases(sends: Collection[int]) -> dict[int, RateBase]:
    return {send: rate_base(totals) for send, totals in SendCount.objects.totals(sends).items()}
