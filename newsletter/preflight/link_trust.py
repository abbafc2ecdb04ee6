"""Checks of whether links lead where they seem to, and carry nothing that belongs to one subscriber. Pure."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import idna

from newsletter.config.translatable import translatable
from newsletter.content.document import IssueContent
from newsletter.content.markdown import links_with_words
from newsletter.preflight.findings import Finding, Fix, error, make_fix, warning
from newsletter.preflight.places import PlacedLink, placed_bodies, placed_links, with_link_replaced

FAMILY = "links"

#: Parameters by which mail services tell subscribers apart: following such a link counts as a visit of that subscriber.
SUBSCRIBER_PARAMETERS = frozenset(
    (  # noqa: SIM905 - words
        "mc_eid ck_subscriber_id vero_id oly_enc_id oly_anon_id mkt_tok _hsenc subscriber_id bhlid _bhlid unsub_token"
    ).split()
)

#: Addresses of mail services that count a click of the subscriber of another newsletter before they lead on.
_TRACKERS = re.compile(
    r"""
      (?:[\w-]+\.)*list-manage\d*\.com/track/ | (?:[\w-]+\.)*substack\.com/redirect/ | email\.mg\d*\.substack\.com/c/
    | (?:[\w-]+\.)*click\.(?:convertkit|kit)-mail\d*\.com/ | click\.convertkit-mail\d*\.com/
    | link\.mail\.beehiiv\.com/ | (?:[\w-]+\.)*mjt\.lu/ | click\.mlsend\d*\.com/ | trk\.klclick\d*\.com/
    | (?:[\w.-]+\.)?sendgrid\.net/ls/click | click\.revue\.email/ | (?:[\w-]+\.)*safelinks\.protection\.outlook\.com/
    | urldefense\.(?:com|proofpoint\.com)/ | (?:www\.)?google\.[a-z.]+/url\? | l\.(?:facebook|instagram)\.com/
    | t\.umblr\.com/ | mailchi\.mp/[^?#]*\?(?:[^#]*&)?e= | (?:[\w-]+\.)*campaign-archive\d*\.com/.*[?&]e=
    """,
    re.IGNORECASE | re.VERBOSE,
)

_ADDRESS_IN_WORDS = re.compile(r"(?:https?://)?(?:www\.)?((?:[\w-]+\.)+[a-z]{2,24})(?:[:/?#]\S*)?", re.IGNORECASE)
#: Endings of file names that look like a domain: "main.py" promises no site.
_FILE_ENDINGS = frozenset("py js ts rs go md sh pl cs cc so io net app zip mov".split())  # noqa: SIM905 - words


def check_link_trust(content: IssueContent) -> Iterator[Finding]:
    """Error: a user name before the host. Warnings: look-alike hosts, words of another site, ids of subscribers."""
    known: set[str] = set()
    for link in placed_links(content):
        if link.url not in known:
            known.add(link.url)
            yield from _check_address(link, content)
    for place, body in placed_bodies(content):
        for words, url in links_with_words(body):
            yield from _check_words(words, url, place)


def _check_address(link: PlacedLink, content: IssueContent) -> Iterator[Finding]:
    try:
        parts = urlsplit(link.url)
        host, user = parts.hostname or "", parts.username
    except ValueError:
        return
    if not link.url.lower().startswith(("http://", "https://")):
        return
    if user is not None:
        yield error(
            FAMILY,
            "user_name_in_link",
            link.place,
            translatable(
                "The address {url} leads to {host}: what stands before the @ is a user name and no part of the site. "
                "Mail programs treat such links as fraud. Write the address without it.",
                url=link.url,
                host=host,
            ),
            field=link.field,
        )
    if twin := latin_twin_of(host):
        yield warning(
            FAMILY,
            "deceptive_host",
            link.place,
            translatable(
                "The site of {url} is written with letters of another alphabet. It looks like {twin}, but it is "
                "{host}. Make sure that this is the right site.",
                url=link.url,
                twin=twin,
                host=_ascii(host),
            ),
            field=link.field,
        )
    yield from _check_subscriber(link, content)


def _check_subscriber(link: PlacedLink, content: IssueContent) -> Iterator[Finding]:
    if _TRACKERS.match(link.url.split("://", 1)[-1]):
        yield warning(
            FAMILY,
            "link_of_a_subscriber",
            link.place,
            translatable(
                "The address {url} belongs to the mail that another newsletter sent to one subscriber. It counts every "
                "click as theirs, and may stop working. Open it, and use the address of the page itself.",
                url=link.url,
            ),
            field=link.field,
        )
        return
    shorter, names = without_subscriber_parameters(link.url)
    if names:
        yield warning(
            FAMILY,
            "id_of_a_subscriber",
            link.place,
            translatable(
                "The address {url} contains {names}, by which a site recognizes one subscriber. Remove it.",
                url=link.url,
                names=", ".join(names),
            ),
            _fix_address(shorter, link, content),
            field=link.field,
        )


def without_subscriber_parameters(url: str) -> tuple[str, tuple[str, ...]]:
    """`url` without the parameters that tell subscribers apart, and their names; the rest of it stays as typed."""
    parts = urlsplit(url)
    pairs = parts.query.split("&") if parts.query else []
    names = [pair.split("=", 1)[0] for pair in pairs]
    found = tuple(name for name in names if name.lower() in SUBSCRIBER_PARAMETERS)
    if not found:
        return url, ()
    kept = "&".join(pair for pair, name in zip(pairs, names, strict=True) if name not in found)
    return urlunsplit(parts._replace(query=kept)), found


def _fix_address(url: str, link: PlacedLink, content: IssueContent) -> Fix | None:
    label = translatable("Use {url}", url=url)
    return make_fix(label, content, lambda before: with_link_replaced(before, link.url, url))


def _check_words(words: str, url: str, place: str) -> Iterator[Finding]:
    """A link whose words are an address of another site: recipients see one and get the other."""
    shown = _ADDRESS_IN_WORDS.fullmatch(words.strip())
    if shown is None or not url.lower().startswith(("http://", "https://")):
        return
    promised = shown[1].lower()
    is_address = "/" in words or words.lower().startswith("www.") or promised.count(".") > 1
    if not is_address and promised.rsplit(".", 1)[-1] in _FILE_ENDINGS:
        return
    try:
        host = (urlsplit(url).hostname or "").lower()
    except ValueError:
        return
    if not host or _belong_together(promised, host.removeprefix("www.")):
        return
    yield warning(
        FAMILY,
        "words_name_another_site",
        place,
        translatable(
            "The text “{words}” links to {host}. Mail programs treat a link as fraud if its words name another site. "
            "Change the words or the address.",
            words=words.strip(),
            host=host,
        ),
        field="body",
    )


def _belong_together(one: str, other: str) -> bool:
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


@functools.lru_cache(maxsize=1024)
def latin_twin_of(host: str) -> str:
    """The Latin host that `host` can be mistaken for; empty if there is none.

    Every letter of a label that is not Latin must have a Latin look-alike (Unicode TR 39), so that names in other
    alphabets, which have letters of their own, are no look-alikes.
    """
    labels = [_unicode(label) for label in host.lower().split(".")]
    if all(label.isascii() for label in labels):
        return ""
    shown = [_as_latin(label) for label in labels]
    changed = [latin for latin, label in zip(shown, labels, strict=True) if latin != label]
    return ".".join(latin or label for latin, label in zip(shown, labels, strict=True)) if any(changed) else ""


def _as_latin(label: str) -> str:
    """The label in Latin letters; empty if one of its letters has no look-alike among them."""
    latin = []
    for letter in label:
        if letter.isascii() or unicodedata.name(letter, "").startswith("LATIN") or not letter.isalpha():
            latin.append(letter)
        elif twin := _latin_letter(letter):
            latin.append(twin)
        else:
            return ""
    return "".join(latin)


@functools.lru_cache(maxsize=4096)
def _latin_letter(letter: str) -> str:
    # Its table of 1 MB is read only where such a host is.
    from confusable_homoglyphs import confusables  # type: ignore[import-untyped]

    found = confusables.is_confusable(letter, preferred_aliases=["latin"], greedy=True) or []
    twins = (twin["c"] for one in found for twin in one["homoglyphs"] if twin["n"].startswith("LATIN"))
    return str(next(twins, ""))


def _unicode(label: str) -> str:
    if not label.startswith("xn--"):
        return unicodedata.normalize("NFC", label)
    try:
        return idna.decode(label)
    except (idna.IDNAError, UnicodeError):
        return label


def _ascii(host: str) -> str:
    try:
        return idna.encode(host, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        return host
