"""Correcting the web version of an issue: its text as an issue file, a note to visitors, and what would change."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from newsletter.admin.pages import Page, RequiredPermission, issue_page, page_url, redirect_with_message, username_of
from newsletter.admin.web_version import content_of_number, web_issue, without_web_page
from newsletter.content.difference import Change, difference, summary_of
from newsletter.content.document import AudienceContent, IssueContent
from newsletter.content.formats import MAX_FILE_BYTES
from newsletter.content.issue_file import read_issue_file, write_issue_file
from newsletter.content.problems import IssueFileError, Problem
from newsletter.content.store import ContentError
from newsletter.content.web_versions import (
    MAX_NOTE,
    UnreadableVersion,
    correct_web_version,
    correction_of,
    shown_content,
    version_number,
)
from newsletter.models import Issue


class CorrectionForm(forms.Form):
    """The whole content as text, and what visitors are told. `shown` is the hash of the text that was compared."""

    text = forms.CharField(
        strip=False,
        label=gettext_lazy("Text of the page"),
        max_length=MAX_FILE_BYTES,
        help_text=gettext_lazy("Markdown with front matter, as issues are exported. Slug and date stay as they are."),
        widget=forms.Textarea(attrs={"rows": 24, "spellcheck": "true", "class": "vLargeTextField code"}),
    )
    note = forms.CharField(
        required=False,
        max_length=MAX_NOTE,
        label=gettext_lazy("Note to visitors"),
        help_text=gettext_lazy("Shown on the page after the date, for example: The height of the crane was wrong."),
    )
    is_minor = forms.BooleanField(
        required=False,
        label=gettext_lazy("Minor correction, such as a typo: no note on the page"),
    )
    hides_changes = forms.BooleanField(
        required=False,
        label=gettext_lazy("Do not show visitors what was changed"),
        help_text=gettext_lazy(
            "For text that must not stay public, such as personal data. Earlier changes are hidden, too."
        ),
    )
    based_on = forms.IntegerField(widget=forms.HiddenInput)
    shown = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        """Require a note unless the correction is minor."""
        typed = self.cleaned_data
        if not (typed.get("is_minor") or typed.get("note") or "note" in self.errors):
            self.add_error("note", _("Tell visitors what was corrected, or mark the correction as minor."))
        return self.cleaned_data


@require_http_methods(["GET", "HEAD", "POST"])
def correct(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The form, with the content of `?version=` or of the page; then its changes; with `publish`, the correction."""
    row = web_issue(issue)
    if row is None:
        return without_web_page(request, issue)
    try:
        before = shown_content(row)
        if request.method != "POST":
            return _page(request, issue, CorrectionForm(initial=_initial(request, row, before)))
    except (UnreadableVersion, IssueFileError) as error:
        sentence = _("This page cannot be corrected here. %(reason)s") % {"reason": error}
        return redirect_with_message(request, sentence, page_url(issue, "web"), level=messages.ERROR)
    form = CorrectionForm(request.POST)
    if not form.is_valid():
        return _page(request, issue, form)
    try:
        after = correction_of(before, read_issue_file(form.cleaned_data["text"]).content)
    except IssueFileError as error:
        return _page(request, issue, form, problems=error.problems)
    except ContentError as error:
        return _page(request, issue, form, problem=str(error))
    sha256 = _sha256(form.cleaned_data["text"])
    if "publish" not in request.POST or form.cleaned_data["shown"] != sha256:
        return _page(request, issue, _with_shown(form, sha256), changes=difference(before, after))
    return _publish(request, issue, form, after)


def _publish(request: HttpRequest, issue: Issue, form: CorrectionForm, after: IssueContent) -> HttpResponse:
    typed = form.cleaned_data
    try:
        correct_web_version(
            issue,
            after,
            by=username_of(request),
            based_on=typed["based_on"],
            note=typed["note"],
            is_minor=typed["is_minor"],
            shows_changes=not typed["hides_changes"],
        )
    except ContentError as error:
        return _page(request, issue, form, problem=str(error))
    return redirect_with_message(request, _("The web version is corrected."), page_url(issue, "web"))


def _initial(request: HttpRequest, row: Any, shown: IssueContent) -> dict[str, Any]:
    """The content to start from, and the version that the correction replaces."""
    asked = request.GET.get("version", "")
    number = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 8 else 0
    content = (content_of_number(row, number) if number else None) or shown
    # Subject and audience are of the mail. The title stands for the subject, so that the file leaves it out.
    text = write_issue_file(replace(content, subject=content.title, audience=AudienceContent()))
    return {"text": text, "based_on": version_number(row)}


def _with_shown(form: CorrectionForm, sha256: str) -> CorrectionForm:
    return CorrectionForm({**form.data.dict(), "shown": sha256})  # type: ignore[attr-defined]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _page(
    request: HttpRequest,
    issue: Issue,
    form: CorrectionForm,
    *,
    changes: tuple[Change, ...] | None = None,
    problem: str = "",
    problems: tuple[Problem, ...] = (),
) -> HttpResponse:
    title = _("Correct the web version: %(issue)s") % {"issue": issue.title}
    slugs = [issue.newsletter.slug, issue.slug]
    return issue_page(
        request,
        issue,
        "correct",
        title=_("Error: %(title)s") % {"title": title} if form.errors or problem or problems else title,
        tab="web",
        form=form,
        problem=problem,
        problems=problems,
        changes=changes,
        summary=capfirst(str(summary_of(changes))) if changes else "",
        is_mailed=issue.current_send is not None,
        preview_url=reverse("correction-preview", args=slugs),
        draft_url=reverse("draft", args=slugs),
        back=page_url(issue, "web"),
    )


PAGES = (Page("web/correct", correct, RequiredPermission.SEND),)
