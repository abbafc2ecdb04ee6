"""Reads untrusted feeds and pages: large ones in a child process with resource limits.

A tag with 100,000 attributes, or as many nested xml:base attributes, keeps a parser busy for hours. Only the end of its
process stops it. Small documents cannot do that.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

import orjson
from pydantic import TypeAdapter

from newsletter.config.translatable import from_data, to_data, translatable
from newsletter.content.document import StoryContent
from newsletter.content.feeds import FeedError, ParsedFeed, read_feed
from newsletter.content.web_page import WebPageError, read_web_page
from newsletter.rendering import RenderingError
from newsletter.rendering.limited_process import ProcessLimits, run_limited

#: Documents up to this size, in bytes, take less than a second and are read in this process.
SMALL = 32_000
#: For a feed, ten times what a normal one of 5 MB takes. An editor waits for a page, so its limits are lower.
FEED_LIMITS = ProcessLimits(memory=2_000_000_000, cpu=60, wall=90.0, output=3_000_000)
PAGE_LIMITS = ProcessLimits(memory=2_000_000_000, cpu=5, wall=8.0, output=100_000)

_FEED, _STORY = TypeAdapter(ParsedFeed), TypeAdapter(StoryContent)
_READ, _REFUSED = b"+", b"-"


def read_untrusted_feed(data: bytes, url: str, *, charset: str = "") -> ParsedFeed:
    """As `read_feed`, with resource limits. Raises FeedError."""
    if len(data) <= SMALL:
        return read_feed(data, url, charset=charset)
    output = _run(read_feed_job, data, url, charset, FEED_LIMITS)
    if output is None:
        raise FeedError(translatable("The feed takes too long to read."))
    if output[:1] == _REFUSED:
        raise FeedError(from_data(orjson.loads(output[1:])))
    return _FEED.validate_json(output[1:])


def read_untrusted_page(data: bytes, url: str, *, charset: str = "") -> StoryContent:
    """As `read_web_page`, with resource limits. Raises WebPageError."""
    if len(data) <= SMALL:
        return read_web_page(data, url, charset=charset)
    output = _run(read_page_job, data, url, charset, PAGE_LIMITS)
    if output is None:
        raise WebPageError(translatable("The page takes too long to read. Write the story by hand."))
    if output[:1] == _REFUSED:
        raise WebPageError(from_data(orjson.loads(output[1:])))
    return _STORY.validate_json(output[1:])


# In the child process


def read_feed_job(request: bytes) -> bytes:
    """The job that reads a feed."""
    data, url, charset = _document(request)
    try:
        return _READ + orjson.dumps(read_feed(data, url, charset=charset))
    except FeedError as error:
        return _REFUSED + orjson.dumps(to_data(error.args[0]))


def read_page_job(request: bytes) -> bytes:
    """The job that reads a page."""
    data, url, charset = _document(request)
    try:
        return _READ + orjson.dumps(read_web_page(data, url, charset=charset))
    except WebPageError as error:
        return _REFUSED + orjson.dumps(to_data(error.args[0]))


def _run(job: Callable[[bytes], bytes], data: bytes, url: str, charset: str, limits: ProcessLimits) -> bytes | None:
    """The output of the child process; None if it exceeded its limits."""
    request = orjson.dumps({"data": base64.b64encode(data).decode(), "url": url, "charset": charset})
    try:
        return run_limited(job, request, limits=limits)
    except RenderingError:
        return None


def _document(request: bytes) -> tuple[bytes, str, str]:
    document = orjson.loads(request)
    return base64.b64decode(document["data"]), document["url"], document["charset"]
