"""The language of pages: that of the list they belong to."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import translation

from subscribers.models import MailingList

View = Callable[..., HttpResponse]


def in_list_language(view: View) -> View:
    """Run a view that takes `(request, mailing_list, …)` in the list's language, and name it in Content-Language.

    Without a list, the language that the browser asks for stays active.
    """

    @functools.wraps(view)
    def localized(request: HttpRequest, mailing_list: MailingList | None, *args: Any, **kwargs: Any) -> HttpResponse:
        if mailing_list is None:
            return view(request, mailing_list, *args, **kwargs)
        with translation.override(mailing_list.page_language):
            response = view(request, mailing_list, *args, **kwargs)
        response["Content-Language"] = mailing_list.page_language
        return response

    return localized
