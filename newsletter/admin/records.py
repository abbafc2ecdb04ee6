"""The records of the system, read-only: sends, deliveries, batches, editions.

They are never added, changed or deleted by hand: once-only delivery rests on these rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import F, Max, Min, Model, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from newsletter.admin.pages import pill_class
from newsletter.models import Batch, Delivery, Edition, EventType, Issue, Send
from newsletter.models.reasons import reason_sentence
from subscribers.addresses import AddressError, parse_address
from subscribers.admin.filters import MAX_KEY_DIGITS, OfferedFilters
from subscribers.admin.keyset import KeysetPages
from subscribers.admin.rights import may_see_personal_data
from subscribers.models import Subscriber

if TYPE_CHECKING:
    RecordModelAdmin = admin.ModelAdmin[Model]
else:
    RecordModelAdmin = admin.ModelAdmin


class RecordAdmin(KeysetPages, OfferedFilters, RecordModelAdmin):
    """Read-only, for users with the view permission."""

    actions: Any = None
    list_per_page = 50

    #: Whether its rows show addresses or clicks, which only those who may see personal data look at.
    is_personal = False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) and (not self.is_personal or may_see_personal_data(request))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class SendAdmin(RecordAdmin):
    """Runs of issues."""

    list_display = ("__str__", "issue_link", "state_pill", "started_at", "finished_at", "reason")
    list_filter = ("state",)
    fields = (
        *("issue_link", "edition_link", "state_pill", "reason", "scheduled_at", "scheduled_zone", "is_local"),
        *("started_at", "undo_until", "expanded_at", "finished_at", "excluded", "approved_sha256"),
    )
    readonly_fields = ("issue_link", "edition_link", "state_pill", "reason")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Without the manifests."""
        sends = Send.objects.select_related("issue").defer("manifest")
        return sends.annotate(edition_subject=F("edition__subject"))

    @admin.display(description=gettext_lazy("Issue"))
    def issue_link(self, send: Any) -> str:
        url = reverse("admin:newsletter_issue_change", args=[send.issue_id])
        return format_html('<a href="{}">{}</a>', url, send.issue.title)

    @admin.display(description=gettext_lazy("Edition"))
    def edition_link(self, send: Any) -> str:
        return _edition_link(send)

    @admin.display(description=gettext_lazy("State"))
    def state_pill(self, send: Any) -> str:
        return pill(send.state, send.get_state_display())

    @admin.display(description=gettext_lazy("Reason"))
    def reason(self, send: Any) -> str:
        return str(send.hold_sentence)


class DeliveryAdmin(RecordAdmin):
    """The outbox, one row per issue and subscriber."""

    is_personal = True
    list_display = ("__str__", "recipient", "issue_title", "state_pill", "known", "reason_shown")
    list_filter = ("state",)
    linked_lookups = ("send__id__exact",)
    search_fields = ("provider_id",)
    search_help_text = gettext_lazy("An exact address, or the provider's id of a mail.")
    fieldsets = (
        (None, {"fields": ("recipient", "issue_link", "state_pill", "reason_shown", "provider_id")}),
        (gettext_lazy("Provider events"), {"fields": tuple(f"{event_type.value}_at" for event_type in EventType)}),
    )
    readonly_fields = ("recipient", "issue_link", "state_pill", "reason_shown")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With address and title; without a join to subscribers, because an erased one has left a delivery behind."""
        address = Subscriber.objects.filter(pk=OuterRef("subscriber_id")).values("address")[:1]
        return Delivery.objects.annotate(address=Subquery(address), title=F("issue__title"))

    def bounds_of(self, params: Mapping[str, Any]) -> tuple[int | None, int | None]:
        """The keys of the deliveries of one send: its batches have them all, and no index does."""
        key = str(params.get("send__id__exact", ""))
        if not (key.isascii() and key.isdecimal() and len(key) <= MAX_KEY_DIGITS):
            return None, None
        found = Batch.objects.filter(send=int(key)).aggregate(low=Min("first_delivery"), high=Max("last_delivery"))
        return (None, None) if found["low"] is None else (found["low"], found["high"] + 1)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """An address finds its subscriber in any spelling; anything else is looked up as the provider's id."""
        try:
            canonical = parse_address(search_term).canonical
        except AddressError:
            return (queryset.filter(provider_id=search_term.strip()) if search_term.strip() else queryset), False
        # Both columns are named, as in the index: one lookup per issue, however many deliveries there are.
        subscribers = list(Subscriber.objects.filter(canonical=canonical).values_list("pk", flat=True))
        issues = list(Issue.objects.order_by().values_list("pk", flat=True))
        return queryset.filter(issue__in=issues, subscriber__in=subscribers), False

    @admin.display(description=gettext_lazy("Recipient"))
    def recipient(self, delivery: Any) -> str:
        """The current address of the subscriber."""
        return delivery.address or _("(erased)")

    @admin.display(description=gettext_lazy("Issue"))
    def issue_title(self, delivery: Any) -> str:
        return str(delivery.title)

    @admin.display(description=gettext_lazy("Issue"))
    def issue_link(self, delivery: Any) -> str:
        url = reverse("admin:newsletter_issue_change", args=[delivery.issue_id])
        return format_html('<a href="{}">{}</a>', url, delivery.title)

    @admin.display(description=gettext_lazy("State"))
    def state_pill(self, delivery: Any) -> str:
        return pill(delivery.state, delivery.get_state_display())

    @admin.display(description=gettext_lazy("Outcome"))
    def known(self, delivery: Any) -> str:
        """The highest event type that is known, else the state."""
        return str(delivery.outcome)

    @admin.display(description=gettext_lazy("Reason"))
    def reason_shown(self, delivery: Any) -> str:
        return reason_sentence(delivery.reason, {"text": delivery.detail})


class BatchAdmin(RecordAdmin):
    """Provider calls. The bytes hold addresses and working links, so only their hash is shown."""

    list_display = ("__str__", "subject", "state_pill", "recipients", "attempts", "finished_at", "reason_shown")
    list_filter = ("state",)
    fields = (
        *(
            "edition_link",
            "state_pill",
            "reason_shown",
            "recipients",
            "deliveries",
            "provider",
            "attempts",
            "epoch",
            "key",
        ),
        *("payload_sha256", "not_before", "lease_until", "claimed_by", "first_attempt_at", "finished_at"),
    )
    readonly_fields = ("edition_link", "state_pill", "reason_shown", "deliveries")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Without the bytes and the edition's texts."""
        return Batch.objects.defer("payload").annotate(edition_subject=F("edition__subject"))

    @admin.display(description=gettext_lazy("Edition"))
    def subject(self, batch: Any) -> str:
        return str(batch.edition_subject)

    @admin.display(description=gettext_lazy("Edition"))
    def edition_link(self, batch: Any) -> str:
        return _edition_link(batch)

    @admin.display(description=gettext_lazy("State"))
    def state_pill(self, batch: Any) -> str:
        return pill(batch.state, batch.get_state_display())

    @admin.display(description=gettext_lazy("Deliveries"))
    def deliveries(self, batch: Any) -> str:
        """The range of its deliveries."""
        return f"{batch.first_delivery} – {batch.last_delivery}"

    @admin.display(description=gettext_lazy("Reason"))
    def reason_shown(self, batch: Any) -> str:
        return reason_sentence(batch.reason, batch.reason_values)


class EditionAdmin(RecordAdmin):
    """Frozen renderings."""

    list_display = ("subject", "revision", "short_hash", "created_at")
    fields = ("issue_link", "subject", "revision", "created_at", "sha256", "sizes", "pretty_envelope", "plain_text")
    readonly_fields = ("issue_link", "sizes", "pretty_envelope", "plain_text")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Lists do without the texts."""
        editions = Edition.objects.select_related("issue")
        return editions.defer("html", "text", "content", "links", "envelope") if is_list(request) else editions

    @admin.display(description=gettext_lazy("Hash"))
    def short_hash(self, edition: Edition) -> str:
        return edition.sha256[:12]

    @admin.display(description=gettext_lazy("Issue"))
    def issue_link(self, edition: Edition) -> str:
        url = reverse("admin:newsletter_issue_change", args=[edition.issue_id])
        return format_html('<a href="{}">{}</a>', url, edition.issue)

    @admin.display(description=gettext_lazy("Size"))
    def sizes(self, edition: Edition) -> str:
        html, text = (len(part.encode()) / 1000 for part in (edition.html, edition.text))
        return _("%(html)s KB of HTML, %(text)s KB of text") % {"html": round(html), "text": round(text)}

    @admin.display(description=gettext_lazy("Envelope"))
    def pretty_envelope(self, edition: Edition) -> str:
        """Sender and headers, with placeholders where recipients differ."""
        return format_html('<pre class="code">{}</pre>', json.dumps(edition.envelope, indent=2, ensure_ascii=False))

    @admin.display(description=gettext_lazy("Text part"))
    def plain_text(self, edition: Edition) -> str:
        return format_html('<pre class="code">{}</pre>', edition.text)


def _edition_link(row: Any) -> str:
    url = reverse("admin:newsletter_edition_change", args=[row.edition_id])
    return format_html('<a href="{}">{}</a>', url, row.edition_subject)


def is_list(request: HttpRequest) -> bool:
    return request.resolver_match is not None and str(request.resolver_match.url_name).endswith("_changelist")


def pill(state: str, label: str) -> str:
    return format_html('<span class="{}">{}</span>', pill_class(state), label)
