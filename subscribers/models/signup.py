"""Sign-ups: what the sign-up page stores for the worker to process."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.formats import date_format

from subscribers.models.mailing_list import MailingList


class SignupQuerySet(models.QuerySet["Signup"]):
    """Queries about sign-ups."""

    def waiting(self) -> SignupQuerySet:
        """Those that are not processed yet."""
        return self.filter(due_at__isnull=False)


class Signup(models.Model):
    """One submission of a sign-up form, for any address: the page stores it, the worker processes it.

    Kept for a day, so that the next page can send the link again without the address in its URL, and so that
    sign-ups can be counted per network.
    """

    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    mailing_list = models.ForeignKey(MailingList, on_delete=models.CASCADE, related_name="signups")
    address = models.CharField(max_length=320)
    evidence = models.JSONField(help_text="The fields of `Evidence`.")
    network = models.CharField(max_length=43, blank=True, help_text="IPv4 address, or the /64 of an IPv6 address.")
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    due_at = models.DateTimeField(null=True, default=timezone.now, help_text="Empty once it is processed.")

    objects: ClassVar[SignupQuerySet] = SignupQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        indexes = [
            models.Index(fields=["network", "created_at"], name="signup_network"),
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="signup_to_answer"),
        ]

    def __str__(self) -> str:
        return f"{self.mailing_list} · {date_format(self.created_at, 'SHORT_DATETIME_FORMAT')}"
