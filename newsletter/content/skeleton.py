"""What of an issue comes back in the next one: its sections and standing blocks, without stories. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from newsletter.content.document import IssueContent, SectionContent, SectionKind

#: Blocks that belong to the form of a newsletter.
_FORM = (SectionKind.CONTENTS, SectionKind.DIVIDER, SectionKind.BUTTON)


def without_stories(content: IssueContent) -> IssueContent:
    """`content` with every section and block, and no story."""
    return replace(content, sections=tuple(replace(section, stories=()) for section in content.sections))


def recurring_parts(content: IssueContent, before: IssueContent | None) -> IssueContent:
    """`content` with what comes back: a block or a text stands if the issue before has the same.

    Sections keep their headings, sponsors their place and name; contents, dividers and buttons always stand.
    """
    earlier = {replace(section, stories=()) for section in before.sections} if before else set()
    kept = _kept(content, earlier)
    return replace(content, preheader="", sections=tuple(kept))


def _kept(content: IssueContent, earlier: set[SectionContent]) -> Iterator[SectionContent]:
    for section in content.sections:
        bare = replace(section, stories=())
        if bare in earlier or section.kind in _FORM:
            yield bare
        elif section.kind is SectionKind.SECTION:
            yield SectionContent(title=section.title)
        elif section.kind is SectionKind.SPONSOR:
            yield SectionContent(kind=section.kind, source=section.source)
