"""Checks of the addresses that an issue names: how they are written, and what was found when they were looked at.

Pure: the looking is done by `link_checks`, and its results come with the Inspection.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set

from newsletter.content.links import is_allowed_in_text, web_link_problem
from newsletter.preflight.findings import Finding, Fix, Inspection, LinkLook, Rendered, fix_of, look_at, must_fix
from newsletter.preflight.mail_page import mail_page
from newsletter.preflight.places import THEME, WHOLE_ISSUE, PlacedLink, placed_links, with_link_replaced
from newsletter.rendering.placeholders import token_pattern

FAMILY = "links"
GONE = frozenset({404, 410})
REFUSES_PROGRAMS = frozenset({401, 403, 405, 406, 429, 451, 503})
PERMANENT = frozenset({301, 308})
#: From so many links on, none of which answers, it is our own way out that is shut.
ENOUGH_TO_TELL = 3


def check_links(inspection: Inspection) -> Iterator[Finding]:
    """Must be fixed: an address that is none, and a page that is gone (404, 410). All else is for a person to judge."""
    links = list(_each_once(inspection))
    stories = {story.url for story in inspection.content.stories()}
    in_fields = {address for section in inspection.content.sections for address in (section.url, section.image)}
    for link in links:
        if link.url not in in_fields:  # those are checked with the other fields of their part
            yield from _check_syntax(link, is_story=link.url in stories)
    if inspection.rendered:
        yield from _check_template(inspection.rendered, {link.url for link in links})
    usable = [link for link in links if is_web_link(link.url)]
    looks = {link.url: inspection.links[link.url] for link in usable if link.url in inspection.links}
    waiting = len(usable) - len(looks)
    if waiting:
        yield look_at(FAMILY, WHOLE_ISSUE, _still_waiting(waiting, len(usable)))
    if _nothing_answers(looks):
        yield look_at(
            FAMILY,
            WHOLE_ISSUE,
            f"None of the {len(looks)} links could be reached from here, so nothing is known about them. Perhaps this "
            "machine may not open pages on the internet.",
        )
        return
    for link in usable:
        if link.url in looks:
            yield from _check_answer(link, looks[link.url], inspection)


def is_web_link(url: str) -> bool:
    """Whether an address can be looked at: one of the web, spelled as readers may get it."""
    return web_link_problem(url) is None


def _each_once(inspection: Inspection) -> Iterator[PlacedLink]:
    """Every address at the first place where it stands: it has one answer, and a fix puts it right everywhere."""
    seen: set[str] = set()
    for link in placed_links(inspection.content):
        if link.url not in seen:
            seen.add(link.url)
            yield link


def _check_syntax(link: PlacedLink, *, is_story: bool) -> Iterator[Finding]:
    problem = web_link_problem(link.url)
    if problem and is_story:
        yield must_fix(FAMILY, link.place, f"The link “{link.url}” {problem}. Correct it.")
    elif not is_allowed_in_text(link.url):
        yield must_fix(
            FAMILY,
            link.place,
            f"The link to “{link.url}” in the text leads nowhere. Give it a full address with https://.",
        )


def _check_template(rendered: Rendered, written: Set[str]) -> Iterator[Finding]:
    """Addresses that no editor wrote: those in the blocks of a theme, where only a whole address leads anywhere."""
    page = mail_page(rendered.html)
    goals = {f"#{goal}" for element in page.looks if (goal := element.get("id") or element.get("name"))}
    told = set(written)
    for element in page.elements("a", "img"):
        is_image = element.tag == "img"
        url = element.get("src" if is_image else "href") or ""
        if not url or url in told or re.search(token_pattern(rendered.nonce), url):
            continue
        told.add(url)
        if is_image and web_link_problem(url) and not url.lower().startswith("data:"):
            yield must_fix(FAMILY, THEME, f"The picture “{url}” is not a full web address. Give it one with https://.")
        elif url.startswith("#"):
            if url not in goals:
                yield look_at(
                    FAMILY, THEME, f"The link to {url} leads to no place in the mail. Give the place that id."
                )
        elif not is_image and not is_allowed_in_text(url):
            yield must_fix(FAMILY, THEME, f"The link to “{url}” leads nowhere. Give it a full address with https://.")


def _check_answer(link: PlacedLink, look: LinkLook, inspection: Inspection) -> Iterator[Finding]:
    what = "picture" if link.is_image else "link"
    if look.status is None:
        yield look_at(FAMILY, link.place, f"The {what} {link.url} gave no answer: {look.reason} Open it to be sure.")
    elif look.status in GONE:
        yield must_fix(
            FAMILY, link.place, f"The {what} {link.url} leads to a page that is gone (HTTP {look.status}). Replace it."
        )
    elif look.status >= 400:
        yield look_at(FAMILY, link.place, _refusal(what, link.url, look.status))
    elif look.hops:
        yield from _check_redirect(link, look, inspection)
    elif link.url.lower().startswith("http://"):
        yield _not_encrypted(link, look, inspection)


def _refusal(what: str, url: str, status: int) -> str:
    if status in REFUSES_PROGRAMS:
        return (
            f"The {what} {url} refuses programs such as this check (HTTP {status}). That is common, and readers mostly "
            "get through: open it once to be sure."
        )
    whose = "The server has a fault of its own" if status >= 500 else "The server does not like the address"
    return f"The {what} {url} does not open (HTTP {status}). {whose}: open it to see, and try again later."


def _check_redirect(link: PlacedLink, look: LinkLook, inspection: Inspection) -> Iterator[Finding]:
    """Where a link ends is always told; that it should be replaced, only where all of the way moved for good."""
    what = "picture" if link.is_image else "link"
    is_permanent = all(hop.status in PERMANENT for hop in look.hops)
    if is_permanent and is_web_link(look.final_url):
        yield look_at(
            FAMILY,
            link.place,
            f"The {what} {link.url} has moved for good to {look.final_url}. Link there at once.",
            _use(look.final_url, link, inspection),
        )
    else:
        yield look_at(
            FAMILY, link.place, f"The {what} {link.url} leads on to {look.final_url}. Make sure that this is the page."
        )


def _not_encrypted(link: PlacedLink, look: LinkLook, inspection: Inspection) -> Finding:
    secure = f"https://{link.url[len('http://') :]}"
    if look.has_https:
        sentence = f"The link {link.url} is not encrypted, and {secure} answers the same. Use that."
        return look_at(FAMILY, link.place, sentence, _use(secure, link, inspection))
    return look_at(
        FAMILY,
        link.place,
        f"The link {link.url} is not encrypted. Some mail programs warn of such links: look for https.",
    )


def _use(url: str, link: PlacedLink, inspection: Inspection) -> Fix | None:
    replaced = with_link_replaced(inspection.content, link.url, url)
    return fix_of(f"Use {url}", inspection.content, replaced) if replaced else None


def _still_waiting(waiting: int, total: int) -> str:
    which = "The link is" if total == 1 else f"{waiting} of {total} links {'is' if waiting == 1 else 'are'}"
    return f"{which} still being looked at. Come back in a minute."


def _nothing_answers(looks: Mapping[str, LinkLook]) -> bool:
    return len(looks) >= ENOUGH_TO_TELL and all(look.status is None for look in looks.values())


def passed_links(inspection: Inspection) -> str:
    """What to say where nothing was found."""
    count = len({link.url for link in placed_links(inspection.content) if is_web_link(link.url)})
    if not count:
        return "There are no links that could lead nowhere"
    return "The link leads to a page that answers" if count == 1 else f"All {count} links lead to pages that answer"
