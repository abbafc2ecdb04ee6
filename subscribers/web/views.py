"""The pages of subscribers: sign up, confirm, pause, unsubscribe.

No page sets a cookie, and every POST is exempt from CSRF checks. Behind a token, the token is the credential, and
RFC 8058 §3.1 forbids asking for more. The sign-up form uses no right of the visitor: it only sends a mail that asks.

Pages behind a token answer every method but POST with the page, and show errors with status 200: Django logs the path
of each 4xx response, and here the path is a working link.
"""

from __future__ import annotations

import functools
import uuid
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from subscribers.addresses import Address, masked, parse_address
from subscribers.consent import actions, double_opt_in
from subscribers.consent.double_opt_in import Confirmation, ConfirmationStatus
from subscribers.consent.texts import confirmation_text, signup_text
from subscribers.consent.tokens import ConfirmationToken, Purpose, preferences_url, read_confirmation, read_key
from subscribers.models import ConsentForm as Form
from subscribers.models import MailingList, Signup, Subscription
from subscribers.signup.forms import SignupForm
from subscribers.signup.queue import TooManySignups, store_signup
from subscribers.web.evidence import evidence_of, network_of
from subscribers.web.forms import FirstNameForm, PauseForm, TimeZoneForm
from subscribers.web.languages import View, in_list_language

page_methods = require_http_methods(["GET", "HEAD", "POST"])


def private(view: View) -> View:
    """A page behind a token: not cached, not indexed, and links on it do not send its URL as the referrer."""

    @functools.wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        response["Cache-Control"] = "no-store"
        response["X-Robots-Tag"] = "noindex"
        response["Referrer-Policy"] = "no-referrer"
        return response

    return answer


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
    return _store(request, mailing_list, form.address, Form.SIGNUP)


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
        return _store(request, mailing_list, parse_address(signup.address), Form.SIGNUP_AGAIN)
    context = {"mailing_list": mailing_list, "address": signup.address if signup else "", "signup": signup}
    return render(request, "subscribers/check_mail.html", context)


def _store(request: HttpRequest, mailing_list: MailingList, address: Address, form: str) -> HttpResponse:
    evidence = evidence_of(request, form, signup_text(mailing_list))
    try:
        signup = store_signup(mailing_list, address, evidence, network=network_of(request))
    except TooManySignups:
        response = render(request, "subscribers/too_many.html", {"mailing_list": mailing_list}, status=429)
        response["Retry-After"] = "3600"
        return response
    return _redirect_to_check_mail(mailing_list, signup.key)


def _redirect_to_check_mail(mailing_list: MailingList, key: uuid.UUID) -> HttpResponse:
    address = reverse("check-mail", args=[mailing_list.slug])
    return HttpResponseRedirect(f"{address}?for={key}", status=303)


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
        return _invalid_link(request)
    return _confirm(request, confirmation.subscription.mailing_list, link, confirmation.subscription, confirmation)


@in_list_language
def _confirm(
    request: HttpRequest,
    mailing_list: MailingList,
    link: ConfirmationToken,
    subscription: Subscription,
    confirmation: Confirmation,
) -> HttpResponse:
    text, action = confirmation_text(mailing_list), request.POST.get("action")
    if action == "again":
        return _ask_again(request, subscription, Form.CONFIRM_AGAIN)
    name_form = FirstNameForm(request.POST if action == "confirm" else None)
    if action == "confirm" and name_form.is_valid():
        confirmation = double_opt_in.confirm(link, evidence_of(request, Form.CONFIRM, text))
        if confirmation.status is ConfirmationStatus.OPEN:
            if name_form.cleaned_data["first_name"]:
                actions.keep_first_name(subscription.key, name_form.cleaned_data["first_name"])
            return _page(request, "subscribers/confirmed.html", subscription)
    context = {"status_name": confirmation.status.name, "consent_text": text, "name_form": name_form}
    return _page(request, "subscribers/confirm.html", subscription, **context)


@csrf_exempt
@private
def decline(request: HttpRequest, token: str) -> HttpResponse:
    """“This was not me”, from the confirmation mail: the link, or the mail program's unsubscribe button."""
    key = read_key(Purpose.DECLINE, token)
    if key is None:
        return _invalid_link(request)
    if _is_one_click(request):
        actions.decline(key, evidence_of(request, Form.ONE_CLICK))
        return _one_click_answer()
    subscription = _subscription(key)
    return _decline(request, subscription and subscription.mailing_list, key, subscription)


@in_list_language
def _decline(
    request: HttpRequest, mailing_list: MailingList | None, key: uuid.UUID, subscription: Subscription | None
) -> HttpResponse:
    action = request.POST.get("action")
    if action == "again" and subscription:
        return _ask_again(request, subscription, Form.DECLINE_UNDO)
    if action == "decline":
        actions.decline(key, evidence_of(request, Form.DECLINE))
        return _page(request, "subscribers/declined.html", subscription)
    return _page(request, "subscribers/decline.html", subscription)


# --- Unsubscribing and preferences ---------------------------------------------------------------------------------


@csrf_exempt
@private
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """A page with one button, and the one-click POST of RFC 8058 at the same URL.

    Every genuine token gets the same answers, even if the subscription no longer exists. A POST with neither field
    changes nothing. Undo sends a new confirmation mail.
    """
    key = read_key(Purpose.UNSUBSCRIBE, token)
    if key is None:
        return _invalid_link(request)
    if _is_one_click(request):
        actions.unsubscribe(key, evidence_of(request, Form.ONE_CLICK))
        return _one_click_answer()
    subscription = _subscription(key)
    return _unsubscribe(request, subscription and subscription.mailing_list, key, subscription)


@in_list_language
def _unsubscribe(
    request: HttpRequest, mailing_list: MailingList | None, key: uuid.UUID, subscription: Subscription | None
) -> HttpResponse:
    action = request.POST.get("action")
    if action == "again" and subscription:
        return _ask_again(request, subscription, Form.UNSUBSCRIBE_UNDO)
    if action == "unsubscribe":
        actions.unsubscribe(key, evidence_of(request, Form.UNSUBSCRIBE))
        return _page(request, "subscribers/unsubscribed.html", subscription)
    return _page(request, "subscribers/unsubscribe.html", subscription, preferences_url=preferences_url(key))


class PreferenceForms(NamedTuple):
    """The forms of the preferences page. The one that was submitted is bound."""

    pause: PauseForm
    name: FirstNameForm
    zone: TimeZoneForm


@csrf_exempt
@private
def preferences(request: HttpRequest, token: str) -> HttpResponse:
    """Pause, name, time zone, unsubscribe. Shows a masked address only: mails are forwarded."""
    key = read_key(Purpose.PREFERENCES, token)
    subscription = _subscription(key) if key else None
    if key is None or subscription is None:
        return _invalid_link(request)
    return _preferences(request, subscription.mailing_list, key, subscription)


@in_list_language
def _preferences(
    request: HttpRequest, mailing_list: MailingList, key: uuid.UUID, subscription: Subscription
) -> HttpResponse:
    action = request.POST.get("action", "")
    if action == "unsubscribe":
        actions.unsubscribe(key, evidence_of(request, Form.PREFERENCES))
        return _page(request, "subscribers/unsubscribed.html", subscription)
    if action == "again":
        return _ask_again(request, subscription, Form.PREFERENCES)
    forms = PreferenceForms(
        pause=PauseForm(request.POST if action == "pause" else None),
        name=FirstNameForm(request.POST if action == "name" else None),
        zone=TimeZoneForm(request.POST if action == "zone" else None),
    )
    context = {
        "saved": _save_preferences(request, key, action, forms),
        "pause_form": forms.pause,
        "name_form": forms.name,
        "zone_form": forms.zone,
    }
    return _page(request, "subscribers/preferences.html", _subscription(key), **context)


def _save_preferences(request: HttpRequest, key: uuid.UUID, action: str, forms: PreferenceForms) -> str:
    """Carry out the action. Returns which note the page shows about it, or an empty string."""
    if action == "pause" and forms.pause.is_valid():
        weeks = forms.pause.cleaned_data["weeks"]
        return "paused" if actions.pause(key, weeks, evidence_of(request, Form.PREFERENCES)) else ""
    if action == "resume":
        return "resumed" if actions.resume(key, evidence_of(request, Form.PREFERENCES)) else ""
    if action == "forget-name":
        return "name" if actions.keep_first_name(key, "") else ""
    # The page never shows the stored name, so saving an empty field must not remove it.
    if action == "name" and forms.name.is_valid() and forms.name.cleaned_data["first_name"]:
        return "name" if actions.keep_first_name(key, forms.name.cleaned_data["first_name"]) else ""
    if action == "zone" and forms.zone.is_valid():
        return "zone" if actions.keep_time_zone(key, forms.zone.cleaned_data["time_zone"]) else ""
    return ""


# --- Shared by several pages ---------------------------------------------------------------------------------------


def _subscription(key: uuid.UUID) -> Subscription | None:
    return actions.by_key(key).select_related("subscriber", "mailing_list").first()


def _page(request: HttpRequest, template: str, subscription: Subscription | None, **context: object) -> HttpResponse:
    """A page about one subscription, if it still exists. Its address is masked."""
    about: dict[str, object] = {"subscription": subscription}
    if subscription:
        about["mailing_list"] = subscription.mailing_list
        about["masked_address"] = masked(subscription.subscriber.address)
        about["is_paused"] = subscription.is_paused(timezone.now())
    return render(request, template, about | context)


def _ask_again(request: HttpRequest, subscription: Subscription, form: str) -> HttpResponse:
    """Send a new confirmation mail to the subscriber, who came here by a link from a mail."""
    mailing_list = subscription.mailing_list
    evidence = evidence_of(request, form, signup_text(mailing_list))
    double_opt_in.request_again(subscription.key, evidence)
    context = {"mailing_list": mailing_list, "address": masked(subscription.subscriber.address)}
    return render(request, "subscribers/check_mail.html", context)


def _is_one_click(request: HttpRequest) -> bool:
    """The POST of a mail program, urlencoded or multipart (RFC 8058 §3.1)."""
    return request.method == "POST" and request.POST.get("List-Unsubscribe") == "One-Click"


def _one_click_answer() -> HttpResponse:
    """The same for the first POST, for every repeat, and for a subscription that no longer exists."""
    return HttpResponse("Unsubscribed.\n", content_type="text/plain; charset=utf-8")


def _invalid_link(request: HttpRequest) -> HttpResponse:
    """The same for every forged, cut or mistyped link."""
    return render(request, "subscribers/invalid_link.html", status=404)
