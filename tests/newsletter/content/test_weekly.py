"""The weekly digest as a value: several issues as one, and one as itself."""

from __future__ import annotations

import datetime
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from newsletter.content.document import AudienceContent, IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.fields import LIMITS, content_faults
from newsletter.content.weekly import SEPARATOR, WeeklyPart, WeeklyWords, compose_weekly
from tests.newsletter.content.harbour_notes import ISSUE_41
from tests.newsletter.content.issues import issues

WORDS = WeeklyWords(title="Weekly digest", subject="Two issues of this week")
DAY = datetime.date(2026, 11, 29)
NOTE = "Sent on 27 November 2026."


def digest_of(*some: IssueContent) -> IssueContent:
    return compose_weekly([WeeklyPart(issue=each, note=NOTE) for each in some], WORDS, slug="weekly", date=DAY)


@given(st.lists(issues, min_size=2, max_size=4))
def test_a_digest_has_every_story_and_text_once_in_order_below_the_title_of_its_issue(some: list[IssueContent]) -> None:
    digest = digest_of(*some)
    assert list(digest.stories()) == [story for each in some for story in each.stories()]
    expected = [
        part
        for each in some
        for part in (each.title, *(s.body for s in each.sections if s.kind is not SectionKind.CONTENTS))
    ]
    kept = [
        section.title if section.body == NOTE else section.body
        for section in digest.sections
        if section.body or section.kind is not SectionKind.DIVIDER or not section.stories
    ]
    assert [text for text in kept if text] == [text for text in expected if text]


@given(st.lists(issues, min_size=1, max_size=4))
def test_a_digest_of_issues_that_can_be_stored_can_be_stored(some: list[IssueContent]) -> None:
    assert list(content_faults(digest_of(*some))) == []


@given(issues)
def test_a_digest_of_one_issue_is_that_issue_for_another_audience(issue: IssueContent) -> None:
    narrowed = replace(issue, audience=AudienceContent(segments=("Customers",)))
    assert digest_of(narrowed) == replace(issue, slug="weekly")


@given(st.lists(issues, min_size=2, max_size=6))
def test_the_preheader_has_as_many_whole_titles_as_fit(some: list[IssueContent]) -> None:
    preheader = digest_of(*some).preheader
    titles = [issue.title for issue in some]
    assert len(preheader) <= LIMITS["preheader"]
    assert any(preheader == SEPARATOR.join(titles[:count]) for count in range(1, len(titles) + 1))


def test_a_table_of_contents_is_left_out_and_the_stories_below_it_stay() -> None:
    story = StoryContent(title="A crane", url="https://crane.example/")
    contents = SectionContent(kind=SectionKind.CONTENTS, title="In this issue")
    with_contents = replace(ISSUE_41, sections=(contents, replace(contents, stories=(story,))))
    digest = digest_of(with_contents, ISSUE_41)
    assert SectionKind.CONTENTS not in {section.kind for section in digest.sections}
    assert next(digest.stories()) == story
