"""Deliverability: what filters and inboxes judge a mail by before anybody reads it."""

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
        ("Dear {first_name|you}", ["error"]),
        ("RE: your boat", ["warning"]),
        ("Fwd: your boat", ["warning"]),
        ("Regarding your boat", []),
        ("🚢🚢", ["warning"]),
        ("LAST CHANCE TO MOOR", ["warning"]),
        ("NASA and the tides", []),
        ("AWS EKS GPU costs", []),
        ("re:Invent in short", []),
        ("Is it true?!", ["warning"]),
        ("Is it true?", []),
    ],
)
def test_the_subject_is_there_short_plain_and_honest(subject: str, expected: list[str]) -> None:
    assert short(deliverability(subject=subject)) == [(one, "deliverability", "Subject") for one in expected]


@pytest.mark.parametrize(
    ("subject", "better"),
    [("RE: your boat", "Your boat"), ("Fw: Re: AW: news", "News"), ("Tides rise!!!", "Tides rise!")],
)
def test_a_subject_that_plays_a_trick_can_be_put_right(subject: str, better: str) -> None:
    (finding,) = deliverability(subject=subject)
    assert finding.fix is not None
    assert finding.fix.content.subject == better


def test_nothing_is_left_of_a_subject_that_only_claims_to_answer() -> None:
    assert [finding.fix for finding in deliverability(subject="Re:")] == [None]


def test_a_missing_preheader_can_be_the_first_sentence() -> None:
    (finding,) = deliverability(preheader="")
    assert (finding.severity.value, finding.place) == ("warning", "Preheader")
    assert finding.fix is not None
    assert finding.fix.content.preheader == "Ports are getting quieter."


def test_a_greeting_in_the_suggested_preheader_stands_as_for_a_reader_without_a_name() -> None:
    lead = replace(PLAIN_ISSUE.sections[0], body="Hello {first_name|reader}, ports are getting quieter. More below.")
    (finding,) = deliverability(preheader="", sections=(lead, *PLAIN_ISSUE.sections[1:]))
    assert finding.fix is not None
    assert finding.fix.content.preheader == "Hello reader, ports are getting quieter."


def test_a_preheader_that_repeats_the_subject_deserves_a_look() -> None:
    assert short(deliverability(preheader=f"{PLAIN_ISSUE.subject}!")) == [("warning", "deliverability", "Preheader")]


def test_a_broken_preheader_must_be_fixed() -> None:
    assert short(deliverability(preheader="a\nb")) == [("error", "deliverability", "Preheader")]


def test_shouting_in_a_title_is_named_by_its_place() -> None:
    content = with_stories(replace(CRANE, title="CRANES ARE WAITING NOW"))
    (finding,) = findings_of_family("deliverability", inspected(content))
    assert (finding.severity.value, finding.place) == ("warning", "Deep dives, story 1")


def test_an_issue_of_pictures_deserves_a_look() -> None:
    picture = SectionContent(kind=SectionKind.IMAGE, image="https://p.example/a.jpg", alt="The lock")
    assert short(deliverability(sections=(picture, *PLAIN_ISSUE.sections))) == [("warning", "deliverability", "")]
    words = SectionContent(title="Signal", body="word " * 30)
    assert deliverability(sections=(picture, words, *PLAIN_ISSUE.sections)) == []


def test_a_shortened_link_hides_where_it_leads() -> None:
    (finding,) = findings_of_family("deliverability", inspected(with_stories(replace(CRANE, url="https://bit.ly/x1"))))
    assert (finding.severity.value, finding.place) == ("warning", "Deep dives, story 1")
    assert "bit.ly" in finding.message


def test_a_picture_inside_the_mail_deserves_a_look() -> None:
    for html in (
        '<img src="data:image/png;base64,AA">',
        "<p style=\"background: url('data:image/png;base64,AA')\">x</p>",
    ):
        findings = findings_of_family("deliverability", mail(html, "Deep dives"))
        assert ("warning", "deliverability", "HTML part") in short(findings)


def test_a_text_about_pictures_inside_mails_carries_none() -> None:
    html = '<p>Write <code>&lt;img src="data:image/png;base64,AA"&gt;</code> or url(data:image/png), if you must.</p>'
    findings = findings_of_family("deliverability", mail(html, "Deep dives"))
    assert ("warning", "deliverability", "HTML part") not in short(findings)


def test_a_mail_without_its_text_part_must_be_fixed() -> None:
    assert short(findings_of_family("deliverability", mail("<p>Hello</p>", " \n"))) == [
        ("error", "deliverability", "Text part")
    ]


def test_a_text_part_that_says_less_than_the_html_deserves_a_look() -> None:
    whole = inspection_of(PLAIN_ISSUE).rendered
    assert whole is not None
    findings = findings_of_family("deliverability", mail(whole.html, whole.text.replace(CRANE.title, "…")))
    assert [(one.place, CRANE.title in one.message) for one in findings] == [("Text part", True)]
