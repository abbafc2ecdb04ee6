"""Tracked links of other tools: unwrapped offline, and without what names a subscriber. Pure.

Following such a link would count as a click of the subscriber that it was made for, or unsubscribe them, so that no
link is followed. What no rule knows but what looks like a token is found by `subscriber_tokens`.
"""

from __future__ import annotations

import base64
import binascii
import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

import orjson

from newsletter.content.document import IssueContent
from newsletter.content.links import web_link_problem

MAX_WRAPPED = 5
"""Tracked links in one another."""


class Fate(enum.StrEnum):
    """What becomes of a link."""

    KEPT = "kept"
    CHANGED = "changed"
    """Unwrapped, or without what names a subscriber."""
    CHROME = "chrome"
    """A link to unsubscribe, to change preferences or to share: it and its words are left out."""
    UNKNOWN = "unknown"
    """Its goal is not in it: its words are kept."""


@dataclass(frozen=True, slots=True)
class UnwrappedLink:
    """A link as it may be published; `url` is empty unless it is kept or changed."""

    url: str
    fate: Fate


#: Parameters that name a subscriber, wherever they are.
_SUBSCRIBER_IDS = re.compile(
    r"mc_eid|ck_subscriber_id|subscriber_?id|token|vero_id|oly_enc_id|oly_anon_id|mkt_tok|_hsenc|_bhlid|_kx|"
    r"last_resource_guid|sfmc_sub|ml_subscriber(?:_hash)?|ss_email_id|ss_source|email_?address|email|jwt_token|"
    r"rp_refer_url|attribution_id",
    re.IGNORECASE,
)
#: Parameters that name a subscriber at these hosts, or on these paths.
_BY_HOST = (
    (re.compile(r"(?:^|\.)(?:mailchi\.mp|campaign-archive\d*\.com|list-manage\d*\.com|eepurl\.com)$"), "", {"e"}),
    (re.compile(r"(?:^|\.)substack\.com$"), "", {"r", "j", "u", "s", "redirect"}),
    (re.compile(r""), "/p/", {"r"}),
    (re.compile(r"(?:^|\.)(?:kit|convertkit|ck)\.(?:com|page)$"), "", {"id", "s"}),
)
_COUNTERS = re.compile(r"utm_|mc_cid$", re.IGNORECASE)

_CHROME_PATH = re.compile(
    r"unsubscribe|disable_email|opt[-_]?out|manage[-_]?(?:preferences|subscription)|update[-_]?profile|"
    r"subscription[-_/]?preferences|email[-_]?preferences|/preferences(?:/|$)|/profile\?",
    re.IGNORECASE,
)
_SHARE = (
    (re.compile(r"(?:^|\.)facebook\.com$"), re.compile(r"^/(?:sharer|share\.php|dialog/share)")),
    (re.compile(r"(?:^|\.)(?:twitter|x)\.com$"), re.compile(r"^/(?:intent/tweet|share)")),
    (re.compile(r"(?:^|\.)linkedin\.com$"), re.compile(r"^/(?:shareArticle|sharing/|cws/share)")),
    (re.compile(r"(?:^|\.)(?:forward-to-friend\d*\.com|addtoany\.com|addthis\.com)$"), re.compile(r"")),
    (re.compile(r"(?:^|\.)(?:threads\.net|bsky\.app)$"), re.compile(r"^/intent/")),
    (re.compile(r"(?:^|\.)getpocket\.com$"), re.compile(r"^/(?:save|edit)")),
)
#: Tracked links that do not hold their goal: host, path.
_TRACKED = (
    (re.compile(r"(?:^|\.)list-manage\d*\.com$"), re.compile(r"^/track/")),
    (re.compile(r"^link\.mail\.beehiiv\.com$|^[\w-]+\.mail\.beehiiv\.com$"), re.compile(r"^/(?:ss|v1)/c/")),
    (re.compile(r"(?:^|\.)substack\.com$"), re.compile(r"^/(?:redirect|app-link)/")),
    (re.compile(r"^email\.mg\d*\.substack\.com$"), re.compile(r"^/")),
    (re.compile(r"^(?:[\w-]+\.)?click\.convertkit-mail\d*\.com$"), re.compile(r"^/")),
    (re.compile(r"(?:^|\.)mjt\.lu$"), re.compile(r"^/lnk/")),
    (re.compile(r"^click\.mlsend\d*\.com$|^trk\.klclick\d*\.com$|^click\.revue\.email$"), re.compile(r"^/")),
    (re.compile(r"(?:^|\.)sendgrid\.net$"), re.compile(r"^/(?:ls|wf)/")),
    # listmonk: the link, the campaign and the subscriber, or the campaign and the subscriber.
    (
        re.compile(r""),
        re.compile(r"^/(?:link/[\da-f-]{36}/[\da-f-]{36}/[\da-f-]{36}|campaign/[\da-f-]{36}/[\da-f-]{36})"),
    ),
    (re.compile(r""), re.compile(r"^/ss/c/|^/wf/(?:click|open)|^/ls/click")),
)
_PIXEL = re.compile(
    r"/track/open|/open\.(?:gif|png|aspx?|php)|/o\.gif|/wf/open|/ss/o/|[/_-]pixel(?:s|\.\w+)?(?:[/?]|$)|open[-_]tracking|"
    r"/campaign/[\da-f-]{36}/[\da-f-]{36}/px|/e/o/|mailtrack|/beacon(?:s|\.\w+)?(?:[/?]|$)",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"https?://[^\s<>()\[\]\"'`\\]+")
_SIGNED = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}")
# Shared calendars have addresses, too, which name no subscriber.
_MAIL_IN_QUERY = re.compile(
    r"[?&/=][^?&/=\s]+(?:@|%40)(?!(?:group|import|resource)\.calendar\.google\.com\b)[\w-]+\.\w", re.IGNORECASE
)


def unwrap_link(url: str, *, keeps_counters: bool = True) -> UnwrappedLink:
    """The link as it may be published. `keeps_counters`: whether `utm_…` and `mc_cid` stay."""
    found = url.strip()
    for _ in range(MAX_WRAPPED):
        goal = _goal_of(found)
        if not goal:
            break
        found = goal
    if web_link_problem(found) is not None:
        return UnwrappedLink(url, Fate.KEPT)
    parts = urlsplit(found)
    if _is_chrome(found):
        return UnwrappedLink("", Fate.CHROME)
    host = (parts.hostname or "").lower()
    if _is_any(_TRACKED, host, parts.path):
        return UnwrappedLink("", Fate.UNKNOWN)
    clean = _without_ids(found, keeps_counters)
    return UnwrappedLink(clean, Fate.KEPT if clean == url.strip() else Fate.CHANGED)


def is_pixel(url: str) -> bool:
    """Whether the address of a picture only counts who opens a mail."""
    return _PIXEL.search(url) is not None


def subscriber_tokens(content: IssueContent) -> tuple[str, ...]:
    """The addresses in an issue that look as if they named a subscriber, each once."""
    found = (address for text in _texts_of(content) for address in _ADDRESS.findall(text))
    return tuple(dict.fromkeys(address for address in found if _has_token(address)))


def text_with_links_unwrapped(markdown: str, *, keeps_counters: bool = True) -> tuple[str, tuple[str, ...]]:
    """Markdown with the addresses in it unwrapped, and those that were removed from it.

    A link without a goal keeps its words, and one to unsubscribe does not.
    """
    removed: list[str] = []

    def linked(found: re.Match[str]) -> str:
        link = unwrap_link(found["url"], keeps_counters=keeps_counters)
        if link.fate in (Fate.CHROME, Fate.UNKNOWN):
            removed.append(_without_ids(found["url"], True))
            return "" if link.fate == Fate.CHROME else found["words"]
        return f"[{found['words']}]({link.url}{found['rest']})"

    def bare(found: re.Match[str]) -> str:
        link = unwrap_link(found[0], keeps_counters=keeps_counters)
        if link.fate in (Fate.CHROME, Fate.UNKNOWN):
            removed.append(_without_ids(found[0], True))
            return ""
        return link.url

    text = re.sub(
        r"(?<![!\\])\[(?P<words>(?:\\.|[^\\\[\]]|!\[[^\[\]]*\]\([^()\s]*\)){0,2000})\]"
        r"\(<?(?P<url>https?://[^\s()<>]+)>?(?P<rest>(?:\s+\"[^\"]*\")?)\)",
        linked,
        markdown,
    )
    return re.sub(r"https?://[^\s<>()\[\]\"'`\\]+", bare, text), tuple(dict.fromkeys(removed))


def _goal_of(url: str) -> str:
    """The address within a tracked link; empty if it is none, or does not hold it."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
    except ValueError:
        return ""
    if re.search(r"(?:^|\.)substack\.com$", host) and parts.path.startswith("/redirect/2/"):
        return _from_json(parts.path.removeprefix("/redirect/2/").split(".")[0])
    if re.search(r"^(?:[\w-]+\.)?click\.convertkit-mail\d*\.com$", host):
        return _from_base64(parts.path.rstrip("/").rsplit("/", 1)[-1])
    if re.search(r"(?:^|\.)google\.[a-z.]+$", host) and parts.path == "/url":
        return dict(parse_qsl(parts.query)).get("q", "")
    return ""


def _from_json(text: str) -> str:
    try:
        value = orjson.loads(_decoded(text))
    except (orjson.JSONDecodeError, ValueError):
        return ""
    goal = value.get("e") if isinstance(value, dict) else None
    return goal if isinstance(goal, str) and web_link_problem(goal) is None else ""


def _from_base64(text: str) -> str:
    try:
        goal = _decoded(unquote(text)).decode("utf-8")
    except ValueError:
        return ""
    return goal if web_link_problem(goal) is None else ""


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text.translate(str.maketrans("-_", "+/")) + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(text) from error


def _is_chrome(url: str) -> bool:
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    if _is_any(_SHARE, host, parts.path):
        return True
    # A path that is only about the topic, such as that of an article about unsubscribing, has more words.
    return _CHROME_PATH.search(f"{parts.path}?{parts.query}") is not None and _is_ours(parts.path, parts.query)


def _is_ours(path: str, query: str) -> bool:
    """Whether a path looks made by a program: short, or with an id."""
    last = path.rstrip("/").rsplit("/", 1)[-1]
    return bool(query) or last.count("-") < 3 or re.search(r"[\da-f-]{32,}", path) is not None


def _is_any(rules: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...], host: str, path: str) -> bool:
    return any(hosts.search(host) and paths.search(path) for hosts, paths in rules)


def _without_ids(url: str, keeps_counters: bool) -> str:
    """The address without parameters that name a subscriber; the others stay as they were written."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
    except ValueError:
        return url
    if not parts.query:
        return url
    kept = [pair for pair in parts.query.split("&") if not _is_id(pair, host, parts.path, keeps_counters)]
    if len(kept) == parts.query.count("&") + 1:
        return url
    return urlunsplit(parts._replace(query="&".join(kept)))


def _is_id(pair: str, host: str, path: str, keeps_counters: bool) -> bool:
    name = unquote(pair.partition("=")[0])
    if _COUNTERS.match(name):
        return not keeps_counters
    if _SUBSCRIBER_IDS.fullmatch(name):
        return True
    return any(hosts.search(host) and path.startswith(start) and name in names for hosts, start, names in _BY_HOST)


def _has_token(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    host = (parts.hostname or "").lower()
    if _is_any(_TRACKED, host, parts.path) or _SIGNED.search(address):
        return True
    if host.endswith("google.com") and "calendar" in f"{host}{parts.path}":
        return False  # the address of a public calendar
    has_mail = _MAIL_IN_QUERY.search(f"?{parts.query}") is not None
    return has_mail or _without_ids(address, True) != address


def _texts_of(content: IssueContent) -> Iterator[str]:
    yield from (content.title, content.subject, content.preheader)
    for section in content.sections:
        yield from (section.title, section.body, section.url, section.source, section.image, section.alt)
        for story in section.stories:
            yield from (story.title, story.url, story.source, story.body, story.image, story.alt)
