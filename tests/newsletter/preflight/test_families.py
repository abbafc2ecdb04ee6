"""All families together: what a broken issue shows, in which order, and that the samples pass in every theme."""

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
from tests.newsletter.preflight.finding import Mail, Short, short
from tests.newsletter.preflight.sample_issue import CRANE, EVERY_KIND, GAUGE, NOON, PLAIN_ISSUE, inspection_of

SAMPLES = Path(newsletter.demo.__file__).parent / "samples"

#: Everything that can be wrong, as far as one issue can hold it.
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


def test_an_issue_that_lacks_nothing_has_no_findings() -> None:
    assert run_checks(inspection_of(PLAIN_ISSUE)) == ()


@pytest.mark.parametrize(
    ("finding", "says"),
    [
        (("error", "rendering", ""), "The template is broken."),
        (("error", "content", "Image, part 1"), "The image has no description."),
        (("error", "content", "Deep dives, story 1"), "has no link"),
        (("warning", "content", "Deep dives, story 3"), "is that of Deep dives, story 2 already"),
        (("warning", "content", ""), "would go out on 2026-06-29"),
        (("error", "links", "Deep dives, story 3"), "“/nowhere” in the text leads nowhere"),
        (("error", "links", "Deep dives, story 4"), "leads to a page that is gone (HTTP 404)"),
        (("warning", "links", "Deep dives, story 2"), "refuses programs such as this check (HTTP 403)"),
        (("warning", "links", ""), "1 of 3 links is still being looked at"),
        (("warning", "deliverability", "Subject"), "begins with “RE:”"),
        (("warning", "deliverability", "Subject"), "written in capitals"),
        (("warning", "deliverability", "Preheader"), "There is no preheader"),
        (("warning", "deliverability", "Text part"), "lacks Deep dives, story 1"),
        (("error", "compliance", "Newsletter"), "no postal address"),
        (("error", "compliance", "HTML part"), "no unsubscribe link"),
        (("error", "compliance", "Text part"), "no unsubscribe link"),
        (("error", "size", "HTML part"), "Gmail hides the end"),
        (("warning", "accessibility", "Newsletter"), "does not say its language"),
        (("warning", "accessibility", "Theme"), "On dark screens “Faint” is hard to read"),
        (("warning", "accessibility", "HTML part"), "“click here” do not say where"),
        (("warning", "clients", "Theme"), "“display:grid” is not supported"),
        (("error", "audience", ""), "Nobody on the list may be mailed now"),
    ],
)
def test_a_broken_issue_shows_each_familys_finding_with_its_place(finding: Short, says: str) -> None:
    found = run_checks(BROKEN)
    assert finding in [one for one, whole in zip(short(found), found, strict=True) if says in whole.message]


def test_a_broken_issue_fails_in_every_family() -> None:
    assert {finding.family for finding in run_checks(BROKEN)} == {family.name for family in FAMILIES}


def test_what_must_be_fixed_stands_first() -> None:
    severities = [finding.severity.value for finding in run_checks(BROKEN)]
    assert severities == sorted(severities, reverse=True)
    assert {"error", "warning"} == set(severities)


def test_every_finding_is_a_whole_sentence_for_a_person_and_has_a_key_of_its_own() -> None:
    findings = run_checks(BROKEN)
    assert all(re.fullmatch(r"[A-Z0-9“].*\.", finding.message) for finding in findings)
    assert len({finding.key for finding in findings}) == len(findings)


def test_every_family_says_in_words_what_passed() -> None:
    for inspection in (inspection_of(EVERY_KIND), replace(inspection_of(PLAIN_ISSUE), rendered=None), BROKEN):
        said = [family.passed(inspection) for family in FAMILIES]
        assert all(sentence == "" or (sentence[0].isalnum() and sentence[-1] != ".") for sentence in said)


def test_what_could_not_be_looked_at_has_not_passed() -> None:
    known = {family.name for family in FAMILIES if family.passed(inspection_of(PLAIN_ISSUE))}
    unrendered = replace(inspection_of(PLAIN_ISSUE), rendered=None)
    assert known - {family.name for family in FAMILIES if family.passed(unrendered)} == {
        *("rendering", "compliance", "size", "accessibility", "clients")
    }


def test_without_a_rendering_everything_else_is_still_checked() -> None:
    families = {finding.family for finding in run_checks(replace(BROKEN, rendered=None))}
    assert families == {"rendering", "content", "links", "deliverability", "compliance", "audience"}


@pytest.mark.parametrize("theme", theme_names())
@pytest.mark.parametrize("sample", ["issue-41.md", "issue-42.md"])
def test_the_samples_pass_in_every_theme(sample: str, theme: str) -> None:
    content = read_issue((SAMPLES / sample).read_text(encoding="utf-8")).content
    inspection = replace(
        inspection_of(content, load_theme(theme)),
        sends_at=NOON.replace(year=content.date.year, month=content.date.month, day=content.date.day),
    )
    found = run_checks(inspection)
    assert [finding.message for finding in found if finding.severity == "error"] == []
    assert {finding.family for finding in found} <= {"deliverability"}  # a long subject can be right on purpose
