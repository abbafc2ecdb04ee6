"""The archive: public issues as frozen in their editions or as corrected since, each parsed once."""

from __future__ import annotations

import datetime
import functools
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db.models import Max, OuterRef, Q, QuerySet, Subquery
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone
from pydantic import TypeAdapter, ValidationError

from newsletter.content.document import IssueContent
from newsletter.content.store import load_content
from newsletter.models import (
    Edition,
    Issue,
    Newsletter,
    Send,
    SendTransition,
    Visibility,
    WebVersion,
    WebVersionSource,
)
from newsletter.models.web_pages import changed_pages, page_of, public_issues, reachable_issues, visibility_of
from newsletter.rendering import RenderingError
from newsletter.rendering.context import IssueView, view_issue

log = logging.getLogger(__name__)

#: Parsed editions kept in memory; about 150 KB each for a digest of 31 stories.
CACHED_EDITIONS = 128


class UnreadableEdition(Exception):
    """The content of a page cannot be read by this version of the program; the message names issue and cause."""

    permanent = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicIssue:
    """An issue for the public: the content of its edition or web version, never the present content of its draft."""

    pk: int
    path: str
    published_at: datetime.datetime
    date: datetime.date
    view: IssueView
    corrected_at: datetime.datetime | None = None
    visibility: Visibility = Visibility.LISTED

    @property
    def updated_at(self) -> datetime.datetime:
        """When its content changed last."""
        return self.corrected_at or self.published_at

    @property
    def url(self) -> str:
        """Its URL. Made from SITE_URL, never from the Host header of a request."""
        return f"{settings.SITE_URL}{self.path}"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The previous or the next issue."""

    path: str
    title: str


def published_issues(newsletter: Newsletter) -> QuerySet[Any]:
    """The newsletter's public issues, newest first, without their content."""
    return public_issues().filter(newsletter=newsletter)


def reachable_issue(newsletter: Newsletter, slug: str) -> Any | None:
    """The issue that has a page at this slug, listed or not, or taken down; None if there is none."""
    return reachable_issues().filter(newsletter=newsletter, slug=slug).first()


def read_issue(newsletter: Newsletter, issue: Any) -> PublicIssue:
    """A row of `published_issues` as a PublicIssue. Raises UnreadableEdition."""
    return _read_issue(newsletter, issue, _contents_of([issue]))


def read_issues(newsletter: Newsletter, issues: Iterable[Any]) -> Iterator[PublicIssue]:
    """The readable rows. Unreadable ones are logged and left out, so that one does not break the whole page or feed.

    Two queries for the content of any number of rows.
    """
    rows = list(issues)
    contents = _contents_of(rows)
    for row in rows:
        try:
            yield _read_issue(newsletter, row, contents)
        except UnreadableEdition as error:
            log.error("Issue left out of a public list: %s", error)


def read_draft(newsletter: Newsletter, issue: Issue) -> PublicIssue:
    """Any issue as its page will show it: its version or edition, else its saved draft. Raises UnreadableEdition."""
    frozen = _contents_of([issue]).get(issue.pk)
    if frozen is None:
        return read_content(newsletter, issue, load_content(issue))
    return _preview(newsletter, issue, _read(issue.pk, frozen))


def read_content(newsletter: Newsletter, issue: Issue, content: IssueContent) -> PublicIssue:
    """The issue as its page would show this content. Raises UnreadableEdition."""
    try:
        return _preview(newsletter, issue, _PublicContent(content.date, view_issue(content)))
    except RenderingError as error:
        raise UnreadableEdition(str(error)) from error


def _preview(newsletter: Newsletter, issue: Issue, content: _PublicContent) -> PublicIssue:
    send = issue.current_send
    return PublicIssue(
        pk=issue.pk,
        path=reverse("issue", args=[newsletter.slug, issue.slug]),
        published_at=(send and (send.started_at or send.scheduled_at)) or timezone.now(),
        date=content.date,
        view=content.view,
    )


def neighbours(newsletter: Newsletter, issue: PublicIssue) -> tuple[Neighbour | None, Neighbour | None]:
    """The issues published just before and just after this one."""
    at, public = issue.published_at, published_issues(newsletter)
    older = public.filter(Q(shown_at__lt=at) | Q(shown_at=at, pk__lt=issue.pk))
    newer = public.filter(Q(shown_at__gt=at) | Q(shown_at=at, pk__gt=issue.pk))
    return _first(newsletter, older), _first(newsletter, newer.order_by("shown_at", "pk"))


def published_years(newsletter: Newsletter) -> list[int]:
    """The years of the dates of public issues, latest first."""
    return [day.year for day in published_issues(newsletter).dates("date", "year", order="DESC")]


def changed_at(newsletter: Newsletter) -> datetime.datetime | None:
    """When an issue was last published, corrected, hidden or withdrawn; None before the first.

    Cancelled issues count, so that cached pages become stale when an issue is withdrawn, too. An issue that was sent
    with an undo window becomes public when that ends, without a transition.
    """
    changes = SendTransition.objects.filter(send__issue__newsletter=newsletter, send__started_at__isnull=False)
    undo_ended = Q(send__undo_until__lte=timezone.now())
    found = changes.aggregate(moved=Max("at"), undo_ended=Max("send__undo_until", filter=undo_ended))
    found |= changed_pages(newsletter.pk).aggregate(page=Max("changed_at"))
    return max((at for at in found.values() if at), default=None)


def _first(newsletter: Newsletter, issues: QuerySet[Any]) -> Neighbour | None:
    mailed = Send.objects.current().filter(issue=OuterRef("pk")).annotate(title=_title("edition__content"))
    shown = Coalesce(_title("web_page__version__content"), Subquery(mailed.values("title")[:1]))
    row = issues.annotate(shown_title=shown).values_list("slug", "shown_title").first()
    return Neighbour(path=reverse("issue", args=[newsletter.slug, row[0]]), title=row[1]) if row else None


def _title(content: str) -> KeyTextTransform:
    return KeyTextTransform("title", content)


def _read_issue(newsletter: Newsletter, issue: Any, contents: Contents) -> PublicIssue:
    if issue.shown_at is None or issue.pk not in contents:
        raise UnreadableEdition(f"Issue {issue.pk} has not been published.")
    content, page = _read(issue.pk, contents[issue.pk]), page_of(issue)
    return PublicIssue(
        pk=issue.pk,
        path=reverse("issue", args=[newsletter.slug, issue.slug]),
        published_at=issue.shown_at,
        date=content.date,
        view=content.view,
        corrected_at=contents[issue.pk].corrected_at if page else None,
        visibility=visibility_of(issue),
    )


def _contents_of(issues: Iterable[Any]) -> Contents:
    """What each page shows: its web version, else the edition of its send. One query of each kind, if needed."""
    pages = {issue.pk: page_of(issue) for issue in issues}
    versions = {page.version_id for page in pages.values() if page and page.version_id}
    found = {row.issue_id: _of_version(row) for row in WebVersion.objects.filter(pk__in=versions)} if versions else {}
    if mailed := pages.keys() - found.keys():
        sends = Send.objects.current().filter(issue__in=mailed).select_related("edition")
        for send in sends.only("issue", "edition__issue_id", "edition__sha256", "edition__content"):
            found[send.issue_id] = _of_edition(send.edition)
    return found


# Editions and versions never change, so each is parsed once: its Markdown costs as much as the rest of a page, and a
# feed has ten.


@dataclass(frozen=True, slots=True)
class _FrozenContent:
    """The content of an edition or a web version; equal if their hash is equal."""

    sha256: str
    content: Any = field(compare=False, repr=False)
    corrected_at: datetime.datetime | None = field(default=None, compare=False)


#: The content of issues, by the key of the issue.
Contents = dict[int, _FrozenContent]


@dataclass(frozen=True, slots=True)
class _PublicContent:
    date: datetime.date
    view: IssueView


_CONTENT = TypeAdapter(IssueContent)


def _of_edition(edition: Edition) -> _FrozenContent:
    return _FrozenContent(edition.sha256, edition.content)


def _of_version(version: WebVersion) -> _FrozenContent:
    is_correction = version.source == WebVersionSource.CORRECTION
    return _FrozenContent(version.sha256, version.content, version.at if is_correction else None)


def _read(issue_pk: int, frozen: _FrozenContent) -> _PublicContent:
    try:
        return _read_content(frozen)
    except (ValidationError, RenderingError) as error:
        raise UnreadableEdition(f"The frozen content of issue {issue_pk} cannot be read: {error}") from error


@functools.lru_cache(maxsize=CACHED_EDITIONS)
def _read_content(frozen: _FrozenContent) -> _PublicContent:
    content = _CONTENT.validate_python(frozen.content)
    return _PublicContent(content.date, view_issue(content))
