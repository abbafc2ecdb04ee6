"""The language of responses: the editor's in the admin, the list's on its pages, the browser's on all other pages."""

from __future__ import annotations

from collections.abc import Callable, Collection

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.translation.trans_real import parse_accept_lang_header

ADMIN_PATH = "/admin/"


class LanguageMiddleware:
    """Activates the language that the browser asks for, of those that exist.

    A view may choose another one and name it in Content-Language, as pages of a mailing list do: such a page is the
    same for every browser, so it does not vary by Accept-Language. Django's own LocaleMiddleware lets every page
    vary, follows a cookie, and offers all languages in the admin.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer in the negotiated language."""
        in_admin = request.path_info.startswith(ADMIN_PATH)
        offered = settings.ADMIN_LANGUAGES if in_admin else dict(settings.LANGUAGES)
        language = preferred_language(request.headers.get("Accept-Language", ""), offered)
        with translation.override(language):
            response = self.get_response(request)
        is_text = in_admin or response.get("Content-Type", "").startswith("text/html")
        if is_text and not response.has_header("Content-Language"):
            response["Content-Language"] = language
            patch_vary_headers(response, ["Accept-Language"])
        return response


def preferred_language(header: str, offered: Collection[str]) -> str:
    """The first offered language in the order of an Accept-Language header, without regard to regions; else English."""
    wanted = (code.split("-")[0] for code, quality in parse_accept_lang_header(header) if quality > 0)
    return next((code for code in wanted if code in offered), settings.LANGUAGE_CODE)
