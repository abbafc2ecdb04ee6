"""The language of the admin: the editor's, as their browser asks for it."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.translation.trans_real import parse_accept_lang_header

#: The admin's texts are translated into these; every other editor reads English.
ADMIN_LANGUAGES = ("en", "de")
ADMIN_PATH = "/admin/"


class AdminLanguageMiddleware:
    """Activate the editor's language for pages of the admin, and the site's own for all others.

    Public pages and feeds activate their newsletter's language. Their text is the same for every visitor, so unlike
    Django's LocaleMiddleware this one adds no `Vary: Accept-Language` to them.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Activate the language for this request only."""
        if not request.path_info.startswith(ADMIN_PATH):
            with translation.override(settings.LANGUAGE_CODE):
                return self.get_response(request)
        language = preferred_language(request.headers.get("Accept-Language", ""))
        with translation.override(language):
            response = self.get_response(request)
        patch_vary_headers(response, ["Accept-Language"])
        response.headers.setdefault("Content-Language", language)
        return response


def preferred_language(accept_language: str) -> str:
    """The first language of an Accept-Language header (RFC 9110 §12.5.4) that the admin speaks, else English."""
    for code, _quality in parse_accept_lang_header(accept_language):
        if code.partition("-")[0] in ADMIN_LANGUAGES:
            return code.partition("-")[0]
    return settings.LANGUAGE_CODE
