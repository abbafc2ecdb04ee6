"""The sample_issue in every shipped theme: for goldens, pictures and the official compiler."""

from __future__ import annotations

import dataclasses
from functools import cache

from newsletter.content.document import IssueContent
from newsletter.rendering import Masthead, Theme, load_theme, theme_names
from newsletter.rendering.render import write_mjml
from newsletter.rendering.sample_issue import BLOCKS, MASTHEAD, PICTURE, WEB_URL, sample_issue, single_block_issue

__all__ = [
    "BLOCKS",
    "MASTHEAD",
    "PICTURE",
    "WEB_URL",
    "right_to_left",
    "sample_issue",
    "sample_issues",
    "shipped_themes",
    "single_block_issue",
]


def right_to_left() -> tuple[IssueContent, Masthead]:
    """The whole sample_issue as a newsletter in Arabic would be set; its words stay, since only the sides matter."""
    return sample_issue(), dataclasses.replace(MASTHEAD, language="ar")


@cache
def sample_issues() -> list[tuple[str, str]]:
    """(`theme/block`, MJML) for every shipped theme: each block by itself, and the whole issue under `issue`."""
    return [
        (f"{theme.name}/{name}", write_mjml(content, MASTHEAD, web_url=WEB_URL, theme=theme))
        for theme in shipped_themes()
        for name, content in {**{name: single_block_issue(name) for name in BLOCKS}, "issue": sample_issue()}.items()
    ]


def shipped_themes() -> list[Theme]:
    """Every theme that ships, in the order of their names."""
    return [load_theme(name) for name in theme_names()]
