"""Content: complete parts, no repetitions, no unknown merge fields."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest

from newsletter.content.document import SectionContent, SectionKind, StoryContent
from newsletter.preflight.findings import PastIssue
from newsletter.preflight.places import places_of
from tests.newsletter.preflight.finding import Short, findings_of_family, inspected, short, with_stories
from tests.newsletter.preflight.sample_issue import CRANE, DAY, GAUGE, PLAIN_ISSUE

LAST_WEEK = PastIssue(
    title="Harbour Notes 40",
    date=datetime.date(2026, 6, 23),
    titles=("One gauge, two tides",),
    links=("http://gazette.example/crane/?utm_source=mail",),
)


def content_findings(*stories: StoryContent) -> list[Short]:
    return short(findings_of_family("content", inspected(with_stories(*stories))))


def test_a_complete_issue_has_no_findings() -> None:
    assert findings_of_family("content", inspected(PLAIN_ISSUE)) == []


@pytest.mark.parametrize(
    "sections",
    [
        (SectionContent(kind=SectionKind.TEXT, body="An essay.\n\n## Its end\n\nThat was it."),),
        (SectionContent(title="Links", body="- [One](https://a.example)\n- [Two](https://b.example)"),),
        (SectionContent(kind=SectionKind.TEXT, stories=(replace(CRANE, body=""), replace(GAUGE, body=""))),),
    ],
)
def test_an_essay_and_lists_of_links_are_issues(sections: tuple[SectionContent, ...]) -> None:
    assert findings_of_family("content", inspected(replace(PLAIN_ISSUE, sections=sections))) == []


@pytest.mark.parametrize(
    "sections",
    [(), (SectionContent(kind=SectionKind.DIVIDER), SectionContent(kind=SectionKind.CONTENTS, title="In this issue"))],
)
def test_an_issue_with_nothing_to_read_is_an_error(sections: tuple[SectionContent, ...]) -> None:
    content = replace(PLAIN_ISSUE, sections=sections)
    assert short(findings_of_family("content", inspected(content))) == [("error", "content", "")]


@pytest.mark.parametrize(
    ("story", "text"),
    [
        (replace(CRANE, title=" "), "no title"),
        (replace(CRANE, url=""), "“The crane that learned to wait” has no link"),
        (replace(CRANE, body=" \n"), "“The crane that learned to wait” has no text"),
        (replace(CRANE, body="Dear {{ name }}, look."), "templates are not run"),
        (replace(CRANE, body="Fine.\n\nDear {first_name}, look."), "Line 3: "),
        (replace(CRANE, title="For {first_name|you}"), "Merge fields work in running text only"),
    ],
)
def test_an_incomplete_story_is_an_error_with_its_place(story: StoryContent, text: str) -> None:
    (finding,) = findings_of_family("content", inspected(with_stories(GAUGE, story)))
    assert (finding.severity.value, finding.place) == ("error", "Deep dives, story 2")
    assert text in finding.message


@pytest.mark.parametrize(
    ("part", "place"),
    [
        (SectionContent(kind=SectionKind.BUTTON, title="Go", url=""), "Go"),
        (SectionContent(kind=SectionKind.QUOTE, source="Ida"), "Quote, part 1"),
        (SectionContent(kind=SectionKind.IMAGE, image="https://p.example/a.jpg"), "Image, part 1"),
        (SectionContent(kind=SectionKind.SPONSOR, body="Buy ropes."), "Sponsor, part 1"),
        (SectionContent(kind=SectionKind.LINKS, title="Elsewhere"), "Elsewhere"),
        (SectionContent(kind=SectionKind.CALLOUT, title="Open day"), "Open day"),
    ],
)
def test_a_block_without_a_required_field_is_an_error(part: SectionContent, place: str) -> None:
    content = replace(PLAIN_ISSUE, sections=(part, *PLAIN_ISSUE.sections))
    assert short(findings_of_family("content", inspected(content))) == [("error", "content", place)]


def test_an_empty_section_is_a_warning() -> None:
    content = replace(PLAIN_ISSUE, sections=(*PLAIN_ISSUE.sections, SectionContent(title="Later")))
    assert short(findings_of_family("content", inspected(content))) == [("warning", "content", "Later")]


def test_a_repeated_story_is_one_warning_at_the_later_place() -> None:
    twins = (CRANE, replace(GAUGE, url=f"{CRANE.url}/?utm_medium=mail"), replace(CRANE, url="https://other.example"))
    later = [("warning", "content", f"Deep dives, story {number}") for number in (2, 3)]
    assert content_findings(*twins) == later
    assert content_findings(CRANE, CRANE) == later[:1]


def test_a_story_of_a_past_issue_is_reported_with_that_issue() -> None:
    findings = findings_of_family("content", inspected(with_stories(CRANE, GAUGE), past=(LAST_WEEK,)))
    assert [finding.place for finding in findings] == ["Deep dives, story 1", "Deep dives, story 2"]
    assert all("“Harbour Notes 40” of 2026-06-23" in finding.message for finding in findings)


def test_the_newest_of_several_past_issues_is_reported() -> None:
    newer = replace(LAST_WEEK, title="Harbour Notes 41")
    (finding,) = findings_of_family("content", inspected(with_stories(CRANE), past=(newer, LAST_WEEK)))
    assert "Harbour Notes 41" in finding.message


def test_a_long_story_and_a_long_issue_are_warnings() -> None:
    assert content_findings(replace(CRANE, body="word " * 120)) == []
    assert content_findings(replace(CRANE, body="word " * 121)) == [("warning", "content", "Deep dives, story 1")]
    assert content_findings(replace(CRANE, body="word " * 5_001))[-1] == ("warning", "content", "")


def test_a_date_that_is_not_the_day_of_sending_can_be_fixed() -> None:
    next_day = datetime.datetime(2026, 7, 1, 8, tzinfo=datetime.UTC)
    (finding,) = findings_of_family("content", inspected(sends_at=next_day))
    assert finding.fix is not None
    assert finding.fix.label == "Set the date to 2026-07-01"
    assert finding.fix.content == replace(PLAIN_ISSUE, date=DAY + datetime.timedelta(days=1))


def test_parts_with_the_same_title_have_unique_places() -> None:
    twice = tuple(SectionContent(title="News", stories=(CRANE,)) for _ in range(2))
    content = replace(PLAIN_ISSUE, sections=(*twice, SectionContent(title="Subject")))
    assert list(places_of(content)) == [
        *("News", "News, story 1", "News, part 2", "News, part 2, story 1", "Subject, part 3")
    ]
    findings = findings_of_family("content", inspected(content))
    assert short(findings)[0] == ("warning", "content", "Subject, part 3")
    assert short(findings)[1] == ("warning", "content", "News, part 2, story 1")
    assert "is already used in News, story 1" in findings[1].message


def test_a_quote_with_a_link_needs_a_name() -> None:
    quote = SectionContent(kind=SectionKind.QUOTE, body="A quay is a promise.", url="https://ropes.example/ida")
    content = replace(PLAIN_ISSUE, sections=(*PLAIN_ISSUE.sections, quote))
    (finding,) = findings_of_family("content", inspected(content))
    assert (finding.severity.value, finding.place) == ("warning", "Quote, part 3")
    named = replace(content, sections=(*PLAIN_ISSUE.sections, replace(quote, source="Ida")))
    assert findings_of_family("content", inspected(named)) == []


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("first_name", "email", "city"), []),
        (
            ("first_name", "email", "town"),
            [
                "There is no merge field “city”. The merge fields are {first_name|there}, {email|your address}, "
                "{town|your town}. To show the braces themselves, put a backslash before the first one."
            ],
        ),
        (None, []),
    ],
)
def test_a_custom_field_that_does_not_exist_is_an_error_with_the_names_that_do(
    names: tuple[str, ...] | None, found: list[str]
) -> None:
    content = with_stories(replace(CRANE, body="For {city|your town}."))
    findings = findings_of_family("content", inspected(content, merge_names=names))
    assert [str(finding.message) for finding in findings] == found
    assert all(finding.severity.value == "error" for finding in findings)


@pytest.mark.parametrize(
    ("body", "severity", "text"),
    [
        ("Fine.\n\n<!-- ask Ada -->", "warning", "Line 3: This HTML comment is not published"),
        ("Fine.\n<!-- ask Ada", "error", "Line 2: This HTML comment has no end"),
        ("Fine <iframe>", "warning", "The HTML <iframe> is shown as typed"),
        ("See [this][that].", "warning", "There is no link “that”"),
        ("![](https://pictures.example/a.png)", "warning", "is shown as a link"),
        ("<!-- ask Ada -->", "error", "has no text"),
    ],
)
def test_what_recipients_do_not_see_as_typed_is_named_with_its_line(body: str, severity: str, text: str) -> None:
    found = findings_of_family("content", inspected(with_stories(replace(CRANE, body=body))))

    assert [finding.severity for finding in found if text in str(finding.message)] == [severity]
