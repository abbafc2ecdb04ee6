"""Templates of issues in the admin: the list, the form with their text as Markdown, and a preview."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from newsletter.admin.pages import username_of
from newsletter.admin.preview import framed_content
from newsletter.admin.reused import ReusedAdmin, markdown_field, problems_by_line
from newsletter.admin.start import PatternFields, use_template
from newsletter.admin.time_format import from_now
from newsletter.content.document import IssueContent
from newsletter.content.drafts import next_date, next_number, pattern_values
from newsletter.content.problems import IssueFileError
from newsletter.content.revisions import UnreadableRevision
from newsletter.content.templates import (
    content_of_template,
    empty_content,
    sections_as_markdown,
    sections_from_markdown,
    template_content,
)
from newsletter.content.title_pattern import fill_pattern
from newsletter.models import Issue, IssueTemplate

if TYPE_CHECKING:
    TemplateModelForm = forms.ModelForm[IssueTemplate]
else:
    TemplateModelForm = forms.ModelForm


class TemplateForm(PatternFields, TemplateModelForm):
    """A template with its sections as Markdown. After `is_valid`, `sections` are those of the text."""

    text = markdown_field(
        gettext_lazy("Sections and blocks"),
        gettext_lazy("Markdown, as in an issue file: “## Heading” begins a section, “### [Title](link)” a story."),
    )

    class Meta:
        model = IssueTemplate
        fields = ("newsletter", "name", "title_pattern", "subject_pattern")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.unreadable = ""
        if self.instance.pk:
            try:
                self.initial["text"] = sections_as_markdown(content_of_template(self.instance).sections)
            except (UnreadableRevision, IssueFileError) as error:
                self.unreadable = str(error)

    def clean_text(self) -> str:
        """Read the Markdown; each problem is shown with its line."""
        text = str(self.cleaned_data["text"])
        try:
            self.sections = sections_from_markdown(text)
        except IssueFileError as error:
            raise forms.ValidationError(problems_by_line(error)) from error
        return text


class IssueTemplateAdmin(ReusedAdmin):
    """The templates."""

    form = TemplateForm
    fields = ("newsletter", "name", "title_pattern", "subject_pattern", "text")
    list_display = ("name", "newsletter", "saved", "use")
    search_fields = ("name",)

    def get_urls(self) -> list[URLPattern]:
        """With the button that makes a draft, and the preview."""
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/use/", view(use_template), name="newsletter_issuetemplate_use"),
            path("<int:pk>/frame/", view(self.frame_view), name="newsletter_issuetemplate_frame"),
            *super().get_urls(),
        ]

    @admin.display(description=gettext_lazy("Saved"))
    def saved(self, template: IssueTemplate) -> str:
        """When, and by whom."""
        return _("%(ago)s by %(user)s") % {"ago": from_now(template.saved_at), "user": template.saved_by}

    @admin.display(description=gettext_lazy("New issue"))
    def use(self, template: IssueTemplate) -> str:
        """The button, for those who may add issues; the list has its form."""
        return self.form_button("use", template.pk, _("Use template"), template.name)

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        """Without the button for those who may not add issues."""
        may_add = admin.site.get_model_admin(Issue).has_add_permission(request)
        return self.list_display if may_add else self.list_display[:-1]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Store the sections; categories and audience stay as they were."""
        before = empty_content()
        if change and not form.unreadable:
            before = content_of_template(obj)
        if not change or "text" in form.changed_data:
            obj.content = template_content(replace(before, sections=form.sections))
        obj.saved_by, obj.saved_at = username_of(request), timezone.now()
        obj.save()

    def consequences(self, obj: IssueTemplate) -> list[str]:
        """What changes."""
        sentences = [_("Issues that were made from the template stay as they are.")]
        if obj.recurringdraft_set.exists():
            sentences.insert(0, _("Recurring drafts that use it are made like the last issue from then on."))
        return sentences

    def frame_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The template as saved, rendered as its next draft would be."""
        template = self.row_or_404(request, str(pk))
        if not self.has_view_permission(request, template):
            raise PermissionDenied
        return framed_content(template.newsletter, lambda: _sample(template))


def _sample(template: IssueTemplate) -> IssueContent:
    """The content of the next draft. Raises UnreadableRevision."""
    newsletter, date = template.newsletter, next_date(template.newsletter)
    values = pattern_values(newsletter, date=date, number=next_number(newsletter))
    title = fill_pattern(template.title_pattern or newsletter.title_pattern or "{newsletter}, {date}", values)
    return replace(content_of_template(template), title=title, subject=title, date=date)
