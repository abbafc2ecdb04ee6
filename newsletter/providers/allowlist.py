"""The recipient allowlist: which addresses this installation may write to, so that a rehearsal mails no subscriber.

Every address is allowed unless ALLOWED_RECIPIENTS names addresses or @domains. An installation that is not the
production one does not start without ALLOWED_RECIPIENTS if its provider delivers real mail (see `configuration`).
"""

from __future__ import annotations

from django.conf import settings
from django.db.models import Q

from newsletter.providers.reasons import REASONS
from subscribers.addresses import AddressError, parse_address

NOT_ALLOWED_RECIPIENT = REASONS["recipient_not_allowed"]


def is_limited() -> bool:
    """Whether an allowlist is set."""
    return bool(settings.ALLOWED_RECIPIENTS)


def allowed_subscriptions() -> Q:
    """The condition on subscriptions whose address is allowed."""
    names: tuple[str, ...] = settings.ALLOWED_RECIPIENTS
    if not names:
        return Q()
    condition = Q(subscriber__canonical__in=[name for name in names if not name.startswith("@")])
    for domain in (name for name in names if name.startswith("@")):
        condition |= Q(subscriber__canonical__endswith=domain)
    return condition


def is_allowed_recipient(canonical: str) -> bool:
    """Whether one address is allowed, in its canonical form."""
    names: tuple[str, ...] = settings.ALLOWED_RECIPIENTS
    return not names or canonical in names or f"@{canonical.rpartition('@')[2]}" in names


def may_write_to(address: str) -> bool:
    """Whether an address as it was typed is allowed. An invalid address is not, if an allowlist is set."""
    if not is_limited():
        return True
    try:
        return is_allowed_recipient(parse_address(address).canonical)
    except AddressError:
        return False
