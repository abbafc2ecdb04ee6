"""Issue files in the admin: import by upload or paste, and export."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_http_methods, require_safe

from newsletter.admin.pages import Need, Page, editor_of, page_url, tell_and_go
from newsletter.content.difference import Change, difference
from newsletter.content.document import IssueContent
from newsletter.content.formats import read_issue, text_of
from newsletter.content.issue_file import write_issue_file
from newsletter.content.problems import IssueFileError, ParsedIssue, Problem, Severity
from newsletter.content.store import NO_REVISION, ContentError, import_issue, load_content, with_plain_line_ends
from newsletter.models import Issue, Newsletter

#: Bytes; the longest digest is a fiftieth of it.
LARGEST_FILE = 1_000_000


class ImportForm(forms.Form):
    """Where the issue belongs, and its text as a file or pasted. `replace` is the revision that may be replaced."""

    newsletter = forms.ModelChoiceField(Newsletter.objects.order_by("name"), empty_label=None)
    file = forms.FileField(required=False, label="A file", help_text="Markdown with front matter, or a digest as text.")
    text = forms.CharField(
        required=False,
        strip=False,
        label="Or its text",
        max_length=LARGEST_FILE,
        widget=forms.Textarea(attrs={"rows": 12, "spellcheck": "false"}),
    )
    replace = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        """Exactly one text, of a size that an issue can have."""
        file, pasted = self.cleaned_data.get("file"), self.cleaned_data.get("text", "")
        if file and pasted.strip():
            self.add_error("text", "You chose a file and pasted a text, too. Take one of them out.")
        if file and file.size > LARGEST_FILE:
            self.add_error("file", "This file is larger than an issue can be (1 MB). Choose another one.")
        elif not file and not pasted.strip() and "text" not in self.errors:
            self.add_error("text", "Choose a file, or paste the text of an issue here.")
        return self.cleaned_data

    def text_to_read(self) -> str:
        """The file's text, else what was pasted. Raises IssueFileError for bytes that are no text."""
        file = self.cleaned_data["file"]
        return text_of(file.read()) if file else str(self.cleaned_data["text"])


@require_http_methods(["GET", "HEAD", "POST"])
def import_file(request: HttpRequest) -> HttpResponse:
    """The form; then the problems with their lines, or what would be replaced, or what the import did."""
    if not Newsletter.objects.exists():
        sentence = "Make a newsletter first: an issue belongs to one."
        return tell_and_go(request, sentence, "../../newsletter/add/", level=messages.WARNING)
    form = ImportForm(request.POST or None, request.FILES or None)
    if request.method != "POST" or not form.is_valid():
        return _import_page(request, form)
    newsletter: Newsletter = form.cleaned_data["newsletter"]
    try:
        text = form.text_to_read()
        reading = read_issue(text, newsletter.sources())
    except IssueFileError as error:
        return _import_page(request, form, problems=error.problems)
    older = _older_draft(newsletter, reading.content)
    if older and form.cleaned_data["replace"] != older.revision:
        changes = difference(load_content(older), with_plain_line_ends(reading.content))
        return _import_page(request, _with_text(form, text), older=older, changes=changes)
    # Whoever saves or adds the issue after this look finds their words kept, even where there was no row to lock.
    seen = older.revision if older else NO_REVISION
    try:
        result = import_issue(newsletter, reading, by=editor_of(request), based_on=seen)
    except ContentError as error:
        return _import_page(request, _with_text(form, text), problems=(Problem(1, str(error)),))
    return _imported_page(request, result.issue, str(result.outcome), reading)


@require_safe
def export_file(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The issue as the canonical Markdown file."""
    try:
        text = write_issue_file(load_content(issue))
    except IssueFileError as error:
        sentence = f"This issue cannot be written as a file. {error}"
        return tell_and_go(request, sentence, page_url(issue, "change"), level=messages.ERROR)
    response = HttpResponse(text, content_type="text/markdown; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{issue.slug}.md"'
    return response


def _older_draft(newsletter: Newsletter, content: IssueContent) -> Issue | None:
    """The draft that the import would write over with other words."""
    issue = Issue.objects.filter(newsletter=newsletter, slug=content.slug).first()
    if issue is None or not issue.is_editable or load_content(issue) == with_plain_line_ends(content):
        return None
    return issue


def _with_text(form: ImportForm, text: str) -> ImportForm:
    """The same form with the file's text in its box, since a browser sends no file a second time."""
    return ImportForm({"newsletter": form.cleaned_data["newsletter"].pk, "text": text})


def _import_page(
    request: HttpRequest,
    form: ImportForm,
    *,
    problems: tuple[Problem, ...] = (),
    older: Issue | None = None,
    changes: tuple[Change, ...] = (),
) -> HttpResponse:
    ordered = sorted(problems, key=lambda problem: (problem.severity != Severity.ERROR, problem.line))
    return _page(
        request,
        "import",
        title="Import an issue",
        form=form,
        older=older,
        changes=changes,
        must_fix=[problem for problem in ordered if problem.severity == Severity.ERROR],
        look_at=[problem for problem in ordered if problem.severity != Severity.ERROR],
    )


def _imported_page(request: HttpRequest, issue: Issue, outcome: str, reading: ParsedIssue) -> HttpResponse:
    content = reading.content
    return _page(
        request,
        "imported",
        title=f"Imported: {issue.title}",
        issue=issue,
        outcome=outcome,
        notes=reading.notes,
        sections=len(content.sections),
        stories=len(list(content.stories())),
        categories=content.categories,
        compose_url=page_url(issue, "change"),
    )


def _page(request: HttpRequest, template: str, **context: Any) -> HttpResponse:
    frame = admin.site.each_context(request) | {"opts": Issue._meta, **context}
    return TemplateResponse(request, f"admin/newsletter/issue/{template}.html", frame)


PAGES = (Page("export", export_file, Need.VIEW),)
