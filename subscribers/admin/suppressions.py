"""Suppressions in the admin: an address is typed, and only its fingerprint is stored."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from subscribers.addresses import Address, AddressError, parse_address
from subscribers.admin.filters import OfferedFilters
from subscribers.admin.read_only import TypedModelAdmin, editor_evidence
from subscribers.models import Suppression, SuppressionReason, fingerprint
from subscribers.suppression import (
    SuppressionSecretDiffers,
    check_suppression_secret,
    get_suppression,
    suppress_addresses,
)


class SuppressionForm(forms.ModelForm):  # type: ignore[type-arg]
    """An address to suppress."""

    address = forms.CharField(
        label=_("Address"),
        help_text=_("No list sends mail to this address any more. The address itself is not stored."),
    )

    class Meta:
        model = Suppression
        fields = ("address", "detail")

    def clean_address(self) -> Address:
        try:
            return parse_address(self.cleaned_data["address"])
        except AddressError as error:
            raise forms.ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any] | None:
        """Refuse an address that would not be recognised later."""
        try:
            check_suppression_secret()
        except SuppressionSecretDiffers as error:
            raise forms.ValidationError(str(error)) from error
        return super().clean()


@admin.register(Suppression)
class SuppressionAdmin(OfferedFilters, TypedModelAdmin):
    """Suppressed addresses. They are stored as fingerprints: a search needs the whole address."""

    list_display = ("__str__", "reason", "detail", "created_at")
    list_filter = ("reason",)
    search_fields = ("fingerprint",)
    search_help_text = _("Search for a whole address. It is compared by its fingerprint.")
    ordering = ("-pk",)
    form = SuppressionForm

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The form for a new row, the stored columns of an existing one."""
        return ("address", "detail") if obj is None else ("reason", "detail", "created_at")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows are read-only. To correct one, remove it and add it again."""
        return obj is None and super().has_change_permission(request)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By the fingerprint of the typed address."""
        if not search_term:
            return queryset, False
        try:
            submitted = fingerprint(parse_address(search_term).canonical)
        except AddressError as error:
            messages.info(request, str(error))
            return queryset.none(), False
        return queryset.filter(fingerprint=submitted), False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Suppress the address. An earlier suppression keeps its reason, unless it was a hard bounce."""
        canonical = form.cleaned_data["address"].canonical
        words = form.cleaned_data["detail"]
        evidence = editor_evidence(request, words)
        count = suppress_addresses({canonical: (SuppressionReason.MANUAL, words)}, evidence)
        stored = get_suppression(canonical)
        obj.pk = stored.pk if stored else None
        obj.refresh_from_db()
        note = ngettext(
            "%(count)d subscription of this address has ended.",
            "%(count)d subscriptions of this address have ended.",
            count,
        )
        messages.info(request, note % {"count": count})

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        super().delete_model(request, obj)
        _explain_removal(request)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        super().delete_queryset(request, queryset)
        _explain_removal(request)


def _explain_removal(request: HttpRequest) -> None:
    messages.info(
        request,
        gettext("The address can be mailed again. Its subscriptions stay ended until the subscriber signs up again."),
    )
