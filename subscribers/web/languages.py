"""The language of pages: the subscriber's choice, or that of the list they belong to."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import translation

from subscribers.models import MailingList, Subscription

View = Callable[..., HttpResponse]


def in_page_language(view: View) -> View:
    """Run a view that takes `(request, owner, …)` in the language of its owner, and name it in Content-Language.

    The owner is a mailing list, or a subscription with the language that its subscriber chose. Without one, the
    language that the browser asks for stays active.
    """

    @functools.wraps(view)
    def localized(
        request: HttpRequest, owner: MailingList | Subscription | None, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if owner is None:
            return view(request, owner, *args, **kwargs)
        language = owner.page_language
        with translation.override(language):
            response = view(request, owner, *args, **kwargs)
        response["Content-Language"] = language
        return response

    return localized


#: For pages that belong to a list and not to one subscriber.
in_list_language = in_page_language
