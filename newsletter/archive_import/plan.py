"""What an import does with each item of an archive, found out without writing anything."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from newsletter.archive_import import publishing
from newsletter.archive_import.fit import content_without_utm, fit
from newsletter.config.translatable import translatable
from newsletter.content.archives.item import ArchiveItem, ArchiveNote, Visibility
from newsletter.content.document import IssueContent, SectionContent
from newsletter.content.fields import LIMITS, content_faults
from newsletter.content.links import link_key, web_link_problem
from newsletter.content.markdown import link_targets
from newsletter.models import EntryOutcome, ImportedIssue, Issue, Newsletter

_NOT_PUBLIC = {
    Visibility.DRAFT: translatable("It was a draft at its old place, so it is imported as a draft."),
    Visibility.PRIVATE: translatable("It was not public at its old place, so it is imported as a draft."),
    Visibility.MAIL_ONLY: translatable("It was mailed and never on the web, so it is imported as a draft."),
}


@dataclass(frozen=True, slots=True)
class FittedItem:
    """An item as it will be stored: its content, with notes about every change, and what is wrong if it cannot be."""

    content: IssueContent
    notes: tuple[ArchiveNote, ...]
    faults: tuple[str, ...]
    link_count: int
    lost_link_count: int


def fitted_item(item: ArchiveItem, content: IssueContent, *, keeps_tracking: bool) -> FittedItem:
    """The item with `content`, which is its own but for the addresses of pictures."""
    fitted, notes = fit(content if keeps_tracking else content_without_utm(content))
    faults = tuple(content_faults(fitted))
    source, kept = links_of(content), {link_key(url) for url in links_of(fitted)}
    lost = [url for url in source if link_key(url) not in kept]
    return FittedItem(fitted, (*item.notes, *notes), faults, len(source), len(lost))


def links_of(content: IssueContent) -> list[str]:
    """The web addresses that an issue links to, in reading order."""
    return [url for section in content.sections for url in _links_of_section(section) if web_link_problem(url) is None]


def _links_of_section(section: SectionContent) -> Iterable[str]:
    if section.url:
        yield section.url
    yield from link_targets(section.body)
    for story in section.stories:
        if story.url:
            yield story.url
        yield from link_targets(story.body)


def draft_reason(item: ArchiveItem, now: datetime.datetime) -> str:
    """Why the item cannot be put on the web by itself, as a sentence; empty if it can."""
    if item.visibility in _NOT_PUBLIC:
        return _NOT_PUBLIC[item.visibility]
    if item.published_at is None:
        return translatable("Its date is unknown, so it is imported as a draft. Set the date, then publish it.")
    if item.published_at > now:
        return translatable("Its date is in the future, so it is imported as a draft.")
    return ""


def outcome_of(record: ImportedIssue | None, source_sha256: str, *, keeps_tracking: bool) -> EntryOutcome:
    """What becomes of an item that can be imported. `record` is that of an earlier import, with its issue."""
    if record is None:
        return EntryOutcome.CREATED
    if record.issue is None:
        return EntryOutcome.REMOVED
    if (record.source_sha256, record.keeps_tracking) == (source_sha256, keeps_tracking):
        return EntryOutcome.UPDATED if record.is_undone else EntryOutcome.UNCHANGED
    return EntryOutcome.EDITED if is_changed_here(record) else EntryOutcome.UPDATED


def is_changed_here(record: ImportedIssue) -> bool:
    """Whether an editor changed, published or scheduled the issue, or corrected its page, since the last import."""
    issue = record.issue
    if issue is None or issue.revision != record.revision or issue.current_send is not None:
        return True
    return publishing.version_of(issue) != record.web_version


def records_of(newsletter: Newsletter, archive: str, keys: Iterable[str]) -> dict[str, ImportedIssue]:
    """What earlier imports made of the items with these keys."""
    found = ImportedIssue.objects.filter(newsletter=newsletter, archive=archive, key__in=list(keys))
    return {record.key: record for record in found.select_related("issue__newsletter", "issue__web_page__version")}


def free_slug(newsletter: Newsletter, wanted: str) -> str:
    """`wanted`, or with the next number if another issue of the newsletter has it."""
    if not Issue.objects.filter(newsletter=newsletter, slug=wanted).exists():
        return wanted
    stem = wanted[: LIMITS["slug"] - 7]
    taken = set(Issue.objects.filter(newsletter=newsletter, slug__startswith=stem).values_list("slug", flat=True))
    number = 2
    while f"{stem}-{number}" in taken:
        number += 1
    return f"{stem}-{number}"


def with_pictures(content: IssueContent, addresses: Sequence[tuple[str, str]]) -> IssueContent:
    """`content` with the addresses of pictures replaced, in image fields and in texts."""
    if not addresses:
        return content
    by_old = dict(addresses)
    names = "|".join(re.escape(old) for old in sorted(by_old, key=len, reverse=True))
    linked = re.compile(rf"(\]\(<?|\]:[ \t]*<?|src=[\"'])({names})(?=[>)\s\"']|$)", re.MULTILINE)

    def text(body: str) -> str:
        return linked.sub(lambda found: found[1] + by_old[found[2]], body)

    sections = tuple(
        replace(
            section,
            image=by_old.get(section.image, section.image),
            url=by_old.get(section.url, section.url),
            body=text(section.body),
            stories=tuple(
                replace(story, image=by_old.get(story.image, story.image), body=text(story.body))
                for story in section.stories
            ),
        )
        for section in content.sections
    )
    return replace(content, sections=sections)
