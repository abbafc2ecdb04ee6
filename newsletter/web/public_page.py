"""How public pages are served: read-only, the same for every visitor, and cacheable."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable
from typing import Any

from csp.constants import NONE, SELF
from csp.decorators import csp
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils import translation
from django.utils.cache import patch_cache_control
from django.utils.http import http_date
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import conditional_page, require_safe

from newsletter.models import Newsletter

#: In seconds: how long browsers and proxies may reuse a page without asking again.
MAX_AGE = 300

#: Stricter than the rest of the site. A sandboxed page has an opaque origin, so that code smuggled into an issue could
#: neither run nor read the admin of the same site. Allowed are the sign-up form, links in new tabs and downloads.
POLICY: dict[str, Any] = {
    "default-src": [NONE],
    "style-src": [SELF],
    "img-src": [SELF, "data:", "https:"],  # images of an issue are loaded from their original hosts
    "form-action": [SELF],
    "base-uri": [NONE],
    "frame-ancestors": [NONE],
    "sandbox": ["allow-forms", "allow-popups", "allow-popups-to-escape-sandbox", "allow-downloads"],
}


def public_page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponseBase]:
    """Serve the response of `view` as a public page: GET and HEAD only, no cookies, strict CSP, compressed.

    The ETag is a hash of the body, so it changes with everything the page shows. `Last-Modified` is set by the view,
    for feed readers that send nothing else. Each of them can be answered with 304. Compression is safe here because
    the pages hold no secrets (BREACH).
    """

    @functools.wraps(view)
    def shown(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        if not response.has_header("Cache-Control"):
            patch_cache_control(response, public=True, max_age=MAX_AGE)
        # A sandboxed page must not set Cross-Origin-Opener-Policy: browsers would show an error instead (HTML standard,
        # "create navigation params by fetching"). The sandbox isolates the page already.
        response["Cross-Origin-Opener-Policy"] = "unsafe-none"
        return response

    return require_safe(csp(POLICY)(gzip_page(conditional_page(shown))))


def speaks_its_language(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Call `view` with the newsletter of the slug in the URL, in the newsletter's language; 404 without one."""

    @functools.wraps(view)
    def shown(request: HttpRequest, newsletter: str, **kwargs: Any) -> HttpResponse:
        publication = get_object_or_404(Newsletter, slug=newsletter)
        with translation.override(language_of(publication)):
            return view(request, publication, **kwargs)

    return shown


def language_of(newsletter: Newsletter) -> str:
    """The language of the pages around the newsletter's issues: its own if translations exist, else English.

    Regional variants fall back to their language: `de-AT` to `de`.
    """
    try:
        return translation.get_supported_language_variant(newsletter.language)
    except LookupError:
        return settings.LANGUAGE_CODE


def with_last_modified(response: HttpResponse, at: datetime.datetime | None) -> HttpResponse:
    """The response with a Last-Modified header, if `at` is known."""
    if at:
        response["Last-Modified"] = http_date(at.timestamp())
    return response
