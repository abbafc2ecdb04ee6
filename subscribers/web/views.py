"""The pages of subscribers: confirm, pause, unsubscribe. `sign_up` has those before a link was mailed.

No page sets a cookie, and every POST is exempt from CSRF checks: the token is the credential, and RFC 8058 §3.1 forbids
asking for more.

Pages behind a token answer every method but POST with the page, and show errors of a form with status 200. Links that
do not work get a 404. A POST that is neither a form of the page nor a one-click POST gets a 400, so that no program
takes the page for a success.

A POST that stores something each time it is repeated is answered with a redirect, so that a reload repeats nothing.
"""

from __future__ import annotations

import functools
import uuid
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.utils.log import log_response
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from subscribers.addresses import masked
from subscribers.consent import actions, double_opt_in
from subscribers.consent.actions import DeclineResult
from subscribers.consent.double_opt_in import Confirmation, ConfirmationStatus
from subscribers.consent.texts import confirmation_text
from subscribers.consent.tokens import ConfirmationToken, Purpose, preferences_url, read_confirmation, read_key
from subscribers.models import ConsentForm as Form
from subscribers.models import MailingList, Subscription
from subscribers.web.evidence import evidence_of
from subscribers.web.forms import FirstNameForm, PauseForm, ReplaceFirstNameForm, TimeZoneForm
from subscribers.web.languages import View, in_list_language
from subscribers.web.one_click import is_one_click

page_methods = require_http_methods(["GET", "HEAD", "POST"])


def private(view: View) -> View:
    """A page whose URL is a credential: not cached, not indexed, and links on it do not send it as the referrer."""

    @functools.wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        response["Cache-Control"] = "no-store"
        response["X-Robots-Tag"] = "noindex"
        response["Referrer-Policy"] = "no-referrer"
        return response

    return answer


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
    if _is_unknown(request, "confirm", "again"):
        return _not_understood(request, mailing_list)
    if asked := _asked_again(request, subscription, Form.CONFIRM_AGAIN):
        return asked
    text, action = confirmation_text(mailing_list), request.POST.get("action")
    name_form = FirstNameForm(request.POST if action == "confirm" else None)
    if action == "confirm" and name_form.is_valid():
        confirmation = double_opt_in.confirm(link, evidence_of(request, Form.CONFIRM, text))
        if confirmation.status is ConfirmationStatus.CONFIRMED:
            if name_form.cleaned_data["first_name"]:
                actions.set_first_name(subscription.key, name_form.cleaned_data["first_name"])
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
    if is_one_click(request):
        actions.decline(key, evidence_of(request, Form.ONE_CLICK))
        return _one_click_answer()
    subscription = _subscription(key)
    return _decline(request, subscription and subscription.mailing_list, key, subscription)


@in_list_language
def _decline(
    request: HttpRequest, mailing_list: MailingList | None, key: uuid.UUID, subscription: Subscription | None
) -> HttpResponse:
    if _is_unknown(request, "decline", "again"):
        return _not_understood(request, mailing_list)
    if asked := _asked_again(request, subscription, Form.DECLINE_UNDO):
        return asked
    if request.POST.get("action") == "decline":
        result = actions.decline(key, evidence_of(request, Form.DECLINE))
        is_unsubscribed = result is DeclineResult.UNSUBSCRIBED
        template = "subscribers/unsubscribed.html" if is_unsubscribed else "subscribers/declined.html"
        return _page(request, template, subscription)
    return _page(request, "subscribers/decline.html", subscription)


# --- Unsubscribing and preferences ---------------------------------------------------------------------------------


@csrf_exempt
@private
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """A page with one button, and the one-click POST of RFC 8058 at the same URL.

    A one-click POST gets the same answer for every genuine token, even if the subscription no longer exists. A POST
    without a known field changes nothing. Undo sends a new confirmation mail.
    """
    key = read_key(Purpose.UNSUBSCRIBE, token)
    if key is None:
        return _invalid_link(request)
    if is_one_click(request):
        actions.unsubscribe(key, evidence_of(request, Form.ONE_CLICK))
        return _one_click_answer()
    subscription = _subscription(key)
    return _unsubscribe(request, subscription and subscription.mailing_list, key, subscription)


@in_list_language
def _unsubscribe(
    request: HttpRequest, mailing_list: MailingList | None, key: uuid.UUID, subscription: Subscription | None
) -> HttpResponse:
    if _is_unknown(request, "unsubscribe", "again"):
        return _not_understood(request, mailing_list)
    if asked := _asked_again(request, subscription, Form.UNSUBSCRIBE_UNDO):
        return asked
    if request.POST.get("action") == "unsubscribe":
        actions.unsubscribe(key, evidence_of(request, Form.UNSUBSCRIBE))
        return _page(request, "subscribers/unsubscribed.html", subscription)
    return _page(request, "subscribers/unsubscribe.html", subscription, preferences_url=preferences_url(key))


class PreferenceForms(NamedTuple):
    """The forms of the preferences page. The one that was submitted is bound."""

    pause: PauseForm
    name: ReplaceFirstNameForm
    zone: TimeZoneForm


#: Which note the preferences page shows after an action.
SAVED_NOTES = {
    "pause": "pause_saved",
    "resume": "resume_saved",
    "name": "name_saved",
    "delete-name": "name_saved",
    "zone": "zone_saved",
    "delete-zone": "zone_deleted",
}


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
    if _is_unknown(request, "unsubscribe", "again", *SAVED_NOTES):
        return _not_understood(request, mailing_list)
    action = request.POST.get("action", "")
    if action == "unsubscribe":
        actions.unsubscribe(key, evidence_of(request, Form.PREFERENCES))
        return _page(request, "subscribers/unsubscribed.html", subscription)
    if asked := _asked_again(request, subscription, Form.PREFERENCES):
        return asked
    forms = PreferenceForms(
        pause=PauseForm(request.POST if action == "pause" else None),
        name=ReplaceFirstNameForm(request.POST if action == "name" else None),
        zone=TimeZoneForm(request.POST if action == "zone" else None),
    )
    if saved := _save_preferences(request, key, action, forms):
        return HttpResponseRedirect(f"{request.path}?saved={saved}", status=303)
    context = {
        "saved": request.GET.get("saved", "") if request.method == "GET" else "",
        "pause_form": forms.pause,
        "name_form": forms.name,
        "zone_form": forms.zone,
    }
    return _page(request, "subscribers/preferences.html", _subscription(key), **context)


def _save_preferences(request: HttpRequest, key: uuid.UUID, action: str, forms: PreferenceForms) -> str:
    """Carry out the action. Returns which note the page shows about it, or an empty string."""
    is_saved = False
    if action == "pause" and forms.pause.is_valid():
        is_saved = actions.pause(key, forms.pause.cleaned_data["weeks"], evidence_of(request, Form.PREFERENCES))
    elif action == "resume":
        is_saved = actions.resume(key, evidence_of(request, Form.PREFERENCES))
    elif action == "name" and forms.name.is_valid():
        is_saved = actions.set_first_name(key, forms.name.cleaned_data["first_name"])
    elif action == "delete-name":
        is_saved = actions.set_first_name(key, "")
    elif action == "zone" and forms.zone.is_valid():
        is_saved = actions.set_time_zone(key, forms.zone.cleaned_data["time_zone"])
    elif action == "delete-zone":
        is_saved = actions.set_time_zone(key, "")
    return SAVED_NOTES[action] if is_saved else ""


# --- Shared by several pages ---------------------------------------------------------------------------------------


def _subscription(key: uuid.UUID) -> Subscription | None:
    return Subscription.objects.with_key(key).select_related("subscriber", "mailing_list").first()


def _page(request: HttpRequest, template: str, subscription: Subscription | None, **context: object) -> HttpResponse:
    """A page about one subscription, if it still exists. Its address is masked."""
    about: dict[str, object] = {"subscription": subscription}
    if subscription:
        about["mailing_list"] = subscription.mailing_list
        about["masked_address"] = masked(subscription.subscriber.address)
        about["is_paused"] = subscription.is_paused(timezone.now())
    return render(request, template, about | context)


def _asked_again(request: HttpRequest, subscription: Subscription | None, form: str) -> HttpResponse | None:
    """Send a new confirmation mail to the subscriber, who came here by a link from a mail.

    The POST redirects to the same URL, which then says what to do next. None if that is not what was asked for.
    """
    if subscription is None:
        return None
    if request.POST.get("action") == "again":
        double_opt_in.request_again(subscription.key, evidence_of(request, form))
        return HttpResponseRedirect(f"{request.path}?asked", status=303)
    if request.method != "POST" and "asked" in request.GET:
        context = {"mailing_list": subscription.mailing_list, "address": masked(subscription.subscriber.address)}
        return render(request, "subscribers/check_mail.html", context)
    return None


def _is_unknown(request: HttpRequest, *actions: str) -> bool:
    """Whether the request is a POST without one of the actions of the page's forms."""
    return request.method == "POST" and request.POST.get("action") not in actions


def _not_understood(request: HttpRequest, mailing_list: MailingList | None) -> HttpResponse:
    response = render(request, "subscribers/not_understood.html", {"mailing_list": mailing_list}, status=400)
    # Instead of Django's own line, whose path is a working link.
    log_response("A form was not understood", response=response, request=request)
    return response


def _one_click_answer() -> HttpResponse:
    """The same for the first POST, for every repeat, and for a subscription that no longer exists."""
    return HttpResponse("Unsubscribed.\n", content_type="text/plain; charset=utf-8")


def _invalid_link(request: HttpRequest) -> HttpResponse:
    """The same for every forged, cut or mistyped link."""
    return render(request, "subscribers/invalid_link.html", status=404)
