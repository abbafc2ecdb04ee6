"""Newsletters in the admin. Imports models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from newsletter.admin.moments import zone_names
from newsletter.models import IssueStatus, Newsletter

if TYPE_CHECKING:
    NewsletterModelAdmin = admin.ModelAdmin[Newsletter]
    NewsletterModelForm = forms.ModelForm[Newsletter]
else:
    NewsletterModelAdmin = admin.ModelAdmin
    NewsletterModelForm = forms.ModelForm


class NewsletterForm(NewsletterModelForm):
    """Every field of a newsletter and of its mailing list, the zone to be chosen rather than typed."""

    time_zone = forms.ChoiceField(help_text="Schedules are meant in this zone.", initial="UTC")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = sorted({*zone_names(), self.instance.time_zone})
        self.fields["time_zone"].choices = [(name, name.replace("_", " ")) for name in names]  # type: ignore[attr-defined]
        if "slug" in self.fields and _is_linked_to(self.instance):
            self.fields["slug"].disabled = True  # whatever is posted for it is passed over
            self.fields["slug"].help_text = "It stays as it is: mails and other sites link to issues under it."


class NewsletterAdmin(NewsletterModelAdmin):
    """A publication and the list that it is sent to."""

    form = NewsletterForm
    list_display = ("name", "sender", "time_zone", "language")
    search_fields = ("name", "slug")
    actions = None
    fieldsets = (
        ("What readers see", {"fields": ("name", "slug", "description", "language")}),
        ("Who writes to them", {"fields": ("sender_name", "sender_email", "reply_to", "postal_address")}),
        ("Publishing", {"fields": ("time_zone", "known_sources")}),
    )

    def get_prepopulated_fields(self, request: HttpRequest, obj: Newsletter | None = None) -> dict[str, Sequence[str]]:
        """The slug follows the name while it is new; later, links to it are out in the world."""
        return {} if obj else {"slug": ("name",)}

    @admin.display(description="Sender")
    def sender(self, newsletter: Newsletter) -> str:
        """Name and address in the From line."""
        return f"{newsletter.sender_name} <{newsletter.sender_email}>"


def _is_linked_to(newsletter: Newsletter) -> bool:
    """Whether mails with its address in them are out, or may go out at any moment."""
    return newsletter.pk is not None and newsletter.issues.exclude(status=IssueStatus.DRAFT).exists()
