"""Providers send the mail. Each package or module implements one provider: its sending and its events."""

from collections.abc import Callable, Mapping

from django.conf import settings

from newsletter.providers import resend, smtp
from newsletter.providers.base import Provider

#: The factory of each provider, by its name in PROVIDER. The sandbox speaks Resend's API, so it is the same provider at
#: another URL.
PROVIDERS: Mapping[str, Callable[[], Provider]] = {
    "sandbox": resend.from_settings,
    "resend": resend.from_settings,
    "smtp": smtp.from_settings,
}

#: Providers in their order. New batches go to the first one that is available.
Route = tuple[Provider, ...]


def get_route() -> Route:
    """The providers that PROVIDER names; the same objects as long as their settings are the same."""
    return tuple(PROVIDERS[name]() for name in settings.PROVIDER.split(","))


def get_provider() -> Provider:
    """The first provider of the route."""
    return get_route()[0]


def webhook_providers() -> Route:
    """Every provider that sends webhooks, once, whether or not PROVIDER names it.

    After a change of PROVIDER, events of the former provider still arrive, and stored ones are still to be applied.
    """
    providers = {provider.name: provider for provider in (make() for make in PROVIDERS.values())}
    return tuple(provider for provider in providers.values() if provider.supports_webhooks)
