"""Tags: words that editors and imports give to subscriptions."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from subscribers.models.mailing_list import MailingList
from subscribers.models.subscription import Subscription
from subscribers.models.validators import check_header_text


def tag_key(name: str) -> str:
    """What tells tags apart: the name without capital letters."""
    return name.casefold()


class Tag(models.Model):
    """A tag of one mailing list. Capital and small letters make no difference."""

    mailing_list = models.ForeignKey(
        MailingList, on_delete=models.CASCADE, related_name="tags", verbose_name=_("mailing list")
    )
    name = models.CharField(_("name"), max_length=60, validators=[check_header_text])
    key = models.CharField(
        max_length=180,
        editable=False,
        help_text=_("The name without capital letters."),
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name, verbose_name_plural = _("tag"), _("tags")
        constraints = [
            models.UniqueConstraint(fields=["mailing_list", "key"], name="tag_once_per_list"),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.key = tag_key(self.name)
        super().save(*args, **kwargs)


class SubscriptionTag(models.Model):
    """A subscription has a tag."""

    tag = models.ForeignKey(Tag, on_delete=models.CASCADE, related_name="subscription_tags", db_index=False)
    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="subscription_tags")

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["tag", "subscription"], name="subscription_tag_once"),
        ]

    def __str__(self) -> str:
        return f"{self.subscription} · {self.tag}"
