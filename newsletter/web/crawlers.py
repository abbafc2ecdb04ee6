"""What is said to search engines: robots.txt and the sitemap."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from newsletter.models import Issue, Newsletter
from newsletter.web.public_page import public_page
from subscribers.consent.tokens import Purpose

#: A wish, not a lock: pages behind these say "noindex" themselves and ask for more than a visit.
KEEP_OUT = (*(f"/{purpose}/" for purpose in Purpose), "/admin/", "/webhooks/")

#: As many as one sitemap may hold (https://www.sitemaps.org/protocol.html).
MOST_ADDRESSES = 50_000


@public_page
def robots(request: HttpRequest) -> HttpResponse:
    """Everything may be read but the pages that belong to one reader, or to editors."""
    lines = [
        "User-agent: *",
        *(f"Disallow: {path}" for path in KEEP_OUT),
        "",
        f"Sitemap: {settings.SITE_URL}{reverse('sitemap')}",
    ]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")


@public_page
def sitemap(request: HttpRequest) -> HttpResponse:
    """The addresses of all public pages, the newest issues first where there are too many."""
    addresses = list(_addresses())[:MOST_ADDRESSES]
    return render(request, "newsletter/sitemap.xml", {"addresses": addresses}, content_type="application/xml")


def _addresses() -> Iterator[str]:
    for newsletter in Newsletter.objects.order_by("name", "pk"):
        yield newsletter.web_url
        yield newsletter.archive_url
    issues = Issue.objects.public().values_list("newsletter__slug", "slug")[:MOST_ADDRESSES]
    for newsletter_slug, slug in issues:
        yield f"{settings.SITE_URL}{reverse('issue', args=[newsletter_slug, slug])}"
