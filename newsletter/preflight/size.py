"""Checks of the mail's weight: Gmail cuts an HTML part off at about 102 KB, unsubscribe link included. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape, unescape

from newsletter.content.document import IssueContent
from newsletter.preflight.findings import Finding, Inspection, Rendered, look_at, must_fix
from newsletter.preflight.places import HTML_PART, place_of_story, placed_sections, placed_stories
from newsletter.rendering.placeholders import PlaceholderContext, placeholder_token, token_pattern

FAMILY = "size"
MOST_BYTES = 102_000
MANY_BYTES = 90_000
#: Octets of the longest value of a slot: an unsubscribe address (R-3), or a first name of 60 characters, escaped.
LONGEST_VALUE = 300

_HEADING = re.compile(r"<h[1-6]\b[^>]*>(.*?)</h[1-6]>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")


def check_size(inspection: Inspection) -> Iterator[Finding]:
    """Must be fixed: an HTML part of more than 102,000 bytes. To look at: more than 90,000 (R-26)."""
    if inspection.rendered is None:
        return
    weight = weight_of(inspection.rendered.html, inspection.rendered.nonce)
    if weight <= MANY_BYTES:
        return
    heaviest = _heaviest(inspection, inspection.rendered, weight)
    if weight > MOST_BYTES:
        yield must_fix(
            FAMILY,
            HTML_PART,
            f"The HTML part has {weight:,} bytes. Above {MOST_BYTES:,} Gmail hides the end, with the unsubscribe link: "
            f"shorten or remove something. {heaviest}".strip(),
        )
    else:
        yield look_at(
            FAMILY,
            HTML_PART,
            f"The HTML part has {weight:,} bytes, close to the {MOST_BYTES:,} above which Gmail hides the end. "
            f"{heaviest}".strip(),
        )


def weight_of(html: str, nonce: str) -> int:
    """Octets of the HTML part of the reader whose values are the longest."""
    fixed, tokens = re.subn(token_pattern(nonce), "", html)
    return len(fixed.encode()) + tokens * LONGEST_VALUE


def weights_of_places(inspection: Inspection, rendered: Rendered) -> dict[str, int]:
    """Octets of each section, its stories included, and of each story, by place.

    A section reaches to the next one; a story to the next heading or the end of the text block that it stands in.
    """
    html, nonce = rendered.html, rendered.nonce
    sections, stories = _starts(inspection.content, html)
    ends = sorted([*sections.values(), *stories.values(), _start_of_footer(html, nonce)])
    weights = {}
    for place, start in sections.items():
        stop = next((end for end in ends if end > start and end not in stories.values()), len(html))
        weights[place] = weight_of(html[start:stop], nonce)
    for place, start in stories.items():
        stop = next((end for end in ends if end > start), len(html))
        weights[place] = weight_of(html[start:stop].partition("</div>")[0], nonce)
    return weights


def _starts(content: IssueContent, html: str) -> tuple[dict[str, int], dict[str, int]]:
    """Where each section and each story begins: at its heading, or at the picture or link of a part without one.

    All are looked for in reading order, so that the same words in a table of contents are not taken for a heading.
    What shows none of them, such as a divider, counts with what is above it.
    """
    headings = [(found.start(), _words(found[1])) for found in _HEADING.finditer(html)]
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
    words = " ".join(title.split())
    return next((start for start, heading in headings if words and start > position and words in heading), None)


def _address_after(position: int, addresses: tuple[str, ...], html: str) -> int | None:
    found = (html.find(escape(address), position + 1) for address in addresses if address)
    return min((start for start in found if start >= 0), default=None)


def _heaviest(inspection: Inspection, rendered: Rendered, weight: int) -> str:
    """Which part to begin with, as a sentence; empty where none can be told from the others."""
    weights = weights_of_places(inspection, rendered)
    sections = [place for place, _ in placed_sections(inspection.content) if place in weights]
    stories = [(place, story.title) for place, story in placed_stories(inspection.content) if place in weights]
    if not sections:
        return ""
    section = max(sections, key=lambda place: weights[place])
    share = round(100 * weights[section] / weight)
    sentence = f"The heaviest part is “{section}” with {weights[section]:,} bytes, {share} % of it"
    if not stories:
        return f"{sentence}."
    story, title = max(stories, key=lambda placed: weights[placed[0]])
    return f"{sentence}; the heaviest story is {story}, “{title}”, with {weights[story]:,}."


def _words(markup: str) -> str:
    return " ".join(unescape(_TAG.sub("", markup)).split())


def _start_of_footer(html: str, nonce: str) -> int:
    # Not the first slot: a greeting in the lead is one, too.
    found = html.find(placeholder_token(nonce, "unsubscribe_url", PlaceholderContext.HTML))
    return found if found >= 0 else len(html)


def passed_size(inspection: Inspection) -> str:
    """What to say where nothing was found."""
    if inspection.rendered is None:
        return ""
    weight = weight_of(inspection.rendered.html, inspection.rendered.nonce)
    return f"It weighs {weight / 1000:.0f} KB of the {MOST_BYTES // 1000} that Gmail shows whole"
