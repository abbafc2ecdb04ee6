"""The public pages: home, front page of a newsletter, archive, issue, and the draft of an issue for editors."""

from __future__ import annotations

import base64
import functools
import hashlib
import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from csp.constants import NONE, SELF
from csp.decorators import csp, csp_update
from django.conf import settings
from django.core.paginator import EmptyPage, Page, Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils.cache import add_never_cache_headers
from django.utils.http import urlencode
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_POST, require_safe

from newsletter.content.formats import MAX_FILE_BYTES
from newsletter.content.issue_file import read_issue_file
from newsletter.content.problems import IssueFileError
from newsletter.models import Issue, Newsletter, SendState, Visibility
from newsletter.models.unsaved_brand import unpack_brand
from newsletter.models.web_pages import visibility_of
from newsletter.web.archive import (
    PublicIssue,
    UnreadableEdition,
    changed_at,
    neighbours,
    published_issues,
    published_years,
    reachable_issue,
    read_content,
    read_draft,
    read_issue,
    read_issues,
)
from newsletter.web.brand import stylesheet_of
from newsletter.web.corrections import correction_notes
from newsletter.web.page_frame import frame_of, gone_page, hide_from_search_engines, is_gone
from newsletter.web.public_page import POLICY, newsletter_page, public_page, with_last_modified
from subscribers.web.languages import in_list_language

LATEST_ISSUES, ISSUES_PER_PAGE, MAX_NEWSLETTERS = 5, 20, 100

#: As for public pages, except that the site itself may embed it and it has no forms.
DRAFT_POLICY = POLICY | {
    "form-action": [NONE],
    "frame-ancestors": [SELF],
    "sandbox": ["allow-popups", "allow-popups-to-escape-sandbox"],
}

_PAGE = re.compile(r"[1-9][0-9]{0,4}")
# Only these characters could end a script element or begin a comment in it; JSON may escape them.
_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


@public_page
def home(request: HttpRequest) -> HttpResponse:
    """The only newsletter, a list of newsletters, or the first steps for the operator."""
    newsletters = list(Newsletter.objects.select_related("brand").order_by("name", "pk")[:MAX_NEWSLETTERS])
    if len(newsletters) == 1:
        return _front(request, newsletters[0])
    if newsletters:
        return render(
            request, "newsletter/home.html", {"newsletters": newsletters, "canonical": f"{settings.SITE_URL}/"}
        )
    response = render(request, "newsletter/first_steps.html")
    add_never_cache_headers(response)  # the operator who just added the first newsletter expects to see it
    return response


@public_page
@newsletter_page
def front_page(request: HttpRequest, newsletter: Newsletter) -> HttpResponse:
    """The description of the newsletter, the sign-up form, and its latest issues."""
    return _front(request, newsletter)


@public_page
@newsletter_page
def archive_page(request: HttpRequest, newsletter: Newsletter) -> HttpResponse:
    """All public issues by year, latest first. `?year=` selects one year, `?page=` a page."""
    years = published_years(newsletter)
    year = _chosen_year(request, years)
    # Sorted by the date of the issue, as the headings are: an old issue that is sent late is listed in its own year.
    issues = published_issues(newsletter).order_by("-date", "-shown_at", "-pk")
    page = _chosen_page(request, issues.filter(date__year=year) if year else issues)
    shown = read_issues(newsletter, page.object_list)
    context = {
        **frame_of(newsletter, f"{newsletter.archive_url}{_query(year, page.number)}"),
        "years": years,
        "year": year,
        "issues_by_year": [
            (key, list(group)) for key, group in itertools.groupby(shown, lambda issue: issue.date.year)
        ],
        "newer": _query(year, page.number - 1) or "?" if page.has_previous() else "",
        "older": _query(year, page.number + 1) if page.has_next() else "",
    }
    return with_last_modified(render(request, "newsletter/archive.html", context), changed_at(newsletter))


@public_page
@newsletter_page
def issue_page(request: HttpRequest, newsletter: Newsletter, issue: str) -> HttpResponse:
    """One issue as it was sent or corrected since, without anything personal.

    A cancelled one and an unlisted one are only for those who hold its link; 410 for one that was taken down.
    """
    row = reachable_issue(newsletter, issue)
    if row is None:
        raise Http404
    if is_gone(row):
        return with_last_modified(gone_page(request, newsletter), changed_at(newsletter))
    shown, is_hidden = read_issue(newsletter, row), _is_hidden(row)
    older, newer = neighbours(newsletter, shown)
    context = {
        **frame_of(newsletter, shown.url),
        "issue": shown,
        "older": older,
        "newer": newer,
        "structured_data": _structured_data(newsletter, shown),
        "corrections": correction_notes(newsletter, row),
        "is_hidden": is_hidden,
    }
    response = with_last_modified(render(request, "newsletter/issue.html", context), changed_at(newsletter))
    return hide_from_search_engines(response) if is_hidden else response


def _is_hidden(issue: Any) -> bool:
    """Whether search engines are asked to leave its page out."""
    return visibility_of(issue) != Visibility.LISTED or issue.send_state == SendState.CANCELLED


def editors_page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponseBase]:
    """Serve a page of the public site to editors only, in a frame of the admin; others get 404."""

    @functools.wraps(view)
    def shown(request: HttpRequest, **slugs: str) -> HttpResponse:
        if not (request.user.is_active and request.user.is_staff and request.user.has_perm("newsletter.view_issue")):
            raise Http404
        response = view(request, **slugs)
        response["X-Frame-Options"] = "SAMEORIGIN"
        response["Cache-Control"] = "no-store"
        response["X-Robots-Tag"] = "noindex, nofollow"
        return response

    return csp(DRAFT_POLICY)(shown)


@require_safe
@editors_page
@newsletter_page
def draft_page(request: HttpRequest, newsletter: Newsletter, issue: str) -> HttpResponse:
    """An issue as its page will look, in the frame of the preview; `?brand=` is a brand that is not saved."""
    row = get_object_or_404(Issue.objects.filter(newsletter=newsletter), slug=issue)
    return _preview(request, newsletter, lambda: read_draft(newsletter, row))


@require_POST
@editors_page
@newsletter_page
def correction_preview(request: HttpRequest, newsletter: Newsletter, issue: str) -> HttpResponse:
    """The page as it would look with the `text` of an issue file; nothing is stored."""
    row = get_object_or_404(Issue.objects.filter(newsletter=newsletter), slug=issue)
    text = request.POST.get("text", "")[:MAX_FILE_BYTES]
    return _preview(request, newsletter, lambda: read_content(newsletter, row, read_issue_file(text).content))


def _preview(request: HttpRequest, newsletter: Newsletter, read: Callable[[], PublicIssue]) -> HttpResponse:
    try:
        shown = read()
    except (UnreadableEdition, IssueFileError) as error:
        return HttpResponse(str(error), content_type="text/plain; charset=utf-8")
    context = {
        **frame_of(newsletter, shown.url),
        "issue": shown,
        "structured_data": _structured_data(newsletter, shown),
        "opens_in_new_tab": True,
    }
    if "brand" in request.GET:
        response = _in_unsaved_brand(request, newsletter, context)
    else:
        response = render(request, "newsletter/issue.html", context)
    response["Cross-Origin-Opener-Policy"] = "unsafe-none"  # as for every sandboxed page: see public_page
    return response


def _in_unsaved_brand(request: HttpRequest, newsletter: Newsletter, context: dict[str, object]) -> HttpResponse:
    """The page with its stylesheet in it, which has no URL yet; the policy names its hash."""
    if not unpack_brand(newsletter, request.GET["brand"]):
        raise Http404
    style = stylesheet_of(newsletter)
    made = render(request, "newsletter/issue.html", context | {"web_style": mark_safe(style)})  # noqa: S308 - our tokens
    sha256 = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    csp_update({"style-src": [f"'sha256-{sha256}'"]})(lambda request: made)(request)
    return made


@in_list_language
def _front(request: HttpRequest, newsletter: Newsletter) -> HttpResponse:
    latest = list(read_issues(newsletter, published_issues(newsletter)[:LATEST_ISSUES]))
    context = {**frame_of(newsletter, newsletter.web_url), "issues": latest}
    return with_last_modified(render(request, "newsletter/newsletter.html", context), changed_at(newsletter))


def _structured_data(newsletter: Newsletter, issue: PublicIssue) -> SafeString:
    """The issue as a NewsArticle (https://schema.org/NewsArticle), escaped for a script element.

    A script element of type application/ld+json is data that browsers do not run, so the CSP does not apply to it.
    """
    publisher = {"@type": "Organization", "name": newsletter.name, "url": newsletter.web_url}
    data = {
        "@context": "https://schema.org",
        "@type": "NewsArticle",
        "headline": issue.view.title,
        "description": issue.view.preheader,
        "datePublished": issue.published_at,
        "dateModified": issue.updated_at,
        "inLanguage": newsletter.language,
        "mainEntityOfPage": issue.url,
        "isPartOf": {"@type": "Periodical", "name": newsletter.name, "url": newsletter.web_url},
        "author": publisher,
        "publisher": publisher,
        "isAccessibleForFree": True,
    }
    return mark_safe(orjson.dumps(data).decode().translate(_ESCAPES))  # noqa: S308  # escaped above


def _chosen_year(request: HttpRequest, years: Sequence[int]) -> int | None:
    asked = request.GET.get("year", "")
    if not asked:
        return None
    year = next((year for year in years if str(year) == asked), None)
    if year is None:
        raise Http404("No public issue is dated with this year.")
    return year


def _chosen_page(request: HttpRequest, issues: QuerySet[Any]) -> Page[Any]:
    asked = request.GET.get("page", "1")
    try:
        return Paginator(issues, ISSUES_PER_PAGE).page(asked if _PAGE.fullmatch(asked) else 0)
    except EmptyPage as error:
        raise Http404("The archive does not have this page.") from error


def _query(year: int | None, page: int) -> str:
    """The query string of a page of the archive; empty for the first page of all years."""
    chosen = {"year": year, "page": page if page > 1 else None}
    query = urlencode({name: value for name, value in chosen.items() if value})
    return f"?{query}" if query else ""
