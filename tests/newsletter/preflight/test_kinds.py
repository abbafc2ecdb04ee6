"""Findings of one kind under one heading."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from newsletter.content.document import StoryContent
from newsletter.preflight.families import run_checks
from newsletter.preflight.findings import Finding, error, warning
from newsletter.preflight.kinds import HEADINGS, by_kind
from tests.newsletter.preflight.finding import inspected, with_stories


def test_a_kind_with_one_finding_has_no_heading() -> None:
    stories = [StoryContent(title=f"T{number}", url="https://a.example/", body="Words.") for number in range(1)]
    (kind,) = [
        one for one in by_kind(run_checks(inspected(with_stories(replace(stories[0], url=""))))) if "link" in one.code
    ]
    assert (kind.code, kind.heading, len(kind.findings)) == ("content.story_without_link", "", 1)


def test_two_findings_of_a_kind_have_one_heading() -> None:
    both = with_stories(*(StoryContent(title=f"T{number}", body="Words.") for number in range(2)))
    (kind,) = [one for one in by_kind(run_checks(inspected(both))) if one.code == "content.story_without_link"]
    assert kind.heading == "2 stories have no link"


CODES = st.sampled_from([*HEADINGS, "size.too_large", "links.other"])


@given(st.lists(st.tuples(st.booleans(), CODES)))
def test_no_finding_is_lost_or_mixed_with_another_kind(drawn: list[tuple[bool, str]]) -> None:
    findings: list[Finding] = []
    for number, (is_error, code) in enumerate(drawn):
        make = error if is_error else warning
        family, _, name = code.partition(".")
        findings.append(make(family, name, f"place {number}", f"message {number}"))
    kinds = by_kind(findings)
    grouped = [finding for kind in kinds for finding in kind.findings]
    assert sorted(one.message for one in grouped) == sorted(one.message for one in findings)
    assert all(len({(one.severity, one.family, one.code) for one in kind.findings}) == 1 for kind in kinds)
    assert all(bool(kind.heading) == (len(kind.findings) > 1) for kind in kinds)
