"""The sample issue in every shipped theme, for golden files, screenshots and the official compiler."""

from __future__ import annotations

import dataclasses
from functools import cache

from newsletter.content.document import IssueContent
from newsletter.rendering import Masthead, Theme, load_theme, theme_names
from newsletter.rendering.render import write_mjml
from newsletter.rendering.sample_issue import (
    BLOCKS,
    MASTHEAD,
    PICTURE,
    STORIES,
    WEB_URL,
    sample_issue,
    single_block_issue,
)

__all__ = [
    "BLOCKS",
    "MASTHEAD",
    "PICTURE",
    "STORIES",
    "WEB_URL",
    "right_to_left",
    "sample_issue",
    "sample_issues",
    "shipped_themes",
    "single_block_issue",
]


def right_to_left() -> tuple[IssueContent, Masthead]:
    """The whole sample issue in a right-to-left language; the text stays English."""
    return sample_issue(), dataclasses.replace(MASTHEAD, language="ar")


@cache
def sample_issues() -> list[tuple[str, str]]:
    """(`theme/block`, MJML) for every shipped theme: each block alone, and the whole issue as `issue`."""
    return [
        (f"{theme.name}/{name}", write_mjml(content, MASTHEAD, web_url=WEB_URL, theme=theme))
        for theme in shipped_themes()
        for name, content in {**{name: single_block_issue(name) for name in BLOCKS}, "issue": sample_issue()}.items()
    ]


def shipped_themes() -> list[Theme]:
    """Every shipped theme, sorted by name."""
    return [load_theme(name) for name in theme_names()]
