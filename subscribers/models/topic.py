"""Topics: parts of a list that subscribers may leave without leaving the list."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from subscribers.models.mailing_list import MailingList
from subscribers.models.subscription import Subscription
from subscribers.models.validators import check_header_text


class Topic(models.Model):
    """A topic of one mailing list. Subscribers get its issues unless they have chosen not to."""

    mailing_list = models.ForeignKey(
        MailingList, on_delete=models.CASCADE, related_name="topics", verbose_name=_("mailing list")
    )
    name = models.CharField(_("name"), max_length=100, validators=[check_header_text])
    slug = models.SlugField(_("slug"), max_length=60)
    description = models.CharField(
        _("description"), max_length=200, blank=True, help_text=_("Shown on the preferences page.")
    )
    position = models.PositiveSmallIntegerField(_("position"), default=0)

    class Meta:
        verbose_name, verbose_name_plural = _("topic"), _("topics")
        ordering: ClassVar = ["position", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["mailing_list", "slug"], name="topic_once_per_list"),
        ]

    def __str__(self) -> str:
        return self.name


class TopicOptOut(models.Model):
    """A subscription gets no issues of a topic. No row means that it gets them, also of topics that are made later."""

    topic = models.ForeignKey(Topic, on_delete=models.CASCADE, related_name="opt_outs", db_index=False)
    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="topic_opt_outs")

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["topic", "subscription"], name="topic_opt_out_once"),
        ]

    def __str__(self) -> str:
        return f"{self.subscription} · {self.topic}"
