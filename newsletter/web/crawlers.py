"""Files for search engines: robots.txt and the sitemap."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from newsletter.models import Newsletter, Visibility
from newsletter.models.web_pages import public_issues
from newsletter.web.public_page import public_page
from subscribers.consent.tokens import Purpose

#: Not an access control: these pages send "noindex" themselves and require a token or a login.
DISALLOWED_PATHS = (*(f"/{purpose}/" for purpose in Purpose), "/admin/", "/l/", "/shared/", "/webhooks/")

#: The limit of one sitemap (https://www.sitemaps.org/protocol.html).
MAX_URLS = 50_000


@public_page
def robots(request: HttpRequest) -> HttpResponse:
    """Allow everything except pages of one subscriber and of editors."""
    lines = [
        "User-agent: *",
        *(f"Disallow: {path}" for path in DISALLOWED_PATHS),
        "",
        f"Sitemap: {settings.SITE_URL}{reverse('sitemap')}",
    ]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")


@public_page
def sitemap(request: HttpRequest) -> HttpResponse:
    """The URLs of all public pages; if there are more than MAX_URLS, the oldest issues are left out."""
    urls = list(_public_urls())[:MAX_URLS]
    return render(request, "newsletter/sitemap.xml", {"urls": urls}, content_type="application/xml")


def _public_urls() -> Iterator[str]:
    for newsletter in Newsletter.objects.order_by("name", "pk"):
        yield newsletter.web_url
        yield newsletter.archive_url
    indexed = public_issues().exclude(web_page__visibility=Visibility.NOT_INDEXED)
    for newsletter_slug, slug in indexed.values_list("newsletter__slug", "slug")[:MAX_URLS]:
        yield f"{settings.SITE_URL}{reverse('issue', args=[newsletter_slug, slug])}"
