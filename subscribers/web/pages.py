"""What the pages of subscribers share: their headers, the page of one subscription, and the answers to bad requests."""

from __future__ import annotations

import functools
import uuid
from dataclasses import replace
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.log import log_response
from django.views.decorators.http import require_http_methods

from subscribers.addresses import masked
from subscribers.consent import actions, double_opt_in
from subscribers.consent.reasons import may_give_reason, store_reason
from subscribers.consent.tokens import LinkSigner, Purpose
from subscribers.models import ConsentForm, Evidence, LeaveReason, MailingList, MailLink, Subscription
from subscribers.web.evidence import evidence_of
from subscribers.web.forms import ReasonForm
from subscribers.web.languages import View

#: The methods of pages without a token.
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


def subscription_with(key: uuid.UUID) -> Subscription | None:
    """The subscription with this key, with its subscriber and its list."""
    return Subscription.objects.with_key(key).select_related("subscriber", "mailing_list").first()


def subscription_page(
    request: HttpRequest, template: str, subscription: Subscription | None, **context: object
) -> HttpResponse:
    """A page about one subscription, if it still exists. Its address is masked."""
    about: dict[str, object] = {"subscription": subscription}
    if subscription:
        about["mailing_list"] = subscription.mailing_list
        about["masked_address"] = masked(subscription.subscriber.address)
        about["is_paused"] = subscription.is_paused(timezone.now())
    return render(request, template, about | context)


def path_to(purpose: Purpose, key: uuid.UUID, mail_reference: int | None = None) -> str:
    """The path of a page of this subscription, for links and forms on another of its pages.

    `mail_reference` is the number of the mail whose link led to that other page.
    """
    return reverse(purpose.value, args=[LinkSigner(purpose, mail_reference).token_of(key)])


def evidence_of_link(request: HttpRequest, form: str, key: uuid.UUID, mail_reference: int | None) -> Evidence:
    """The proof of a step that ends the subscription with this key, by a link that may name its mail."""
    link = None if mail_reference is None else MailLink(key, mail_reference)
    return replace(evidence_of(request, form), mail_link=link)


# --- Unsubscribed ---------------------------------------------------------------------------------------------------


def unsubscribed_page(
    request: HttpRequest, subscription: Subscription | None, *, form: ReasonForm | None = None, **context: object
) -> HttpResponse:
    """The page after an unsubscribe: undo, the optional reason, and the other lists of the site."""
    if subscription and (subscription := subscription_with(subscription.key)):
        context["unsubscribe_path"] = path_to(Purpose.UNSUBSCRIBE, subscription.key)
        context["reason_form"] = form or (ReasonForm() if may_give_reason(subscription) else None)
        # The same for every subscriber: it must not show who is on other lists.
        context["has_other_lists"] = MailingList.objects.count() > 1
    return subscription_page(request, "subscribers/unsubscribed.html", subscription, **context)


def leave_all(
    request: HttpRequest, subscription: Subscription, form: str, mail_reference: int | None = None
) -> HttpResponse:
    """Unsubscribe from all lists of the site."""
    actions.unsubscribe_everywhere(subscription.key, evidence_of_link(request, form, subscription.key, mail_reference))
    return unsubscribed_page(request, subscription, is_everywhere=True)


def store_reason_of_form(request: HttpRequest, subscription: Subscription) -> HttpResponse:
    """Store the reason, and show the page again; with an error if nothing was chosen."""
    form = ReasonForm(request.POST)
    if not form.is_valid():
        return unsubscribed_page(request, subscription, form=form)
    reason, text = LeaveReason(form.cleaned_data["reason"]), form.cleaned_data["text"]
    store_reason(subscription.key, reason, text, evidence_of(request, ConsentForm.UNSUBSCRIBE_REASON))
    return HttpResponseRedirect(f"{request.path}?thanks", status=303)


# --- Answers of every page ------------------------------------------------------------------------------------------


def asked_again(request: HttpRequest, subscription: Subscription | None, form: str) -> HttpResponse | None:
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


def is_unknown(request: HttpRequest, *known: str) -> bool:
    """Whether the request is a POST without one of the actions of the page's forms."""
    return request.method == "POST" and request.POST.get("action") not in known


def not_understood(request: HttpRequest, subscription: Subscription | None) -> HttpResponse:
    """The answer to a POST that is no form of the page."""
    mailing_list = subscription.mailing_list if subscription else None
    response = render(request, "subscribers/not_understood.html", {"mailing_list": mailing_list}, status=400)
    # Instead of Django's own line, whose path is a working link.
    log_response("A form was not understood", response=response, request=request)
    return response


def one_click_answer() -> HttpResponse:
    """The same for the first POST, for every repeat, and for a subscription that no longer exists."""
    return HttpResponse("Unsubscribed.\n", content_type="text/plain; charset=utf-8")


def invalid_link(request: HttpRequest, **context: object) -> HttpResponse:
    """The same for every forged, cut or mistyped link."""
    return render(request, "subscribers/invalid_link.html", context, status=404)
