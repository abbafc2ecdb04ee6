"""What comes back in the next issue: sections and standing blocks, never a story."""

from __future__ import annotations

import dataclasses

from hypothesis import given

from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.fields import content_faults
from newsletter.content.skeleton import recurring_parts, without_stories
from tests.newsletter.content.issues import issues
from tests.publications import content

STORY = StoryContent(title="A ferry that waits", url="https://ferry.example/waits")
IMPRINT = SectionContent(kind=SectionKind.CALLOUT, title="About", body="Written on the quay.")
OLD_NEWS = SectionContent(kind=SectionKind.CALLOUT, body="The lock is closed on Friday.")
SPONSOR = SectionContent(kind=SectionKind.SPONSOR, source="Rope & Sons", title="Rope", body="Buy rope.")
DIVIDER = SectionContent(kind=SectionKind.DIVIDER)


def test_stories_and_texts_of_once_are_left_out() -> None:
    last = content(sections=(SectionContent(title="News", body="This week.", stories=(STORY,)), OLD_NEWS, IMPRINT))
    before = content(sections=(SectionContent(title="News", body="Last week."), IMPRINT))
    assert recurring_parts(last, before).sections == (SectionContent(title="News"), IMPRINT)


def test_a_text_of_two_issues_stands() -> None:
    standing = SectionContent(title="Tides", body="All times are local.")
    issue = content(sections=(standing,))
    assert recurring_parts(issue, issue).sections == (standing,)
    assert recurring_parts(issue, None).sections == (SectionContent(title="Tides"),)


def test_a_sponsor_keeps_the_place_and_the_name_and_dividers_stand() -> None:
    last = content(sections=(SPONSOR, DIVIDER))
    kept = SectionContent(kind=SectionKind.SPONSOR, source="Rope & Sons")
    assert recurring_parts(last, None).sections == (kept, DIVIDER)


@given(issues, issues)
def test_what_comes_back_has_no_story_and_can_be_stored(last: IssueContent, before: IssueContent) -> None:
    for made in (recurring_parts(last, before), recurring_parts(last, last), without_stories(last)):
        assert not list(made.stories())
        assert not list(content_faults(made))
    assert [part.kind for part in without_stories(last).sections] == [part.kind for part in last.sections]
    assert recurring_parts(last, last) == dataclasses.replace(without_stories(last), preheader="")
