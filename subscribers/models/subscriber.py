"""Subscribers: one row per address."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from subscribers.models.validators import check_header_text, check_time_zone


class Subscriber(models.Model):
    """One row per canonical address. Two addresses with the same `canonical` form belong to the same subscriber."""

    address = models.CharField(
        _("address"), max_length=320, help_text=_("As the subscriber typed it. Mail is sent to this form.")
    )
    canonical = models.CharField(_("canonical address"), max_length=320, unique=True, editable=False)
    first_name = models.CharField(
        _("first name"),
        max_length=60,
        blank=True,
        validators=[check_header_text],
        help_text=_("As the subscriber entered it. Issues can use it in a greeting."),
    )
    time_zone = models.CharField(
        _("time zone"),
        max_length=64,
        blank=True,
        validators=[check_time_zone],
        help_text=_("Used for issues that are sent at the local time of each subscriber."),
    )
    language = models.CharField(
        _("language"),
        max_length=10,
        blank=True,
        default="",
        db_default="",
        choices=settings.LANGUAGES,
        help_text=_("The subscriber’s choice for pages and confirmation mails. Empty: the language of the list."),
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    signups_allowed_at = models.DateTimeField(
        _("sign-ups allowed at"),
        null=True,
        editable=False,
        help_text=_("Unanswered confirmation mails are counted from this time on."),
    )
    declined_at = models.DateTimeField(
        _("declined at"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("When the subscriber chose “This was not me”. No confirmation mail is sent after that."),
    )

    class Meta:
        verbose_name, verbose_name_plural = _("subscriber"), _("subscribers")
        permissions = [
            ("view_personal_data", _("Can view full addresses, IP addresses and clicks")),
            ("export_subscriber", _("Can export subscribers")),
        ]

    def __str__(self) -> str:
        return self.address
