"""Loading and saving issue content. Every change of content goes through `save_content`, which stores a revision."""

from __future__ import annotations

import enum
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from django.db import transaction
from django.db.models import F, Prefetch
from django.utils import timezone

from newsletter.config.translatable import translatable
from newsletter.content.audience import load_audience, store_audience
from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.fields import content_faults
from newsletter.content.links import link_sha256
from newsletter.content.pictures import note_in_issue
from newsletter.content.problems import ParsedIssue
from newsletter.content.revisions import close_autosave, keep_autosave, keep_missing_revision, keep_revision
from newsletter.content.slugs import slug_candidates
from newsletter.content.used_links import follow_draft
from newsletter.models import Category, Issue, IssueCategory, IssueState, Newsletter, Reason, Section, Story

log = logging.getLogger(__name__)

_SECTION_COLUMNS = ("kind", "title", "body", "url", "source", "image", "alt")
_STORY_COLUMNS = ("title", "url", "source", "body", "image", "alt")

#: `based_on` of an import that must create a new issue and not replace one.
NO_REVISION = -1


class ContentError(Exception):
    """The content was not saved and nothing has changed. The message is a sentence for the editor."""

    permanent = True


class IssueIsClosed(ContentError):
    """The issue is no longer a draft, so its content cannot change."""


class ContentIsUnfit(ContentError):
    """The content breaks the rules of its fields; `faults` holds a sentence for each problem."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__(*self.faults)

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)


class StaleRevision(ContentError):
    """Someone else has saved the issue since the editor opened it."""


class ImportOutcome(enum.StrEnum):
    """What an import did to the issue."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class IssueImport:
    """The issue that a file was imported into, and the outcome."""

    issue: Issue
    outcome: ImportOutcome


def load_content(issue: Issue) -> IssueContent:
    """The content of `issue`. Takes four queries for any number of stories."""
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
        audience=load_audience(issue),
    )


def save_content(
    issue: Issue,
    content: IssueContent,
    *,
    by: str,
    based_on: int | None = None,
    note: str = "",
    autosave: bool = False,
) -> bool:
    """Replace the content of the draft `issue`, store a revision, and return whether anything changed.

    `by` names the editor or step; `note` says what kind of save it was, if not an ordinary one. `based_on` is the
    revision that the editor started from: StaleRevision is raised if other content has been saved since. CRLF line
    ends, as browsers send them, become LF. Raises IssueIsClosed unless the issue is a draft, and ContentIsUnfit for
    content that breaks the rules of its fields. The revision number grows only if something changed. `autosave` says
    that no editor asked for the save: its revision replaces that of the same editor's autosave before it.
    """
    content = _fit(content)
    with transaction.atomic():
        row = Issue.objects.select_for_update().get(pk=issue.pk)
        stored = load_content(row)
        changed = stored != content
        # Saving what is stored already, as a double click does, overwrites nothing.
        _refuse_unless_editable(row, based_on if changed else None)
        _refuse_taken_slug(row, content.slug)
        if changed:
            keep_missing_revision(row, stored)
            was_approved = row.state == IssueState.APPROVED
            # The approval was of the content before.
            row.revoke_approval(by=by, reason=Reason.EDITED)
            _replace(row, content)
            if autosave:
                keep_autosave(row, content, by=by, may_fold=not was_approved)
            else:
                keep_revision(row, row.revision + 1, content, by=by, note=note)
        elif not autosave:
            close_autosave(row)
    issue.refresh_from_db()
    if changed:
        log.info(
            "Issue %s of newsletter %s saved as revision %s by %s", row.slug, row.newsletter_id, issue.revision, by
        )
    return changed


def import_issue(
    newsletter: Newsletter,
    reading: ParsedIssue,
    *,
    by: str = "import",
    based_on: int | None = None,
    note: str = "imported",
) -> IssueImport:
    """Save a file's content as a new draft of `newsletter`, or as the next revision of the draft with its slug.

    Importing the same file again changes nothing. A file that does not name an audience leaves that of the draft as it
    is: it must not widen it to everybody. `based_on` is the revision that the importer has seen, or
    NO_REVISION if there was no such issue; StaleRevision is raised if that is no longer so. Raises IssueIsClosed if
    the issue is not a draft and the content differs. A ContentError means that nothing has changed.
    """
    with transaction.atomic():
        _lock_slugs(newsletter)
        issue, content = issue_of_file(newsletter, reading)
        content, created = _fit(content), issue is None
        if issue is None:
            issue = Issue.objects.create(
                newsletter=newsletter, slug=content.slug, title=content.title, date=content.date
            )
        if not created and not reading.names_audience:
            content = replace(content, audience=load_audience(issue))
        if not created and load_content(issue) == content:
            return IssueImport(issue, ImportOutcome.UNCHANGED)
        save_content(issue, content, by=by, based_on=None if created else based_on, note=note)
    return IssueImport(issue, ImportOutcome.CREATED if created else ImportOutcome.UPDATED)


def issue_of_file(newsletter: Newsletter, reading: ParsedIssue) -> tuple[Issue | None, IssueContent]:
    """The issue that an import of the file changes, None if it makes a new one; and the content with its slug.

    A slug that was made from the title does not tell whether the file is the next revision of an issue: the title and
    the date must be the same, else the file gets a slug of its own, with a number.
    """
    content = reading.content
    candidates = slug_candidates(content.slug)
    while True:
        slug = next(candidates)
        issue = Issue.objects.filter(newsletter=newsletter, slug=slug).first()
        is_same = issue is not None and (issue.title, issue.date) == (content.title, content.date)
        if issue is None or is_same or not reading.has_derived_slug:
            return issue, replace(content, slug=slug)


def _lock_slugs(newsletter: Newsletter) -> None:
    """Let no other import or form choose a slug until the transaction ends."""
    Newsletter.objects.select_for_update(of=("self",), no_key=True).get(pk=newsletter.pk)


def with_plain_line_ends(content: IssueContent) -> IssueContent:
    """`content` with LF line ends in its bodies."""
    sections = (
        replace(section, body=_plain(section.body), stories=tuple(_plain_story(story) for story in section.stories))
        for section in content.sections
    )
    return replace(content, sections=tuple(sections))


def _fit(content: IssueContent) -> IssueContent:
    """`content` as it is stored. Raises ContentIsUnfit."""
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
        StoryContent(**{name: getattr(story, name) for name in _STORY_COLUMNS}) for story in section.stories.all()
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
            translatable(
                "The content of “{title}” cannot be changed: the issue is no longer a draft. Unschedule it if it is "
                "scheduled, or create a new issue with another slug.",
                title=row.title,
            )
        )
    if based_on is not None and based_on != row.revision:
        raise StaleRevision(
            translatable(
                "“{title}” has been saved by someone else or in another tab since you opened it, so your changes were "
                "not saved. Compare both versions, then save again.",
                title=row.title,
            )
        )


def _refuse_taken_slug(row: Issue, slug: str) -> None:
    others = Issue.objects.filter(newsletter=row.newsletter_id, slug=slug).exclude(pk=row.pk)
    if slug != row.slug and others.exists():
        sentence = translatable(
            "Another issue of this newsletter has the slug “{slug}”. Choose a different one.", slug=slug
        )
        raise ContentIsUnfit([sentence])


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
        Story(
            section=row_of,
            position=position,
            page_sha256=link_sha256(story.url) if story.url else "",
            **{name: getattr(story, name) for name in _STORY_COLUMNS},
        )
        for row_of, section in zip(sections, content.sections, strict=True)
        for position, story in enumerate(section.stories, start=1)
    )
    note_in_issue(row, content)
    follow_draft(row, [story.url for story in content.stories() if story.url])
    _file_under(row, content.categories)
    store_audience(row, content.audience)


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
