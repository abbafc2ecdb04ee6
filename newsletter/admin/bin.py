"""The bin of the admin: deleting a draft moves it there; from there it is restored, or deleted for good."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from newsletter.admin.pages import page_url, redirect_with_message, username_of
from newsletter.admin.time_format import from_now, in_zone
from newsletter.content.bin import KEPT_FOR, IssueIsKept, NotInBin, delete_from_bin, move_to_bin, restore_from_bin
from newsletter.content.store import load_content
from newsletter.models import Issue
from newsletter.models.reasons import actor_name

#: Issues that the page lists, the last deleted first.
SHOWN = 100
#: Where the session keeps the issue that was just deleted, for one page.
JUST_DELETED = "deleted_issue"


@dataclass(frozen=True, slots=True, kw_only=True)
class BinnedIssue:
    """An issue in the bin, in words."""

    issue: Issue
    deleted: str
    ago: str
    by: str
    until: str


@dataclass(frozen=True, slots=True)
class JustDeleted:
    """The issue that was just deleted: its key, its title, and until when it can be restored."""

    pk: int
    title: str
    until: str


@require_safe
def show_bin(request: HttpRequest) -> HttpResponse:
    """The issues in the bin."""
    _require(request, "view")
    found = Issue.with_bin.in_bin().select_related("newsletter").order_by("-deleted_at", "-pk")
    return _page(
        request,
        "bin",
        title=_("Bin"),
        issues=[_in_words(issue) for issue in found[:SHOWN]],
        days=KEPT_FOR.days,
        shown=SHOWN,
        may_restore=_model_admin().has_change_permission(request),
        may_delete=_model_admin().has_delete_permission(request),
    )


@require_http_methods(["GET", "HEAD", "POST"])
def confirm_move(request: HttpRequest, issue: Issue) -> HttpResponse:
    """Say in one sentence what deleting the draft means. POST moves it to the bin."""
    if request.method != "POST":
        return _page(
            request,
            "bin_move",
            title=_("Delete “%(title)s”?") % {"title": issue.title},
            issue=issue,
            until=_until(timezone.now()),
        )
    try:
        move_to_bin(issue, by=username_of(request))
    except IssueIsKept as error:
        return redirect_with_message(request, str(error), page_url(issue, "change"), level=messages.ERROR)
    _model_admin().log_change(request, issue, _("Moved to the bin."))
    request.session[JUST_DELETED] = issue.pk
    return redirect_with_message(
        request, _("“%(title)s” is in the bin.") % {"title": issue.title}, reverse("admin:newsletter_issue_changelist")
    )


@require_POST
def restore(request: HttpRequest, pk: int) -> HttpResponse:
    """Make it a draft again."""
    _require(request, "change")
    try:
        issue = restore_from_bin(pk)
    except NotInBin as error:
        return redirect_with_message(request, str(error), bin_url(), level=messages.WARNING)
    _model_admin().log_change(request, issue, _("Restored from the bin."))
    sentence = _("“%(title)s” is restored, as a draft.") % {"title": issue.title}
    return redirect_with_message(request, sentence, page_url(issue, "change"))


@require_http_methods(["GET", "HEAD", "POST"])
def delete_now(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask whether it is to be deleted for good. POST deletes it."""
    _require(request, "delete")
    issue = Issue.with_bin.in_bin().select_related("newsletter").filter(pk=pk).first()
    if issue is None:
        raise Http404
    if request.method != "POST":
        return _page(
            request,
            "bin_delete",
            title=_("Delete “%(title)s” now?") % {"title": issue.title},
            issue=issue,
            stories=len(list(load_content(issue).stories())),
            revisions=issue.revisions.count(),
        )
    try:
        _model_admin().log_deletions(request, Issue.with_bin.filter(pk=pk))
        title = delete_from_bin(pk)
    except NotInBin as error:
        return redirect_with_message(request, str(error), bin_url(), level=messages.WARNING)
    return redirect_with_message(request, _("“%(title)s” is deleted.") % {"title": title}, bin_url())


def just_deleted(request: HttpRequest) -> JustDeleted | None:
    """The issue that this user deleted on the page before, once, if it can still be restored."""
    pk = request.session.pop(JUST_DELETED, None)
    if pk is None or not _model_admin().has_change_permission(request):
        return None
    issue = Issue.with_bin.in_bin().filter(pk=pk).first()
    return JustDeleted(issue.pk, issue.title, _until(issue.deleted_at or timezone.now())) if issue else None


def bin_url() -> str:
    """The URL of the page."""
    return reverse("admin:newsletter_issue_bin")


def _model_admin() -> admin.ModelAdmin[Issue]:
    return admin.site.get_model_admin(Issue)


def _require(request: HttpRequest, permission: str) -> None:
    if not getattr(_model_admin(), f"has_{permission}_permission")(request):
        raise PermissionDenied


def _in_words(issue: Issue) -> BinnedIssue:
    deleted_at = issue.deleted_at or timezone.now()
    return BinnedIssue(
        issue=issue,
        deleted=in_zone(deleted_at, issue.newsletter.time_zone, short=True),
        ago=from_now(deleted_at),
        by=actor_name(issue.deleted_by),
        until=_until(deleted_at),
    )


def _until(deleted_at: datetime.datetime) -> str:
    return date_format((deleted_at + KEPT_FOR).date(), "DATE_FORMAT")


def _page(request: HttpRequest, template: str, **context: object) -> HttpResponse:
    frame = admin.site.each_context(request) | {"opts": Issue._meta, **context}
    return TemplateResponse(request, f"admin/newsletter/issue/{template}.html", frame)
