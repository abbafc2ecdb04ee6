"""Who carries the mail. One file knows one provider, sending and receipts together."""

from collections.abc import Callable, Mapping

from django.conf import settings

from newsletter.providers import smtp
from newsletter.providers.base import Provider
from newsletter.providers.resend import provider as resend

#: What makes each provider, by the name that PROVIDER has for it. The sandbox speaks Resend's protocol, so it is the
#: same provider at another address.
PROVIDERS: Mapping[str, Callable[[], Provider]] = {
    "sandbox": resend.from_settings,
    "resend": resend.from_settings,
    "smtp": smtp.from_settings,
}

#: The providers in their order: the first that takes mail has it.
Route = tuple[Provider, ...]


def get_route() -> Route:
    """The providers in force, as PROVIDER names them; the same ones as long as their settings are the same."""
    return tuple(PROVIDERS[name]() for name in settings.PROVIDER.split(","))


def get_provider() -> Provider:
    """The first of the route: the one that carries mail while nothing is wrong."""
    return get_route()[0]
