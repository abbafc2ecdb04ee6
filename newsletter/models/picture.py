"""The picture: one entry of a newsletter's library, its files, and the issues and editions that have it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from newsletter.models.edition import Edition
from newsletter.models.issue import Issue
from newsletter.models.newsletter import Newsletter

#: What addresses of files begin with, after SITE_URL.
MEDIA_PATH = "/media/"


class FileIsImmutable(Exception):
    """A file of a picture was changed. Its address is in mails; a new file has a new address."""

    permanent = True


class FileUse(models.TextChoices):
    """What a file is for."""

    LARGE = "large", _("Whole picture, at most 1200 pixels wide")
    STORY = "story", _("Part around the focus, three by two")


class Picture(models.Model):
    """A picture of a newsletter's library, with what editors say about it. Its address is that of a file."""

    newsletter = models.ForeignKey(Newsletter, on_delete=models.CASCADE, related_name="pictures")
    name = models.CharField(_("name"), max_length=120)
    sha256 = models.CharField(
        max_length=64, editable=False, help_text=_("Of the large file. Uploading a picture again finds it by this.")
    )
    alt = models.CharField(_("alternative text"), max_length=300, blank=True)
    is_decorative = models.BooleanField(
        _("decorative"), default=False, help_text=_("It adds nothing to the text, so screen readers skip it.")
    )
    credit = models.CharField(_("credit"), max_length=200, blank=True, help_text=_("Who made it, for the library."))
    focus_x = models.PositiveSmallIntegerField(_("focus, left %"), default=50, validators=[MaxValueValidator(100)])
    focus_y = models.PositiveSmallIntegerField(_("focus, top %"), default=50, validators=[MaxValueValidator(100)])
    uploaded_by = models.CharField(_("uploaded by"), max_length=150, blank=True, help_text=_("User name, or the step."))
    uploaded_at = models.DateTimeField(_("uploaded at"), default=timezone.now)

    class Meta:
        ordering = ["-pk"]
        verbose_name = _("picture")
        verbose_name_plural = _("pictures")
        constraints = [
            models.UniqueConstraint(fields=["newsletter", "sha256"], name="picture_once_per_newsletter"),
            models.CheckConstraint(
                condition=Q(focus_x__lte=100) & Q(focus_y__lte=100), name="picture_focus_within_picture"
            ),
            models.CheckConstraint(condition=Q(is_decorative=False) | Q(alt=""), name="picture_decorative_without_alt"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def lacks_alt(self) -> bool:
        """Whether an alternative text is still to be written."""
        return not self.alt and not self.is_decorative


class PictureFileQuerySet(models.QuerySet["PictureFile"]):
    """Files can be added, read, and removed with their picture; only whether one is in use changes."""

    def update(self, **changes: Any) -> int:
        """Refused but for `is_current`."""
        if set(changes) - {"is_current"}:
            raise FileIsImmutable(f"A file of a picture cannot be changed ({', '.join(changes)}).")
        return super().update(**changes)


class PictureFile(models.Model):
    """One file of a picture in the storage. Immutable: mails that were sent load it from its address for years."""

    picture = models.ForeignKey(Picture, on_delete=models.CASCADE, related_name="files")
    use = models.CharField(max_length=8, choices=FileUse.choices)
    path = models.CharField(max_length=200, unique=True, help_text=_("In the storage, and after /media/."))
    width = models.PositiveSmallIntegerField()
    height = models.PositiveSmallIntegerField()
    bytes = models.PositiveIntegerField()
    is_current = models.BooleanField(default=True, help_text=_("Whether it is what editors choose now."))
    made_at = models.DateTimeField(default=timezone.now)

    objects = PictureFileQuerySet.as_manager()

    class Meta:
        verbose_name = _("file of a picture")
        verbose_name_plural = _("files of pictures")
        constraints = [
            models.UniqueConstraint(
                fields=["picture", "use"], condition=Q(is_current=True), name="picture_file_current_once"
            ),
            models.CheckConstraint(condition=Q(use__in=FileUse.values), name="picture_file_use_known"),
        ]

    def __str__(self) -> str:
        return self.path

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert it; a second save is refused."""
        if not self._state.adding:
            raise FileIsImmutable("A file of a picture cannot be changed; a new file has a new address.")
        super().save(*args, **kwargs)

    @property
    def address(self) -> str:
        """Its public address, made from SITE_URL: what content and mails have."""
        return f"{media_prefix()}{self.path}"

    @property
    def local_url(self) -> str:
        """Its address within the site, for pages of the admin."""
        return f"{MEDIA_PATH}{self.path}"


class IssuePicture(models.Model):
    """A picture in the content of an issue, noted with each save; so where a picture is used is found by an index."""

    issue = models.ForeignKey(Issue, on_delete=models.CASCADE, related_name="pictures")
    picture = models.ForeignKey(Picture, on_delete=models.PROTECT, related_name="issues")

    class Meta:
        verbose_name = _("picture of an issue")
        verbose_name_plural = _("pictures of issues")
        constraints = [models.UniqueConstraint(fields=["issue", "picture"], name="issue_picture_once")]

    def __str__(self) -> str:
        return f"{self.issue_id} · {self.picture_id}"


class EditionPicture(models.Model):
    """A picture in an edition. It keeps the picture: recipients load it from the mail that they have."""

    edition = models.ForeignKey(Edition, on_delete=models.CASCADE, related_name="pictures")
    picture = models.ForeignKey(Picture, on_delete=models.PROTECT, related_name="editions")

    class Meta:
        verbose_name = _("picture of an edition")
        verbose_name_plural = _("pictures of editions")
        constraints = [models.UniqueConstraint(fields=["edition", "picture"], name="edition_picture_once")]

    def __str__(self) -> str:
        return f"{self.edition_id} · {self.picture_id}"


def media_prefix() -> str:
    """What the addresses of all files begin with."""
    return f"{settings.SITE_URL}{MEDIA_PATH}"


def path_in(address: str) -> str:
    """The path of a file in the storage, by its address; empty for addresses of other sites."""
    prefix = media_prefix()
    return address[len(prefix) :] if address.startswith(prefix) else ""
