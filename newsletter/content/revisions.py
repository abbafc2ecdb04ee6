"""Revisions of an issue: the whole content after each save."""

from __future__ import annotations

from typing import Any

import orjson
from django.db.models import F
from pydantic import TypeAdapter, ValidationError

from newsletter.config.translatable import translatable
from newsletter.content.document import IssueContent
from newsletter.models import Issue, Revision

_CONTENT = TypeAdapter(IssueContent)
_MAX_NOTE = 200


class UnreadableRevision(Exception):
    """This version of the program cannot read the revision. The message is a sentence for the editor."""

    permanent = True


def keep_revision(issue: Issue, number: int, content: IssueContent, *, by: str, note: str, **changes: Any) -> Revision:
    """Store `content` as revision `number` of `issue`. `changes` are further columns."""
    return Revision.objects.create(
        issue=issue, number=number, content=as_json(content), by=by[:150], note=note[:_MAX_NOTE], **changes
    )


def keep_missing_revision(issue: Issue, content: IssueContent) -> None:
    """Store `content`, which the next save replaces, if its revision is missing: for issues older than revisions."""
    if issue.revision and not issue.revisions.filter(number=issue.revision).exists():
        keep_revision(issue, issue.revision, content, by="", note="before_revisions", saved_at=issue.updated_at)


def content_of(revision: Revision) -> IssueContent:
    """The content of a revision. Raises UnreadableRevision."""
    try:
        return _CONTENT.validate_python(revision.content)
    except ValidationError as error:
        raise UnreadableRevision(
            translatable(
                "Revision {number} cannot be read by this version of the program: {reason}.",
                number=revision.number,
                reason=error.errors()[0]["msg"],
            )
        ) from error


def latest_revision(issue: Issue) -> Revision | None:
    """The revision of the issue's current content, if it was stored."""
    return Revision.objects.filter(issue=issue, number=F("issue__revision")).first()


def as_json(content: IssueContent) -> dict[str, Any]:
    """`content` as JSON data, as revisions and editions store it."""
    kept: dict[str, Any] = orjson.loads(orjson.dumps(content))
    return kept
