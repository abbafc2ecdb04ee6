"""The app configuration of subscribers."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SubscribersConfig(AppConfig):
    """Who receives mail, and their consent."""

    name = "subscribers"
    verbose_name = _("Subscribers")
    default_auto_field = "django.db.models.BigAutoField"
