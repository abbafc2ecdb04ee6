"""A story made from the metadata of a web page: title, source and description. Pure.

Open Graph comes first, then Twitter Cards, JSON-LD, and plain HTML.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

import orjson
from lxml import html as lxml_html  # type: ignore[import-untyped]
from lxml.etree import LxmlError  # type: ignore[import-untyped]

from newsletter.config.translatable import translatable
from newsletter.content.document import StoryContent
from newsletter.content.fields import LIMITS
from newsletter.content.html_text import html_to_line, one_line, shortened
from newsletter.content.merge_faults import without_merge_fields
from newsletter.content.plain_text import plain_to_markdown

MAX_DESCRIPTION = 1_000

_META_CHARSET = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?([a-zA-Z0-9_:-]+)", re.IGNORECASE)
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
# Python codecs that are not encodings of web pages; UTF-7 hides markup (WHATWG Encoding).
_REFUSED_ENCODINGS = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"})
#: The schema.org types of pages that are one story.
_STORY_TYPES = re.compile(r"(Article|BlogPosting|Report|Recipe|Event|Product|VideoObject|PodcastEpisode|WebPage)$")
_TAG = re.compile(r"</?([A-Za-z][\w-]*)")
_HTML_SIGN = re.compile(r"</[A-Za-z]|<br\b|&#?\w+;")
_KNOWN_TAGS_LIST = "a abbr b bdi br cite code del em font i ins kbd mark p q s small span strong sub sup tt u"
_KNOWN_TAGS = frozenset(_KNOWN_TAGS_LIST.split())
_BETWEEN_TITLE_AND_SITE = re.compile(r"\s+[|·•–—-]\s+")


class WebPageError(Exception):
    """The page has no metadata for a story. The message is a sentence for the editor."""

    permanent = True


def read_web_page(data: bytes, url: str, *, charset: str = "") -> StoryContent:
    """A story from the metadata of the HTML in `data`; `charset` is that of the Content-Type, if any.

    Every field fits its column; the description becomes the text. Raises WebPageError, and nothing else, for any
    bytes without a title.
    """
    page = _parsed(decoded_page(data, charset))
    if page is None:
        raise WebPageError(translatable("The page at this address is empty."))
    meta, linked = _meta(page), _linked_data(page)
    site = _first([meta.get("og:site_name"), _name_of(linked.get("publisher")), meta.get("application-name")])
    source = site or _host(url)
    title = _first([meta.get("og:title"), meta.get("twitter:title"), linked.get("headline"), linked.get("name")])
    title = title or _without_site(_words_of(page, "title"), site) or _words_of(page, "h1")
    if not title:
        raise WebPageError(translatable("This page has no title. Write the story by hand."))
    descriptions = [meta.get("og:description"), meta.get("twitter:description"), linked.get("description")]
    description = _first([*descriptions, meta.get("description")])
    return StoryContent(
        title=without_merge_fields(shortened(title, LIMITS["story title"])),
        url=url,
        source=without_merge_fields(shortened(source, LIMITS["source"])),
        body=plain_to_markdown(shortened(description, MAX_DESCRIPTION)),
    )


def decoded_page(data: bytes, charset: str = "") -> str:
    """Decode a page: by byte order mark, Content-Type, `<meta>`, or a guess. Undecodable bytes become U+FFFD."""
    declared = _META_CHARSET.search(data, 0, 4096)
    candidates = [encoding for mark, encoding in _MARKS if data.startswith(mark)]
    candidates += [charset, declared[1].decode("ascii") if declared else ""]
    for encoding in filter(None, candidates):
        try:
            if codecs.lookup(encoding).name not in _REFUSED_ENCODINGS:
                return data.decode(encoding, "replace")
        except (LookupError, ValueError):
            continue  # unknown, or not a text encoding
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _parsed(text: str) -> Any:
    # Encoded again: lxml refuses a str that declares its encoding.
    clean = text.replace("\0", "").encode("utf-8", "replace")
    if not clean.strip():
        return None
    try:
        return lxml_html.document_fromstring(clean, parser=lxml_html.HTMLParser(encoding="utf-8"))
    except (LxmlError, ValueError):
        return None


def _meta(page: Any) -> dict[str, str]:
    """The first content of each name or property, in lower case."""
    found: dict[str, str] = {}
    for node in page.iter("meta"):
        for attribute in ("property", "name"):
            name = (node.get(attribute) or "").strip().lower()
            if name and (node.get("content") or "").strip():
                found.setdefault(name, node.get("content"))
    return found


def _linked_data(page: Any) -> dict[str, Any]:
    """The first JSON-LD object that describes a story; empty if there is none."""
    for script in page.iter("script"):
        if (script.get("type") or "").strip().lower() != "application/ld+json":
            continue
        try:
            data = orjson.loads(script.text_content())
        except orjson.JSONDecodeError:
            continue  # malformed in many pages; the other metadata still counts
        for thing in _objects_of(data):
            kinds = thing.get("@type")
            if any(isinstance(kind, str) and _STORY_TYPES.search(kind) for kind in _as_list(kinds)):
                return thing
    return {}


def _objects_of(data: Any) -> Iterator[dict[str, Any]]:
    for thing in _as_list(data):
        if isinstance(thing, dict):
            yield thing
            yield from (part for part in _as_list(thing.get("@graph")) if isinstance(part, dict))


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _name_of(publisher: Any) -> Any:
    return publisher.get("name") if isinstance(publisher, dict) else publisher


def _first(values: Iterable[Any]) -> str:
    """The first value that is text and not empty, on one line; HTML that some sites escape in it is removed.

    As parsers of feeds decide it: text is HTML if it has an entity or an end tag, and knows all of its tags. "Using <T>
    well" is no HTML.
    """
    lines = (html_to_line(value) if _is_html(value) else one_line(value) for value in _texts(values))
    return next((line for line in lines if line), "")


def _is_html(value: str) -> bool:
    tags = {name.lower() for name in _TAG.findall(value)}
    return tags <= _KNOWN_TAGS and _HTML_SIGN.search(value) is not None


def _texts(values: Iterable[Any]) -> Iterator[str]:
    return (value for value in values if isinstance(value, str))


def _words_of(page: Any, tag: str) -> str:
    return next((words for node in page.iter(tag) if (words := one_line(node.text_content()))), "")


def _without_site(title: str, site: str) -> str:
    """`Headline – Site` without the site, which is shown as the source."""
    ends = list(_BETWEEN_TITLE_AND_SITE.finditer(title))
    if ends and site and title[ends[-1].end() :].casefold() == site.casefold():
        return title[: ends[-1].start()]
    return title


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.")
    except ValueError:
        return ""
