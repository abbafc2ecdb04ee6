"""Reads the inbox: a page of saved links, counts, and where their addresses ran before."""

from __future__ import annotations

import datetime
import enum
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from newsletter.content.document import IssueContent, SectionKind
from newsletter.content.links import leads_to_same_part, saved_link_sha256
from newsletter.models import OPEN_LINKS, Issue, LinkTag, Newsletter, SavedLink, SavedLinkState, Story, TaggedLink

PAGE = 25
#: Counting stops here: more new links than this are told by "1,000+".
MOST_COUNTED = 1_000
#: The longest search, and the links of the newest decisions that it looks through.
MAX_SEARCH, SEARCHED = 100, 5_000
#: The share of common words from which two titles are similar.
SIMILAR = 0.6
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_PLACE = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")
_WORD = re.compile(r"\w+")


class LinkOrder(enum.StrEnum):
    """How the list is sorted; each has an index."""

    TIMES = "times"
    NEWEST = "newest"
    EXPIRY = "expiry"


_ORDERS: dict[LinkOrder, tuple[str, ...]] = {
    LinkOrder.TIMES: ("-times", "-pk"),
    LinkOrder.NEWEST: ("-pk",),
    LinkOrder.EXPIRY: ("expires_at", "pk"),
}


class WrongCursor(ValueError):
    """The place in the list is not one that the list gave out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkQuery:
    """What the list shows."""

    shown: SavedLinkState = SavedLinkState.NEW
    search: str = ""
    tag: int | None = None
    order: LinkOrder = LinkOrder.TIMES
    after: str = ""
    """Where the page starts; see `LinkPage.next`."""


@dataclass(frozen=True, slots=True)
class LinkPage:
    """A page of the list, and the place where the next one starts; empty on the last page."""

    links: Sequence[SavedLink]
    next: str


def page_of_links(newsletter: Newsletter, query: LinkQuery) -> LinkPage:
    """At most PAGE links, with tags and feeds. A search looks through the newest SEARCHED links of the state.

    Raises WrongCursor.
    """
    rows = SavedLink.objects.filter(newsletter=newsletter, state=query.shown)
    if words := query.search[:MAX_SEARCH].split():
        newest = rows.order_by("-pk").values("pk")[:SEARCHED]
        rows = rows.filter(pk__in=newest)
        for word in words:
            rows = rows.filter(
                Q(title__icontains=word) | Q(source__icontains=word) | Q(url__icontains=word) | Q(note__icontains=word)
            )
    if query.tag is not None:
        rows = rows.filter(tags=query.tag)
    rows = _after(rows, query.order, query.after).order_by(*_ORDERS[query.order])
    found = list(rows.select_related("feed", "issue").prefetch_related("tags")[: PAGE + 1])
    return LinkPage(found[:PAGE], _cursor(found[PAGE - 1], query.order) if len(found) > PAGE else "")


def _after(rows: QuerySet[SavedLink], order: LinkOrder, after: str) -> QuerySet[SavedLink]:
    if not after:
        return rows
    place = _PLACE.fullmatch(after)
    if place is None:
        raise WrongCursor(after)
    value, pk = int(place[1]), int(place[2])
    if order is LinkOrder.TIMES:
        return rows.filter(Q(times__lt=value) | Q(times=value, pk__lt=pk))
    if order is LinkOrder.NEWEST:
        return rows.filter(pk__lt=pk)
    try:
        at = _EPOCH + datetime.timedelta(microseconds=value)
    except OverflowError as error:
        raise WrongCursor(after) from error
    return rows.filter(Q(expires_at__gt=at) | Q(expires_at=at, pk__gt=pk))


def _cursor(link: SavedLink, order: LinkOrder) -> str:
    if order is LinkOrder.EXPIRY:
        return f"{(link.expires_at - _EPOCH) // datetime.timedelta(microseconds=1)}-{link.pk}"
    return f"{link.times}-{link.pk}"


def count_open(newsletter: Newsletter) -> dict[SavedLinkState, int]:
    """The numbers of new and kept links, each at most MOST_COUNTED; read from an index."""
    rows = SavedLink.objects.filter(newsletter=newsletter).order_by()
    return {state: rows.filter(state=state).values("pk")[:MOST_COUNTED].count() for state in OPEN_LINKS}


def tags_of(newsletter: Newsletter) -> QuerySet[LinkTag]:
    """The tags that a link has, by name; the first hundred."""
    return LinkTag.objects.filter(
        Exists(TaggedLink.objects.filter(tag=OuterRef("pk"))), newsletter=newsletter
    ).order_by("name")[:100]


# Where an address ran


@dataclass(frozen=True, slots=True)
class EarlierStory:
    """A story with the same address in an issue."""

    issue: Issue
    section: str


def earlier_stories(
    newsletter: Newsletter, urls: Iterable[str], pages: Iterable[str], *, without: Issue | None = None
) -> dict[str, EarlierStory]:
    """The newest story with each of the addresses in the newsletter's issues, by address.

    `pages` are the `link_sha256` of `urls`. Two parts of one page are two addresses.
    """
    wanted = list(urls)
    in_bin = Q(section__issue__deleted_at__isnull=False)
    stories = Story.objects.filter(~in_bin, section__issue__newsletter=newsletter, page_sha256__in=set(pages))
    if without is not None:
        stories = stories.exclude(section__issue=without)
    rows = stories.select_related("section__issue").only("url", "section__title", "section__issue")
    found: dict[str, EarlierStory] = {}
    for story in rows.order_by("-section__issue__date", "-pk")[: 20 * PAGE]:
        for url in wanted:
            if url not in found and leads_to_same_part(url, story.url):
                found[url] = EarlierStory(story.section.issue, story.section.title)
    return found


@dataclass(frozen=True, slots=True)
class SimilarStory:
    """A story of the draft with a similar title and another address; `number` counts from one."""

    number: int
    title: str


def similar_story(link: SavedLink, content: IssueContent) -> SimilarStory | None:
    """The first story of the draft whose title shares most of its words with the link's."""
    words, key = _words(link.title), saved_link_sha256(link.url)
    if len(words) < 3:
        return None
    for number, story in enumerate(content.stories(), start=1):
        others = _words(story.title)
        if others and len(words & others) / len(words | others) >= SIMILAR and saved_link_sha256(story.url) != key:
            return SimilarStory(number, story.title)
    return None


def _words(title: str) -> frozenset[str]:
    return frozenset(_WORD.findall(title.casefold()))


# Where links go


def drafts_of(newsletter: Newsletter) -> list[Issue]:
    """The drafts that links can be added to: the next one by date first, then those of earlier dates; at most ten."""
    issues = Issue.objects.filter(newsletter=newsletter, digest_at__isnull=True).order_by("-date", "-pk").with_send()
    drafts = [issue for issue in issues[:40] if issue.is_editable]
    today = timezone.localdate()
    coming = sorted((each for each in drafts if each.date >= today), key=lambda each: (each.date, each.pk))
    return [*coming, *(each for each in drafts if each.date < today)][:10]


def sections_in(content: IssueContent) -> list[tuple[str, int]]:
    """The headings of the sections with their numbers of stories; without those that have no heading."""
    sections = [part for part in content.sections if part.kind == SectionKind.SECTION and part.title]
    return list({part.title: len(part.stories) for part in reversed(sections)}.items())[::-1]
