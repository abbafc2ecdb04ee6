"""Wrapping: the links of an edition lead through this site, if that is the newsletter's choice.

    freeze   the links of the content ─► checked, numbered ─► kept in the edition, beside the plain HTML
    send     plain HTML ─► each link that has a number gets its signed URL ─► canaries, image ─► the mails

The stored HTML stays plain: previews, checks and test mails show the true links, and so does the web version. The text
part keeps them, too.
"""

from __future__ import annotations

import html
import ipaddress
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from django.conf import settings

from newsletter.config.translatable import translatable
from newsletter.engagement.tokens import EditionSigner
from newsletter.models import (
    CANARY_EARLY,
    CANARY_LATE,
    FIRST_LINK,
    OPEN,
    ConsentMode,
    Edition,
    EngagementSource,
    Newsletter,
    numbered_links,
)
from newsletter.rendering import IssueLink, PlaceholderContext, RenderingError, placeholder_token

#: The placeholder of the ending of links with consent.
VISITOR = "visitor"

_ANCHOR = re.compile(r'(<a\b[^>]*?\shref=")([^"]*)(")', re.IGNORECASE)
_BODY = re.compile(r"<body\b[^>]*>", re.IGNORECASE)

#: No human sees or reaches it, and it is not hidden: filters take hidden links for a sign of spam.
_CANARY = (
    '<a href="{url}" aria-hidden="true" tabindex="-1" style="font-size:0;line-height:0;text-decoration:none">'
    "&#8203;</a>"
)
_IMAGE = '<img src="{url}" alt="" width="1" height="1" style="border:0;width:1px;height:1px" />'


def frozen_engagement(newsletter: Newsletter, links: Iterable[IssueLink]) -> dict[str, Any]:
    """What an edition keeps of the newsletter's choice: source, consent, image, and the numbered links.

    Empty without a source. Raises RenderingError for a link that must not be led to.
    """
    source = newsletter.engagement_source
    if source == EngagementSource.NONE:
        return {}
    kept = [
        {"url": _checked(link), "written": link.url, "label": link.label, "place": link.place}
        for link in links
        if _is_followed(link.url)
    ]
    return {
        "source": source,
        "is_personal": newsletter.consent_mode == ConsentMode.CONSENT,
        "opens": newsletter.measures_opens,
        "links": kept,
    }


def choice_of(newsletter: Newsletter) -> list[Any]:
    """What of the newsletter's choice an edition depends on; empty without a source, as before there was a choice."""
    if newsletter.engagement_source == EngagementSource.NONE:
        return []
    return [newsletter.engagement_source, newsletter.consent_mode, newsletter.measures_opens]


def is_personal(engagement: Mapping[str, Any]) -> bool:
    """Whether the links of this edition have an ending per recipient."""
    return engagement.get("source") == EngagementSource.OWN and bool(engagement.get("is_personal"))


def wrapped_html(edition: Edition) -> str:
    """The HTML part as it is sent. Without a source it is the stored one, byte for byte."""
    source = edition.engagement.get("source")
    if not source:
        return edition.html
    signer, ending = EditionSigner(edition.pk), ""
    if is_personal(edition.engagement):
        ending = placeholder_token(edition.nonce, VISITOR, PlaceholderContext.HTML)

    def url(number: int) -> str:
        return signer.url(number, ending=ending)

    page = edition.html
    if source == EngagementSource.OWN:
        page = _with_urls(page, numbered_links(edition), url)
    image = _IMAGE.format(url=url(OPEN)) if source == EngagementSource.OWN and edition.engagement["opens"] else ""
    page = _BODY.sub(lambda body: body[0] + _CANARY.format(url=url(CANARY_EARLY)), page, count=1)
    head, end, rest = page.rpartition("</body>")
    return f"{head}{_CANARY.format(url=url(CANARY_LATE))}{image}{end}{rest}"


def number_of_link(links: Sequence[Mapping[str, Any]], url: str) -> int | None:
    """The number of the first link with this address, as a provider reports it; None if it has none."""
    for place, link in enumerate(links):
        if url in (link["url"], link["written"]):
            return FIRST_LINK + place
    return None


def _with_urls(page: str, links: Sequence[Mapping[str, Any]], url: Any) -> str:
    """The page with our URLs. A link that stands in it more often than in the content keeps its last number."""
    waiting: dict[str, list[int]] = defaultdict(list)
    for place, link in enumerate(links):
        waiting[link["written"]].append(FIRST_LINK + place)

    def replaced(anchor: re.Match[str]) -> str:
        numbers = waiting.get(html.unescape(anchor[2]))
        if not numbers:
            return anchor[0]
        number = numbers.pop(0) if len(numbers) > 1 else numbers[0]
        return f"{anchor[1]}{url(number)}{anchor[3]}"

    return _ANCHOR.sub(replaced, page)


def _is_followed(url: str) -> bool:
    """Whether a link is wrapped: not mailto:, tel: or an anchor, and no page of this site, signed or not."""
    return url.lower().startswith(("http://", "https://")) and _host(url) != _host(settings.SITE_URL)


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".").lower()
    except ValueError:
        return ""


def _checked(link: IssueLink) -> str:
    """Where the link leads to, with an ASCII host. Raises RenderingError with a sentence for the editor."""
    try:
        parts = urlsplit(link.url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _refused(link, translatable("The address cannot be read.")) from None
    if parts.username is not None or parts.password is not None:
        raise _refused(link, translatable("It contains a user name or a password."))
    if _is_ip(host):
        raise _refused(link, translatable("It names a number instead of a host."))
    return urlunsplit(_with_ascii_host(parts, link, host, port))


def _with_ascii_host(parts: SplitResult, link: IssueLink, host: str, port: int | None) -> SplitResult:
    if host.isascii():
        return parts
    try:
        ascii_host = host.encode("idna").decode("ascii")
    except UnicodeError:
        raise _refused(link, translatable("Its host name is not valid.")) from None
    return parts._replace(netloc=ascii_host if port is None else f"{ascii_host}:{port}")


def _is_ip(host: str) -> bool:
    """An IP address, also as browsers read numbers without dots, such as 2130706433 or 0x7f.1."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        last = host.rstrip(".").rpartition(".")[2]
        return re.fullmatch(r"0[xX][0-9a-fA-F]*|[0-9]+", last) is not None
    return True


def _refused(link: IssueLink, problem: str) -> RenderingError:
    return RenderingError(
        translatable(
            "The link “{label}” to {url} cannot lead through this site. {problem} Change the link, or choose no source "
            "of opens and clicks.",
            label=link.label,
            url=link.url,
            problem=problem,
        )
    )
