"""Pages of the admin for the rights of subscribers: their data, erasure, and suppressions as files."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from subscribers.addresses import AddressError
from subscribers.admin.rights import may_erase, may_see_personal_data
from subscribers.models import Subscriber, SuppressionReason
from subscribers.privacy.erase import erase_data_subject
from subscribers.privacy.export import export_zip, file_name
from subscribers.privacy.registry import DataSubject, find_data_subject
from subscribers.privacy.suppression_file import FileRefused, bounded_lines, export_lines, import_file
from subscribers.suppression import SuppressionSecretDiffers

if TYPE_CHECKING:
    AnyModelAdmin = admin.ModelAdmin[Any]
else:
    AnyModelAdmin = object

#: Octets of an uploaded file; a longer one is imported by the command.
MAX_UPLOAD = 50_000_000


class EraseForm(forms.Form):
    """The address, typed again."""

    address = forms.CharField(label=_("Address"), help_text=_("Type the address of the subscriber to erase."))

    def __init__(self, subscriber: Subscriber, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._canonical = subscriber.canonical
        self.fields["address"].widget.attrs["autocomplete"] = "off"

    def clean_address(self) -> DataSubject:
        """The data subject with the typed address, if it is the subscriber's."""
        try:
            subject = find_data_subject(self.cleaned_data["address"])
        except AddressError as error:
            raise forms.ValidationError(str(error)) from error
        if subject.canonical != self._canonical:
            raise forms.ValidationError(gettext("This is not the address of this subscriber."))
        return subject


class PrivacyPages(AnyModelAdmin):
    """For the admin of subscribers: downloads the data, and erases instead of deleting."""

    def get_urls(self) -> list[URLPattern]:
        """Before Django's own, which take any word for a key."""
        data, erase = self.admin_site.admin_view(self.data_view), self.admin_site.admin_view(self.erase_view)
        return [
            path("<int:pk>/data/", data, name="subscribers_subscriber_data"),
            path("<int:pk>/erase/", erase, name="subscribers_subscriber_erase"),
            *super().get_urls(),
        ]

    def data_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The ZIP that the subscriber would get."""
        subscriber = get_object_or_404(Subscriber, pk=pk)
        if not (self.has_view_permission(request, subscriber) and may_see_personal_data(request)):
            raise PermissionDenied
        content = export_zip(DataSubject(subscriber.canonical, subscriber))
        response = HttpResponse(content, content_type="application/zip")
        response["Content-Disposition"] = f'attachment; filename="{file_name(timezone.now())}"'
        response["Cache-Control"] = "no-store"
        return response

    def erase_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask for the address, and erase."""
        subscriber = get_object_or_404(Subscriber, pk=pk)
        if not may_erase(request):
            raise PermissionDenied
        form = EraseForm(subscriber, request.POST if request.method == "POST" else None)
        if form.is_valid():
            try:
                erase_data_subject(form.cleaned_data["address"], by=request.user.get_username())
            except SuppressionSecretDiffers as error:
                form.add_error(None, str(error))
            else:
                # Without the address: it would be stored with the session.
                messages.success(request, gettext("The subscriber is erased."))
                return HttpResponseRedirect(reverse("admin:subscribers_subscriber_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Erase this subscriber?"),
            "opts": self.opts,
            "form": form,
            "subscriber": subscriber,
        }
        return TemplateResponse(request, "admin/subscribers/erase.html", context)


class SuppressionFileForm(forms.Form):
    """A file of addresses or of keyed hashes."""

    file = forms.FileField(
        label=_("File"),
        help_text=_(
            "Addresses, one per line or in the first column of a CSV, or the hashes that another installation with the "
            "same SUPPRESSION_SECRET has exported."
        ),
    )
    reason = forms.ChoiceField(
        label=_("Reason"),
        choices=[choice for choice in SuppressionReason.choices if choice[0] != SuppressionReason.ERASED],
        initial=SuppressionReason.MANUAL,
        help_text=_("For addresses. Hashes keep their own."),
    )
    detail = forms.CharField(label=_("Detail"), max_length=300, required=False)

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > MAX_UPLOAD:
            raise forms.ValidationError(
                gettext("The file is too large for the browser. Use manage.py import_suppressions.")
            )
        return file


class SuppressionFiles(AnyModelAdmin):
    """For the admin of suppressions: export and import."""

    change_list_template = "admin/subscribers/suppressions.html"

    def get_urls(self) -> list[URLPattern]:
        """Before Django's own, which take any word for a key."""
        export, upload = self.admin_site.admin_view(self.export_view), self.admin_site.admin_view(self.import_view)
        return [
            path("export/", export, name="subscribers_suppression_export"),
            path("import/", upload, name="subscribers_suppression_import"),
            *super().get_urls(),
        ]

    def export_view(self, request: HttpRequest) -> StreamingHttpResponse:
        """All suppressions as a CSV of hashes."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        response = StreamingHttpResponse(export_lines(), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="suppressions-{timezone.now():%Y-%m-%d}.csv"'
        response["Cache-Control"] = "no-store"
        return response

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Suppress what a file names."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = SuppressionFileForm(request.POST or None, request.FILES or None)
        if form.is_valid() and self._import(request, form):
            return HttpResponseRedirect(reverse("admin:subscribers_suppression_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Import suppressions"),
            "opts": self.opts,
            "form": form,
        }
        return TemplateResponse(request, "admin/subscribers/import_suppressions.html", context)

    def _import(self, request: HttpRequest, form: SuppressionFileForm) -> bool:
        values = form.cleaned_data
        try:
            with io.TextIOWrapper(values["file"].file, encoding="utf-8-sig", newline="") as file:
                result = import_file(
                    bounded_lines(file),
                    reason=SuppressionReason(values["reason"]),
                    detail=values["detail"],
                    by=request.user.get_username(),
                )
        except UnicodeDecodeError:
            form.add_error("file", gettext("The file is not UTF-8. Convert it, and import it again."))
            return False
        except (FileRefused, SuppressionSecretDiffers) as error:
            form.add_error("file", str(error))
            return False
        done = ngettext("%(count)d address is suppressed.", "%(count)d addresses are suppressed.", result.read)
        messages.success(request, done % {"count": result.read})
        if result.skipped:
            skipped = ngettext(
                "%(count)d line could not be read.", "%(count)d lines could not be read.", result.skipped
            )
            messages.warning(request, skipped % {"count": result.skipped})
        return True
