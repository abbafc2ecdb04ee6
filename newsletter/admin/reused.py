"""What editors reuse – templates, snippets, recurring drafts – and their pages: who may open them, and their frame."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext as _

from newsletter.content.problems import IssueFileError
from newsletter.models import Issue
from subscribers.admin.deleting import DeletesWithConsequences


class ReusedAdmin(DeletesWithConsequences):
    """Rows that belong to the writing of issues: who may view or change issues may view or change them."""

    ordering: ClassVar[tuple[str, ...]] = ("newsletter__name", "name", "pk")
    list_select_related: ClassVar[tuple[str, ...]] = ("newsletter",)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """As for the rows."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether the user may view issues."""
        return admin.site.get_model_admin(Issue).has_view_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether the user may change issues."""
        return admin.site.get_model_admin(Issue).has_change_permission(request)

    has_add_permission = has_delete_permission = has_change_permission

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Newsletters are neither added nor changed from here, and a row stays with its newsletter."""
        form = super().get_form(request, obj, change=change, **kwargs)
        for name in {"newsletter", "template"} & form.base_fields.keys():
            widget = form.base_fields[name].widget
            widget.can_add_related = widget.can_change_related = False
            widget.can_view_related = widget.can_delete_related = False
        if "newsletter" in form.base_fields:
            form.base_fields["newsletter"].disabled = obj is not None
        return form

    def form_button(self, page: str, pk: int, label: str, name: str) -> str:
        """A button in a row of the list that posts to a page; the list's template has the form with the token."""
        return format_html(
            '<button type="submit" form="row-form" formaction="{}" aria-label="{}: {}">{}</button>',
            self.page_url(page, pk),
            label,
            name,
            label,
        )


def markdown_field(label: Any, help_text: Any) -> forms.CharField:
    """A large field for the Markdown of sections."""
    widget = forms.Textarea(attrs={"rows": 18, "cols": 80, "spellcheck": "true"})
    return forms.CharField(label=label, help_text=help_text, required=False, strip=False, widget=widget)


def problems_by_line(error: IssueFileError) -> list[str]:
    """The problems of a text, each with its line."""
    return [_("Line %(line)s: %(problem)s") % {"line": one.line, "problem": one.sentence} for one in error.problems]
