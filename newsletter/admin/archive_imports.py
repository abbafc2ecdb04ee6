"""The import of an archive: upload it, review what was found, and watch the import."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from newsletter.admin.archive_import_forms import SOURCES, ChoicesForm, UploadForm
from newsletter.admin.csv_file import csv_answer
from newsletter.admin.pages import SEND_PERMISSION, username_of
from newsletter.archive_import import control
from newsletter.archive_import.counts import issues_in, outcome_lines, source_lines, summary
from newsletter.archive_import.files import OpenUpload, store_upload
from newsletter.archive_import.report import csv_header, csv_rows, report_rows
from newsletter.archive_import.wiring import choose_reader
from newsletter.content.archives.item import ArchiveError
from newsletter.models import (
    ARCHIVE_WORKING,
    ArchiveEntry,
    ArchiveImport,
    ArchiveImportState,
    ArchiveProblem,
    EntryOutcome,
    Newsletter,
)
from subscribers.admin.read_only import ReadOnlyAdmin
from subscribers.state_machine import InvalidTransition

#: Seconds between two refreshes of the progress.
POLL_SECONDS = 2

#: Entries that the review shows, and failures among them.
SHOWN_ENTRIES = 50

ADD, VIEW = "newsletter.add_archiveimport", "newsletter.view_archiveimport"

TONES = {
    ArchiveImportState.FINISHED: "success",
    ArchiveImportState.FAILED: "error",
    ArchiveImportState.PAUSED: "warn",
    ArchiveImportState.RUNNING: "info",
    ArchiveImportState.CHECKING: "info",
    ArchiveImportState.UNDOING: "info",
}


def import_url(stored: ArchiveImport, page: str) -> str:
    """The URL of a page of this import."""
    return reverse(f"admin:newsletter_archiveimport_{page}", args=[stored.pk])


class ArchiveImportAdmin(ReadOnlyAdmin):
    """All imports of archives, and the wizard."""

    list_display = ("source_name", "newsletter", "archive", "state", "entry_count", "by", "created_at")
    list_filter = ("state", "newsletter")
    list_select_related = ("newsletter",)
    actions = None

    def get_queryset(self, request: HttpRequest) -> Any:
        """Without files that are still arriving."""
        return super().get_queryset(request).exclude(sha256="", is_local=False)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Users who may import."""
        return request.user.has_perm(ADD)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The first step."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return upload(request)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page of an import shows what it needs next."""
        stored = self.get_object(request, object_id)
        if not isinstance(stored, ArchiveImport):
            raise Http404
        if not self.has_view_permission(request, stored):
            raise PermissionDenied
        return HttpResponseRedirect(import_url(stored, "review"))

    def get_urls(self) -> list[URLPattern]:
        """The steps and actions, before Django's own pages."""
        pages: dict[str, tuple[Callable[..., HttpResponse], str]] = {
            "review": (show_review, VIEW),
            "progress": (show_progress, VIEW),
            "report": (download_report, VIEW),
            "run": (run, ADD),
            "pause": (pause, ADD),
            "resume": (resume, ADD),
            "undo": (undo, ADD),
            "discard": (discard, ADD),
        }
        return [
            path(
                f"<int:pk>/{name}/",
                self.admin_site.admin_view(_page(view, permission)),
                name=f"newsletter_archiveimport_{name}",
            )
            for name, (view, permission) in pages.items()
        ] + super().get_urls()


def _page(view: Callable[..., HttpResponse], permission: str) -> Callable[..., HttpResponse]:
    """A view of one import, for those with the permission."""

    def with_import(request: HttpRequest, pk: int) -> HttpResponse:
        if not request.user.has_perm(permission):
            raise PermissionDenied
        arrived = ArchiveImport.objects.exclude(sha256="", is_local=False)
        stored = arrived.select_related("newsletter").filter(pk=pk).first()
        if stored is None:
            raise Http404
        return view(request, stored)

    return with_import


def _render(request: HttpRequest, template: str, step: int, **context: Any) -> HttpResponse:
    names = (_("Upload"), _("Review and import"))
    steps = [(number, name, number < step, number == step) for number, name in enumerate(names, start=1)]
    frame = {"title": _("Import an archive"), "opts": ArchiveImport._meta, "steps": steps}
    may_import = request.user.has_perm(ADD)
    return TemplateResponse(
        request,
        f"admin/newsletter/archive_import/{template}.html",
        {**admin.site.each_context(request), **frame, "may_import": may_import, **context},
    )


# Step 1


@require_http_methods(["GET", "HEAD", "POST"])
def upload(request: HttpRequest) -> HttpResponse:
    """The first step: the file."""
    if not Newsletter.objects.exists():
        messages.warning(request, _("Add a newsletter first: every issue belongs to one."))
        return HttpResponseRedirect(reverse("admin:index"))
    form = UploadForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        try:
            stored = _stored(request, form)
        except ArchiveError as error:
            form.add_error("file", str(error))
        else:
            return HttpResponseRedirect(import_url(stored, "review"))
    hints = [(code, label if code else "", hint) for code, (label, hint) in SOURCES.items()]
    return _render(request, "upload", 1, form=form, hints=hints)


def _stored(request: HttpRequest, form: UploadForm) -> ArchiveImport:
    """The file, stored if it is an archive that can be read. Raises ArchiveError."""
    file = form.cleaned_data["file"]
    stored = store_upload(
        form.cleaned_data["newsletter"],
        file.name or "",
        file.chunks(1 << 20),
        by=username_of(request),
        site_url=form.cleaned_data["site_url"],
        archive=form.cleaned_data["source"],
    )
    try:
        with OpenUpload(stored) as opened:
            choose_reader(opened.files, stored.site_url, stored.archive)
    except ArchiveError:
        stored.delete()
        raise
    return stored


# Step 2


@require_safe
def show_review(request: HttpRequest, stored: ArchiveImport) -> HttpResponse:
    """The second step: what was found, then the import and its end."""
    is_working = stored.state in ARCHIVE_WORKING
    is_checked = stored.state == ArchiveImportState.CHECKED
    may_publish = request.user.has_perm(SEND_PERMISSION)
    entries = [] if is_working else list(_shown_entries(stored))
    return _render(
        request,
        "review",
        2,
        stored=stored,
        fragment=_progress(stored),
        is_working=is_working,
        poll_seconds=POLL_SECONDS if is_working else 0,
        poll_url=import_url(stored, "progress"),
        is_checked=is_checked,
        form=ChoicesForm(may_publish=may_publish) if is_checked else None,
        may_publish=may_publish,
        ready=issues_in(stored.expected) if is_checked else 0,
        sources=source_lines(stored.expected) if is_checked else [],
        entries=entries,
        has_more=stored.entry_count > len(entries),
        can_undo=control.can_be_undone(stored),
        report_url=import_url(stored, "report"),
        tone=TONES.get(ArchiveImportState(stored.state), "plain"),
    )


def _shown_entries(stored: ArchiveImport) -> Any:
    """The failures first, then the first entries that are issues."""
    entries = ArchiveEntry.objects.filter(owner=stored).defer("data")
    failed = entries.filter(expected=EntryOutcome.FAILED) | entries.filter(outcome=EntryOutcome.FAILED)
    shown = list(failed.order_by("position").values_list("pk", flat=True)[:SHOWN_ENTRIES])
    others = entries.exclude(expected__in=(EntryOutcome.NO_ISSUE, EntryOutcome.FAILED)).exclude(pk__in=shown)
    shown += list(others.order_by("position").values_list("pk", flat=True)[: SHOWN_ENTRIES - len(shown)])
    rows = list(report_rows(entries.filter(pk__in=shown), as_drafts=stored.as_drafts))
    return sorted(rows, key=lambda row: row.outcome != EntryOutcome.FAILED)


@require_safe
def show_progress(request: HttpRequest, stored: ArchiveImport) -> HttpResponse:
    """The part of the page that changes while a worker is at it; 304 while it does not change (by ETag)."""
    body = _progress(stored).encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    response = get_conditional_response(request, etag=etag) or HttpResponse(body)
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    return response


def _progress(stored: ArchiveImport) -> str:
    is_started = stored.started_at is not None
    counts = stored.counts if is_started else stored.expected
    is_check = stored.state in (ArchiveImportState.CHECKING, ArchiveImportState.CHECKED)
    problem = str(ArchiveProblem(stored.problem).label) if stored.problem else ""
    context = {
        "stored": stored,
        "lines": [] if stored.state == ArchiveImportState.CHECKING else outcome_lines(counts),
        "all": stored.entry_count if not is_started else stored.done_count,
        "summary": summary(counts) if is_started and counts else "",
        "percent": "" if is_check or not stored.entry_count else round(100 * stored.done_count / stored.entry_count),
        "is_working": stored.state in ARCHIVE_WORKING,
        "is_checked": stored.state == ArchiveImportState.CHECKED,
        "problem": stored.detail_sentence or problem,
    }
    return render_to_string("admin/newsletter/archive_import/progress.html", context)


@require_safe
def download_report(request: HttpRequest, stored: ArchiveImport) -> HttpResponse:
    """A line per entry of the archive."""
    return csv_answer(f"archive-{stored.pk}", csv_header(), csv_rows(stored))


# Actions


def _moved(request: HttpRequest, stored: ArchiveImport, move: Callable[[], None]) -> HttpResponse:
    """Move the import; another editor may have been faster."""
    try:
        move()
    except InvalidTransition as error:
        messages.error(request, str(error))
    return HttpResponseRedirect(import_url(stored, "review"))


@require_POST
def run(request: HttpRequest, stored: ArchiveImport) -> HttpResponse:
    """Import what was checked."""
    form = ChoicesForm(request.POST, may_publish=request.user.has_perm(SEND_PERMISSION))
    if not form.is_valid():
        messages.error(request, _("Choose what public issues become."))
        return HttpResponseRedirect(import_url(stored, "review"))
    choices = form.cleaned_data
    return _moved(
        request,
        stored,
        lambda: control.start_run(
            stored,
            by=username_of(request),
            as_drafts=choices["where"] == ChoicesForm.DRAFTS,
            keeps_tracking=choices["keeps_tracking"],
        ),
    )


@require_POST
def pause(request: HttpRequest, stored: ArchiveImport) -> HttpResponse:
    """Pause the import."""
    return _moved(request, stored, lambda: control.pause(stored))


@require_POST
def resume(request: HttpRequest, stored: ArchiveImport) -> HttpResponse:
    """Continue the import."""
    return _moved(request, stored, lambda: control.resume(stored))


@require_http_methods(["GET", "HEAD", "POST"])
def undo(request: HttpRequest, stored: ArchiveImport) -> HttpResponse:
    """Ask first, then cancel the import and remove what it made."""
    if request.method == "POST":
        return _moved(request, stored, lambda: control.undo(stored, by=username_of(request)))
    return _render(request, "undo", 2, stored=stored)


@require_POST
def discard(request: HttpRequest, stored: ArchiveImport) -> HttpResponse:
    """Delete an upload that was not imported."""
    if control.discard(stored):
        messages.success(request, _("The file was deleted. Nothing was imported."))
    return HttpResponseRedirect(reverse("admin:newsletter_archiveimport_changelist"))
