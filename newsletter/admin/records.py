"""What the system has written down, to look at: deliveries, batches, receipts, editions.

Nobody adds, changes or deletes any of it by hand; the promise rests on these rows.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import orjson
from django.contrib import admin
from django.db.models import F, Model, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from newsletter.models import Batch, BatchState, Delivery, DeliveryStatus, Edition, Event, EventState, Fact
from subscribers.addresses import AddressError, parse_address
from subscribers.models import Subscriber

if TYPE_CHECKING:
    RecordModelAdmin = admin.ModelAdmin[Model]
else:
    RecordModelAdmin = admin.ModelAdmin

PILLS = {
    DeliveryStatus.ACCEPTED: "good",
    DeliveryStatus.FAILED: "bad",
    DeliveryStatus.UNKNOWN: "warn",
    BatchState.REFUSED: "bad",
    BatchState.HELD: "warn",
    EventState.APPLIED: "good",
    EventState.ORPHAN: "warn",
}


class RecordAdmin(RecordModelAdmin):
    """Opens for those who may view, and changes nothing."""

    actions = None
    list_per_page = 50
    # Counting all rows of a long outbox for one line of text costs more than the page.
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


class DeliveryAdmin(RecordAdmin):
    """The outbox, one row per reader and edition."""

    list_display = ("__str__", "reader", "subject", "status_pill", "known", "reason")
    list_filter = ("status",)
    search_fields = ("provider_id",)
    search_help_text = "An exact address, or the provider's id of a mail."
    ordering = ("-pk",)
    fieldsets = (
        (None, {"fields": ("reader", "edition_link", "status_pill", "reason", "provider_id")}),
        ("What became of it", {"fields": tuple(f"{fact.value}_at" for fact in Fact)}),
    )
    readonly_fields = ("reader", "edition_link", "status_pill")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With address and subject; without a join to readers, because an erased one has left a delivery behind."""
        address = Subscriber.objects.filter(pk=OuterRef("subscriber_id")).values("address")[:1]
        return Delivery.objects.annotate(address=Subquery(address), edition_subject=F("edition__subject"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """An address finds its person, whoever spelled it how; anything else is looked up as the provider's id."""
        try:
            canonical = parse_address(search_term).canonical
        except AddressError:
            return (queryset.filter(provider_id=search_term.strip()) if search_term.strip() else queryset), False
        # Both keys are named, as in the index: one look for each edition, however many deliveries there are.
        readers = list(Subscriber.objects.filter(canonical=canonical).values_list("pk", flat=True))
        editions = list(Edition.objects.values_list("pk", flat=True))
        return queryset.filter(edition__in=editions, subscriber__in=readers), False

    @admin.display(description="Reader")
    def reader(self, delivery: Any) -> str:
        """The address that mail goes to, while the person is known."""
        return delivery.address or "(erased)"

    @admin.display(description="Edition")
    def subject(self, delivery: Any) -> str:
        """The subject of the edition."""
        return str(delivery.edition_subject)

    @admin.display(description="Edition")
    def edition_link(self, delivery: Any) -> str:
        """The edition, to look at."""
        url = reverse("admin:newsletter_edition_change", args=[delivery.edition_id])
        return format_html('<a href="{}">{}</a>', url, delivery.edition_subject)

    @admin.display(description="Status", ordering="status")
    def status_pill(self, delivery: Any) -> str:
        """How far its sending has come."""
        return _pill(delivery.status, delivery.get_status_display())

    @admin.display(description="Last known")
    def known(self, delivery: Any) -> str:
        """The highest fact that a receipt told."""
        return str(delivery.outcome)


class BatchAdmin(RecordAdmin):
    """Provider calls. The bytes themselves hold addresses and links that work, so only their hash is shown."""

    list_display = ("__str__", "subject", "state_pill", "recipients", "attempts", "finished_at", "reason")
    list_filter = ("state",)
    ordering = ("-pk",)
    fields = (
        *("edition_link", "state_pill", "reason", "recipients", "deliveries", "provider", "attempts", "epoch", "key"),
        *("payload_sha256", "not_before", "lease_until", "claimed_by", "first_attempt_at", "finished_at"),
    )
    readonly_fields = ("edition_link", "state_pill", "deliveries")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Without the bytes and the edition's texts."""
        return Batch.objects.defer("payload").annotate(edition_subject=F("edition__subject"))

    @admin.display(description="Edition")
    def subject(self, batch: Any) -> str:
        """The subject of the edition."""
        return str(batch.edition_subject)

    @admin.display(description="Edition")
    def edition_link(self, batch: Any) -> str:
        """The edition, to look at."""
        url = reverse("admin:newsletter_edition_change", args=[batch.edition_id])
        return format_html('<a href="{}">{}</a>', url, batch.edition_subject)

    @admin.display(description="State", ordering="state")
    def state_pill(self, batch: Any) -> str:
        """Where the call stands."""
        return _pill(batch.state, batch.get_state_display())

    @admin.display(description="Deliveries")
    def deliveries(self, batch: Any) -> str:
        """The range of deliveries that it owns."""
        return f"{batch.first_delivery} to {batch.last_delivery}"


class EventAdmin(RecordAdmin):
    """The provider's events, as they came."""

    list_display = ("kind", "received_at", "state_pill", "note", "delivery_link")
    list_filter = ("state", "kind")
    search_fields = ("=event_id",)
    search_help_text = "The provider's id of an event."
    ordering = ("-pk",)
    fields = ("provider", "event_id", "kind", "received_at", "state_pill", "note", "delivery_link", "pretty_body")
    readonly_fields = ("state_pill", "delivery_link", "pretty_body")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Lists do without the bodies."""
        return Event.objects.defer("body") if _is_list(request) else Event.objects.all()

    @admin.display(description="State", ordering="state")
    def state_pill(self, receipt: Event) -> str:
        """What became of it."""
        return _pill(receipt.state, receipt.get_state_display())

    @admin.display(description="Delivery")
    def delivery_link(self, receipt: Event) -> str:
        """The mail that it is about."""
        if receipt.delivery_id is None:
            return "–"
        url = reverse("admin:newsletter_delivery_change", args=[receipt.delivery_id])
        return format_html('<a href="{}">delivery {}</a>', url, receipt.delivery_id)

    @admin.display(description="Body")
    def pretty_body(self, receipt: Event) -> str:
        """The event, indented to be read."""
        try:
            body = orjson.dumps(orjson.loads(receipt.body), option=orjson.OPT_INDENT_2).decode()
        except orjson.JSONDecodeError:
            body = receipt.body
        return format_html('<pre class="code">{}</pre>', body)


class EditionAdmin(RecordAdmin):
    """Frozen renderings."""

    list_display = ("subject", "revision", "short_hash", "created_at")
    ordering = ("-pk",)
    fields = ("issue_link", "subject", "revision", "created_at", "sha256", "sizes", "pretty_envelope", "plain_text")
    readonly_fields = ("issue_link", "sizes", "pretty_envelope", "plain_text")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Lists do without the texts."""
        editions = Edition.objects.select_related("issue")
        return editions.defer("html", "text", "content", "links", "envelope") if _is_list(request) else editions

    @admin.display(description="Hash")
    def short_hash(self, edition: Edition) -> str:
        """The beginning of its hash."""
        return edition.sha256[:12]

    @admin.display(description="Issue")
    def issue_link(self, edition: Edition) -> str:
        """The issue that it is a rendering of."""
        url = reverse("admin:newsletter_issue_change", args=[edition.issue_id])
        return format_html('<a href="{}">{}</a>', url, edition.issue)

    @admin.display(description="Size")
    def sizes(self, edition: Edition) -> str:
        """Of both parts."""
        html, text = (len(part.encode()) / 1000 for part in (edition.html, edition.text))
        return f"{html:.0f} KB of HTML, {text:.0f} KB of text"

    @admin.display(description="Envelope")
    def pretty_envelope(self, edition: Edition) -> str:
        """Sender and headers, with slots where readers differ."""
        return format_html('<pre class="code">{}</pre>', json.dumps(edition.envelope, indent=2, ensure_ascii=False))

    @admin.display(description="Text part")
    def plain_text(self, edition: Edition) -> str:
        """The text part, with slots where readers differ."""
        return format_html('<pre class="code">{}</pre>', edition.text)


def _is_list(request: HttpRequest) -> bool:
    return request.resolver_match is not None and str(request.resolver_match.url_name).endswith("_changelist")


def _pill(state: str, label: str) -> str:
    return format_html('<span class="pill pill-{}">{}</span>', PILLS.get(state, "plain"), label)  # type: ignore[call-overload]
