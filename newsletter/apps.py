"""The publishing app as Django knows it."""

from importlib import import_module

from django.apps import AppConfig
from django.conf import settings

from newsletter.config import failpoints


class NewsletterConfig(AppConfig):
    """WHAT is sent and WHEN."""

    name = "newsletter"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks, and arm the process if it takes part in a failpoint."""
        import_module("newsletter.config.checks")
        failpoints.arm(failpoints.read_failpoint(settings.FAILPOINT))
