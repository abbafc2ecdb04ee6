"""Publishing an issue on the web without mailing it, correcting its page, and choosing who finds it.

The mail and its edition never change: a correction is a further version of the page. A page that shows what was mailed
has no row; the first correction stores that content as version 1.
"""

from __future__ import annotations

import datetime
import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import orjson
from django.db import transaction
from django.utils import timezone
from pydantic import TypeAdapter, ValidationError

from newsletter.config.translatable import translatable
from newsletter.content.document import AudienceContent, IssueContent
from newsletter.content.fields import content_faults
from newsletter.content.revisions import as_json
from newsletter.content.store import ContentError, ContentIsUnfit, IssueIsClosed, load_content, with_plain_line_ends
from newsletter.models import (
    WEB_PAGE_MACHINE,
    Issue,
    IssueState,
    Visibility,
    WebPage,
    WebPageTransition,
    WebRedirect,
    WebVersion,
    WebVersionSource,
)
from newsletter.models.web_pages import page_of, reachable_issues

log = logging.getLogger(__name__)

MAX_NOTE = 500

_CONTENT = TypeAdapter(IssueContent)


class NotOnTheWeb(ContentError):
    """The issue has no page, so there is nothing to correct or to take down."""


class CorrectionRefused(ContentError):
    """The correction is incomplete, changes nothing, or changes what a correction cannot change."""


class PageChanged(ContentError):
    """Someone else has corrected the page since the editor opened it."""


class UnreadableVersion(ContentError):
    """This version of the program cannot read the content of the page."""


def publish_on_web(
    issue: Issue,
    *,
    published_at: datetime.datetime,
    by: str,
    visibility: Visibility = Visibility.LISTED,
    old_paths: Iterable[str] = (),
) -> WebPage:
    """Publish the present content of a draft on the web, without a send; the issue can never be sent afterwards.

    `published_at` is when visitors first saw it, and is not in the future. `old_paths` are paths at its former home,
    from which visitors are redirected. Raises IssueIsClosed unless it is a draft with content that was never
    scheduled or sent.
    """
    if published_at > timezone.now():
        raise ValueError("An issue is not published in the future.")
    with transaction.atomic():
        row = Issue.objects.select_for_update().get(pk=issue.pk)
        if row.state != IssueState.DRAFT or row.is_digest or not row.revision or row.sends.exists():
            raise IssueIsClosed(
                translatable(
                    "“{title}” cannot be published on the web without being mailed: only a draft with content that was "
                    "never scheduled, approved or sent can.",
                    title=row.title,
                )
            )
        content = replace(load_content(row), audience=AudienceContent())
        row.move(IssueState.PUBLISHED, by=by)
        version = _add_version(row, 1, content, source=WebVersionSource.IMPORT, by=by)
        page = _make_page(row, by=by, visibility=visibility, published_at=published_at, version=version)
        for path in old_paths:
            WebRedirect.objects.add(row, path)
    issue.refresh_from_db()
    log.info("Issue %s of newsletter %s published on the web without a send by %s", row.slug, row.newsletter_id, by)
    return page


def correct_web_version(
    issue: Issue,
    content: IssueContent,
    *,
    by: str,
    based_on: int,
    note: str = "",
    is_minor: bool = False,
    shows_changes: bool = True,
) -> WebVersion:
    """Show `content` on the issue's page from now on; its mails and its edition stay as they are.

    `based_on` is the number of the version that the editor saw, as `version_number` gives it. `note` tells visitors
    what was corrected; only a minor correction has none. Without `shows_changes` visitors do not see what was changed,
    now or in earlier corrections. Subject and audience of the mail stay as sent, also if `content` has others. Raises
    a ContentError, and then changes nothing.
    """
    note = " ".join(note.split())
    with transaction.atomic():
        row = _locked(issue)
        number = version_number(row)
        if number != based_on:
            raise PageChanged(
                translatable(
                    "Someone else has corrected the web version of “{title}” since you opened it, so your correction "
                    "was not saved. Reload the page and correct the new version.",
                    title=row.title,
                )
            )
        before = shown_content(row)
        after = correction_of(before, content)
        if not is_minor and not note:
            raise CorrectionRefused(
                translatable("Write a note that tells visitors what was corrected, or mark the correction as minor.")
            )
        if len(note) > MAX_NOTE:
            raise CorrectionRefused(translatable("The note is longer than {limit} characters.", limit=MAX_NOTE))
        page = page_of(row) or _make_page(row, by=by, visibility=Visibility.LISTED)
        if page.version_id is None:
            sent_at = getattr(row, "shown_at", None) or timezone.now()
            _add_version(row, 1, before, source=WebVersionSource.EDITION, by=_sender(row), at=sent_at)
        version = _add_version(
            row,
            number + 1,
            after,
            source=WebVersionSource.CORRECTION,
            by=by,
            note="" if is_minor else note,
            is_minor=is_minor,
            shows_changes=shows_changes,
        )
        WebPage.objects.filter(pk=page.pk).update(version=version, changed_at=version.at)
    log.info("Web version of issue %s of newsletter %s corrected by %s", row.slug, row.newsletter_id, by)
    return version


def change_visibility(issue: Issue, target: Visibility, *, by: str, text: str = "") -> WebPage:
    """List, hide or take down the issue's page, and keep who did it, when and why.

    Taking a page down needs a reason, `text`. Raises a ContentError, or InvalidTransition if the page has that
    visibility already.
    """
    text = " ".join(text.split())[:MAX_NOTE]
    if target == Visibility.TAKEN_DOWN and not text:
        raise CorrectionRefused(translatable("Give the reason for taking the page down. Only editors see it."))
    with transaction.atomic():
        row = _locked(issue)
        page = page_of(row) or _make_page(row, by=by, visibility=Visibility.LISTED)
        page.move(target, by=by, values={"text": text} if text else {})
    log.info("Web page of issue %s of newsletter %s is %s by %s", row.slug, row.newsletter_id, target, by)
    return page


def correction_of(before: IssueContent, content: IssueContent) -> IssueContent:
    """`content` as the version of a page after `before`. Raises ContentIsUnfit or CorrectionRefused."""
    content = with_plain_line_ends(content)
    if (content.slug, content.date) != (before.slug, before.date):
        raise CorrectionRefused(
            translatable(
                "The slug (“{slug}”) and the date ({date}) cannot be corrected: mails link to the page, and the "
                "archive lists it there.",
                slug=before.slug,
                date=before.date.isoformat(),
            )
        )
    after = replace(content, subject=before.subject, audience=before.audience)
    if faults := tuple(content_faults(after)):
        raise ContentIsUnfit(faults)
    if after == before:
        raise CorrectionRefused(translatable("Nothing was changed, so there is nothing to correct."))
    return after


def version_number(issue: Issue) -> int:
    """The number of the version that the page shows: 1 for what was mailed or imported."""
    page = page_of(issue)
    return page.version.number if page and page.version else 1


def shown_content(issue: Issue) -> IssueContent:
    """The content that the issue's page shows: its latest version, else what was mailed. Raises UnreadableVersion.

    NotOnTheWeb if it is a draft.
    """
    page = page_of(issue)
    if page and page.version:
        return content_of_version(page.version)
    edition = issue.edition
    if edition is None:
        raise _not_on_the_web(issue)
    return _read(edition.content)


def content_of_version(version: WebVersion) -> IssueContent:
    """The content of a version. Raises UnreadableVersion."""
    return _read(version.content)


def corrected_contents(issue_pks: Iterable[int]) -> dict[int, IssueContent]:
    """The content of those pages that were corrected, by issue, for digests that repeat issues; one query."""
    pages = WebPage.objects.filter(issue__in=list(issue_pks), version__isnull=False).select_related("version")
    return {page.issue_id: _read(page.version.content) for page in pages if page.version}


def taken_down(issue_pks: Iterable[int]) -> set[int]:
    """Those of the issues whose page was taken down; one query."""
    pages = WebPage.objects.filter(issue__in=list(issue_pks), visibility=Visibility.TAKEN_DOWN)
    return set(pages.values_list("issue", flat=True))


def content_sha256(content: Mapping[str, Any]) -> str:
    """The hash of content as it is stored, for any order of its keys."""
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _locked(issue: Issue) -> Any:
    """The issue with its page, locked until the transaction ends. Raises NotOnTheWeb."""
    Issue.objects.select_for_update().get(pk=issue.pk)
    row = reachable_issues().filter(pk=issue.pk).select_related("web_page__version").first()
    if row is None:
        raise _not_on_the_web(issue)
    return row


def _not_on_the_web(issue: Issue) -> NotOnTheWeb:
    return NotOnTheWeb(
        translatable("“{title}” has no web page: it was not sent, or nothing of it went out.", title=issue.title)
    )


def _make_page(row: Issue, *, by: str, visibility: Visibility, **fields: Any) -> WebPage:
    if visibility not in WEB_PAGE_MACHINE.initial_states:
        raise ValueError(f"A page is not made as {visibility}.")
    page = WebPage.objects.create(issue=row, visibility=visibility, **fields)
    WebPageTransition.objects.create(page=page, source="", target=visibility, by=by[:150])
    return page


def _add_version(
    row: Issue, number: int, content: IssueContent, *, source: WebVersionSource, by: str, **fields: Any
) -> WebVersion:
    kept = as_json(content)
    return WebVersion.objects.create(
        issue=row, number=number, content=kept, sha256=content_sha256(kept), source=source, by=by[:150], **fields
    )


def _sender(row: Issue) -> str:
    """Who sent the issue, as its history has it."""
    send = row.current_send
    first = send.transitions.first() if send else None
    return first.by if first else ""


def _read(content: Any) -> IssueContent:
    try:
        return _CONTENT.validate_python(content)
    except ValidationError as error:
        raise UnreadableVersion(
            translatable(
                "The content of this page cannot be read by this version of the program: {reason}.",
                reason=error.errors()[0]["msg"],
            )
        ) from error
