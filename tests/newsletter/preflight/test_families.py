"""Each family of checks, on values: what must be fixed, what deserves a look, and what is fine."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace
from typing import Any

import pytest

from newsletter.content.document import IssueContent, SectionContent, StoryContent
from newsletter.preflight import Finding, Inspection, Sender, Severity, run_checks
from newsletter.rendering import SlotContext, slot_token
from tests.newsletter.content.harbour_notes import CRANE, GAUGE, ISSUE_41

NONCE = "0123456789ab"
HTML_WAY_OUT = slot_token(NONCE, "unsubscribe_url", SlotContext.HTML)
TEXT_WAY_OUT = slot_token(NONCE, "unsubscribe_url", SlotContext.PLAIN)


@dataclass(frozen=True)
class Mail:
    """A rendering as small as can be."""

    html: str = f'<a href="{HTML_WAY_OUT}">'
    text: str = f"Unsubscribe: {TEXT_WAY_OUT}"
    nonce: str = NONCE


READY = Inspection(
    content=ISSUE_41,
    sender=Sender(name="Harbour Notes", email="notes@mail.example.org", postal_address="4 Quay Street"),
    send_day=ISSUE_41.date,
    audience=500,
    rendered=Mail(),
)


def findings_with(**changes: Any) -> list[tuple[str, str, str]]:
    found = run_checks(replace(READY, **changes))
    return [(finding.severity.value, finding.family, finding.place) for finding in found]


def findings_in(**changes: Any) -> list[tuple[str, str, str]]:
    return findings_with(content=replace(ISSUE_41, **changes))


def with_stories(*stories: StoryContent) -> IssueContent:
    return replace(ISSUE_41, sections=(SectionContent(title="Deep dives", stories=stories),))


def test_an_issue_that_lacks_nothing_has_no_findings() -> None:
    assert run_checks(READY) == ()


def test_an_issue_without_stories_must_be_fixed() -> None:
    assert findings_in(sections=(SectionContent(title="Signal", body="x"),)) == [("must_fix", "content", "")]


@pytest.mark.parametrize(
    ("story", "says"),
    [
        (replace(CRANE, title=" "), "no title"),
        (replace(CRANE, url=""), "“The crane that learned to wait” has no link"),
        (replace(CRANE, body=" \n"), "“The crane that learned to wait” has no text"),
        (replace(CRANE, url="ftp://a.example"), "“ftp://a.example” is not a full web address"),
        (replace(CRANE, body="See [this](/page)."), "“/page” in the text leads nowhere"),
    ],
)
def test_a_story_that_is_not_whole_must_be_fixed_and_is_named_by_its_place(story: StoryContent, says: str) -> None:
    (finding,) = run_checks(replace(READY, content=with_stories(GAUGE, story)))

    assert (finding.severity, finding.family, finding.place) == (Severity.MUST_FIX, "content", "Deep dives, story 2")
    assert says in finding.sentence


def test_a_link_in_the_text_of_a_section_that_leads_nowhere_must_be_fixed() -> None:
    sections = (SectionContent(title="Signal", body="[x](javascript:alert(1))"), *ISSUE_41.sections)

    assert findings_in(sections=sections) == [("must_fix", "content", "Signal")]


def test_a_story_twice_deserves_one_look_at_the_later_place() -> None:
    twins = (CRANE, replace(GAUGE, url=CRANE.url + "/"), replace(CRANE, url="https://other.example"))

    assert findings_with(content=with_stories(*twins)) == [
        ("look_at", "content", "Deep dives, story 2"),
        ("look_at", "content", "Deep dives, story 3"),
    ]
    assert findings_with(content=with_stories(CRANE, CRANE)) == [("look_at", "content", "Deep dives, story 2")]


def test_a_long_story_deserves_a_look() -> None:
    assert findings_with(content=with_stories(replace(CRANE, body="word " * 120))) == []
    assert findings_with(content=with_stories(replace(CRANE, body="word " * 121))) == [
        ("look_at", "content", "Deep dives, story 1")
    ]


def test_another_date_than_the_day_of_sending_deserves_a_look() -> None:
    assert findings_with(send_day=ISSUE_41.date + datetime.timedelta(days=1)) == [("look_at", "content", "")]


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("", ["must_fix"]),
        ("  ", ["must_fix"]),
        ("x" * 60, []),
        ("x" * 61, ["look_at"]),
        ("x" * 200, ["look_at"]),
        ("x" * 201, ["must_fix", "look_at"]),
        ("two\r\nlines", ["must_fix"]),
        ("txt.\u202eexe", ["must_fix"]),
    ],
)
def test_the_subject_is_there_short_and_plain(subject: str, expected: list[str]) -> None:
    assert findings_in(subject=subject) == [(severity, "envelope", "Subject") for severity in expected]


def test_a_missing_preheader_deserves_a_look_and_a_broken_one_must_be_fixed() -> None:
    assert findings_in(preheader="") == [("look_at", "envelope", "Preheader")]
    assert findings_in(preheader="a\nb") == [("must_fix", "envelope", "Preheader")]


@pytest.mark.parametrize("part", ["name", "email", "postal_address"])
def test_who_sends_and_from_where_must_be_known(part: str) -> None:
    assert findings_with(sender=replace(READY.sender, **{part: " "})) == [("must_fix", "compliance", "Newsletter")]


def test_both_parts_must_have_the_way_out() -> None:
    assert findings_with(rendered=Mail(html=TEXT_WAY_OUT)) == [("must_fix", "compliance", "HTML part")]
    assert findings_with(rendered=Mail(text=HTML_WAY_OUT)) == [("must_fix", "compliance", "Text part")]


@pytest.mark.parametrize(
    ("weight", "expected"), [(90_000, []), (90_001, ["look_at"]), (100_000, ["look_at"]), (100_001, ["must_fix"])]
)
def test_the_weight_is_that_of_the_bytes_not_of_the_characters(weight: int, expected: list[str]) -> None:
    filled = HTML_WAY_OUT + "é" * ((weight - len(HTML_WAY_OUT)) // 2)
    html = filled + "x" * (weight - len(filled.encode()))

    assert len(html.encode()) == weight
    assert findings_with(rendered=Mail(html=html)) == [(severity, "size", "HTML part") for severity in expected]


def test_an_issue_for_nobody_must_be_fixed() -> None:
    assert findings_with(audience=0) == [("must_fix", "audience", "")]


def test_without_a_rendering_everything_else_is_still_checked() -> None:
    assert findings_with(rendered=None, audience=0) == [("must_fix", "audience", "")]


def test_what_must_be_fixed_stands_first() -> None:
    content = replace(with_stories(replace(CRANE, url="")), preheader="", subject="x" * 61)
    findings = run_checks(replace(READY, content=content, audience=0))

    assert [finding.severity for finding in findings] == [Severity.MUST_FIX] * 2 + [Severity.LOOK_AT] * 2


def test_every_finding_is_a_whole_sentence_for_a_person() -> None:
    bare = Inspection(
        content=replace(with_stories(StoryContent(title="")), subject="", preheader=""),
        sender=Sender(name="", email="", postal_address=""),
        send_day=datetime.date(2026, 1, 1),
        audience=0,
        rendered=Mail(html="", text=""),
    )
    findings: tuple[Finding, ...] = run_checks(bare)

    assert len(findings) == 12
    assert all(finding.sentence[0].isupper() and finding.sentence.endswith(".") for finding in findings)
