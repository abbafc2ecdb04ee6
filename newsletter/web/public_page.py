"""How a page is served to everybody: readable only, the same for all, and cheap to ask for again."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable
from typing import Any

from csp.constants import NONE, SELF
from csp.decorators import csp
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import patch_cache_control
from django.utils.http import http_date
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import conditional_page, require_safe

#: Seconds for which browsers and proxies may show a page without asking again.
MAX_AGE = 300

#: Stricter than the rest of the site. In the sandbox a page has no origin of its own: whatever an issue might smuggle
#: in could neither run nor read the admin beside it (R-150). What is allowed is what a person does with a page:
#: send the sign-up form, open links in another tab, download what a story links to.
POLICY: dict[str, Any] = {
    "default-src": [NONE],
    "style-src": [SELF],
    "img-src": [SELF, "data:", "https:"],  # pictures of an issue stay where its editors keep them
    "form-action": [SELF],
    "base-uri": [NONE],
    "frame-ancestors": [NONE],
    "sandbox": ["allow-forms", "allow-popups", "allow-popups-to-escape-sandbox", "allow-downloads"],
}


def public_page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponseBase]:
    """Serve what `view` returns as a public page: GET and HEAD, no cookie, strict CSP, compressed.

    The ETag is that of the bytes, so it changes with everything the page shows. `Last-Modified` is the view's, for
    readers of feeds that ask with nothing else. Either brings a 304. Compressing is safe where a page holds no
    secret: nothing here does (R-74).
    """

    @functools.wraps(view)
    def shown(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        if not response.has_header("Cache-Control"):
            patch_cache_control(response, public=True, max_age=MAX_AGE)
        # A page cannot both be in a sandbox and ask for a browsing context group of its own: browsers would show an
        # error instead (HTML standard, "create navigation params by fetching"). Its own is what the sandbox gives.
        response["Cross-Origin-Opener-Policy"] = "unsafe-none"
        return response

    return require_safe(csp(POLICY)(gzip_page(conditional_page(shown))))


def dated(response: HttpResponse, moment: datetime.datetime | None) -> HttpResponse:
    """The response with its Last-Modified, where there is one."""
    if moment:
        response["Last-Modified"] = http_date(moment.timestamp())
    return response
