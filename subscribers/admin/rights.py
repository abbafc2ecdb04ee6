"""What an editor may do on the pages of subscribers."""

from __future__ import annotations

from django.http import HttpRequest

from subscribers.addresses import masked
from subscribers.models import Subscriber


def may_see_personal_data(request: HttpRequest) -> bool:
    """Whether full addresses, IP addresses and clicks are shown. All others see masked addresses."""
    return request.user.has_perm("subscribers.view_personal_data")


def may_export(request: HttpRequest) -> bool:
    """Whether subscribers may be taken out as a file, which has full addresses."""
    return request.user.has_perm("subscribers.export_subscriber") and may_see_personal_data(request)


def may_change(request: HttpRequest) -> bool:
    """Whether subscribers may be edited, paused, unsubscribed and merged."""
    return request.user.has_perm("subscribers.change_subscriber")


def may_suppress(request: HttpRequest) -> bool:
    """Whether addresses may be suppressed."""
    return may_change(request) and request.user.has_perm("subscribers.add_suppression")


def may_lift(request: HttpRequest) -> bool:
    """Whether suppressions may be lifted."""
    return may_change(request) and request.user.has_perm("subscribers.delete_suppression")


def may_erase(request: HttpRequest) -> bool:
    """Whether everything about a subscriber may be erased for good."""
    return request.user.has_perm("subscribers.delete_subscriber") and may_see_personal_data(request)


def shown_address(request: HttpRequest, subscriber: Subscriber) -> str:
    """The address as this editor may see it."""
    return subscriber.address if may_see_personal_data(request) else masked(subscriber.address)
