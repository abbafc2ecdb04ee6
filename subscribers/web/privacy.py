"""The pages behind the links of mails for a copy of the data and for its deletion. Each link works for a day, and once.

A GET changes nothing and shows no data: mail scanners follow every link, and mails are forwarded.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from subscribers.addresses import masked
from subscribers.consent.data_requests import read_data_request, use_data_request
from subscribers.models import DataRequest, DataRequestKind, MailingList, Subscription
from subscribers.privacy.erase import erase_data_subject
from subscribers.privacy.export import export_zip, file_name
from subscribers.privacy.registry import DataSubject
from subscribers.suppression import SuppressionSecretDiffers
from subscribers.web.languages import in_page_language
from subscribers.web.pages import not_understood, private


@csrf_exempt
@private
def my_data(request: HttpRequest, token: str) -> HttpResponse:
    """A button that downloads the copy."""
    link = read_data_request(DataRequestKind.ACCESS, token)
    return _my_data(request, _subscription_of(link), link) if link else _used_up(request)


@in_page_language
def _my_data(request: HttpRequest, subscription: Subscription | None, link: DataRequest) -> HttpResponse:
    if request.method != "POST":
        return _page(request, "subscribers/my_data.html", subscription, link)
    if request.POST.get("action") != "download":
        return not_understood(request, subscription)
    if not use_data_request(link):
        return _used_up(request)
    subject = DataSubject(link.subscriber.canonical, link.subscriber)
    response = HttpResponse(export_zip(subject), content_type="application/zip")
    response["Content-Disposition"] = f'attachment; filename="{file_name(timezone.now())}"'
    return response


@csrf_exempt
@private
def erase_me(request: HttpRequest, token: str) -> HttpResponse:
    """A button that erases everything. The link is erased with it."""
    link = read_data_request(DataRequestKind.ERASE, token)
    return _erase_me(request, _subscription_of(link), link) if link else _used_up(request)


@in_page_language
def _erase_me(request: HttpRequest, subscription: Subscription | None, link: DataRequest) -> HttpResponse:
    if request.method != "POST":
        return _page(request, "subscribers/erase_me.html", subscription, link)
    if request.POST.get("action") != "erase":
        return not_understood(request, subscription)
    try:
        erase_data_subject(DataSubject(link.subscriber.canonical, link.subscriber))
    except SuppressionSecretDiffers:
        # The worker logs the cause, and the doctor shows it.
        return _page(request, "subscribers/erase_me.html", subscription, link, status=503, is_unavailable=True)
    return _page(request, "subscribers/erased.html", subscription, link)


def _subscription_of(link: DataRequest | None) -> Subscription | None:
    """A subscription of the subscriber, for the language of the page and the name and contact of its list."""
    if link is None:
        return None
    return link.subscriber.subscriptions.select_related("mailing_list", "subscriber").order_by("pk").first()


def _page(
    request: HttpRequest,
    template: str,
    subscription: Subscription | None,
    link: DataRequest,
    *,
    status: int = 200,
    **context: object,
) -> HttpResponse:
    about = {"mailing_list": _list_of(subscription), "masked_address": masked(link.subscriber.address)}
    return render(request, template, about | context, status=status)


def _list_of(subscription: Subscription | None) -> MailingList | None:
    return subscription.mailing_list if subscription else None


def _used_up(request: HttpRequest) -> HttpResponse:
    """The same for a forged link, and for one that is too old or used."""
    return render(request, "subscribers/data_link_invalid.html", status=404)
