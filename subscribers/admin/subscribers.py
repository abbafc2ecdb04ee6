"""Subscribers and their subscriptions in the admin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.core.exceptions import BadRequest, PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from subscribers.admin import bulk_actions, subscriber_actions, subscriber_forms
from subscribers.admin.exports import show_export
from subscribers.admin.filter_page import show_add_filter
from subscribers.admin.filters import refusal
from subscribers.admin.privacy import PrivacyPages
from subscribers.admin.read_only import ReadOnlyAdmin, editor_evidence, state_badge
from subscribers.admin.subscriber_list import show_list
from subscribers.admin.subscriber_page import show_subscriber
from subscribers.consent import actions
from subscribers.models import Subscriber, Subscription, SubscriptionQuerySet, SubscriptionState


def ended_message(count: int) -> str:
    """How many subscriptions have ended, as a sentence."""
    return ngettext("%(count)d subscription has ended.", "%(count)d subscriptions have ended.", count) % {
        "count": count
    }


def end_once_confirmed(
    page: ReadOnlyAdmin, request: HttpRequest, chosen: QuerySet[Any], subscriptions: SubscriptionQuerySet
) -> HttpResponse | None:
    """Ask before ending subscriptions, because no editor can undo it. End them once the editor has confirmed."""
    open_ones = subscriptions.filter(state__in=(SubscriptionState.PENDING, SubscriptionState.ACTIVE))
    if not open_ones.exists():
        messages.info(request, gettext("All of these subscriptions have already ended."))
        return None
    if "confirmed" in request.POST:
        messages.success(request, ended_message(actions.unsubscribe_all(subscriptions, editor_evidence(request))))
        return None
    select_across = request.POST.get("select_across") == "1"
    context = {
        **page.admin_site.each_context(request),
        "title": gettext("Unsubscribe?"),
        "opts": page.opts,
        "count": open_ones.count(),
        # “Select all” is passed on as such: a form may have fewer fields than a list has subscribers.
        "select_across": select_across,
        "chosen": list((chosen[:1] if select_across else chosen).values_list("pk", flat=True)),
        "checkbox": ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "admin/subscribers/unsubscribe.html", context)


@admin.register(Subscriber)
class SubscriberAdmin(PrivacyPages, ReadOnlyAdmin):
    """The list of subscribers, the page of each, and the pages of their actions. The views are in other modules."""

    search_fields = ("canonical",)
    actions = None

    def get_urls(self) -> list[Any]:
        """Ours before Django's own."""
        one = {
            "edit": subscriber_forms.edit_subscriber,
            "merge": subscriber_forms.merge_subscriber,
            "note": subscriber_actions.add_note,
            "send-link": subscriber_actions.send_link,
            "pause": subscriber_actions.pause,
            "resume": subscriber_actions.resume,
            "allow-signups": subscriber_actions.allow_signups,
            "unsubscribe": subscriber_actions.unsubscribe,
            "suppress": subscriber_actions.suppress,
            "lift": subscriber_actions.lift,
        }
        several: dict[str, tuple[str, Callable[..., HttpResponseBase]]] = {
            "export/": ("export", show_export),
            "filter/": ("add_filter", show_add_filter),
            "actions/progress/": ("progress", bulk_actions.show_progress),
            "actions/<int:pk>/cancel/": ("bulk_cancel", bulk_actions.stop_bulk_action),
            "actions/<str:kind>/": ("bulk", bulk_actions.show_bulk_action),
        }
        return [
            *(path(route, self._page(view), name=url_name(name)) for route, (name, view) in several.items()),
            *(path(f"<int:pk>/{name}/", self._page_of_one(view), name=url_name(name)) for name, view in one.items()),
            *super().get_urls(),
        ]

    def _page(self, view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        """A page for those who may see subscribers; a query that no page of ours has is answered with 400."""

        def page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not self.has_view_permission(request):
                raise PermissionDenied
            try:
                return view(request, *args, **kwargs)
            except BadRequest as error:
                return refusal(request, error)

        return self.admin_site.admin_view(page)

    def _page_of_one(self, view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        return self._page(lambda request, pk: view(request, get_object_or_404(Subscriber, pk=pk)))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("subscribers.add_subscriber"))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return self._page(show_list)(request)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        subscriber = self.get_object(request, unquote(object_id))
        if subscriber is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined]
        return self._page(lambda request: show_subscriber(request, subscriber))(request)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> Any:
        """The page of the subscriber, which has the timeline. Django's history shows the whole address to everyone."""
        return HttpResponseRedirect(reverse("admin:subscribers_subscriber_change", args=[unquote(object_id)]))

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None) -> Any:
        return self._page(subscriber_forms.add_subscriber)(request)


def url_name(page: str) -> str:
    """The name of the URL of a page: `send-link` gives `subscribers_subscriber_send_link`."""
    return "subscribers_subscriber_" + page.replace("-", "_")


@admin.register(Subscription)
class SubscriptionAdmin(ReadOnlyAdmin):
    """Subscriptions and their states."""

    is_personal = True
    list_display = (
        "subscriber",
        "mailing_list",
        "state_badge",
        "created_at",
        "confirmed_at",
        "ended_at",
        "paused_until",
    )
    list_filter = ("state", "mailing_list")
    list_select_related = ("subscriber", "mailing_list")
    search_fields = ("subscriber__canonical",)
    search_help_text = _("Search for an address or a part of one.")
    ordering = ("-pk",)
    fields = (
        "subscriber_link",
        "mailing_list",
        "state_badge",
        "created_at",
        "requested_at",
        "confirmed_at",
        "ended_at",
        "paused_until",
    )
    readonly_fields = ("subscriber_link", "state_badge")
    actions = ("unsubscribe",)

    @admin.display(description=_("state"), ordering="state")
    def state_badge(self, subscription: Subscription) -> str:
        """The state in its colour."""
        return state_badge(subscription.state, subscription.get_state_display())

    @admin.display(description=_("subscriber"))
    def subscriber_link(self, subscription: Subscription) -> str:
        """A link to the subscriber and the history."""
        url = reverse("admin:subscribers_subscriber_change", args=[subscription.subscriber_id])
        return format_html('<a href="{}">{}</a>', url, subscription.subscriber)

    @admin.action(description=_("Unsubscribe"), permissions=["change"])
    def unsubscribe(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """End the chosen subscriptions, after a confirmation."""
        subscriptions = Subscription.objects.filter(pk__in=queryset.values("pk"))
        return end_once_confirmed(self, request, queryset, subscriptions)
