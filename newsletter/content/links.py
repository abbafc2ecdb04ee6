"""Link addresses: which are allowed, and when two lead to the same page. Pure."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import parse_qsl, urlencode, urlsplit

from newsletter.config.translatable import translatable

_WEB = re.compile(r"https?://[^/?#\\\s]", re.IGNORECASE)
_MAIL = re.compile(r"mailto:[^\s@]+@[^\s@]", re.IGNORECASE)
_UNUSABLE = re.compile(r"[\s\\\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")

#: Prefixes and names of query parameters that only track where a visit came from.
_TRACKING = re.compile(r"utm_|pk_|mtm_|hsa_|_hs|at_campaign|at_medium", re.IGNORECASE)
_TRACKING_NAMES_LIST = (
    "fbclid gclid gclsrc dclid gbraid wbraid msclkid yclid twclid ttclid li_fat_id igshid igsh mc_cid mc_eid mkt_tok "
    "oly_anon_id oly_enc_id vero_id ck_subscriber_id s_cid ref_src ncid cmpid wt_mc wt.mc_id _openstat"
)
_TRACKING_NAMES = frozenset(_TRACKING_NAMES_LIST.split())
_DEFAULT_PORTS = {"http": 80, "https": 443}


def web_link_problem(url: str) -> str | None:
    """Why `url` cannot be a web link, as a sentence; None if it can.

    Only absolute http and https addresses are allowed: neither protocol-relative `//host` nor `javascript:`.
    """
    if _UNUSABLE.search(url):
        return translatable("The address contains a space, a backslash or an invisible character.")
    if not _WEB.match(url):
        return translatable("The address is not a full web address. It must start with https:// or http://.")
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    return None if host else translatable("The address has no host name after https://.")


def is_allowed_in_text(url: str) -> bool:
    """Whether a link in running text keeps its target: an absolute http, https or mailto address."""
    if _UNUSABLE.search(url):
        return False
    return web_link_problem(url) is None or _MAIL.match(url) is not None


def link_key(url: str) -> str:
    """A key that all spellings of the address of one page share. Compare it; do not fetch it.

    Ignored are: http or https, the case of the host, the default port, a trailing slash, the fragment, tracking
    parameters and the order of the others.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return url.strip()
    named_port = "" if port is None or port == _DEFAULT_PORTS.get(parts.scheme) else f":{port}"
    kept = sorted(pair for pair in parse_qsl(parts.query, keep_blank_values=True) if not _is_tracking(pair[0]))
    query = f"?{urlencode(kept)}" if kept else ""
    return f"{(parts.hostname or '').rstrip('.')}{named_port}{parts.path.rstrip('/')}{query}"


def link_sha256(url: str) -> str:
    """SHA-256 of the key, in hexadecimal: the column by which links are found in the tables."""
    return hashlib.sha256(link_key(url).encode("utf-8", "surrogatepass")).hexdigest()


def saved_link_sha256(url: str, guid: str = "") -> str:
    """SHA-256 of what a saved link is one link by: its page and fragment, and `guid` where a feed repeats an address.

    Equal to `link_sha256` without a fragment and a guid. Fragments count, since many feeds have one page whose parts
    are the entries; text fragments, which browsers add to mark words, do not.
    """
    extra = f"#{fragment}" if (fragment := _fragment_of(url)) else ""
    key = link_key(url) + extra + (f" {guid}" if guid else "")
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def leads_to_same_part(url: str, other: str) -> bool:
    """Whether two addresses lead to one page, and not to two named parts of it."""
    parts = {part for part in (_fragment_of(url), _fragment_of(other)) if part}
    return link_key(url) == link_key(other) and len(parts) < 2


def _fragment_of(url: str) -> str:
    fragment = url.strip().partition("#")[2].partition(":~:")[0]
    return "" if _TRACKING.match(fragment) else fragment


def _is_tracking(name: str) -> bool:
    return _TRACKING.match(name) is not None or name.lower() in _TRACKING_NAMES
