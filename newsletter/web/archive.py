"""The archive: public issues as frozen in their editions, each parsed once."""

from __future__ import annotations

import datetime
import functools
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db.models import Max, Q
from django.db.models.fields.json import KeyTextTransform
from django.urls import reverse
from django.utils import timezone
from pydantic import TypeAdapter, ValidationError

from newsletter.content.document import IssueContent
from newsletter.content.store import load_content
from newsletter.models import Edition, Issue, Newsletter, Send, SendTransition
from newsletter.models.send import SendQuerySet
from newsletter.models.web_pages import reachable_sends
from newsletter.rendering import RenderingError
from newsletter.rendering.context import IssueView, view_issue

log = logging.getLogger(__name__)

#: Parsed editions kept in memory; about 150 KB each for a digest of 31 stories.
CACHED_EDITIONS = 128


class UnreadableEdition(Exception):
    """The content of an edition cannot be read by this version of the program; the message names issue and cause."""

    permanent = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicIssue:
    """An issue for the public: the content of its edition, never the present content of its draft."""

    pk: int
    path: str
    published_at: datetime.datetime
    date: datetime.date
    view: IssueView

    @property
    def url(self) -> str:
        """Its URL. Made from SITE_URL, never from the Host header of a request."""
        return f"{settings.SITE_URL}{self.path}"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The previous or the next issue."""

    path: str
    title: str


def published_sends(newsletter: Newsletter) -> SendQuerySet:
    """The sends of the newsletter's public issues, newest first, with the columns that pages use."""
    return _with_edition(Send.objects.public().filter(issue__newsletter=newsletter))


def reachable_send(newsletter: Newsletter, slug: str) -> Send | None:
    """The send of an issue that has a page, listed or not, with the columns that pages use; None if it has none."""
    return _with_edition(reachable_sends().filter(issue__newsletter=newsletter, issue__slug=slug)).first()


def _with_edition(sends: SendQuerySet) -> SendQuerySet:
    rows = sends.select_related("issue", "edition")
    return rows.only("state", "started_at", "issue__slug", "edition__issue_id", "edition__sha256", "edition__content")


def read_issue(newsletter: Newsletter, send: Send) -> PublicIssue:
    """A row of `published_sends` as a PublicIssue. Raises UnreadableEdition."""
    if send.started_at is None:
        raise UnreadableEdition(f"Issue {send.issue_id} has not been published.")
    content = _read_edition(send.edition)
    return PublicIssue(
        pk=send.issue_id,
        path=reverse("issue", args=[newsletter.slug, send.issue.slug]),
        published_at=send.started_at,
        date=content.date,
        view=content.view,
    )


def read_draft(newsletter: Newsletter, issue: Issue) -> PublicIssue:
    """Any issue as its page will show it: its edition, else its saved draft. Raises UnreadableEdition."""
    send = issue.current_send
    if send:
        content = _read_edition(send.edition)
    else:
        draft = load_content(issue)
        try:
            content = _PublicContent(draft.date, view_issue(draft))
        except RenderingError as error:
            raise UnreadableEdition(str(error)) from error
    return PublicIssue(
        pk=issue.pk,
        path=reverse("issue", args=[newsletter.slug, issue.slug]),
        published_at=(send and (send.started_at or send.scheduled_at)) or timezone.now(),
        date=content.date,
        view=content.view,
    )


def read_issues(newsletter: Newsletter, sends: Iterable[Send]) -> Iterator[PublicIssue]:
    """The readable rows. Unreadable ones are logged and left out, so that one does not break the whole page or feed."""
    for send in sends:
        try:
            yield read_issue(newsletter, send)
        except UnreadableEdition as error:
            log.error("Issue left out of a public list: %s", error)


def neighbours(newsletter: Newsletter, issue: PublicIssue) -> tuple[Neighbour | None, Neighbour | None]:
    """The issues published just before and just after this one."""
    at, public = issue.published_at, Send.objects.public().filter(issue__newsletter=newsletter)
    older = public.filter(Q(started_at__lt=at) | Q(started_at=at, issue__lt=issue.pk))
    newer = public.filter(Q(started_at__gt=at) | Q(started_at=at, issue__gt=issue.pk))
    return _first(newsletter, older), _first(newsletter, newer.order_by("started_at", "issue"))


def published_years(newsletter: Newsletter) -> list[int]:
    """The years of the dates of public issues, latest first."""
    sends = Send.objects.public().filter(issue__newsletter=newsletter)
    return [day.year for day in sends.dates("issue__date", "year", order="DESC")]


def changed_at(newsletter: Newsletter) -> datetime.datetime | None:
    """When an issue was last published or withdrawn; None before the first.

    Cancelled issues count, so that cached pages become stale when an issue is withdrawn, too. An issue that was sent
    with an undo window becomes public when that ends, without a transition.
    """
    changes = SendTransition.objects.filter(send__issue__newsletter=newsletter, send__started_at__isnull=False)
    undo_ended = Q(send__undo_until__lte=timezone.now())
    found = changes.aggregate(moved=Max("at"), undo_ended=Max("send__undo_until", filter=undo_ended))
    return max((at for at in found.values() if at), default=None)


def _first(newsletter: Newsletter, sends: SendQuerySet) -> Neighbour | None:
    row = sends.values_list("issue__slug", KeyTextTransform("title", "edition__content")).first()
    return Neighbour(path=reverse("issue", args=[newsletter.slug, row[0]]), title=row[1]) if row else None


# An edition never changes, so it is parsed once: its Markdown costs as much as the rest of a page, and a feed has ten.


@dataclass(frozen=True, slots=True)
class _FrozenContent:
    """The content of an edition; equal if the hash of the edition is equal."""

    sha256: str
    content: Any = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class _PublicContent:
    date: datetime.date
    view: IssueView


_CONTENT = TypeAdapter(IssueContent)


def _read_edition(edition: Edition) -> _PublicContent:
    try:
        return _read_content(_FrozenContent(edition.sha256, edition.content))
    except (ValidationError, RenderingError) as error:
        raise UnreadableEdition(f"The frozen content of issue {edition.issue_id} cannot be read: {error}") from error


@functools.lru_cache(maxsize=CACHED_EDITIONS)
def _read_content(frozen: _FrozenContent) -> _PublicContent:
    content = _CONTENT.validate_python(frozen.content)
    return _PublicContent(content.date, view_issue(content))
