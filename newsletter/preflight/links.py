"""Checks of the addresses in an issue: whether they are valid, and how their servers responded. Pure.

`link_checks` makes the requests; their results are part of the Inspection.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set

from newsletter.config.translatable import translatable, translatable_plural
from newsletter.content.links import is_allowed_in_text, web_link_problem
from newsletter.preflight.findings import (
    Finding,
    Fix,
    Inspection,
    LinkStatus,
    Rendered,
    error,
    make_fix,
    warning,
)
from newsletter.preflight.link_trust import check_link_trust
from newsletter.preflight.mail_page import mail_page
from newsletter.preflight.places import THEME, WHOLE_ISSUE, PlacedLink, placed_links, with_link_replaced
from newsletter.rendering.placeholders import token_pattern

FAMILY = "links"
GONE = frozenset({404, 410})
REJECTS_BOTS = frozenset({401, 403, 405, 406, 429, 451, 503})
PERMANENT = frozenset({301, 308})
#: A link that opens a new mail without a recipient (RFC 6068 §2), for forwarding; links of editors need an address.
NEW_MAIL = "mailto:?"
#: If so many links are checked and none responds, the cause is probably this machine's own connection.
ENOUGH_TO_TELL = 3


def check_links(inspection: Inspection) -> Iterator[Finding]:
    """Errors: an address that is not valid, and a page that does not exist any more (404, 410)."""
    links = list(_unique_links(inspection))
    stories = {story.url for story in inspection.content.stories()}
    in_fields = {address for section in inspection.content.sections for address in (section.url, section.image)}
    for link in links:
        if link.url not in in_fields:  # the family `content` checks the fields of sections
            yield from _check_syntax(link, is_story=link.url in stories)
    yield from check_link_trust(inspection.content)
    if inspection.rendered:
        yield from _check_template(inspection.rendered, {link.url for link in links})
    usable = [link for link in links if is_web_link(link.url)]
    statuses = {link.url: inspection.links[link.url] for link in usable if link.url in inspection.links}
    if len(statuses) < len(usable):
        yield warning(FAMILY, "not_checked", WHOLE_ISSUE, _not_checked(len(usable) - len(statuses), len(usable)))
    if _none_responds(statuses):
        yield warning(
            FAMILY,
            "none_responds",
            WHOLE_ISSUE,
            translatable(
                "None of the {count} links could be reached from this server, so they are not checked. The server may "
                "have no access to the internet.",
                count=len(statuses),
            ),
        )
        return
    for link in usable:
        if link.url in statuses:
            yield from _check_response(link, statuses[link.url], inspection)


def is_web_link(url: str) -> bool:
    """Whether an address can be checked: a valid http or https address."""
    return web_link_problem(url) is None


def _unique_links(inspection: Inspection) -> Iterator[PlacedLink]:
    """Every address once, at its first place: it has one status, and a fix corrects all its places."""
    known: set[str] = set()
    for link in placed_links(inspection.content):
        if link.url not in known:
            known.add(link.url)
            yield link


def _check_syntax(link: PlacedLink, *, is_story: bool) -> Iterator[Finding]:
    if is_story and not is_web_link(link.url):
        yield error(
            FAMILY,
            "invalid_story_link",
            link.place,
            translatable(
                "The link “{url}” is not a valid web address. It must start with https:// or http:// and contain no "
                "spaces.",
                url=link.url,
            ),
            field=link.field,
        )
    elif not is_allowed_in_text(link.url):
        yield error(
            FAMILY,
            "invalid_link_in_text",
            link.place,
            translatable(
                "The link to “{url}” in the text does not work in a mail. Write the full address with https://.",
                url=link.url,
            ),
            field=link.field,
        )


def _check_template(rendered: Rendered, in_content: Set[str]) -> Iterator[Finding]:
    """Addresses that the theme adds. Relative addresses do not work in a mail."""
    page = mail_page(rendered.html)
    anchors = {f"#{anchor}" for element in page.styles if (anchor := element.get("id") or element.get("name"))}
    known = set(in_content)
    for element in page.elements("a", "img"):
        is_image = element.tag == "img"
        url = element.get("src" if is_image else "href") or ""
        if not url or url in known or re.search(token_pattern(rendered.nonce), url):
            continue
        known.add(url)
        if is_image and not is_web_link(url) and not url.lower().startswith("data:"):
            yield error(
                FAMILY,
                "invalid_theme_image",
                THEME,
                translatable(
                    "The image “{url}” does not work in a mail. Write its full address with https://.", url=url
                ),
            )
        elif url.startswith("#"):
            if url not in anchors:
                yield warning(
                    FAMILY,
                    "missing_anchor",
                    THEME,
                    translatable(
                        "The link to {url} has no target in the mail. Add an element with this id to the template.",
                        url=url,
                    ),
                )
        elif not is_image and not is_allowed_in_text(url) and not url.startswith(NEW_MAIL):
            yield error(
                FAMILY,
                "invalid_theme_link",
                THEME,
                translatable(
                    "The link to “{url}” does not work in a mail. Write the full address with https://.", url=url
                ),
            )


def _check_response(link: PlacedLink, status: LinkStatus, inspection: Inspection) -> Iterator[Finding]:
    if status.status is None:
        message = translatable(
            "The address {url} did not respond: {reason} Open it to check it.", url=link.url, reason=status.reason
        )
        yield warning(FAMILY, "no_response", link.place, message, field=link.field)
    elif status.status in GONE:
        message = translatable(
            "The page at {url} does not exist any more (HTTP {status}). Replace the address.",
            url=link.url,
            status=status.status,
        )
        yield error(FAMILY, "gone", link.place, message, field=link.field)
    elif status.status >= 400:
        yield _http_error(link, status.status)
    elif status.hops:
        yield _redirect(link, status, inspection)
    elif link.url.lower().startswith("http://"):
        yield _not_encrypted(link, status, inspection)


def _http_error(link: PlacedLink, status: int) -> Finding:
    if status in REJECTS_BOTS:
        message = translatable(
            "The server at {url} rejects automated requests (HTTP {status}). This is common, and the page usually "
            "opens in a browser: open it to check it.",
            url=link.url,
            status=status,
        )
        return warning(FAMILY, "rejects_bots", link.place, message, field=link.field)
    if status >= 500:
        message = translatable(
            "The server at {url} reports an internal error (HTTP {status}). Check the links again later.",
            url=link.url,
            status=status,
        )
        return warning(FAMILY, "server_error", link.place, message, field=link.field)
    message = translatable(
        "The server at {url} does not accept the address (HTTP {status}). Open it to check it.",
        url=link.url,
        status=status,
    )
    return warning(FAMILY, "client_error", link.place, message, field=link.field)


def _redirect(link: PlacedLink, status: LinkStatus, inspection: Inspection) -> Finding:
    """A redirect is always reported. A fix is offered only if all redirects on the way are permanent."""
    is_permanent = all(hop.status in PERMANENT for hop in status.hops)
    if is_permanent and is_web_link(status.final_url):
        message = translatable(
            "The address {url} has permanently moved to {target}. Use the new address.",
            url=link.url,
            target=status.final_url,
        )
        fix = _fix_address(status.final_url, link, inspection)
        return warning(FAMILY, "moved", link.place, message, fix, field=link.field)
    message = translatable(
        "The address {url} redirects to {target}. Make sure that this is the right page.",
        url=link.url,
        target=status.final_url,
    )
    return warning(FAMILY, "redirects", link.place, message, field=link.field)


def _not_encrypted(link: PlacedLink, status: LinkStatus, inspection: Inspection) -> Finding:
    if status.has_https:
        secure = f"https://{link.url[len('http://') :]}"
        message = translatable(
            "The address {url} is not encrypted, and {secure} returns the same page. Use that.",
            url=link.url,
            secure=secure,
        )
        fix = _fix_address(secure, link, inspection)
        return warning(FAMILY, "https_available", link.place, message, fix, field=link.field)
    message = translatable(
        "The address {url} is not encrypted. Some mail clients warn about such links: use an https address if there "
        "is one.",
        url=link.url,
    )
    return warning(FAMILY, "not_encrypted", link.place, message, field=link.field)


def _fix_address(url: str, link: PlacedLink, inspection: Inspection) -> Fix | None:
    label = translatable("Use {url}", url=url)
    return make_fix(label, inspection.content, lambda content: with_link_replaced(content, link.url, url))


def _not_checked(waiting: int, total: int) -> str:
    return translatable_plural(
        "1 of {total} links has not been checked yet. Run the checks again in a minute.",
        "{count} of {total} links have not been checked yet. Run the checks again in a minute.",
        count=waiting,
        total=total,
    )


def _none_responds(statuses: Mapping[str, LinkStatus]) -> bool:
    return len(statuses) >= ENOUGH_TO_TELL and all(status.status is None for status in statuses.values())


def passed_links(inspection: Inspection) -> str:
    """The sentence to show if there are no findings."""
    count = len({link.url for link in placed_links(inspection.content) if is_web_link(link.url)})
    if not count:
        return translatable("The issue has no links to check.")
    return translatable_plural("The link works.", "All {count} links work.", count=count)
