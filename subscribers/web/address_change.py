"""The pages behind the links in mails about a change of address. A GET changes nothing: mail scanners follow links."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt

from subscribers.addresses import masked
from subscribers.consent import address_change
from subscribers.consent.address_change import ChangeStatus, ReadChange
from subscribers.consent.tokens import Purpose, read_key
from subscribers.models import Subscription
from subscribers.web.languages import in_page_language
from subscribers.web.one_click import is_one_click
from subscribers.web.pages import invalid_link, is_unknown, not_understood, one_click_answer, private, subscription_page


@csrf_exempt
@private
def confirm_address(request: HttpRequest, token: str) -> HttpResponse:
    """The page for the new mailbox."""
    return _page_of(request, Purpose.CONFIRM_ADDRESS, token)


@csrf_exempt
@private
def approve_address(request: HttpRequest, token: str) -> HttpResponse:
    """The page for the old mailbox."""
    return _page_of(request, Purpose.APPROVE_ADDRESS, token)


@csrf_exempt
@private
def refuse_address(request: HttpRequest, token: str) -> HttpResponse:
    """“It was not me”, for both mailboxes; also the mail program's unsubscribe button in mails to the new address.

    A one-click POST gets the same answer for every genuine token, even if the change no longer exists.
    """
    if is_one_click(request) and read_key(Purpose.REFUSE_ADDRESS, token):
        address_change.refuse(token, Purpose.REFUSE_ADDRESS)
        return one_click_answer()
    return _page_of(request, Purpose.REFUSE_ADDRESS, token)


def _page_of(request: HttpRequest, purpose: Purpose, token: str) -> HttpResponse:
    read = address_change.read_change(purpose, token)
    if read is None:
        return invalid_link(request)
    return _change_page(request, read.change.subscription, purpose, token, read)


@in_page_language
def _change_page(
    request: HttpRequest, subscription: Subscription, purpose: Purpose, token: str, read: ReadChange
) -> HttpResponse:
    known = ("refuse",) if purpose is Purpose.REFUSE_ADDRESS else ("agree", "refuse")
    if is_unknown(request, *known):
        return not_understood(request, subscription)
    if request.POST.get("action") == "agree":
        read = address_change.agree(purpose, token) or read
    elif request.POST.get("action") == "refuse":
        address_change.refuse(token, purpose)
        read = address_change.read_change(purpose, token) or read
    is_old = purpose is Purpose.APPROVE_ADDRESS
    context = {
        "heading": _heading(read.status, is_old=is_old),
        "status_name": read.status.name,
        "is_old": is_old,
        "is_refusal": purpose is Purpose.REFUSE_ADDRESS,
        "new_address": masked(read.change.address),
        # Only the old mailbox knows it: the new one may be a stranger's.
        "old_address": masked(subscription.subscriber.address) if is_old else "",
    }
    return subscription_page(request, "subscribers/address_change.html", subscription, **context)


def _heading(status: ChangeStatus, *, is_old: bool) -> str:
    if status is ChangeStatus.DONE:
        return _("Your address is changed")
    if status is ChangeStatus.DECLINED:
        return _("The address is not changed")
    if status is ChangeStatus.ENDED:
        return _("This link is no longer valid")
    return _("Change your address?") if is_old else _("Use this address?")
