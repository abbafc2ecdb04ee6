"""The page behind “Do you still want this newsletter?”: a button that keeps the subscription; GET changes nothing."""

from __future__ import annotations

import uuid

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt

from subscribers.addresses import masked
from subscribers.consent.sunset import latest_question, stay
from subscribers.consent.texts import stay_text
from subscribers.consent.tokens import Purpose, preferences_url, read_key
from subscribers.models import ConsentForm, Subscription, SubscriptionState, SunsetQuestion
from subscribers.web.evidence import evidence_of
from subscribers.web.languages import in_page_language
from subscribers.web.pages import invalid_link, not_understood, private


@csrf_exempt
@private
def stay_page(request: HttpRequest, token: str) -> HttpResponse:
    """A page with a button; only its POST keeps the subscription, because mail scanners follow every link."""
    key = read_key(Purpose.STAY, token)
    question = latest_question(key) if key else None
    if key is None or question is None:
        return invalid_link(request)
    return _stay_page(request, question.subscription, key, question)


@in_page_language
def _stay_page(
    request: HttpRequest, subscription: Subscription, key: uuid.UUID, question: SunsetQuestion
) -> HttpResponse:
    mailing_list = subscription.mailing_list
    if request.method == "POST" and request.POST.get("action") != "stay":
        return not_understood(request, subscription)
    text, stays = stay_text(mailing_list), False
    if request.method == "POST":
        stays = stay(key, evidence_of(request, ConsentForm.STAY, text))
    context = {
        "mailing_list": mailing_list,
        "masked_address": masked(subscription.subscriber.address),
        "is_active": subscription.state == SubscriptionState.ACTIVE,
        "stays": stays,
        "is_refused": request.method == "POST" and not stays,
        "consent_text": text,
        "preferences_url": preferences_url(key),
    }
    return render(request, "subscribers/stay.html", context)
