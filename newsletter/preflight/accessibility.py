"""Checks that the mail is readable with a screen reader, and in light and dark mode. Pure.

They follow WCAG 2.2 and the reports of the Email Markup Consortium: language, title, alternative texts, order of
headings, layout tables, link texts, contrast.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache

from newsletter.config.translatable import translatable, translatable_plural
from newsletter.content.links import is_allowed_in_text
from newsletter.preflight.findings import Finding, Inspection, error, warning
from newsletter.preflight.mail_page import Colours, ComputedStyle, Element, MailPage, mail_page, text_of
from newsletter.preflight.places import (
    BRAND,
    HTML_PART,
    NEWSLETTER,
    THEME,
    placed_links,
    placed_pictures,
    placed_sections,
    placed_stories,
)
from newsletter.rendering.context import writing_direction
from newsletter.rendering.palette import READABLE, contrast

FAMILY = "accessibility"
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
#: WCAG 2.2, 1.4.3: enough for text of 24 px, or of 18.66 px in bold.
READABLE_LARGE = 3.0
#: Link texts that mean nothing out of context. Compared with the whole text of a link.
MEANINGLESS_TEXTS = frozenset(
    (  # noqa: SIM905 - words
        "here|click here|click|this|link|this link|more|read more|learn more|see more|details|go|continue|hier|"
        "hier klicken|mehr|mehr lesen|weiterlesen|ici|cliquez ici|en savoir plus|lire la suite|aquí|haz clic aquí|"
        "leer más|qui|clicca qui|lees meer"
    ).split("|")
)

_ADDRESS = re.compile(r"(https?://|www\.)\S+", re.IGNORECASE)


def check_accessibility(inspection: Inspection) -> Iterator[Finding]:
    """Warnings; an error for colours of the brand that were chosen to be used exactly."""
    yield from _check_brand(inspection)
    if inspection.rendered is None:
        return
    page = mail_page(inspection.rendered.html)
    yield from _check_document(page)
    yield from _check_images(page, inspection)
    yield from _check_headings(page, inspection)
    yield from _check_tables(page)
    yield from _check_links(page, inspection)
    yield from _check_contrast(page, is_dark=False)
    yield from _check_contrast(page, is_dark=True)


def _check_brand(inspection: Inspection) -> Iterator[Finding]:
    """The weakest pair on light and on dark screens."""
    seen: set[str] = set()
    for pairing in inspection.weak_colours:
        _, _, scheme = pairing.what.partition(", ")
        if scheme in seen:
            continue
        seen.add(scheme)
        values = {
            "colour": pairing.text,
            "background": pairing.background,
            "contrast": f"{pairing.contrast:.1f}",
            "required": pairing.minimum,
        }
        yield error(
            FAMILY,
            "brand_contrast_dark" if scheme == "dark" else "brand_contrast",
            BRAND,
            translatable(
                "A color of the brand is hard to read on dark screens: {colour} on {background} has a contrast of "
                "{contrast}, and {required} is required. Choose another color on the page Brand, or let it be "
                "corrected.",
                **values,
            )
            if scheme == "dark"
            else translatable(
                "A color of the brand is hard to read: {colour} on {background} has a contrast of {contrast}, and "
                "{required} is required. Choose another color on the page Brand, or let it be corrected.",
                **values,
            ),
        )


def _check_document(page: MailPage) -> Iterator[Finding]:
    language = (page.root.get("lang") or "").strip()
    if not language:
        yield warning(
            FAMILY,
            "no_language",
            NEWSLETTER,
            translatable(
                "The mail does not declare its language, so screen readers may read it with the wrong voice. Choose a "
                "language."
            ),
        )
    titles = [title for title in page.root.iter("title") if (title.text or "").strip()]
    if not titles:
        yield warning(
            FAMILY,
            "no_title",
            THEME,
            translatable("The mail has no title, which screen readers read first. Add it to the template."),
        )
    directions = {element.get("dir") for element in page.root.iter("html", "body", "div") if element.get("dir")}
    if writing_direction(language) == "rtl" and "rtl" not in directions:
        yield warning(
            FAMILY,
            "wrong_direction",
            THEME,
            translatable("The language is written from right to left, but the mail is not. Set dir in the template."),
        )


def _check_images(page: MailPage, inspection: Inspection) -> Iterator[Finding]:
    places = {part.image: place for place, part in placed_pictures(inspection.content)}
    for image in page.elements("img"):
        source = image.get("src") or ""
        place = places.get(source, THEME)
        link = next(image.iterancestors("a"), None)
        if image.get("alt") is None:
            yield warning(
                FAMILY,
                "no_alternative_text",
                place,
                translatable("The image {url} has no alternative text. Describe the image.", url=_short(source)),
            )
        elif link is not None and not text_of(link):
            yield warning(
                FAMILY,
                "image_link_without_text",
                place,
                translatable(
                    "The image {url} is a link without text, so screen readers cannot name its target. Describe the "
                    "target in its alternative text.",
                    url=_short(source),
                ),
            )


def _check_headings(page: MailPage, inspection: Inspection) -> Iterator[Finding]:
    places = {section.title: place for place, section in placed_sections(inspection.content)}
    places |= {story.title: place for place, story in placed_stories(inspection.content)}
    headings = [(int(element.tag[1]), text_of(element)) for element in page.elements(*HEADINGS)]
    main = sum(1 for level, _ in headings if level == 1)
    if main != 1:
        yield warning(
            FAMILY,
            "main_headings",
            THEME,
            translatable_plural(
                "The mail has {count} main heading (h1). Screen readers expect exactly one, with the title of the "
                "issue.",
                "The mail has {count} main headings (h1). Screen readers expect exactly one, with the title of the "
                "issue.",
                count=main,
            ),
        )
    previous = 0
    for level, text in headings:
        if previous and level > previous + 1:
            yield warning(
                FAMILY,
                "skipped_heading_level",
                places.get(text, THEME),
                translatable(
                    "The heading “{heading}” has level {level} but follows a heading of level {previous}. Do not skip "
                    "a level.",
                    heading=_short(text),
                    level=level,
                    previous=previous,
                ),
            )
        previous = level


def _check_tables(page: MailPage) -> Iterator[Finding]:
    tables = [
        table
        for table in page.root.iter("table")
        if table.get("role") not in ("presentation", "none") and next(table.iter("th"), None) is None
    ]
    if tables:
        yield warning(
            FAMILY,
            "layout_tables",
            THEME,
            translatable_plural(
                'Screen readers read 1 layout table row by row. Put role="presentation" on it in the template.',
                'Screen readers read {count} layout tables row by row. Put role="presentation" on them in the '
                "template.",
                count=len(tables),
            ),
        )


def _check_links(page: MailPage, inspection: Inspection) -> Iterator[Finding]:
    places = _places_of_links(inspection)
    targets: dict[str, list[str]] = defaultdict(list)
    for link in page.elements("a"):
        url, text = link.get("href") or "", text_of(link)
        if not url or url.startswith("#"):
            continue
        place, known = places.get(url, HTML_PART), targets[text.casefold()]
        if finding := _check_link_text(link, url, text, place):
            yield finding
        elif text and url not in known and is_allowed_in_text(url):
            known.append(url)
            if len(known) == 2:
                yield warning(
                    FAMILY,
                    "ambiguous_link_text",
                    place,
                    translatable(
                        "Two links with the text “{text}” have different targets. Change one of the texts.",
                        text=_short(text),
                    ),
                )


def _check_link_text(link: Element, url: str, text: str, place: str) -> Finding | None:
    if not text:
        if next(link.iter("img"), None) is not None:  # _check_images reports it
            return None
        return warning(
            FAMILY,
            "link_without_text",
            place,
            translatable("The link to {url} has no text. Describe its target.", url=_short(url)),
        )
    if text.casefold().strip(" .…!→»>") in MEANINGLESS_TEXTS:
        return warning(
            FAMILY,
            "meaningless_link_text",
            place,
            translatable("The link text “{text}” does not describe the target. Use one that does.", text=text),
        )
    if _ADDRESS.fullmatch(text):
        return warning(
            FAMILY,
            "address_as_link_text",
            place,
            translatable(
                "The text of the link {url} is its address, which screen readers spell out. Use words instead.",
                url=_short(text),
            ),
        )
    return None


def _places_of_links(inspection: Inspection) -> dict[str, str]:
    places: dict[str, str] = {}
    for link in placed_links(inspection.content):
        places.setdefault(link.url, link.place)
    return places


def _check_contrast(page: MailPage, *, is_dark: bool) -> Iterator[Finding]:
    """Each pair of colours with too little contrast, once, with the text that uses it first."""
    weak: dict[Colours, str] = {}
    for element in page.elements():
        style = page.styles[element]
        pair = style.dark if is_dark else style.light
        if pair not in weak and _contrast(pair) < _required_contrast(style) and (text := _own_text(element)):
            weak[pair] = text
    for pair, text in weak.items():
        values = {
            "text": _short(text, 40),
            "colour": pair.text,
            "background": pair.background,
            "contrast": round(_contrast(pair), 1),
            "required": READABLE,
        }
        yield warning(
            FAMILY,
            "low_contrast_dark" if is_dark else "low_contrast",
            THEME,
            translatable(
                "“{text}” is hard to read in dark mode: {colour} on {background} has a contrast of {contrast}, and "
                "{required} is required. Change one of the colours in the theme.",
                **values,
            )
            if is_dark
            else translatable(
                "“{text}” is hard to read in light mode: {colour} on {background} has a contrast of {contrast}, and "
                "{required} is required. Change one of the colours in the theme.",
                **values,
            ),
        )


@lru_cache(maxsize=512)
def _contrast(pair: Colours) -> float:
    return contrast(pair.text, pair.background)


def _own_text(element: Element) -> str:
    """The text of the element itself, without that of its children."""
    texts = (element.text, *(child.tail for child in element))
    return " ".join(" ".join(text for text in texts if text).split())


def _required_contrast(style: ComputedStyle) -> float:
    is_large = style.font_size >= 24 or (style.font_size >= 18.66 and style.is_bold)
    return READABLE_LARGE if is_large else READABLE


def _short(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def passed_accessibility(inspection: Inspection) -> str:
    """The sentence to show if there are no findings."""
    if inspection.rendered is None:
        return ""
    return translatable(
        "Language, title, headings and link texts suit screen readers, and the contrast is sufficient in light and "
        "dark mode."
    )
