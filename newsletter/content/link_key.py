"""When two links lead to the same page: one key for both. Pure."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import parse_qsl, urlencode, urlsplit

#: What only tells who sent the reader: names that start like this, and these names.
_TRACKING = re.compile(r"utm_|pk_|mtm_|hsa_|_hs|at_campaign|at_medium", re.IGNORECASE)
_TRACKING_NAMES_LIST = (
    "fbclid gclid gclsrc dclid gbraid wbraid msclkid yclid twclid ttclid li_fat_id igshid igsh mc_cid mc_eid mkt_tok "
    "oly_anon_id oly_enc_id vero_id ck_subscriber_id s_cid ref_src ncid cmpid wt_mc wt.mc_id _openstat"
)
_TRACKING_NAMES = frozenset(_TRACKING_NAMES_LIST.split())
_DEFAULT_PORTS = {"http": 80, "https": 443}


def link_key(url: str) -> str:
    """What `url` has in common with every other spelling of the same page.

    The same are: http and https, the case of the host, its default port, a slash at the end, the place within the
    page, and parameters that only track, in whatever order the others stand. For comparing, not for asking.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return url.strip()
    named_port = "" if port is None or port == _DEFAULT_PORTS.get(parts.scheme) else f":{port}"
    kept = sorted(pair for pair in parse_qsl(parts.query, keep_blank_values=True) if not _only_tracks(pair[0]))
    query = f"?{urlencode(kept)}" if kept else ""
    return f"{(parts.hostname or '').rstrip('.')}{named_port}{parts.path.rstrip('/')}{query}"


def link_sha256(url: str) -> str:
    """The key as 64 hexadecimal digits: how a link is looked up in the tables."""
    return hashlib.sha256(link_key(url).encode("utf-8", "surrogatepass")).hexdigest()


def _only_tracks(name: str) -> bool:
    return _TRACKING.match(name) is not None or name.lower() in _TRACKING_NAMES
