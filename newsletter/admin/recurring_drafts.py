"""Recurring drafts in the admin: when the next draft is made, of what, and what became of the last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db import models
from django.http import HttpRequest
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from newsletter.admin.newsletters import TIME_INPUT
from newsletter.admin.pages import page_url
from newsletter.admin.reused import ReusedAdmin
from newsletter.admin.time_format import from_now
from newsletter.content.fields import field_faults
from newsletter.models import DraftMade, RecurringDraft

if TYPE_CHECKING:
    RecurringDraftModelForm = forms.ModelForm[RecurringDraft]
else:
    RecurringDraftModelForm = forms.ModelForm

#: Columns after whose change the next draft is planned anew.
PLANNED_BY = {"weekday", "time", "is_active"}


class RecurringDraftForm(RecurringDraftModelForm):
    """A recurring draft, with a template of its newsletter."""

    class Meta:
        model = RecurringDraft
        fields = ("newsletter", "weekday", "time", "is_active", "template", "most_links", "section")

    def clean_section(self) -> str:
        """Refuse a heading that no section can have."""
        section = str(self.cleaned_data["section"]).strip()
        for fault in field_faults("section heading", section):
            raise forms.ValidationError(str(fault))
        return section

    def clean(self) -> dict[str, Any]:
        """Refuse the template of another newsletter."""
        newsletter, template = self.cleaned_data.get("newsletter"), self.cleaned_data.get("template")
        if newsletter and template and template.newsletter_id != newsletter.pk:
            self.add_error(
                "template",
                _("This template belongs to “%(newsletter)s”. Choose one of the same newsletter.")
                % {"newsletter": template.newsletter},
            )
        return self.cleaned_data


class RecurringDraftAdmin(ReusedAdmin):
    """The recurring drafts."""

    form = RecurringDraftForm
    fields = (*RecurringDraftForm.Meta.fields, "next_draft", "drafts")
    readonly_fields = ("next_draft", "drafts")
    list_display = ("name", "newsletter", "template_shown", "next_draft", "last_draft")
    list_select_related = ("newsletter", "template")
    ordering = ("newsletter__name", "weekday", "time", "pk")
    formfield_overrides = {models.TimeField: {"widget": TIME_INPUT}}

    @admin.display(description=gettext_lazy("When"))
    def name(self, recurring: RecurringDraft) -> str:
        """“Fridays 16:00”, in the zone of the newsletter."""
        return f"{recurring} {recurring.newsletter.time_zone}"

    @admin.display(description=gettext_lazy("Template"))
    def template_shown(self, recurring: RecurringDraft) -> str:
        """What the draft is made of."""
        return recurring.template.name if recurring.template else _("Like the last issue")

    @admin.display(description=gettext_lazy("Next draft"))
    def next_draft(self, recurring: RecurringDraft) -> str:
        """When it is made, or why not."""
        if recurring.pk is None:
            return _("Planned after saving.")
        if not recurring.is_active:
            return _("Switched off.")
        waits = _("Not planned yet. The worker plans it.")
        planned = date_format(recurring.next_date) if recurring.next_date else waits
        return f"{planned} {recurring.problem_sentence}".strip()

    @admin.display(description=gettext_lazy("Last draft"))
    def last_draft(self, recurring: RecurringDraft) -> str:
        """When the last one was made."""
        return from_now(recurring.last_at) if recurring.last_at else "–"

    @admin.display(description=gettext_lazy("Last drafts"))
    def drafts(self, recurring: RecurringDraft) -> str:
        """The last one with a link."""
        last = recurring.made.select_related("issue").first() if recurring.pk else None
        return _made(last) if last else _("None yet.")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Let the worker plan it anew if its time has changed."""
        if PLANNED_BY & set(form.changed_data):
            obj.next_date = obj.next_at = obj.retry_at = None
        obj.save()

    def consequences(self, obj: RecurringDraft) -> list[str]:
        """What changes."""
        return [_("No more drafts are made by it. Drafts that it made stay.")]


def _made(last: DraftMade) -> str:
    date = date_format(last.date)
    if last.issue is None or last.issue.deleted_at:
        return _("%(date)s: the draft was deleted.") % {"date": date}
    return format_html('<a href="{}">{}: {}</a>', page_url(last.issue, "change"), date, last.issue.title)
