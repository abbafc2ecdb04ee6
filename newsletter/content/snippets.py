"""Snippets: saved in versions, copied into issues as rows, and offered again where a copy is of an older version.

An issue holds copies, so that its revisions and editions are whole. A copy is found by its content: one that an editor
has changed is a text of its own, and nothing is offered for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from django.db import transaction
from django.db.models import Exists, OuterRef

from newsletter.content.document import IssueContent, SectionContent, StoryContent
from newsletter.content.pasted_rows import pasted_rows
from newsletter.models import Newsletter, Snippet, SnippetVersion

Row = SectionContent | StoryContent

#: Snippets that a newsletter offers, and versions of each that are looked for in issues.
MOST_SNIPPETS, MOST_VERSIONS = 50, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class OutdatedCopy:
    """Rows of an issue that are an older version of a snippet."""

    snippet: Snippet
    version: int
    newest: SnippetVersion
    first_row: int
    """From 0."""
    rows: int


def save_version(snippet: Snippet, text: str, *, by: str) -> SnippetVersion:
    """Store the text as the next version, unless it is that of the newest; the newest version then."""
    with transaction.atomic():
        Snippet.objects.select_for_update().get(pk=snippet.pk)
        newest = snippet.versions.first()
        if newest is not None and newest.text == text:
            return newest
        number = newest.number + 1 if newest else 1
        return SnippetVersion.objects.create(snippet=snippet, number=number, text=text, saved_by=by[:150])


def newest_versions(newsletter: Newsletter) -> list[SnippetVersion]:
    """The newest version of each snippet of the newsletter, by name; one query."""
    newer = SnippetVersion.objects.filter(snippet=OuterRef("snippet"), number__gt=OuterRef("number"))
    found = SnippetVersion.objects.filter(~Exists(newer), snippet__newsletter=newsletter).select_related("snippet")
    return list(found.order_by("snippet__name", "snippet")[:MOST_SNIPPETS])


@lru_cache(maxsize=256)
def rows_of_text(text: str) -> tuple[Row, ...]:
    """The sections, blocks and stories of a snippet; nothing if the text is no Markdown of rows."""
    return pasted_rows(text)


def outdated_copies(content: IssueContent, newsletter: Newsletter) -> list[OutdatedCopy]:
    """Where the issue has an older version of a snippet, in its order. Two queries."""
    newest = {version.snippet_id: version for version in newest_versions(newsletter) if version.number > 1}
    if not newest:
        return []
    rows = list(_rows(content))
    older = SnippetVersion.objects.filter(snippet__in=newest).order_by("-number")
    found: dict[int, OutdatedCopy] = {}
    for version in older:
        latest = newest[version.snippet_id]
        own = rows_of_text(version.text)
        if not latest.number - MOST_VERSIONS <= version.number < latest.number or own == rows_of_text(latest.text):
            continue
        for start in _places(own, rows):
            copy = OutdatedCopy(
                snippet=latest.snippet, version=version.number, newest=latest, first_row=start, rows=len(own)
            )
            found.setdefault(start, copy)
    return [found[start] for start in sorted(found)]


def with_update(content: IssueContent, copy: OutdatedCopy) -> IssueContent:
    """`content` with the newest version in place of the copy."""
    rows = list(_rows(content))
    rows[copy.first_row : copy.first_row + copy.rows] = rows_of_text(copy.newest.text)
    return replace(content, sections=tuple(_sections(rows)))


def with_snippet(content: IssueContent, text: str) -> IssueContent:
    """`content` with the rows of the snippet at its end."""
    return replace(content, sections=tuple(_sections([*_rows(content), *rows_of_text(text)])))


def _rows(content: IssueContent) -> Iterator[Row]:
    for section in content.sections:
        yield replace(section, stories=())
        yield from section.stories


def _sections(rows: Iterable[Row]) -> Iterator[SectionContent]:
    head, stories = SectionContent(), list[StoryContent]()
    for row in rows:
        if isinstance(row, StoryContent):
            stories.append(row)
            continue
        if head != SectionContent() or stories:
            yield replace(head, stories=tuple(stories))
        head, stories = row, []
    if head != SectionContent() or stories:
        yield replace(head, stories=tuple(stories))


def _places(own: Sequence[Row], rows: Sequence[Row]) -> Iterator[int]:
    """Where `own` stands in `rows`."""
    if own:
        yield from (start for start in range(len(rows)) if tuple(rows[start : start + len(own)]) == tuple(own))
