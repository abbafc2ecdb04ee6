"""Mailing lists, each with its sender, language and pages."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from subscribers.models.validators import (
    check_address,
    check_contact,
    check_header_text,
    check_origins,
    check_sender_name,
    check_web_address,
)


class MailingList(models.Model):
    """A mailing list, with the sender and the language of its mails and pages."""

    name = models.CharField(_("name"), max_length=100, validators=[check_header_text])
    slug = models.SlugField(
        _("slug"), max_length=60, unique=True, help_text=_("Part of the URLs of this list’s pages.")
    )
    description = models.CharField(
        _("description"),
        max_length=300,
        blank=True,
        help_text=_("What subscribers receive and how often. Shown on the sign-up page."),
    )
    sender_name = models.CharField(_("sender name"), max_length=100, validators=[check_sender_name])
    sender_email = models.EmailField(
        _("sender address"),
        validators=[check_address],
        help_text=_("Its domain must be verified with your provider."),
    )
    reply_to = models.EmailField(
        _("reply-to address"),
        blank=True,
        validators=[check_address],
        help_text=_("Where replies go. Default: the sender address."),
    )
    postal_address = models.TextField(
        _("postal address"),
        blank=True,
        help_text=_(
            "Your postal address, shown at the end of every mail. Required by law: no issue is sent without it."
        ),
    )
    language = models.CharField(
        _("language"),
        max_length=10,
        choices=settings.LANGUAGES,
        default="en",
        help_text=_("The language of this list’s issues, pages and confirmation mails."),
    )
    privacy_url = models.CharField(
        _("privacy policy"),
        max_length=500,
        blank=True,
        default="",
        db_default="",
        validators=[check_web_address],
        help_text=_("https:// URL of your privacy policy (GDPR Art. 13). Linked on the sign-up page and in its mail."),
    )
    complaint_contact = models.CharField(
        _("complaint contact"),
        max_length=254,
        blank=True,
        default="",
        db_default="",
        validators=[check_contact],
        help_text=_(
            "Email address or https:// URL for complaints about the use of personal data. Shown on the sign-up page "
            "and in its mail."
        ),
    )
    is_embeddable = models.BooleanField(
        _("sign-up from other sites"),
        default=False,
        db_default=False,
        help_text=_("Accept the sign-up form from pages of other sites, and offer it as a frame."),
    )
    frame_origins = models.TextField(
        _("sites that may frame the form"),
        blank=True,
        default="",
        db_default="",
        max_length=2000,
        validators=[check_origins],
        help_text=_(
            "Origins that may show the sign-up form in a frame, one per line, such as https://www.example.org. "
            "* allows every site. Empty: none."
        ),
    )

    is_listed = models.BooleanField(
        _("listed"),
        default=False,
        db_default=False,
        help_text=_("Subscribers of the other lists of this site see it on their preferences page and can join it."),
    )
    offers_weekly = models.BooleanField(
        _("offers a weekly mail"),
        default=False,
        db_default=False,
        help_text=_("Subscribers can choose to get all issues of a week in one mail."),
    )

    class Meta:
        verbose_name, verbose_name_plural = _("mailing list"), _("mailing lists")

    def __str__(self) -> str:
        return self.name

    @property
    def postal_line(self) -> str:
        """The postal address on one line, for the footer of a page."""
        return ", ".join(line.strip(" ,") for line in self.postal_address.splitlines() if line.strip(" ,"))

    @property
    def complaint_url(self) -> str:
        """The complaint contact as a link; empty if there is none."""
        contact = self.complaint_contact
        return f"mailto:{contact}" if "@" in contact and "/" not in contact else contact

    @property
    def allowed_frame_origins(self) -> list[str]:
        """The origins that may frame the sign-up form; `*` for every site."""
        return self.frame_origins.split() if self.is_embeddable else []

    @property
    def page_language(self) -> str:
        """The language of pages and mails: that of the list, or English if they are not translated into it."""
        return supported_language(self.language)


def supported_language(language: str) -> str:
    """This language, if pages and mails are translated into it, else English.

    A regional variant falls back to its language: `de-AT` to `de`.
    """
    try:
        return translation.get_supported_language_variant(language)
    except LookupError:
        return settings.LANGUAGE_CODE
