"""The file formats of an issue, and recognising them. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal, get_args

from newsletter.config.translatable import translatable
from newsletter.content.digest import is_digest_heading, read_digest
from newsletter.content.issue_file import read_issue_file
from newsletter.content.lines import text_lines
from newsletter.content.problems import IssueFileError, ParsedIssue, Problem

MAX_FILE_BYTES = 1_000_000
"""The longest known digest is a fiftieth of it."""
Format = Literal["markdown", "digest"]
FORMATS: tuple[Format, ...] = get_args(Format)
_UNKNOWN = translatable(
    "This file is not an issue: it has neither front matter between --- lines nor headings that start with ## or end "
    "with #."
)
_MARKDOWN_HEADING = re.compile(r"#{1,3}[ \t]")


def read_issue(text: str, known_sources: Collection[str] = (), *, as_format: Format | None = None) -> ParsedIssue:
    """Parse an issue in `as_format`, or in the format that the text has. Raises IssueFileError with every problem."""
    refuse_large(len(text))
    chosen = as_format or format_of(text)
    if chosen == "markdown":
        return read_issue_file(text, known_sources=known_sources)
    if chosen == "digest":
        return read_digest(text, known_sources=known_sources)
    raise IssueFileError([Problem(1, _UNKNOWN)])


def text_of(data: bytes) -> str:
    """Decode a file. Raises IssueFileError if it is too large, and with the line if it is not UTF-8."""
    refuse_large(len(data))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        sentence = translatable("This line is not UTF-8. Save the file with the encoding UTF-8.")
        raise IssueFileError([Problem(line, sentence)]) from error


def refuse_large(size: int) -> None:
    """Raise IssueFileError for a file of more than MAX_FILE_BYTES."""
    if size > MAX_FILE_BYTES:
        sentence = translatable(
            "The file has {size:.1f} MB; the maximum is {limit} MB. It is probably not the text of an issue.",
            size=size / 1_000_000,
            limit=MAX_FILE_BYTES // 1_000_000,
        )
        raise IssueFileError([Problem(1, sentence)])


def format_of(text: str) -> Format | None:
    """The format of `text`, recognised by front matter, `## Heading` or `Heading#`; None if there is none of them."""
    lines = [line for line in text_lines(text) if line.strip()]
    if lines and lines[0].rstrip() == "---":
        return "markdown"
    for line in lines:
        if _MARKDOWN_HEADING.match(line):
            return "markdown"
        if is_digest_heading(line):
            return "digest"
    return None
