"""Reach: whom this installation may write to, so that a rehearsal mails no real reader (R-135).

Everybody, unless ALLOWED_RECIPIENTS names addresses or @domains. An installation that is not the production one does
not start without them where its provider takes mail off this machine; `configuration` sees to that.
"""

from __future__ import annotations

from django.conf import settings
from django.db.models import Q

from subscribers.addresses import AddressError, parse_address

NOT_ALLOWED_RECIPIENT = "This installation writes only to ALLOWED_RECIPIENTS, and the address is not among them."


def is_limited() -> bool:
    """Whether anybody is out of reach."""
    return bool(settings.ALLOWED_RECIPIENTS)


def allowed_subscriptions() -> Q:
    """The condition on memberships of a list."""
    names: tuple[str, ...] = settings.ALLOWED_RECIPIENTS
    if not names:
        return Q()
    condition = Q(subscriber__canonical__in=[name for name in names if not name.startswith("@")])
    for domain in (name for name in names if name.startswith("@")):
        condition |= Q(subscriber__canonical__endswith=domain)
    return condition


def is_allowed_recipient(canonical: str) -> bool:
    """The same of one address, in the form in which addresses are compared."""
    names: tuple[str, ...] = settings.ALLOWED_RECIPIENTS
    return not names or canonical in names or f"@{canonical.rpartition('@')[2]}" in names


def may_write_to(address: str) -> bool:
    """The same of an address as it was given. What is no address is out of reach."""
    if not is_limited():
        return True
    try:
        return is_allowed_recipient(parse_address(address).canonical)
    except AddressError:
        return False
