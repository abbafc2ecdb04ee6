"""The envelope of an issue while its file is being read, and the step that makes it an issue. Pure."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from newsletter.content.document import IssueContent, SectionContent
from newsletter.content.fields import FieldName, field_faults, slug_from
from newsletter.content.problems import IssueReading, ProblemList

KEYS = ("title", "date", "subject", "preheader", "slug", "categories")
_ONE_LINE: tuple[FieldName, ...] = ("title", "subject", "preheader", "slug")
_ISO_DATE = re.compile(r"(?<!\d)\d{4}-\d{2}-\d{2}(?!\d)")


@dataclass(slots=True)
class Envelope:
    """What a file says beside its sections: one-line values by key, and the line where each of them stands."""

    values: dict[str, str] = field(default_factory=dict)
    categories: tuple[str, ...] = ()
    date: datetime.date | None = None
    lines: dict[str, int] = field(default_factory=dict)
    readable: bool = True
    """False where the block could not be read at all, so that what it lacks is no further news."""

    def line_of(self, key: str) -> int:
        """The line of `key`, or the file's first line when the key is missing."""
        return self.lines.get(key, 1)


def finish_issue(envelope: Envelope, sections: tuple[SectionContent, ...], problems: ProblemList) -> IssueReading:
    """Check the envelope, fill what may be missing, and put the issue together.

    Raises IssueFileError with everything in `problems` if any of it must be fixed.
    """
    _check_envelope(envelope, problems)
    title = envelope.values.get("title", "")
    date = envelope.date or _date_in(envelope, problems)
    slug = envelope.values.get("slug") or _slug_for(title, date, envelope, problems)
    if not sections:
        problems.look_at(1, "The file has no sections yet.")
    notes = problems.notes()
    assert date is not None  # noqa: S101  # a missing date is a problem that raised
    return IssueReading(
        IssueContent(
            title=title,
            slug=slug,
            date=date,
            subject=envelope.values.get("subject") or title,
            preheader=envelope.values.get("preheader", ""),
            categories=envelope.categories,
            sections=sections,
        ),
        notes,
    )


def date_in(title: str) -> datetime.date | None:
    """The last ISO date that `title` names, such as 2026-07-01, if it is a real one."""
    for text in reversed(_ISO_DATE.findall(title)):
        try:
            return datetime.date.fromisoformat(text)
        except ValueError:
            continue
    return None


def without_repeats(names: Iterable[str], line: int, problems: ProblemList) -> tuple[str, ...]:
    """The category names in their order, each once; empty ones and repeats are reported."""
    kept: list[str] = []
    for name in names:
        if not name.strip():
            problems.must_fix(line, "One of the categories is empty. Remove the comma too many.")
        elif name in kept:
            problems.look_at(line, f"The category “{name}” is named twice; it counts once.")
        else:
            kept.append(name)
    return tuple(kept)


def _check_envelope(envelope: Envelope, problems: ProblemList) -> None:
    if envelope.readable and not envelope.values.get("title", "").strip():
        problems.must_fix(
            envelope.line_of("title"), "The issue has no title. Add `title:` at the top, or a heading with one #."
        )
    for key in _ONE_LINE:
        for fault in field_faults(key, envelope.values.get(key, "")):
            problems.must_fix(envelope.line_of(key), fault)
    for name in envelope.categories:
        for fault in field_faults("category", name):
            problems.must_fix(envelope.line_of("categories"), fault)


def _date_in(envelope: Envelope, problems: ProblemList) -> datetime.date | None:
    date = date_in(envelope.values.get("title", ""))
    if date:
        problems.look_at(envelope.line_of("title"), f"The date {date.isoformat()} was taken from the title.")
    elif envelope.readable and not problems.has_at(envelope.lines.get("date", 0)):
        problems.must_fix(
            envelope.line_of("date"), "The issue has no date. Add `date: 2026-03-31`, or end the title with it."
        )
    return date


def _slug_for(title: str, date: datetime.date | None, envelope: Envelope, problems: ProblemList) -> str:
    slug = slug_from(title) or (date.isoformat() if date else "")
    if slug:
        problems.look_at(
            envelope.line_of("title"),
            f"The slug “{slug}” was made from the title. A later file with another title makes another issue.",
        )
    return slug
