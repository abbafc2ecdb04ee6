"""Helpers for tests of findings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from newsletter.content.document import IssueContent, SectionContent, StoryContent
from newsletter.preflight import Finding, Inspection, run_checks
from tests.newsletter.preflight.sample_issue import PLAIN_ISSUE, inspection_of

Short = tuple[str, str, str]
WithCode = tuple[str, str, str, str]


def short(findings: Iterable[Finding]) -> list[Short]:
    """The severity, family and place of each."""
    return [(finding.severity.value, finding.family, finding.place) for finding in findings]


def with_code(findings: Iterable[Finding]) -> list[WithCode]:
    """The severity, family, code and place of each."""
    return [(finding.severity.value, finding.family, finding.code, finding.place) for finding in findings]


def findings_of_family(family: str, inspection: Inspection) -> list[Finding]:
    """The findings of one family."""
    return [finding for finding in run_checks(inspection) if finding.family == family]


def with_stories(*stories: StoryContent) -> IssueContent:
    """The plain issue with these stories instead of its own."""
    return replace(PLAIN_ISSUE, sections=(SectionContent(title="Deep dives", stories=stories),))


def inspected(content: IssueContent = PLAIN_ISSUE, **changes: Any) -> Inspection:
    """The inspection of `content` without a rendering, and with `changes`."""
    inspection = inspection_of(PLAIN_ISSUE)
    return replace(inspection, content=content, rendered=None, links={}, **changes)


def mail(html: str, text: str = "", **changes: Any) -> Inspection:
    """The inspection of a mail with this HTML part."""
    return replace(inspection_of(PLAIN_ISSUE), rendered=Mail(html, text), **changes)


class Mail:
    """A rendering with parts that a test provides."""

    nonce = "0123456789ab"

    def __init__(self, html: str, text: str = "") -> None:
        self.html, self.text = html, text
