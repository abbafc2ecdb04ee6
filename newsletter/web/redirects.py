"""Old addresses of issues: where this site has no page, a path of a former home leads to the issue."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase, HttpResponsePermanentRedirect
from django.utils.cache import patch_cache_control

from newsletter.config.languages import ADMIN_PATH
from newsletter.models import Visibility
from newsletter.models.web_pages import redirected_issue, visibility_of
from newsletter.web.pages import issue_page
from newsletter.web.public_page import MAX_AGE

#: Requests that are redirected; a form that is sent to a wrong address is not.
METHODS = ("GET", "HEAD")
#: Paths below which only this site ever had pages.
OWN_PATHS = (ADMIN_PATH, "/api/", "/l/", "/media/", "/static/", "/webhooks/")


class RedirectMiddleware:
    """Answers 301 in place of 404 if an issue had the path at its former home, and 410 if that was taken down.

    An unlisted issue is not found by its old path, which can be guessed. The answer never leads to another host.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Handle one request."""
        response = self._get_response(request)
        is_asked = request.method in METHODS and _may_be_old(request.path_info)
        found = _redirect(request) if response.status_code == 404 and is_asked else None
        return found or response


def _may_be_old(path: str) -> bool:
    """Whether an old page may have had the path. Links in mails and files are answered without the database."""
    return not path.startswith(OWN_PATHS)


def _redirect(request: HttpRequest) -> HttpResponseBase | None:
    issue = redirected_issue(request.path_info)
    visibility = visibility_of(issue) if issue else Visibility.UNLISTED
    if issue is None or visibility == Visibility.UNLISTED:
        return None
    if visibility == Visibility.TAKEN_DOWN:
        return issue_page(request, newsletter=issue.newsletter.slug, issue=issue.slug)
    response = HttpResponsePermanentRedirect(issue.get_absolute_url())
    # Browsers keep a 301 for good unless they are told otherwise, and an issue can be taken down.
    patch_cache_control(response, public=True, max_age=MAX_AGE)
    return response
