"""The import wizard: upload a file, say what its columns mean, review the dry run, and watch the import."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from subscribers.admin.import_forms import HINTS, OFFERED, PlanForm, UploadForm
from subscribers.admin.read_only import ReadOnlyAdmin
from subscribers.admin.rights import may_see_personal_data
from subscribers.imports import control
from subscribers.imports.errors import ImportFileError
from subscribers.imports.files import OpenFile, store_file
from subscribers.imports.outcomes import Outcome, outcome_lines, total
from subscribers.imports.plan import ImportPlan, guess_mapping
from subscribers.imports.presets import PRESET_LABELS, preset_named, recognise
from subscribers.imports.refused import reason_sentence, refused_header, refused_rows
from subscribers.imports.source import DELIMITERS, ENCODINGS, Source
from subscribers.imports.staging import plans_of
from subscribers.imports.states import RowState
from subscribers.models import (
    IMPORT_MACHINE,
    WORKING,
    Import,
    ImportProblem,
    ImportState,
    MailingList,
    SubscriptionState,
)
from subscribers.profile.fields import fields_of
from subscribers.state_machine import InvalidTransition

#: Seconds between two refreshes of the progress.
POLL_SECONDS = 2

ADD, VIEW = "subscribers.add_import", "subscribers.view_import"

TONES = {
    ImportState.FINISHED: "success",
    ImportState.FAILED: "error",
    ImportState.PAUSED: "warn",
    ImportState.RUNNING: "info",
    ImportState.CHECKING: "info",
    ImportState.UNDOING: "info",
}


def page_url(stored: Import, page: str) -> str:
    """The URL of a page of this import."""
    return reverse(f"admin:subscribers_import_{page}", args=[stored.pk])


@admin.register(Import)
class ImportAdmin(ReadOnlyAdmin):
    """All imports, and the wizard."""

    list_display = ("file_name", "mailing_list", "state", "row_count", "by", "created_at")
    list_filter = ("state", "mailing_list")
    list_select_related = ("mailing_list",)
    actions = None

    def get_queryset(self, request: HttpRequest) -> Any:
        """Without files that are still arriving."""
        return super().get_queryset(request).exclude(sha256="")

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
        if stored is None or not isinstance(stored, Import):
            raise Http404
        if not self.has_view_permission(request, stored):
            raise PermissionDenied
        is_new = stored.state == ImportState.UPLOADED and self.has_add_permission(request)
        return HttpResponseRedirect(page_url(stored, "columns" if is_new else "review"))

    def get_urls(self) -> list[URLPattern]:
        """The steps and actions, before Django's own pages."""
        pages: dict[str, tuple[Callable[..., HttpResponse], str]] = {
            "columns": (show_columns, ADD),
            "review": (show_review, VIEW),
            "progress": (show_progress, VIEW),
            "refused": (download_refused, VIEW),
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
                name=f"subscribers_import_{name}",
            )
            for name, (view, permission) in pages.items()
        ] + super().get_urls()


def _page(view: Callable[..., HttpResponse], permission: str) -> Callable[..., HttpResponse]:
    """A view of one import, for those with the permission."""

    def with_import(request: HttpRequest, pk: int) -> HttpResponse:
        if not request.user.has_perm(permission):
            raise PermissionDenied
        stored = Import.objects.select_related("mailing_list").exclude(sha256="").filter(pk=pk).first()
        if stored is None:
            raise Http404
        if view in SHOWING_ROWS and not _may_see_rows(request, stored):
            raise PermissionDenied
        return view(request, stored)

    return with_import


def _may_see_rows(request: HttpRequest, stored: Import) -> bool:
    """Whether the rows of the file are shown; always to the editor who uploaded it."""
    return may_see_personal_data(request) or stored.by == request.user.get_username()


def _render(request: HttpRequest, template: str, step: int, title: str, **context: Any) -> HttpResponse:
    names = (_("Upload"), _("Columns and consent"), _("Review and import"))
    steps = [(number, name, number < step, number == step) for number, name in enumerate(names, start=1)]
    shared = {**admin.site.each_context(request), "opts": Import._meta, "title": title, "steps": steps}
    may_import = request.user.has_perm(ADD)
    return TemplateResponse(
        request, f"admin/subscribers/import/{template}.html", {**shared, "may_import": may_import, **context}
    )


# Step 1


@require_http_methods(["GET", "HEAD", "POST"])
def upload(request: HttpRequest) -> HttpResponse:
    """The first step: the file."""
    if not MailingList.objects.exists():
        messages.warning(request, _("Add a newsletter first: subscribers are imported into its list."))
        return HttpResponseRedirect(reverse("admin:index"))
    form = UploadForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        try:
            stored = _stored(request, form)
        except ImportFileError as error:
            form.add_error("file", str(error))
        else:
            suffix = f"?preset={form.cleaned_data['preset']}" if form.cleaned_data["preset"] else ""
            return HttpResponseRedirect(page_url(stored, "columns") + suffix)
    hints = [(name, PRESET_LABELS[name] if name in OFFERED else "", hint) for name, hint in HINTS.items()]
    return _render(request, "upload", 1, _("Import subscribers"), form=form, hints=hints)


def _stored(request: HttpRequest, form: UploadForm) -> Import:
    """The file, stored after it could be opened. Raises ImportFileError."""
    file, by = form.cleaned_data["file"], request.user.get_username()
    stored = store_file(form.cleaned_data["mailing_list"], file.name or "", file.chunks(1 << 20), by=by)
    try:
        with OpenFile(stored) as opened:
            for table in opened.source.tables:
                guess_mapping(table, recognise(table, stored.file_name))
    except ImportFileError:
        control.delete_file(stored)
        raise
    return stored


# Step 2


@require_http_methods(["GET", "HEAD", "POST"])
def show_columns(request: HttpRequest, stored: Import) -> HttpResponse:
    """The second step: what the columns mean, and how these subscribers agreed."""
    if ImportState.CHECKING not in IMPORT_MACHINE.transitions[stored.state]:
        return HttpResponseRedirect(page_url(stored, "review"))
    try:
        with OpenFile(stored) as file:
            return _columns(request, stored, file.source)
    except ImportFileError as error:
        messages.error(request, str(error))
        return HttpResponseRedirect(reverse("admin:subscribers_import_add"))


def _columns(request: HttpRequest, stored: Import, source: Source) -> HttpResponse:
    plans, remembered = _plans(stored, source, request.GET.get("preset", ""))
    known = fields_of(stored.mailing_list)
    initial = {"update_mode": stored.update_mode}
    form = PlanForm(request.POST or None, source=source, plans=plans, known=known, initial=initial)
    if request.method == "POST" and form.is_valid():
        by, update_mode = request.user.get_username(), form.cleaned_data["update_mode"]
        try:
            control.start_check(stored, form.plans, source, update_mode=update_mode, by=by)
        except InvalidTransition as error:
            messages.error(request, str(error))
        return HttpResponseRedirect(page_url(stored, "review"))
    return _render(
        request,
        "columns",
        2,
        _("Import subscribers"),
        form=form,
        stored=stored,
        tables=[_described(plan, source, number) for number, plan in enumerate(plans)],
        ignored=source.ignored,
        remembered=remembered,
    )


def _plans(stored: Import, source: Source, preset: str) -> tuple[list[ImportPlan], Import | None]:
    """The plans as they were saved, those of the last file with the same columns, or new guesses."""
    saved = [plan for plan in plans_of(stored) if plan is not None]
    if len(saved) == len(source.tables):
        return saved, None
    guesses = []
    for table in source.tables:
        name = stored.file_name
        found = preset_named(preset, table, name) if preset in PRESET_LABELS else recognise(table, name)
        guesses.append(guess_mapping(table, found))
    last = control.remembered(stored, source) if not preset else None
    before = [plan for plan in plans_of(last) if plan is not None] if last else []
    if len(before) != len(guesses):
        return guesses, None
    return [_as_before(guess, plan) for guess, plan in zip(guesses, before, strict=True)], last


def _as_before(guess: ImportPlan, before: ImportPlan) -> ImportPlan:
    """The meaning of the columns of the last time. What its file said about states is not that of this file."""
    return ImportPlan.from_json(
        {
            **guess.to_json(),
            **{name: before.to_json()[name] for name in ("mapping", "proof", "statement", "date_order", "time_zone")},
        }
    )


def _described(plan: ImportPlan, source: Source, number: int) -> dict[str, Any]:
    """What was found out about a table."""
    table = source.tables[number]
    file_state = plan.file_state
    if plan.has_state_column():
        state = _("by a column, else as you answer below") if plan.needs_state_answer else _("by a column")
    elif isinstance(file_state, RowState):
        state = str(file_state.label)
    else:
        state = _("Not imported: %(reason)s") % {"reason": file_state.label} if file_state else _("as you answer below")
    return {
        "name": table.name or source.name,
        "preset": PRESET_LABELS.get(plan.preset, plan.preset),
        "encoding": ENCODINGS.get(table.encoding, ""),
        "delimiter": DELIMITERS.get(table.delimiter, ""),
        "has_header": bool(table.header),
        "state": state,
    }


# Step 3


@require_safe
def show_review(request: HttpRequest, stored: Import) -> HttpResponse:
    """The third step: the dry run, then the import and its end."""
    if stored.state == ImportState.UPLOADED:
        return HttpResponseRedirect(page_url(stored, "columns"))
    is_working = stored.state in WORKING
    checked = stored.state == ImportState.CHECKED
    return _render(
        request,
        "review",
        3,
        _("Import subscribers"),
        stored=stored,
        fragment=_progress(request, stored),
        is_working=is_working,
        poll_seconds=POLL_SECONDS if is_working else 0,
        poll_url=page_url(stored, "progress"),
        checked=checked,
        ready=stored.row_count - total(stored.expected, Outcome.REFUSED),
        preview=[_previewed(entry) for entry in stored.preview] if checked and _may_see_rows(request, stored) else [],
        dropped=sorted(stored.dropped_values.items()),
        can_undo=control.can_be_undone(stored),
        can_change=ImportState.CHECKING in IMPORT_MACHINE.transitions[stored.state],
        tone=TONES.get(ImportState(stored.state), "plain"),
    )


@require_safe
def show_progress(request: HttpRequest, stored: Import) -> HttpResponse:
    """The part of the page that changes while a worker is at it; 304 while it does not change (by ETag)."""
    body = _progress(request, stored).encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    response = get_conditional_response(request, etag=etag) or HttpResponse(body)
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    return response


def _progress(request: HttpRequest, stored: Import) -> str:
    counts = stored.outcomes if stored.started_at else stored.expected
    refused = total(stored.expected, Outcome.REFUSED)
    done = stored.done_count + refused if stored.is_read else stored.row_count
    seconds = (timezone.now() - stored.phase_started_at).total_seconds() if stored.phase_started_at else 0
    rate = round(stored.done_count / seconds) if seconds >= 1 and stored.done_count else 0
    rest = max(0, stored.staged_count - stored.done_count)
    problem = str(ImportProblem(stored.problem).label) if stored.problem else ""
    context = {
        "stored": stored,
        "lines": outcome_lines(counts) if stored.state not in (ImportState.CHECKING,) else [],
        "all": total(counts),
        "refused": refused,
        "done": done,
        "percent": round(100 * done / stored.row_count) if stored.is_read and stored.row_count else "",
        "rate": rate,
        "seconds_left": round(rest / rate) if rate else 0,
        "is_working": stored.state in WORKING,
        "is_checked": stored.state == ImportState.CHECKED,
        "problem": stored.detail or problem,
        "refused_url": page_url(stored, "refused") if _may_see_rows(request, stored) else "",
    }
    return render_to_string("admin/subscribers/import/progress.html", context)


def _previewed(entry: dict[str, Any]) -> dict[str, Any]:
    outcome = entry["outcome"]
    shown = str(Outcome(outcome).label) if outcome in Outcome.values else ""
    if outcome == Outcome.REFUSED:
        shown = f"{shown}: {reason_sentence(entry['reason'], entry['detail'])}"
    state = entry["state"] if entry["state"] in SubscriptionState.values else ""
    label = str(SubscriptionState(state).label) if state else ""
    return {**entry, "shown": shown, "tone": state, "state_label": label}


@require_safe
def download_refused(request: HttpRequest, stored: Import) -> HttpResponse:
    """The refused rows with their reasons."""

    class Echo:
        """A file that hands back what is written."""

        def write(self, text: str) -> str:
            return text

    writer = csv.writer(Echo())

    def lines() -> Iterator[str]:
        # The mark lets spreadsheets recognise UTF-8.
        yield "\ufeff" + writer.writerow(refused_header(stored))
        for row in refused_rows(stored):
            yield writer.writerow(row)

    response = StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="refused-{stored.pk}.csv"'
    return response  # type: ignore[return-value]


#: Views with rows of the file.
SHOWING_ROWS = (show_columns, download_refused)


# Actions


def _moved(request: HttpRequest, stored: Import, move: Callable[[], None]) -> HttpResponse:
    """Move the import; another editor may have been faster."""
    try:
        move()
    except InvalidTransition as error:
        messages.error(request, str(error))
    return HttpResponseRedirect(page_url(stored, "review"))


@require_POST
def run(request: HttpRequest, stored: Import) -> HttpResponse:
    """Import the rows that were checked."""
    return _moved(request, stored, lambda: control.start_run(stored, by=request.user.get_username()))


@require_POST
def pause(request: HttpRequest, stored: Import) -> HttpResponse:
    """Pause the import."""
    return _moved(request, stored, lambda: control.pause(stored))


@require_POST
def resume(request: HttpRequest, stored: Import) -> HttpResponse:
    """Continue the import."""
    return _moved(request, stored, lambda: control.resume(stored))


@require_http_methods(["GET", "HEAD", "POST"])
def undo(request: HttpRequest, stored: Import) -> HttpResponse:
    """Ask first, then cancel the import and remove what it made."""
    if request.method == "POST":
        return _moved(request, stored, lambda: control.undo(stored))
    return _render(request, "undo", 3, _("Cancel and undo the import?"), stored=stored)


@require_POST
def discard(request: HttpRequest, stored: Import) -> HttpResponse:
    """Delete a file that was not imported."""
    if stored.state in control.WAITING:
        control.delete_file(stored)
        messages.success(request, _("The file was deleted. Nothing was imported."))
    return HttpResponseRedirect(reverse("admin:subscribers_import_changelist"))
