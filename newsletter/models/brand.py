"""The brand of a newsletter: its colours, fonts, logo, writer and texts, in mails and on web pages."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from newsletter.models.newsletter import Newsletter

MAX_LINKS = 5


class Paper(models.TextChoices):
    """The warmth of the background. Each is a set of colours in `newsletter.rendering.brand`."""

    THEME = "", _("As in the theme")
    WHITE = "white", _("White")
    WARM = "warm", _("Warm")
    COOL = "cool", _("Cool")


class FontStack(models.TextChoices):
    """Fonts that are installed on common systems, by their names in `newsletter.rendering.typography`."""

    THEME = "", _("As in the theme")
    SYSTEM_SANS = "system-sans", _("Sans-serif (of the system)")
    HUMANIST_SANS = "humanist-sans", _("Sans-serif (Seravek, Calibri)")
    GROTESQUE_SANS = "grotesque-sans", _("Sans-serif (Helvetica, Arial)")
    BOOK_SERIF = "book-serif", _("Serif (Georgia)")
    OLD_SERIF = "old-serif", _("Serif (Palatino)")
    LETTER_SERIF = "letter-serif", _("Serif (Charter)")
    SLAB_SERIF = "slab-serif", _("Serif (Rockwell)")
    MONO = "mono", _("Monospace (Menlo, Consolas)")


class FooterLink(NamedTuple):
    """A link at the end of mails and pages: a word and its address."""

    word: str
    url: str


_is_colour = RegexValidator(r"\A#[0-9a-f]{6}\Z", _("Write a color as # and six hexadecimal digits, such as #1d1e2b."))


class Brand(models.Model):
    """What a newsletter changes in its theme. Theme, logo and postal address are columns of the newsletter."""

    newsletter = models.OneToOneField(Newsletter, on_delete=models.CASCADE, primary_key=True, related_name="brand")
    accent = models.CharField(
        _("accent"),
        max_length=7,
        blank=True,
        validators=[_is_colour],
        help_text=_("Color of links, labels and buttons. Leave empty to use the theme’s."),
    )
    accent_dark = models.CharField(
        _("accent on dark screens"),
        max_length=7,
        blank=True,
        validators=[_is_colour],
        help_text=_("Leave empty to make it from the accent."),
    )
    is_exact = models.BooleanField(
        _("use these colors exactly"),
        default=False,
        help_text=_(
            "Colors that are hard to read are then not corrected, and pre-flight blocks sending until you change them."
        ),
    )
    paper = models.CharField(_("background"), max_length=8, blank=True, choices=Paper.choices)
    heading_font = models.CharField(_("headings"), max_length=20, blank=True, choices=FontStack.choices)
    text_font = models.CharField(_("text"), max_length=20, blank=True, choices=FontStack.choices)
    logo_dark_url = models.CharField(
        _("logo on dark screens"),
        max_length=2000,
        blank=True,
        help_text=_("https:// URL. Programs without dark colors of our choice show the other logo."),
    )
    logo_alt = models.CharField(
        _("alternative text of the logo"),
        max_length=100,
        blank=True,
        help_text=_("Leave empty to use the newsletter’s name."),
    )
    writer = models.CharField(
        _("writer"), max_length=100, blank=True, help_text=_("Signs each issue; in Letter, also at the top.")
    )
    portrait_url = models.CharField(
        _("portrait of the writer"),
        max_length=2000,
        blank=True,
        help_text=_("https:// URL of a square image, at least 96 pixels wide."),
    )
    tagline = models.CharField(
        _("line under the name"),
        max_length=60,
        blank=True,
        help_text=_("At most 60 characters. Shown in Gazette and on web pages."),
    )
    footer = models.CharField(
        _("sentence at the end"),
        max_length=200,
        blank=True,
        help_text=_("Leave empty to invite to a reply."),
    )
    links = models.JSONField(
        _("links at the end"), default=list, blank=True, help_text=_("A list of words and their addresses.")
    )
    share_picture_url = models.CharField(
        _("share picture"),
        max_length=2000,
        blank=True,
        help_text=_("https:// URL of an image for links to the web pages in social networks, 1200 × 630 pixels."),
    )

    #: What changes the theme, as the settings of `newsletter.rendering.brand`.
    DESIGN: ClassVar = ("accent", "accent_dark", "is_exact", "paper", "heading_font", "text_font")

    class Meta:
        verbose_name = _("brand")
        verbose_name_plural = _("brands")

    def __str__(self) -> str:
        return self.newsletter.name

    @staticmethod
    def of(newsletter: Newsletter) -> Brand:
        """The brand of a newsletter; an empty one, not stored, if it has none."""
        try:
            return newsletter.brand
        except Brand.DoesNotExist:
            return Brand(newsletter=newsletter)

    def design(self) -> dict[str, str | bool]:
        """What changes the theme, as the arguments of `BrandSettings`."""
        return {name: getattr(self, name) for name in self.DESIGN}

    def footer_links(self) -> tuple[FooterLink, ...]:
        """The links at the end of mails and pages, in order."""
        return tuple(FooterLink(word, url) for word, url in self.links)
