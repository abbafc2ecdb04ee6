"""New drafts from something that exists: a copy of an issue, one like the last, or one from a template.

    what it starts from ─► content without a title ─► title, subject, number, date and slug ─► a draft

A draft has no send, no approval and no history but its first revision.
"""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import formats, timezone, translation
from django.utils.translation import gettext as _

from newsletter.config.translatable import translatable
from newsletter.content.document import IssueContent
from newsletter.content.fields import LIMITS, slug_from
from newsletter.content.skeleton import recurring_parts
from newsletter.content.slugs import free_slug
from newsletter.content.store import ContentError, load_content, save_content
from newsletter.content.templates import content_of_template
from newsletter.content.title_pattern import fill_pattern, has_number
from newsletter.models import Issue, IssueTemplate, Newsletter, Occurrence


class NothingToStartFrom(ContentError):
    """The newsletter has no issue to start from. Nothing was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a draft is made of. Without patterns it keeps the title and the subject of its content."""

    content: IssueContent
    title_pattern: str = ""
    subject_pattern: str = ""
    note: str
    """Of its first revision."""
    date: datetime.date | None = None
    """Without one: that of the next occurrence of a recurring schedule, else today."""


def duplicate_issue(issue: Issue, *, by: str) -> Issue:
    """A draft with the whole content of `issue`, which may be in any state. Raises ContentError."""
    content = load_content(issue)
    title = _cut(_("Copy of %(title)s") % {"title": content.title})
    start = Start(
        content=replace(content, title=title, subject=title if content.subject == content.title else content.subject),
        title_pattern=issue.newsletter.title_pattern,
        note=f"copied:{issue.title}",
    )
    return make_draft(issue.newsletter, start, by=by)


def draft_like_last(newsletter: Newsletter, *, by: str, date: datetime.date | None = None) -> Issue:
    """A draft with the sections and standing blocks of the newest issue. Raises NothingToStartFrom, ContentError."""
    newest = list(Issue.objects.filter(newsletter=newsletter, digest_at__isnull=True)[:2])
    if not newest:
        raise NothingToStartFrom(
            translatable("“{newsletter}” has no issue yet. Start with an empty one.", newsletter=newsletter.name)
        )
    last, *before = map(load_content, newest)
    content = recurring_parts(last, before[0] if before else None)
    start = Start(
        content=replace(content, subject=content.title),
        title_pattern=newsletter.title_pattern or "{newsletter}, {date}",
        note=f"like:{last.title}",
        date=date,
    )
    return make_draft(newsletter, start, by=by)


def draft_from_template(template: IssueTemplate, *, by: str, date: datetime.date | None = None) -> Issue:
    """A draft with the content of the template. Raises UnreadableRevision, ContentError."""
    newsletter = template.newsletter
    start = Start(
        content=content_of_template(template),
        title_pattern=template.title_pattern or newsletter.title_pattern or "{newsletter}, {date}",
        subject_pattern=template.subject_pattern,
        note=f"template:{template.name}",
        date=date,
    )
    return make_draft(newsletter, start, by=by)


def make_draft(newsletter: Newsletter, start: Start, *, by: str) -> Issue:
    """The draft; its slug is free, and its number the next if its title names one. Raises ContentError."""
    with transaction.atomic():
        # No other draft takes the slug or the number until the transaction ends.
        Newsletter.objects.select_for_update(of=("self",), no_key=True).get(pk=newsletter.pk)
        date = start.date or next_date(newsletter)
        patterns = start.title_pattern + start.subject_pattern
        number = next_number(newsletter) if has_number(patterns) else None
        values = pattern_values(newsletter, date=date, number=number)
        title = _cut(fill_pattern(start.title_pattern, values)) if start.title_pattern else start.content.title
        own_subject = start.content.subject if start.content.subject != start.content.title else title
        subject = fill_pattern(start.subject_pattern, values) if start.subject_pattern else own_subject
        slug = free_slug(newsletter.pk, slug_from(title) or date.isoformat())
        content = replace(start.content, title=title, subject=_cut(subject) or title, slug=slug, date=date)
        issue = Issue.objects.create(newsletter=newsletter, slug=slug, title=title, date=date, number=number)
        save_content(issue, content, by=by, note=start.note)
    return issue


def next_envelope(newsletter: Newsletter) -> dict[str, Any]:
    """Title, number and date that the title pattern gives the next draft; nothing is stored."""
    pattern, date = newsletter.title_pattern, next_date(newsletter)
    number = next_number(newsletter) if has_number(pattern) else None
    title = _cut(fill_pattern(pattern, pattern_values(newsletter, date=date, number=number)))
    return {"title": title, "number": number, "date": date}


def next_date(newsletter: Newsletter) -> datetime.date:
    """The day of the next occurrence that has no issue yet; without one, today in the newsletter's time zone."""
    ahead = Occurrence.objects.ahead().filter(schedule__newsletter=newsletter, issue__isnull=True)
    planned = ahead.values_list("date", flat=True).first()
    return planned or timezone.localdate(timezone=zoneinfo.ZoneInfo(newsletter.time_zone))


def next_number(newsletter: Newsletter) -> int:
    """One more than the highest number of its issues; 1 if none has one."""
    highest: int | None = Issue.objects.filter(newsletter=newsletter).aggregate(highest=Max("number"))["highest"]
    return (highest or 0) + 1


def pattern_values(newsletter: Newsletter, *, date: datetime.date, number: int | None) -> Mapping[str, str]:
    """What the names of a title pattern stand for, in the newsletter's language."""
    with translation.override(newsletter.language):
        return {
            "newsletter": newsletter.name,
            "date": formats.date_format(date, "DATE_FORMAT"),
            "week": str(date.isocalendar().week),
            "month": formats.date_format(date, "F"),
            "year": str(date.year),
            **({"number": str(number)} if number is not None else {}),
        }


def _cut(title: str) -> str:
    return title[: LIMITS["title"]].rstrip()
