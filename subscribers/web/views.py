"""The pages behind the links in mails: confirm, decline, unsubscribe. `sign_up` and `preferences` have the others.

No page sets a cookie, and every POST is exempt from CSRF checks: the token is the credential, and RFC 8058 §3.1 forbids
asking for more.

Pages behind a token answer every method but POST with the page, and show errors of a form with status 200. Links that
do not work get a 404. A POST that is neither a form of the page nor a one-click POST gets a 400, so that no program
takes the page for a success.

A POST that stores something each time it is repeated is answered with a redirect, so that a reload repeats nothing.
"""

from __future__ import annotations

import uuid
from dataclasses import replace

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from subscribers.consent import actions, double_opt_in, preferences
from subscribers.consent.actions import DeclineResult
from subscribers.consent.double_opt_in import Confirmation, ConfirmationStatus
from subscribers.consent.texts import confirmation_text
from subscribers.consent.tokens import ConfirmationToken, LinkToken, Purpose, read_confirmation, read_key, read_link
from subscribers.models import ConsentForm as Form
from subscribers.models import Subscription
from subscribers.models import SubscriptionState as State
from subscribers.profile.forms import fields_form
from subscribers.web.evidence import evidence_of
from subscribers.web.field_rows import FieldRow
from subscribers.web.forms import FirstNameForm
from subscribers.web.languages import in_page_language
from subscribers.web.one_click import is_one_click
from subscribers.web.pages import (
    asked_again,
    evidence_of_link,
    invalid_link,
    is_unknown,
    leave_all,
    not_understood,
    one_click_answer,
    path_to,
    private,
    store_reason_of_form,
    subscription_page,
    subscription_with,
    unsubscribed_page,
)

# --- Confirming ----------------------------------------------------------------------------------------------------


@csrf_exempt
@private
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """A page with a button; only its POST confirms, because mail scanners follow every link."""
    link = read_confirmation(token)
    confirmation = double_opt_in.read_request(link) if link else None
    if link is None or confirmation is None or confirmation.subscription is None:
        return invalid_link(request)
    return _confirm(request, confirmation.subscription, link, confirmation)


@in_page_language
def _confirm(
    request: HttpRequest, subscription: Subscription, link: ConfirmationToken, confirmation: Confirmation
) -> HttpResponse:
    if is_unknown(request, "confirm", "again"):
        return not_understood(request, subscription)
    if asked := asked_again(request, subscription, Form.CONFIRM_AGAIN):
        return asked
    text = confirmation_text(subscription.mailing_list, subscription.page_language)
    action = request.POST.get("action")
    name_form = FirstNameForm(request.POST if action == "confirm" else None)
    if action == "confirm" and name_form.is_valid():
        confirmation = double_opt_in.confirm(link, evidence_of(request, Form.CONFIRM, text))
        if confirmation.status is ConfirmationStatus.CONFIRMED:
            if name_form.cleaned_data["first_name"]:
                preferences.set_first_name(subscription.key, name_form.cleaned_data["first_name"])
            return _confirmed_page(request, subscription)
    context = {"status_name": confirmation.status.name, "consent_text": text, "name_form": name_form}
    return subscription_page(request, "subscribers/confirm.html", subscription, **context)


def _confirmed_page(request: HttpRequest, subscription: Subscription) -> HttpResponse:
    """The page after confirming, with the fields that are asked then. Their form belongs to the preferences page."""
    context = {
        "field_rows": [FieldRow(bound) for bound in fields_form(preferences.fields_to_ask(subscription))],
        "preferences_path": path_to(Purpose.PREFERENCES, subscription.key),
    }
    return subscription_page(request, "subscribers/confirmed.html", subscription, **context)


@csrf_exempt
@private
def decline(request: HttpRequest, token: str) -> HttpResponse:
    """“This was not me”, from the confirmation mail: the link, or the mail program's unsubscribe button."""
    key = read_key(Purpose.DECLINE, token)
    if key is None:
        return invalid_link(request)
    if is_one_click(request):
        actions.decline(key, evidence_of(request, Form.ONE_CLICK))
        return one_click_answer()
    return _decline(request, subscription_with(key), key)


@in_page_language
def _decline(request: HttpRequest, subscription: Subscription | None, key: uuid.UUID) -> HttpResponse:
    if is_unknown(request, "decline", "again"):
        return not_understood(request, subscription)
    if asked := asked_again(request, subscription, Form.DECLINE_UNDO):
        return asked
    if request.POST.get("action") == "decline":
        result = actions.decline(key, evidence_of(request, Form.DECLINE))
        if result is DeclineResult.UNSUBSCRIBED:
            return unsubscribed_page(request, subscription)
        return subscription_page(request, "subscribers/declined.html", subscription)
    return subscription_page(request, "subscribers/decline.html", subscription)


# --- Unsubscribing -------------------------------------------------------------------------------------------------


@csrf_exempt
@private
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """A page with one button, and the one-click POST of RFC 8058 at the same URL.

    A one-click POST gets the same answer for every genuine token, even if the subscription no longer exists. A POST
    without a known field changes nothing. Undo sends a new confirmation mail. The link of an ended subscription shows
    that it has ended; that of a merged address ends the subscription that it was joined with.
    """
    link = read_link(Purpose.UNSUBSCRIBE, token)
    if link is None:
        return invalid_link(request)
    link = replace(link, key=actions.joined_key(link.key))
    if is_one_click(request):
        actions.unsubscribe(link.key, evidence_of_link(request, Form.ONE_CLICK, link.key, link.mail_reference))
        return one_click_answer()
    return _unsubscribe(request, subscription_with(link.key), link)


@in_page_language
def _unsubscribe(request: HttpRequest, subscription: Subscription | None, link: LinkToken) -> HttpResponse:
    if is_unknown(request, "unsubscribe", "again", "reason", "leave-all"):
        return not_understood(request, subscription)
    action = request.POST.get("action")
    if asked := asked_again(request, subscription, Form.UNSUBSCRIBE_UNDO):
        return asked
    if action == "unsubscribe":
        actions.unsubscribe(link.key, evidence_of_link(request, Form.UNSUBSCRIBE, link.key, link.mail_reference))
        return unsubscribed_page(request, subscription)
    if subscription and action == "leave-all":
        return leave_all(request, subscription, Form.UNSUBSCRIBE, link.mail_reference)
    if subscription and subscription.state in (State.UNSUBSCRIBED, State.SUPPRESSED):
        if action == "reason":
            return store_reason_of_form(request, subscription)
        return unsubscribed_page(request, subscription, is_thanked="thanks" in request.GET)
    context = {"preferences_path": path_to(Purpose.PREFERENCES, link.key, link.mail_reference)}
    return subscription_page(request, "subscribers/unsubscribe.html", subscription, **context)
