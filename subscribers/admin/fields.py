"""Custom fields in the admin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from subscribers.addresses import UNFIT_FOR_HEADERS
from subscribers.admin.deleting import DeletesWithConsequences
from subscribers.models import (
    BUILT_IN_FIELDS,
    MAX_OPTIONS,
    MAX_TEXT,
    CustomField,
    FieldKind,
    FieldValue,
    check_header_text,
)
from subscribers.segments.references import segments_with_field

if TYPE_CHECKING:
    CustomFieldModelForm = forms.ModelForm[CustomField]
else:
    CustomFieldModelForm = forms.ModelForm

WITH_OPTIONS = (FieldKind.CHOICE, FieldKind.CHOICES)


class OptionsField(forms.CharField):
    """Options, one per line."""

    widget = forms.Textarea(attrs={"rows": 6})

    def prepare_value(self, value: Any) -> Any:
        """The stored list as lines."""
        return "\n".join(map(str, value)) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        """The options, each once, capital and small letters being the same. Raises ValidationError."""
        options: dict[str, str] = {}
        for line in str(super().clean(value)).splitlines():
            option = " ".join(line.split())
            if not option:
                continue
            if UNFIT_FOR_HEADERS.search(option) or len(option) > MAX_TEXT or "," in option:
                raise forms.ValidationError(
                    gettext("“%(option)s” cannot be an option: use at most %(limit)d characters, and no comma.")
                    % {"option": option[:60], "limit": MAX_TEXT}
                )
            if option.casefold() in options:
                raise forms.ValidationError(gettext("“%(option)s” is there twice.") % {"option": option[:60]})
            options[option.casefold()] = option
        if len(options) > MAX_OPTIONS:
            raise forms.ValidationError(gettext("Enter at most %(limit)d options.") % {"limit": MAX_OPTIONS})
        return list(options.values())

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compared as lines."""
        return super().has_changed(self.prepare_value(initial), data)


class CustomFieldForm(CustomFieldModelForm):
    """A field. Its list, key and type stay: stored values have that type, and issues use that key."""

    label = forms.CharField(
        label=_("Label"),
        max_length=100,
        validators=[check_header_text],
        help_text=_("Shown to subscribers and editors."),
    )
    options = OptionsField(
        label=_("Options"), required=False, help_text=_("One per line. Only for fields with options.")
    )

    class Meta:
        model = CustomField
        fields = "__all__"

    def clean_key(self) -> str:
        """Refuse the names of built-in merge fields."""
        key = str(self.cleaned_data["key"])
        if key in BUILT_IN_FIELDS:
            raise forms.ValidationError(gettext("Every subscriber has this field already. Choose another key."))
        return key

    def clean(self) -> dict[str, Any]:
        """Require options where the type has some, and only there."""
        cleaned = super().clean() or self.cleaned_data
        has_options = (cleaned.get("kind") or self.instance.kind) in WITH_OPTIONS
        options = cleaned.get("options")
        if has_options and options == []:
            self.add_error("options", gettext("Enter at least one option."))
        if options and not has_options:
            self.add_error("options", gettext("A field of this type has no options. Remove them."))
        return cleaned


@admin.register(CustomField)
class CustomFieldAdmin(DeletesWithConsequences):
    """What editors want to know about the subscribers of a list."""

    form = CustomFieldForm
    list_display = ("label", "merge_field", "kind", "mailing_list", "asked", "is_editable", "position")
    list_filter = ("mailing_list", "kind")
    list_select_related = ("mailing_list",)
    search_fields = ("key", "label")
    search_help_text = _("Search for a part of a key or label.")
    ordering = ("mailing_list", "position", "pk")
    fields = (
        "mailing_list",
        "label",
        "key",
        "kind",
        "options",
        "help_text",
        "asked",
        "is_required",
        "is_editable",
        "position",
    )

    @admin.display(description=_("merge field"), ordering="key")
    def merge_field(self, field: CustomField) -> str:
        """How an issue uses it."""
        return f"{{{field.key}|…}}"

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Those that stay."""
        return ("mailing_list", "key", "kind") if obj else ()

    def consequences(self, obj: CustomField) -> list[str]:
        """Values and rules."""
        count = FieldValue.objects.filter(field=obj).values("subscription").distinct().count()
        stored = ngettext(
            "The value of %(count)d subscriber is deleted.", "The values of %(count)d subscribers are deleted.", count
        )
        return [
            stored % {"count": count},
            *(
                gettext("The rules of the segment “%(name)s” name it, and cannot be used without it.")
                % {"name": segment.name}
                for segment in segments_with_field(obj)
            ),
            gettext("Issues that use it show its fallback if they are sent already, and fail their check if not."),
        ]
