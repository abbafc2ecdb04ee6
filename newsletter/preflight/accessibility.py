"""Checks that everybody can read the mail, with eyes or a screen reader, on light and on dark screens. Pure.

The sources are WCAG 2.2 and the Email Markup Consortium's reports: language, title, alternatives of pictures, headings
in order, tables without a meaning, links that say where they lead, contrast.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache

from newsletter.content.links import is_allowed_in_text
from newsletter.preflight.colours import READABLE_LARGE
from newsletter.preflight.findings import Finding, Inspection, look_at
from newsletter.preflight.mail_page import Colours, Element, Look, MailPage, mail_page, words_of
from newsletter.preflight.places import HTML_PART, NEWSLETTER, THEME, placed_links, placed_sections, placed_stories
from newsletter.rendering.context import writing_direction
from newsletter.rendering.palette import READABLE, contrast

FAMILY = "accessibility"
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
#: Words that say nothing to those who jump from link to link. Whole labels only.
SAY_NOTHING = frozenset(
    (  # noqa: SIM905 - words
        "here|click here|click|this|link|this link|more|read more|learn more|see more|details|go|continue|hier|"
        "hier klicken|mehr|mehr lesen|weiterlesen|ici|cliquez ici|en savoir plus|lire la suite|aquí|haz clic aquí|"
        "leer más|qui|clicca qui|lees meer"
    ).split("|")
)

_ADDRESS = re.compile(r"(https?://|www\.)\S+", re.IGNORECASE)


def check_accessibility(inspection: Inspection) -> Iterator[Finding]:
    """Nothing here blocks; all of it keeps somebody from reading."""
    if inspection.rendered is None:
        return
    page = mail_page(inspection.rendered.html)
    yield from _check_document(page)
    yield from _check_pictures(page, inspection)
    yield from _check_headings(page, inspection)
    yield from _check_tables(page)
    yield from _check_links(page, inspection)
    yield from _check_contrast(page, is_dark=False)
    yield from _check_contrast(page, is_dark=True)


def _check_document(page: MailPage) -> Iterator[Finding]:
    language = (page.root.get("lang") or "").strip()
    if not language:
        yield look_at(
            FAMILY,
            NEWSLETTER,
            "The mail does not say its language, so screen readers may speak it with the wrong voice. Choose one.",
        )
    titles = [title for title in page.root.iter("title") if (title.text or "").strip()]
    if not titles:
        yield look_at(FAMILY, THEME, "The mail has no title, which screen readers say first. Put it into the template.")
    direction = writing_direction(language)
    given = {element.get("dir") for element in page.root.iter("html", "body", "div") if element.get("dir")}
    if direction == "rtl" and "rtl" not in given:
        yield look_at(
            FAMILY,
            THEME,
            "The language is written from right to left, and the mail is not. Set dir in the template.",
        )


def _check_pictures(page: MailPage, inspection: Inspection) -> Iterator[Finding]:
    places = {section.image: place for place, section in placed_sections(inspection.content) if section.image}
    for picture in page.elements("img"):
        source = picture.get("src") or ""
        place = places.get(source, THEME)
        if picture.get("alt") is None:
            yield look_at(
                FAMILY,
                place,
                f"The picture {_short(source)} has no alternative text. Say what it shows.",
            )
        elif not _words_of_link_around(picture) and _link_around(picture) is not None:
            yield look_at(
                FAMILY,
                place,
                f"The picture {_short(source)} is a link without words: nobody who does not see it learns where it "
                "leads. Say it in its alternative text.",
            )


def _link_around(element: Element) -> Element | None:
    return next(element.iterancestors("a"), None)


def _words_of_link_around(picture: Element) -> str:
    """The words of the link that a picture stands in, its own alternative text among them."""
    link = _link_around(picture)
    return words_of(link) if link is not None else ""


def _check_headings(page: MailPage, inspection: Inspection) -> Iterator[Finding]:
    places = {section.title: place for place, section in placed_sections(inspection.content)}
    places |= {story.title: place for place, story in placed_stories(inspection.content)}
    headings = [(int(element.tag[1]), words_of(element)) for element in page.elements(*HEADINGS)]
    first = sum(1 for level, _ in headings if level == 1)
    if first != 1:
        said = "no main heading" if first == 0 else f"{first} main headings"
        yield look_at(FAMILY, THEME, f"The mail has {said} (h1). Screen readers expect one, with the issue's title.")
    before = 0
    for level, words in headings:
        if before and level > before + 1:
            yield look_at(
                FAMILY,
                places.get(words, THEME),
                f"The heading “{_short(words)}” is of level {level} and follows one of level {before}, so one seems "
                "to be missing.",
            )
        before = level


def _check_tables(page: MailPage) -> Iterator[Finding]:
    bare = [
        table
        for table in page.root.iter("table")
        if table.get("role") not in ("presentation", "none") and next(table.iter("th"), None) is None
    ]
    if bare:
        count = "A table" if len(bare) == 1 else f"{len(bare)} tables"
        yield look_at(
            FAMILY,
            THEME,
            f'{count} of the layout would be read out row by row. Put role="presentation" on each in the template.',
        )


def _check_links(page: MailPage, inspection: Inspection) -> Iterator[Finding]:
    places = _places_of_links(inspection)
    targets: dict[str, list[str]] = defaultdict(list)
    for link in page.elements("a"):
        url, words = link.get("href") or "", words_of(link)
        if not url or url.startswith("#"):
            continue
        place = places.get(url, HTML_PART)
        if not words:
            if next(link.iter("img"), None) is None:  # pictures were told of as such
                yield look_at(FAMILY, place, f"The link to {_short(url)} has no words. Write where it leads.")
        elif words.casefold().strip(" .…!→»>") in SAY_NOTHING:
            yield look_at(
                FAMILY,
                place,
                f"The words “{words}” do not say where the link leads. Link words that do.",
            )
        elif _ADDRESS.fullmatch(words):
            yield look_at(
                FAMILY,
                place,
                f"The link {_short(words)} shows its bare address, which screen readers spell out. Link words instead.",
            )
        elif url not in targets[words.casefold()] and is_allowed_in_text(url):
            targets[words.casefold()].append(url)
            if len(targets[words.casefold()]) == 2:
                yield look_at(
                    FAMILY,
                    place,
                    f"Two links say “{_short(words)}” and lead to different pages. Reword one of them.",
                )


def _places_of_links(inspection: Inspection) -> dict[str, str]:
    places: dict[str, str] = {}
    for link in placed_links(inspection.content):
        places.setdefault(link.url, link.place)
    return places


def _check_contrast(page: MailPage, *, is_dark: bool) -> Iterator[Finding]:
    """Each pair of colours that is too close, once, with the words that show it."""
    weak: dict[Colours, str] = {}
    for element in page.elements():
        look = page.looks[element]
        pair = look.dark if is_dark else look.light
        if pair not in weak and _contrast(pair) < _wanted(look) and (words := _own_words(element)):
            weak[pair] = words
    screens = "dark" if is_dark else "light"
    for pair, words in weak.items():
        yield look_at(
            FAMILY,
            THEME,
            f"On {screens} screens “{_short(words, 40)}” is hard to read: {pair.ink} on {pair.ground} has a contrast "
            f"of {_contrast(pair):.1f}, and {READABLE} is needed. Change one of the colours in the theme.",
        )


@lru_cache(maxsize=512)
def _contrast(pair: Colours) -> float:
    return contrast(pair.ink, pair.ground)


def _own_words(element: Element) -> str:
    """The words that stand in the element itself, not in others within it."""
    texts = (element.text, *(child.tail for child in element))
    return " ".join(" ".join(text for text in texts if text).split())


def _wanted(look: Look) -> float:
    is_large = look.pixels >= 24 or (look.pixels >= 18.66 and look.is_bold)
    return READABLE_LARGE if is_large else READABLE


def _short(words: str, most: int = 80) -> str:
    return words if len(words) <= most else f"{words[: most - 1]}…"


def passed_accessibility(inspection: Inspection) -> str:
    """What to say where nothing was found."""
    if inspection.rendered is None:
        return ""
    stories = any(placed_stories(inspection.content))
    links = "links say where they lead, " if stories else ""
    return f"Screen readers find language, title and headings, {links}and contrast is enough, light and dark"
