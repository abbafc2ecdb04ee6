"""The details of an issue – title, date, subject, preheader, slug, categories, audience – while its file is parsed.

Pure.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from newsletter.config.translatable import translatable
from newsletter.content.document import AudienceContent, IssueContent, SectionContent
from newsletter.content.fields import FieldName, audience_faults, field_faults, slug_from
from newsletter.content.problems import ParsedIssue, ProblemList

AUDIENCE_KEYS = ("topic", "lists", "segments", "exclude")
KEYS = ("title", "date", "subject", "preheader", "slug", "categories", *AUDIENCE_KEYS)
_ONE_LINE: tuple[FieldName, ...] = ("title", "subject", "preheader", "slug")
_ISO_DATE = re.compile(r"(?<!\d)\d{4}-\d{2}-\d{2}(?!\d)")


@dataclass(slots=True)
class IssueDetails:
    """What a file holds beside its sections: one-line values by key, and the line of each key."""

    values: dict[str, str] = field(default_factory=dict)
    categories: tuple[str, ...] = ()
    audience: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Names by key: lists, segments and exclude."""
    date: datetime.date | None = None
    lines: dict[str, int] = field(default_factory=dict)
    has_derived_slug: bool = False
    """Whether `slug` among the values was made from the title."""
    readable: bool = True
    """False if the front matter could not be parsed: missing values are not reported then."""

    def line_of(self, key: str) -> int:
        """The line of `key`, or 1 if the key is missing."""
        return self.lines.get(key, 1)


def finish_issue(details: IssueDetails, sections: tuple[SectionContent, ...], problems: ProblemList) -> ParsedIssue:
    """Check the details, fill in missing ones, and build the issue. Raises IssueFileError if there are errors."""
    _check_details(details, problems)
    title = details.values.get("title", "")
    date = details.date or _date_from_title(details, problems)
    slug = details.values.get("slug") or _slug_for(title, date, details, problems)
    if not sections:
        problems.warn(1, translatable("The file has no sections yet."))
    notes = problems.notes()
    assert date is not None  # noqa: S101  # a missing date is an error, which was raised
    return ParsedIssue(
        IssueContent(
            title=title,
            slug=slug,
            date=date,
            subject=details.values.get("subject") or title,
            preheader=details.values.get("preheader", ""),
            categories=details.categories,
            sections=sections,
            audience=_audience(details),
        ),
        notes,
        has_derived_slug=details.has_derived_slug or not details.values.get("slug"),
        names_audience=any(key in details.lines for key in AUDIENCE_KEYS),
    )


def date_in(title: str) -> datetime.date | None:
    """The last valid ISO date in `title`, such as 2026-07-01."""
    for text in reversed(_ISO_DATE.findall(title)):
        try:
            return datetime.date.fromisoformat(text)
        except ValueError:
            continue
    return None


def unique_categories(names: Iterable[str], line: int, problems: ProblemList) -> tuple[str, ...]:
    """The names in order, each once; empty and repeated names are reported."""
    kept: list[str] = []
    for name in names:
        if not name.strip():
            problems.error(line, translatable("A category has no name. Remove the extra comma."))
        elif name in kept:
            problems.warn(
                line, translatable("The category “{category}” is listed twice. It counts once.", category=name)
            )
        else:
            kept.append(name)
    return tuple(kept)


def _audience(details: IssueDetails) -> AudienceContent:
    return AudienceContent(topic=details.values.get("topic", "").strip(), **details.audience)


def _check_details(details: IssueDetails, problems: ProblemList) -> None:
    if details.readable and not details.values.get("title", "").strip():
        problems.error(
            details.line_of("title"),
            translatable("The issue has no title. Add `title:` to the front matter, or a heading with one #."),
        )
    for key in _ONE_LINE:
        for fault in field_faults(key, details.values.get(key, "")):
            problems.error(details.line_of(key), fault)
    for name in details.categories:
        for fault in field_faults("category", name):
            problems.error(details.line_of("categories"), fault)
    for audience_key, fault in audience_faults(_audience(details)):
        problems.error(details.line_of(audience_key), fault)


def _date_from_title(details: IssueDetails, problems: ProblemList) -> datetime.date | None:
    date = date_in(details.values.get("title", ""))
    if date:
        sentence = translatable("The date {date} was taken from the title.", date=date.isoformat())
        problems.warn(details.line_of("title"), sentence)
    elif details.readable and not problems.has_error_at(details.lines.get("date", 0)):
        problems.error(
            details.line_of("date"),
            translatable("The issue has no date. Add `date: 2026-03-31`, or put the date at the end of the title."),
        )
    return date


def _slug_for(title: str, date: datetime.date | None, details: IssueDetails, problems: ProblemList) -> str:
    slug = slug_from(title) or (date.isoformat() if date else "")
    if slug:
        problems.warn(
            details.line_of("title"),
            translatable(
                "The slug “{slug}” was made from the title. Importing a file with another title creates another issue.",
                slug=slug,
            ),
        )
    return slug
