"""The publishing app as Django knows it."""

from importlib import import_module

from django.apps import AppConfig
from django.conf import settings
from django.utils import formats, translation

from newsletter.config import failpoints, translatable


class NewsletterConfig(AppConfig):
    """WHAT is sent and WHEN."""

    name = "newsletter"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks, install the translator, and arm the failpoint if one is set."""
        import_module("newsletter.config.checks")
        translatable.install(translation.gettext, translation.ngettext, _separators)
        failpoints.arm(failpoints.read_failpoint(settings.FAILPOINT))


def _separators() -> tuple[str, str]:
    """Those of thousands and of decimals in the active language."""
    return str(formats.get_format("THOUSAND_SEPARATOR")), str(formats.get_format("DECIMAL_SEPARATOR"))
