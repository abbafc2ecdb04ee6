"""Saved links as the inbox shows them: what is known of each in words, and the places that they can go to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.formats import date_format
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from newsletter.admin.pages import page_url
from newsletter.admin.time_format import from_now
from newsletter.content.document import IssueContent
from newsletter.content.markdown import markdown_to_text
from newsletter.gathering.inbox import EarlierStory, earlier_stories, sections_in, similar_story
from newsletter.gathering.metadata import problem_of_link
from newsletter.gathering.problems import problem_message
from newsletter.models import Feed, Issue, LinkWay, MetadataState, Newsletter, SavedLink, SavedLinkState

#: Characters of a summary in the list.
SUMMARY = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownLink:
    """A link of the list."""

    pk: int
    title: str
    url: str
    about: str
    """Source, how it came, and when."""
    tags: Sequence[str]
    linked: str
    """How often it was linked, if more than once."""
    summary: str
    note: str
    ran: EarlierStory | None
    ran_on: str
    similar: str
    used: Issue | None
    problem: str
    is_pending: bool
    is_failed: bool


@dataclass(frozen=True, slots=True)
class Target:
    """A section of a draft that links can be added to; `value` is what the form submits."""

    value: str
    label: str
    stories: str


def shown_links(
    newsletter: Newsletter, links: Sequence[SavedLink], target: Issue | None, content: IssueContent | None
) -> list[ShownLink]:
    """The links in words. One query for all of them finds where their addresses ran."""
    ran = earlier_stories(newsletter, [link.url for link in links], [link.page_sha256 for link in links])
    return [_shown(link, ran.get(link.url), target, content) for link in links]


def _shown(link: SavedLink, ran: EarlierStory | None, target: Issue | None, content: IssueContent | None) -> ShownLink:
    similar = similar_story(link, content) if content is not None and link.state != SavedLinkState.USED else None
    is_elsewhere = ran is not None and ran.issue.pk != link.issue_id
    return ShownLink(
        pk=link.pk,
        title=link.title or link.url,
        url=link.url,
        about=" · ".join(filter(None, (link.source, _how(link), from_now(link.found_at)))),
        tags=[tag.name for tag in link.tags.all()],
        linked=_("linked %(times)s times") % {"times": link.times} if link.times > 1 else "",
        summary=Truncator(" ".join(markdown_to_text(link.summary).split())).chars(SUMMARY),
        note=link.note,
        ran=ran if is_elsewhere else None,
        ran_on=date_format(ran.issue.date, "DATE_FORMAT") if ran and is_elsewhere else "",
        similar=_("Similar to story %(number)s of this issue, other address") % {"number": similar.number}
        if similar and target
        else "",
        used=link.issue if link.state == SavedLinkState.USED else None,
        problem=problem_of_link(link) if link.metadata == MetadataState.FAILED else "",
        is_pending=link.metadata == MetadataState.PENDING and not link.tries,
        is_failed=link.metadata == MetadataState.FAILED,
    )


def _how(link: SavedLink) -> str:
    if link.way == LinkWay.FEED:
        return _("%(count)s feeds") % {"count": link.times} if link.times > 1 else str(LinkWay.FEED.label)
    by = _("saved by %(name)s") % {"name": link.saved_by} if link.saved_by else ""
    return by if link.way == LinkWay.FORM else ", ".join(filter(None, (by, str(LinkWay(link.way).label))))


def targets_of(issue: Issue, content: IssueContent) -> list[Target]:
    """The sections of a draft, in their order; without any, one that will be made."""
    found = [
        Target(f"{issue.pk}:{title}", title, ngettext("%(count)s story", "%(count)s stories", count) % {"count": count})
        for title, count in sections_in(content)
    ]
    return found or [Target(f"{issue.pk}:", _("Stories"), _("new section"))]


@dataclass(frozen=True, slots=True)
class FollowedFeed:
    """A feed in a sentence; `tone` is ok, warn or error."""

    name: str
    sentence: str
    tone: str


def followed_feeds(newsletter: Newsletter) -> list[FollowedFeed]:
    """The feeds of the newsletter with the results of their last fetches."""
    return [_followed(feed) for feed in Feed.objects.filter(newsletter=newsletter)[:50]]


def _followed(feed: Feed) -> FollowedFeed:
    if not feed.is_active:
        return FollowedFeed(str(feed), _("Switched off"), "warn")
    if feed.polled_at is None:
        return FollowedFeed(str(feed), _("Not fetched yet"), "ok")
    if problem := problem_message(feed):
        return FollowedFeed(str(feed), f"{from_now(feed.polled_at)} · {problem}", "error")
    if feed.without_link:
        sentence = ngettext(
            "%(count)s entry had no link and was skipped",
            "%(count)s entries had no link and were skipped",
            feed.without_link,
        )
        return FollowedFeed(str(feed), sentence % {"count": feed.without_link}, "warn")
    result = _("%(count)s new") % {"count": feed.new_links} if feed.new_links else _("nothing new")
    return FollowedFeed(str(feed), f"{from_now(feed.polled_at)} · {result}", "ok")


def inbox_url(newsletter: Newsletter, **query: object) -> str:
    """The inbox of a newsletter."""
    return f"{reverse('inbox')}?{urlencode({'newsletter': newsletter.pk, **{k: v for k, v in query.items() if v}})}"


def inbox_of_issue_url(issue: Issue) -> str:
    """The inbox with the issue as the place that links are added to."""
    return inbox_url(issue.newsletter, issue=issue.pk)


def back_url(issue: Issue) -> str:
    """The compose page of a draft."""
    return page_url(issue, "change")
