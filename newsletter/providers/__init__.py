"""Providers send the mail. Each package or module implements one provider: its sending and its events."""

from collections.abc import Callable, Collection, Mapping

from django.conf import settings

from newsletter.providers import resend, smtp
from newsletter.providers.base import Provider
from newsletter.providers.clicks import ClickFacts
from newsletter.providers.resend.events import erase_client, erase_event, read_click, strip_click
from newsletter.providers.resend.search import erase_messages
from newsletter.providers.smtp.frozen import erase_mails

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


def webhook_provider(name: str) -> Provider | None:
    """The provider whose webhooks are taken at /webhooks/NAME/; None without one that is able to verify them."""
    for make in PROVIDERS.values():
        provider = make()
        if provider.name == name and provider.supports_webhooks and provider.has_webhook_secret:
            return provider
    return None


def erase_from_body(body: bytes, deliveries: Collection[int]) -> bytes:
    """A frozen body without the recipients of these deliveries, which must not be posted again.

    The beginning of a body tells whose it is. One of an unknown provider becomes empty.
    """
    if body.startswith(b"["):
        return erase_messages(body, deliveries)
    return erase_mails(body, deliveries) if body.startswith(b"{") else b""


def erase_from_event(provider: str, body: str, *, is_applied: bool) -> str:
    """The body of a stored event without what it says about a subscriber; it can still be applied."""
    return erase_event(body, is_applied=is_applied) if provider == resend.ResendProvider.name else ""


def erase_client_from_event(provider: str, body: str) -> str:
    """The body of a stored event without IP addresses and user agents. One of an unknown provider becomes empty."""
    return erase_client(body) if provider == resend.ResendProvider.name else ""


def click_of(provider: str, body: str) -> ClickFacts:
    """What the body of a stored event about an open or a click says about the visitor; empty if it says nothing."""
    return read_click(body) if provider == resend.ResendProvider.name else ClickFacts()


def without_click(provider: str, body: str) -> str:
    """The body of a new event without its visitor; it can still be applied."""
    return strip_click(body) if provider == resend.ResendProvider.name else body
