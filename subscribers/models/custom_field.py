"""Custom fields: what an editor wants to know about the subscribers of a list, and the values."""

from __future__ import annotations

from typing import ClassVar

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from subscribers.models.mailing_list import MailingList
from subscribers.models.subscription import Subscription

#: Names of merge fields that every subscriber has.
BUILT_IN_FIELDS = ("first_name", "email")

#: The longest text and the largest number of options of a field.
MAX_TEXT, MAX_OPTIONS = 500, 100


class FieldKind(models.TextChoices):
    """The type of a field's values."""

    TEXT = "text", pgettext_lazy("type of a field", "Text")
    NUMBER = "number", pgettext_lazy("type of a field", "Number")
    DATE = "date", pgettext_lazy("type of a field", "Date")
    YES_NO = "yes_no", pgettext_lazy("type of a field", "Yes or no")
    CHOICE = "choice", pgettext_lazy("type of a field", "One of several options")
    CHOICES = "choices", pgettext_lazy("type of a field", "Several options")


class FieldAsked(models.TextChoices):
    """When subscribers are asked for a value."""

    NEVER = "never", pgettext_lazy("when a field is asked", "Never")
    SIGNUP = "signup", pgettext_lazy("when a field is asked", "On the sign-up form")
    CONFIRMED = "confirmed", pgettext_lazy("when a field is asked", "After confirming")


class CustomField(models.Model):
    """A field of one mailing list. Its key is its name in merge fields, files and the API, and never changes."""

    mailing_list = models.ForeignKey(
        MailingList, on_delete=models.CASCADE, related_name="custom_fields", verbose_name=_("mailing list")
    )
    key = models.CharField(
        _("key"),
        max_length=40,
        validators=[
            RegexValidator(r"^[a-z][a-z0-9_]*\Z", _("Use small letters, digits and _, beginning with a letter."))
        ],
        help_text=_("The name in merge fields and files, such as “city” for {city|your town}. It cannot be changed."),
    )
    label = models.CharField(_("label"), max_length=100, help_text=_("Shown to subscribers and editors."))
    help_text = models.CharField(_("help text"), max_length=200, blank=True, help_text=_("Shown below the field."))
    kind = models.CharField(_("type"), max_length=8, choices=FieldKind.choices, default=FieldKind.TEXT)
    options = models.JSONField(
        _("options"), default=list, blank=True, help_text=_("The options of a choice, in their order.")
    )
    is_editable = models.BooleanField(
        _("editable by subscribers"),
        default=True,
        help_text=_("Subscribers can change the value on their preferences page."),
    )
    asked = models.CharField(_("asked"), max_length=9, choices=FieldAsked.choices, default=FieldAsked.NEVER)
    is_required = models.BooleanField(
        _("required"), default=False, help_text=_("Where it is asked, the form is not accepted without it.")
    )
    position = models.PositiveSmallIntegerField(_("position"), default=0)

    class Meta:
        verbose_name, verbose_name_plural = _("custom field"), _("custom fields")
        ordering: ClassVar = ["position", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["mailing_list", "key"], name="custom_field_key_once_per_list"),
            models.CheckConstraint(condition=Q(kind__in=FieldKind.values), name="custom_field_kind_known"),
            models.CheckConstraint(condition=Q(asked__in=FieldAsked.values), name="custom_field_asked_known"),
            models.CheckConstraint(condition=~Q(key__in=BUILT_IN_FIELDS), name="custom_field_key_free"),
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def is_multiple(self) -> bool:
        """Whether a subscription may have several values."""
        return self.kind == FieldKind.CHOICES


class FieldValue(models.Model):
    """One value of a field; a field with several options has one row per chosen option.

    Typed rows instead of a JSON column: each comparison of a segment is read from an index, on SQLite, too. Text,
    options and “yes” or “no” are in `text`.
    """

    field = models.ForeignKey(CustomField, on_delete=models.CASCADE, related_name="values", db_index=False)
    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="field_values")
    is_multiple = models.BooleanField(default=False, db_default=False)
    text = models.CharField(max_length=MAX_TEXT, default="", db_default="", blank=True)
    number = models.DecimalField(max_digits=24, decimal_places=6, null=True)
    date = models.DateField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["field", "subscription"], condition=Q(is_multiple=False), name="field_value_once"
            ),
            models.UniqueConstraint(fields=["field", "text", "subscription"], name="field_value_option_once"),
        ]
        indexes = [
            models.Index(
                fields=["field", "number", "subscription"], condition=Q(number__isnull=False), name="field_value_number"
            ),
            models.Index(
                fields=["field", "date", "subscription"], condition=Q(date__isnull=False), name="field_value_date"
            ),
            # Segments compare texts without regard to capital letters.
            models.Index("field", Upper("text"), "subscription", condition=~Q(text=""), name="field_value_upper"),
        ]

    def __str__(self) -> str:
        return f"{self.field}: {self.text or self.number or self.date}"
