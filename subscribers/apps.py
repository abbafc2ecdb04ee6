"""The app configuration of subscribers."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SubscribersConfig(AppConfig):
    """Who receives mail, and their consent."""

    name = "subscribers"
    verbose_name = _("Subscribers")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the kinds of rules of segments."""
        # Needs the registry of apps.
        from subscribers.segments.subscription_kinds import register_kinds

        register_kinds()
