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
from newsletter.models import PUBLISHED, Edition, Issue, Newsletter
from newsletter.models.issue import IssueQuerySet
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


def published_issues(newsletter: Newsletter) -> IssueQuerySet:
    """The newsletter's public issues, newest first, with the columns of their editions that pages use."""
    return (
        Issue.objects.public()
        .filter(newsletter=newsletter)
        .select_related("edition")
        .only("slug", "started_at", "newsletter_id", "edition__sha256", "edition__content")
    )


def read_issue(newsletter: Newsletter, issue: Issue) -> PublicIssue:
    """A row of `published_issues` as a PublicIssue. Raises UnreadableEdition."""
    if issue.edition is None or issue.started_at is None:
        raise UnreadableEdition(f"Issue {issue.pk} has not been published.")
    content = _read_edition(issue.edition)
    return PublicIssue(
        pk=issue.pk,
        path=reverse("issue", args=[newsletter.slug, issue.slug]),
        published_at=issue.started_at,
        date=content.date,
        view=content.view,
    )


def read_draft(newsletter: Newsletter, issue: Issue) -> PublicIssue:
    """Any issue as its page will show it: its edition, else its saved draft. Raises UnreadableEdition."""
    if issue.edition:
        content = _read_edition(issue.edition)
    else:
        draft = load_content(issue)
        try:
            content = _PublicContent(draft.date, view_issue(draft))
        except RenderingError as error:
            raise UnreadableEdition(str(error)) from error
    return PublicIssue(
        pk=issue.pk,
        path=reverse("issue", args=[newsletter.slug, issue.slug]),
        published_at=issue.started_at or issue.scheduled_at or timezone.now(),
        date=content.date,
        view=content.view,
    )


def read_issues(newsletter: Newsletter, issues: Iterable[Issue]) -> Iterator[PublicIssue]:
    """The readable rows. Unreadable ones are logged and left out, so that one does not break the whole page or feed."""
    for issue in issues:
        try:
            yield read_issue(newsletter, issue)
        except UnreadableEdition as error:
            log.error("Issue left out of a public list: %s", error)


def neighbours(newsletter: Newsletter, issue: PublicIssue) -> tuple[Neighbour | None, Neighbour | None]:
    """The issues published just before and just after this one."""
    at, public = issue.published_at, Issue.objects.public().filter(newsletter=newsletter)
    older = public.filter(Q(started_at__lt=at) | Q(started_at=at, pk__lt=issue.pk))
    newer = public.filter(Q(started_at__gt=at) | Q(started_at=at, pk__gt=issue.pk))
    return _first(newsletter, older), _first(newsletter, newer.order_by("started_at", "pk"))


def published_years(newsletter: Newsletter) -> list[int]:
    """The years of the dates of public issues, latest first."""
    days = Issue.objects.public().filter(newsletter=newsletter).dates("date", "year", order="DESC")
    return [day.year for day in days]


def changed_at(newsletter: Newsletter) -> datetime.datetime | None:
    """When an issue was last published or withdrawn; None before the first.

    Withdrawn issues count, so that cached pages become stale when an issue is withdrawn, too.
    """
    changes = Issue.objects.filter(newsletter=newsletter, status__in=PUBLISHED)
    latest: datetime.datetime | None = changes.aggregate(latest=Max("updated_at"))["latest"]
    return latest


def _first(newsletter: Newsletter, issues: IssueQuerySet) -> Neighbour | None:
    row = issues.values_list("slug", KeyTextTransform("title", "edition__content")).first()
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
