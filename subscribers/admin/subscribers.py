"""Subscribers and their subscriptions in the admin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from subscribers.admin.privacy import PrivacyPages
from subscribers.admin.read_only import ReadOnlyAdmin, editor_evidence, state_badge
from subscribers.consent import actions
from subscribers.models import (
    Consent,
    MailingList,
    Subscriber,
    Subscription,
    SubscriptionQuerySet,
    SubscriptionState,
    TransactionalMail,
)


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


class SubscriptionFilter(admin.SimpleListFilter):
    """List and state of the same subscription. Two filters would each find another subscription."""

    title = _("subscription")
    parameter_name = "subscription"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterator[tuple[str, str]]:
        """Each list, and each state on it."""
        for mailing_list in MailingList.objects.order_by("name"):
            yield str(mailing_list.pk), mailing_list.name
            for state in SubscriptionState:
                yield f"{mailing_list.pk}-{state}", f"{mailing_list.name} · {state.label}"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The subscribers with such a subscription; each has at most one of a list."""
        list_pk, _separator, state = (self.value() or "").partition("-")
        if not list_pk.isdecimal():
            return queryset
        conditions: dict[str, Any] = {"subscriptions__mailing_list": int(list_pk)}
        if state:
            conditions["subscriptions__state"] = state
        return queryset.filter(**conditions)


@admin.register(Subscriber)
class SubscriberAdmin(PrivacyPages, ReadOnlyAdmin):
    """One subscriber: the state on each list, and the history."""

    list_display = ("address", "list_states", "created_at")
    list_filter = (SubscriptionFilter,)
    search_fields = ("canonical",)
    search_help_text = _("Search for an address or a part of one.")
    ordering = ("-pk",)
    fields = ("address", "first_name", "time_zone", "list_states", "created_at", "declined_at", "history", "privacy")
    readonly_fields = ("list_states", "history", "privacy")
    actions = ("unsubscribe", "allow_signups_again")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With the subscriptions, in one query for all rows of the page."""
        subscriptions = Subscription.objects.select_related("mailing_list").order_by("mailing_list__name")
        return super().get_queryset(request).prefetch_related(Prefetch("subscriptions", subscriptions))

    @admin.display(description=_("lists"))
    def list_states(self, subscriber: Subscriber) -> str:
        """The state on each list."""
        now = timezone.now()
        return format_html_join(
            " ",
            "{} {} {}",
            (
                (
                    subscription.mailing_list.name,
                    state_badge(subscription.state, subscription.get_state_display()),
                    _pause_note(subscription) if subscription.is_paused(now) else "",
                )
                for subscription in subscriber.subscriptions.all()
            ),
        )

    @admin.display(description=_("history"))
    def history(self, subscriber: Subscriber) -> str:
        """The consents and transactional mails of this subscriber, the newest first."""
        consents = Consent.objects.filter(subscription__subscriber=subscriber)
        mails = TransactionalMail.objects.filter(subscription__subscriber=subscriber).defer("text", "html", "headers")
        entries = [(consent.created_at, _consent_line(consent)) for consent in consents]
        entries += [(mail.created_at, _mail_line(mail)) for mail in mails]
        lines = format_html_join(
            "",
            "<li><strong>{}</strong> {}</li>",
            (
                (date_format(timezone.localtime(at), "DATETIME_FORMAT"), line)
                for at, line in sorted(entries, key=lambda entry: entry[0], reverse=True)
            ),
        )
        return format_html("<ul>{}</ul>", lines) if entries else gettext("No entries.")

    @admin.action(description=_("Unsubscribe from every list"), permissions=["change"])
    def unsubscribe(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """End all subscriptions of the chosen subscribers, after a confirmation."""
        subscriptions = Subscription.objects.filter(subscriber__in=queryset.values("pk"))
        return end_once_confirmed(self, request, queryset, subscriptions)

    @admin.action(description=_("Allow confirmation mails again (after “This was not me”)"), permissions=["change"])
    def allow_signups_again(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Allow confirmation mails to the chosen subscribers again."""
        count = actions.allow_signups_again(queryset.values_list("pk", flat=True))
        note = ngettext(
            "%(count)d subscriber can receive confirmation mails again.",
            "%(count)d subscribers can receive confirmation mails again.",
            count,
        )
        messages.success(request, note % {"count": count})


@admin.register(Subscription)
class SubscriptionAdmin(ReadOnlyAdmin):
    """Subscriptions and their states."""

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


def _pause_note(subscription: Subscription) -> str:
    until = subscription.paused_until
    return gettext("paused until %(date)s") % {"date": date_format(timezone.localtime(until))} if until else ""


def _consent_line(consent: Consent) -> str:
    parts = (
        consent.get_form_display(),
        consent.source,
        consent.ip,
        consent.by,
        consent.get_reason_display(),
        consent.detail_in_words,
    )
    details = ", ".join(str(part) for part in parts if part)
    return f"{consent.get_kind_display()} · {consent.list_name} ({details})"


def _mail_line(mail: TransactionalMail) -> str:
    parts = (mail.get_kind_display(), mail.subject, mail.get_state_display(), mail.explanation)
    return " · ".join(str(part) for part in parts if part)
