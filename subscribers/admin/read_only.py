"""What the admin pages of subscribers share: read-only pages and states in colour."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from subscribers.admin.filters import OfferedFilters
from subscribers.admin.rights import may_see_personal_data
from subscribers.models import ConsentForm, Evidence, SubscriptionState, TransactionalMailState

if TYPE_CHECKING:
    TypedModelAdmin = admin.ModelAdmin[Model]
else:
    TypedModelAdmin = admin.ModelAdmin

TONES: dict[str, str] = {
    SubscriptionState.ACTIVE: "success",
    SubscriptionState.PENDING: "warn",
    SubscriptionState.SUPPRESSED: "error",
    TransactionalMailState.SENT: "success",
    TransactionalMailState.UNKNOWN: "warn",
    TransactionalMailState.FAILED: "error",
}


def state_badge(value: str, label: str) -> SafeString:
    """A state as a word in its colour."""
    return format_html('<span class="pill pill-{}">{}</span>', TONES.get(value, "plain"), label)


def editor_evidence(request: HttpRequest, detail: str = "") -> Evidence:
    """The proof of what an editor does in the admin, in the editor's own words."""
    return Evidence(form=ConsentForm.ADMIN, by=request.user.get_username(), detail=detail)


def fields_without_selection(request: HttpRequest, fields: Iterable[Any]) -> list[Any]:
    """The fields; without the text of a search for viewers who may not see addresses."""
    return [name for name in fields if name != "selection" or may_see_personal_data(request)]


class ReadOnlyAdmin(OfferedFilters, TypedModelAdmin):
    """Rows to read. Editors with the change permission may run the list's actions."""

    list_per_page = 50
    # Counting all rows of a long list costs more than the page.
    show_full_result_count = False

    #: Whether its rows show addresses, which only those who may see personal data look at.
    is_personal = False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The list under its name; Django's title asks to select a row to change."""
        title = capfirst(self.opts.verbose_name_plural)
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """For actions of the list, not for a single row."""
        return obj is None and self._is_shown(request) and super().has_change_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_shown(request) and super().has_view_permission(request, obj)

    def _is_shown(self, request: HttpRequest) -> bool:
        return not self.is_personal or may_see_personal_data(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
