"""The preferences page: one page per subscription, on which every part is a form of its own.

A POST that stores something is answered with a redirect, so that a reload repeats nothing. An error shows the page
again, with the form as it was submitted. Nothing is changed by a GET. The page shows no full address, no name and no
text of a custom field: any recipient of a forwarded mail can open it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from subscribers.addresses import Address, masked
from subscribers.consent import actions, data_requests, double_opt_in, preferences
from subscribers.consent.address_change import open_change, request_change
from subscribers.consent.frequency import changes_on
from subscribers.consent.texts import tracking_text
from subscribers.consent.tokens import LinkToken, Purpose, read_link
from subscribers.models import (
    ChangeKind,
    ConsentForm,
    CustomField,
    DataRequestKind,
    Frequency,
    MailingList,
    Subscription,
    SubscriptionState,
    Topic,
    TopicOptOut,
)
from subscribers.profile.fields import Value, values_of
from subscribers.profile.forms import PREFIX, FieldsForm, fields_form
from subscribers.web.dead_link import dead_link
from subscribers.web.evidence import evidence_of
from subscribers.web.field_rows import FieldRow
from subscribers.web.forms import (
    AddressForm,
    FrequencyForm,
    LanguageForm,
    PauseForm,
    ReplaceFirstNameForm,
    TimeZoneForm,
    TopicsForm,
)
from subscribers.web.languages import in_page_language
from subscribers.web.notes import note_of
from subscribers.web.pages import (
    asked_again,
    evidence_of_link,
    is_unknown,
    leave_all,
    not_understood,
    private,
    subscription_page,
    subscription_with,
    unsubscribed_page,
)
from subscribers.web.stored import SHOWN_KINDS, shown_field, stored_facts

#: Fields of the page whose element has another id than Django would give it.
ANCHORS = {
    "weeks": "weeks-2",
    "first_name": "first-name",
    "time_zone": "time-zone",
    "language": "language",
    "topics": "topics",
    "frequency": "frequency",
    "email": "new-address",
}

#: Names of the check boxes that delete the value of a custom field begin with it.
DELETE_PREFIX = "delete-"


class Page:
    """The preferences page of one subscription, with the forms that it shows. The submitted one is bound."""

    def __init__(self, request: HttpRequest, subscription: Subscription) -> None:
        self.request, self.subscription = request, subscription
        self.mailing_list = subscription.mailing_list
        self.action = request.POST.get("action", "")

    def data_for(self, *actions: str) -> Any:
        """What was submitted, if it was submitted to this form."""
        return self.request.POST if self.action in actions else None

    @cached_property
    def pause(self) -> PauseForm:
        return PauseForm(self.data_for("pause"))

    @cached_property
    def name(self) -> ReplaceFirstNameForm:
        return ReplaceFirstNameForm(self.data_for("name"))

    @cached_property
    def zone(self) -> TimeZoneForm:
        return TimeZoneForm(self.data_for("zone"), stored=self.subscription.subscriber.time_zone)

    @cached_property
    def language(self) -> LanguageForm:
        return LanguageForm(self.data_for("language"))

    @cached_property
    def topics(self) -> TopicsForm:
        return TopicsForm(Topic.objects.filter(mailing_list=self.mailing_list), self.data_for("topics"))

    @cached_property
    def frequency(self) -> FrequencyForm:
        return FrequencyForm(self.data_for("frequency"))

    @cached_property
    def address(self) -> AddressForm:
        return AddressForm(self.data_for("address"))

    @cached_property
    def values(self) -> dict[str, Value]:
        """The stored values of custom fields by key."""
        return values_of([self.subscription.pk])[self.subscription.pk]

    @cached_property
    def fields(self) -> FieldsForm | None:
        """The form of the custom fields: all on this page, or those that were asked for after confirming."""
        if self.action == "answers":
            shown = preferences.fields_to_ask(self.subscription)
        else:
            shown = preferences.fields_to_show(self.subscription)
        known = {field.key: self.values.get(field.key) for field in shown if field.kind in SHOWN_KINDS}
        form = fields_form(shown, self.data_for("fields", "answers"), known)
        for field in shown:
            if self.is_masked(field):
                # The stored value is not shown, so an empty field keeps it.
                form.fields[PREFIX + field.key].required = False
                form.fields[PREFIX + field.key].widget.is_required = False
        return form if shown else None

    def is_masked(self, field: CustomField) -> bool:
        """Whether there is a value that the page does not show."""
        return field.kind not in SHOWN_KINDS and self.values.get(field.key) is not None

    @property
    def submitted(self) -> forms.Form | None:
        """The form that was submitted, if it has errors."""
        for form in (self.pause, self.name, self.zone, self.language, self.topics, self.frequency, self.address):
            if form.errors:
                return form
        return self.fields if self.fields and self.fields.errors else None

    def changed_fields(self) -> dict[CustomField, Value]:
        """The values to store, of a valid form of custom fields."""
        entered = self.fields.entered if self.fields else {}
        return {
            field: value
            for field, value in entered.items()
            if value is not None
            or not self.is_masked(field)
            or (DELETE_PREFIX + field.key in self.request.POST and not field.is_required)
        }


# --- What the buttons do --------------------------------------------------------------------------------------------


def _pause(page: Page) -> bool:
    evidence = evidence_of(page.request, ConsentForm.PREFERENCES)
    return page.pause.is_valid() and actions.pause(page.subscription.key, page.pause.cleaned_data["weeks"], evidence)


def _resume(page: Page) -> bool:
    return actions.resume(page.subscription.key, evidence_of(page.request, ConsentForm.PREFERENCES))


def _save_name(page: Page) -> bool:
    return page.name.is_valid() and preferences.set_first_name(
        page.subscription.key, page.name.cleaned_data["first_name"]
    )


def _delete_name(page: Page) -> bool:
    return preferences.set_first_name(page.subscription.key, "")


def _save_zone(page: Page) -> bool:
    return page.zone.is_valid() and preferences.set_time_zone(
        page.subscription.key, page.zone.cleaned_data["time_zone"]
    )


def _save_language(page: Page) -> bool:
    return page.language.is_valid() and preferences.set_language(
        page.subscription.key, page.language.cleaned_data["language"]
    )


def _save_topics(page: Page) -> bool:
    return page.topics.is_valid() and preferences.set_topics(page.subscription.key, page.topics.cleaned_data["topics"])


def _save_frequency(page: Page) -> bool:
    return page.frequency.is_valid() and preferences.set_frequency(
        page.subscription.key, Frequency(page.frequency.cleaned_data["frequency"])
    )


def _save_fields(page: Page) -> bool:
    if page.fields is None or not page.fields.is_valid():
        return False
    return preferences.set_fields(page.subscription.key, page.changed_fields())


def _save_tracking(page: Page) -> bool:
    return preferences.set_tracking(
        page.subscription.key,
        agrees=page.action == "allow-tracking",
        text=tracking_text(page.mailing_list),
        language=page.subscription.page_language,
    )


def _undo(page: Page) -> bool:
    return preferences.undo(page.subscription.key, page.request.POST.get("change", ""))


def _change_address(page: Page) -> bool:
    return page.address.is_valid() and request_change(page.subscription.key, page.address.address)


def _send_data_link(page: Page) -> bool:
    return data_requests.send_link(page.subscription.key, DataRequestKind(page.action))


def _listed(page: Page) -> MailingList | None:
    """The list that the button belongs to, if it is one that the page offers."""
    lists = MailingList.objects.filter(is_listed=True).exclude(pk=page.mailing_list.pk)
    return lists.filter(slug=page.request.POST.get("list", "")[:60].replace("\x00", "")).first()


def _join(page: Page) -> bool:
    """Ask by mail: the holder of a forwarded link must not be able to subscribe its owner."""
    mailing_list, subscriber = _listed(page), page.subscription.subscriber
    if mailing_list is None or page.subscription.state != SubscriptionState.ACTIVE:
        return False
    address = Address(as_typed=subscriber.address, canonical=subscriber.canonical)
    evidence = evidence_of(page.request, ConsentForm.PREFERENCES)
    double_opt_in.request_or_hold(mailing_list, address, evidence)
    return True


def _leave(page: Page) -> bool:
    mailing_list = _listed(page)
    if mailing_list is None:
        return False
    subscriptions = Subscription.objects.filter(subscriber=page.subscription.subscriber_id, mailing_list=mailing_list)
    actions.unsubscribe_all(subscriptions, evidence_of(page.request, ConsentForm.PREFERENCES))
    return True


#: The value of each button → what it does, and the code of the note that the page shows afterwards.
ACTIONS: dict[str, tuple[Callable[[Page], bool], str]] = {
    "pause": (_pause, "pause_saved"),
    "resume": (_resume, "resume_saved"),
    "name": (_save_name, "name_saved"),
    "delete-name": (_delete_name, "name_saved"),
    "zone": (_save_zone, "zone_saved"),
    "language": (_save_language, "language_saved"),
    "topics": (_save_topics, "topics_saved"),
    "frequency": (_save_frequency, "frequency_saved"),
    "fields": (_save_fields, "fields_saved"),
    "answers": (_save_fields, "fields_saved"),
    "allow-tracking": (_save_tracking, "tracking_saved"),
    "withdraw-tracking": (_save_tracking, "tracking_saved"),
    "undo": (_undo, "undone"),
    "address": (_change_address, "address_asked"),
    "access": (_send_data_link, "link_sent"),
    "erase": (_send_data_link, "link_sent"),
    "join": (_join, "join_asked"),
    "leave": (_leave, "left"),
}

#: Notes that have a button to take the change back.
UNDO_CODES = {
    "name_saved": ChangeKind.NAME,
    "zone_saved": ChangeKind.TIME_ZONE,
    "language_saved": ChangeKind.LANGUAGE,
    "topics_saved": ChangeKind.TOPICS,
    "frequency_saved": ChangeKind.FREQUENCY,
}

#: What may be done on the page of a subscription that is not active.
ALWAYS = ("access", "erase")


# --- The page -------------------------------------------------------------------------------------------------------


@csrf_exempt
@private
def preferences_page(request: HttpRequest, token: str) -> HttpResponse:
    """All that a subscriber can choose. Shows a masked address only: mails are forwarded."""
    link = read_link(Purpose.PREFERENCES, token)
    subscription = subscription_with(link.key) if link else None
    if link is None or subscription is None:
        return dead_link(request)
    return _preferences(request, subscription, link)


@in_page_language
def _preferences(request: HttpRequest, subscription: Subscription, link: LinkToken) -> HttpResponse:
    if is_unknown(request, "unsubscribe", "leave-all", "again", *ACTIONS):
        return not_understood(request, subscription)
    action = request.POST.get("action", "")
    if action == "unsubscribe":
        evidence = evidence_of_link(request, ConsentForm.PREFERENCES, link.key, link.mail_reference)
        actions.unsubscribe(link.key, evidence)
        return unsubscribed_page(request, subscription)
    if action == "leave-all":
        return leave_all(request, subscription, ConsentForm.PREFERENCES, link.mail_reference)
    if asked := asked_again(request, subscription, ConsentForm.PREFERENCES):
        return asked
    page = Page(request, subscription)
    if code := _carry_out(page):
        return HttpResponseRedirect(f"{request.path}?saved={code}", status=303)
    return _shown(page)


def _carry_out(page: Page) -> str:
    """Carry out the action. Returns which note the page shows about it; empty if the page is to be shown as it is."""
    is_active = page.subscription.state == SubscriptionState.ACTIVE
    if page.action not in ACTIONS or not (is_active or page.action in ALWAYS):
        return ""
    act, code = ACTIONS[page.action]
    if act(page):
        return code
    return "too_many" if not page.submitted and page.action in ("address", *ALWAYS) else ""


def _shown(page: Page) -> HttpResponse:
    subscription = subscription_with(page.subscription.key) or page.subscription
    context: dict[str, object] = {
        "page": page,
        "note": note_of(page.subscription, page.request.GET.get("saved", "")) if page.request.method == "GET" else "",
        "problems": _problems(page.submitted),
        "facts": stored_facts(subscription, timezone.now()),
        "may_get_links": data_requests.may_get_links(subscription.subscriber),
        "has_other_lists": MailingList.objects.count() > 1,
    }
    if subscription.state == SubscriptionState.ACTIVE:
        context |= _choices(page, subscription)
    return subscription_page(page.request, "subscribers/preferences.html", subscription, **context)


def _choices(page: Page, subscription: Subscription) -> dict[str, object]:
    """What only the page of an active subscription shows."""
    change = open_change(subscription.subscriber)
    last = preferences.last_change(subscription)
    is_undoable = last is not None and last.kind == UNDO_CODES.get(page.request.GET.get("saved", ""))
    has_question = preferences.asks_for_tracking(page.mailing_list)
    return {
        "undo": last if is_undoable else None,
        "topics": _topics(page),
        "frequency_changes_on": changes_on(subscription),
        "lists": _other_lists(subscription),
        "field_rows": _field_rows(page),
        "tracking_text": tracking_text(page.mailing_list) if has_question or subscription.tracking_agreed_at else "",
        "change": change,
        "masked_new_address": masked(change.address) if change else "",
    }


def _problems(form: forms.Form | None) -> list[tuple[str, str]]:
    """The id of the element, and its error, for the summary at the top of the page."""
    if form is None:
        return []
    return [
        (ANCHORS.get(name) or form[name].id_for_label or f"{form[name].auto_id}_0", str(error))
        for name, errors in form.errors.items()
        for error in errors
    ]


@dataclass(frozen=True, slots=True)
class TopicChoice:
    """A topic and whether its box is checked."""

    topic: Topic
    is_chosen: bool


def _topics(page: Page) -> list[TopicChoice]:
    topics = Topic.objects.filter(mailing_list=page.mailing_list)
    if page.topics.is_bound:
        submitted = set(page.request.POST.getlist("topics"))
        return [TopicChoice(topic, topic.slug in submitted) for topic in topics]
    opted_out = set(TopicOptOut.objects.filter(subscription=page.subscription).values_list("topic", flat=True))
    return [TopicChoice(topic, topic.pk not in opted_out) for topic in topics]


@dataclass(frozen=True, slots=True)
class OtherList:
    """Another list of the site, and whether the subscriber is on it."""

    mailing_list: MailingList
    state: str


def _other_lists(subscription: Subscription) -> list[OtherList]:
    states = dict(
        Subscription.objects.filter(subscriber=subscription.subscriber_id).values_list("mailing_list", "state")
    )
    listed = MailingList.objects.filter(is_listed=True).exclude(pk=subscription.mailing_list_id).order_by("name", "pk")
    return [OtherList(mailing_list, states.get(mailing_list.pk, "")) for mailing_list in listed]


def _field_rows(page: Page) -> list[FieldRow]:
    if page.fields is None:
        return []
    rows = []
    for bound in page.fields:
        field: CustomField = bound.field.custom_field  # type: ignore[attr-defined]
        stored = shown_field(field, page.values.get(field.key)) if page.is_masked(field) else ""
        rows.append(FieldRow(bound, stored, "" if field.is_required else DELETE_PREFIX + field.key))
    return rows
