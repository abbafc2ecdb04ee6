"""Suppressions in the admin: an address is typed, and only its fingerprint is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from subscribers.addresses import Address, AddressError, parse_address
from subscribers.admin.filters import OfferedFilters
from subscribers.admin.privacy import SuppressionFiles
from subscribers.admin.read_only import TypedModelAdmin, editor_evidence
from subscribers.admin.rights import may_see_personal_data
from subscribers.models import Suppression, SuppressionReason, fingerprint
from subscribers.suppression import (
    ExplanationMissing,
    SuppressionSecretDiffers,
    check_suppression_secret,
    get_suppression,
    lift_suppressions,
    suppress_addresses,
)

#: The columns of a stored suppression.
SHOWN = ("reason", "detail_shown", "created_at")


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


class LiftForm(forms.Form):
    """Why a suppression is lifted."""

    explanation = forms.CharField(
        label=_("Reason"),
        required=False,
        max_length=300,
        help_text=_("Required for complaints. It is kept with your name. The provider’s list is told, too."),
    )


@admin.register(Suppression)
class SuppressionAdmin(SuppressionFiles, OfferedFilters, TypedModelAdmin):
    """Suppressed addresses. They are stored as fingerprints: a search needs the whole address."""

    list_display = ("__str__", "reason", "detail_shown", "created_at")
    readonly_fields = ("detail_shown",)
    list_filter = ("reason",)
    search_fields = ("fingerprint",)
    search_help_text = _("Search for a whole address. It is compared by its fingerprint.")
    ordering = ("-pk",)
    form = SuppressionForm
    actions = ("lift",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The form for a new row, the stored columns of an existing one."""
        return ("address", "detail") if obj is None else self._shown(request, SHOWN)

    def get_list_display(self, request: HttpRequest) -> Any:
        """The columns."""
        return self._shown(request, super().get_list_display(request))

    def _shown(self, request: HttpRequest, columns: Sequence[Any]) -> list[Any]:
        """Without the detail for viewers who may not see addresses: mail servers name the address in their answer."""
        return [name for name in columns if name != "detail_shown" or may_see_personal_data(request)]

    @admin.display(description=_("Detail"), ordering="detail")
    def detail_shown(self, suppression: Suppression) -> str:
        """The words of the mail server or the editor, or how many mails bounced."""
        return suppression.detail_in_words

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows are read-only. To correct one, lift it and add it again."""
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

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Suppressions are lifted, with a record. Django's deletion would keep none and tell no provider."""
        return False

    def has_lift_permission(self, request: HttpRequest) -> bool:
        """The right to delete suppressions is the right to lift them."""
        return request.user.has_perm("subscribers.delete_suppression")

    @admin.action(description=_("Lift…"), permissions=["lift"])
    def lift(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Ask why, and lift the chosen suppressions."""
        form = LiftForm(request.POST if "confirmed" in request.POST else None)
        if form.is_valid():
            try:
                count = lift_suppressions(
                    queryset, by=request.user.get_username(), explanation=form.cleaned_data["explanation"]
                )
            except ExplanationMissing as error:
                form.add_error("explanation", str(error))
            else:
                _explain_removal(request, count)
                return None
        select_across = request.POST.get("select_across") == "1"
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Lift the suppression?"),
            "opts": self.opts,
            "form": form,
            "count": queryset.count(),
            "has_complaints": queryset.filter(reason=SuppressionReason.COMPLAINT).exists(),
            "select_across": select_across,
            "chosen": list((queryset[:1] if select_across else queryset).values_list("pk", flat=True)),
            "checkbox": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/subscribers/lift.html", context)


def _explain_removal(request: HttpRequest, count: int) -> None:
    note = ngettext("%(count)d address can be mailed again.", "%(count)d addresses can be mailed again.", count)
    ended = gettext("Their subscriptions stay ended until the subscribers sign up again.")
    messages.info(request, f"{note % {'count': count}} {ended}")
