"""Fetches a picture from the web, under the guards of every fetch."""

from __future__ import annotations

import http
from urllib.parse import unquote, urlsplit

from newsletter.config.translatable import translatable
from newsletter.gathering.page import UnreadableLink
from newsletter.media.clean import ACCEPTED_TYPES, MAX_UPLOAD_BYTES
from newsletter.outbound import FetchError, FetchPolicy, Limits, fetch

#: An editor waits for it.
LIMITS = Limits(seconds=15, bytes=MAX_UPLOAD_BYTES)


def picture_at(url: str, policy: FetchPolicy) -> tuple[str, bytes]:
    """The file name and the bytes of the picture at `url`, as the server gives them. Raises UnreadableLink."""
    try:
        found = fetch(url.strip(), policy, accept=", ".join(ACCEPTED_TYPES), limits=LIMITS)
    except FetchError as error:
        raise UnreadableLink(error.args[0], permanent=error.permanent) from error
    if found.status != http.HTTPStatus.OK:
        message = translatable("The server responded with an error (HTTP {status}).", status=found.status)
        raise UnreadableLink(message, permanent=found.status < 500)
    return unquote(urlsplit(found.url).path), found.body
