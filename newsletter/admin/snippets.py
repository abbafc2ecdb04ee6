"""Snippets in the admin: the list, the form with versions, and the page of an issue that inserts and updates them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Max, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.formats import date_format
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from newsletter.admin.pages import Page, RequiredPermission, issue_page, page_url, redirect_with_message, username_of
from newsletter.admin.reused import ReusedAdmin, markdown_field, problems_by_line
from newsletter.admin.rows import row_of
from newsletter.content.document import IssueContent
from newsletter.content.fields import content_faults
from newsletter.content.markdown import markdown_to_text
from newsletter.content.problems import IssueFileError
from newsletter.content.snippets import (
    newest_versions,
    outdated_copies,
    rows_of_text,
    save_version,
    with_snippet,
    with_update,
)
from newsletter.content.store import ContentError, load_content, save_content
from newsletter.content.templates import empty_content, sections_from_markdown
from newsletter.models import Issue, Newsletter, Snippet, SnippetVersion

if TYPE_CHECKING:
    SnippetModelForm = forms.ModelForm[Snippet]
else:
    SnippetModelForm = forms.ModelForm

#: Versions that the page of a snippet lists.
SHOWN_VERSIONS = 20


class SnippetForm(SnippetModelForm):
    """A snippet with the text of its next version."""

    text = markdown_field(
        gettext_lazy("Text"),
        gettext_lazy(
            "Markdown, as in an issue file, for example “## About {callout}”, “## Heading” or “### [Title](link)”."
        ),
    )

    class Meta:
        model = Snippet
        fields = ("newsletter", "name")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        newest = self.instance.versions.first() if self.instance.pk else None
        self.initial["text"] = newest.text if newest else ""

    def clean_text(self) -> str:
        """Require rows that an issue can have."""
        text = str(self.cleaned_data["text"]).replace("\r\n", "\n").strip()
        if not rows_of_text(text):
            try:
                sections_from_markdown(text)
            except IssueFileError as error:
                raise forms.ValidationError(problems_by_line(error)) from error
            raise forms.ValidationError(_("Write at least one section, block or story in Markdown."))
        if faults := list(content_faults(with_snippet(_with_heading(), text))):
            raise forms.ValidationError([str(fault) for fault in faults])
        return text


def _with_heading() -> IssueContent:
    """A story alone is allowed: it goes below a section of the issue."""
    return with_snippet(empty_content(), "## Section")


class SnippetAdmin(ReusedAdmin):
    """The snippets. Each save of another text is a version; issues keep the copy that they have."""

    form = SnippetForm
    fields = ("newsletter", "name", "text", "versions")
    readonly_fields = ("versions",)
    list_display = ("name", "newsletter", "version")
    search_fields = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Snippet]:
        """With the number of the newest version."""
        return super().get_queryset(request).annotate(newest=Max("versions__number"))  # type: ignore[no-any-return]

    @admin.display(description=gettext_lazy("Version"))
    def version(self, snippet: Any) -> str:
        """The number of the newest."""
        return str(snippet.newest or "–")

    @admin.display(description=gettext_lazy("Versions"))
    def versions(self, snippet: Snippet) -> str:
        """The newest versions: by whom, and when."""
        if snippet.pk is None:
            return _("Saving makes version 1.")
        lines = [
            _("Version %(number)s: %(date)s, %(user)s")
            % {"number": one.number, "date": date_format(one.saved_at, "DATETIME_FORMAT"), "user": one.saved_by}
            for one in snippet.versions.all()[:SHOWN_VERSIONS]
        ]
        return "\n".join(lines)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Store the text as a version if it is another."""
        obj.save()
        save_version(obj, form.cleaned_data["text"], by=username_of(request))

    def consequences(self, obj: Snippet) -> list[str]:
        """What changes."""
        return [_("Its versions are deleted. Issues keep the copies that they have.")]


@dataclass(frozen=True, slots=True)
class OfferedSnippet:
    """A snippet in the menu of the compose page, and on the page for browsers without JavaScript."""

    pk: int
    name: str
    version: int
    rows: str
    """As JSON: what compose.js inserts."""
    start: str
    """Its first words."""


def offered_snippets(newsletter: Newsletter) -> list[OfferedSnippet]:
    """The snippets of the newsletter. One query."""
    return [_offered(version) for version in newest_versions(newsletter)]


def _offered(version: SnippetVersion) -> OfferedSnippet:
    rows = json.dumps([row_of(row) for row in rows_of_text(version.text)])
    words = Truncator(" ".join(markdown_to_text(version.text).split())).chars(100)
    return OfferedSnippet(version.pk, version.snippet.name, version.number, rows, words)


@require_http_methods(["GET", "HEAD", "POST"])
def show_snippets(request: HttpRequest, issue: Issue) -> HttpResponse:
    """Insert a snippet at the end of the draft, or update copies of older versions."""
    refusal = ""
    if request.method == "POST":
        try:
            if answer := _insert_or_update(request, issue):
                return answer
        except ContentError as error:
            refusal = str(error)
    return issue_page(
        request,
        issue,
        "snippets",
        title=_("Snippets: %(issue)s") % {"issue": issue.title},
        tab="change",
        snippets=offered_snippets(issue.newsletter),
        copies=outdated_copies(load_content(issue), issue.newsletter),
        refusal=refusal,
    )


def _insert_or_update(request: HttpRequest, issue: Issue) -> HttpResponse | None:
    content, by = load_content(issue), username_of(request)
    chosen = [one for one in newest_versions(issue.newsletter) if str(one.pk) == request.POST.get("insert")]
    copies = [one for one in outdated_copies(content, issue.newsletter) if _key(one.first_row) in request.POST]
    if chosen:
        save_content(issue, with_snippet(content, chosen[0].text), by=by, based_on=issue.revision)
        sentence = _("“%(name)s” is inserted at the end of the draft.") % {"name": chosen[0].snippet.name}
    elif copies:
        save_content(issue, with_update(content, copies[0]), by=by, based_on=issue.revision)
        values = {"name": copies[0].snippet.name, "number": copies[0].newest.number}
        sentence = _("“%(name)s” is updated to version %(number)s.") % values
    else:
        messages.warning(request, _("Nothing was changed: the snippet or the draft was changed meanwhile."))
        return None
    return redirect_with_message(request, sentence, page_url(issue, "change"))


def _key(first_row: int) -> str:
    return f"update-{first_row}"


PAGES = (Page("snippets", show_snippets, RequiredPermission.CHANGE),)
