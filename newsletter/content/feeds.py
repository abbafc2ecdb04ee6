"""Feeds parsed into entries: RSS, Atom and JSON Feed. Pure.

Feeds are untrusted: HTML becomes Markdown, entries without a web link are left out and counted, and a document that
declares entities is not parsed at all (a few lines of them can expand to gigabytes, or read a local file).
"""

from __future__ import annotations

import calendar
import datetime
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urljoin

import feedparser  # type: ignore[import-untyped]
import orjson

from newsletter.config.translatable import translatable
from newsletter.content.fields import LIMITS, field_faults
from newsletter.content.html_text import html_to_line, html_to_markdown, one_line, shortened
from newsletter.content.links import saved_link_sha256
from newsletter.content.merge_faults import without_merge_fields
from newsletter.content.plain_text import plain_to_markdown

#: The Accept header of feed requests.
FEED_TYPES = (
    "application/atom+xml, application/rss+xml, application/feed+json, application/json;q=0.9, "
    "application/xml;q=0.9, text/xml;q=0.9, */*;q=0.5"
)
MAX_ENTRIES = 200
MAX_SUMMARY = 1_000
MAX_GUID = 1_000
#: Characters of a DOCTYPE; those of feeds have a hundred. A longer one, or one without an end, is refused.
MAX_DOCTYPE = 10_000
#: Words of the summary that make the title of an entry without one.
TITLE_WORDS = 12

# What may stand before the root element; only a DOCTYPE there declares entities. Any character after the bracket: the
# EBCDIC encodings differ in this one.
_BEFORE_DOCTYPE = re.compile(r"[^<]*(?:(?:<\?.*?\?>|<.--.*?-->)[^<]*)*", re.DOTALL)
_DOCTYPE = re.compile(r"<.DOCTYPE", re.IGNORECASE)
_IN_DOCTYPE = re.compile(
    r"<.--.*?-->|<\?.*?\?>|\"[^\"]*\"|'[^']*'|(?P<entity><.ENTITY)|(?P<end>[>])|(?P<open><)|\[|\]", re.I | re.S
)
_ENCODING = re.compile(rb"<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([\w.:-]{1,40})", re.IGNORECASE)
_JSON_VERSION = re.compile(r"https?://(www\.)?jsonfeed\.org/version/1", re.IGNORECASE)
_EBCDIC = "<?xm".encode("cp037")
_LINE_BREAKS = re.compile(r"[\t\r\n]+ *")
_ALTERNATE = re.compile(r"<link\b[^>]*>", re.IGNORECASE)
_FEED_LINK = re.compile(r"type\s*=\s*[\"']?application/(?:rss\+xml|atom\+xml|feed\+json)", re.IGNORECASE)
_HREF = re.compile(r"href\s*=\s*[\"']?([^\"'\s>]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEntry:
    """One entry. `title` and `source` are one line, `summary` is Markdown, `url` is absolute; all fit their columns."""

    guid: str
    """The feed's id of the entry; empty if it has none, or uses the same for several."""
    title: str
    url: str
    source: str
    summary: str
    published: datetime.datetime | None


@dataclass(frozen=True, slots=True)
class ParsedFeed:
    """The feed's title, its entries in order, each once, and how many it had without a web link."""

    title: str
    items: tuple[FeedEntry, ...]
    without_link: int = 0


class FeedError(Exception):
    """The bytes are not a feed that can be parsed. The message is a sentence for the editor."""

    permanent = True


def read_feed(data: bytes, url: str, *, charset: str = "") -> ParsedFeed:
    """Parse a feed that was fetched from `url`; `charset` is that of the Content-Type.

    Returns at most MAX_ENTRIES entries. Two are the same if they have one id, or no ids and one link with its fragment.
    Raises FeedError, and nothing else, for any bytes.
    """
    plain = data.replace(b"\0", b"")  # so that UTF-16 and UTF-32 hide nothing
    if declares_entities(plain, charset):
        raise FeedError(
            translatable("This feed declares XML entities, which are refused because they can be an attack.")
        )
    read = _read_json if _is_json(plain) else _read_xml
    title, found = read(data, url, charset)
    entries: list[FeedEntry] = []
    without_link = 0
    for entry in itertools.islice(found, 2 * MAX_ENTRIES):
        if entry is None:
            without_link += 1
        elif len(entries) < MAX_ENTRIES:
            entries.append(entry)
    return ParsedFeed(title, tuple(_each_once(_with_trusted_guids(list(_each_once(entries))))), without_link)


def declares_entities(data: bytes, charset: str = "") -> bool:
    """Whether an entity is declared, in any encoding in which the parser may read the document.

    Most encodings write the declaration as ASCII does; UTF-7 and EBCDIC, which the parser knows too, do not.
    """
    declared = _ENCODING.search(data, 0, 1_000)
    encodings = {"latin-1", charset, declared[1].decode("ascii") if declared else ""}
    if data.startswith(_EBCDIC):
        encodings.add("cp037")
    return any(_has_entity_in_prolog(_decoded(data, encoding)) for encoding in encodings if encoding)


def _has_entity_in_prolog(text: str) -> bool:
    """Text elsewhere, such as an article about entities in CDATA, declares nothing."""
    before = _BEFORE_DOCTYPE.match(text)
    start = _DOCTYPE.match(text, before.end() if before else 0)
    if not start:
        return False
    depth, at, end = 1, start.end(), start.end() + MAX_DOCTYPE
    while depth:
        part = _IN_DOCTYPE.search(text, at, end)
        if part is None or part["entity"]:
            return True
        depth += bool(part["open"]) - bool(part["end"])
        at = part.end()
    return False


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding, "ignore")
    except (LookupError, ValueError):
        return ""  # the parser does not know the encoding either


def _each_once(entries: Iterable[FeedEntry]) -> Iterator[FeedEntry]:
    seen: set[tuple[str, str]] = set()
    for entry in entries:
        key = (entry.guid, saved_link_sha256(entry.url))
        if key not in seen:
            seen.add(key)
            yield entry


def _with_trusted_guids(entries: list[FeedEntry]) -> Iterator[FeedEntry]:
    """The entries without ids that appear more than once: some feeds use one id for all entries."""
    times = Counter(entry.guid for entry in entries)
    for entry in entries:
        yield replace(entry, guid="") if times[entry.guid] > 1 else entry


# RSS and Atom


def _read_xml(data: bytes, url: str, charset: str) -> tuple[str, Iterator[FeedEntry | None]]:
    headers = {"content-location": url}
    if charset:
        headers["content-type"] = f"application/xml; charset={charset}"
    try:
        # A stream: feedparser would open bytes that look like an address or a path.
        parsed = feedparser.parse(io.BytesIO(data), response_headers=headers, sanitize_html=False)
    except Exception as error:  # feedparser raises many types for broken XML
        raise FeedError(translatable("This feed is too malformed to be parsed.")) from error
    if not parsed.get("version") and not parsed.get("entries"):
        raise FeedError(_no_feed_sentence(data, url))
    title = _line(parsed.feed, "title", LIMITS["source"])
    return title, (_xml_entry(entry, url, title) for entry in parsed.entries)


def _xml_entry(entry: Any, base_url: str, feed_title: str) -> FeedEntry | None:
    contents = [content.get("value", "") for content in entry.get("content", [])]
    html = next((text for text in (entry.get("summary", ""), *contents) if text.strip()), "")
    origin = entry.get("source")
    return _entry(
        guid=entry.get("id", ""),
        url=entry.get("link", "") or _enclosure(entry),
        base_url=base_url,
        title=_line(entry, "title", LIMITS["story title"]),
        source=(_line(origin, "title", LIMITS["source"]) if origin else "") or feed_title,
        summary=html_to_markdown(html, base_url=base_url, longest=MAX_SUMMARY),
        published=_utc_time(entry.get("published_parsed") or entry.get("updated_parsed")),
    )


def _enclosure(entry: Any) -> str:
    """The address of the first file of an entry that has no page, such as an episode of a podcast."""
    addresses = (str(each.get("href") or "") for each in entry.get("enclosures") or [])
    return next(filter(None, addresses), "")


def _line(node: Any, name: str, longest: int) -> str:
    """A field on one line; HTML is removed if the feed declares the field as HTML."""
    text = str(node.get(name, "") or "")
    kind = (node.get(f"{name}_detail") or {}).get("type", "text/plain")
    return shortened(one_line(text) if kind == "text/plain" else html_to_line(text), longest)


def _utc_time(parsed: Any) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromtimestamp(calendar.timegm(parsed), datetime.UTC) if parsed else None
    except (ValueError, OverflowError, OSError, TypeError):
        return None


def _no_feed_sentence(data: bytes, url: str) -> str:
    """Why the bytes are not a feed, with the address of the feed if they are a web page that links to one."""
    text = data[:200_000].decode("utf-8", "replace")
    for link in _ALTERNATE.findall(text):
        address = _HREF.search(link)
        if _FEED_LINK.search(link) and address:
            found = _resolved(address[1].replace("&amp;", "&"), url)
            if found:
                return translatable("This is a web page. Its feed is at {url}", url=shortened(found, 150))
    return translatable("There is no feed at this address: the response is neither RSS nor Atom nor JSON Feed.")


# JSON Feed (jsonfeed.org, versions 1 and 1.1)


def _is_json(data: bytes) -> bool:
    return data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{"


def _read_json(data: bytes, url: str, charset: str) -> tuple[str, Iterator[FeedEntry | None]]:
    try:
        feed = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise FeedError(translatable("This feed is not valid JSON.")) from error
    if not _JSON_VERSION.match(_text(feed, "version")):
        raise FeedError(translatable("This is not a JSON Feed: its “version” is missing or unknown."))
    items = feed.get("items")
    title = shortened(one_line(_text(feed, "title")), LIMITS["source"])
    return title, (_json_entry(item, url, title) for item in (items if isinstance(items, list) else []))


def _json_entry(item: Any, base_url: str, feed_title: str) -> FeedEntry | None:
    if not isinstance(item, dict):
        return None
    text = _text(item, "summary") or _text(item, "content_text")
    paragraphs = (plain_to_markdown(one_line(part)) for part in shortened(text, MAX_SUMMARY).splitlines())
    summary = "\n\n".join(part for part in paragraphs if part)
    return _entry(
        guid=_text(item, "id"),
        url=_text(item, "url") or _text(item, "external_url") or _attachment(item),
        base_url=base_url,
        title=shortened(one_line(_text(item, "title")), LIMITS["story title"]),
        source=feed_title,
        summary=summary or html_to_markdown(_text(item, "content_html"), base_url=base_url, longest=MAX_SUMMARY),
        published=_iso_time(_text(item, "date_published") or _text(item, "date_modified")),
    )


def _attachment(item: dict[str, Any]) -> str:
    files = item.get("attachments")
    return next(filter(None, (_text(each, "url") for each in files)), "") if isinstance(files, list) else ""


def _text(node: Any, name: str) -> str:
    """A field if it is text or a number; some feeds use numbers as ids."""
    value = node.get(name, "") if isinstance(node, dict) else ""
    return str(value) if isinstance(value, str | int) else ""


def _iso_time(text: str) -> datetime.datetime | None:
    try:
        parsed = datetime.datetime.fromisoformat(text)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=datetime.UTC)).astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        return None


# Both


def _entry(
    *, guid: str, url: str, base_url: str, title: str, source: str, summary: str, published: datetime.datetime | None
) -> FeedEntry | None:
    """The entry; None if it has no web link."""
    link = _resolved(url, base_url)
    if not link:
        return None
    return FeedEntry(
        guid=guid.strip() if len(guid.strip()) <= MAX_GUID and guid.isprintable() else "",
        title=without_merge_fields(title or shortened(_first_words(summary) or link, LIMITS["story title"])),
        url=link,
        source=without_merge_fields(source),
        summary=summary,
        published=published,
    )


def _resolved(url: str, base_url: str) -> str:
    """`url` as an absolute web address; empty for anything else, such as `javascript:`.

    As browsers do: line breaks and tabs are left out, and spaces are encoded.
    """
    url = _LINE_BREAKS.sub("", url.strip()).replace(" ", "%20")
    try:
        link = urljoin(base_url, url) if url else ""
    except ValueError:
        return ""
    return link if link and not any(field_faults("link", link)) else ""


def _first_words(summary: str) -> str:
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)|[*\\]", r"\1", summary).removeprefix("- ").split()
    return " ".join(words[:TITLE_WORDS]) + ("…" if len(words) > TITLE_WORDS else "")
