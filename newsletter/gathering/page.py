"""Makes a story from a link: fetches the page and reads its metadata."""

from __future__ import annotations

import http

from newsletter.config.translatable import translatable
from newsletter.content.document import StoryContent
from newsletter.content.web_page import WebPageError
from newsletter.gathering.reading import read_untrusted_page
from newsletter.outbound import FetchError, FetchPolicy, fetch

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml", ""})


class UnreadableLink(Exception):
    """No story can be made from a link. The message is a sentence for the editor."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent

    @property
    def retryable(self) -> bool:
        """Whether the same link may be readable later."""
        return not self.permanent


def story_from_link(url: str, policy: FetchPolicy) -> StoryContent:
    """A story from the metadata of the page at `url`, with the address after redirects.

    Takes at most five seconds, since an editor waits for it. Raises UnreadableLink.
    """
    try:
        page = fetch(url.strip(), policy, accept="text/html, application/xhtml+xml, */*;q=0.1")
        if page.status != http.HTTPStatus.OK:
            message = translatable("The server responded with an error (HTTP {status}).", status=page.status)
            raise UnreadableLink(message, permanent=page.status < 500)
        if page.content_type not in HTML_TYPES:
            message = translatable("The address is not a web page. Its type is {type}.", type=page.content_type)
            raise UnreadableLink(message, permanent=True)
        return read_untrusted_page(page.body, page.url, charset=page.charset)
    except (FetchError, WebPageError) as error:
        raise UnreadableLink(error.args[0], permanent=error.permanent) from error
