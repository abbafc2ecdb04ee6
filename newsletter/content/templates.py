"""Templates of issues: stored from an issue or from Markdown, and read back."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import replace

from newsletter.content.document import AudienceContent, IssueContent, SectionContent
from newsletter.content.issue_file import read_issue_file, write_issue_file
from newsletter.content.problems import IssueFileError, Problem
from newsletter.content.revisions import as_json, content_from_json
from newsletter.models import IssueTemplate

# What an issue file needs beside its sections; none of it is part of a template.
_DATE = datetime.date(2000, 1, 1)
_EMPTY = IssueContent(title="template", slug="template", date=_DATE, subject="template")
_END_OF_FRONT_MATTER = "\n---\n"


def content_of_template(template: IssueTemplate) -> IssueContent:
    """Its content; title, subject, slug and date stand for nothing. Raises UnreadableRevision."""
    return content_from_json(template.content, name=template.name)


def empty_content() -> IssueContent:
    """The content of a template without anything."""
    return _EMPTY


def template_content(content: IssueContent) -> dict[str, object]:
    """`content` as the column of a template: sections, categories and audience."""
    kept = replace(_EMPTY, sections=content.sections, categories=content.categories, audience=content.audience)
    return as_json(kept)


def sections_as_markdown(sections: Iterable[SectionContent]) -> str:
    """The sections as in an issue file, without its front matter. Raises IssueFileError."""
    written = write_issue_file(replace(_EMPTY, sections=tuple(sections), audience=AudienceContent()))
    return written.partition(_END_OF_FRONT_MATTER)[2].lstrip("\n")


def sections_from_markdown(text: str) -> tuple[SectionContent, ...]:
    """The sections of such a text. Raises IssueFileError, with the lines of the text."""
    head = write_issue_file(_EMPTY).rstrip("\n") + "\n\n"
    try:
        return read_issue_file(head + text.replace("\r\n", "\n") + "\n").content.sections
    except IssueFileError as error:
        before = head.count("\n")
        raise IssueFileError(
            Problem(max(problem.line - before, 1), problem.sentence, problem.severity) for problem in error.problems
        ) from error
