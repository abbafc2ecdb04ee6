"""Django's completion of related objects, for the fields that a page of the admin completes."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse


def complete(request: HttpRequest) -> HttpResponse:
    """Answer as Django does. Raises Http404 for all other fields, some of which Django fails on."""
    asked = tuple(request.GET.get(name, "") for name in ("app_label", "model_name", "field_name"))
    if asked not in completed_fields():
        raise Http404("field without completion")
    return admin.site.autocomplete_view(request)


def completed_fields() -> set[tuple[str, ...]]:
    """Application, model and field, of every page and of the inline forms on it."""
    pages = admin.site._registry.values()
    forms: list[Any] = [*pages, *(inline for page in pages for inline in page.inlines)]
    return {
        (form.model._meta.app_label, str(form.model._meta.model_name), field)
        for form in forms
        for field in form.autocomplete_fields
    }
