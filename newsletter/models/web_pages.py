"""Which issues have a page on the web, and which of them are in the archive: the one rule for all that is public.

An issue has a page if it was sent, if it was cancelled after mails went out, which link to the page, or if it was
published without being mailed. A page that was unlisted or taken down is in no list, also if its send is public.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, F, FilteredRelation, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from newsletter.models.batch import Batch, BatchState
from newsletter.models.issue import Issue, IssueState
from newsletter.models.send import STARTED, Send, SendQuerySet, SendState
from newsletter.models.web_redirect import WebRedirect, redirect_path
from newsletter.models.web_version import IN_LISTS, Visibility, WebPage

#: Batches whose mails were sent, or may have been.
WENT_OUT = (BatchState.CLAIMED, BatchState.ACCEPTED, BatchState.UNKNOWN, BatchState.HELD)


def reachable_sends() -> SendQuerySet:
    """Sends whose issues have a page: the public ones, and those that were cancelled after mails went out.

    The mails link to that page. A cancelled issue is in no list, feed or sitemap.
    """
    sent = Batch.objects.filter(send=OuterRef("pk"), state__in=WENT_OUT)
    is_cancelled = Q(state=SendState.CANCELLED, issue__digest_at__isnull=True) & Exists(sent)
    return Send.objects.filter(Q(pk__in=Send.objects.public().order_by().values("pk")) | is_cancelled)


def public_issues() -> QuerySet[Any]:
    """Issues in the archive, newest first, each with `shown_at`, when it was published, and its web page, if any.

    `send_state` is the state of its send, None if it was never mailed.

    Lists, feeds, sitemap, neighbours and the weekly digest ask this query and no other.
    """
    sent = Q(pk__in=Send.objects.public().order_by().values("issue"))
    is_listed = Q(web_page__isnull=True) | Q(web_page__visibility__in=IN_LISTS)
    return _dated(Issue.objects.filter(sent | Q(state=IssueState.PUBLISHED), is_listed)).order_by("-shown_at", "-pk")


def reachable_issues() -> QuerySet[Any]:
    """Issues that have a page, listed or not, also those whose page says that they were withdrawn; as `public_issues`.

    For one issue at a time: it asks for the batches of each.
    """
    sent = Exists(reachable_sends().filter(issue=OuterRef("pk")))
    return _dated(Issue.objects.filter(Q(sent) | Q(state=IssueState.PUBLISHED)))


def _dated(issues: QuerySet[Any]) -> QuerySet[Any]:
    # At most one send of an issue has started and is not withdrawn, so the join adds no rows.
    started = FilteredRelation("sends", condition=Q(sends__state__in=STARTED))
    at = Coalesce("web_page__published_at", "started__started_at")
    dated: QuerySet[Any] = issues.annotate(started=started).annotate(shown_at=at, send_state=F("started__state"))
    return dated.select_related("web_page")


def visibility_of(issue: Issue) -> Visibility:
    """The visibility that was chosen for its page; one query unless the issue was read with its page."""
    page = page_of(issue)
    return Visibility(page.visibility) if page else Visibility.LISTED


def page_of(issue: Issue) -> WebPage | None:
    """The row of its page, if something about it was changed."""
    page: WebPage | None = getattr(issue, "web_page", None)
    return page


def changed_pages(newsletter_pk: int) -> QuerySet[WebPage]:
    """The pages of a newsletter's issues that differ from what was sent."""
    return WebPage.objects.filter(issue__newsletter=newsletter_pk)


def redirected_issue(path: str) -> Any | None:
    """The issue to which a path of another site or tool leads, if it has a page here, with its newsletter.

    For paths at which this site has no page. One indexed query for a path that no issue had; a path of a request is
    decoded already.
    """
    stored = redirect_path(path, is_decoded=True)
    found = WebRedirect.objects.filter(path=stored).values_list("issue", flat=True).first() if stored else None
    return reachable_issues().select_related("newsletter").filter(pk=found).first() if found else None
