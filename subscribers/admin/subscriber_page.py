"""The page of one subscriber: everything in order, and what an editor can do."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from subscribers.admin.rights import may_change, may_erase, may_lift, may_see_personal_data, may_suppress, shown_address
from subscribers.consent.frequency import changes_on
from subscribers.directory.edit import tag_names_of, topics_of
from subscribers.directory.issues import has_issues, issue_histories
from subscribers.directory.timeline import EntryKind, timeline
from subscribers.models import CustomField, Subscriber, Subscription, SubscriptionState, Topic
from subscribers.profile.fields import shown_value, values_of
from subscribers.suppression import get_suppression

#: Entries that are shown at first and with each “Show older”, and the most on one page.
ENTRIES, MAX_ENTRIES = 25, 2000

#: Squares of the page.
ISSUES = 24


@dataclass(frozen=True, slots=True)
class Details:
    """What is known about one subscription."""

    subscription: Subscription
    is_paused: bool
    tags: Sequence[str]
    topics: str
    """The topics that the subscriber gets. Empty if the list has none."""
    fields: Sequence[tuple[str, str]]
    """Label and value of each custom field that has one."""
    frequency_changes_on: datetime.date | None
    """When another frequency that was chosen applies."""


def page_url(subscriber: Subscriber) -> str:
    """The URL of the page."""
    return reverse("admin:subscribers_subscriber_change", args=[subscriber.pk])


@require_safe
def show_subscriber(request: HttpRequest, subscriber: Subscriber) -> HttpResponse:
    """The page. Raises BadRequest for an unknown filter of the timeline."""
    kinds, chosen = _kinds(request.GET.get("show", ""))
    limit = _limit(request.GET.get("entries", ""))
    entries, has_older = timeline(subscriber, kinds, limit, is_personal=may_see_personal_data(request))
    suppression = get_suppression(subscriber.canonical)
    subscriptions = list(subscriber.subscriptions.select_related("mailing_list").order_by("mailing_list__name"))
    now = timezone.now()
    return TemplateResponse(
        request,
        "admin/subscribers/subscriber/page.html",
        {
            **admin.site.each_context(request),
            "title": shown_address(request, subscriber),
            "opts": Subscriber._meta,
            "subscriber": subscriber,
            "details": [_details(each, is_paused=each.is_paused(now)) for each in subscriptions],
            "is_mailable": any(each.state == SubscriptionState.ACTIVE for each in subscriptions),
            "is_open": any(
                each.state in (SubscriptionState.ACTIVE, SubscriptionState.PENDING) for each in subscriptions
            ),
            "suppression": suppression,
            "is_shown_suppressed": any(each.state == SubscriptionState.SUPPRESSED for each in subscriptions),
            "entries": entries,
            "filters": _filters(chosen),
            "chosen": chosen,
            "first_new": limit - ENTRIES + 1 if limit > ENTRIES else 0,
            "older": limit + ENTRIES if has_older and limit < MAX_ENTRIES else 0,
            "history": issue_histories([subscriber.pk], ISSUES, is_personal=may_see_personal_data(request)).get(
                subscriber.pk
            ),
            "has_issues": has_issues(),
            "is_personal": may_see_personal_data(request),
            "may_change": may_change(request),
            "may_suppress": may_suppress(request) and suppression is None,
            "may_lift": may_lift(request) and suppression is not None,
            "may_note": request.user.has_perm("subscribers.add_note"),
            "erase_url": _url_of("erase", subscriber) if may_erase(request) else "",
            "data_url": _url_of("data", subscriber) if may_see_personal_data(request) else "",
        },
    )


def _kinds(show: str) -> tuple[tuple[EntryKind, ...], str]:
    """The kinds of entries to show. Notes are shown with everything, and with changes."""
    choices: dict[str, tuple[EntryKind, ...]] = {
        "": tuple(EntryKind),
        "mail": (EntryKind.MAIL,),
        "consent": (EntryKind.CONSENT,),
        "change": (EntryKind.CHANGE, EntryKind.NOTE),
    }
    if show not in choices:
        raise BadRequest("unknown value of the filter 'show'")
    return choices[show], show


def _filters(chosen: str) -> list[tuple[str, str, bool]]:
    labels = {"": _("All"), "mail": _("Mails"), "consent": _("Consent"), "change": _("Changes")}
    return [(name, label, name == chosen) for name, label in labels.items()]


def _limit(text: str) -> int:
    if not text:
        return ENTRIES
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_ENTRIES))):
        raise BadRequest("no number in 'entries'")
    return max(ENTRIES, min(int(text), MAX_ENTRIES))


def _details(subscription: Subscription, *, is_paused: bool) -> Details:
    values = values_of([subscription.pk])[subscription.pk]
    labels = dict(CustomField.objects.filter(mailing_list=subscription.mailing_list_id).values_list("key", "label"))
    has_topics = Topic.objects.filter(mailing_list=subscription.mailing_list_id).exists()
    topics = ", ".join(topic.name for topic in topics_of(subscription)) if has_topics else ""
    return Details(
        subscription=subscription,
        is_paused=is_paused and subscription.state == SubscriptionState.ACTIVE,
        tags=tag_names_of(subscription),
        topics=topics or (_("none") if has_topics else ""),
        fields=[(labels[key], shown_value(value)) for key, value in values.items() if key in labels],
        frequency_changes_on=changes_on(subscription),
    )


def _url_of(page: str, subscriber: Subscriber) -> str:
    return reverse(f"admin:subscribers_subscriber_{page}", args=[subscriber.pk])


def form_page(request: HttpRequest, subscriber: Subscriber | None, **context: Any) -> HttpResponse:
    """A page with one form: `form` or `forms`, `title`, `sentences`, `button`, and `is_destructive`."""
    back = page_url(subscriber) if subscriber else reverse("admin:subscribers_subscriber_changelist")
    return TemplateResponse(
        request,
        "admin/subscribers/subscriber/form.html",
        {
            **admin.site.each_context(request),
            "opts": Subscriber._meta,
            "subscriber": subscriber,
            "address": shown_address(request, subscriber) if subscriber else "",
            "back": back,
            **context,
        },
    )
