"""Revisions of an issue: read one, compare two, restore an old one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from newsletter.admin.pages import (
    CHANGE_PERMISSION,
    Page,
    RequiredPermission,
    issue_page,
    page_url,
    redirect_with_message,
    username_of,
)
from newsletter.admin.time_format import from_now, with_zone
from newsletter.content.difference import difference, summary_of
from newsletter.content.document import IssueContent
from newsletter.content.revisions import UnreadableRevision, content_of
from newsletter.content.store import NO_REVISION, ContentError, load_content, save_content
from newsletter.models import Issue, Revision

PER_PAGE = 30


@dataclass(frozen=True, slots=True)
class RevisionRow:
    """One revision in the list. `is_from` and `is_to` preselect the two that are compared."""

    revision: Revision
    summary: str
    ago: str
    saved_at: str
    is_current: bool
    is_from: bool
    is_to: bool


@require_safe
def list_revisions(request: HttpRequest, issue: Issue) -> HttpResponse:
    """Every revision, newest first, with a summary of its changes."""
    page = Paginator(issue.revisions.order_by("-number"), PER_PAGE).get_page(request.GET.get("page"))
    # One more than the page shows: the summary of the oldest needs the revision before it.
    until = page.end_index() + 1 if page.object_list else 0
    kept = list(issue.revisions.order_by("-number")[max(page.start_index() - 1, 0) : until])
    rows = list(_rows(issue, kept))[: len(page.object_list)]
    return issue_page(request, issue, "revisions", title=_("Revisions"), tab="change", revisions=rows, pages=page)


@require_safe
def show_revision(request: HttpRequest, issue: Issue, number: int) -> HttpResponse:
    """The content of one revision."""
    revision = _revision(issue, number)
    try:
        content = content_of(revision)
    except UnreadableRevision as error:
        return _unreadable(request, issue, error)
    is_current = number == issue.revision
    return issue_page(
        request,
        issue,
        "revision",
        title=_("Revision %(number)s") % {"number": number},
        tab="change",
        revision=revision,
        content=content,
        saved_at=_saved_at(issue, revision),
        is_current=is_current,
        may_restore=not is_current and issue.is_editable and request.user.has_perm(CHANGE_PERMISSION),
    )


@require_safe
def compare_revisions(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The differences from revision `?from=` to revision `?to=`; by default those of the last save."""
    numbers = list(issue.revisions.order_by("-number").values_list("number", flat=True)[:2])
    if not numbers:
        sentence = _("This issue has no revisions yet.")
        return redirect_with_message(request, sentence, page_url(issue, "revisions"), level=messages.INFO)
    older = _revision(issue, _number(request, "from", numbers[-1]))
    newer = _revision(issue, _number(request, "to", numbers[0]))
    try:
        changes = difference(content_of(older), content_of(newer))
    except UnreadableRevision as error:
        return _unreadable(request, issue, error)
    return issue_page(
        request,
        issue,
        "compare",
        title=_("Compare revisions"),
        tab="change",
        older=older,
        newer=newer,
        changes=changes,
        summary=capfirst(str(summary_of(changes))),
    )


@require_http_methods(["GET", "HEAD", "POST"])
def restore_revision(request: HttpRequest, issue: Issue, number: int) -> HttpResponse:
    """The changes that restoring would make. POST saves the old content as a new revision, unless another was saved."""
    revision = _revision(issue, number)
    try:
        # Its audience may be larger than the one that was chosen since: that is changed on the compose page only.
        content = replace(content_of(revision), audience=load_content(issue).audience)
    except UnreadableRevision as error:
        return _unreadable(request, issue, error)
    problem = ""
    if request.method == "POST":
        try:
            save_content(
                issue,
                content,
                by=username_of(request),
                based_on=_as_number(request.POST.get("based_on", ""), NO_REVISION),
                note=f"restored:{number}",
            )
        except ContentError as error:
            problem = str(error)
            issue.refresh_from_db()
        else:
            sentence = _("Revision %(number)s of “%(title)s” is restored.") % {"number": number, "title": issue.title}
            return redirect_with_message(request, sentence, page_url(issue, "change"))
    return issue_page(
        request,
        issue,
        "restore",
        title=_("Restore revision %(number)s") % {"number": number},
        tab="change",
        revision=revision,
        saved_at=_saved_at(issue, revision),
        changes=difference(load_content(issue), content),
        problem=problem,
    )


def _rows(issue: Issue, kept: Sequence[Revision]) -> Iterator[RevisionRow]:
    """A row for each of `kept`, newest first. The last may be there only for the summary of the one after it."""
    contents = [_content_or_none(revision) for revision in kept]
    for index, (revision, content) in enumerate(zip(kept, contents, strict=True)):
        before = contents[index + 1] if index + 1 < len(kept) else None
        yield RevisionRow(
            revision=revision,
            summary=_summary(content, before, is_first=index + 1 == len(kept)),
            ago=from_now(revision.saved_at),
            saved_at=_saved_at(issue, revision),
            is_current=revision.number == issue.revision,
            is_from=index == min(1, len(kept) - 1),
            is_to=index == 0,
        )


def _summary(content: IssueContent | None, before: IssueContent | None, *, is_first: bool) -> str:
    if content is None:
        return _("This revision cannot be read by this version of the program.")
    if is_first:
        return _("The oldest revision.")
    return capfirst(str(summary_of(difference(before, content)))) if before else "–"


def _content_or_none(revision: Revision) -> IssueContent | None:
    try:
        return content_of(revision)
    except UnreadableRevision:
        return None


def _revision(issue: Issue, number: int) -> Revision:
    revision = issue.revisions.filter(number=number).first()
    if revision is None:
        raise Http404(_("This issue has no revision %(number)s.") % {"number": number})
    return revision


def _number(request: HttpRequest, name: str, default: int) -> int:
    return _as_number(request.GET.get(name, ""), default)


def _as_number(typed: str, default: int) -> int:
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 10 else default


def _saved_at(issue: Issue, revision: Revision) -> str:
    return with_zone(revision.saved_at, issue.newsletter.time_zone)


def _unreadable(request: HttpRequest, issue: Issue, error: UnreadableRevision) -> HttpResponse:
    return redirect_with_message(request, str(error), page_url(issue, "revisions"), level=messages.ERROR)


PAGES = (
    Page("revisions", list_revisions, RequiredPermission.VIEW),
    Page("compare", compare_revisions, RequiredPermission.VIEW),
    Page("revision/<int:number>", show_revision, RequiredPermission.VIEW),
    Page("restore/<int:number>", restore_revision, RequiredPermission.CHANGE),
)
