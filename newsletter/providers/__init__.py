"""Who carries the mail. One file knows one provider, sending and receipts together; may import `models`."""

from collections.abc import Callable, Mapping

from django.conf import settings

from newsletter.providers import resend, smtp
from newsletter.providers.base import Provider

#: What makes each provider, by the name that PROVIDER has for it. The sandbox speaks Resend's protocol, so it is the
#: same provider at another address.
PROVIDERS: Mapping[str, Callable[[], Provider]] = {
    "sandbox": resend.from_settings,
    "resend": resend.from_settings,
    "smtp": smtp.from_settings,
}


def get_provider() -> Provider:
    """The provider in force; the same one as long as its settings are the same."""
    return PROVIDERS[settings.PROVIDER]()
