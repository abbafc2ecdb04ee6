"""Rows of the compose page from text that was pasted: a list of links, or the Markdown of an issue file. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from newsletter.content.document import SectionContent, SectionKind, StoryContent
from newsletter.content.issue_file import read_issue_file
from newsletter.content.problems import IssueFileError
from newsletter.content.story_line import StoryLineError, read_story_line

_BULLET = re.compile(r"^\s*(?:[-*+•]|\d{1,9}[.)])?\s*")
_ADDRESS = re.compile(r"https?://[^\s<>]+", re.IGNORECASE)
_STORY_ALONE = re.compile(r"^(?=\[[^\n]+\]\()")
#: What stands between a title and a bare address.
_BETWEEN = " \t:–—-|·("
_HEADER = "---\ntitle: Pasted\ndate: 2026-01-01\n---\n"


def pasted_rows(text: str) -> tuple[SectionContent | StoryContent, ...]:
    """The sections, blocks and stories of `text` in their order; nothing if it is neither links nor Markdown of rows.

    In a list of links, each line is `[Title](address) · Source`, `Title address` or an address alone, with or without a
    bullet. A story of an address alone has no title: nothing is fetched.
    """
    return tuple(_linked(text)) or tuple(_written(text))


def _linked(text: str) -> Iterator[StoryContent]:
    lines = [line for line in text.splitlines() if line.strip()]
    stories = [_linked_story(_BULLET.sub("", line, count=1).strip()) for line in lines]
    if all(stories):
        yield from (story for story in stories if story)


def _linked_story(line: str) -> StoryContent | None:
    if line.startswith("["):
        try:
            read = read_story_line(line)
        except StoryLineError:
            return None
        return StoryContent(title=read.title, url=read.url, source=read.rest) if read.url else None
    found = _ADDRESS.search(line)
    if not found or line.startswith("#") or found.end() != len(line):
        return None
    before = line[: found.start()]
    url = found[0].removesuffix(")") if before.endswith("(") else found[0]
    return StoryContent(title=before.rstrip(_BETWEEN), url=url)


def _written(text: str) -> Iterator[SectionContent | StoryContent]:
    """The parts of an issue file without front matter; its stories may stand above all sections."""
    text = _STORY_ALONE.sub("### ", text.strip())
    try:
        sections = read_issue_file(_HEADER + text + "\n").content.sections
    except IssueFileError:
        return
    if not any(section.stories or section.kind is not SectionKind.TEXT for section in sections):
        return  # running text
    for section in sections:
        if section.kind is not SectionKind.TEXT or section.body:
            yield replace(section, stories=())
        yield from section.stories
