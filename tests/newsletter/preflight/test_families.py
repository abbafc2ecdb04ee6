"""All families together: their findings, the order, and the samples in every theme."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

import newsletter.demo
from newsletter.content.document import SectionContent, SectionKind, StoryContent
from newsletter.content.formats import read_issue
from newsletter.preflight import FAMILIES, AudienceSnapshot, Inspection, Sender, run_checks
from newsletter.preflight.findings import LinkStatus
from newsletter.rendering.theme import load_theme, theme_names
from tests.newsletter.preflight.finding import Mail, WithCode, with_code
from tests.newsletter.preflight.sample_issue import CRANE, EVERY_KIND, GAUGE, NOON, PLAIN_ISSUE, inspection_of

SAMPLES = Path(newsletter.demo.__file__).parent / "samples"

#: An issue with errors in all families.
BROKEN = Inspection(
    content=replace(
        PLAIN_ISSUE,
        subject="RE: LAST CHANCE FOR YOUR BOAT!!!",
        preheader="",
        sections=(
            SectionContent(kind=SectionKind.IMAGE, image="https://p.example/lock.avif"),
            SectionContent(
                title="Deep dives",
                stories=(
                    replace(CRANE, url=""),
                    GAUGE,
                    replace(GAUGE, title="Another", body="See [here](/nowhere)."),
                    StoryContent(title="Gone", url="https://gone.example/", body="Was here."),
                ),
            ),
        ),
    ),
    sender=Sender(name="Harbour Notes", email="notes@mail.example.org", postal_address=""),
    sends_at=NOON.replace(day=29),
    audience=AudienceSnapshot(count=0),
    rendered=Mail(
        '<html><body><p style="display:grid;color:#aaaaaa">Faint</p><a href="https://a.example">click here</a>'
        f"{'<p>long</p>' * 10_000}</body></html>",
        "Words.",
    ),
    render_error="The template is broken.",
    links={"https://gone.example/": LinkStatus(status=404), GAUGE.url: LinkStatus(status=403)},
)


def test_a_complete_issue_has_no_findings() -> None:
    assert run_checks(inspection_of(PLAIN_ISSUE)) == ()


@pytest.mark.parametrize(
    "finding",
    [
        ("error", "rendering", "not_rendered", ""),
        ("error", "content", "invalid_part", "Image, part 1"),
        ("error", "content", "story_without_link", "Deep dives, story 1"),
        ("warning", "content", "duplicate_link", "Deep dives, story 3"),
        ("warning", "content", "date_differs", ""),
        ("error", "links", "invalid_link_in_text", "Deep dives, story 3"),
        ("error", "links", "gone", "Deep dives, story 4"),
        ("warning", "links", "rejects_bots", "Deep dives, story 2"),
        ("warning", "links", "not_checked", ""),
        ("warning", "deliverability", "reply_prefix", "Subject"),
        ("warning", "deliverability", "subject_in_capitals", "Subject"),
        ("warning", "deliverability", "no_preheader", "Preheader"),
        ("warning", "deliverability", "story_missing_in_text", "Text part"),
        ("error", "compliance", "no_postal_address", "Newsletter"),
        ("error", "compliance", "no_unsubscribe_link", "HTML part"),
        ("error", "compliance", "no_unsubscribe_link", "Text part"),
        ("error", "size", "too_large", "HTML part"),
        ("warning", "accessibility", "no_language", "Newsletter"),
        ("warning", "accessibility", "low_contrast_dark", "Theme"),
        ("warning", "accessibility", "meaningless_link_text", "HTML part"),
        ("warning", "clients", "unsupported_feature", "Theme"),
        ("error", "audience", "no_recipients", ""),
    ],
)
def test_a_broken_issue_has_each_finding_with_its_place(finding: WithCode) -> None:
    assert finding in with_code(run_checks(BROKEN))


def test_messages_name_the_values() -> None:
    messages = " ".join(finding.message for finding in run_checks(BROKEN))
    for text in (
        "The template is broken.",
        "already used in Deep dives, story 2",
        "would be sent on 2026-06-29",
        "“/nowhere” in the text",
        "https://gone.example/ does not exist any more (HTTP 404)",
        "https://mast.example/gauge rejects automated requests (HTTP 403)",
        "1 of 3 links has not been checked yet",
        "starts with “RE:”",
        "“Faint” is hard to read in dark mode",
        "The link text “click here”",
        "do not support “display:grid”",
    ):
        assert text in messages


def test_a_broken_issue_has_findings_in_every_family() -> None:
    assert {finding.family for finding in run_checks(BROKEN)} == {family.name for family in FAMILIES}


def test_errors_come_first() -> None:
    severities = [finding.severity.value for finding in run_checks(BROKEN)]
    assert severities == sorted(severities)
    assert set(severities) == {"error", "warning"}


def test_every_finding_has_a_translatable_sentence_a_code_and_a_unique_key() -> None:
    findings = run_checks(BROKEN)
    assert all(re.fullmatch(r"[A-Z0-9“].*\.", finding.message) for finding in findings)
    assert all(re.fullmatch(r"[a-z_]+", finding.code) for finding in findings)
    assert len({finding.key for finding in findings}) == len(findings)


def test_every_family_has_a_sentence_for_no_findings() -> None:
    for inspection in (inspection_of(EVERY_KIND), replace(inspection_of(PLAIN_ISSUE), rendered=None), BROKEN):
        messages = [family.passed(inspection) for family in FAMILIES]
        assert all(message == "" or re.fullmatch(r"[A-Z].*\.", message) for message in messages)


def test_families_that_could_not_check_anything_have_not_passed() -> None:
    rendered = {family.name for family in FAMILIES if family.passed(inspection_of(PLAIN_ISSUE))}
    unrendered = replace(inspection_of(PLAIN_ISSUE), rendered=None)
    assert rendered - {family.name for family in FAMILIES if family.passed(unrendered)} == {
        *("rendering", "compliance", "size", "accessibility", "clients")
    }


def test_the_other_families_run_without_a_rendering() -> None:
    families = {finding.family for finding in run_checks(replace(BROKEN, rendered=None))}
    assert families == {"rendering", "content", "links", "deliverability", "compliance", "pictures", "audience"}


@pytest.mark.parametrize("theme", theme_names())
@pytest.mark.parametrize("sample", ["issue-41.md", "issue-42.md"])
def test_the_samples_have_no_errors_in_any_theme(sample: str, theme: str) -> None:
    content = read_issue((SAMPLES / sample).read_text(encoding="utf-8")).content
    inspection = replace(
        inspection_of(content, load_theme(theme)),
        sends_at=NOON.replace(year=content.date.year, month=content.date.month, day=content.date.day),
    )
    findings = run_checks(inspection)
    assert [finding.message for finding in findings if finding.severity == "error"] == []
    assert {finding.family for finding in findings} <= {"deliverability"}  # a long subject may be intended
