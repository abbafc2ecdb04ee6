"""Checks of the size of the HTML part: Gmail clips it at about 102 kB, unsubscribe link included. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape, unescape

from newsletter.config.translatable import translatable
from newsletter.content.document import IssueContent
from newsletter.preflight.findings import Finding, Inspection, Rendered, error, warning
from newsletter.preflight.places import HTML_PART, place_of_story, placed_sections, placed_stories
from newsletter.rendering.placeholders import PlaceholderContext, placeholder_token, token_pattern

FAMILY = "size"
MAX_BYTES = 102_000
WARNING_BYTES = 90_000
#: Bytes of the longest value of a placeholder: an unsubscribe address, or an escaped first name of 60 characters.
LONGEST_VALUE = 300

_HEADING = re.compile(r"<h[1-6]\b[^>]*>(.*?)</h[1-6]>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")


def check_size(inspection: Inspection) -> Iterator[Finding]:
    """Error: an HTML part of more than 102,000 bytes. Warning: more than 90,000."""
    if inspection.rendered is None:
        return
    size = size_of(inspection.rendered.html, inspection.rendered.nonce)
    if size <= WARNING_BYTES:
        return
    largest = _largest_part(inspection, inspection.rendered, size)
    if size > MAX_BYTES:
        message = translatable(
            "The HTML part has {size:,} bytes. Gmail clips it after {limit:,} bytes and hides the unsubscribe link: "
            "shorten or remove something.",
            size=size,
            limit=MAX_BYTES,
        )
        yield error(FAMILY, "too_large", HTML_PART, _joined(message, largest))
    else:
        message = translatable(
            "The HTML part has {size:,} bytes. Gmail clips it after {limit:,} bytes.", size=size, limit=MAX_BYTES
        )
        yield warning(FAMILY, "large", HTML_PART, _joined(message, largest))


def _joined(first: str, second: str) -> str:
    return translatable("{first} {second}", first=first, second=second) if second else first


def size_of(html: str, nonce: str) -> int:
    """Bytes of the HTML part with the longest values in its placeholders."""
    fixed, tokens = re.subn(token_pattern(nonce), "", html)
    return len(fixed.encode()) + tokens * LONGEST_VALUE


def sizes_of_places(inspection: Inspection, rendered: Rendered) -> dict[str, int]:
    """Bytes of each section (with its stories) and of each story, by place.

    A section ends at the next section, a story at the next heading or at the end of its text block.
    """
    html, nonce = rendered.html, rendered.nonce
    sections, stories = _starts(inspection.content, html)
    ends = sorted([*sections.values(), *stories.values(), _start_of_footer(html, nonce)])
    sizes = {}
    for place, start in sections.items():
        stop = next((end for end in ends if end > start and end not in stories.values()), len(html))
        sizes[place] = size_of(html[start:stop], nonce)
    for place, start in stories.items():
        stop = next((end for end in ends if end > start), len(html))
        sizes[place] = size_of(html[start:stop].partition("</div>")[0], nonce)
    return sizes


def _starts(content: IssueContent, html: str) -> tuple[dict[str, int], dict[str, int]]:
    """Where each section and each story starts: at its heading, else at the image or link of a part without heading.

    The search goes in reading order, so that a table of contents is not mistaken for the headings that it repeats. A
    part with none of these, such as a divider, counts as part of the previous one.
    """
    headings = [(found.start(), _text_of_markup(found[1])) for found in _HEADING.finditer(html)]
    sections: dict[str, int] = {}
    stories: dict[str, int] = {}
    position = -1
    for place, section in placed_sections(content):
        start = _heading_after(position, section.title, headings)
        if start is None:
            start = _address_after(position, (section.image, section.url), html)
        if start is not None:
            sections[place] = position = start
        for number, story in enumerate(section.stories, start=1):
            start = _heading_after(position, story.title, headings)
            if start is not None:
                stories[place_of_story(place, number)] = position = start
    return sections, stories


def _heading_after(position: int, title: str, headings: list[tuple[int, str]]) -> int | None:
    text = " ".join(title.split())
    return next((start for start, heading in headings if text and start > position and text in heading), None)


def _address_after(position: int, addresses: tuple[str, ...], html: str) -> int | None:
    found = (html.find(escape(address), position + 1) for address in addresses if address)
    return min((start for start in found if start >= 0), default=None)


def _largest_part(inspection: Inspection, rendered: Rendered, size: int) -> str:
    """The largest section and story, as a sentence; empty if no section can be told from the others."""
    sizes = sizes_of_places(inspection, rendered)
    sections = [place for place, _ in placed_sections(inspection.content) if place in sizes]
    stories = [(place, story.title) for place, story in placed_stories(inspection.content) if place in sizes]
    if not sections:
        return ""
    section = max(sections, key=lambda place: sizes[place])
    share = round(100 * sizes[section] / size)
    if not stories:
        return translatable(
            "The largest part is “{section}” with {bytes:,} bytes ({share} %).",
            section=section,
            bytes=sizes[section],
            share=share,
        )
    story, title = max(stories, key=lambda placed: sizes[placed[0]])
    return translatable(
        "The largest part is “{section}” with {bytes:,} bytes ({share} %). The largest story is {story}, “{title}”, "
        "with {story_bytes:,} bytes.",
        section=section,
        bytes=sizes[section],
        share=share,
        story=story,
        title=title,
        story_bytes=sizes[story],
    )


def _text_of_markup(markup: str) -> str:
    return " ".join(unescape(_TAG.sub("", markup)).split())


def _start_of_footer(html: str, nonce: str) -> int:
    # Not the first placeholder: that may be a greeting at the top.
    found = html.find(placeholder_token(nonce, "unsubscribe_url", PlaceholderContext.HTML))
    return found if found >= 0 else len(html)


def passed_size(inspection: Inspection) -> str:
    """The sentence to show if there are no findings."""
    if inspection.rendered is None:
        return ""
    return translatable(
        "The HTML part has {size} kB. Gmail shows up to {limit} kB.",
        size=round(size_of(inspection.rendered.html, inspection.rendered.nonce) / 1000),
        limit=MAX_BYTES // 1000,
    )
