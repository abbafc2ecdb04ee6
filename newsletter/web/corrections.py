"""What visitors see of corrections: the notes on an issue's page, and the page with the changes."""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from newsletter.content.difference import Change
from newsletter.content.public_difference import public_difference
from newsletter.content.web_versions import UnreadableVersion, content_of_version
from newsletter.models import Newsletter, WebVersion, WebVersionSource
from newsletter.models.web_pages import page_of
from newsletter.web.archive import UnreadableEdition, changed_at, reachable_issue, read_issue
from newsletter.web.page_frame import frame_of, gone_page, hide_from_search_engines, is_gone
from newsletter.web.public_page import newsletter_page, public_page, with_last_modified

#: The latest corrections are shown; a page with more has a history that no visitor needs.
MAX_CORRECTIONS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionNote:
    """One correction for visitors. `changes` is None if they are not shown."""

    number: int
    date: datetime.date
    """In the newsletter's time zone."""
    note: str
    changes: tuple[Change, ...] | None = None


@dataclass(frozen=True, slots=True)
class CorrectionNotes:
    """The notes of a page, latest first, and whether there is a page that shows changes."""

    notes: tuple[CorrectionNote, ...] = ()
    shows_changes: bool = False


def correction_notes(newsletter: Newsletter, issue: Any) -> CorrectionNotes:
    """What the page of the issue says about its corrections; no query for pages that were never corrected."""
    page = page_of(issue)
    if page is None or page.version_id is None:
        return CorrectionNotes()
    rows = list(_corrections(issue).defer("content"))
    notes = [_note(newsletter, row) for row in rows if row.note]
    return CorrectionNotes(tuple(notes), bool(notes) and rows[0].shows_changes)


@public_page
@newsletter_page
def changes_page(request: HttpRequest, newsletter: Newsletter, issue: str) -> HttpResponse:
    """The words that each correction of an issue added and removed, latest first. 404 if none are shown."""
    row = reachable_issue(newsletter, issue)
    if row is None or page_of(row) is None:
        raise Http404
    if is_gone(row):
        return gone_page(request, newsletter)
    try:
        shown, corrections = read_issue(newsletter, row), _with_changes(newsletter, row)
    except (UnreadableEdition, UnreadableVersion) as error:
        raise Http404 from error
    if not corrections:
        raise Http404
    context = {**frame_of(newsletter, ""), "issue": shown, "corrections": corrections}
    response = with_last_modified(render(request, "newsletter/issue_changes.html", context), changed_at(newsletter))
    # The issue itself is what search engines should list.
    return hide_from_search_engines(response)


def _with_changes(newsletter: Newsletter, issue: Any) -> list[CorrectionNote]:
    """The corrections after the last one whose changes are hidden, and those hidden before as notes only."""
    rows = list(_corrections(issue))
    if not rows or not rows[0].shows_changes:
        return []
    before = {row.number: row for row in _versions(issue).filter(number__in=[row.number - 1 for row in rows])}
    found, is_shown = [], True
    for row in rows:
        is_shown = is_shown and row.shows_changes and row.number - 1 in before
        changes = _changes(before[row.number - 1], row) if is_shown else None
        if row.note or changes is not None:
            found.append(_note(newsletter, row, changes))
    return found


def _changes(before: WebVersion, after: WebVersion) -> tuple[Change, ...]:
    return public_difference(content_of_version(before), content_of_version(after))


def _versions(issue: Any) -> Any:
    return WebVersion.objects.filter(issue=issue.pk)


def _corrections(issue: Any) -> Any:
    return _versions(issue).filter(source=WebVersionSource.CORRECTION).order_by("-number")[:MAX_CORRECTIONS]


def _note(newsletter: Newsletter, row: WebVersion, changes: Sequence[Change] | None = None) -> CorrectionNote:
    zone = zoneinfo.ZoneInfo(newsletter.time_zone)
    return CorrectionNote(
        number=row.number,
        date=row.at.astimezone(zone).date(),
        note=row.note,
        changes=None if changes is None else tuple(changes),
    )
