"""Offers feed items to editors, and adds the stories that they pick to a draft."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy

from newsletter.config.translatable import translatable
from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.links import link_key, link_sha256
from newsletter.content.store import ContentError, load_content, save_content
from newsletter.models import FeedItem, FeedItemState, Issue, Newsletter, Story

#: The number of items that are offered at once, and how long after they were found.
MOST_OFFERED, OFFERED_FOR = 200, datetime.timedelta(days=60)
#: The heading of the section for stories in an issue without sections.
FIRST_SECTION = gettext_lazy("Stories")


class DuplicateLink(ContentError):
    """The draft already has a story with this link. None was added."""


@dataclass(frozen=True, slots=True)
class StoryPlacement:
    """A story and the heading of its section. Without a heading, the story goes to the last section."""

    section: str
    story: StoryContent


def items_to_pick(newsletter: Newsletter) -> list[FeedItem]:
    """The newest items that are not used, dismissed, or part of an issue of the newsletter.

    Items that were found more than OFFERED_FOR ago are left out.
    """
    items = _new_items(newsletter).filter(found_at__gte=timezone.now() - OFFERED_FOR).select_related("feed")
    in_issues = links_of(newsletter)
    offered = items.order_by(Coalesce("published_at", "found_at").desc(), "-pk")
    return [item for item in offered[: 2 * MOST_OFFERED] if item.link_sha256 not in in_issues][:MOST_OFFERED]


def links_of(newsletter: Newsletter) -> dict[str, str]:
    """The title of the newest issue with each link in the issues of the newsletter, by `link_sha256`."""
    in_bin = Q(section__issue__deleted_at__isnull=False)
    stories = Story.objects.filter(~in_bin, section__issue__newsletter=newsletter).exclude(url="")
    rows = stories.order_by("section__issue__date").values_list("url", "section__issue__title")
    return {link_sha256(url): title for url, title in rows}


def add_items(issue: Issue, item_pks: Sequence[int], *, section: str, by: str) -> int:
    """Add the items to the draft `issue`, in the order of `item_pks`, and mark them as used; their number.

    `section` is a heading; if it is empty, each item goes to the section of its feed. Items that were used or dismissed
    in the meantime are skipped. Raises ContentError; then nothing is changed.
    """
    with transaction.atomic():
        chosen = _new_items(issue.newsletter).filter(pk__in=item_pks).select_related("feed")
        by_pk = {item.pk: item for item in chosen.select_for_update(of=("self",))}
        items = [by_pk[pk] for pk in dict.fromkeys(item_pks) if pk in by_pk]
        if items:
            add_stories(issue, [StoryPlacement(section or item.feed.section, _story(item)) for item in items], by=by)
            chosen.filter(pk__in=by_pk).update(state=FeedItemState.USED, issue=issue)
    return len(items)


def add_story(issue: Issue, placement: StoryPlacement, *, by: str) -> None:
    """As `add_stories`, for one story with a link that is new to the draft, so that a second click adds nothing.

    Raises DuplicateLink, or ContentError; then nothing is changed.
    """
    with transaction.atomic():
        row = Issue.objects.select_for_update().get(pk=issue.pk)
        for story in load_content(row).stories():
            if link_key(story.url) == link_key(placement.story.url):
                raise DuplicateLink(
                    translatable(
                        "The draft already contains this link, in the story “{story}”.", story=story.title or story.url
                    )
                )
        add_stories(issue, [placement], by=by)


def add_stories(issue: Issue, placements: Sequence[StoryPlacement], *, by: str) -> None:
    """Append the stories to the current content of the draft `issue`, so that no other change is overwritten.

    Raises ContentError; then nothing is changed.
    """
    with transaction.atomic():
        row = Issue.objects.select_for_update().get(pk=issue.pk)
        with translation.override(issue.newsletter.language):  # of the heading that it may add
            content = with_stories(load_content(row), placements)
        save_content(row, content, by=by)
    issue.refresh_from_db()


def kept_links(newsletter: Newsletter, *, since: datetime.datetime | None, limit: int) -> list[FeedItem]:
    """The newest links that may become stories, found after `since`; those that an issue has are left out."""
    offered = items_to_pick(newsletter)
    return [item for item in offered if since is None or item.found_at > since][:limit]


def dismiss_items(newsletter: Newsletter, item_pks: Iterable[int]) -> int:
    """Dismiss these items; the number of those that were new."""
    return _new_items(newsletter).filter(pk__in=list(item_pks)).update(state=FeedItemState.DISMISSED)


def with_stories(content: IssueContent, placements: Iterable[StoryPlacement]) -> IssueContent:
    """`content` with each story at the end of its section. A new section is added at the end."""
    sections = list(content.sections)
    for placement in placements:
        index = _section_index(placement.section, sections)
        if index is None:
            title = placement.section or str(FIRST_SECTION)
            sections.append(SectionContent(title=title, stories=(placement.story,)))
        else:
            sections[index] = replace(sections[index], stories=(*sections[index].stories, placement.story))
    return replace(content, sections=tuple(sections))


def _section_index(title: str, sections: Sequence[SectionContent]) -> int | None:
    """The section with that heading; without a heading, the last section with stories, else the last section."""
    indexes = [index for index, section in enumerate(sections) if section.kind == SectionKind.SECTION]
    if title:
        return next((index for index in indexes if sections[index].title.casefold() == title.casefold()), None)
    used = [index for index in indexes if sections[index].stories]
    return next(reversed(used or indexes), None)


def _new_items(newsletter: Newsletter) -> QuerySet[FeedItem]:
    return FeedItem.objects.filter(newsletter=newsletter, state=FeedItemState.NEW)


def _story(item: FeedItem) -> StoryContent:
    return StoryContent(title=item.title, url=item.url, source=item.source, body=item.summary)
