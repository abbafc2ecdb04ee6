"""Consents: the append-only proof of every step of a subscription."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from subscribers.models.subscription import Subscription
from subscribers.models.suppression import SuppressionReason
from subscribers.models.transactional_mail import TransactionalMail


class ConsentText(models.Model):
    """A text that subscribers agreed to. One row is shared by all consents to it. Append-only."""

    sha256 = models.CharField(max_length=64, unique=True, editable=False)
    form = models.CharField(max_length=40, help_text=_("The form or mail that showed it."))
    version = models.CharField(max_length=20)
    text = models.TextField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"{self.form} {self.version}"


class ConsentKind(models.TextChoices):
    """The steps of a subscription."""

    REQUESTED = "requested", _("Requested")
    CONFIRMED = "confirmed", _("Confirmed")
    IMPORTED = "imported", _("Imported with proof of consent")
    PAUSED = "paused", pgettext_lazy("subscription", "Paused")
    RESUMED = "resumed", _("Resumed")
    UNSUBSCRIBED = "unsubscribed", _("Unsubscribed")
    DECLINED = "declined", _("Declined: “This was not me”")
    SUPPRESSED = "suppressed", _("Suppressed")


#: The steps by which mail is refused.
REFUSALS = (ConsentKind.UNSUBSCRIBED, ConsentKind.DECLINED, ConsentKind.SUPPRESSED)


class ConsentForm(models.TextChoices):
    """Where a step was taken."""

    SIGNUP = "signup", _("Sign-up form")
    SIGNUP_AGAIN = "signup-again", _("“Send the link again” after the sign-up form")
    CONFIRM = "confirm", _("Confirmation page")
    CONFIRM_AGAIN = "confirm-again", _("“Send a new link” on the confirmation page")
    DECLINE = "decline", _("Decline page")
    DECLINE_UNDO = "decline-undo", _("Undo on the decline page")
    UNSUBSCRIBE = "unsubscribe", _("Unsubscribe page")
    UNSUBSCRIBE_UNDO = "unsubscribe-undo", _("Undo on the unsubscribe page")
    ONE_CLICK = "one-click", _("One-click unsubscribe of the mail program")
    UNSUBSCRIBE_REASON = "unsubscribe-reason", _("Question for the reason, after unsubscribing")
    PREFERENCES = "preferences", _("Preferences page")
    ADMIN = "admin", _("Admin")
    SUPPRESSION = "suppression", _("Suppression")
    STAY = "stay", _("“Keep my subscription” after “Do you still want this newsletter?”")
    SUNSET = "sunset", _("No answer to “Do you still want this newsletter?”")
    IMPORT = "import", _("Import")


class LeaveReason(models.TextChoices):
    """Why a subscriber has unsubscribed; asked afterwards, and never before."""

    TOO_MANY = "too_many", _("Too many mails")
    NOT_EXPECTED = "not_expected", _("Not what I expected")
    NEVER_SIGNED_UP = "never_signed_up", _("I never signed up")
    OTHER = "other", _("Another reason")


class Consent(models.Model):
    """The proof of one step of a subscription (GDPR Art. 7(1)).

    Append-only: database triggers refuse to change or delete a row. For erasure, the columns in PERSONAL_COLUMNS can
    be emptied.
    """

    PERSONAL_COLUMNS: ClassVar = ("address", "canonical", "source", "ip", "user_agent", "by", "detail")

    subscription = models.ForeignKey(
        Subscription, on_delete=models.SET_NULL, null=True, related_name="consents", verbose_name=_("subscription")
    )
    kind = models.CharField(_("kind"), max_length=12, choices=ConsentKind.choices)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    address = models.CharField(_("address"), max_length=320, blank=True, help_text=_("As the subscriber typed it."))
    canonical = models.CharField(_("canonical address"), max_length=320, blank=True)
    list_name = models.CharField(_("list name"), max_length=100, help_text=_("The name of the list at that time."))
    form = models.CharField(
        _("form"),
        max_length=40,
        choices=ConsentForm.choices,
        help_text=_("Where the step was taken: a form, a link in a mail, an import."),
    )
    text = models.ForeignKey(
        ConsentText,
        on_delete=models.PROTECT,
        null=True,
        # An index would be written with each row, and nothing looks for the proofs of one text.
        db_index=False,
        verbose_name=_("text"),
        help_text=_("The text that the subscriber saw."),
    )
    language = models.CharField(_("language"), max_length=10, blank=True)
    source = models.CharField(_("source"), max_length=300, blank=True, help_text=_("The path of the page."))
    ip = models.GenericIPAddressField(_("IP address"), null=True)
    user_agent = models.CharField(_("user agent"), max_length=300, blank=True)
    transactional_mail = models.ForeignKey(
        TransactionalMail,
        on_delete=models.SET_NULL,
        null=True,
        db_index=False,
        related_name="+",
        verbose_name=_("transactional mail"),
        help_text=_("The mail that this step sent, or whose link it used."),
    )
    by = models.CharField(
        _("by"), max_length=150, blank=True, help_text=_("The editor’s user name. Empty if the subscriber acted.")
    )
    reason = models.CharField(
        _("reason"),
        max_length=12,
        blank=True,
        choices=SuppressionReason.choices,
        help_text=_("Why the address was suppressed."),
    )
    detail = models.CharField(_("detail"), max_length=300, blank=True)
    # NULL and not empty: PostgreSQL and SQLite add such columns without writing the table anew.
    mail_reference = models.BigIntegerField(
        _("mail"), null=True, help_text=_("The number of the mail by whose link the subscription was ended.")
    )
    leave_reason = models.CharField(  # noqa: DJ001
        _("reason of the subscriber"),
        max_length=20,
        null=True,
        choices=LeaveReason.choices,
        help_text=_("Why the subscriber has unsubscribed, as a code. It stays when the detail is erased."),
    )

    class Meta:
        verbose_name, verbose_name_plural = _("consent"), _("consents")
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=ConsentKind.values), name="consent_kind_known"),
            # Each mail is counted once for each subscription that was ended by it.
            models.UniqueConstraint(
                fields=["mail_reference", "subscription"],
                condition=Q(mail_reference__isnull=False) & ~Q(form=ConsentForm.UNSUBSCRIBE_REASON),
                name="consent_left_by_mail_once",
            ),
        ]
        indexes = [
            # What an import looks up: a “no” whose subscription was deleted still counts.
            models.Index(
                fields=["canonical"],
                condition=Q(subscription__isnull=True, kind__in=REFUSALS),
                name="consent_of_deleted",
            ),
            models.Index(
                fields=["transactional_mail"],
                condition=Q(transactional_mail__isnull=False),
                name="consent_with_mail",
            ),
            # Why subscriptions were suppressed lately; there are few.
            models.Index(
                fields=["created_at"], condition=Q(kind=ConsentKind.SUPPRESSED), name="consent_of_suppression"
            ),
            # By which the numbers of a mail are counted anew.
            models.Index(fields=["mail_reference"], condition=Q(mail_reference__isnull=False), name="consent_by_mail"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} · {date_format(self.created_at, 'SHORT_DATETIME_FORMAT')}"

    @property
    def detail_in_words(self) -> str:
        """The detail, in the active language as far as it is a code."""
        if self.form != ConsentForm.UNSUBSCRIBE_REASON:
            return self.detail
        code, colon, text = self.detail.partition(": ")
        label = str(LeaveReason(code).label) if code in LeaveReason.values else code
        return f"{label}{colon}{text}"
