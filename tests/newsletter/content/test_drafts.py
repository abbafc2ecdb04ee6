"""New drafts from something that exists: copies, the last issue, templates; numbers and slugs of their own."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest
from django.db import IntegrityError, transaction
from django.utils import translation

from newsletter.content.drafts import (
    NothingToStartFrom,
    draft_from_template,
    draft_like_last,
    duplicate_issue,
    next_date,
)
from newsletter.content.store import load_content
from newsletter.content.templates import template_content
from newsletter.models import Issue, IssueTemplate, Newsletter
from newsletter.sending.recurring import plan_occurrences
from tests.publications import content, make_issue, make_newsletter, start_sending, today

pytestmark = pytest.mark.django_db


def template_of(newsletter: Newsletter, **fields: str) -> IssueTemplate:
    return IssueTemplate.objects.create(
        newsletter=newsletter, content=template_content(content()), saved_by="edda", **{"name": "Weekly", **fields}
    )


def test_a_copy_has_the_content_and_nothing_of_the_send() -> None:
    original = make_issue()
    start_sending(original)
    copy = duplicate_issue(original, by="edda")

    written, copied = load_content(original), load_content(copy)
    assert (copied.sections, copied.categories, copied.subject) == (
        written.sections,
        written.categories,
        written.subject,
    )
    assert (copy.title, copy.slug, copy.state, copy.current_send) == (
        "Copy of Taller cranes",
        "copy-of-taller-cranes",
        "draft",
        None,
    )
    assert copy.date == today()
    assert copy.revisions.get().note_text == "Copied from “Taller cranes”"


def test_each_copy_has_a_slug_of_its_own() -> None:
    original = make_issue()
    slugs = [duplicate_issue(original, by="edda").slug for _ in range(3)]
    assert slugs == ["copy-of-taller-cranes", "copy-of-taller-cranes-2", "copy-of-taller-cranes-3"]


def test_a_slug_of_full_length_is_cut_for_its_number() -> None:
    original = make_issue(title="harbour " * 20 + "x")
    first, second = (duplicate_issue(original, by="edda") for _ in range(2))
    assert len(first.slug) <= 120
    assert second.slug.endswith("-2")
    assert len(second.slug) <= 120


def test_titles_of_a_pattern_count_the_issues() -> None:
    newsletter = make_newsletter(title_pattern="{newsletter} #{number}")
    original = make_issue(newsletter=newsletter)
    Issue.objects.filter(pk=original.pk).update(number=47)

    made = [duplicate_issue(original, by="edda"), draft_like_last(newsletter, by="edda")]

    assert [(one.title, one.number) for one in made] == [("Harbour Notes #48", 48), ("Harbour Notes #49", 49)]
    assert make_issue("other").number is None


def test_a_number_is_taken_once_in_a_newsletter() -> None:
    for slug in ("harbour-notes", "quay-notes"):
        Issue.objects.filter(pk=make_issue(newsletter=make_newsletter(slug)).pk).update(number=1)
    with pytest.raises(IntegrityError), transaction.atomic():
        Issue.objects.filter(pk=make_issue("issue-2").pk).update(number=1)


def test_a_draft_like_the_last_has_its_sections_and_no_stories() -> None:
    newsletter = make_newsletter()
    make_issue()
    draft = draft_like_last(newsletter, by="edda")
    assert [section.title for section in load_content(draft).sections] == [
        "Signal of the day",
        "Deep dives",
        "The pattern",
    ]
    assert not list(load_content(draft).stories())
    assert draft.title.startswith("Harbour Notes, ")


def test_without_an_issue_there_is_nothing_to_start_from() -> None:
    with pytest.raises(NothingToStartFrom, match="“Harbour Notes” has no issue yet"):
        draft_like_last(make_newsletter(), by="edda")


def test_a_draft_from_a_template_has_its_patterns_in_the_language_of_the_newsletter() -> None:
    newsletter = make_newsletter(language="de")
    template = template_of(newsletter, title_pattern="Woche {week}", subject_pattern="{newsletter}, {month} {year}")
    with translation.override("en"):
        draft = draft_from_template(template, by="edda", date=datetime.date(2026, 12, 1))
    written = load_content(draft)
    assert (written.title, written.subject, written.slug) == ("Woche 49", "Harbour Notes, Dezember 2026", "woche-49")
    assert written.sections == content().sections
    assert draft.revisions.get().note_text == "Made from the template “Weekly”"


def test_a_title_in_other_letters_gets_the_date_as_slug() -> None:
    template = template_of(make_newsletter(), title_pattern="Вести порта")
    made = [draft_from_template(template, by="edda", date=datetime.date(2026, 12, 1)).slug for _ in range(2)]
    assert made == ["2026-12-01", "2026-12-01-2"]


def test_a_draft_has_the_date_of_the_next_free_occurrence(settled_schedule: Callable[[], datetime.date]) -> None:
    assert next_date(make_newsletter()) == settled_schedule()


@pytest.fixture
def settled_schedule(db: None) -> Callable[[], datetime.date]:
    """Plans the day after the coming one."""

    def planned() -> datetime.date:
        day = schedule.occurrences.get().date
        assert day > today()
        return day

    tomorrow = today() + datetime.timedelta(days=2)
    schedule = make_newsletter().recurring_schedules.create(weekday=tomorrow.weekday(), time=datetime.time(7))
    plan_occurrences()
    return planned
