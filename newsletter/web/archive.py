"""What readers find in the archive: issues as they were frozen, each read once."""

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

#: Editions kept in memory, ready to be shown; about 150 KB each for a digest of 31 stories.
EDITIONS_KEPT = 128


class UnreadableEdition(Exception):
    """What was frozen cannot be shown by this version of the program; the sentence says which edition and why."""

    permanent = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicIssue:
    """An issue as everybody may see it: what was frozen, never what its rows say now."""

    pk: int
    path: str
    published_at: datetime.datetime
    date: datetime.date
    view: IssueView

    @property
    def url(self) -> str:
        """Its address, from the configured site (R-160)."""
        return f"{settings.SITE_URL}{self.path}"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The issue before or after another one."""

    path: str
    title: str


def published_issues(newsletter: Newsletter) -> IssueQuerySet:
    """The newsletter's public issues with what pages show of their editions, newest first."""
    return (
        Issue.objects.public()
        .filter(newsletter=newsletter)
        .select_related("edition")
        .only("slug", "started_at", "newsletter_id", "edition__sha256", "edition__content")
    )


def read_issue(newsletter: Newsletter, issue: Issue) -> PublicIssue:
    """A row of `published_issues`, ready to be shown. Raises UnreadableEdition."""
    if issue.edition is None or issue.started_at is None:
        raise UnreadableEdition(f"Issue {issue.pk} has not been published.")
    reading = _read_edition(issue.edition)
    return PublicIssue(
        pk=issue.pk,
        path=reverse("issue", args=[newsletter.slug, issue.slug]),
        published_at=issue.started_at,
        date=reading.date,
        view=reading.view,
    )


def read_draft(newsletter: Newsletter, issue: Issue) -> PublicIssue:
    """Any issue as its page will show it: as it was frozen, else as it is saved. Raises UnreadableEdition."""
    if issue.edition:
        reading = _read_edition(issue.edition)
    else:
        content = load_content(issue)
        try:
            reading = _Reading(content.date, view_issue(content))
        except RenderingError as error:
            raise UnreadableEdition(str(error)) from error
    return PublicIssue(
        pk=issue.pk,
        path=reverse("issue", args=[newsletter.slug, issue.slug]),
        published_at=issue.started_at or issue.scheduled_at or timezone.now(),
        date=reading.date,
        view=reading.view,
    )


def read_issues(newsletter: Newsletter, issues: Iterable[Issue]) -> Iterator[PublicIssue]:
    """Each readable row; one that is not is named in the log and must not take the others with it (R-168)."""
    for issue in issues:
        try:
            yield read_issue(newsletter, issue)
        except UnreadableEdition as error:
            log.error("left out of a public list: %s", error)


def neighbours(newsletter: Newsletter, issue: PublicIssue) -> tuple[Neighbour | None, Neighbour | None]:
    """The issues published just before and just after this one."""
    moment, public = issue.published_at, Issue.objects.public().filter(newsletter=newsletter)
    older = public.filter(Q(started_at__lt=moment) | Q(started_at=moment, pk__lt=issue.pk))
    newer = public.filter(Q(started_at__gt=moment) | Q(started_at=moment, pk__gt=issue.pk))
    return _first(newsletter, older), _first(newsletter, newer.order_by("started_at", "pk"))


def published_years(newsletter: Newsletter) -> list[int]:
    """The years that public issues are dated with, latest first."""
    days = Issue.objects.public().filter(newsletter=newsletter).dates("date", "year", order="DESC")
    return [day.year for day in days]


def changed_at(newsletter: Newsletter) -> datetime.datetime | None:
    """When an issue of it was last published or withdrawn; None before the first.

    Withdrawn issues count, so that taking one away makes copies of the pages stale as well (R-170).
    """
    changes = Issue.objects.filter(newsletter=newsletter, status__in=PUBLISHED)
    moment: datetime.datetime | None = changes.aggregate(latest=Max("updated_at"))["latest"]
    return moment


def _first(newsletter: Newsletter, issues: IssueQuerySet) -> Neighbour | None:
    row = issues.values_list("slug", KeyTextTransform("title", "edition__content")).first()
    return Neighbour(path=reverse("issue", args=[newsletter.slug, row[0]]), title=row[1]) if row else None


# An edition never changes, so it is read once: its Markdown costs as much as the rest of the page, and a feed has ten.


@dataclass(frozen=True, slots=True)
class _FrozenContent:
    """What an edition holds; known by its hash."""

    sha256: str
    content: Any = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class _Reading:
    date: datetime.date
    view: IssueView


_CONTENT = TypeAdapter(IssueContent)


def _read_edition(edition: Edition) -> _Reading:
    try:
        return _read_content(_FrozenContent(edition.sha256, edition.content))
    except (ValidationError, RenderingError) as error:
        raise UnreadableEdition(f"The frozen content of issue {edition.issue_id} cannot be read: {error}") from error


@functools.lru_cache(maxsize=EDITIONS_KEPT)
def _read_content(frozen: _FrozenContent) -> _Reading:
    content = _CONTENT.validate_python(frozen.content)
    return _Reading(content.date, view_issue(content))
