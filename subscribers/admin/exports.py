"""Exporting subscribers from the admin, and the records of all exports."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from subscribers.admin.read_only import ReadOnlyAdmin, fields_without_selection
from subscribers.admin.rights import may_export
from subscribers.directory.counting import count_rows
from subscribers.directory.selection import InvalidSelection, Selection, SelectionGone
from subscribers.exports.export import export_subscribers
from subscribers.models import Export, ExportFormat, MailingList, Subscriber

CONTENT_TYPES = {ExportFormat.CSV: "text/csv; charset=utf-8", ExportFormat.JSONL: "application/jsonl; charset=utf-8"}


class ExportForm(forms.Form):
    """What to export, and how."""

    mailing_list = forms.ModelChoiceField(
        MailingList.objects.order_by("name"), label=gettext_lazy("List"), empty_label=None
    )
    format = forms.ChoiceField(
        label=gettext_lazy("Format"),
        choices=ExportFormat.choices,
        initial=ExportFormat.CSV,
        widget=forms.RadioSelect,
    )
    with_bom = forms.BooleanField(label=gettext_lazy("For Excel: mark the CSV as UTF-8"), required=False, initial=True)

    def __init__(self, selection: Selection, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        lists = MailingList.objects.order_by("name")
        if selection.mailing_list:
            lists = lists.filter(pk=selection.mailing_list)
        field = self.fields["mailing_list"]
        field.queryset, field.initial = lists, lists.first()  # type: ignore[attr-defined]
        if lists.count() == 1:
            field.widget = forms.HiddenInput()


@require_http_methods(["GET", "HEAD", "POST"])
def show_export(request: HttpRequest) -> HttpResponseBase:
    """Ask for list and format, then send the file. Every export is recorded. Raises BadRequest."""
    if not may_export(request):
        raise PermissionDenied
    back = reverse("admin:subscribers_subscriber_changelist")
    try:
        selection = Selection.from_query(request.GET.dict())
        count = count_rows(selection.subscribers())
    except InvalidSelection as error:
        raise BadRequest(str(error)) from error
    except SelectionGone as error:
        messages.error(request, str(error))
        return HttpResponseRedirect(back)
    form = ExportForm(selection, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        return _file(form.cleaned_data, selection, by=request.user.get_username())
    sentences = [
        _("The file contains %(subscribers)s of this selection, as far as they are or were on the list.")
        % {"subscribers": count.subscribers}
        if selection.query
        else _("The file contains everybody who is or was on the list, with the state.")
    ]
    sentences.append(_("It has personal data: addresses, names, consents. The export is recorded with your name."))
    return TemplateResponse(
        request,
        "admin/subscribers/subscriber/form.html",
        {
            **admin.site.each_context(request),
            "title": _("Export subscribers"),
            "opts": Subscriber._meta,
            "form": form,
            "sentences": sentences,
            "button": _("Export"),
            "back": f"{back}?{selection.without_keys().query}",
        },
    )


def _file(values: dict[str, Any], selection: Selection, *, by: str) -> StreamingHttpResponse:
    mailing_list: MailingList = values["mailing_list"]
    form = ExportFormat(values["format"])
    parts = export_subscribers(mailing_list, selection, form, with_bom=values["with_bom"], by=by)
    name = f"{mailing_list.slug}-{timezone.now():%Y-%m-%d}.{form.value}"
    return StreamingHttpResponse(
        parts,
        content_type=CONTENT_TYPES[form],
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-store"},
    )


@admin.register(Export)
class ExportAdmin(ReadOnlyAdmin):
    """Who exported what, and when."""

    actions = None
    list_display = ("created_at", "list_name", "by", "format", "rows", "finished_at")
    list_filter = ("format",)
    search_fields = ("by", "list_name")
    ordering = ("-pk",)
    fields = ("created_at", "list_name", "by", "format", "rows", "finished_at", "selection")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What a colleague searched for may be an address."""
        return fields_without_selection(request, super().get_fields(request, obj))
