"""What editors decide about saved links: keep, drop, add as stories to a draft, and undo."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy

from newsletter.config.translatable import translatable
from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.links import link_key, saved_link_sha256
from newsletter.content.store import ContentError, load_content, save_content
from newsletter.content.used_links import KEPT_FOR
from newsletter.models import (
    OPEN_LINKS,
    SAVED_LINK_MACHINE,
    Issue,
    Newsletter,
    SavedLink,
    SavedLinkState,
)

_NOT_KEPT = (SavedLinkState.NEW, SavedLinkState.DISMISSED, SavedLinkState.EXPIRED)

#: The heading of the section for stories in an issue without sections.
FIRST_SECTION = gettext_lazy("Stories")


class DuplicateLink(ContentError):
    """The draft already has a story with this link. None was added."""


@dataclass(frozen=True, slots=True)
class StoryPlacement:
    """A story and the heading of its section. Without a heading, the story goes to the last section."""

    section: str
    story: StoryContent


def add_links(issue: Issue, link_pks: Sequence[int], *, section: str, by: str) -> int:
    """Add stories of the links to the draft `issue`, in the order of `link_pks`, and mark them as used; their number.

    `section` is a heading; if it is empty, each goes to the section of its feed. Links that are used already are left
    out, and a link whose story is in the draft gets no second one. Raises ContentError; then nothing is changed.
    """
    with transaction.atomic():
        row = Issue.objects.select_for_update().get(pk=issue.pk)
        chosen = SavedLink.objects.filter(newsletter=issue.newsletter_id, pk__in=link_pks)
        open_links = chosen.filter(state__in=SAVED_LINK_MACHINE.sources(SavedLinkState.USED)).select_related("feed")
        by_pk = {link.pk: link for link in open_links.select_for_update(of=("self",))}
        links = [by_pk[pk] for pk in dict.fromkeys(link_pks) if pk in by_pk]
        there = {saved_link_sha256(story.url) for story in load_content(row).stories() if story.url}
        missing = [link for link in links if saved_link_sha256(link.url) not in there]
        add_stories(issue, [StoryPlacement(section or _section_of(link), _story(link)) for link in missing], by=by)
        SAVED_LINK_MACHINE.move(chosen.filter(pk__in=by_pk), SavedLinkState.USED, issue=issue)
    return len(links)


def take_back(newsletter: Newsletter, link_pks: Sequence[int], state: str, *, by: str) -> int:
    """Undo what was decided about links: `state`, new or kept, is the one that they had. The number of those that
    have it now.

    The stories of used ones are removed from their draft. Raises ContentError if that is no longer a draft; then
    nothing is changed.
    """
    back = SavedLinkState.NEW if state == SavedLinkState.NEW else SavedLinkState.KEPT
    chosen = SavedLink.objects.filter(newsletter=newsletter, pk__in=list(link_pks))
    with transaction.atomic():
        issues = Issue.objects.filter(pk__in=chosen.exclude(issue=None).values("issue")).order_by("pk")
        for issue in issues.select_for_update():
            _remove_stories(issue, list(chosen.filter(issue=issue).values_list("url", flat=True)), by=by)
        others = chosen.exclude(state=back)
        SAVED_LINK_MACHINE.move(others, back, issue=None, expires_at=expiry_of(newsletter, back))
        return chosen.filter(state=back).count()


def _remove_stories(issue: Issue, urls: Sequence[str], *, by: str) -> None:
    keys = {saved_link_sha256(url) for url in urls}
    content = load_content(issue)
    sections = (
        replace(part, stories=tuple(each for each in part.stories if saved_link_sha256(each.url) not in keys))
        for part in content.sections
    )
    save_content(issue, replace(content, sections=tuple(sections)), by=by)


def keep_links(newsletter: Newsletter, link_pks: Iterable[int]) -> int:
    """Keep these links, also those that were dropped or have expired; the number of those that were moved."""
    return _decide(newsletter, link_pks, SavedLinkState.KEPT, _NOT_KEPT)


def drop_links(newsletter: Newsletter, link_pks: Iterable[int]) -> int:
    """Drop these links; the number of those that were new or kept."""
    return _decide(newsletter, link_pks, SavedLinkState.DISMISSED, OPEN_LINKS)


def _decide(newsletter: Newsletter, link_pks: Iterable[int], state: str, only_from: Sequence[str]) -> int:
    rows = SavedLink.objects.filter(newsletter=newsletter, pk__in=list(link_pks))
    return SAVED_LINK_MACHINE.move(rows, state, only_from=only_from, expires_at=expiry_of(newsletter, state))


def expiry_of(newsletter: Newsletter, state: str) -> datetime.datetime:
    """When a link expires that gets this state now."""
    days = datetime.timedelta(days=newsletter.inbox_days)
    return timezone.now() + (KEPT_FOR if state == SavedLinkState.KEPT else days)


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

    Raises ContentError, also if there are none to append; then nothing is changed.
    """
    with transaction.atomic():
        row = Issue.objects.select_for_update().get(pk=issue.pk)
        with translation.override(issue.newsletter.language):  # of the heading that it may add
            content = with_stories(load_content(row), placements)
        save_content(row, content, by=by)
    issue.refresh_from_db()


def kept_links(newsletter: Newsletter, *, limit: int) -> list[SavedLink]:
    """The newest links that editors kept for an issue."""
    kept = SavedLink.objects.filter(newsletter=newsletter, state=SavedLinkState.KEPT)
    return list(kept.order_by("-pk")[:limit])


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


def _section_of(link: SavedLink) -> str:
    return link.feed.section if link.feed else ""


def _story(link: SavedLink) -> StoryContent:
    return StoryContent(title=link.title, url=link.url, source=link.source, body=link.summary)
