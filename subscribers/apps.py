"""The readers' app as Django knows it."""

from django.apps import AppConfig


class SubscribersConfig(AppConfig):
    """WHO receives, and their consent."""

    name = "subscribers"
    default_auto_field = "django.db.models.BigAutoField"
