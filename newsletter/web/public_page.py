"""How public pages are served: read-only, the same for every visitor, and cacheable."""

from __future__ import annotations

import datetime
import functools
import time
from collections.abc import Callable
from typing import Any

from csp.constants import NONE, SELF
from csp.decorators import csp
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import translation
from django.utils.cache import patch_cache_control
from django.utils.http import http_date
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import conditional_page, require_safe

from newsletter.models import Newsletter
from subscribers.consent.texts import signup_text
from subscribers.signup.forms import SignupForm
from subscribers.signup.stamps import MIN_SECONDS_TO_SUBMIT, sign_timestamp
from subscribers.web.languages import in_list_language

#: In seconds: how long browsers and proxies may reuse a page without asking again.
MAX_AGE = 300

#: In seconds: how long all visitors get the same form; short compared with the hours for which it may be submitted.
TIMESTAMP_PERIOD = 15 * 60


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

    It is in English unless the view chooses another language; the browser's Accept-Language is ignored.

    The ETag is a hash of the body, so it changes with everything the page shows. `Last-Modified` is set by the view,
    for feed readers that send nothing else. Each of them can be answered with 304. Compression is safe here because
    the pages hold no secrets (BREACH).
    """

    @functools.wraps(view)
    def shown(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with translation.override(settings.LANGUAGE_CODE):
            response = view(request, *args, **kwargs)
        # Named, so that LanguageMiddleware does not let the page vary by Accept-Language.
        response.headers.setdefault("Content-Language", settings.LANGUAGE_CODE)
        if not response.has_header("Cache-Control"):
            patch_cache_control(response, public=True, max_age=MAX_AGE)
        # A sandboxed page must not set Cross-Origin-Opener-Policy: browsers would show an error instead (HTML standard,
        # "create navigation params by fetching"). The sandbox isolates the page already.
        response["Cross-Origin-Opener-Policy"] = "unsafe-none"
        return response

    return require_safe(csp(POLICY)(gzip_page(conditional_page(shown))))


def newsletter_page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Call `view` with the newsletter of the slug in the URL, in the newsletter's language; 404 without one."""
    localized = in_list_language(view)

    @functools.wraps(view)
    def shown(request: HttpRequest, newsletter: str, **kwargs: Any) -> HttpResponse:
        return localized(
            request, get_object_or_404(Newsletter.objects.select_related("brand"), slug=newsletter), **kwargs
        )

    return shown


def with_last_modified(response: HttpResponse, at: datetime.datetime | None) -> HttpResponse:
    """The response with a Last-Modified header, if `at` is known."""
    if at:
        response["Last-Modified"] = http_date(at.timestamp())
    return response


class SharedSignupForm(SignupForm):
    """A form whose timestamp changes once per TIMESTAMP_PERIOD; one for each request would make pages uncacheable."""

    @property
    def new_timestamp(self) -> str:
        """The timestamp of the current period, so far back that a visitor at its start does not count as a robot."""
        shown_at = time.time() // TIMESTAMP_PERIOD * TIMESTAMP_PERIOD - MIN_SECONDS_TO_SUBMIT
        return sign_timestamp(self.mailing_list, shown_at, is_shared=True)


def signup_box(newsletter: Newsletter) -> dict[str, object]:
    """The context of `subscribers/signup_form.html`."""
    return {
        "form": SharedSignupForm(newsletter),
        "mailing_list": newsletter,
        "consent_text": signup_text(newsletter),
        "form_url": reverse("subscribe", args=[newsletter.slug]),
    }
