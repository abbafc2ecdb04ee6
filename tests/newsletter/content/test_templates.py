"""Templates: stored content, and the same as Markdown."""

from __future__ import annotations

import pytest
from hypothesis import given

from newsletter.content.document import IssueContent, SectionContent
from newsletter.content.problems import IssueFileError
from newsletter.content.revisions import UnreadableRevision
from newsletter.content.templates import (
    content_of_template,
    sections_as_markdown,
    sections_from_markdown,
    template_content,
)
from newsletter.models import IssueTemplate
from tests.newsletter.content.issues import issues
from tests.publications import content


@given(issues)
def test_sections_are_read_as_they_were_written(written: IssueContent) -> None:
    try:
        text = sections_as_markdown(written.sections)
    except IssueFileError:
        return  # cannot be a file, as the export says
    assert sections_from_markdown(text) == written.sections


def test_the_lines_of_problems_are_those_of_the_text() -> None:
    with pytest.raises(IssueFileError) as refusal:
        sections_from_markdown("## News\n\nText.\n\n# Second title\n")
    assert [problem.line for problem in refusal.value.problems] == [5]


def test_an_empty_text_is_a_template_without_sections() -> None:
    assert sections_from_markdown("") == ()
    assert sections_as_markdown(()) == ""


def test_a_template_keeps_sections_categories_and_audience_and_nothing_of_one_issue() -> None:
    kept = content_of_template(IssueTemplate(name="Weekly", content=template_content(content())))
    assert kept.sections == content().sections
    assert kept.categories == content().categories
    assert (kept.title, kept.preheader) == ("template", "")


def test_a_template_that_cannot_be_read_says_so() -> None:
    with pytest.raises(UnreadableRevision, match="“Weekly” cannot be read"):
        content_of_template(IssueTemplate(name="Weekly", content={"sections": [{"kind": "poem"}]}))


def test_a_section_can_be_empty() -> None:
    assert sections_from_markdown("## News\n\n## Tides\n") == (
        SectionContent(title="News"),
        SectionContent(title="Tides"),
    )
