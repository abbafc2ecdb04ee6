"""Issue files in the admin: import from an uploaded file or pasted text, and export."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from newsletter.admin.pages import Page, RequiredPermission, page_url, redirect_with_message, username_of
from newsletter.admin.time_format import from_now
from newsletter.content.difference import Change, difference
from newsletter.content.fields import field_faults
from newsletter.content.formats import MAX_FILE_BYTES, read_issue, text_of
from newsletter.content.issue_file import write_issue_file
from newsletter.content.problems import IssueFileError, ParsedIssue, Problem, Severity
from newsletter.content.store import (
    NO_REVISION,
    ContentError,
    import_issue,
    issue_of_file,
    load_content,
    with_plain_line_ends,
)
from newsletter.models import Issue, Newsletter


class ImportForm(forms.Form):
    """The newsletter, and the issue as a file or as pasted text. `replace` is the revision that may be replaced."""

    newsletter = forms.ModelChoiceField(
        Newsletter.objects.order_by("name"), empty_label=None, label=gettext_lazy("Newsletter")
    )
    file = forms.FileField(
        required=False,
        label=gettext_lazy("File"),
        help_text=gettext_lazy("Markdown with front matter, or a plain-text digest. At most 1 MB."),
    )
    text = forms.CharField(
        required=False,
        strip=False,
        label=gettext_lazy("Or pasted text"),
        max_length=MAX_FILE_BYTES,
        widget=forms.Textarea(attrs={"rows": 12, "spellcheck": "false"}),
    )
    replace = forms.IntegerField(required=False, widget=forms.HiddenInput)
    keep_sources = forms.BooleanField(
        required=False, label=gettext_lazy("Keep them as known sources of the newsletter")
    )

    def clean(self) -> dict[str, Any]:
        """Require either a file or a text, of a size that an issue can have."""
        file, pasted = self.cleaned_data.get("file"), self.cleaned_data.get("text", "")
        if file and pasted.strip():
            self.add_error("text", _("You chose a file and also pasted text. Remove one of them."))
        if file and file.size > MAX_FILE_BYTES:
            self.add_error("file", _("This file is larger than 1 MB. Choose a smaller file."))
        elif not file and not pasted.strip() and "text" not in self.errors:
            self.add_error("text", _("Choose a file, or paste the text of an issue here."))
        return self.cleaned_data

    def text_to_read(self) -> str:
        """The text of the file, else the pasted text. Raises IssueFileError if the file is not UTF-8 text."""
        file = self.cleaned_data["file"]
        return text_of(file.read()) if file else str(self.cleaned_data["text"])


@require_http_methods(["GET", "HEAD", "POST"])
def import_file(request: HttpRequest) -> HttpResponse:
    """The form; after a POST the problems by line, the draft that would be replaced, or the imported issue."""
    if not Newsletter.objects.exists():
        sentence = _("Add a newsletter first: every issue belongs to one.")
        return redirect_with_message(request, sentence, "../../newsletter/add/", level=messages.WARNING)
    form = ImportForm(request.POST or None, request.FILES or None)
    if request.method != "POST" or not form.is_valid():
        return _import_page(request, form)
    newsletter: Newsletter = form.cleaned_data["newsletter"]
    sources = _typed_sources(request)
    try:
        text = form.text_to_read()
        reading = read_issue(text, (*newsletter.sources(), *sources))
    except IssueFileError as error:
        return _import_page(request, form, problems=error.problems)
    existing = _existing_draft(newsletter, reading)
    if existing and form.cleaned_data["replace"] != existing.revision:
        changes = difference(load_content(existing), with_plain_line_ends(replace(reading.content, slug=existing.slug)))
        return _import_page(request, _with_text(form, text), existing=existing, changes=changes)
    # A save after this query is not overwritten, even if there was no row to lock.
    based_on = existing.revision if existing else NO_REVISION
    try:
        result = import_issue(newsletter, reading, by=username_of(request), based_on=based_on)
    except ContentError as error:
        return _import_page(request, _with_text(form, text), problems=(Problem(1, str(error)),))
    if form.cleaned_data["keep_sources"]:
        newsletter.keep_sources(sources)
    return _imported_page(request, result.issue, str(result.outcome), reading, text=text, sources=sources)


def _typed_sources(request: HttpRequest) -> tuple[str, ...]:
    """The sources that the editor confirmed or corrected on the page of an import."""
    typed = (" ".join(source.split()) for source in request.POST.getlist("source"))
    return tuple(dict.fromkeys(source for source in typed if source and not [*field_faults("source", source)]))


@require_safe
def export_file(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The issue as the canonical Markdown file."""
    try:
        text = write_issue_file(load_content(issue))
    except IssueFileError as error:
        sentence = _("This issue cannot be exported. %(reason)s") % {"reason": error}
        return redirect_with_message(request, sentence, page_url(issue, "change"), level=messages.ERROR)
    response = HttpResponse(text, content_type="text/markdown; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{issue.slug}.md"'
    return response


def _existing_draft(newsletter: Newsletter, reading: ParsedIssue) -> Issue | None:
    """The draft whose different content the import would replace."""
    issue, content = issue_of_file(newsletter, reading)
    if issue is None or not issue.is_editable or load_content(issue) == with_plain_line_ends(content):
        return None
    return issue


def _with_text(form: ImportForm, text: str) -> ImportForm:
    """The same form with the file's text pasted, since browsers do not submit a file again."""
    return ImportForm({"newsletter": form.cleaned_data["newsletter"].pk, "text": text})


def _import_page(
    request: HttpRequest,
    form: ImportForm,
    *,
    problems: tuple[Problem, ...] = (),
    existing: Issue | None = None,
    changes: tuple[Change, ...] = (),
) -> HttpResponse:
    ordered = sorted(problems, key=lambda problem: (problem.severity != Severity.ERROR, problem.line))
    return _page(
        request,
        "import",
        title=_("Import an issue"),
        form=form,
        existing=existing,
        saved=from_now(existing.updated_at) if existing else "",
        changes=changes,
        errors=[problem for problem in ordered if problem.severity == Severity.ERROR],
        warnings=[problem for problem in ordered if problem.severity != Severity.ERROR],
    )


def _imported_page(
    request: HttpRequest, issue: Issue, outcome: str, reading: ParsedIssue, *, text: str, sources: tuple[str, ...]
) -> HttpResponse:
    content = reading.content
    guessed = {source.sentence for source in reading.guessed_sources}
    return _page(
        request,
        "imported",
        title=_("Imported: %(title)s") % {"title": issue.title},
        issue=issue,
        outcome=outcome,
        notes=[note for note in reading.notes if note.sentence not in guessed],
        guessed_sources=reading.guessed_sources,
        sources=sources,
        text=text,
        sections=len(content.sections),
        stories=len(list(content.stories())),
        categories=content.categories,
        compose_url=page_url(issue, "change"),
    )


def _page(request: HttpRequest, template: str, **context: Any) -> HttpResponse:
    frame = admin.site.each_context(request) | {"opts": Issue._meta, **context}
    return TemplateResponse(request, f"admin/newsletter/issue/{template}.html", frame)


PAGES = (Page("export", export_file, RequiredPermission.VIEW),)
