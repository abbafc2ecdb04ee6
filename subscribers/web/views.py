"""The pages of subscribers: sign up, confirm, unsubscribe. The preferences page has a module of its own.

No page sets a cookie, and every POST is exempt from CSRF checks. Behind a token, the token is the credential, and
RFC 8058 §3.1 forbids asking for more. The sign-up form uses no right of the visitor: it only sends a mail that asks.

Pages behind a token answer every method but POST with the page, and show errors of a form with status 200. Links that
do not work get a 404. A POST that is neither a form of the page nor a one-click POST gets a 400, so that no program
takes the page for a success.

A POST that stores something each time it is repeated is answered with a redirect, so that a reload repeats nothing.
"""

from __future__ import annotations

import uuid

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from subscribers.addresses import Address, parse_address
from subscribers.consent import actions, double_opt_in, preferences
from subscribers.consent.actions import DeclineResult
from subscribers.consent.double_opt_in import Confirmation, ConfirmationStatus
from subscribers.consent.texts import confirmation_text, signup_text
from subscribers.consent.tokens import ConfirmationToken, Purpose, read_confirmation, read_key
from subscribers.models import ConsentForm as Form
from subscribers.models import Evidence, MailingList, Signup, Subscription
from subscribers.models import SubscriptionState as State
from subscribers.profile.forms import fields_form
from subscribers.signup.forms import SignupForm
from subscribers.signup.queue import TooManySignups, store_signup
from subscribers.web.evidence import evidence_of, network_of
from subscribers.web.field_rows import FieldRow
from subscribers.web.forms import FirstNameForm
from subscribers.web.languages import in_list_language, in_page_language
from subscribers.web.one_click import is_one_click
from subscribers.web.pages import (
    asked_again,
    invalid_link,
    is_unknown,
    leave_all,
    not_understood,
    one_click_answer,
    path_to,
    private,
    store_given_reason,
    subscription_page,
    subscription_with,
    unsubscribed_page,
)

page_methods = require_http_methods(["GET", "HEAD", "POST"])


# --- Signing up ----------------------------------------------------------------------------------------------------


@csrf_exempt
@page_methods
def sign_up(request: HttpRequest, slug: str) -> HttpResponse:
    """The sign-up form. The answer to a POST is the same for every address."""
    return _sign_up(request, get_object_or_404(MailingList, slug=slug))


@in_list_language
def _sign_up(request: HttpRequest, mailing_list: MailingList) -> HttpResponse:
    if request.method != "POST":
        return _signup_page(request, SignupForm(mailing_list))
    form = SignupForm(mailing_list, request.POST)
    if not form.is_valid():
        return _signup_page(request, form, status=400)
    if form.is_from_a_bot:
        return _redirect_to_check_mail(mailing_list, uuid.uuid4())
    # Every form with this text posts here, so only this consent stores it.
    evidence = evidence_of(request, Form.SIGNUP, signup_text(mailing_list))
    return _store(request, mailing_list, form.address, evidence)


@csrf_exempt
@private
@page_methods
def check_mail(request: HttpRequest, slug: str) -> HttpResponse:
    """What to do next. A POST sends the link again, to the address of the sign-up that led here."""
    return _check_mail(request, get_object_or_404(MailingList, slug=slug))


@in_list_language
def _check_mail(request: HttpRequest, mailing_list: MailingList) -> HttpResponse:
    signup = _signup(mailing_list, request.GET.get("for", ""))
    if request.method == "POST":
        if signup is None:
            return HttpResponseRedirect(reverse("subscribe", args=[mailing_list.slug]), status=303)
        evidence = evidence_of(request, Form.SIGNUP_AGAIN)
        return _store(request, mailing_list, parse_address(signup.address), evidence, is_repeat=True)
    context = {
        "mailing_list": mailing_list,
        "address": signup.address if signup else "",
        "can_resend": signup is not None,
        "is_repeat": signup is not None and "again" in request.GET,
    }
    return render(request, "subscribers/check_mail.html", context)


def _store(
    request: HttpRequest, mailing_list: MailingList, address: Address, evidence: Evidence, *, is_repeat: bool = False
) -> HttpResponse:
    try:
        signup = store_signup(mailing_list, address, evidence, network=network_of(request))
    except TooManySignups:
        response = render(request, "subscribers/too_many.html", {"mailing_list": mailing_list}, status=429)
        response["Retry-After"] = "3600"
        return response
    return _redirect_to_check_mail(mailing_list, signup.key, is_repeat=is_repeat)


def _redirect_to_check_mail(mailing_list: MailingList, key: uuid.UUID, *, is_repeat: bool = False) -> HttpResponse:
    address = reverse("check-mail", args=[mailing_list.slug])
    return HttpResponseRedirect(f"{address}?for={key}{'&again' if is_repeat else ''}", status=303)


def _signup(mailing_list: MailingList, key: str) -> Signup | None:
    try:
        return Signup.objects.filter(mailing_list=mailing_list, key=uuid.UUID(key)).first()
    except ValueError:
        return None


def _signup_page(request: HttpRequest, form: SignupForm, *, status: int = 200) -> HttpResponse:
    context = {"form": form, "mailing_list": form.mailing_list, "consent_text": signup_text(form.mailing_list)}
    return render(request, "subscribers/signup.html", context, status=status)


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
    that it has ended.
    """
    key = read_key(Purpose.UNSUBSCRIBE, token)
    if key is None:
        return invalid_link(request)
    if is_one_click(request):
        actions.unsubscribe(key, evidence_of(request, Form.ONE_CLICK))
        return one_click_answer()
    return _unsubscribe(request, subscription_with(key), key)


@in_page_language
def _unsubscribe(request: HttpRequest, subscription: Subscription | None, key: uuid.UUID) -> HttpResponse:
    if is_unknown(request, "unsubscribe", "again", "reason", "leave-all"):
        return not_understood(request, subscription)
    action = request.POST.get("action")
    if asked := asked_again(request, subscription, Form.UNSUBSCRIBE_UNDO):
        return asked
    if action == "unsubscribe":
        actions.unsubscribe(key, evidence_of(request, Form.UNSUBSCRIBE))
        return unsubscribed_page(request, subscription)
    if subscription and action == "leave-all":
        return leave_all(request, subscription, Form.UNSUBSCRIBE)
    if subscription and subscription.state in (State.UNSUBSCRIBED, State.SUPPRESSED):
        if action == "reason":
            return store_given_reason(request, subscription)
        return unsubscribed_page(request, subscription, is_thanked="thanks" in request.GET)
    context = {"preferences_path": path_to(Purpose.PREFERENCES, key)}
    return subscription_page(request, "subscribers/unsubscribe.html", subscription, **context)
