"""What a provider last said about each sending domain of the account."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import ClassVar

from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from subscribers.addresses import domain_of

#: An older state counts as unknown: the domain may have been changed since, and the key may no longer read it.
MAX_AGE = datetime.timedelta(days=1)


class ProviderDomainQuerySet(models.QuerySet["ProviderDomain"]):
    """Questions about sending domains."""

    def of_sender(self, address: str, providers: Collection[str], now: datetime.datetime) -> ProviderDomainQuerySet:
        """What is known of the domain of this sender address at these providers."""
        known = self.filter(checked_at__gt=now - MAX_AGE, provider__in=providers)
        return known.filter(name=domain_of(address)).order_by("provider")

    def tracked(self) -> ProviderDomainQuerySet:
        """Those whose opens or clicks the provider tracks, as far as it is known."""
        return self.filter(models.Q(open_tracking=True) | models.Q(click_tracking=True))

    def with_known_tracking(self) -> ProviderDomainQuerySet:
        """Those of which the provider reported both."""
        return self.filter(open_tracking__isnull=False, click_tracking__isnull=False)


class ProviderDomain(models.Model):
    """A sending domain at a provider, as it was when the provider was last asked; the worker asks every few minutes."""

    provider = models.CharField(_("provider"), max_length=32)
    name = models.CharField(_("domain"), max_length=255)
    status = models.CharField(_("status"), max_length=32, help_text=_("The provider's word, such as “verified”."))
    open_tracking = models.BooleanField(
        _("open tracking"), null=True, help_text=_("Empty if the provider did not report it.")
    )
    click_tracking = models.BooleanField(
        _("click tracking"), null=True, help_text=_("Empty if the provider did not report it.")
    )
    checked_at = models.DateTimeField(_("checked at"))

    objects: ClassVar[ProviderDomainQuerySet] = ProviderDomainQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("sending domain")
        verbose_name_plural = _("sending domains")
        constraints = [
            models.UniqueConstraint(fields=["provider", "name"], name="provider_domain_once"),
        ]

    def __str__(self) -> str:
        return gettext("%(domain)s at %(provider)s") % {"domain": self.name, "provider": self.provider}
