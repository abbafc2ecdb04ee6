"""Topics in the admin: parts of a list that subscribers may leave without leaving the list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from subscribers.admin.filters import OfferedFilters
from subscribers.admin.read_only import TypedModelAdmin
from subscribers.models import Topic


@admin.register(Topic)
class TopicAdmin(OfferedFilters, TypedModelAdmin):
    """The topics of all lists. They can be renamed, but not deleted.

    With a topic, the choices of all who turned it off would be deleted, while a send may depend on them.
    """

    list_display = ("name", "mailing_list", "slug", "position")
    list_filter = ("mailing_list",)
    list_select_related = ("mailing_list",)
    list_per_page = 50
    search_fields = ("name", "slug")
    search_help_text = _("Search for a part of a name.")
    ordering = ("mailing_list", "position", "pk")
    fields = ("mailing_list", "name", "slug", "description", "position")
    actions = None

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> dict[str, Sequence[str]]:
        """Make the slug of a new topic from its name."""
        return {} if obj else {"slug": ("name",)}

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The list stays, and the slug, which issue files name."""
        return ("mailing_list", "slug") if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No one: see the class."""
        return False
