"""The newsletter: a publication and the mailing list that it is sent to."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from newsletter.models.weekday import Weekday
from subscribers.models import MailingList, check_time_zone

#: Slugs that a newsletter must not have, because the site uses them as the first part of its URLs; a test compares.
RESERVED_SLUGS = frozenset(
    {
        "access",
        "accounts",
        "admin",
        "api",
        "approve-address",
        "confirm",
        "confirm-address",
        "decline",
        "erase",
        "feed",
        "healthz",
        "issues",
        "l",
        "login",
        "logout",
        "media",
        "metrics",
        "preferences",
        "readyz",
        "refuse-address",
        "shared",
        "static",
        "stay",
        "subscribe",
        "unsubscribe",
        "webhooks",
    }
)


class WarmUpPlan(models.TextChoices):
    """How fast the daily limit of a warm-up grows."""

    NEW = "new", gettext_lazy("New domain: no mail was ever sent from it")
    KNOWN = "known", gettext_lazy("Known domain: it has sent other mail for some time")


class ConsentMode(models.TextChoices):
    """What subscribers agreed to concerning the tracking of opens and clicks."""

    NONE = "none", gettext_lazy("No tracking")
    AGGREGATE = "aggregate", gettext_lazy("Totals only: the same links and images for all subscribers")
    CONSENT = "consent", gettext_lazy("With consent: subscribers agree to tracking when they sign up")


class EngagementSource(models.TextChoices):
    """Where opens and clicks are learned from: one source, never two, so that no link is rewritten twice."""

    NONE = "none", gettext_lazy("None: opens and clicks are not recorded")
    PROVIDER = "provider", gettext_lazy("The provider’s tracking of the sending domain, with consent")
    OWN = "own", gettext_lazy("Links of this site that lead on to the real address")


class Newsletter(MailingList):
    """A publication. Name, sender and postal address are columns of the mailing list, which it extends."""

    mailing_list = models.OneToOneField(
        MailingList, on_delete=models.CASCADE, parent_link=True, primary_key=True, related_name="newsletter"
    )
    time_zone = models.CharField(
        gettext_lazy("time zone"),
        max_length=64,
        default="UTC",
        validators=[check_time_zone],
        help_text=gettext_lazy("The time zone of its schedules."),
    )
    theme = models.CharField(
        gettext_lazy("theme"),
        max_length=40,
        default="plain",
        help_text=gettext_lazy("The design of its issues. To add a theme, see docs/write-a-theme.md."),
    )
    logo_url = models.CharField(
        gettext_lazy("logo"),
        max_length=2000,
        blank=True,
        help_text=gettext_lazy("https:// URL of an image that replaces the name at the top of mails."),
    )
    logo_width = models.PositiveSmallIntegerField(
        gettext_lazy("logo width"),
        default=140,
        validators=[MinValueValidator(16), MaxValueValidator(552)],
        help_text=gettext_lazy("In pixels, from 16 to 552."),
    )
    hourly_limit = models.PositiveIntegerField(
        gettext_lazy("hourly limit"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=gettext_lazy("Mails per hour. Leave empty to send as fast as the provider allows."),
    )
    warm_up_since = models.DateField(
        gettext_lazy("warm-up since"),
        null=True,
        blank=True,
        help_text=gettext_lazy(
            "First day of sending from the domain. For six weeks a growing daily limit applies, to build sender "
            "reputation. Leave empty for no warm-up."
        ),
    )
    warm_up_plan = models.CharField(
        gettext_lazy("warm-up plan"),
        max_length=8,
        choices=WarmUpPlan.choices,
        default=WarmUpPlan.NEW,
        db_default=WarmUpPlan.NEW,
        help_text=gettext_lazy("How much the domain may send at the beginning."),
    )
    consent_mode = models.CharField(
        gettext_lazy("consent to tracking"),
        max_length=12,
        choices=ConsentMode.choices,
        default=ConsentMode.NONE,
        db_default=ConsentMode.NONE,
        help_text=gettext_lazy(
            "Opens and clicks of single subscribers may be tracked only with their consent. Without it, no issue is "
            "sent while the provider tracks opens or clicks of the sending domain."
        ),
    )
    engagement_source = models.CharField(
        gettext_lazy("source of opens and clicks"),
        max_length=8,
        choices=EngagementSource.choices,
        default=EngagementSource.NONE,
        db_default=EngagementSource.NONE,
        help_text=gettext_lazy(
            "Applies to issues that are scheduled or sent from now on. The provider’s tracking cannot tell recipients "
            "apart, so it needs “With consent”, and what it reports about others is not stored. Links of this site "
            "work with totals, too; with consent, only subscribers who agreed get links of their own. Default: none."
        ),
    )
    measures_opens = models.BooleanField(
        gettext_lazy("count opens"),
        default=False,
        db_default=False,
        help_text=gettext_lazy(
            "Adds an invisible image of this site to each mail. Only for links of this site. Opens are an estimate: "
            "some mail programs load every image, others none. Default: off."
        ),
    )
    sunset_after = models.PositiveSmallIntegerField(
        gettext_lazy("ask after"),
        null=True,
        blank=True,
        validators=[MinValueValidator(5), MaxValueValidator(50)],
        help_text=gettext_lazy(
            "Subscribers who opened and clicked none of so many issues are asked whether they want to stay, and "
            "unsubscribed without an answer. From 5 to 50 issues. Leave empty to turn this off."
        ),
    )
    sunset_days = models.PositiveSmallIntegerField(
        gettext_lazy("answer time"),
        default=30,
        db_default=30,
        validators=[MinValueValidator(7), MaxValueValidator(365)],
        help_text=gettext_lazy("Days to answer. Default: 30."),
    )
    inbox_days = models.PositiveSmallIntegerField(
        gettext_lazy("new links expire after"),
        default=60,
        db_default=60,
        validators=[MinValueValidator(1), MaxValueValidator(365)],
        help_text=gettext_lazy(
            "Days until a new link leaves the inbox. A link that is kept stays for a year. Default: 60."
        ),
    )
    weekly_weekday = models.PositiveSmallIntegerField(
        gettext_lazy("weekday"),
        choices=Weekday.choices,
        default=Weekday.SUNDAY,
        db_default=Weekday.SUNDAY,
        help_text=gettext_lazy("The day on which the weekly digest is sent. Default: Sunday."),
    )
    weekly_time = models.TimeField(
        gettext_lazy("time"),
        default=datetime.time(9),
        db_default=datetime.time(9),
        help_text=gettext_lazy("The time of the weekly digest in the newsletter’s time zone. Default: 09:00."),
    )
    title_pattern = models.CharField(
        gettext_lazy("title pattern"),
        max_length=150,
        blank=True,
        default="",
        db_default="",
        help_text=gettext_lazy(
            "The title of new drafts, for example {newsletter} #{number}. Other fields: {date}, {week}, {month}, "
            "{year}. Leave empty for none."
        ),
    )
    known_sources = models.TextField(
        gettext_lazy("known sources"),
        blank=True,
        help_text=gettext_lazy(
            "Source names in plain-text digests, one per line. The import uses them to tell a story’s source from its "
            "text."
        ),
    )

    class Meta:
        verbose_name = gettext_lazy("newsletter")
        verbose_name_plural = gettext_lazy("newsletters")
        constraints = [
            models.CheckConstraint(
                condition=Q(engagement_source=EngagementSource.NONE)
                | Q(engagement_source=EngagementSource.PROVIDER, consent_mode=ConsentMode.CONSENT)
                | Q(
                    engagement_source=EngagementSource.OWN,
                    consent_mode__in=(ConsentMode.AGGREGATE, ConsentMode.CONSENT),
                ),
                name="newsletter_engagement_with_consent",
            ),
            models.CheckConstraint(
                condition=Q(measures_opens=False) | Q(engagement_source=EngagementSource.OWN),
                name="newsletter_opens_by_own_image",
            ),
            models.CheckConstraint(
                condition=Q(sunset_after__isnull=True) | Q(sunset_after__gte=5), name="newsletter_sunset_after_five"
            ),
            models.CheckConstraint(
                condition=Q(weekly_weekday__lte=Weekday.SUNDAY), name="newsletter_weekly_weekday_known"
            ),
        ]

    def clean(self) -> None:
        """Refuse a slug that the site uses for other pages, and a source of opens and clicks without its consent."""
        super().clean()
        self._check_engagement()
        if self.slug.lower() in RESERVED_SLUGS:
            raise ValidationError(
                {
                    "slug": _("“%(slug)s” is the address of another page of this site. Choose a different slug.")
                    % {"slug": self.slug}
                }
            )

    def _check_engagement(self) -> None:
        source, mode = self.engagement_source, self.consent_mode
        if source == EngagementSource.PROVIDER and mode != ConsentMode.CONSENT:
            raise ValidationError(
                {
                    "engagement_source": _(
                        "The provider tracks single subscribers, which needs the consent to tracking “With consent”."
                    )
                }
            )
        if source == EngagementSource.OWN and mode == ConsentMode.NONE:
            raise ValidationError(
                {
                    "engagement_source": _(
                        "The consent to tracking is “No tracking”. Choose totals or “With consent”, or no source."
                    )
                }
            )
        if self.measures_opens and source != EngagementSource.OWN:
            raise ValidationError(
                {"measures_opens": _("An image of this site counts opens. Choose links of this site as the source.")}
            )

    def sources(self) -> tuple[str, ...]:
        """The known sources, one item per line of the field."""
        return tuple(line.strip() for line in self.known_sources.splitlines() if line.strip())

    def keep_sources(self, names: Iterable[str]) -> None:
        """Add names to the known sources; those that are there already stay as they are."""
        known = self.sources()
        added = [name for name in dict.fromkeys(" ".join(name.split()) for name in names) if name and name not in known]
        if added:
            self.known_sources = "\n".join((*known, *added))
            self.save(update_fields=["known_sources"])

    @property
    def has_consent_to_tracking(self) -> bool:
        """Whether opens and clicks of single subscribers may be tracked. Totals are no consent to that."""
        return self.consent_mode == ConsentMode.CONSENT

    @property
    def lets_provider_track(self) -> bool:
        """Whether the provider's tracking is its chosen source, with the consent that this needs."""
        return self.engagement_source == EngagementSource.PROVIDER and self.has_consent_to_tracking

    @property
    def list_id(self) -> str:
        """The identifier in List-Id headers (RFC 2919), which stays when the newsletter is renamed."""
        return f"list-{self.pk}"

    def get_absolute_url(self) -> str:
        """Path of its public page, with the sign-up form."""
        return reverse("newsletter", args=[self.slug])

    @property
    def web_url(self) -> str:
        """URL of its public page. Made from SITE_URL, never from the Host header of a request."""
        return f"{settings.SITE_URL}{self.get_absolute_url()}"

    @property
    def archive_url(self) -> str:
        """URL of its archive."""
        return f"{settings.SITE_URL}{reverse('archive', args=[self.slug])}"


def asks_for_tracking(mailing_list: MailingList) -> bool:
    """Whether this list is a newsletter whose subscribers are asked for consent to tracking."""
    return Newsletter.objects.filter(pk=mailing_list.pk, consent_mode=ConsentMode.CONSENT).exists()
