"""What was clicked of the stories of an edition, and when: sums that are kept for pages about many issues."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from newsletter.models.edition import Edition

#: The position of the row that stands for the whole mail: all of its links, also those outside of stories.
WHOLE_MAIL = 0

#: The kind of rows of stories; those of blocks have a SectionKind.
STORY = "story"


class EditionStory(models.Model):
    """One story or block of an edition that has links, with the sums of what was clicked of them.

    The first row of an edition, WHOLE_MAIL, sums up all links; its `source` is that of opens and clicks, empty where
    none were counted. It is there for every edition whose stories are listed.
    """

    edition = models.ForeignKey(
        Edition, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="stories"
    )
    position = models.PositiveSmallIntegerField(help_text=_("In reading order, from 1; 0 is the whole mail."))
    kind = models.CharField(max_length=10, blank=True)
    title = models.CharField(_("title"), max_length=300, blank=True)
    source = models.CharField(
        _("source"), max_length=200, blank=True, help_text=_("Its source, or the host of its first link.")
    )
    url = models.TextField(blank=True, help_text=_("The address of its first link."))
    first_number = models.PositiveSmallIntegerField(help_text=_("Its first link, as hits number them."))
    last_number = models.PositiveSmallIntegerField()
    humans = models.IntegerField(default=0, help_text=_("Humans who clicked, once for each link."))
    machine_hits = models.IntegerField(default=0, help_text=_("Hits that were not judged to be a human’s."))

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["edition", "position"], name="edition_story_once"),
            models.CheckConstraint(
                condition=Q(humans__gte=0) & Q(machine_hits__gte=0), name="edition_story_counts_positive"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.position} · {self.title}: {self.humans}"


class ClickHour(models.Model):
    """Humans who clicked any link of an edition in one hour, once for each link."""

    edition = models.ForeignKey(
        Edition, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="click_hours"
    )
    hour = models.DateTimeField()
    humans = models.IntegerField(default=0)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["edition", "hour"], name="click_hour_once"),
            models.CheckConstraint(condition=Q(humans__gte=0), name="click_hour_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:%M}: {self.humans}"
