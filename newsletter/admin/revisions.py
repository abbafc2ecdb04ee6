"""Revisions of an issue: look at one, compare two, bring an old one back."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods, require_safe

from newsletter.admin.pages import CHANGE_PERMISSION, Need, Page, editor_of, issue_page, page_url, tell_and_go
from newsletter.admin.time_format import from_now, in_zone
from newsletter.content.difference import difference, summary_of
from newsletter.content.document import IssueContent
from newsletter.content.revisions import UnreadableRevision, content_of
from newsletter.content.store import NO_REVISION, ContentError, load_content, save_content
from newsletter.models import Issue, Revision

ON_A_PAGE = 30


@dataclass(frozen=True, slots=True)
class Line:
    """One revision in the list. `is_from` and `is_to` are the two that are compared unless others are chosen."""

    revision: Revision
    summary: str
    ago: str
    moment: str
    is_current: bool
    is_from: bool
    is_to: bool


@require_safe
def list_revisions(request: HttpRequest, issue: Issue) -> HttpResponse:
    """Every kept save, the newest first, with what it changed."""
    page = Paginator(issue.revisions.order_by("-number"), ON_A_PAGE).get_page(request.GET.get("page"))
    # One more than is shown: what the oldest of them changed is told by the one before it.
    until = page.end_index() + 1 if page.object_list else 0
    kept = list(issue.revisions.order_by("-number")[max(page.start_index() - 1, 0) : until])
    lines = list(_lines(issue, kept))[: len(page.object_list)]
    return issue_page(request, issue, "revisions", title="Revisions", step="change", revisions=lines, pages=page)


@require_safe
def show_revision(request: HttpRequest, issue: Issue, number: int) -> HttpResponse:
    """One revision, to read."""
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
        title=f"Revision {number}",
        step="change",
        revision=revision,
        content=content,
        moment=_moment(issue, revision.saved_at),
        is_current=is_current,
        may_restore=not is_current and issue.is_editable and request.user.has_perm(CHANGE_PERMISSION),
    )


@require_safe
def compare_revisions(request: HttpRequest, issue: Issue) -> HttpResponse:
    """What changed from one revision to another; by default in the last save."""
    numbers = list(issue.revisions.order_by("-number").values_list("number", flat=True)[:2])
    if not numbers:
        return tell_and_go(
            request, "No save of this issue has been kept yet.", page_url(issue, "revisions"), level=messages.INFO
        )
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
        title="Compare revisions",
        step="change",
        older=older,
        newer=newer,
        changes=changes,
        summary=summary_of(changes),
    )


@require_http_methods(["GET", "HEAD", "POST"])
def restore_revision(request: HttpRequest, issue: Issue, number: int) -> HttpResponse:
    """What coming back would change; a POST saves the old words as a new revision, unless others were saved since."""
    revision = _revision(issue, number)
    try:
        content = content_of(revision)
    except UnreadableRevision as error:
        return _unreadable(request, issue, error)
    problem = ""
    if request.method == "POST":
        try:
            save_content(
                issue,
                content,
                by=editor_of(request),
                based_on=_as_number(request.POST.get("based_on", ""), NO_REVISION),
                note=f"Restored revision {number}",
            )
        except ContentError as error:
            problem = str(error)
            issue.refresh_from_db()
        else:
            sentence = f"“{issue.title}” says again what it said in revision {number}."
            return tell_and_go(request, sentence, page_url(issue, "change"))
    return issue_page(
        request,
        issue,
        "restore",
        title=f"Bring back revision {number}",
        step="change",
        revision=revision,
        moment=_moment(issue, revision.saved_at),
        changes=difference(load_content(issue), content),
        problem=problem,
    )


def _lines(issue: Issue, kept: Sequence[Revision]) -> Iterator[Line]:
    """A line for each of `kept`, newest first; the last one only tells what the one after it changed."""
    contents = [_content_or_none(revision) for revision in kept]
    for place, (revision, content) in enumerate(zip(kept, contents, strict=True)):
        before = contents[place + 1] if place + 1 < len(kept) else None
        yield Line(
            revision=revision,
            summary=_summary(content, before, is_first=place + 1 == len(kept)),
            ago=from_now(revision.saved_at),
            moment=_moment(issue, revision.saved_at),
            is_current=revision.number == issue.revision,
            is_from=place == min(1, len(kept) - 1),
            is_to=place == 0,
        )


def _summary(content: IssueContent | None, before: IssueContent | None, *, is_first: bool) -> str:
    if content is None:
        return "This version of the program cannot read it."
    if is_first:
        return "The first that was kept."
    return summary_of(difference(before, content)).capitalize() if before else "–"


def _content_or_none(revision: Revision) -> IssueContent | None:
    try:
        return content_of(revision)
    except UnreadableRevision:
        return None


def _revision(issue: Issue, number: int) -> Revision:
    revision = issue.revisions.filter(number=number).first()
    if revision is None:
        raise Http404(f"This issue has no revision {number}.")
    return revision


def _number(request: HttpRequest, name: str, default: int) -> int:
    return _as_number(request.GET.get(name, ""), default)


def _as_number(typed: str, default: int) -> int:
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 10 else default


def _moment(issue: Issue, saved_at: datetime.datetime) -> str:
    return in_zone(saved_at, issue.newsletter.time_zone, short=True)


def _unreadable(request: HttpRequest, issue: Issue, error: UnreadableRevision) -> HttpResponse:
    return tell_and_go(request, str(error), page_url(issue, "revisions"), level=messages.ERROR)


PAGES = (
    Page("revisions", list_revisions, Need.VIEW),
    Page("compare", compare_revisions, Need.VIEW),
    Page("revision/<int:number>", show_revision, Need.VIEW),
    Page("restore/<int:number>", restore_revision, Need.CHANGE),
)
