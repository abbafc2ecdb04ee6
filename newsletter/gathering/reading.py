"""Reading what strangers published, the large of it in a process that may die.

What makes a small document slow makes a large one endless: a tag of 100,000 attributes, or as many bases within each
other, keep the parsers busy for hours (R-153, R-156). Nothing inside a process stops them.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

import orjson
from pydantic import TypeAdapter

from newsletter.content.document import StoryContent
from newsletter.content.feeds import FeedError, FeedReading, read_feed
from newsletter.content.web_page import WebPageError, read_web_page
from newsletter.rendering import RenderingError
from newsletter.rendering.limited_process import ProcessLimits, run_limited

#: Bytes that the worst document needs less than a second for; up to there it is read right here.
SMALL = 32_000
#: Ten times what five honest megabytes take; nobody waits for a feed, but a person does for a page.
FEED_LIMITS = ProcessLimits(memory=2_000_000_000, cpu=60, wall=90.0, output=3_000_000)
PAGE_LIMITS = ProcessLimits(memory=2_000_000_000, cpu=5, wall=8.0, output=100_000)

_FEED, _STORY = TypeAdapter(FeedReading), TypeAdapter(StoryContent)
_DONE, _REFUSED = b"+", b"-"


def read_strangers_feed(data: bytes, url: str, *, charset: str = "") -> FeedReading:
    """The same as `read_feed`, within limits. Raises FeedError."""
    if len(data) <= SMALL:
        return read_feed(data, url, charset=charset)
    answer = _answer_of(answer_feed, data, url, charset, FEED_LIMITS)
    if answer is None:
        raise FeedError("This feed takes too long to read, as if it had been made for that. Nothing came of it.")
    if answer[:1] == _REFUSED:
        raise FeedError(answer[1:].decode())
    return _FEED.validate_json(answer[1:])


def read_strangers_page(data: bytes, url: str, *, charset: str = "") -> StoryContent:
    """The same as `read_web_page`, within limits. Raises WebPageError."""
    if len(data) <= SMALL:
        return read_web_page(data, url, charset=charset)
    answer = _answer_of(answer_page, data, url, charset, PAGE_LIMITS)
    if answer is None:
        raise WebPageError("This page takes too long to read, so no story was made of it. Write it by hand.")
    if answer[:1] == _REFUSED:
        raise WebPageError(answer[1:].decode())
    return _STORY.validate_json(answer[1:])


# In the child


def answer_feed(request: bytes) -> bytes:
    """The job of the child that reads a feed."""
    data, url, charset = _document(request)
    try:
        return _DONE + orjson.dumps(read_feed(data, url, charset=charset))
    except FeedError as error:
        return _REFUSED + str(error).encode()


def answer_page(request: bytes) -> bytes:
    """The job of the child that reads a page."""
    data, url, charset = _document(request)
    try:
        return _DONE + orjson.dumps(read_web_page(data, url, charset=charset))
    except WebPageError as error:
        return _REFUSED + str(error).encode()


def _answer_of(
    job: Callable[[bytes], bytes], data: bytes, url: str, charset: str, limits: ProcessLimits
) -> bytes | None:
    """What the child answers; None if it had to be stopped."""
    request = orjson.dumps({"data": base64.b64encode(data).decode(), "url": url, "charset": charset})
    try:
        return run_limited(job, request, limits=limits)
    except RenderingError:
        return None


def _document(request: bytes) -> tuple[bytes, str, str]:
    given = orjson.loads(request)
    return base64.b64decode(given["data"]), given["url"], given["charset"]
