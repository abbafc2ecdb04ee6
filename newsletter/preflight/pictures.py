"""Checks of the pictures in an issue: alternative texts, weight, proportions. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.config.translatable import translatable, translatable_plural
from newsletter.content.document import StoryContent
from newsletter.content.picture_address import size_in
from newsletter.preflight.findings import Finding, Inspection, warning
from newsletter.preflight.places import WHOLE_ISSUE, placed_pictures

FAMILY = "pictures"
#: In bytes: of one picture, and of all that a mail loads. On a phone, 1 MB takes seconds.
HEAVY, HEAVY_TOGETHER = 300_000, 1_000_000
#: Width by height of what themes show beside a story, and how far from it no difference is seen.
STORY_RATIO, TOLERANCE = 1.5, 0.05


def check_pictures(inspection: Inspection) -> Iterator[Finding]:
    """Warnings only: what must not be stored at all is refused by the fields of the content."""
    known = inspection.pictures
    for place, part in placed_pictures(inspection.content):
        picture = known.get(part.image)
        if not part.alt.strip() and not (picture and picture.is_decorative):
            yield warning(
                FAMILY,
                "no_description",
                place,
                translatable(
                    "The picture has no alternative text, so screen readers skip it. Say what it shows. If it adds "
                    "nothing to the text, tick “Decorative” in the library of pictures."
                ),
                field="alt",
            )
        if picture and picture.bytes > HEAVY:
            yield warning(
                FAMILY,
                "heavy",
                place,
                translatable(
                    "The picture has {kilobytes:,} KB, which takes long on a phone. Replace it by a JPEG, or by one "
                    "with fewer details.",
                    kilobytes=picture.bytes // 1000,
                ),
                field="image",
            )
        if isinstance(part, StoryContent) and _is_squeezed(part.image):
            yield warning(
                FAMILY,
                "squeezed",
                place,
                translatable(
                    "The picture is not three by two, so mail programs squeeze it beside the story. Remove it, and "
                    "choose it again with “Add picture…”."
                ),
                field="image",
            )
    together = sum(known[address].bytes for address in _addresses(inspection) if address in known)
    if together > HEAVY_TOGETHER:
        yield warning(
            FAMILY,
            "heavy_together",
            WHOLE_ISSUE,
            translatable(
                "The pictures of the issue have {megabytes:.1f} MB together, which takes long on a phone. Use fewer.",
                megabytes=together / 1e6,
            ),
        )


def passed_pictures(inspection: Inspection) -> str:
    """The sentence to show if there are no findings."""
    count = len(_addresses(inspection))
    if not count:
        return ""
    return translatable_plural(
        "The picture has an alternative text, or is decorative.",
        "All {count} pictures have an alternative text, or are decorative.",
        count=count,
    )


def _addresses(inspection: Inspection) -> set[str]:
    return {part.image for _, part in placed_pictures(inspection.content)}


def _is_squeezed(address: str) -> bool:
    size = size_in(address)
    return size is not None and abs(size[0] / max(1, size[1]) - STORY_RATIO) > TOLERANCE * STORY_RATIO
