"""The publishing app as Django knows it."""

from django.apps import AppConfig


class NewsletterConfig(AppConfig):
    """WHAT is sent and WHEN."""

    name = "newsletter"
    default_auto_field = "django.db.models.BigAutoField"
