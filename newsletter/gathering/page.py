"""A story from a link: fetches the page and reads what it says of itself."""

from __future__ import annotations

import http

from newsletter.content.document import StoryContent
from newsletter.content.web_page import WebPageError
from newsletter.gathering.reading import read_strangers_page
from newsletter.outbound import FetchError, FetchPolicy, fetch

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml", ""})


class LinkUnreadable(Exception):
    """No story came of a link. The message says why, as a sentence; `retryable`: it may be another time."""

    def __init__(self, sentence: str, *, permanent: bool) -> None:
        super().__init__(sentence)
        self.permanent = permanent

    @property
    def retryable(self) -> bool:
        """Whether the same link may be readable later."""
        return not self.permanent


def story_from_link(url: str, visitor: FetchPolicy) -> StoryContent:
    """The story that the page at `url` tells of itself, with the address where redirects end.

    Takes five seconds at most, so that a person can wait for it. Raises LinkUnreadable.
    """
    try:
        page = fetch(url.strip(), visitor, accept="text/html, application/xhtml+xml, */*;q=0.1")
        if page.status != http.HTTPStatus.OK:
            raise LinkUnreadable(
                f"The server answered with status {page.status} instead of the page.", permanent=page.status < 500
            )
        if page.content_type not in HTML_TYPES:
            raise LinkUnreadable(f"This is no web page, but {page.content_type}.", permanent=True)
        return read_strangers_page(page.body, page.url, charset=page.charset)
    except (FetchError, WebPageError) as error:
        raise LinkUnreadable(str(error), permanent=error.permanent) from error
