"""Checks of the mail's weight: Gmail cuts an HTML part off at about 102 KB, unsubscribe link included. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from itertools import pairwise

from newsletter.preflight.findings import Finding, Inspection, Rendered, look_at, must_fix
from newsletter.preflight.places import HTML_PART, placed_sections, placed_stories
from newsletter.rendering.slots import token_pattern

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
    """Octets from the heading of each section and story that has one to the next of its rank, by place.

    Headings are looked for in reading order, so that the same words in a table of contents are not taken for one.
    """
    html, nonce = rendered.html, rendered.nonce
    headings = [(found.start(), _words(found[1])) for found in _HEADING.finditer(html)]
    end = _start_of_footer(html, nonce)
    sections = _starts([(place, section.title) for place, section in placed_sections(inspection.content)], headings)
    stories = _starts([(place, story.title) for place, story in placed_stories(inspection.content)], headings)
    bounds = sorted({start for _, start in sections} | {start for _, start in stories} | {end})
    weights = {
        place: weight_of(html[start:stop], nonce)
        for (place, start), (_, stop) in pairwise([*sections, ("", end)])
        if stop > start
    }
    for place, start in stories:
        stop = next((bound for bound in bounds if bound > start), len(html))
        weights[place] = weight_of(html[start:stop], nonce)
    return weights


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


def _starts(wanted: list[tuple[str, str]], headings: list[tuple[int, str]]) -> list[tuple[str, int]]:
    found, position = [], -1
    for place, title in wanted:
        words = " ".join(title.split())
        start = next((start for start, heading in headings if words and start > position and words in heading), None)
        if start is not None:
            found.append((place, start))
            position = start
    return found


def _words(markup: str) -> str:
    return " ".join(unescape(_TAG.sub("", markup)).split())


def _start_of_footer(html: str, nonce: str) -> int:
    found = re.search(token_pattern(nonce), html)
    return found.start() if found else len(html)


def passed_size(inspection: Inspection) -> str:
    """What to say where nothing was found."""
    if inspection.rendered is None:
        return ""
    weight = weight_of(inspection.rendered.html, inspection.rendered.nonce)
    return f"It weighs {weight / 1000:.0f} KB of the {MOST_BYTES // 1000} that Gmail shows whole"
