"""Picking: which items of feeds are offered, and how what is picked comes into a draft."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.link_key import link_key, link_sha256
from newsletter.content.store import ContentError, load_content, save_content
from newsletter.models import FeedItem, FeedItemState, Issue, Newsletter, Story

#: Items that are offered at once, and for how long after they were found: nobody looks for last season's news.
MOST_OFFERED, OFFERED_FOR = 200, datetime.timedelta(days=60)
#: Where stories go in an issue that has no section yet.
FIRST_SECTION = "Stories"


class StandsAlready(ContentError):
    """The draft has a story with this link already; none was added."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A story, and the heading of the section it goes to; empty: the last one that is there."""

    section: str
    story: StoryContent


def items_to_pick(newsletter: Newsletter) -> list[FeedItem]:
    """The newest items that nobody has used or dismissed, and that stand in no issue of the newsletter yet.

    Those that were found more than OFFERED_FOR ago are passed over.
    """
    items = _new_items(newsletter).filter(found_at__gte=timezone.now() - OFFERED_FOR).select_related("feed")
    standing = links_of(newsletter)
    offered = items.order_by(Coalesce("published_at", "found_at").desc(), "-pk")
    return [item for item in offered[: 2 * MOST_OFFERED] if item.link_sha256 not in standing][:MOST_OFFERED]


def links_of(newsletter: Newsletter) -> dict[str, str]:
    """Each link that stands in an issue of the newsletter, as `link_sha256`, and the title of the newest of these."""
    stories = Story.objects.filter(section__issue__newsletter=newsletter).exclude(url="")
    rows = stories.order_by("section__issue__date").values_list("url", "section__issue__title")
    return {link_sha256(url): title for url, title in rows}


def add_items(issue: Issue, item_pks: Sequence[int], *, section: str, by: str) -> int:
    """Put the items into the draft `issue`, in the order of `item_pks`, and mark them as used; how many that were.

    `section` is the heading they go to; empty: each where its feed says. Items that somebody else has used or
    dismissed meanwhile are passed over. Raises ContentError, and then has changed nothing.
    """
    with transaction.atomic():
        chosen = _new_items(issue.newsletter).filter(pk__in=item_pks).select_related("feed")
        by_pk = {item.pk: item for item in chosen.select_for_update(of=("self",))}
        items = [by_pk[pk] for pk in dict.fromkeys(item_pks) if pk in by_pk]
        if items:
            add_stories(issue, [Placed(section or item.feed.section, _story(item)) for item in items], by=by)
            chosen.filter(pk__in=by_pk).update(state=FeedItemState.USED, issue=issue)
    return len(items)


def add_story(issue: Issue, placed: Placed, *, by: str) -> None:
    """The same as `add_stories` for one, whose link must be new to the draft: a second click adds nothing.

    Raises StandsAlready, or ContentError, and then has changed nothing.
    """
    with transaction.atomic():
        row = Issue.objects.select_for_update().get(pk=issue.pk)
        for story in load_content(row).stories():
            if link_key(story.url) == link_key(placed.story.url):
                raise StandsAlready(f"This link stands in the draft already, under “{story.title or story.url}”.")
        add_stories(issue, [placed], by=by)


def add_stories(issue: Issue, placed: Sequence[Placed], *, by: str) -> None:
    """Append the stories to what stands in the draft `issue` at this moment: it overwrites nobody's words.

    Raises ContentError, and then has changed nothing.
    """
    with transaction.atomic():
        row = Issue.objects.select_for_update().get(pk=issue.pk)
        save_content(row, with_stories(load_content(row), placed), by=by)
    issue.refresh_from_db()


def dismiss_items(newsletter: Newsletter, item_pks: Iterable[int]) -> int:
    """Offer these items no more; how many that were."""
    return _new_items(newsletter).filter(pk__in=list(item_pks)).update(state=FeedItemState.DISMISSED)


def with_stories(content: IssueContent, placed: Iterable[Placed]) -> IssueContent:
    """`content` with each story at the end of its section; a section that is not there yet comes last."""
    sections = list(content.sections)
    for one in placed:
        place = _place_of(one.section, sections)
        if place is None:
            sections.append(SectionContent(title=one.section or FIRST_SECTION, stories=(one.story,)))
        else:
            sections[place] = replace(sections[place], stories=(*sections[place].stories, one.story))
    return replace(content, sections=tuple(sections))


def _place_of(title: str, sections: Sequence[SectionContent]) -> int | None:
    """Where the section of that heading stands; for no heading the last that has stories, else the last of all."""
    headed = [place for place, section in enumerate(sections) if section.kind == SectionKind.SECTION]
    if title:
        same = (place for place in headed if sections[place].title.casefold() == title.casefold())
        return next(same, None)
    with_some = [place for place in headed if sections[place].stories]
    return next(reversed(with_some or headed), None)


def _new_items(newsletter: Newsletter) -> QuerySet[FeedItem]:
    return FeedItem.objects.filter(newsletter=newsletter, state=FeedItemState.NEW)


def _story(item: FeedItem) -> StoryContent:
    return StoryContent(title=item.title, url=item.url, source=item.source, body=item.summary)
