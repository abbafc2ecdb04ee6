"""Which addresses a link may have. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_WEB = re.compile(r"https?://[^/?#\\\s]", re.IGNORECASE)
_MAIL = re.compile(r"mailto:[^\s@]+@[^\s@]", re.IGNORECASE)
_UNUSABLE = re.compile(r"[\s\\\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def web_link_problem(url: str) -> str | None:
    """Why `url` cannot be the link of a story, as the end of a sentence; None when it can.

    Story links are absolute http or https addresses (R-62): a protocol-relative `//host` or a
    `javascript:` address never gets as far as a reader.
    """
    if _UNUSABLE.search(url):
        return "contains a space, a backslash or an invisible character"
    if not _WEB.match(url):
        return "is not a full web address; it must begin with https:// or http://"
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    return None if host else "names no website after https://"


def is_allowed_in_text(url: str) -> bool:
    """Whether a link in running text keeps its target: absolute http, https or mailto (R-62, R-148)."""
    if _UNUSABLE.search(url):
        return False
    return web_link_problem(url) is None or _MAIL.match(url) is not None
