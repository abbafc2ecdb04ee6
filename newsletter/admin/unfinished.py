"""Unfinished drafts of the compose page: stored by autosave, shown when the page opens, dropped once they are saved."""

from __future__ import annotations

import datetime

from django.http import QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from newsletter.models import Issue, UnfinishedDraft

_PAGE_FIELDS = ("csrfmiddlewaretoken", "page_key", "continued", "manual")


def keep_unfinished(issue: Issue, typed: QueryDict, *, by: str, page: str) -> UnfinishedDraft:
    """Store what was typed into the page with key `page`, in place of what was stored of it before."""
    # PostgreSQL stores no U+0000 in JSON; no field accepts it either.
    fields = {
        name.replace("\0", ""): [value.replace("\0", "\ufffd") for value in typed.getlist(name)]
        for name in typed
        if name not in _PAGE_FIELDS
    }
    draft, _created = UnfinishedDraft.objects.update_or_create(
        issue=issue, by=by[:150], page=page[:40], defaults={"fields": fields, "saved_at": timezone.now()}
    )
    return draft


def drop_unfinished(issue: Issue, *, by: str, page: str, continued: str = "") -> None:
    """Delete the draft of a page whose text is saved, and the one that the page was opened with.

    The latter is kept if another page has written to it since.
    """
    own = UnfinishedDraft.objects.filter(issue=issue, by=by[:150])
    own.filter(page=page[:40]).delete()
    pk, saved_at = _read_mark(continued)
    if saved_at:
        own.filter(pk=pk, saved_at=saved_at).delete()


def latest_unfinished(issue: Issue, *, by: str) -> UnfinishedDraft | None:
    """The newest draft of an editor."""
    return UnfinishedDraft.objects.filter(issue=issue, by=by[:150]).first()


def as_typed(draft: UnfinishedDraft, *, page: str) -> QueryDict:
    """The draft as data of the form of a new page, which continues it."""
    data = QueryDict(mutable=True)
    for name, values in draft.fields.items():
        data.setlist(name, values)
    data["page_key"], data["continued"] = page, mark_of(draft)
    return data


def mark_of(draft: UnfinishedDraft) -> str:
    """Which draft it is, as it is now."""
    return f"{draft.pk} {draft.saved_at.isoformat()}"


def _read_mark(mark: str) -> tuple[int, datetime.datetime | None]:
    pk, _blank, at = mark.partition(" ")
    try:
        return (int(pk), parse_datetime(at)) if pk.isdecimal() and len(pk) < 19 else (0, None)
    except ValueError:
        return 0, None
