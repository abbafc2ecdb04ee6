"""Revisions of an issue: the whole content after each save."""

from __future__ import annotations

import datetime
from typing import Any

import orjson
from django.db.models import F
from django.utils import timezone
from pydantic import TypeAdapter, ValidationError

from newsletter.config.translatable import translatable
from newsletter.content.document import IssueContent
from newsletter.models import Issue, Revision

_CONTENT = TypeAdapter(IssueContent)
_MAX_NOTE = 200

#: Autosaves of one editor within this time make one revision.
AUTOSAVE_TIME = datetime.timedelta(minutes=10)


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


def keep_autosave(issue: Issue, content: IssueContent, *, by: str, may_fold: bool) -> Revision:
    """Store `content` as the next revision of `issue`, in place of the autosave of the same editor before it.

    Only the latest revision is replaced, for AUTOSAVE_TIME after its first autosave, and if no edition was made of it.
    """
    now = timezone.now()
    folded = _open_autosave(issue, by, now) if may_fold else None
    since = folded.autosaved_since if folded else now
    if folded:
        folded.delete()
    number = issue.revision + 1
    return keep_revision(issue, number, content, by=by, note="autosave", saved_at=now, autosaved_since=since)


def close_autosave(issue: Issue, *, note: str = "") -> None:
    """Make the latest revision, if it was autosaved, one that an editor saved: no later autosave replaces it."""
    latest = latest_revision(issue)
    if latest and latest.autosaved_since:
        latest.delete()
        Revision.objects.create(
            issue=issue, number=latest.number, content=latest.content, by=latest.by, note=note[:_MAX_NOTE]
        )


def _open_autosave(issue: Issue, by: str, now: datetime.datetime) -> Revision | None:
    latest = issue.revisions.filter(number=issue.revision).first()
    if not latest or not latest.autosaved_since or latest.by != by[:150]:
        return None
    is_open = now - AUTOSAVE_TIME < latest.autosaved_since <= now
    return latest if is_open and not issue.editions.filter(revision=latest.number).exists() else None


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


def content_from_json(stored: Any, *, name: str) -> IssueContent:
    """Content that `as_json` stored elsewhere, under `name`. Raises UnreadableRevision."""
    try:
        return _CONTENT.validate_python(stored)
    except ValidationError as error:
        raise UnreadableRevision(
            translatable(
                "“{name}” cannot be read by this version of the program: {reason}.",
                name=name,
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
