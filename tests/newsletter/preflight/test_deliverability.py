"""Deliverability: subject, preheader and other signs that spam filters use."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from newsletter.content.document import SectionContent, SectionKind
from newsletter.preflight.findings import Finding
from tests.newsletter.preflight.finding import findings_of_family, inspected, mail, short, with_stories
from tests.newsletter.preflight.sample_issue import CRANE, PLAIN_ISSUE, inspection_of


def deliverability(**changes: Any) -> list[Finding]:
    return findings_of_family("deliverability", inspected(replace(PLAIN_ISSUE, **changes)))


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("", ["error"]),
        ("  ", ["error"]),
        ("x" * 60, []),
        ("x" * 61, ["warning"]),
        ("x" * 201, ["error", "warning"]),
        ("two\r\nlines", ["error"]),
        ("txt.\u202eexe", ["error"]),
        ("Dear {first_name|you}", []),
        ("Dear {first_name}", ["error"]),
        ("Dear {{ first_name }}", ["error"]),
        ("x" * 50 + "{first_name|you}", []),
        ("RE: your boat", ["warning"]),
        ("Fwd: your boat", ["warning"]),
        ("Regarding your boat", []),
        ("🚢🚢", ["warning"]),
        ("LAST CHANCE TO MOOR", ["warning", "warning"]),
        ("NASA and the tides", []),
        ("AWS EKS GPU costs", []),
        ("re:Invent in short", []),
        ("Is it true?!", ["warning"]),
        ("Is it true?", []),
    ],
)
def test_a_subject_has_the_expected_findings(subject: str, expected: list[str]) -> None:
    assert short(deliverability(subject=subject)) == [(severity, "deliverability", "Subject") for severity in expected]


@pytest.mark.parametrize(
    ("subject", "better"),
    [("RE: your boat", "Your boat"), ("Fw: Re: AW: news", "News"), ("Tides rise!!!", "Tides rise!")],
)
def test_a_subject_like_spam_can_be_fixed(subject: str, better: str) -> None:
    (finding,) = deliverability(subject=subject)
    assert finding.fix is not None
    assert finding.fix.content.subject == better


def test_a_subject_that_is_only_a_reply_prefix_has_no_fix() -> None:
    assert [finding.fix for finding in deliverability(subject="Re:")] == [None]


def test_the_first_sentence_is_suggested_for_an_empty_preheader() -> None:
    (finding,) = deliverability(preheader="")
    assert (finding.severity.value, finding.place) == ("warning", "Preheader")
    assert finding.fix is not None
    assert finding.fix.content.preheader == "Ports are getting quieter."


def test_a_merge_field_in_the_suggested_preheader_is_replaced_by_its_fallback() -> None:
    lead = replace(PLAIN_ISSUE.sections[0], body="Hello {first_name|reader}, ports are getting quieter. More below.")
    (finding,) = deliverability(preheader="", sections=(lead, *PLAIN_ISSUE.sections[1:]))
    assert finding.fix is not None
    assert finding.fix.content.preheader == "Hello reader, ports are getting quieter."


def test_a_preheader_that_repeats_the_subject_is_a_warning() -> None:
    assert short(deliverability(preheader=f"{PLAIN_ISSUE.subject}!")) == [("warning", "deliverability", "Preheader")]


def test_an_invalid_preheader_is_an_error() -> None:
    assert short(deliverability(preheader="a\nb")) == [("error", "deliverability", "Preheader")]


def test_a_title_in_capitals_is_reported_with_its_place() -> None:
    content = with_stories(replace(CRANE, title="CRANES ARE WAITING NOW"))
    (finding,) = findings_of_family("deliverability", inspected(content))
    assert (finding.severity.value, finding.place) == ("warning", "Deep dives, story 1")


def test_an_issue_of_mostly_images_is_a_warning() -> None:
    picture = SectionContent(kind=SectionKind.IMAGE, image="https://p.example/a.jpg", alt="The lock")
    assert short(deliverability(sections=(picture, *PLAIN_ISSUE.sections))) == [("warning", "deliverability", "")]
    words = SectionContent(title="Signal", body="word " * 30)
    assert deliverability(sections=(picture, words, *PLAIN_ISSUE.sections)) == []


def test_a_shortened_link_is_a_warning() -> None:
    (finding,) = findings_of_family("deliverability", inspected(with_stories(replace(CRANE, url="https://bit.ly/x1"))))
    assert (finding.severity.value, finding.place) == ("warning", "Deep dives, story 1")
    assert "bit.ly" in finding.message


def test_an_embedded_image_is_a_warning() -> None:
    for html in (
        '<img src="data:image/png;base64,AA">',
        "<p style=\"background: url('data:image/png;base64,AA')\">x</p>",
    ):
        findings = findings_of_family("deliverability", mail(html, "Deep dives"))
        assert ("warning", "deliverability", "HTML part") in short(findings)


def test_a_text_about_embedded_images_has_no_finding() -> None:
    html = '<p>Write <code>&lt;img src="data:image/png;base64,AA"&gt;</code> or url(data:image/png), if you must.</p>'
    findings = findings_of_family("deliverability", mail(html, "Deep dives"))
    assert ("warning", "deliverability", "HTML part") not in short(findings)


def test_an_empty_text_part_is_an_error() -> None:
    assert short(findings_of_family("deliverability", mail("<p>Hello</p>", " \n"))) == [
        ("error", "deliverability", "Text part")
    ]


def test_a_story_that_is_missing_in_the_text_part_is_a_warning() -> None:
    whole = inspection_of(PLAIN_ISSUE).rendered
    assert whole is not None
    findings = findings_of_family("deliverability", mail(whole.html, whole.text.replace(CRANE.title, "…")))
    assert [(finding.place, CRANE.title in finding.message) for finding in findings] == [("Text part", True)]
