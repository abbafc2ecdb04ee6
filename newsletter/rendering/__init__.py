"""Rendering of issues for mail. Pure: no database, network or clock."""

from newsletter.rendering.errors import PlaceholderError, RenderingError
from newsletter.rendering.placeholders import (
    PlaceholderContext,
    PlaceholderTemplate,
    as_json_string,
    as_utf8,
    placeholder_token,
    token_pattern,
)
from newsletter.rendering.render import render_issue
from newsletter.rendering.shapes import IssueLink, Masthead, MergePlaceholder, RenderedIssue
from newsletter.rendering.theme import PLAIN, Theme, load_theme, pairings, theme_names
from newsletter.rendering.theme_file import ThemeError, ThemeFault
from newsletter.rendering.words import Words, words_for

__all__ = [
    "PLAIN",
    "IssueLink",
    "Masthead",
    "MergePlaceholder",
    "PlaceholderContext",
    "PlaceholderError",
    "PlaceholderTemplate",
    "RenderedIssue",
    "RenderingError",
    "Theme",
    "ThemeError",
    "ThemeFault",
    "Words",
    "as_json_string",
    "as_utf8",
    "load_theme",
    "pairings",
    "placeholder_token",
    "render_issue",
    "theme_names",
    "token_pattern",
    "words_for",
]
