"""The app configuration of subscribers."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class SubscribersConfig(AppConfig):
    """Who receives mail, and their consent."""

    name = "subscribers"
    verbose_name = _("Subscribers")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the kinds of rules of segments, and have the index of the search made after migrations."""
        # Both need the registry of apps.
        from subscribers.directory.search import prepare_index
        from subscribers.segments.subscription_kinds import register_kinds

        register_kinds()
        post_migrate.connect(prepare_index, sender=self, dispatch_uid="subscribers.search")
