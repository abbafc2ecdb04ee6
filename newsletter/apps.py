"""The publishing app as Django knows it, and its system checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Warning, register
from django.utils import formats, translation

from newsletter.config import failpoints, translatable


class NewsletterConfig(AppConfig):
    """WHAT is sent and WHEN."""

    name = "newsletter"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks, install the translator, and arm the failpoint if one is set."""
        register(check_proxies)
        # Both need the registry of apps.
        from newsletter.models.reasons import PROVIDER_SENTENCES
        from newsletter.providers.reasons import REASONS

        PROVIDER_SENTENCES.update(REASONS)
        translatable.install(translation.gettext, translation.ngettext, _separators)
        failpoints.arm(failpoints.read_failpoint(settings.FAILPOINT))


def check_proxies(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Warn about an https site without a trusted proxy: gunicorn itself serves http only, so there must be one."""
    if not settings.IS_ENCRYPTED or settings.TRUSTED_PROXIES:
        return []
    return [
        Warning(
            "SITE_URL is https, but TRUSTED_PROXIES is 0: all requests seem to come from the reverse proxy, so that "
            "all visitors share one sign-up limit.",
            hint="Set TRUSTED_PROXIES=1 if one reverse proxy sets X-Forwarded-For and X-Forwarded-Proto.",
            id="newsletter.W001",
        )
    ]


def _separators() -> tuple[str, str]:
    """The separators of thousands and of decimals in the active language."""
    return str(formats.get_format("THOUSAND_SEPARATOR")), str(formats.get_format("DECIMAL_SEPARATOR"))
