"""Freezing: one digest of 31 stories rendered into both parts, including Markdown and output checks."""

from __future__ import annotations

import dataclasses
import itertools

from newsletter.content.document import IssueContent
from newsletter.rendering import RenderedIssue, render_issue
from tests.benchmarks.rows import Row, cpu_seconds, median_cpu_seconds
from tests.newsletter.rendering.digests import MASTHEAD, WEB_URL, write_digest


def measure() -> list[Row]:
    """CPU time of the first freeze of a process and of later ones, and the size of both parts."""
    issues = (anew(write_digest(), number) for number in itertools.count())
    first = cpu_seconds(lambda: _freeze(next(issues)))
    warm = median_cpu_seconds(lambda: _freeze(next(issues)), runs=25)
    rendered = _freeze(next(issues))
    return [
        Row("freeze, first of a process", first * 1e3, "ms CPU"),
        Row("freeze, warm", warm * 1e3, "ms CPU", "<= 15"),
        Row("HTML of 31 stories", len(rendered.html.encode()) / 1e3, "KB", "<= 60"),
        Row("text of 31 stories", len(rendered.text.encode()) / 1e3, "KB"),
    ]


def _freeze(content: IssueContent) -> RenderedIssue:
    return render_issue(content, MASTHEAD, web_url=WEB_URL)


def anew(content: IssueContent, number: int) -> IssueContent:
    """The same issue with other text in every body, so that caches of earlier runs do not help."""
    sections = tuple(
        dataclasses.replace(
            section,
            body=section.body and f"{section.body} Take {number}.",
            stories=tuple(dataclasses.replace(story, body=f"{story.body} Take {number}.") for story in section.stories),
        )
        for section in content.sections
    )
    return dataclasses.replace(content, sections=sections)
