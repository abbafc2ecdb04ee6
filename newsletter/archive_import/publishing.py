"""How imported issues come onto the web and off it: the only module here that knows web pages."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import replace

from newsletter.content.document import IssueContent
from newsletter.content.web_versions import (
    change_visibility,
    correct_web_version,
    publish_on_web,
    shown_content,
    version_number,
)
from newsletter.models import Issue, Visibility, WebRedirect
from newsletter.models.web_pages import page_of, visibility_of


def put_on_web(issue: Issue, published_at: datetime.datetime, *, by: str) -> None:
    """Publish the page of the draft, dated as it was published before. It is never mailed."""
    publish_on_web(issue, published_at=published_at, by=by)


def is_published(issue: Issue) -> bool:
    """Whether the issue has a page without having been mailed, shown or taken down."""
    return issue.is_published_without_send


def is_on_web(issue: Issue) -> bool:
    """Whether its page is shown, listed or not."""
    return is_published(issue) and visibility_of(issue) != Visibility.TAKEN_DOWN


def version_of(issue: Issue) -> int:
    """The number of the version that its page shows; 0 for a draft."""
    return version_number(issue) if page_of(issue) else 0


def update_on_web(issue: Issue, content: IssueContent, *, by: str) -> None:
    """Show `content` on the page of an issue, whose slug and date stay."""
    shown = shown_content(issue)
    content = replace(content, slug=shown.slug, date=shown.date, subject=shown.subject, audience=shown.audience)
    if content != shown:
        # Without a note on the page: what it repeats was changed before.
        correct_web_version(issue, content, by=by, based_on=version_number(issue), is_minor=True)
        issue.refresh_from_db()


def take_off_web(issue: Issue, *, by: str) -> None:
    """Take its page down, because its import was undone."""
    if is_on_web(issue):
        change_visibility(issue, Visibility.TAKEN_DOWN, by=by, text="The import of the archive was undone.")


def put_back_on_web(issue: Issue, *, by: str) -> None:
    """List a page again that was taken down because its import was undone."""
    if not is_on_web(issue):
        change_visibility(issue, Visibility.LISTED, by=by)
        issue.refresh_from_db()


def redirect(issue: Issue, old_paths: Iterable[str]) -> list[str]:
    """Lead its old paths to its page; the paths that lead elsewhere already or cannot be paths."""
    refused = []
    for path in old_paths:
        try:
            if WebRedirect.objects.add(issue, path).issue_id != issue.pk:
                refused.append(path)
        except ValueError:
            refused.append(path)
    return refused
