"""The issue: what editors compose, with its categories, sections and stories."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from django.apps import apps
from django.conf import settings
from django.db import models
from django.db.models import F, Prefetch, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from newsletter.models.newsletter import Newsletter
from newsletter.models.reasons import reason_sentence
from subscribers.state_machine import StateMachine

if TYPE_CHECKING:
    from newsletter.models.edition import Edition
    from newsletter.models.send import Send


class IssueState(models.TextChoices):
    """The editorial state of an issue. A `Send` has the state of sending."""

    DRAFT = "draft", _("Draft")
    # May go out at the next occurrence of the newsletter's recurring schedule; any edit makes it a draft again.
    APPROVED = "approved", _("Approved")
    # Its page was published, and it can never be scheduled or sent: an issue from the archive of another tool.
    PUBLISHED = "published", _("On the web, never mailed")


ISSUE_MACHINE = StateMachine(
    states=IssueState,
    transitions={
        IssueState.DRAFT: {IssueState.APPROVED, IssueState.PUBLISHED},
        IssueState.APPROVED: {IssueState.DRAFT},
        IssueState.PUBLISHED: set(),
    },
    initial_states={IssueState.DRAFT},
    owner="issue",
)


class IssueQuerySet(models.QuerySet["Issue"]):
    def in_bin(self) -> IssueQuerySet:
        """Those that were deleted and can be restored; for `Issue.with_bin`."""
        return self.filter(deleted_at__isnull=False)

    def with_send(self) -> IssueQuerySet:
        """With the send of each that is not withdrawn, in one further query; `current_send` then needs none.

        The manifest and the edition, which are large, are read when they are asked for.
        """
        sends = apps.get_model("newsletter", "Send").objects.current().defer("manifest")
        return self.prefetch_related(Prefetch("sends", queryset=sends, to_attr="prefetched_sends"))


if TYPE_CHECKING:
    ManagerOfIssues = models.Manager["Issue"]
else:
    ManagerOfIssues = models.Manager.from_queryset(IssueQuerySet)


class IssueManager(ManagerOfIssues):
    """Issues outside the bin, so that no page, send or schedule sees those inside it."""

    def get_queryset(self) -> IssueQuerySet:
        """Without those in the bin."""
        return IssueQuerySet(self.model, using=self._db).filter(deleted_at__isnull=True)


class Issue(models.Model):
    """What editors compose: envelope, sections and stories. It cannot be edited while a send uses it."""

    newsletter = models.ForeignKey(
        Newsletter, on_delete=models.PROTECT, related_name="issues", verbose_name=_("newsletter")
    )
    title = models.CharField(_("title"), max_length=200)
    slug = models.SlugField(
        _("slug"), max_length=120, help_text=_("Part of its web address; identifies the issue in files.")
    )
    date = models.DateField(_("date"), default=datetime.date.today)
    subject = models.CharField(_("subject"), max_length=200, blank=True, help_text=_("Empty: the title."))
    preheader = models.CharField(
        _("preheader"), max_length=200, blank=True, help_text=_("The line that inboxes show beside the subject.")
    )
    categories: models.ManyToManyField[Category, IssueCategory] = models.ManyToManyField(
        "Category", through="IssueCategory", related_name="issues"
    )

    state = models.CharField(max_length=10, choices=IssueState.choices, default=IssueState.DRAFT, editable=False)
    revision = models.PositiveIntegerField(
        default=0, editable=False, help_text=_("Counts the saves that changed something.")
    )
    approved_revision = models.PositiveIntegerField(
        null=True, editable=False, help_text=_("The revision that was approved.")
    )
    hold_reason = models.CharField(
        max_length=64,
        blank=True,
        default="",
        editable=False,
        help_text=_("Code of why it needs an operator: it was due and was not sent."),
    )
    hold_values = models.JSONField(default=dict, editable=False)
    digest_at = models.DateTimeField(
        null=True,
        editable=False,
        help_text=_("The end of the week of which this is the weekly digest. Empty: an ordinary issue."),
    )
    number = models.PositiveIntegerField(
        _("number"), null=True, blank=True, help_text=_("Of this issue in its newsletter. Leave empty for none.")
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    deleted_at = models.DateTimeField(
        _("deleted at"), null=True, editable=False, help_text=_("When it was moved to the bin. Empty: it was not.")
    )
    deleted_by = models.CharField(
        _("deleted by"), max_length=150, blank=True, default="", db_default="", editable=False
    )

    #: Without those in the bin. It comes first: Django's admin and related managers use it.
    objects: ClassVar[IssueQuerySet] = IssueManager()  # type: ignore[assignment]
    with_bin: ClassVar[IssueQuerySet] = IssueQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("issue")
        verbose_name_plural = _("issues")
        ordering = ["-date", "-pk"]
        permissions = [("send_issue", "Can schedule, send, pause and cancel issues")]
        constraints = [
            # An issue in the bin leaves its slug and its number to others.
            models.UniqueConstraint(
                fields=["newsletter", "slug"], condition=Q(deleted_at__isnull=True), name="issue_slug_once"
            ),
            models.UniqueConstraint(
                fields=["newsletter", "number"], condition=Q(deleted_at__isnull=True), name="issue_number_once"
            ),
            models.UniqueConstraint(fields=["newsletter", "digest_at"], name="issue_one_digest_per_week"),
            models.CheckConstraint(condition=Q(state__in=IssueState.values), name="issue_state_known"),
            # What was approved is what stands there.
            models.CheckConstraint(
                condition=~Q(state=IssueState.APPROVED) | Q(approved_revision=F("revision")),
                name="issue_approved_as_it_is",
            ),
            models.CheckConstraint(
                condition=Q(deleted_at__isnull=True) | Q(state=IssueState.DRAFT, hold_reason=""),
                name="issue_in_bin_waits_for_nothing",
            ),
        ]
        indexes = [
            models.Index(fields=["deleted_at"], condition=Q(deleted_at__isnull=False), name="issue_in_bin"),
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        """Path of its page in the archive."""
        return reverse("issue", args=[self.newsletter.slug, self.slug])

    @property
    def web_url(self) -> str:
        """Address of its page in the archive, for mails and feeds; of a digest, which has none, that of the archive."""
        if self.is_digest:
            return self.newsletter.archive_url
        return f"{settings.SITE_URL}{self.get_absolute_url()}"

    @property
    def is_digest(self) -> bool:
        """Whether it is the weekly digest of other issues: sent once a week to those who chose that, and not public."""
        return self.digest_at is not None

    @property
    def current_send(self) -> Send | None:
        """Its send that is not withdrawn; one small query, unless it was read `with_send`."""
        prefetched: list[Send] | None = getattr(self, "prefetched_sends", None)
        if prefetched is not None:
            return prefetched[0] if prefetched else None
        send: Send | None = self.sends.current().defer("manifest").first()
        if send is not None:
            send.issue = self
        return send

    @property
    def status(self) -> str:
        """What editors see: the state of its send, else its own. One of SendState or IssueState."""
        send = self.current_send
        return send.state if send else self.state

    def get_status_display(self) -> str:
        """`status` as a label."""
        send = self.current_send
        return str(send.get_state_display() if send else self.get_state_display())

    @property
    def edition(self) -> Edition | None:
        """The frozen edition of its send, if it has one."""
        send = self.current_send
        return send.edition if send else None

    @property
    def is_editable(self) -> bool:
        """Whether its content may change: as long as no send uses it, and it was not published without one."""
        return not self.is_published_without_send and self.current_send is None

    @property
    def is_published_without_send(self) -> bool:
        """Whether it is on the web and was never mailed. It cannot be scheduled or sent."""
        return self.state == IssueState.PUBLISHED

    @property
    def hold_sentence(self) -> str:
        """Why it needs an operator."""
        return reason_sentence(self.hold_reason, self.hold_values)

    def move(
        self, target: str, *, by: str, reason: str = "", values: Mapping[str, Any] | None = None, **changes: Any
    ) -> None:
        """Move it along one transition with `changes`, and append it to its history. Raises InvalidTransition."""
        changes.setdefault("updated_at", timezone.now())
        ISSUE_MACHINE.move_with_history(self, target, IssueTransition, by=by, reason=reason, values=values, **changes)

    def revoke_approval(self, *, by: str, reason: str) -> None:
        """Make an approved issue a draft again, so that no recurring schedule sends it; a draft stays one."""
        self.refresh_from_db(fields=["state"])
        if self.state == IssueState.APPROVED:
            self.move(IssueState.DRAFT, by=by, reason=reason, approved_revision=None)


class IssueTransition(models.Model):
    """One line of an issue's history before it is sent; append-only."""

    issue = models.ForeignKey(Issue, on_delete=models.CASCADE, related_name="transitions")
    source = models.CharField(max_length=10, choices=IssueState.choices)
    target = models.CharField(max_length=10, choices=IssueState.choices)
    by = models.CharField(max_length=150, help_text=_("An editor's user name, or the step that did it."))
    reason = models.CharField(max_length=64, blank=True, default="")
    values = models.JSONField(default=dict)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.source} → {self.target}"


class Category(models.Model):
    """A word under which issues of a newsletter are filed."""

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


#: The kinds of `content.document.SectionKind`, which may not be imported here; a test keeps them equal.
SECTION_KINDS = (
    *("section", "text", "callout", "quote", "button", "image", "links", "divider", "contents", "sponsor"),
)


class Section(models.Model):
    """A part of an issue: a section with a heading, or a block such as a callout or a picture. It may hold stories."""

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
    """One story of a section. Title, link and text may be missing in a draft; pre-flight reports it."""

    section = models.ForeignKey(Section, on_delete=models.CASCADE, related_name="stories")
    position = models.PositiveSmallIntegerField()
    title = models.CharField(max_length=300, blank=True)
    url = models.CharField(max_length=2000, blank=True)
    source = models.CharField(max_length=100, blank=True)
    body = models.TextField(blank=True)
    image = models.CharField(max_length=2000, blank=True, default="", db_default="")
    alt = models.CharField(max_length=300, blank=True, default="", db_default="")
    page_sha256 = models.CharField(max_length=64, blank=True, default="", db_default="", editable=False)

    class Meta:
        ordering = [F("section__position").asc(), "position"]
        verbose_name_plural = "stories"
        indexes = [models.Index(fields=["page_sha256"], condition=~Q(page_sha256=""), name="story_page")]
        constraints = [
            models.UniqueConstraint(fields=["section", "position"], name="story_position_once"),
        ]

    def __str__(self) -> str:
        return self.title
