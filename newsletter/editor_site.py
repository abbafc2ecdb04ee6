"""Django's admin site with our first page and our navigation, which replaces its list of apps and models."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.apps import AdminConfig
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _


class EditorSite(AdminSite):
    """The site of editors. Its module is outside of the admin's package, which registers models here when imported."""

    site_header = site_title = _("Newsletter")
    index_title = _("Overview")
    enable_nav_sidebar = False

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """The overview."""
        # Needs the registry of apps.
        from newsletter.admin.dashboard import show_dashboard

        return show_dashboard(request)

    def app_index(  # type: ignore[override]
        self, request: HttpRequest, app_label: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """To the overview: the navigation lists the models of all apps."""
        return HttpResponseRedirect(reverse("admin:index"))

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Empty: Django would ask for permissions and URLs of all models once more on each page."""
        return []


class EditorAdminConfig(AdminConfig):
    """Django's admin with this site instead of its own."""

    default_site = "newsletter.editor_site.EditorSite"
