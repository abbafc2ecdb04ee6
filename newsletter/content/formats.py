"""The formats an issue can come in, and telling which one a file has. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal, get_args

from newsletter.content.digest import is_digest_heading, read_digest
from newsletter.content.issue_file import read_issue_file
from newsletter.content.lines import text_lines
from newsletter.content.problems import IssueFileError, IssueReading, Problem

Format = Literal["markdown", "digest"]
FORMATS: tuple[Format, ...] = get_args(Format)
_NEITHER = (
    "This is no issue that can be read: it has neither front matter between --- lines, nor headings with ## before "
    "or # behind their words."
)
_MARKDOWN_HEADING = re.compile(r"#{1,3}[ \t]")


def read_issue(text: str, known_sources: Collection[str] = (), *, as_format: Format | None = None) -> IssueReading:
    """Read an issue in either format; `as_format` says which when it shall not be recognised from the text.

    Raises IssueFileError with every problem of the file.
    """
    chosen = as_format or format_of(text)
    if chosen == "markdown":
        return read_issue_file(text, known_sources=known_sources)
    if chosen == "digest":
        return read_digest(text, known_sources=known_sources)
    raise IssueFileError([Problem(1, _NEITHER)])


def text_of(data: bytes) -> str:
    """The text of a file's bytes. Raises IssueFileError, with the line, where they are not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        sentence = "This line is not UTF-8 text. Save the file again, with UTF-8 as its encoding."
        raise IssueFileError([Problem(line, sentence)]) from error


def format_of(text: str) -> Format | None:
    """The format of `text`, told by its first mark: front matter or `## Heading`, or else `Heading#`."""
    lines = [line for line in text_lines(text) if line.strip()]
    if lines and lines[0].rstrip() == "---":
        return "markdown"
    for line in lines:
        if _MARKDOWN_HEADING.match(line):
            return "markdown"
        if is_digest_heading(line):
            return "digest"
    return None
