"""The pages of a newsletter: its front, its archive and its issues."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from csp.constants import NONE, SELF
from csp.decorators import csp
from django.conf import settings
from django.core.paginator import EmptyPage, Page, Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.cache import add_never_cache_headers
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from newsletter.models import Issue, Newsletter
from newsletter.models.issue import IssueQuerySet
from newsletter.rendering.context import writing_direction
from newsletter.web.archive import (
    UnreadableEdition,
    changed_at,
    neighbours,
    published_issues,
    published_years,
    read_draft,
    read_issue,
    read_issues,
)
from newsletter.web.public_page import POLICY, dated, public_page
from newsletter.web.signup_box import signup_box
from newsletter.web.structured_data import describe_issue

LATEST, ISSUES_A_PAGE, MOST_NEWSLETTERS = 5, 20, 100

#: As public pages, but that only we may embed it and nothing can be sent from it.
DRAFT_POLICY = POLICY | {
    "form-action": [NONE],
    "frame-ancestors": [SELF],
    "sandbox": ["allow-popups", "allow-popups-to-escape-sandbox"],
}

_PAGE = re.compile(r"[1-9][0-9]{0,4}")


@public_page
def home(request: HttpRequest) -> HttpResponse:
    """The only newsletter there is, or a list of them, or what to do first."""
    newsletters = list(Newsletter.objects.order_by("name", "pk")[:MOST_NEWSLETTERS])
    if len(newsletters) == 1:
        return _front(request, newsletters[0])
    if newsletters:
        return render(
            request, "newsletter/home.html", {"newsletters": newsletters, "canonical": f"{settings.SITE_URL}/"}
        )
    response = render(request, "newsletter/nothing_yet.html")
    add_never_cache_headers(response)  # whoever has just made the first newsletter wants to see it
    return response


@public_page
def newsletter_page(request: HttpRequest, newsletter: str) -> HttpResponse:
    """What the newsletter is, where to sign up, and its latest issues."""
    return _front(request, get_object_or_404(Newsletter, slug=newsletter))


@public_page
def archive_page(request: HttpRequest, newsletter: str) -> HttpResponse:
    """All public issues, the latest date first, under their years; `?year=` shows one year, `?page=` goes back."""
    publication = get_object_or_404(Newsletter, slug=newsletter)
    years = published_years(publication)
    year = _chosen_year(request, years)
    # By the date that stands on each, as the headings are: an old issue that is sent late joins its own year.
    issues = published_issues(publication).order_by("-date", "-started_at", "-pk")
    page = _chosen_page(request, issues.filter(date__year=year) if year else issues)
    shown = read_issues(publication, page.object_list)
    context = {
        **_frame(publication, f"{publication.archive_url}{_query(year, page.number)}"),
        "years": years,
        "year": year,
        "issues_by_year": [(of, list(group)) for of, group in itertools.groupby(shown, lambda issue: issue.date.year)],
        "newer": _query(year, page.number - 1) or "?" if page.has_previous() else "",
        "older": _query(year, page.number + 1) if page.has_next() else "",
    }
    return dated(render(request, "newsletter/archive.html", context), changed_at(publication))


@public_page
def issue_page(request: HttpRequest, newsletter: str, issue: str) -> HttpResponse:
    """One issue as it was sent, with nothing in it that belongs to one reader."""
    publication = get_object_or_404(Newsletter, slug=newsletter)
    shown = read_issue(publication, get_object_or_404(published_issues(publication), slug=issue))
    older, newer = neighbours(publication, shown)
    context = {
        **_frame(publication, shown.url),
        "issue": shown,
        "older": older,
        "newer": newer,
        "structured_data": describe_issue(publication, shown),
    }
    return dated(render(request, "newsletter/issue.html", context), changed_at(publication))


@csp(DRAFT_POLICY)
@require_safe
def draft_page(request: HttpRequest, **slugs: str) -> HttpResponse:
    """An issue as its page will look, for editors, in the frame of its preview. There is none for anybody else.

    `slugs` are those of its newsletter and of the issue.
    """
    if not (request.user.is_active and request.user.is_staff and request.user.has_perm("newsletter.view_issue")):
        raise Http404
    publication = get_object_or_404(Newsletter, slug=slugs["newsletter"])
    row = get_object_or_404(Issue.objects.filter(newsletter=publication).select_related("edition"), slug=slugs["issue"])
    try:
        shown = read_draft(publication, row)
    except UnreadableEdition as error:
        response = HttpResponse(str(error), content_type="text/plain; charset=utf-8")
    else:
        context = {
            **_frame(publication, shown.url),
            "issue": shown,
            "structured_data": describe_issue(publication, shown),
            "opens_elsewhere": True,
        }
        response = render(request, "newsletter/issue.html", context)
        response["Cross-Origin-Opener-Policy"] = "unsafe-none"  # as for every page in a sandbox: see public_page
    response["X-Frame-Options"] = "SAMEORIGIN"
    response["Cache-Control"] = "no-store"
    response["X-Robots-Tag"] = "noindex, nofollow"
    return response


def _front(request: HttpRequest, newsletter: Newsletter) -> HttpResponse:
    latest = list(read_issues(newsletter, published_issues(newsletter)[:LATEST]))
    context = {**_frame(newsletter, newsletter.web_url), "issues": latest}
    return dated(render(request, "newsletter/newsletter.html", context), changed_at(newsletter))


def _frame(newsletter: Newsletter, canonical: str) -> dict[str, object]:
    """What every page of a newsletter shows around its content. `canonical` is the page's one address (R-160)."""
    return {
        "newsletter": newsletter,
        **signup_box(newsletter),
        "direction": writing_direction(newsletter.language),
        "canonical": canonical,
    }


def _chosen_year(request: HttpRequest, years: Sequence[int]) -> int | None:
    asked = request.GET.get("year", "")
    if not asked:
        return None
    year = next((year for year in years if str(year) == asked), None)
    if year is None:
        raise Http404("There are no issues of that year.")
    return year


def _chosen_page(request: HttpRequest, issues: IssueQuerySet) -> Page[Issue]:
    asked = request.GET.get("page", "1")
    try:
        return Paginator(issues, ISSUES_A_PAGE).page(asked if _PAGE.fullmatch(asked) else 0)
    except EmptyPage as error:
        raise Http404("There is no such page of the archive.") from error


def _query(year: int | None, page: int) -> str:
    """The query string of a page of the archive; empty for the first of all."""
    chosen = {"year": year, "page": page if page > 1 else None}
    query = urlencode({name: value for name, value in chosen.items() if value})
    return f"?{query}" if query else ""
