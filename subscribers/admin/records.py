"""Consents and transactional mails in the admin. Bodies of mails are hidden: they contain working links."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from subscribers.admin.keyset import KeysetPages
from subscribers.admin.read_only import ReadOnlyAdmin, fields_without_selection, state_badge
from subscribers.models import BulkAction, Consent, TransactionalMail


@admin.register(Consent)
class ConsentAdmin(KeysetPages, ReadOnlyAdmin):
    """The proofs: who agreed to what, when and where."""

    actions = None
    is_personal = True
    list_display = ("created_at", "kind", "address", "list_name", "form")
    list_filter = ("kind", "form")
    search_fields = ("canonical",)
    search_help_text = _("Search for an address or a part of one.")
    ordering = ("-pk",)
    fields = (
        "kind",
        "created_at",
        "address",
        "list_name",
        "form",
        "shown_text",
        "language",
        "source",
        "ip",
        "user_agent",
        "transactional_mail",
        "by",
        "reason",
        "shown_detail",
    )
    readonly_fields = ("shown_text", "shown_detail")

    @admin.display(description=_("text that the subscriber saw"))
    def shown_text(self, consent: Consent) -> str:
        """The text, its version and its hash."""
        if consent.text is None:
            return "–"
        return gettext("“%(text)s” (version %(version)s, SHA-256 %(sha256)s)") % {
            "text": consent.text.text,
            "version": consent.text.version or "–",
            "sha256": consent.text.sha256,
        }

    @admin.display(description=_("detail"), empty_value="–")
    def shown_detail(self, consent: Consent) -> str:
        """The detail in words."""
        return consent.detail_in_words


@admin.register(BulkAction)
class BulkActionAdmin(ReadOnlyAdmin):
    """What editors did with many subscribers at once."""

    actions = None
    list_display = ("created_at", "kind", "by", "state", "done", "changed", "finished_at")
    list_filter = ("state", "kind")
    search_fields = ("by",)
    ordering = ("-pk",)
    fields = (
        *("created_at", "kind", "by", "state", "reason", "selection", "values", "total", "is_estimate", "done"),
        *("changed", "started_at", "finished_at"),
    )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What a colleague searched for may be an address."""
        return fields_without_selection(request, super().get_fields(request, obj))


@admin.register(TransactionalMail)
class TransactionalMailAdmin(KeysetPages, ReadOnlyAdmin):
    """Transactional mails and their states."""

    actions = None
    is_personal = True
    list_display = ("kind", "recipient", "state_badge", "created_at", "sent_at", "attempts", "explanation")
    list_filter = ("state", "kind")
    search_fields = ("recipient", "provider_id")
    search_help_text = _("Search for a part of an address or the provider’s ID of a mail.")
    ordering = ("-pk",)
    fields = (
        "kind",
        "recipient",
        "sender",
        "reply_to",
        "subject",
        "state_badge",
        "explanation",
        "created_at",
        "attempts",
        "first_attempt_at",
        "not_before",
        "sent_at",
        "provider",
        "provider_id",
    )
    readonly_fields = ("state_badge", "explanation")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Without the bodies."""
        return super().get_queryset(request).defer("text", "html", "headers")

    @admin.display(description=_("state"), ordering="state")
    def state_badge(self, mail: TransactionalMail) -> str:
        """The state in its colour."""
        return state_badge(mail.state, mail.get_state_display())

    @admin.display(description=_("reason"), ordering="reason", empty_value="–")
    def explanation(self, mail: TransactionalMail) -> str:
        """Why the mail is not sent."""
        return mail.explanation
