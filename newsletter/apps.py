"""The publishing app as Django knows it."""

from importlib import import_module

from django.apps import AppConfig


class NewsletterConfig(AppConfig):
    """WHAT is sent and WHEN."""

    name = "newsletter"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks."""
        import_module("newsletter.checks")
