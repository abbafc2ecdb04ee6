"""Signing up: the page, the form on other sites, and the page that follows.

No page sets a cookie, and every POST is exempt from CSRF checks: the form uses no right of the visitor, it only sends a
mail that asks. The answer to a POST is the same for every address, and so is the work behind it.

A form on another site posts to a URL of its own, which is off unless the list allows it. Copied as HTML, the form has
no stamp; the limits of such forms are lower.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Any, cast

from csp.constants import SELF
from csp.decorators import csp_replace
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.utils.translation.trans_real import parse_accept_lang_header
from django.views.decorators.csrf import csrf_exempt

from subscribers.addresses import domain_of, parse_address
from subscribers.consent.texts import signup_text
from subscribers.models import ConsentForm as Form
from subscribers.models import Evidence, MailingList, Signup
from subscribers.signup import challenge
from subscribers.signup.domains import likely_domain
from subscribers.signup.embed import text_mark
from subscribers.signup.facts import clean_source
from subscribers.signup.forms import SignupForm, stamp_problem
from subscribers.signup.queue import Submission, TooManySignups, facts_of_submission, store
from subscribers.signup.rules import asks_for_challenge, rules_for
from subscribers.signup.stamps import StampUsed, stamp_key
from subscribers.web.answers import json_answer, wants_json
from subscribers.web.evidence import evidence_of, network_of
from subscribers.web.languages import in_list_language
from subscribers.web.pages import page_methods, private

#: The button of the challenge page without JavaScript sends this instead of a solution.
SKIPPED = "skip"

#: Fields of the challenge page, and those of the form that it repeats.
CHALLENGE_FIELD, MAX_REPEATED_FIELDS = "challenge", 100


@dataclass(frozen=True, slots=True)
class Place:
    """Where a form was shown."""

    is_embedded: bool = False
    """On another site, in a frame or copied as HTML."""
    is_frame: bool = False

    @property
    def layout(self) -> str:
        """The template that pages extend."""
        return "subscribers/frame.html" if self.is_frame else "base.html"

    @property
    def form_url_name(self) -> str:
        """The URL that the form posts to."""
        return "embed" if self.is_frame else "subscribe"

    @property
    def next_url_name(self) -> str:
        """The URL of the page that follows."""
        return "embed-check-mail" if self.is_frame else "check-mail"


PAGE = Place()
FRAME, COPIED_FORM = Place(is_embedded=True, is_frame=True), Place(is_embedded=True)


@csrf_exempt
@page_methods
def sign_up(request: HttpRequest, slug: str) -> HttpResponse:
    """The sign-up form. The answer to a POST is the same for every address."""
    return _sign_up(request, get_object_or_404(MailingList, slug=slug), PAGE)


@csrf_exempt
@page_methods
def embed(request: HttpRequest, slug: str) -> HttpResponse:
    """The form for other sites: as a frame, and the address that a copied form posts to."""
    mailing_list = _embeddable(slug)
    # A copied form has no stamp, and its answer is a page of its own.
    is_copied = request.method == "POST" and not request.POST.get("timestamp")
    response = _sign_up(request, mailing_list, COPIED_FORM if is_copied else FRAME)
    return _framed(request, mailing_list, response)


def _embeddable(slug: str) -> MailingList:
    mailing_list = get_object_or_404(MailingList, slug=slug)
    if not mailing_list.is_embeddable:
        raise Http404("The list takes no sign-ups from other sites.")
    return mailing_list


def _framed(request: HttpRequest, mailing_list: MailingList, response: HttpResponse) -> HttpResponse:
    """The response for the frames of the list’s origins and of this site, whose admin shows a preview."""
    response.xframe_options_exempt = True
    ancestors: list[Any] = [SELF, *mailing_list.allowed_frame_origins]
    with_policy = csp_replace({"frame-ancestors": ancestors})
    return cast(HttpResponse, with_policy(lambda _request: response)(request))


@in_list_language
def _sign_up(request: HttpRequest, mailing_list: MailingList, place: Place) -> HttpResponse:
    if request.method != "POST":
        form = SignupForm(mailing_list, source=clean_source(request.GET.get("source", "")))
        return _signup_page(request, form, place)
    form = SignupForm(mailing_list, request.POST, needs_stamp=not place.is_embedded or place.is_frame)
    if not form.is_valid():
        return _refused_form(request, form, place)
    submission = _submission(request, form, place)
    try:
        facts = facts_of_submission(submission)
    except TooManySignups as error:
        return _too_many(request, mailing_list, place, error.retry_seconds)
    needs_challenge = challenge.is_available() and not submission.is_solved and not wants_json(request)
    is_skipped = request.POST.get(CHALLENGE_FIELD) == SKIPPED
    if needs_challenge and not is_skipped and asks_for_challenge(rules_for(mailing_list), facts):
        return _challenge_page(request, form, place)
    try:
        signup = store(submission, facts)
    except StampUsed as error:
        return _repeated(request, form, place, error.signup_key)
    return _accepted(request, mailing_list, place, signup.key)


def _submission(request: HttpRequest, form: SignupForm, place: Place) -> Submission:
    mailing_list, network = form.mailing_list, network_of(request)
    keys = [stamp_key(mailing_list, form.stamp, network)] if form.stamp else []
    solution = challenge.read_solution(mailing_list, request.POST.get(CHALLENGE_FIELD, ""))
    return Submission(
        mailing_list=mailing_list,
        address=form.address,
        evidence=_evidence(request, form),
        network=network,
        source=form.cleaned_data["source"],
        answers=form.answers,
        language=_browser_language(request),
        is_honeypot=form.is_from_a_bot,
        seconds=form.seconds,
        is_embedded=place.is_embedded and not place.is_frame,
        is_solved=bool(solution),
        stamp_keys=tuple(filter(None, [*keys, solution])),
    )


def _evidence(request: HttpRequest, form: SignupForm) -> Evidence:
    """The proof, with the text that the form showed. A form that was copied before the text changed showed another."""
    text = signup_text(form.mailing_list)
    is_shown = form.stamp is not None or form.cleaned_data["shown_text"] == text_mark(text)
    return evidence_of(request, Form.SIGNUP, text if is_shown else "")


def _browser_language(request: HttpRequest) -> str:
    """The code of the first language that the browser asks for, without its region."""
    codes = parse_accept_lang_header(request.headers.get("Accept-Language", ""))
    return next((code.partition("-")[0][:8] for code, quality in codes if quality > 0 and code != "*"), "")


def _accepted(request: HttpRequest, mailing_list: MailingList, place: Place, key: uuid.UUID) -> HttpResponse:
    """The same for every address and every decision of the rules."""
    if wants_json(request):
        message = _("We will send a mail to your address, unless it cannot be subscribed. Open the link in it.")
        return json_answer({"status": "check_mail", "message": message}, status=202, allow_origin=place.is_embedded)
    return _redirect_to_check_mail(mailing_list, key, place)


def _repeated(request: HttpRequest, form: SignupForm, place: Place, signup_key: uuid.UUID) -> HttpResponse:
    """A second click gets the answer of the first. Another address needs a stamp of its own."""
    same = Signup.objects.filter(key=signup_key, mailing_list=form.mailing_list, address=form.address.as_typed)
    if same.exists():
        return _accepted(request, form.mailing_list, place, signup_key)
    form.add_error("timestamp", stamp_problem())
    return _refused_form(request, form, place)


def _refused_form(request: HttpRequest, form: SignupForm, place: Place) -> HttpResponse:
    if wants_json(request):
        content: dict[str, object] = {"status": "invalid", "errors": form.errors_by_field}
        return json_answer(content, status=400, allow_origin=place.is_embedded)
    return _signup_page(request, form, place, status=400)


def _too_many(request: HttpRequest, mailing_list: MailingList, place: Place, retry_seconds: int) -> HttpResponse:
    if wants_json(request):
        message = _("Too many sign-ups came from your network. Try again in an hour.")
        content: dict[str, object] = {"status": "too_many", "message": message}
        response: HttpResponse = json_answer(content, status=429, allow_origin=place.is_embedded)
    else:
        context = {"mailing_list": mailing_list, "layout": place.layout}
        response = render(request, "subscribers/too_many.html", context, status=429)
    response["Retry-After"] = str(retry_seconds)
    return response


def _signup_page(request: HttpRequest, form: SignupForm, place: Place, *, status: int = 200) -> HttpResponse:
    context = {
        "form": form,
        "mailing_list": form.mailing_list,
        "consent_text": signup_text(form.mailing_list),
        "layout": place.layout,
        "form_url": reverse(place.form_url_name, args=[form.mailing_list.slug]),
    }
    response = render(request, "subscribers/signup.html", context, status=status)
    # Its stamp counts once.
    response["Cache-Control"] = "no-store"
    patch_vary_headers(response, ["Accept"])
    return response


def _challenge_page(request: HttpRequest, form: SignupForm, place: Place) -> HttpResponse:
    """A page that solves a challenge and sends the same form again."""
    repeated = [
        (name, value)
        for name, values in request.POST.lists()
        for value in values
        if name in form.field_names and name != CHALLENGE_FIELD
    ]
    context = {
        "mailing_list": form.mailing_list,
        "layout": place.layout,
        "form_url": request.path,
        "repeated": repeated[:MAX_REPEATED_FIELDS],
        "challenge": challenge.new_challenge(form.mailing_list),
        "skipped": SKIPPED,
    }
    response = render(request, "subscribers/challenge.html", context)
    response["Cache-Control"] = "no-store"
    return response


@csrf_exempt
@private
@page_methods
def check_mail(request: HttpRequest, slug: str) -> HttpResponse:
    """What to do next. A POST sends the link again, to the address of the sign-up that led here."""
    return _check_mail(request, get_object_or_404(MailingList, slug=slug), PAGE)


@csrf_exempt
@private
@page_methods
def embed_check_mail(request: HttpRequest, slug: str) -> HttpResponse:
    """The same in a frame of another site."""
    mailing_list = _embeddable(slug)
    return _framed(request, mailing_list, _check_mail(request, mailing_list, FRAME))


@in_list_language
def _check_mail(request: HttpRequest, mailing_list: MailingList, place: Place) -> HttpResponse:
    signup = _signup(mailing_list, request.GET.get("for", ""))
    if request.method == "POST":
        if signup is None:
            return HttpResponseRedirect(reverse(place.form_url_name, args=[mailing_list.slug]), status=303)
        return _store_again(request, signup, place)
    address = signup.address if signup else ""
    context = {
        "mailing_list": mailing_list,
        "address": address,
        "suggestion": _suggestion(address),
        "can_resend": signup is not None,
        "is_repeat": signup is not None and "again" in request.GET,
        "layout": place.layout,
        "form_url": reverse(place.form_url_name, args=[mailing_list.slug]),
    }
    return render(request, "subscribers/check_mail.html", context)


def _store_again(request: HttpRequest, signup: Signup, place: Place) -> HttpResponse:
    """Store the sign-up once more, under the same limits and rules."""
    mailing_list = signup.mailing_list
    submission = Submission(
        mailing_list=mailing_list,
        address=parse_address(signup.address),
        evidence=evidence_of(request, Form.SIGNUP_AGAIN),
        network=network_of(request),
        source=signup.source,
        answers=signup.answers,
        language=_browser_language(request),
        is_solved=bool(signup.facts.get("is_solved")),
        is_honeypot=bool(signup.facts.get("is_honeypot")),
    )
    try:
        facts = replace(facts_of_submission(submission), seconds=signup.facts.get("seconds"))
    except TooManySignups as error:
        return _too_many(request, mailing_list, place, error.retry_seconds)
    return _redirect_to_check_mail(mailing_list, store(submission, facts).key, place, is_repeat=True)


def _redirect_to_check_mail(
    mailing_list: MailingList, key: uuid.UUID, place: Place, *, is_repeat: bool = False
) -> HttpResponse:
    address = reverse(place.next_url_name, args=[mailing_list.slug])
    return HttpResponseRedirect(f"{address}?for={key}{'&again' if is_repeat else ''}", status=303)


def _suggestion(address: str) -> str:
    """The address with the domain that was probably meant; empty if there is no typo. Only shown, never stored."""
    domain = likely_domain(domain_of(address)) if address else ""
    return f"{address.rpartition('@')[0]}@{domain}" if domain else ""


def _signup(mailing_list: MailingList, key: str) -> Signup | None:
    try:
        return (
            Signup.objects.filter(mailing_list=mailing_list, key=uuid.UUID(key)).select_related("mailing_list").first()
        )
    except ValueError:
        return None
