"""The issue: what editors compose, its states, and the one table of arrows between them."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import Any, ClassVar

from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone

from newsletter.models.edition import Edition
from newsletter.models.newsletter import Newsletter


class IssueStatus(models.TextChoices):
    """Where an issue stands on its way."""

    DRAFT = "draft", "Draft"
    SCHEDULED = "scheduled", "Scheduled"
    SENDING = "sending", "Sending"
    PAUSED = "paused", "Paused"
    SENT = "sent", "Sent"
    CANCELLED = "cancelled", "Cancelled"


#: From each state, the states it may move to. Nothing else ever changes `Issue.status`.
TRANSITIONS: dict[str, frozenset[str]] = {
    IssueStatus.DRAFT: frozenset({IssueStatus.SCHEDULED, IssueStatus.SENDING}),
    # Back to draft: the schedule was taken off. To sending: its time came, or somebody pressed Send now.
    IssueStatus.SCHEDULED: frozenset({IssueStatus.DRAFT, IssueStatus.SENDING}),
    # Back to draft: Send now was undone before anything of it was posted.
    IssueStatus.SENDING: frozenset({IssueStatus.PAUSED, IssueStatus.SENT, IssueStatus.CANCELLED, IssueStatus.DRAFT}),
    # Paused never becomes sent by itself: a resume that finds nothing left to do ends as sent. Back to draft:
    # as above.
    IssueStatus.PAUSED: frozenset({IssueStatus.SENDING, IssueStatus.CANCELLED, IssueStatus.DRAFT}),
    # Who was refused is tried again, because a person said so.
    IssueStatus.SENT: frozenset({IssueStatus.SENDING}),
    # What is out is out; there is no way back from a cancelled send, corrections are a new issue.
    IssueStatus.CANCELLED: frozenset(),
}

#: States in which an issue is, or was, on its way to readers, and is never edited again.
PUBLISHED = (IssueStatus.SENDING, IssueStatus.PAUSED, IssueStatus.SENT, IssueStatus.CANCELLED)


class InvalidTransition(Exception):
    """The issue is not in a state from which it could move there; the sentence says in which it is."""

    permanent = True


class IssueQuerySet(models.QuerySet["Issue"]):
    """Questions about issues."""

    def due(self, moment: datetime.datetime | Now) -> IssueQuerySet:
        """Scheduled issues whose time has come, the longest waiting first; not those that wait for a person."""
        is_its_turn = Q(hold_reason="") | Q(next_try_at__lte=moment)
        due = self.filter(is_its_turn, status=IssueStatus.SCHEDULED, scheduled_at__lte=moment)
        return due.order_by("scheduled_at", "pk")

    def public(self) -> IssueQuerySet:
        """Issues that readers may see on the web, newest first.

        A cancelled send is withdrawn from there, and one that can still be undone has not come yet.
        """
        may_be_undone = Q(status=IssueStatus.SENDING, posts_from__gt=timezone.now())
        return self.filter(
            ~may_be_undone,
            status__in=(IssueStatus.SENDING, IssueStatus.PAUSED, IssueStatus.SENT),
            edition__isnull=False,
        ).order_by("-started_at", "-pk")


class Issue(models.Model):
    """What editors compose: envelope, sections and stories. Its content is frozen when sending starts."""

    newsletter = models.ForeignKey(Newsletter, on_delete=models.PROTECT, related_name="issues")
    title = models.CharField(max_length=200)
    slug = models.SlugField(max_length=120, help_text="Part of its web address; identifies it in files.")
    date = models.DateField(default=datetime.date.today)
    subject = models.CharField(max_length=200, blank=True, help_text="Empty: the title.")
    preheader = models.CharField(max_length=200, blank=True, help_text="The line that inboxes show beside the subject.")
    categories: models.ManyToManyField[Category, IssueCategory] = models.ManyToManyField(
        "Category", through="IssueCategory", related_name="issues"
    )

    status = models.CharField(max_length=10, choices=IssueStatus.choices, default=IssueStatus.DRAFT, editable=False)
    revision = models.PositiveIntegerField(
        default=0, editable=False, help_text="Counts the saves that changed something."
    )
    hold_reason = models.CharField(max_length=500, blank=True, editable=False, help_text="Why it is paused or waits.")
    next_try_at = models.DateTimeField(
        null=True, editable=False, help_text="Its start failed, as hold_reason says; it is tried again then."
    )
    waits_for_provider = models.BooleanField(
        default=False,
        editable=False,
        help_text="It was paused because no provider takes mail; it goes on when one does.",
    )

    scheduled_at = models.DateTimeField(null=True, blank=True, editable=False)
    scheduled_zone = models.CharField(max_length=64, blank=True, editable=False)
    scheduled_wall = models.CharField(
        max_length=16, blank=True, editable=False, help_text="What clocks there show then: 2027-03-30T07:00."
    )
    is_local = models.BooleanField(
        default=False, editable=False, help_text="Each reader gets it when their own clock shows that time."
    )
    ready_revision = models.PositiveIntegerField(
        null=True, editable=False, help_text="The revision that may go out at the newsletter's next slot."
    )

    edition = models.OneToOneField(
        Edition,
        on_delete=models.PROTECT,
        null=True,
        editable=False,
        related_name="sent_as",
        help_text="The edition that goes out. Set once, so that an issue never goes out in two.",
    )
    manifest = models.JSONField(
        null=True, editable=False, help_text="The manifest under which it was started: what, to how many, to whom."
    )
    manifest_sha256 = models.CharField(
        max_length=64, blank=True, editable=False, help_text="The manifest that a person approved; no other is started."
    )
    started_at = models.DateTimeField(null=True, editable=False)
    posts_from = models.DateTimeField(
        null=True, editable=False, help_text="Nothing is posted before; until then Send now can be undone."
    )
    is_braked = models.BooleanField(
        default=False, editable=False, help_text="It was paused because too many mails went wrong."
    )
    tolerated = models.JSONField(
        default=dict, editable=False, help_text="Shares of mails gone wrong with which a person resumed it."
    )
    expanded_through = models.BigIntegerField(
        default=0, editable=False, help_text="The last subscription that got its delivery row."
    )
    expanded_at = models.DateTimeField(null=True, editable=False)
    excluded = models.JSONField(
        default=dict, editable=False, help_text="How many members of the list were left out, by reason."
    )
    finished_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[IssueQuerySet] = IssueQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-date", "-pk"]
        permissions = [("send_issue", "Can schedule, send, pause and cancel issues")]
        constraints = [
            models.UniqueConstraint(fields=["newsletter", "slug"], name="issue_slug_once_per_newsletter"),
            models.CheckConstraint(condition=Q(status__in=IssueStatus.values), name="issue_status_known"),
            models.CheckConstraint(
                condition=~Q(status=IssueStatus.SCHEDULED) | Q(scheduled_at__isnull=False),
                name="issue_scheduled_has_a_time",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=PUBLISHED) | Q(edition__isnull=False, started_at__isnull=False),
                name="issue_under_way_has_its_edition",
            ),
            models.CheckConstraint(
                condition=~Q(status=IssueStatus.SENT) | Q(finished_at__isnull=False, expanded_at__isnull=False),
                name="issue_sent_is_finished",
            ),
        ]
        indexes = [
            # The worker asks at every turn which schedules are due.
            models.Index(fields=["scheduled_at"], condition=Q(status=IssueStatus.SCHEDULED), name="issue_due"),
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        """Path of its page in the archive."""
        return reverse("issue", args=[self.newsletter.slug, self.slug])

    @property
    def is_editable(self) -> bool:
        """Whether its content may still change: a draft's only."""
        return self.status == IssueStatus.DRAFT

    @property
    def web_url(self) -> str:
        """Address of its page in the archive, for mails and feeds."""
        return f"{settings.SITE_URL}{self.get_absolute_url()}"

    def move(self, to: str, *, by: str, only_from: Collection[str] = (), reason: str = "", **changes: Any) -> None:
        """Move along one arrow of TRANSITIONS, writing `changes` with it, and record who did it and why.

        `only_from` names the states that the verb means, where several arrows lead to `to`: a resume must not start
        a draft. The row is locked and looked at first, so of two that press at once one wins and the other gets
        InvalidTransition (R-116). `changes` are field values of this row.
        """
        with transaction.atomic():
            row = Issue.objects.select_for_update().filter(pk=self.pk).values_list("status", flat=True).first()
            if row is None or to not in TRANSITIONS[row] or (only_from and row not in only_from):
                raise InvalidTransition(_refusal(row, to))
            Issue.objects.filter(pk=self.pk).update(status=to, updated_at=timezone.now(), **changes)
            IssueTransition.objects.create(issue=self, source=row, target=to, by=by, reason=reason)
        self.refresh_from_db()


def _refusal(status: str | None, to: str) -> str:
    if status is None:
        return "This issue no longer exists."
    return f"This issue is {IssueStatus(status).label.lower()}, so it cannot become {IssueStatus(to).label.lower()}."


class IssueTransition(models.Model):
    """One step an issue took. Together they are the history of its states; nothing changes or removes them."""

    issue = models.ForeignKey(Issue, on_delete=models.CASCADE, related_name="transitions")
    source = models.CharField(max_length=10, choices=IssueStatus.choices)
    target = models.CharField(max_length=10, choices=IssueStatus.choices)
    by = models.CharField(max_length=150, help_text="An editor's name, or the step that did it.")
    reason = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.source} → {self.target}"


class Category(models.Model):
    """A word that issues of a newsletter are filed under."""

    newsletter = models.ForeignKey(Newsletter, on_delete=models.CASCADE, related_name="categories")
    name = models.CharField(max_length=60)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "categories"
        constraints = [models.UniqueConstraint(fields=["newsletter", "name"], name="category_once_per_newsletter")]

    def __str__(self) -> str:
        return self.name


class IssueCategory(models.Model):
    """A category of an issue, in the order in which the editor named them."""

    issue = models.ForeignKey(Issue, on_delete=models.CASCADE)
    category = models.ForeignKey(Category, on_delete=models.CASCADE)
    position = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["issue", "category"], name="issue_category_once"),
            models.UniqueConstraint(fields=["issue", "position"], name="issue_category_position_once"),
        ]

    def __str__(self) -> str:
        return str(self.category)


#: The kinds of `content.document.SectionKind`, which may not be imported from here; a test holds them together.
SECTION_KINDS = ("section", "callout", "quote", "button", "image", "links", "divider", "contents", "sponsor")


class Section(models.Model):
    """A part of an issue: a headed section, or a block such as a call-out or a picture. Stories may follow it."""

    issue = models.ForeignKey(Issue, on_delete=models.CASCADE, related_name="sections")
    position = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=10, choices=[(kind, kind) for kind in SECTION_KINDS], default=SECTION_KINDS[0])
    title = models.CharField(max_length=200, blank=True)
    body = models.TextField(blank=True)
    url = models.CharField(max_length=2000, blank=True)
    source = models.CharField(max_length=100, blank=True)
    image = models.CharField(max_length=2000, blank=True)
    alt = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["issue", "position"], name="section_position_once"),
            models.CheckConstraint(condition=Q(kind__in=SECTION_KINDS), name="section_kind_known"),
        ]

    def __str__(self) -> str:
        return self.title


class Story(models.Model):
    """One story of a section. Title, link and text may be missing in a draft; pre-flight asks for them."""

    section = models.ForeignKey(Section, on_delete=models.CASCADE, related_name="stories")
    position = models.PositiveSmallIntegerField()
    title = models.CharField(max_length=300, blank=True)
    url = models.CharField(max_length=2000, blank=True)
    source = models.CharField(max_length=100, blank=True)
    body = models.TextField(blank=True)

    class Meta:
        ordering = [F("section__position").asc(), "position"]
        verbose_name_plural = "stories"
        constraints = [
            models.UniqueConstraint(fields=["section", "position"], name="story_position_once"),
        ]

    def __str__(self) -> str:
        return self.title
