"""The pages of readers: sign up, confirm, rest, leave. Thin: read the request, call one verb, show a page.

None of them needs a cookie, so none sets one, and all POSTs are exempt from CSRF checks on purpose: behind a token, the
token is the credential, and RFC 8058 forbids asking for more (R-5); the sign-up form uses no right that a visitor
has – it only ever sends a mail that asks (R-60).

Pages behind a token answer every method but POST with the page: a 405 would put the working link into the log (R-162).
"""

from __future__ import annotations

import uuid

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from subscribers import consent
from subscribers.addresses import Address, masked, parse_address
from subscribers.consent import ConfirmationStatus
from subscribers.forms import FirstNameForm, PauseForm, SignupForm, TimeZoneForm
from subscribers.models import MailingList, Signup, Subscription
from subscribers.pages import confirm_words, evidence_of, network_of, private, signup_words
from subscribers.signups import TooManySignups, note_signup
from subscribers.tokens import Purpose, preferences_url, read_confirmation, read_key

reader_methods = require_http_methods(["GET", "HEAD", "POST"])


# --- Signing up ----------------------------------------------------------------------------------------------------


@csrf_exempt
@reader_methods
def sign_up(request: HttpRequest, slug: str) -> HttpResponse:
    """The form; a POST answers the same for every address, whoever it belongs to (R-37)."""
    mailing_list = get_object_or_404(MailingList, slug=slug)
    if request.method != "POST":
        return _signup_page(request, SignupForm(mailing_list))
    form = SignupForm(mailing_list, request.POST)
    if not form.is_valid():
        return _signup_page(request, form, status=400)
    if form.is_from_a_robot:
        return _see_check_mail(mailing_list, uuid.uuid4())
    return _note(request, mailing_list, form.address, "signup")


@csrf_exempt
@private
@reader_methods
def check_mail(request: HttpRequest, slug: str) -> HttpResponse:
    """What to do next. POST sends the link again, to the address of the sign-up that led here."""
    mailing_list = get_object_or_404(MailingList, slug=slug)
    signup = _signup(mailing_list, request.GET.get("for", ""))
    if request.method == "POST":
        if signup is None:
            return HttpResponseRedirect(reverse("subscribe", args=[slug]), status=303)
        return _note(request, mailing_list, parse_address(signup.address), "signup-again")
    context = {"mailing_list": mailing_list, "address": signup.address if signup else "", "signup": signup}
    return render(request, "subscribers/check_mail.html", context)


def _note(request: HttpRequest, mailing_list: MailingList, address: Address, where: str) -> HttpResponse:
    evidence = evidence_of(request, where, signup_words(mailing_list))
    try:
        signup = note_signup(mailing_list, address, evidence, network=network_of(request))
    except TooManySignups as error:
        context = {"mailing_list": mailing_list, "sentence": str(error)}
        response = render(request, "subscribers/too_many.html", context, status=429)
        response["Retry-After"] = "3600"
        return response
    return _see_check_mail(mailing_list, signup.key)


def _see_check_mail(mailing_list: MailingList, key: uuid.UUID) -> HttpResponse:
    address = reverse("check-mail", args=[mailing_list.slug])
    return HttpResponseRedirect(f"{address}?for={key}", status=303)


def _signup(mailing_list: MailingList, key: str) -> Signup | None:
    try:
        return Signup.objects.filter(mailing_list=mailing_list, key=uuid.UUID(key)).first()
    except ValueError:
        return None


def _signup_page(request: HttpRequest, form: SignupForm, *, status: int = 200) -> HttpResponse:
    context = {"form": form, "mailing_list": form.mailing_list, "words": signup_words(form.mailing_list)}
    return render(request, "subscribers/signup.html", context, status=status)


# --- Confirming ----------------------------------------------------------------------------------------------------


@csrf_exempt
@private
def confirm_request(request: HttpRequest, token: str) -> HttpResponse:
    """GET shows a button and POST acts: programs that look through mails follow every link (R-31)."""
    named = read_confirmation(token)
    if named is None:
        return _link_leads_nowhere(request)
    confirmation = consent.read_request(named)
    membership = confirmation.membership
    if membership is None:
        return _link_leads_nowhere(request)
    words, action = confirm_words(membership.mailing_list), request.POST.get("action")
    if action == "again":
        return _ask_again(request, membership, "confirm-again")
    naming = FirstNameForm(request.POST if action == "confirm" else None)
    if action == "confirm" and naming.is_valid():
        confirmation = consent.confirm(named, evidence_of(request, "confirm", words))
        if confirmation.status is ConfirmationStatus.OPEN:
            if naming.cleaned_data["first_name"]:
                consent.keep_first_name(membership.key, naming.cleaned_data["first_name"])
            return _page(request, "subscribers/confirmed.html", membership)
    # Errors are shown with status 200, as on the preferences page.
    about = {"status_name": confirmation.status.name, "words": words, "naming": naming}
    return _page(request, "subscribers/confirm.html", membership, **about)


@csrf_exempt
@private
def decline_request(request: HttpRequest, token: str) -> HttpResponse:
    """“This was not me”, from the confirmation mail: by hand, or by the mail program's own unsubscribe button."""
    key = read_key(Purpose.DECLINE, token)
    if key is None:
        return _link_leads_nowhere(request)
    if _is_one_click(request):
        consent.decline(key, evidence_of(request, "one-click"))
        return _one_click_answer()
    membership = _membership(key)
    action = request.POST.get("action")
    if action == "again" and membership:
        return _ask_again(request, membership, "decline-undo")
    if action == "decline":
        consent.decline(key, evidence_of(request, "decline"))
        return _page(request, "subscribers/declined.html", membership)
    return _page(request, "subscribers/decline.html", membership)


# --- Leaving and resting -------------------------------------------------------------------------------------------


@csrf_exempt
@private
def leave(request: HttpRequest, token: str) -> HttpResponse:
    """The end of a membership: a page with one button, and the one-click POST of RFC 8058 on the same address.

    Every genuine token gets the same answers, also when the row is gone; a POST with neither field changes nothing
    (R-7 to R-9). Undo asks by mail again: who is once out comes back by a fresh confirmation only (R-54).
    """
    key = read_key(Purpose.UNSUBSCRIBE, token)
    if key is None:
        return _link_leads_nowhere(request)
    if _is_one_click(request):
        consent.unsubscribe(key, evidence_of(request, "one-click"))
        return _one_click_answer()
    membership = _membership(key)
    action = request.POST.get("action")
    if action == "again" and membership:
        return _ask_again(request, membership, "unsubscribe-undo")
    if action == "unsubscribe":
        consent.unsubscribe(key, evidence_of(request, "unsubscribe"))
        return _page(request, "subscribers/unsubscribed.html", membership)
    return _page(request, "subscribers/unsubscribe.html", membership, preferences_url=preferences_url(key))


@csrf_exempt
@private
def preferences(request: HttpRequest, token: str) -> HttpResponse:
    """Rest, be named, placed, or go. Shows a masked address only: a forwarded mail must not tell who got it (R-52)."""
    key = read_key(Purpose.PREFERENCES, token)
    membership = _membership(key) if key else None
    if key is None or membership is None:
        return _link_leads_nowhere(request)
    action = request.POST.get("action")
    if action == "unsubscribe":
        consent.unsubscribe(key, evidence_of(request, "preferences"))
        return _page(request, "subscribers/unsubscribed.html", membership)
    if action == "again":
        return _ask_again(request, membership, "preferences")
    done, form, naming, placing = "", PauseForm(), FirstNameForm(), TimeZoneForm()
    if action in {"name", "forget-name"}:
        naming = FirstNameForm(request.POST if action == "name" else {})
        done = "named" if naming.is_valid() and _keep_name(key, naming, forget=action == "forget-name") else ""
    elif action == "zone":
        placing = TimeZoneForm(request.POST)
        if placing.is_valid():
            done = "placed" if consent.keep_time_zone(key, placing.cleaned_data["time_zone"]) else ""
    elif action == "resume":
        done = "resumed" if consent.resume(key, evidence_of(request, "preferences")) else ""
    elif action == "pause":
        form = PauseForm(request.POST)
        if form.is_valid():
            weeks = form.cleaned_data["weeks"]
            done = "paused" if consent.pause(key, weeks, evidence_of(request, "preferences")) else ""
    # Errors are shown with status 200: Django logs the path of every 400, and this path is a working link.
    about = {"form": form, "naming": naming, "placing": placing, "done": done}
    return _page(request, "subscribers/preferences.html", _membership(key), **about)


def _keep_name(key: uuid.UUID, naming: FirstNameForm, *, forget: bool) -> bool:
    """Keep the name, or none. An empty field is no wish to lose it: the page never shows the one that is kept."""
    name = naming.cleaned_data["first_name"]
    return bool(name or forget) and consent.keep_first_name(key, name)


# --- What several pages need ---------------------------------------------------------------------------------------


def _membership(key: uuid.UUID) -> Subscription | None:
    return Subscription.objects.select_related("subscriber", "mailing_list").filter(key=key).first()


def _page(request: HttpRequest, template: str, membership: Subscription | None, **context: object) -> HttpResponse:
    """A page about one membership, which may be gone; its address is shown masked."""
    about: dict[str, object] = {"membership": membership}
    if membership:
        about["mailing_list"] = membership.mailing_list
        about["masked_address"] = masked(membership.subscriber.address)
        about["is_paused"] = membership.is_paused(timezone.now())
    return render(request, template, about | context)


def _ask_again(request: HttpRequest, membership: Subscription, where: str) -> HttpResponse:
    """A fresh confirmation mail to the reader of a mail of ours."""
    mailing_list = membership.mailing_list
    evidence = evidence_of(request, where, signup_words(mailing_list))
    consent.request_again(membership.key, evidence)
    context = {"mailing_list": mailing_list, "address": masked(membership.subscriber.address)}
    return render(request, "subscribers/check_mail.html", context)


def _is_one_click(request: HttpRequest) -> bool:
    """The POST of a mail program, urlencoded or multipart (RFC 8058 §3.1; R-6)."""
    return request.method == "POST" and request.POST.get("List-Unsubscribe") == "One-Click"


def _one_click_answer() -> HttpResponse:
    """The same for the first, second and hundredth time, and for a reader who is gone (R-9)."""
    return HttpResponse("Unsubscribed.\n", content_type="text/plain; charset=utf-8")


def _link_leads_nowhere(request: HttpRequest) -> HttpResponse:
    """One fixed answer for every forged, cut or mistyped link."""
    return render(request, "subscribers/nowhere.html", status=404)
