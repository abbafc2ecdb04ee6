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
        """Join the parts of the app that know nothing of each other."""
        # All need the registry of apps.
        from subscribers.consent.double_opt_in import end_holds
        from subscribers.directory.search import forget_deleted, prepare_index
        from subscribers.imports.control import ImportFiles
        from subscribers.privacy.registry import CLEANUPS
        from subscribers.privacy.retention import add_retention
        from subscribers.segments.subscription_kinds import register_kinds
        from subscribers.suppression import LIFT_LISTENERS

        register_kinds()
        add_retention(ImportFiles())
        CLEANUPS.append(forget_deleted)
        if end_holds not in LIFT_LISTENERS:
            LIFT_LISTENERS.append(end_holds)
        post_migrate.connect(prepare_index, sender=self, dispatch_uid="subscribers.search")
