"""The newsletter: a publication, and by construction the one mailing list it is sent to."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.urls import reverse

from subscribers.models import MailingList, check_time_zone

#: First parts of paths that are not a newsletter's; a test holds them against every address of the site.
RESERVED_SLUGS = frozenset(
    {
        "accounts",
        "admin",
        "api",
        "confirm",
        "decline",
        "feed",
        "healthz",
        "issues",
        "login",
        "logout",
        "media",
        "metrics",
        "preferences",
        "readyz",
        "static",
        "subscribe",
        "unsubscribe",
        "webhooks",
    }
)


class Newsletter(MailingList):
    """A publication. Name, sender and postal address stand on the mailing list, which it extends row by row."""

    mailing_list = models.OneToOneField(
        MailingList, on_delete=models.CASCADE, parent_link=True, primary_key=True, related_name="newsletter"
    )
    time_zone = models.CharField(
        max_length=64,
        default="UTC",
        validators=[check_time_zone],
        help_text="Schedules are meant in this zone.",
    )
    theme = models.CharField(
        max_length=40, default="plain", help_text="How its issues look; docs/write-a-theme.md tells how to add one."
    )
    logo_url = models.CharField(
        "logo", max_length=2000, blank=True, help_text="https address of a picture that stands for the name in mails."
    )
    logo_width = models.PositiveSmallIntegerField(
        default=140, validators=[MinValueValidator(16), MaxValueValidator(552)], help_text="In pixels, at most 552."
    )
    hourly_limit = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="The most mails that go out within an hour. Empty: as fast as the provider allows.",
    )
    warm_up_since = models.DateField(
        "warm-up since",
        null=True,
        blank=True,
        help_text="First day of a new sending domain: for a week, fewer mails a day go out, so that it earns a name.",
    )
    known_sources = models.TextField(
        blank=True,
        help_text="Sources that plain-text digests name, one per line: they tell where its text begins.",
    )

    def clean(self) -> None:
        """Refuse a slug whose page would lie under another page of the site."""
        super().clean()
        if self.slug.lower() in RESERVED_SLUGS:
            raise ValidationError(
                {"slug": f"“{self.slug}” is the address of another page of this site. Choose another."}
            )

    def sources(self) -> tuple[str, ...]:
        """The known sources, as the digest reader takes them."""
        return tuple(line.strip() for line in self.known_sources.splitlines() if line.strip())

    @property
    def list_id(self) -> str:
        """The list's name for mail programs, which stays when the newsletter is renamed (R-15)."""
        return f"list-{self.pk}"

    def get_absolute_url(self) -> str:
        """Path of its page, where readers sign up."""
        return reverse("newsletter", args=[self.slug])

    @property
    def web_url(self) -> str:
        """Address of its page for mails and feeds; from the configured site, never from a request (R-160)."""
        return f"{settings.SITE_URL}{self.get_absolute_url()}"

    @property
    def archive_url(self) -> str:
        """Address of the list of its issues."""
        return f"{settings.SITE_URL}{reverse('archive', args=[self.slug])}"
