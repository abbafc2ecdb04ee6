"""Deleting rows that others build on: the page says what it changes, and counts rows instead of listing them."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import ProtectedError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext

from subscribers.admin.filters import OfferedFilters
from subscribers.admin.read_only import TypedModelAdmin


class DeletesWithConsequences(OfferedFilters, TypedModelAdmin):
    """One row at a time, after a page with sentences about what else changes.

    Django's page would read every dependent row, of which there can be a million.
    """

    actions = None
    list_per_page = 50
    show_full_result_count = False

    def consequences(self, obj: Any) -> list[str]:
        """What deleting the row changes, as sentences; the most important first."""
        return []

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Ask on GET, delete on POST."""
        obj = self.row_or_404(request, object_id)
        if not self.has_delete_permission(request, obj):
            raise PermissionDenied
        if request.method == "POST":
            name = str(obj)
            try:
                with transaction.atomic():
                    self.log_deletions(request, self.model._default_manager.filter(pk=obj.pk))
                    self.delete_model(request, obj)
            except ProtectedError:
                sentence = gettext(
                    "A send that uses it has not made all of its deliveries. Delete it when the send is finished."
                )
                messages.error(request, sentence)
                return HttpResponseRedirect(self.page_url("change", obj.pk))
            messages.success(request, gettext("“%(name)s” was deleted.") % {"name": name})
            return HttpResponseRedirect(self.page_url("changelist"))
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Delete “%(name)s”?") % {"name": obj},
            "opts": self.opts,
            "object": obj,
            "consequences": self.consequences(obj),
            "back_url": self.page_url("change", obj.pk),
        }
        return TemplateResponse(request, "admin/subscribers/delete.html", context)

    def row_or_404(self, request: HttpRequest, object_id: str) -> Any:
        """The row with this key."""
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            raise Http404
        return obj

    def page_url(self, page: str, *arguments: object) -> str:
        """The URL of a page of this model."""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}", args=arguments)
