"""Who carries the mail. One file knows one provider, sending and receipts together; may import `models`."""

from functools import lru_cache

from django.conf import settings

from newsletter.providers.base import Provider
from newsletter.providers.resend import ResendProvider


@lru_cache(maxsize=1)
def _provider(url: str, api_key: str, secrets: tuple[str, ...]) -> Provider:
    return ResendProvider(url=url, api_key=api_key, webhook_secrets=secrets)


def get_provider() -> Provider:
    """The provider in force. The sandbox speaks Resend's protocol, so it is the same provider at another address."""
    return _provider(settings.PROVIDER_URL, settings.PROVIDER_API_KEY, tuple(settings.WEBHOOK_SECRETS))
