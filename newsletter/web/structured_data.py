"""Structured data of issue pages for search engines, as JSON-LD."""

from __future__ import annotations

import orjson
from django.utils.safestring import SafeString, mark_safe

from newsletter.models import Newsletter
from newsletter.web.archive import PublicIssue

# Only these characters could end a script element or begin a comment in it; JSON may escape them.
_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def describe_issue(newsletter: Newsletter, issue: PublicIssue) -> SafeString:
    """The issue as a NewsArticle (https://schema.org/NewsArticle), escaped for a script element.

    A script element of type application/ld+json is data that browsers do not run, so the CSP does not apply to it.
    """
    publisher = {"@type": "Organization", "name": newsletter.name, "url": newsletter.web_url}
    data = {
        "@context": "https://schema.org",
        "@type": "NewsArticle",
        "headline": issue.view.title,
        "description": issue.view.preheader,
        "datePublished": issue.published_at,
        "inLanguage": newsletter.language,
        "mainEntityOfPage": issue.url,
        "isPartOf": {"@type": "Periodical", "name": newsletter.name, "url": newsletter.web_url},
        "author": publisher,
        "publisher": publisher,
        "isAccessibleForFree": True,
    }
    return mark_safe(orjson.dumps(data).decode().translate(_ESCAPES))  # noqa: S308  # escaped above
