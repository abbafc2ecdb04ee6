"""Revisions of an issue: the whole content after each save, kept and read again."""

from __future__ import annotations

from typing import Any

import orjson
from django.db.models import F
from pydantic import TypeAdapter, ValidationError

from newsletter.content.document import IssueContent
from newsletter.models import Issue, Revision

_CONTENT = TypeAdapter(IssueContent)
_LONGEST_NOTE = 200


class UnreadableRevision(Exception):
    """What was saved then cannot be read by this version of the program; the sentence says which revision."""

    permanent = True


def keep_revision(issue: Issue, number: int, content: IssueContent, *, by: str, note: str, **changes: Any) -> Revision:
    """Store what `issue` says after the save that made it revision `number`. `changes` are further columns."""
    return Revision.objects.create(
        issue=issue, number=number, content=as_json(content), by=by[:150], note=note[:_LONGEST_NOTE], **changes
    )


def keep_what_stood_before(issue: Issue, content: IssueContent) -> None:
    """Make sure that `content`, which the next save replaces, is a revision: issues may be older than revisions are."""
    if issue.revision and not issue.revisions.filter(number=issue.revision).exists():
        note = "As it stood before its revisions were kept"
        keep_revision(issue, issue.revision, content, by="", note=note, saved_at=issue.updated_at)


def content_of(revision: Revision) -> IssueContent:
    """What the issue said then. Raises UnreadableRevision."""
    try:
        return _CONTENT.validate_python(revision.content)
    except ValidationError as error:
        raise UnreadableRevision(
            f"Revision {revision.number} cannot be read by this version of the program: {error.errors()[0]['msg']}."
        ) from error


def latest_revision(issue: Issue) -> Revision | None:
    """The revision that the issue's row says now, if it was kept."""
    return Revision.objects.filter(issue=issue, number=F("issue__revision")).first()


def as_json(content: IssueContent) -> dict[str, Any]:
    """`content` as plain JSON, as revisions and editions keep it."""
    kept: dict[str, Any] = orjson.loads(orjson.dumps(content))
    return kept
