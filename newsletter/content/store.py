"""Issue content in and out of the tables: the one way in, which keeps a revision."""

from __future__ import annotations

import enum
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from django.db import transaction
from django.db.models import F, Prefetch
from django.utils import timezone

from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.fields import content_faults
from newsletter.content.problems import IssueReading
from newsletter.content.revisions import keep_revision, keep_what_stood_before
from newsletter.models import Category, Issue, IssueCategory, Newsletter, Section, Story

log = logging.getLogger(__name__)

_SECTION_COLUMNS = ("kind", "title", "body", "url", "source", "image", "alt")

#: The revision of an issue that is not there: what is based on it makes a new one, and replaces none.
NO_REVISION = -1


class ContentError(Exception):
    """The content was not stored, and nothing has changed. The message says why, for the person who pressed save."""

    permanent = True


class IssueIsClosed(ContentError):
    """The issue is past draft: its content no longer changes."""


class ContentIsUnfit(ContentError):
    """The content holds what must not be stored; `faults` are the sentences, one for each."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


class StaleRevision(ContentError):
    """Somebody else has saved the issue since this content was read from it."""


class Outcome(enum.StrEnum):
    """What an import did."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The issue that a file became, and what that took."""

    issue: Issue
    outcome: Outcome


def load_content(issue: Issue) -> IssueContent:
    """Everything editors wrote in `issue`, in reading order. Three queries, however many stories there are."""
    stories = Prefetch("stories", queryset=Story.objects.order_by("position"))
    sections = issue.sections.order_by("position").prefetch_related(stories)
    categories = issue.issuecategory_set.order_by("position").values_list("category__name", flat=True)
    return IssueContent(
        title=issue.title,
        slug=issue.slug,
        date=issue.date,
        subject=issue.subject or issue.title,
        preheader=issue.preheader,
        categories=tuple(categories),
        sections=tuple(_section_content(section) for section in sections),
    )


def save_content(issue: Issue, content: IssueContent, *, by: str, based_on: int | None = None, note: str = "") -> bool:
    """Make `content` the whole content of the draft `issue`, keep it as a revision, and say whether anything changed.

    `by` names the editor or step, and `note` what the save was where it was no ordinary one. `based_on` is the
    revision that the editor started from: when somebody else has saved other words since, StaleRevision is raised
    instead of overwriting them. Line ends become `\\n`, as browsers send `\\r\\n`. Raises IssueIsClosed past draft and
    ContentIsUnfit for what must not be stored (R-19, R-62). All or nothing, and the `revision` counts up only if
    something changed.
    """
    content = _fit(content)
    with transaction.atomic():
        row = Issue.objects.select_for_update().get(pk=issue.pk)
        stored = load_content(row)
        changed = stored != content
        # Who saves what is stored already (a second click) overwrites nobody.
        _refuse_unless_editable(row, based_on if changed else None)
        _refuse_taken_slug(row, content.slug)
        if changed:
            keep_what_stood_before(row, stored)
            _replace(row, content)
            keep_revision(row, row.revision + 1, content, by=by, note=note)
    issue.refresh_from_db()
    if changed:
        log.info(
            "Issue %s of newsletter %s saved as revision %s by %s", row.slug, row.newsletter_id, issue.revision, by
        )
    return changed


def import_issue(
    newsletter: Newsletter,
    reading: IssueReading,
    *,
    by: str = "import",
    based_on: int | None = None,
    note: str = "Imported from a file",
) -> ImportResult:
    """Make the file's content an issue of `newsletter`: a new draft, or the next revision of the draft of its slug.

    Doing it again changes nothing. An issue past draft is left as it is: IssueIsClosed, unless the file says what
    it says already. `based_on` is the revision that the importer has seen, NO_REVISION if there was no such issue:
    when another stands there by now, StaleRevision is raised. Raises ContentError, and then has changed nothing.
    """
    content = _fit(reading.content)
    with transaction.atomic():
        issue, created = Issue.objects.get_or_create(
            newsletter=newsletter, slug=content.slug, defaults={"title": content.title, "date": content.date}
        )
        if not created and load_content(issue) == content:
            return ImportResult(issue, Outcome.UNCHANGED)
        save_content(issue, content, by=by, based_on=None if created else based_on, note=note)
    return ImportResult(issue, Outcome.CREATED if created else Outcome.UPDATED)


def with_plain_line_ends(content: IssueContent) -> IssueContent:
    """`content` with `\\n` at the end of each line of its bodies, however they were typed."""
    sections = (
        replace(section, body=_plain(section.body), stories=tuple(_plain_story(story) for story in section.stories))
        for section in content.sections
    )
    return replace(content, sections=tuple(sections))


def _fit(content: IssueContent) -> IssueContent:
    """`content` as it is stored, if it may be; else ContentIsUnfit."""
    content = with_plain_line_ends(content)
    if faults := tuple(content_faults(content)):
        raise ContentIsUnfit(faults)
    return content


def _plain_story(story: StoryContent) -> StoryContent:
    return replace(story, body=_plain(story.body))


def _plain(body: str) -> str:
    return body.replace("\r\n", "\n").replace("\r", "\n")


def _section_content(section: Section) -> SectionContent:
    stories = (
        StoryContent(title=story.title, url=story.url, source=story.source, body=story.body)
        for story in section.stories.all()
    )
    return SectionContent(
        kind=SectionKind(section.kind),
        title=section.title,
        body=section.body,
        url=section.url,
        source=section.source,
        image=section.image,
        alt=section.alt,
        stories=tuple(stories),
    )


def _refuse_unless_editable(row: Issue, based_on: int | None) -> None:
    if not row.is_editable:
        raise IssueIsClosed(
            f"“{row.title}” is {row.get_status_display().lower()}, so its content stays as it is. "
            "Take it back to draft if it is only scheduled, or make a new issue under another slug."
        )
    if based_on is not None and based_on != row.revision:
        raise StaleRevision(
            f"“{row.title}” was saved meanwhile, by somebody else or in another tab, so nothing was stored now. Look "
            "at what stands there, put in what is missing, and try again."
        )


def _refuse_taken_slug(row: Issue, slug: str) -> None:
    others = Issue.objects.filter(newsletter=row.newsletter_id, slug=slug).exclude(pk=row.pk)
    if slug != row.slug and others.exists():
        raise ContentIsUnfit([f"Another issue of this newsletter has the slug “{slug}”. Choose a different one."])


def _replace(row: Issue, content: IssueContent) -> None:
    Issue.objects.filter(pk=row.pk).update(
        title=content.title,
        slug=content.slug,
        date=content.date,
        subject="" if content.subject == content.title else content.subject,
        preheader=content.preheader,
        revision=F("revision") + 1,
        updated_at=timezone.now(),
    )
    row.sections.all().delete()
    sections = Section.objects.bulk_create(
        Section(issue=row, position=position, **{name: getattr(section, name) for name in _SECTION_COLUMNS})
        for position, section in enumerate(content.sections, start=1)
    )
    Story.objects.bulk_create(
        Story(section=row_of, position=position, title=story.title, url=story.url, source=story.source, body=story.body)
        for row_of, section in zip(sections, content.sections, strict=True)
        for position, story in enumerate(section.stories, start=1)
    )
    _file_under(row, content.categories)


def _file_under(row: Issue, names: Sequence[str]) -> None:
    row.issuecategory_set.all().delete()
    if not names:
        return
    newsletter = row.newsletter_id
    Category.objects.bulk_create(
        (Category(newsletter_id=newsletter, name=name) for name in names), ignore_conflicts=True
    )
    known = dict(Category.objects.filter(newsletter_id=newsletter, name__in=names).values_list("name", "pk"))
    IssueCategory.objects.bulk_create(
        IssueCategory(issue=row, category_id=known[name], position=position)
        for position, name in enumerate(names, start=1)
    )
