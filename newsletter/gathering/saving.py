"""Puts links into the inbox: what users save, and what feeds list. Each link is stored once."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from newsletter.config.translatable import translatable
from newsletter.content.document import StoryContent
from newsletter.content.feeds import FeedEntry
from newsletter.content.fields import LIMITS
from newsletter.content.html_text import one_line, shortened
from newsletter.content.links import link_key, link_sha256, saved_link_sha256, web_link_problem
from newsletter.content.merge_faults import without_merge_fields
from newsletter.content.pasted_rows import pasted_rows
from newsletter.models import Feed, LinkTag, LinkWay, MetadataState, Newsletter, SavedLink, Sighting, TaggedLink

#: Links that may be saved at once.
MAX_LINKS = 50
MAX_NOTE, MAX_TAGS, MAX_TAG = 500, 10, 40

_ADDRESS = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
_AFTER_ADDRESS = ".,;:!?)]}'"


class LinkRefused(Exception):
    """Nothing was saved. The message is a sentence for who saved it."""

    permanent = True


@dataclass(frozen=True, slots=True)
class NewLink:
    """A link to be saved; an empty title is fetched from its page."""

    url: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class SavedNow:
    """What became of a link: it is new, or has been in the inbox since `link.found_at`."""

    link: SavedLink
    is_new: bool


def links_in(text: str) -> list[NewLink]:
    """The links of text that was typed, pasted or shared: a list of links with titles, or all addresses in it.

    Raises LinkRefused for text without an address, an address that cannot be a link, and more than MAX_LINKS.
    """
    stories = [part for part in pasted_rows(text) if isinstance(part, StoryContent) and part.url]
    found = [NewLink(story.url, story.title) for story in stories]
    found = found or [NewLink(address.rstrip(_AFTER_ADDRESS)) for address in _ADDRESS.findall(text)]
    if not found:
        raise LinkRefused(web_link_problem(text.strip()) or translatable("Enter an address that starts with https://."))
    return checked(found)


def checked(links: Sequence[NewLink]) -> list[NewLink]:
    """The links, each once, with titles that fit. Raises LinkRefused."""
    if len(links) > MAX_LINKS:
        raise LinkRefused(
            translatable(
                "At most {most} links can be saved at once, and these are {count}.", most=MAX_LINKS, count=len(links)
            )
        )
    for link in links:
        if len(link.url) > LIMITS["link"]:
            raise LinkRefused(translatable("A link is longer than {most} characters.", most=LIMITS["link"]))
        if problem := web_link_problem(link.url):
            raise LinkRefused(translatable("{url}: {problem}", url=shortened(link.url, 100), problem=problem))
    once = {saved_link_sha256(link.url): link for link in reversed(links)}
    return [NewLink(link.url, _title(link.title)) for link in reversed(once.values())]


def tags_in(text: str) -> list[str]:
    """The tags between the commas. Raises LinkRefused for too many or too long ones."""
    names = list(dict.fromkeys(filter(None, (one_line(name).lstrip("#").lower() for name in text.split(",")))))
    if len(names) > MAX_TAGS or any(len(name) > MAX_TAG for name in names):
        raise LinkRefused(
            translatable("Enter at most {most} tags of {length} characters.", most=MAX_TAGS, length=MAX_TAG)
        )
    return names


def save_links(
    newsletter: Newsletter,
    links: Sequence[NewLink],
    *,
    way: LinkWay,
    by: str,
    note: str = "",
    tags: Sequence[str] = (),
) -> list[SavedNow]:
    """Store links that a user saved, in their order; their pages are fetched by the worker within seconds.

    A link that is in the inbox already stays as it is and is counted once more, if this user has not saved it
    before. `links` come from `checked`.
    """
    now = timezone.now()
    by_key = {saved_link_sha256(link.url): link for link in links}
    with transaction.atomic():
        before = set(_with_keys(newsletter, by_key).values_list("link_sha256", flat=True))
        SavedLink.objects.bulk_create(
            (
                SavedLink(
                    newsletter=newsletter,
                    link_sha256=key,
                    page_sha256=link_sha256(link.url),
                    url=link.url,
                    title=link.title,
                    note=note[:MAX_NOTE],
                    found_at=now,
                    expires_at=now + datetime.timedelta(days=newsletter.inbox_days),
                    way=way,
                    saved_by=by,
                    metadata=MetadataState.PENDING,
                    fetch_at=now,
                )
                for key, link in by_key.items()
                if key not in before
            ),
            ignore_conflicts=True,
        )
        stored = {link.link_sha256: link for link in _with_keys(newsletter, by_key)}
        see((Sighting(link=link, by=by, at=now) for link in stored.values()), list(stored.values()))
        _tag(newsletter, [link for key, link in stored.items() if key not in before], tags)
    return [SavedNow(stored[key], key not in before) for key in by_key]


def see(sightings: Iterable[Sighting], links: Sequence[SavedLink]) -> None:
    """Store the sightings that are new, and count those of `links`."""
    Sighting.objects.bulk_create(sightings, ignore_conflicts=True)
    counted = Sighting.objects.filter(link=OuterRef("pk")).order_by().values("link").annotate(times=Count("pk"))
    rows = SavedLink.objects.filter(pk__in=[link.pk for link in links])
    rows.update(times=Coalesce(Subquery(counted.values("times")), 1))


def set_tags(link: SavedLink, names: Sequence[str]) -> None:
    """Give the link these tags and no others."""
    with transaction.atomic():
        link.tags.clear()
        _tag(link.newsletter, [link], names)


def _tag(newsletter: Newsletter, links: Sequence[SavedLink], names: Sequence[str]) -> None:
    if not names or not links:
        return
    LinkTag.objects.bulk_create((LinkTag(newsletter=newsletter, name=name) for name in names), ignore_conflicts=True)
    tags = list(LinkTag.objects.filter(newsletter=newsletter, name__in=names))
    TaggedLink.objects.bulk_create(
        (TaggedLink(link=link, tag=tag) for link in links for tag in tags), ignore_conflicts=True
    )


def _with_keys(newsletter: Newsletter, keys: Iterable[str]) -> QuerySet[SavedLink]:
    return SavedLink.objects.filter(newsletter=newsletter, link_sha256__in=list(keys))


def _title(title: str) -> str:
    return without_merge_fields(shortened(one_line(title), LIMITS["story title"]))


# What feeds list


def save_entries(feed: Feed, entries: Sequence[FeedEntry]) -> int:
    """Store the entries of a feed that it has not listed before; the number of links that are new to the inbox.

    The id of an entry is its identity: a corrected link changes nothing, and two entries with one link are two. A link
    that came from elsewhere is counted once more. The number of statements does not depend on that of the entries.
    """
    guids = [entry.guid for entry in entries if entry.guid]
    known = set(Sighting.objects.filter(feed=feed, guid__in=guids).values_list("guid", flat=True))
    fresh = [entry for entry in entries if entry.guid not in known]
    if not fresh:
        return 0
    by_key = _keyed(feed, fresh)
    before = set(_with_keys(feed.newsletter, by_key).values_list("link_sha256", flat=True))
    SavedLink.objects.bulk_create(
        (_link_of(feed, entry, key) for key, entry in by_key.items() if key not in before), ignore_conflicts=True
    )
    stored = {link.link_sha256: link for link in _with_keys(feed.newsletter, by_key)}
    see((Sighting(link=link, feed=feed, guid=by_key[key].guid) for key, link in stored.items()), list(stored.values()))
    return len(by_key.keys() - before)


def _keyed(feed: Feed, entries: Sequence[FeedEntry]) -> dict[str, FeedEntry]:
    """The entries by what their links are one link by; an address that the feed has for another id gets the id, too."""
    plain = [saved_link_sha256(entry.url) for entry in entries]
    listed = Sighting.objects.filter(feed=feed, link__newsletter=feed.newsletter_id, link__link_sha256__in=plain)
    taken = {key for key, guid in listed.values_list("link__link_sha256", "guid") if guid}
    by_key: dict[str, FeedEntry] = {}
    for entry, key in zip(entries, plain, strict=True):
        is_own = bool(entry.guid) and link_key(entry.guid) != link_key(entry.url)
        if is_own and (key in taken or key in by_key):
            by_key.setdefault(saved_link_sha256(entry.url, entry.guid), entry)
        else:
            by_key.setdefault(key, entry)
    return by_key


def _link_of(feed: Feed, entry: FeedEntry, key: str) -> SavedLink:
    now = timezone.now()
    return SavedLink(
        newsletter_id=feed.newsletter_id,
        feed=feed,
        way=LinkWay.FEED,
        link_sha256=key,
        page_sha256=link_sha256(entry.url),
        url=entry.url,
        title=entry.title,
        source=feed.source or entry.source,
        summary=entry.summary,
        published_at=entry.published,
        found_at=now,
        expires_at=now + datetime.timedelta(days=feed.newsletter.inbox_days),
    )
