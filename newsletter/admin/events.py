"""The list of provider events: filtered, read page by page without counting, and applied again.

The table may have millions of rows. Each filter has an index, and a page begins after the last row of the page before.
"""

from __future__ import annotations

from typing import Any

import orjson
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.db.models.expressions import Combinable
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from newsletter.admin.pages import username_of
from newsletter.admin.records import RecordAdmin, is_list, pill
from newsletter.events.replay import replay_all, replay_selected
from newsletter.models import NEWEST_FIRST, UNUSED, Event, EventState, EventTally
from newsletter.models.reasons import reason_sentence
from newsletter.monitoring.formatting import number
from newsletter.providers import webhook_providers
from newsletter.providers.bounce_classes import EARLIER_CODES, BounceClass, class_of
from newsletter.providers.resend.events import EVENT_TYPES
from subscribers.admin.keyset import KeysetChangeList

#: The kind of nearly all events: the index by kind leaves it out.
MOST_FREQUENT = "email.delivered"

#: Only these are bounces.
BOUNCED = "email.bounced"

#: Characters of a reason in the filter.
MAX_REASON = 60


class StateFilter(admin.SimpleListFilter):
    """By state."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(EventState.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The second condition is that of the index."""
        chosen = queryset.filter(state=self.value()) if self.value() else queryset
        return chosen.filter(state__in=UNUSED) if self.value() in UNUSED else chosen


class ReasonFilter(admin.SimpleListFilter):
    """By the reason of the state, with the numbers of the tally."""

    title = gettext_lazy("reason")
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The reasons that any event has."""
        totals: dict[str, int] = {}
        for row in EventTally.objects.filter(count__gt=0).order_by("reason"):
            totals[row.reason] = totals.get(row.reason, 0) + row.count
        return [(reason, f"{_short(reason_sentence(reason))} ({number(count)})") for reason, count in totals.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(reason=self.value()).exclude(reason="") if self.value() else queryset


class KindFilter(admin.SimpleListFilter):
    """By the provider's name of an event: the documented ones, so that no query must collect those in the table."""

    title = gettext_lazy("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The kinds that Resend documents."""
        return [(kind, kind) for kind in EVENT_TYPES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return _of_kind(queryset, self.value()) if self.value() else queryset


class BounceFilter(admin.SimpleListFilter):
    """By the kind of a bounce."""

    title = gettext_lazy("bounce")
    parameter_name = "bounce"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind.value, str(kind.rule.name)) for kind in BounceClass]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        codes = {self.value(), *(code for code, kind in EARLIER_CODES.items() if kind.value == self.value())}
        return _of_kind(queryset, BOUNCED).filter(bounce__in=codes) if self.value() else queryset


def _of_kind(events: QuerySet[Any], kind: str | None) -> QuerySet[Any]:
    """Events of a kind; the second condition is that of the index."""
    chosen = events.filter(kind=kind)
    return chosen if kind == MOST_FREQUENT else chosen.exclude(kind=MOST_FREQUENT)


def _short(sentence: str) -> str:
    return sentence if len(sentence) <= MAX_REASON else f"{sentence[: MAX_REASON - 1].rstrip()}…"


class EventChangeList(KeysetChangeList):
    """With a filter that has an index, rows are read in the order of that index."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[str | Combinable]:
        return [NEWEST_FIRST.asc()] if self._is_indexed() else ["-pk"]

    def _is_indexed(self) -> bool:
        """Whether a filter is chosen that few events pass."""
        kind, state = self.params.get("kind", MOST_FREQUENT), self.params.get("state")
        return kind != MOST_FREQUENT or state in UNUSED or "reason" in self.params or "bounce" in self.params

    def _older(self, rows: QuerySet[Any], key: int) -> QuerySet[Any]:
        return rows.alias(place=NEWEST_FIRST).filter(place__gt=-key) if self._is_indexed() else rows.filter(pk__lt=key)


class EventAdmin(RecordAdmin):
    """The provider's events, as they came."""

    is_personal = True
    list_display = ("kind", "received_at", "state_pill", "note_shown", "delivery_link")
    list_filter = (StateFilter, ReasonFilter, KindFilter, BounceFilter)
    search_fields = ("event_id__exact",)
    search_help_text = gettext_lazy("The provider's id of an event.")
    actions = ("apply_again", "apply_reason_again")
    fields = (
        "provider",
        "event_id",
        "kind",
        "received_at",
        "state_pill",
        "bounce_shown",
        "note_shown",
        "delivery_link",
        "pretty_body",
    )
    readonly_fields = ("state_pill", "bounce_shown", "note_shown", "delivery_link", "pretty_body")

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Whether events may be applied again."""
        return self.has_view_permission(request) and request.user.has_perm("newsletter.change_event")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[EventChangeList]:
        return EventChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Lists do without the bodies."""
        return Event.objects.defer("body") if is_list(request) else Event.objects.all()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By the unique index, whose first column is the provider."""
        names = [provider.name for provider in webhook_providers()]
        event_id = search_term.strip()
        return (queryset.filter(provider__in=names, event_id=event_id) if event_id else queryset), False

    @admin.action(description=gettext_lazy("Apply again"), permissions=["replay"])
    def apply_again(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Apply the selected events again, if they are not used."""
        pks = list(queryset.values_list("pk", flat=True)[: self.list_per_page])
        replay = replay_selected(pks, by=username_of(request))
        if not replay.events:
            sentence = _("None of these events can be applied again: they are applied, or have no content any more.")
            self.message_user(request, sentence, messages.WARNING)
            return
        sentence = ngettext(
            "%(count)s event is applied again within seconds, if a worker runs.",
            "%(count)s events are applied again within seconds, if a worker runs.",
            replay.events,
        )
        self.message_user(request, sentence % {"count": number(replay.events)})

    @admin.action(description=gettext_lazy("Apply all with the same reason again"), permissions=["replay"])
    def apply_reason_again(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Apply all unused events again that have the reason of a selected one."""
        chosen = queryset.filter(state__in=UNUSED).exclude(reason="")[: self.list_per_page]
        reasons = sorted(set(chosen.values_list("reason", flat=True)))
        for reason in reasons:
            replay_all(by=username_of(request), reason=reason)
        if not reasons:
            sentence = _("None of these events has a reason against it, so there is nothing to apply again.")
            self.message_user(request, sentence, messages.WARNING)
            return
        sentence = _("A worker applies all events with these reasons again: %(reasons)s")
        shown = " · ".join(reason_sentence(reason) for reason in reasons)
        self.message_user(request, sentence % {"reasons": shown})

    @admin.display(description=gettext_lazy("State"))
    def state_pill(self, event: Event) -> str:
        return pill(event.state, event.get_state_display())

    @admin.display(description=gettext_lazy("Delivery"))
    def delivery_link(self, event: Event) -> str:
        # Formerly, events that match no delivery kept the one in their tag.
        if event.delivery_id is None or event.state == EventState.ORPHAN:
            return "–"
        url = reverse("admin:newsletter_delivery_change", args=[event.delivery_id])
        return format_html('<a href="{}">{}</a>', url, event.delivery_id)

    @admin.display(description=gettext_lazy("Bounce"))
    def bounce_shown(self, event: Event) -> str:
        """What the bounce is about, and what follows from it."""
        kind = class_of(event.bounce)
        return f"{kind.rule.name}. {kind.rule.meaning} {kind.rule.recipient.value}" if kind else "–"

    @admin.display(description=gettext_lazy("Note"))
    def note_shown(self, event: Event) -> str:
        """Why it was ignored, and what the provider adds."""
        return event.note

    @admin.display(description=gettext_lazy("Body"))
    def pretty_body(self, event: Event) -> str:
        """The event as indented JSON."""
        try:
            body = orjson.dumps(orjson.loads(event.body), option=orjson.OPT_INDENT_2).decode()
        except orjson.JSONDecodeError:
            body = event.body
        return format_html('<pre class="code">{}</pre>', body)
