"""The web page of an issue where it differs from its mail: versions of its content, visibility, and their history.

An issue that was sent has a page without any row here: it shows the content of the edition, and is listed. A row is
made by the first correction or change of visibility, and for an issue that is published without being mailed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from newsletter.models.issue import Issue
from newsletter.models.reasons import actor_name
from subscribers.state_machine import StateMachine


class Visibility(models.TextChoices):
    """Who finds the page of an issue."""

    LISTED = "listed", gettext_lazy("Listed")
    # In the archive and the feed, but not in the sitemap; search engines are asked to leave it out.
    NOT_INDEXED = "not_indexed", gettext_lazy("Hidden from search engines")
    # In no list, feed or sitemap; those who hold its link can read it.
    UNLISTED = "unlisted", gettext_lazy("Unlisted")
    # The page says that the issue was withdrawn (410 Gone).
    TAKEN_DOWN = "taken_down", gettext_lazy("Taken down")


#: The visibilities with which an issue is in the archive and the feed.
IN_LISTS = (Visibility.LISTED, Visibility.NOT_INDEXED)

WEB_PAGE_MACHINE = StateMachine(
    states=Visibility,
    transitions={each: set(Visibility) - {each} for each in Visibility},
    initial_states={Visibility.LISTED, Visibility.NOT_INDEXED, Visibility.UNLISTED},
    field="visibility",
    owner="page",
)


class WebVersionIsImmutable(Exception):
    """A web version was changed; correct the page again to make another."""

    permanent = True


class WebVersionSource(models.TextChoices):
    """Where the content of a web version comes from."""

    EDITION = "edition", gettext_lazy("As it was mailed")
    IMPORT = "import", gettext_lazy("As it was imported")
    CORRECTION = "correction", gettext_lazy("Correction")


class WebVersionQuerySet(models.QuerySet["WebVersion"]):
    """Versions can be read and created, not changed."""

    def update(self, **changes: Any) -> int:
        """Refused."""
        raise WebVersionIsImmutable(f"A web version cannot be changed ({', '.join(changes)}).")


class WebVersion(models.Model):
    """The content of an issue's web page from one moment on. Append-only.

    Version 1 is the content that was mailed or imported; it is stored with the first correction, or by the import.
    """

    issue = models.ForeignKey(Issue, on_delete=models.PROTECT, related_name="web_versions")
    number = models.PositiveIntegerField(gettext_lazy("number"))
    content = models.JSONField(gettext_lazy("content"), help_text=gettext_lazy("As in an edition."))
    sha256 = models.CharField(gettext_lazy("SHA-256"), max_length=64, help_text=gettext_lazy("Of the content."))
    source = models.CharField(gettext_lazy("source"), max_length=10, choices=WebVersionSource.choices)
    note = models.CharField(
        gettext_lazy("note to visitors"),
        max_length=500,
        blank=True,
        default="",
        help_text=gettext_lazy("What was corrected, for visitors. Empty for the first version and minor corrections."),
    )
    is_minor = models.BooleanField(
        gettext_lazy("minor"), default=False, help_text=gettext_lazy("The page has no note about it.")
    )
    shows_changes = models.BooleanField(
        gettext_lazy("changes are public"),
        default=True,
        help_text=gettext_lazy("Off: visitors see neither its changes nor those of earlier corrections."),
    )
    by = models.CharField(
        gettext_lazy("made by"), max_length=150, help_text=gettext_lazy("User name, or the step that made it.")
    )
    at = models.DateTimeField(gettext_lazy("made at"), default=timezone.now)

    objects = WebVersionQuerySet.as_manager()

    class Meta:
        verbose_name = gettext_lazy("web version")
        verbose_name_plural = gettext_lazy("web versions")
        default_permissions = ()
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["issue", "number"], name="web_version_once_per_number"),
            models.CheckConstraint(condition=Q(source__in=WebVersionSource.values), name="web_version_source_known"),
            models.CheckConstraint(
                condition=~Q(source=WebVersionSource.CORRECTION) | Q(is_minor=True) | ~Q(note=""),
                name="web_version_correction_has_a_note",
            ),
        ]

    def __str__(self) -> str:
        return _("Web version %(number)s") % {"number": self.number}

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert it; a second save is refused."""
        if not self._state.adding:
            raise WebVersionIsImmutable("A web version cannot be changed; correct the page again.")
        super().save(*args, **kwargs)

    @property
    def actor(self) -> str:
        """Who made it, as shown."""
        return actor_name(self.by)


class WebPage(models.Model):
    """The page of an issue on the web, where it differs from what its send makes of it."""

    issue = models.OneToOneField(Issue, on_delete=models.PROTECT, related_name="web_page")
    published_at = models.DateTimeField(
        null=True, help_text=gettext_lazy("When an issue that was never mailed was published. Empty: as it was sent.")
    )
    visibility = models.CharField(
        gettext_lazy("visibility"), max_length=12, choices=Visibility.choices, default=Visibility.LISTED
    )
    version = models.ForeignKey(
        WebVersion,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text=gettext_lazy("The version that is shown. Empty: the content that was mailed."),
    )
    changed_at = models.DateTimeField(
        default=timezone.now, help_text=gettext_lazy("When its content or visibility changed last.")
    )

    class Meta:
        verbose_name = gettext_lazy("web page")
        verbose_name_plural = gettext_lazy("web pages")
        default_permissions = ()
        constraints = [
            models.CheckConstraint(condition=Q(visibility__in=Visibility.values), name="web_page_visibility_known"),
            models.CheckConstraint(
                condition=Q(published_at__isnull=True) | Q(version__isnull=False), name="web_page_unsent_has_a_version"
            ),
        ]

    def __str__(self) -> str:
        return str(self.get_visibility_display())

    @property
    def is_listed(self) -> bool:
        """Whether lists and feeds have it, as far as its send allows."""
        return self.visibility in IN_LISTS

    def move(self, target: str, *, by: str, values: Mapping[str, Any] | None = None, **changes: Any) -> None:
        """Change its visibility, and append that to its history. Raises InvalidTransition."""
        changes.setdefault("changed_at", timezone.now())
        WEB_PAGE_MACHINE.move_with_history(self, target, WebPageTransition, by=by, values=values, **changes)


class WebPageTransition(models.Model):
    """One line of the history of a page's visibility; append-only. `values` has the reason as `text`."""

    page = models.ForeignKey(WebPage, on_delete=models.PROTECT, related_name="transitions")
    source = models.CharField(max_length=12, blank=True, choices=Visibility.choices)
    target = models.CharField(max_length=12, choices=Visibility.choices)
    by = models.CharField(max_length=150, help_text=gettext_lazy("An editor's user name, or the step that did it."))
    reason = models.CharField(max_length=64, blank=True, default="")
    values = models.JSONField(default=dict)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.source} → {self.target}"

    @property
    def actor(self) -> str:
        """Who did it, as shown."""
        return actor_name(self.by)

    @property
    def text(self) -> str:
        """The reason that was given; may be empty."""
        return str(self.values.get("text", ""))
