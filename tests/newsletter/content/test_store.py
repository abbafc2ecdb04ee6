"""Content is stored and loaded unchanged, and only drafts can change."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from pytest_django import DjangoAssertNumQueries

from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.fields import LIMITS
from newsletter.content.problems import ParsedIssue
from newsletter.content.store import (
    NO_REVISION,
    ContentIsUnfit,
    ImportOutcome,
    IssueIsClosed,
    StaleRevision,
    import_issue,
    load_content,
    save_content,
)
from newsletter.models import SECTION_KINDS, Category, Issue, Newsletter, Section, Story
from tests.newsletter.content.harbour_notes import CRANE, GAUGE, ISSUE_41, make_draft
from tests.newsletter.content.issues import issues
from tests.publications import make_newsletter, schedule_send

pytestmark = pytest.mark.django_db


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(issues)
def test_any_content_is_loaded_as_it_was_stored(db: None, content: IssueContent) -> None:
    issue = make_draft(content, newsletter=make_newsletter())
    try:
        assert load_content(issue) == content
    finally:
        issue.delete()


def test_loading_takes_four_queries_for_any_number_of_stories(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    many = tuple(replace(CRANE, title=f"Story {number}") for number in range(31))
    sections = tuple(SectionContent(title=f"Part {number}", stories=many) for number in range(3))
    issue = make_draft(sections=sections)

    with django_assert_num_queries(4):
        assert len(list(load_content(issue).stories())) == 93


def test_saving_unchanged_content_makes_no_revision() -> None:
    issue = make_draft()

    assert issue.revision == 1
    assert save_content(issue, ISSUE_41, by="ada") is False
    assert issue.revision == 1


def test_a_change_makes_a_revision_and_replaces_the_whole_content() -> None:
    issue = make_draft()
    changed = replace(
        ISSUE_41,
        title="Another title",
        subject="Another title",
        categories=("Tech", "Culture"),
        sections=(SectionContent(title="Only", stories=(GAUGE, CRANE)),),
    )

    assert save_content(issue, changed, by="ada") is True
    assert issue.revision == 2
    assert issue.title == "Another title"
    assert load_content(issue) == changed
    assert (Section.objects.count(), Story.objects.count()) == (1, 2)
    assert sorted(Category.objects.values_list("name", flat=True)) == ["Culture", "News", "Tech"]


def test_a_subject_equal_to_the_title_follows_it_when_the_title_changes() -> None:
    issue = make_draft(subject=ISSUE_41.title)

    Issue.objects.filter(pk=issue.pk).update(title="New title")
    issue.refresh_from_db()

    assert load_content(issue).subject == "New title"


def test_crlf_line_ends_are_not_a_change() -> None:
    issue = make_draft(sections=(SectionContent(title="S", body="one\ntwo"),))
    typed = replace(ISSUE_41, sections=(SectionContent(title="S", body="one\r\ntwo"),))

    assert save_content(issue, typed, by="ada") is False


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"subject": "two\nlines"}, "“Subject” contains a line break"),
        ({"title": " "}, "no title"),
        ({"slug": "a slug"}, "slug"),
        ({"categories": ("x" * 61,)}, "“Category” has 61 characters"),
        ({"sections": (SectionContent(title=""),)}, "no heading"),
        ({"sections": (SectionContent(title="S", body="\x00"),)}, "Section “S”: “Text” contains"),
        (
            {"sections": (SectionContent(title="S", stories=(StoryContent(title="T", url="javascript:x"),)),)},
            "Section “S”, story 1 “T”: Link “javascript:x”: The address is not a full web address",
        ),
    ],
)
def test_content_that_breaks_the_rules_is_refused_and_changes_nothing(changes: dict[str, Any], sentence: str) -> None:
    issue = make_draft()

    with pytest.raises(ContentIsUnfit, match=sentence):
        save_content(issue, replace(ISSUE_41, **changes), by="ada")

    assert load_content(Issue.objects.get()) == ISSUE_41
    assert Issue.objects.get().revision == 1


def test_the_slug_of_another_issue_is_refused() -> None:
    make_draft(slug="taken")
    issue = make_draft()

    with pytest.raises(ContentIsUnfit, match="has the slug “taken”"):
        save_content(issue, replace(ISSUE_41, slug="taken"), by="ada")


def test_a_category_with_a_comma_is_refused() -> None:
    with pytest.raises(ContentIsUnfit, match="contains a comma"):
        save_content(make_draft(), replace(ISSUE_41, categories=("Food, drink",)), by="ada")


def test_a_save_based_on_an_older_revision_is_refused() -> None:
    issue = make_draft()
    save_content(issue, replace(ISSUE_41, preheader="Ben was here"), by="ben", based_on=1)

    with pytest.raises(StaleRevision):
        save_content(issue, replace(ISSUE_41, preheader="Ada too"), by="ada", based_on=1)

    assert load_content(issue).preheader == "Ben was here"


def test_only_drafts_can_be_changed() -> None:
    issue = make_draft()
    schedule_send(issue)
    changed = replace(ISSUE_41, preheader="Too late")

    with pytest.raises(IssueIsClosed, match="cannot be changed: the issue is no longer a draft"):
        save_content(issue, changed, by="ada")
    with pytest.raises(IssueIsClosed):
        import_issue(issue.newsletter, ParsedIssue(changed))

    assert load_content(Issue.objects.get()) == ISSUE_41


def test_importing_creates_then_changes_nothing_then_updates_the_draft() -> None:
    newsletter = make_newsletter()
    changed = ParsedIssue(replace(ISSUE_41, date=datetime.date(2026, 7, 1)))

    first = import_issue(newsletter, ParsedIssue(ISSUE_41))
    second = import_issue(newsletter, ParsedIssue(ISSUE_41))
    third = import_issue(newsletter, changed)

    assert [result.outcome for result in (first, second, third)] == [
        ImportOutcome.CREATED,
        ImportOutcome.UNCHANGED,
        ImportOutcome.UPDATED,
    ]
    assert {result.issue.pk for result in (first, second, third)} == {Issue.objects.get().pk}
    assert third.issue.revision == 2
    assert load_content(third.issue) == changed.content


def test_importing_the_same_file_again_is_unchanged_even_if_the_issue_is_scheduled() -> None:
    issue = make_draft()
    schedule_send(issue)

    assert import_issue(issue.newsletter, ParsedIssue(ISSUE_41)).outcome == ImportOutcome.UNCHANGED


def test_an_import_replaces_only_the_revision_that_it_is_based_on() -> None:
    issue = make_draft()
    changed = ParsedIssue(replace(ISSUE_41, preheader="From a file"))

    for seen in (NO_REVISION, issue.revision + 1):
        with pytest.raises(StaleRevision, match="has been saved by someone else"):
            import_issue(issue.newsletter, changed, based_on=seen)
    assert load_content(issue) == ISSUE_41
    assert import_issue(issue.newsletter, changed, based_on=issue.revision).outcome == ImportOutcome.UPDATED


def test_two_newsletters_may_have_issues_with_the_same_slug() -> None:
    import_issue(make_newsletter(), ParsedIssue(ISSUE_41))
    import_issue(make_newsletter("quay-notes"), ParsedIssue(ISSUE_41))

    assert Issue.objects.count() == 2
    assert Category.objects.count() == 4


def test_a_refused_import_leaves_no_empty_issue() -> None:
    with pytest.raises(ContentIsUnfit):
        import_issue(make_newsletter(), ParsedIssue(replace(ISSUE_41, subject="\x07")))

    assert not Issue.objects.exists()


def test_the_limits_of_fields_equal_those_of_the_columns() -> None:
    columns = {
        "title": Issue._meta.get_field("title"),
        "slug": Issue._meta.get_field("slug"),
        "subject": Issue._meta.get_field("subject"),
        "preheader": Issue._meta.get_field("preheader"),
        "category": Category._meta.get_field("name"),
        "section heading": Section._meta.get_field("title"),
        "story title": Story._meta.get_field("title"),
        "link": Story._meta.get_field("url"),
        "source": Story._meta.get_field("source"),
        "image": Section._meta.get_field("image"),
        "description": Section._meta.get_field("alt"),
    }
    assert {name: field.max_length for name, field in columns.items()} == LIMITS


def test_a_newsletter_lists_its_known_sources() -> None:
    assert Newsletter(known_sources="Mast\r\n\r\n Harbour Gazette \r\n").sources() == ("Mast", "Harbour Gazette")


def test_the_tables_have_the_same_section_kinds_as_the_content() -> None:
    assert set(SECTION_KINDS) == {kind.value for kind in SectionKind}


@pytest.mark.any_database
def test_a_slug_that_was_made_from_the_title_never_replaces_another_issue(db: None) -> None:
    newsletter = make_newsletter()
    first = replace(ISSUE_41, title="Harbour Log", date=datetime.date(2026, 3, 3))
    import_issue(newsletter, ParsedIssue(first, has_derived_slug=True))

    others = (replace(first, date=datetime.date(2026, 3, 10)), replace(first, title="Harbour log?"))
    for repeat in (ImportOutcome.CREATED, ImportOutcome.UNCHANGED):
        for number, other in enumerate(others, start=2):
            done = import_issue(newsletter, ParsedIssue(other, has_derived_slug=True))
            assert (done.outcome, done.issue.slug) == (repeat, f"issue-41-{number}")
    again = import_issue(newsletter, ParsedIssue(replace(first, preheader="New"), has_derived_slug=True))

    assert (again.outcome, again.issue.slug) == (ImportOutcome.UPDATED, "issue-41")
    assert import_issue(newsletter, ParsedIssue(replace(first, title="Other"))).outcome == ImportOutcome.UPDATED
    assert Issue.objects.count() == 3
