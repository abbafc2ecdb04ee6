"""What an issue page tells search engines about itself, as JSON-LD."""

from __future__ import annotations

import orjson
from django.utils.safestring import SafeString, mark_safe

from newsletter.models import Newsletter
from newsletter.web.archive import PublicIssue

# Inside a script element only these could end it or begin a comment; JSON may spell them otherwise.
_SPELLED_OUT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def describe_issue(newsletter: Newsletter, issue: PublicIssue) -> SafeString:
    """The issue as a NewsArticle (https://schema.org/NewsArticle), to be put into a script element as it is.

    A script element of type application/ld+json is data: it is not run, so the CSP has nothing to say about it.
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
    return mark_safe(orjson.dumps(data).decode().translate(_SPELLED_OUT))  # noqa: S308  # cannot leave its element
