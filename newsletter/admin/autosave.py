"""Autosave of the compose page: what was typed becomes content if it is valid, and else an unfinished draft.

The answers are JSON for autosave.js: `state`, the `revision` that the page is now based on, and `errors`, a list of
sentences for each field by its name in the form.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from newsletter.admin.compose import ComposeForm, typed_content
from newsletter.admin.pages import Page, RequiredPermission, page_url, redirect_with_message, username_of
from newsletter.admin.rows import row_of
from newsletter.admin.unfinished import drop_unfinished, keep_unfinished
from newsletter.content.difference import difference
from newsletter.content.pasted_rows import pasted_rows
from newsletter.content.store import load_content, save_content
from newsletter.models import Issue

#: Pasted text of more characters is not made into rows.
MAX_PASTED = 200_000


@require_POST
def autosave(request: HttpRequest, issue: Issue) -> HttpResponse:
    """Save the form. `manual` is set if the editor asked for it: then the revision is one of its own."""
    if "rows-TOTAL_FORMS" not in request.POST:
        return HttpResponseBadRequest()
    with transaction.atomic():
        form = ComposeForm(request.POST, instance=issue)
        if form.is_valid():
            store(request, form, is_manual="manual" in request.POST)
            return JsonResponse(_saved(form.instance))
        keep_unfinished(
            Issue(pk=issue.pk), request.POST, by=username_of(request), page=request.POST.get("page_key", "")
        )
    return JsonResponse(_unfinished(form, issue))


@require_POST
def autosave_new(request: HttpRequest) -> HttpResponse:
    """Save the form of a new issue, which creates the issue once its details are valid."""
    if not admin.site.get_model_admin(Issue).has_add_permission(request):
        raise PermissionDenied
    with transaction.atomic():
        form = ComposeForm(request.POST)
        if not form.is_valid():
            return JsonResponse({"state": "kept", "errors": errors_of(form)})
        if form.instance.pk is None:
            form.instance.save()
        store(request, form, is_manual="manual" in request.POST)
    issue = form.instance
    urls = {"url": page_url(issue, "change")} | {name: page_url(issue, name) for name in ("autosave", "check")}
    return JsonResponse(_saved(issue) | {"issue": issue.pk} | urls)


def store(request: HttpRequest, form: ComposeForm, *, is_manual: bool) -> None:
    """Save the content of a valid form, drop its unfinished draft, and append to the edit history."""
    issue, by = form.instance, username_of(request)
    based_on = form.cleaned_data.get("replace_revision") or form.cleaned_data["based_on"]
    changed = save_content(
        issue, form.content(), by=by, based_on=based_on if issue.revision else None, autosave=not is_manual
    )
    save_number(issue, form)
    page = {name: form.cleaned_data[name] for name in ("page_key", "continued")}
    drop_unfinished(issue, by=by, page=page["page_key"], continued=page["continued"])
    if changed and (is_manual or _starts_a_revision(issue)):
        model_admin = admin.site.get_model_admin(Issue)
        message = model_admin.construct_change_message(request, form, [])  # type: ignore[arg-type]
        model_admin.log_change(request, issue, message)


def save_number(issue: Issue, form: ComposeForm) -> None:
    """The number is part of no revision: it says which issue it is, not what is in it."""
    if "number" in form.cleaned_data:
        Issue.objects.filter(pk=issue.pk).update(number=form.cleaned_data["number"])


def _saved(issue: Issue) -> dict[str, Any]:
    """The status is part of it, because a change ends an approval."""
    status = {"status": issue.state, "label": str(issue.get_state_display())}
    return {"state": "saved", "revision": issue.revision, "title": issue.title, "errors": {}, **status}


def _starts_a_revision(issue: Issue) -> bool:
    latest = issue.revisions.get(number=issue.revision)
    return latest.autosaved_since == latest.saved_at


def _unfinished(form: ComposeForm, issue: Issue) -> dict[str, Any]:
    answer: dict[str, Any] = {"state": "unfinished", "errors": errors_of(form)}
    if form.newer:
        answer |= {"state": "newer", "by": form.newer.by, "compare": page_url(issue, "change")}
    elif form.is_closed:
        answer["state"] = "closed"
    return answer


def errors_of(form: ComposeForm) -> dict[str, list[str]]:
    """The sentences of a form and its rows by the names of the fields; those of no field by an empty name."""
    found: dict[str, list[str]] = {}
    for part in (form, *form.rows.forms, form.audience):
        for name, sentences in part.errors.items():
            found.setdefault(part.add_prefix(name) if name in part.fields else "", []).extend(map(str, sentences))
    found.setdefault("", []).extend(map(str, form.rows.non_form_errors()))
    return {name: sentences for name, sentences in found.items() if sentences}


@require_POST
def discard_unfinished(request: HttpRequest, issue: Issue) -> HttpResponse:
    """Delete the unfinished draft that the page shows, and show the issue as saved."""
    posted = {name: request.POST.get(name, "") for name in ("page_key", "continued")}
    drop_unfinished(issue, by=username_of(request), page=posted["page_key"], continued=posted["continued"])
    return redirect_with_message(request, _("The unfinished text is discarded."), page_url(issue, "change"))


@require_POST
def compare_typed(request: HttpRequest, issue: Issue) -> HttpResponse:
    """An HTML fragment: how the posted form differs from the issue as saved. Stores nothing."""
    if "rows-TOTAL_FORMS" not in request.POST:
        return HttpResponseBadRequest()
    stored = load_content(issue)
    form = ComposeForm(request.POST, instance=issue)
    changes = difference(stored, typed_content(form, stored))
    return render(request, "admin/newsletter/issue/difference.html", {"changes": changes})


@require_POST
def read_pasted(request: HttpRequest) -> HttpResponse:
    """JSON: the rows that pasted links or Markdown make. Stores and fetches nothing."""
    text = request.POST.get("text", "")
    parts = pasted_rows(text) if len(text) <= MAX_PASTED else ()
    return JsonResponse({"rows": [row_of(part) for part in parts]})


PAGES = (
    Page("autosave", autosave, RequiredPermission.CHANGE),
    Page("unfinished/discard", discard_unfinished, RequiredPermission.CHANGE),
    Page("unfinished/compare", compare_typed, RequiredPermission.CHANGE),
)
