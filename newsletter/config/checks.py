"""Settings that are each right and together wrong, as system checks: `manage.py check` and every start name them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Warning, register


@register
def check_proxies(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """An https site stands behind a proxy, since our own processes speak http only."""
    if not settings.IS_ENCRYPTED or settings.TRUSTED_PROXIES:
        return []
    return [
        Warning(
            "SITE_URL is https, but TRUSTED_PROXIES is 0: all readers would seem to come from the proxy and share one "
            "limit of sign-ups.",
            hint="Set TRUSTED_PROXIES=1 if one proxy stands in front and sets X-Forwarded-For and X-Forwarded-Proto.",
            id="newsletter.W001",
        )
    ]
