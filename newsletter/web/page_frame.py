"""What the pages of a newsletter share: their frame, the page of an issue that was withdrawn, and noindex."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from newsletter.models import Newsletter, Visibility
from newsletter.models.web_pages import visibility_of
from newsletter.rendering.context import writing_direction
from newsletter.web.public_page import signup_box


def frame_of(newsletter: Newsletter, canonical: str) -> dict[str, object]:
    """The context that all pages of a newsletter share. `canonical` is the canonical URL of the page (RFC 6596)."""
    return {
        "newsletter": newsletter,
        **signup_box(newsletter),
        "direction": writing_direction(newsletter.language),
        "canonical": canonical,
    }


def is_gone(issue: Any) -> bool:
    """Whether the page of the issue was taken down."""
    return visibility_of(issue) == Visibility.TAKEN_DOWN


def gone_page(request: HttpRequest, newsletter: Newsletter) -> HttpResponse:
    """The answer for an issue that was withdrawn: 410 Gone. It names neither the issue nor the reason."""
    response = render(request, "newsletter/issue_gone.html", frame_of(newsletter, ""), status=410)
    return hide_from_search_engines(response)


def hide_from_search_engines(response: HttpResponse) -> HttpResponse:
    """The response, with the request that search engines leave it out."""
    response["X-Robots-Tag"] = "noindex"
    return response
