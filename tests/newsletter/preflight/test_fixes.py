"""Fixes are safe: each removes its finding and adds no error."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.content.document import IssueContent, SectionContent, StoryContent
from newsletter.content.fields import content_faults
from newsletter.preflight import Finding, Inspection, Severity, run_checks
from newsletter.preflight.findings import LinkHop, LinkStatus
from newsletter.preflight.places import placed_links
from tests.newsletter.preflight.finding import inspected
from tests.newsletter.preflight.sample_issue import DAY, PLAIN_ISSUE

WORDS = st.text(st.sampled_from("aB!? .…🚢é:"), max_size=40)
SUBJECTS = st.one_of(WORDS, st.builds("{}{}".format, st.sampled_from(["RE: ", "fw:re:", "Aw: "]), WORDS))
ADDRESSES = st.sampled_from(
    [
        "http://a.example/x",
        "http://a.example/x/y",
        "https://b.example/",
        "https://c.example/?a=1&b=2",
        "http://d.example",
    ]
)
BODIES = st.lists(
    st.one_of(
        WORDS,
        st.builds("[{}]({})".format, st.sampled_from(["Words", "*More* words", "`code`"]), ADDRESSES),
        st.builds("<{}>".format, ADDRESSES),
        st.builds("`{}`".format, ADDRESSES),
        ADDRESSES,
    ),
    max_size=4,
).map(" and ".join)
STORIES = st.builds(StoryContent, title=WORDS, url=ADDRESSES, body=BODIES)
ISSUES = st.builds(
    lambda subject, preheader, body, stories: replace(
        PLAIN_ISSUE,
        subject=subject,
        preheader=preheader,
        sections=(SectionContent(title="Signal", body=body), SectionContent(title="Dives", stories=tuple(stories))),
    ),
    SUBJECTS,
    st.one_of(st.just(""), WORDS),
    BODIES,
    st.lists(STORIES, max_size=3),
)
STATUSES = st.one_of(
    st.builds(LinkStatus, status=st.just(200), has_https=st.booleans()),
    st.builds(
        lambda end, status: LinkStatus(status=200, final_url=end, hops=(LinkHop("http://a.example/x", status),)),
        st.sampled_from(["https://new.example/", "https://b.example/", "javascript:alert(1)"]),
        st.sampled_from([301, 302, 308]),
    ),
)


@st.composite
def inspections(draw: Any) -> Inspection:
    content: IssueContent = draw(ISSUES)
    urls = sorted({link.url for link in placed_links(content)})
    day = DAY + datetime.timedelta(days=draw(st.integers(0, 1)))
    sends_at = datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC)
    return replace(inspected(content, sends_at=sends_at), links={url: draw(STATUSES) for url in urls})


def errors_of(findings: tuple[Finding, ...]) -> set[str]:
    return {finding.message for finding in findings if finding.severity is Severity.ERROR}


@settings(max_examples=60, deadline=None)
@given(inspections())
def test_a_fix_removes_its_finding_and_adds_no_error(inspection: Inspection) -> None:
    findings = run_checks(inspection)
    for finding in findings:
        if finding.fix is None:
            continue
        fixed = finding.fix.content
        # The new address is checked, too: the old one redirected to it.
        statuses = {link.url: LinkStatus(status=200) for link in placed_links(fixed)} | dict(inspection.links)
        after = run_checks(replace(inspection, content=fixed, links=statuses))
        assert fixed != inspection.content
        assert finding.message not in {other.message for other in after}
        assert errors_of(after) <= errors_of(findings)
        assert set(content_faults(fixed)) <= set(content_faults(inspection.content))


@settings(max_examples=40, deadline=None)
@given(inspections())
def test_the_checks_are_deterministic(inspection: Inspection) -> None:
    assert run_checks(inspection) == run_checks(inspection)
