"""Requests that no page can answer, refused before any view sees them."""

from __future__ import annotations

from collections.abc import Callable

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.log import log_response
from django.utils.translation import gettext as _

from newsletter.config.languages import ADMIN_PATH


class RefusalMiddleware:
    """Answers 400 to a Host that is not this site's, and to a NUL character in a URL of the admin.

    For such a Host, Django writes a traceback at each request of a scanner; this writes one line. PostgreSQL cannot
    compare with NUL, which Django passes on from filters and searches.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Handle one request."""
        try:
            request.get_host()
        except DisallowedHost:
            response = _refusal(_("This host name is neither in SITE_URL nor in ALLOWED_HOSTS."))
            # Instead of Django's own line, which would not name the host.
            host = request.META.get("HTTP_HOST", "")[:100]
            log_response("Host not allowed: %s", host, response=response, request=request)
            return response
        if request.path_info.startswith(ADMIN_PATH) and _has_nul(request):
            return _refusal(_("The address contains a NUL character."))
        return self._get_response(request)


def _has_nul(request: HttpRequest) -> bool:
    query = request.META.get("QUERY_STRING", "")
    return "\0" in request.path_info or "%00" in query or "\0" in query


def _refusal(text: str) -> HttpResponse:
    return HttpResponse(text, status=400, content_type="text/plain; charset=utf-8")
