"""The weekly digest: the issues of a week as one. Pure.

    issues, oldest first ─► one issue with a heading for each ─► the usual checks, rendering and sending

A digest of one issue is that issue.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from newsletter.content.document import AudienceContent, IssueContent, SectionContent, SectionKind
from newsletter.content.fields import LIMITS

#: Between the titles in the preheader.
SEPARATOR = " · "


@dataclass(frozen=True, slots=True, kw_only=True)
class WeeklyPart:
    """One issue of the week. `note` is Markdown that stands below its title, such as a link to its page."""

    issue: IssueContent
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WeeklyWords:
    """What a digest of several issues says about itself, in the newsletter's language."""

    title: str
    subject: str


def compose_weekly(parts: Sequence[WeeklyPart], words: WeeklyWords, *, slug: str, date: datetime.date) -> IssueContent:
    """The issues one after the other, each under its title; of a single one, that issue. At least one is needed.

    Tables of contents are left out: each would list the issues below it, too. The audience is not theirs.
    """
    first = parts[0].issue
    if len(parts) == 1:
        return replace(first, slug=slug, audience=AudienceContent())
    return IssueContent(
        title=words.title,
        slug=slug,
        date=date,
        subject=words.subject,
        preheader=SEPARATOR.join(_fitting((part.issue.title for part in parts), LIMITS["preheader"])),
        categories=tuple(dict.fromkeys(name for part in parts for name in part.issue.categories)),
        sections=tuple(section for part in parts for section in _sections_of(part)),
    )


def _sections_of(part: WeeklyPart) -> Iterator[SectionContent]:
    yield SectionContent(title=part.issue.title, body=part.note)
    for section in part.issue.sections:
        if section.kind is not SectionKind.CONTENTS:
            yield section
        elif section.stories:
            # Stories may follow any kind of part.
            yield SectionContent(kind=SectionKind.DIVIDER, stories=section.stories)


def _fitting(titles: Iterable[str], limit: int) -> Iterator[str]:
    """The first titles that fit into so many characters, whole: a cut could break a merge field."""
    length = -len(SEPARATOR)
    for title in titles:
        length += len(SEPARATOR) + len(title)
        if length > limit:
            return
        yield title
