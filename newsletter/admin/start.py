"""New drafts from something that exists: a copy, one like the last issue, one from a template; saving as a template."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from newsletter.admin.pages import Page, RequiredPermission, issue_page, page_url, redirect_with_message, username_of
from newsletter.content.drafts import draft_from_template, draft_like_last, duplicate_issue
from newsletter.content.revisions import UnreadableRevision
from newsletter.content.skeleton import without_stories
from newsletter.content.store import ContentError, load_content
from newsletter.content.templates import template_content
from newsletter.content.title_pattern import pattern_faults
from newsletter.models import Issue, IssueTemplate, Newsletter
from subscribers.models import check_header_text

if TYPE_CHECKING:
    TemplateModelForm = forms.ModelForm[IssueTemplate]
else:
    TemplateModelForm = forms.ModelForm


class PatternFields:
    """Forms with fields of patterns: each fault is shown at its field."""

    cleaned_data: dict[str, Any]

    def clean_title_pattern(self) -> str:
        """Refuse a pattern with faults."""
        return self._checked("title_pattern")

    def clean_subject_pattern(self) -> str:
        """The same."""
        return self._checked("subject_pattern")

    def _checked(self, name: str) -> str:
        pattern = str(self.cleaned_data[name]).strip()
        check_header_text(pattern)
        check_pattern(pattern)
        return pattern


def check_pattern(pattern: str) -> None:
    """Raise ValidationError with all faults of the pattern, if it has any."""
    if faults := [forms.ValidationError(str(sentence)) for _position, sentence in pattern_faults(pattern)]:
        raise forms.ValidationError(faults)


class SaveAsTemplateForm(PatternFields, TemplateModelForm):
    """The name and the patterns of a template, and whether it keeps the texts of sections and blocks."""

    keeps_stories = forms.BooleanField(required=False, label=gettext_lazy("Keep the stories"))

    class Meta:
        model = IssueTemplate
        fields = ("name", "title_pattern", "subject_pattern")

    def clean_name(self) -> str:
        """Refuse the name of another template of the newsletter."""
        name = str(self.cleaned_data["name"]).strip()
        if IssueTemplate.objects.filter(newsletter=self.instance.newsletter_id, name=name).exists():
            raise forms.ValidationError(
                _("This newsletter already has a template “%(name)s”. Choose another name.") % {"name": name}
            )
        return name


@require_POST
def duplicate(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a draft with the content of the issue, and open it."""
    _require_add(request)
    issue = get_object_or_404(Issue.objects.select_related("newsletter"), pk=pk)
    try:
        draft = duplicate_issue(issue, by=username_of(request))
    except ContentError as error:
        return _refused(request, error)
    return _opened(request, draft, _("“%(title)s” is a new draft with the content of “%(source)s”."), issue.title)


@require_http_methods(["GET", "HEAD", "POST"])
def like_last(request: HttpRequest) -> HttpResponse:
    """Make a draft like the last issue of the chosen newsletter; GET, or no choice between several, shows them."""
    _require_add(request)
    newsletters = list(Newsletter.objects.order_by("name"))
    chosen = [one for one in newsletters if str(one.pk) == request.POST.get("newsletter")]
    candidates = chosen or newsletters
    if request.method != "POST" or len(candidates) != 1:
        return TemplateResponse(
            request,
            "admin/newsletter/issue/like_last.html",
            admin.site.each_context(request)
            | {"opts": Issue._meta, "title": _("New issue like the last"), "newsletters": newsletters},
        )
    try:
        draft = draft_like_last(candidates[0], by=username_of(request))
    except ContentError as error:
        return _refused(request, error)
    return _opened(request, draft, _("“%(title)s” is a new draft with the sections of the last issue."))


@require_POST
def use_template(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a draft from the template, and open it."""
    _require_add(request)
    template = get_object_or_404(IssueTemplate.objects.select_related("newsletter"), pk=pk)
    try:
        draft = draft_from_template(template, by=username_of(request))
    except (ContentError, UnreadableRevision) as error:
        return _refused(request, error)
    return _opened(request, draft, _("“%(title)s” is a new draft from the template “%(source)s”."), template.name)


@require_http_methods(["GET", "HEAD", "POST"])
def save_as_template(request: HttpRequest, issue: Issue) -> HttpResponse:
    """Keep the sections and blocks of the issue as a template."""
    template = IssueTemplate(newsletter=issue.newsletter, saved_by=username_of(request))
    data = request.POST if request.method == "POST" else None
    form = SaveAsTemplateForm(data, instance=template, label_suffix="", initial={"name": issue.newsletter.name})
    if form.is_valid():
        content = load_content(issue)
        kept = content if form.cleaned_data["keeps_stories"] else without_stories(content)
        template.content = template_content(kept)
        try:
            with transaction.atomic():
                form.save()
        except IntegrityError:
            # A double click on Save: the first request made it.
            template = IssueTemplate.objects.get(newsletter=issue.newsletter, name=form.cleaned_data["name"])
        url = reverse("admin:newsletter_issuetemplate_change", args=[template.pk])
        return redirect_with_message(request, _("The template “%(name)s” is saved.") % {"name": template.name}, url)
    return issue_page(
        request,
        issue,
        "save_as_template",
        title=_("Save as template: %(issue)s") % {"issue": issue.title},
        tab="change",
        form=form,
    )


def _require_add(request: HttpRequest) -> None:
    if not admin.site.get_model_admin(Issue).has_add_permission(request):
        raise PermissionDenied


def _refused(request: HttpRequest, error: Exception) -> HttpResponse:
    url = reverse("admin:newsletter_issue_changelist")
    return redirect_with_message(request, str(error), url, level=messages.ERROR)


def _opened(request: HttpRequest, draft: Issue, sentence: str, source: str = "") -> HttpResponse:
    admin.site.get_model_admin(Issue).log_addition(request, draft, [{"added": {}}])
    return redirect_with_message(
        request, sentence % {"title": draft.title, "source": source}, page_url(draft, "change")
    )


PAGES = (Page("save-as-template", save_as_template, RequiredPermission.CHANGE),)
